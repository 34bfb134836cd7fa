"""Text and JSON to standard output, aligned by terminal cells. Only a terminal wraps, so only there room is short."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap
from typing import IO, Any

from rich.cells import cell_len, set_cell_size

from kopal import files
from kopal.cli.typography import as_printed


def say(text: str, file: IO[str] | None = None) -> None:
    """One line, or a few, as they are."""
    print(text, file=file or sys.stdout, flush=True)


def shown(path: str | os.PathLike[str]) -> str:
    """A name as printable text, in the letters that standard output has."""
    return as_printed(files.shown(path))


def room(file: IO[str] | None = None) -> int | None:
    """The columns of the terminal that is written to; None where it is a file or a pipe."""
    return shutil.get_terminal_size().columns if (file or sys.stdout).isatty() else None


def paragraph(text: str, indent: int = 0, file: IO[str] | None = None) -> str:
    """A sentence or two, broken between words where a terminal is too narrow, further lines indented."""
    width = room(file)
    if width is None or cell_len(text) <= width:
        return text
    start = text[: len(text) - len(text.lstrip())]
    return "\n".join(
        wrap(
            text.lstrip(),
            max(width, 40),
            initial_indent=start,
            subsequent_indent=" " * (indent or len(start)),
            break_long_words=False,
            break_on_hyphens=False,
        )
    )


def cut(text: str, width: int | None) -> str:
    """A name in a table, shortened to so many cells where need be."""
    if width is None or cell_len(text) <= width:
        return text
    return set_cell_size(text, max(width, 2) - 1).rstrip() + as_printed("…")


def say_json(value: Any) -> None:
    """JSON for scripts: UTF-8 where standard output is, else all ASCII."""
    say(as_json(value, indent=2))


def as_json(value: Any, indent: int | None = None) -> str:
    """JSON that survives the encoding of standard output; the escape of a file name's odd byte is JSON's too."""
    utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    return json.dumps(value, ensure_ascii=not utf8, indent=indent)


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
