"""Writing files so that a reader never sees half of one: temporary name, fsync, rename."""

from __future__ import annotations

import csv
import io
import json
import os
import secrets
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from kopal.errors import OutputError

HALF = ".kopal.part"
"""How the name ends of a file that is being written."""
BEGUN = f".run{HALF}"
"""Stands in a run's folder while its files are written, and stays if the process is killed: they are half of a run."""
ABANDONED = 3600.0
"""Seconds after which nobody writes to such a file any more: what is left was left by a process that was killed."""


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file or leave what stood there. Raises `OutputError` (no space, no permission, no folder).

    A link stays a link: the file it leads to is replaced. A device or a pipe cannot be replaced and is written to.
    """
    with writing(path) as file:
        file.write(data)


@contextmanager
def writing(path: Path) -> Iterator[IO[bytes]]:
    """A file to be written piece by piece, with what `write_bytes` promises: it is there once the block has ended."""
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            with open(path, "wb") as device:
                yield device
        else:
            with _replacing(Path(os.path.realpath(path))) as file:
                yield file
    except (OSError, ValueError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        raise OutputError(
            f"cannot write {shown(path)}: {reason.lower()}",
            "a folder that exists, may be written to and has space left",
            "free some space or choose another place",
        ) from error


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    temporary = path.with_name(f".{path.name[:40]}.{secrets.token_hex(4)}{HALF}")
    sweep(path.parent, ABANDONED)
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):  # what went wrong is told already
            temporary.unlink(missing_ok=True)
        raise
    _settle(path.parent)


def _settle(folder: Path) -> None:
    """Let the new name survive a power cut, where the system can say so of a folder; the file itself is there."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sweep(folder: Path, age: float = 0.0, ending: str = HALF) -> None:
    """Delete what processes that were killed had begun to write in a folder, if it is older than `age` seconds.

    Who asks for an age is not the owner of the folder, and leaves the mark of a half-written run: without it the files
    that it stands for would be taken for somebody's.
    """
    with suppress(OSError, ValueError):
        with os.scandir(folder) as entries:
            left = [entry for entry in entries if entry.name.endswith(ending) and not (age and entry.name == BEGUN)]
        for entry in left:
            if not age or time.time() - entry.stat(follow_symlinks=False).st_mtime >= age:
                os.unlink(entry.path)


def abandoned(path: Path) -> bool:
    """Whether a file that stands for unfinished work is there, and so old that nobody works on it any more."""
    with suppress(OSError, ValueError):
        return time.time() - path.stat().st_mtime >= ABANDONED
    return False


def write_text(path: Path, text: str) -> None:
    """UTF-8; in file names that are no text the odd bytes stay visible as escapes."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_json(path: Path, value: Any) -> None:
    """Indented UTF-8 JSON. The escape that `write_text` gives an odd byte is also JSON's."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Comma-separated UTF-8 with a header line."""
    write_text(path, "".join(_csv_line(row) for row in (header, *rows)))


def _csv_line(row: Sequence[object]) -> str:
    # The module quotes a carriage return only where it ends the lines too.
    line = io.StringIO(newline="")
    csv.writer(line, lineterminator="\r\n").writerow(row)
    return line.getvalue().removesuffix("\r\n") + "\n"


def some(names: Sequence[str], most: int = 10) -> str:
    """Names for one line: the first of them, printable, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(shown, names[:most])) + more


def shown(path: str | os.PathLike[str]) -> str:
    """A path as printable text: bytes that are not UTF-8 and control characters become escapes."""
    text = os.fspath(path).encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)
