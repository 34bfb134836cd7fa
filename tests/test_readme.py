"""What the README promises is run: every command in a folder as it describes, and the Python lines."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import CLASSES, make_photos

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(bash|python)\n(.*?)```", README, re.DOTALL)
SETUP = [text for kind, text in BLOCKS if kind == "bash" and text.startswith("python3 -m venv")]


@pytest.mark.skipif(shutil.which("bash") is None, reason="the README's commands are written for bash")
def test_every_command_and_snippet_of_the_readme_runs(tmp_path: Path) -> None:
    make_photos(tmp_path / "photos", CLASSES, count=6)
    make_photos(tmp_path / "more", CLASSES[:1], count=2, first=50)
    make_photos(tmp_path / "new-photos", CLASSES, count=2, first=80)
    shutil.copy(tmp_path / "photos" / CLASSES[0] / "1.jpg", tmp_path / "photo.jpg")
    shim = tmp_path / "bin"
    shim.mkdir()
    (shim / "kopal").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m kopal "$@"\n')
    (shim / "kopal").chmod(0o755)
    environment = {**os.environ, "PATH": f"{shim}{os.pathsep}{os.environ['PATH']}"}
    ran = 0
    for kind, text in BLOCKS:
        if text in SETUP:
            continue
        command = ["bash", "-euo", "pipefail", "-c", text] if kind == "bash" else [sys.executable, "-c", text]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        ran += 1
    assert ran >= 5
    assert (tmp_path / "answers.csv").is_file()


def test_the_setup_commands_are_the_two_that_ci_runs() -> None:
    assert len(SETUP) == 2
    assert SETUP[0].strip().endswith("kopal demo")
    assert SETUP[1].strip().endswith("pytest")
    assert "grep '^python3 -m venv' README.md" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_the_file_tree_names_every_room() -> None:
    tree = re.search(r"```text\n(.*?)```", README, re.DOTALL)
    assert tree is not None
    rooms = [path.name for path in (ROOT / "src" / "kopal").iterdir() if path.suffix == ".py" or path.is_dir()]
    for room in rooms:
        if room not in {"__pycache__", "__main__.py"}:
            assert re.search(rf"(^|\s){re.escape(room)}/?\s", tree.group(1)), f"{room} is not in the README's tree"


def test_links_and_pictures_are_there() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target
