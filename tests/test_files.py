"""A file is written whole or not at all, and says what it holds whatever the names in it are made of."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import sys
from pathlib import Path

import pytest

from kopal import files
from kopal.errors import OutputError

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="names and devices of POSIX systems")


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("fault", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_fault_in_the_middle_leaves_what_stood_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, fault: BaseException
) -> None:
    path = tmp_path / "report.json"
    files.write_bytes(path, b"old")

    def fail(*arguments: object) -> None:
        raise fault

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OutputError if isinstance(fault, OSError) else KeyboardInterrupt):
        files.write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_fault_leaves_nothing_where_nothing_stood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(errno.EIO, "Input/output error")))
    with pytest.raises(OutputError, match="input/output error"):
        files.write_text(tmp_path / "a.txt", "text")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / ("ž" * 100 + ".txt")
    for text in ("long " * 1000, "short"):
        files.write_text(path, text)
        assert path.read_text("utf-8") == text
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["no/such/folder/a.txt", ".", "a\0b", "x" * 300])
def test_a_place_that_cannot_be_written_is_an_error_in_three_parts(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError) as caught:
        files.write_bytes(tmp_path / name, b"")
    assert caught.value.happened.startswith("cannot write")
    assert caught.value.expected
    assert caught.value.fix
    assert list(tmp_path.iterdir()) == []


def test_an_empty_path_is_an_error() -> None:
    with pytest.raises(OutputError):
        files.write_bytes(Path(), b"")


@POSIX
def test_a_full_device_is_an_error_and_stays_a_device() -> None:
    full = Path("/dev/full")
    if not full.is_char_device():
        pytest.skip("this system has no /dev/full")
    with pytest.raises(OutputError, match="no space"):
        files.write_bytes(full, b"data")
    assert full.is_char_device()


@POSIX
def test_a_device_is_written_to_and_never_replaced(tmp_path: Path) -> None:
    link = tmp_path / "out.csv"
    link.symlink_to(os.devnull)
    files.write_bytes(link, b"data")
    assert Path(os.devnull).is_char_device()
    assert link.is_symlink()


@POSIX
def test_a_link_stays_a_link_and_its_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    target, link = tmp_path / "there" / "real.txt", tmp_path / "link.txt"
    target.write_text("old")
    link.symlink_to(target)
    files.write_text(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"


@POSIX
def test_names_that_are_no_text_are_written_to_and_about(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"fo\xffto \xe9.json")
    files.write_json(path, {"path": str(path.name), "class": "kočka"})
    assert json.loads(path.read_text("utf-8")) == {"path": path.name, "class": "kočka"}
    assert "kočka" in path.read_text("utf-8")


@pytest.mark.parametrize(
    "name", ['say "meow"', "a,b", "two\nlines", "old\rmac", "both\r\n", " space ", "kočka 🐈", "'", ""]
)
def test_any_name_comes_back_from_csv(tmp_path: Path, name: str) -> None:
    files.write_csv(tmp_path / "a.csv", ["path", "n"], [[name, 1], ["plain", 2.5]])
    text = (tmp_path / "a.csv").read_bytes().decode("utf-8")
    assert list(csv.reader(io.StringIO(text, newline=""))) == [["path", "n"], [name, "1"], ["plain", "2.5"]]
    assert text.startswith("path,n\n")
    assert text.endswith("plain,2.5\n")


def test_shown_paths_never_hold_what_a_terminal_obeys() -> None:
    assert files.shown("kočka 'x' \"y\" 🐈.jpg") == "kočka 'x' \"y\" 🐈.jpg"
    assert files.shown("a\x1b[31mb\n\t\x7f\u202e") == "a\\x1b[31mb\\n\\t\\x7f\\u202e"
    assert files.shown("fo\udcffto") == "fo\\udcffto"
    assert files.shown(Path("a") / "b") == str(Path("a") / "b")
    assert files.shown("\udcff\x00\u2028").isprintable()
