"""Text and JSON to standard output, aligned by terminal cells."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from rich.cells import cell_len

from kopal.files import shown


def say(text: str, file: IO[str] | None = None) -> None:
    """One line, or a few, as they are."""
    print(text, file=file or sys.stdout, flush=True)


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
    left = max(cell_len(name) for name, _ in pairs)
    right = max(len(number) for _, number in pairs)
    per_line = max(1, (width + 3) // (left + right + 4))
    cells = [f"{pad(name, left)} {number:>{right}}" for name, number in pairs]
    return ["   ".join(cells[at : at + per_line]) for at in range(0, len(cells), per_line)]


def seconds(value: float) -> str:
    """1 s, 45 s, 3 min, 2.5 h."""
    if value < 90:
        return f"{max(1, round(value))} s"
    return f"{round(value / 60)} min" if value < 5400 else f"{value / 3600:.1f} h"


def this_command() -> str:
    """How the user can type kopal again: by name if the shell finds it, else as it was typed."""
    typed = sys.argv[0]
    return "kopal" if shutil.which("kopal") or typed.endswith("__main__.py") else shown(typed)


__all__ = ["as_json", "columns", "free_name", "pad", "quoted", "say", "say_json", "seconds", "shown", "this_command"]
