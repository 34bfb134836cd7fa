"""docs/lecture.md is run: every command prints what the page says, every symbol is where the page says.

`python tests/test_lecture.py` runs the commands and writes what they print into the page.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from itertools import zip_longest
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "lecture.md"
BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)
NUMBER = re.compile(r"\d+\.\d+|\d+")
SYMBOL = re.compile(r"`(src/[\w/.]+\.py):(\w+)`")


def shell(folder: Path) -> Callable[[str], str]:
    """A way to run one command in a folder that has this Python as `python` and this kopal as `kopal`."""
    shim = folder / "bin"
    shim.mkdir()
    (folder / "docs").symlink_to(ROOT / "docs", target_is_directory=True)
    for name, target in (("kopal", f'"{sys.executable}" -m kopal'), ("python", f'"{sys.executable}"')):
        (shim / name).write_text(f'#!/bin/sh\nexec {target} "$@"\n')
        (shim / name).chmod(0o755)
    environment = {**os.environ, "PATH": f"{shim}{os.pathsep}{os.environ['PATH']}", "PYTHONUTF8": "1"}

    def run(command: str) -> str:
        done = subprocess.run(
            ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    return run


def commands(block: str) -> list[tuple[str, str]]:
    """A console block → (command, what it prints)."""
    found: list[tuple[str, str]] = []
    for line in block.splitlines(keepends=True):
        if line.startswith("$ "):
            found.append((line[2:].strip(), ""))
        else:
            command, printed = found[-1]
            found[-1] = command, printed + line
    return found


def matches(expected: str, found: str) -> bool:
    """Equal, but for the numbers of a line that tells accuracy or probabilities: those may differ by 0.05."""
    pairs = list(zip_longest(expected.splitlines(), found.splitlines(), fillvalue=""))
    told = "accuracy", "one.png"
    return all(line == other or (line.startswith(told) and close(line, other)) for line, other in pairs)


def close(line: str, other: str) -> bool:
    numbers = [[float(number) for number in NUMBER.findall(text)] for text in (line, other)]
    same_words = NUMBER.sub("", line) == NUMBER.sub("", other)
    return same_words and all(abs(first - second) <= 0.05 for first, second in zip(*numbers, strict=True))


@pytest.mark.skipif(shutil.which("bash") is None, reason="the page's commands are written for bash")
def test_every_command_prints_what_the_page_says(tmp_path: Path) -> None:
    run = shell(tmp_path)
    ran = 0
    for block in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        for command, expected in commands(block):
            found = run(command)
            assert matches(expected, found), f"$ {command}\nthe page says\n{expected}\nit printed\n{found}"
            ran += 1
    assert ran >= 25


def test_every_symbol_is_where_the_page_says() -> None:
    symbols = SYMBOL.findall(PAGE.read_text(encoding="utf-8"))
    assert len(symbols) >= 25
    for file, symbol in symbols:
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        names = {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
        assert symbol in names, f"{file} has no {symbol}"


def test_all_25_rows_are_there_in_order() -> None:
    rows = re.findall(r"^## (\d+) · ", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == [str(number) for number in range(1, 26)]


def test_the_comparison_can_fail() -> None:
    assert matches("accuracy 0.93 (n = 9)\n", "accuracy 0.95 (n = 9)\n")
    assert not matches("accuracy 0.93 (n = 9)\n", "accuracy 0.83 (n = 9)\n")
    assert not matches("accuracy 0.93 (n = 9)\n", "accuracy 0.93 (n = 8)\n")
    assert not matches("0.93\n", "0.94\n")
    assert not matches("a\n", "a\nb\n")


def write_page() -> None:
    """Run every command and put its output into the page; then look at the difference before committing it."""
    with tempfile.TemporaryDirectory() as folder:
        run = shell(Path(folder))
        text = PAGE.read_text(encoding="utf-8")
        page = BLOCK.sub(
            lambda block: (
                "```console\n" + "".join(f"$ {command}\n{run(command)}" for command, _ in commands(block[1])) + "```"
            ),
            text,
        )
        PAGE.write_text(page, encoding="utf-8")
        for picture in ("descent.svg", "contours.svg", "templates.png", "garment.svg", "nets.png", "lr.png"):
            shutil.copy(Path(folder) / picture, ROOT / "docs" / picture)


if __name__ == "__main__":
    write_page()
