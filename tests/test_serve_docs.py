"""docs/deploy.md is run: the clients against a server, the container's and the unit's commands by the command line."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from attacks import sound
from serving import photo, process

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", TEXT, re.DOTALL)


def blocks(kind: str) -> list[str]:
    return [text for name, text in BLOCKS if name == kind]


@pytest.mark.skipif(not (shutil.which("bash") and shutil.which("curl")), reason="the examples want bash and curl")
def test_every_client_of_the_page_gets_its_answer(tmp_path: Path) -> None:
    pytest.importorskip("httpx", reason="pip install httpx brings it")
    pytest.importorskip("tritonclient.http", reason="pip install 'tritonclient[http]' brings it")
    classifier = sound()
    classifier.save(tmp_path / "model.onnx")
    for seed, name in enumerate(("photo.jpg", "other.jpg")):
        (tmp_path / name).write_bytes(photo(seed, "JPEG", (50, 40)))
    label = next(iter(classifier.predict_files([tmp_path / "photo.jpg"]))).label
    with process(tmp_path / "model.onnx") as (_, address):
        ran = 0
        for kind, text in BLOCKS:
            if kind not in {"bash", "python"}:
                continue
            here = text.replace("http://127.0.0.1:8000", address)
            here = here.replace("127.0.0.1:8000", address.removeprefix("http://"))
            command = ["bash", "-euo", "pipefail", "-c", here] if kind == "bash" else [sys.executable, "-c", here]
            environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
            done = subprocess.run(
                command, cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8", check=False
            )
            assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
            assert label in done.stdout or "triton" in text
            ran += 1
    assert ran == 3


def commands() -> list[list[str]]:
    """The kopal commands of the container and of the unit."""
    (container,), (unit,) = blocks("dockerfile"), blocks("ini")
    entry = re.findall(r'"([^"]*)"', re.findall(r"^ENTRYPOINT (.*)$", container, re.MULTILINE)[0])
    start = re.findall(r"^ExecStart=\S+ (.*)$", unit, re.MULTILINE)[0].split()
    return [entry[1:], start]


@pytest.mark.parametrize("command", commands(), ids=["container", "unit"])
def test_the_commands_of_container_and_unit_serve(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOPAL_TOKEN", "a-token-of-some-length")
    sound().save(tmp_path / "model.onnx")
    assert command[0] == "serve"
    (health,) = re.findall(r'HEALTHCHECK .* CMD \["python", "-c", "(.*)"\]', blocks("dockerfile")[0])
    with process(tmp_path / "model.onnx", *[word for word in command[2:] if word != "--log-json"]) as (_, address):
        port = address.rpartition(":")[2]
        for asked, code in ((port, 0), (free_port(), 1)):
            check = [sys.executable, "-c", health.replace(":8000", f":{asked}")]
            assert subprocess.run(check, capture_output=True, check=False).returncode == code


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as door:
        return int(door.getsockname()[1])


def test_a_server_needs_no_place_to_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sound().save(tmp_path / "model.onnx")
    for name in ("HOME", "TMPDIR", "KOPAL_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "nowhere"))
    with process(tmp_path / "model.onnx") as (_, address):
        assert address
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_every_option_that_the_page_names_is_one_of_the_command(capfd: pytest.CaptureFixture[str]) -> None:
    from kopal.cli import run

    monkey = pytest.MonkeyPatch()
    monkey.setenv("COLUMNS", "200")
    try:
        assert run(["serve", "--help"]) == 0
    finally:
        monkey.undo()
    listed = set(re.findall(r"--[a-z-]+", capfd.readouterr().out))
    prose = re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL)
    named = set(re.findall(r"--[a-z][a-z-]+", prose))
    assert len(named) > 8
    assert named <= listed
