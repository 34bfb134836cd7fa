"""Text and JSON to standard output, aligned by terminal cells. Only a terminal wraps, so only there room is short.

Whatever is printed passes here, and no control character but the end of a line comes through: a terminal obeys them.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from rich.cells import cell_len, set_cell_size

from kopal import files
from kopal.cli.folding import fold
from kopal.cli.typography import as_printed

_UNUSUAL = re.compile(r"[^\n -~]")
"""All but the end of a line and what ASCII can print."""


def say(text: str, file: IO[str] | None = None) -> None:
    """One line, or a few, for eyes; a terminal that is too narrow gets them folded."""
    lines = map(files.shown, text.split("\n"))
    say_whole("\n".join(paragraph(line, _indent(line) + 2, file) for line in lines), file)


def say_whole(text: str, file: IO[str] | None = None) -> None:
    """Lines that are never folded, as they are read by machines or copied."""
    print("\n".join(map(files.shown, text.split("\n"))), file=file or sys.stdout, flush=True)


def shown(path: str | os.PathLike[str]) -> str:
    """A name as printable text, in the letters that standard output has."""
    return as_printed(files.shown(path))


def room(file: IO[str] | None = None) -> int | None:
    """The columns of the terminal that is written to; None where it is a file or a pipe."""
    stream = file or sys.stdout
    if not stream.isatty():
        return None
    size = os.terminal_size((80, 24))
    with suppress(OSError, ValueError):  # such as where standard output is no terminal, but standard error is
        size = os.get_terminal_size(stream.fileno())
    return shutil.get_terminal_size(size).columns


def paragraph(text: str, indent: int = 0, file: IO[str] | None = None) -> str:
    """A sentence or two, folded where a terminal is too narrow, further lines indented."""
    width = room(file)
    if width is None:
        return text
    lines = text.split("\n")
    return "\n".join(part for line in lines for part in fold(line, max(width, 40), indent or _indent(line)))


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def cut(text: str, width: int | None) -> str:
    """A name in a table, shortened to so many cells where need be."""
    if width is None or cell_len(text) <= width:
        return text
    return set_cell_size(text, max(width, 2) - 1).rstrip() + as_printed("…")


def say_json(value: Any) -> None:
    """JSON for scripts: UTF-8 where standard output is, else all ASCII."""
    say_whole(as_json(value, indent=2))


def as_json(value: Any, indent: int | None = None) -> str:
    """JSON that survives the encoding of standard output; control characters and odd bytes of names are escaped.

    JSON itself lets some of them be, such as U+009B, which a terminal takes for the beginning of a command.
    """
    utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    text = json.dumps(value, ensure_ascii=not utf8, indent=indent)
    return _UNUSUAL.sub(lambda found: _in_json(found[0]), text)


def _in_json(letter: str) -> str:
    if letter == "\x7f":  # the one that JSON's own escapes leave out
        return "\\u007f"
    return letter if letter.isprintable() else json.dumps(letter)[1:-1]


def free_name(name: str) -> Path:
    """The name, or the first of name-2, name-3 … that nothing has yet: an unasked file replaces no other."""
    path, number = Path(name), 1
    while path.exists():
        number += 1
        path = Path(name).with_stem(f"{Path(name).stem}-{number}")
    return path


def quoted(path: Path) -> str:
    """A path as a shell would take it."""
    return shlex.quote(shown(path))


def pad(text: str, width: int) -> str:
    """Text filled up with spaces to `width` terminal cells."""
    return text + " " * (width - cell_len(text))


def columns(pairs: Sequence[tuple[str, str]], width: int | None = None) -> list[str]:
    """(name, number) pairs side by side in as many aligned columns as fit."""
    width = (width or min(shutil.get_terminal_size().columns, 100)) - 2
    right = max(len(number) for _, number in pairs)
    longest = width - right - 1 if room() else None
    pairs = [(cut(name, longest), number) for name, number in pairs]
    left = max(cell_len(name) for name, _ in pairs)
    per_line = max(1, (width + 3) // (left + right + 4))
    cells = [f"{pad(name, left)} {number:>{right}}" for name, number in pairs]
    return ["   ".join(cells[at : at + per_line]) for at in range(0, len(cells), per_line)]


def seconds(value: float) -> str:
    """1 s, 45 s, 3 min, 2.5 h."""
    if value < 90:
        return f"{max(1, round(value))} s"
    return f"{round(value / 60)} min" if value < 5400 else f"{value / 3600:.1f} h"


def counted(number: int, noun: str) -> str:
    """1 file, 2 files, 3 classes."""
    return f"{number} {noun if number == 1 else f'{noun}es' if noun.endswith('s') else f'{noun}s'}"


def this_command() -> str:
    """How the user can type kopal again: by name if the shell finds it, else as it was typed."""
    typed = sys.argv[0]
    return "kopal" if shutil.which("kopal") or typed.endswith("__main__.py") else shown(typed)
