"""The folders runs/<title>-<n>: where a run stands unless its owner says where."""

from __future__ import annotations

import glob
from pathlib import Path

from kopal.errors import OutputError
from kopal.files import ABANDONED, shown, sweep
from kopal.holding import words_in


def numbered(title: str) -> list[Path]:
    """The folders runs/<title>-<n>, in the order of n."""
    found = [
        folder for folder in Path("runs").glob(f"{glob.escape(title)}-*") if folder.name[len(title) + 1 :].isdecimal()
    ]
    return sorted(found, key=lambda folder: int(folder.name[len(title) + 1 :]))


def next_free(title: str) -> Path:
    """Makes the first of them that is not there. Raises `OutputError`."""
    for left in numbered(title):
        sweep(left, ABANDONED)
    number = 1
    check_runs()
    while True:
        folder = Path("runs") / f"{title}-{number}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            number += 1
        except OSError as error:
            raise OutputError(
                f"cannot make the folder {shown(folder)}: {(error.strerror or str(error)).lower()}",
                "a place that may be written to",
                "say where with --out",
            ) from error
        else:
            return folder


def check_runs() -> None:
    """Raises `OutputError` where there can be none."""
    if Path("runs").exists() and not Path("runs").is_dir():
        raise OutputError("`runs` is a file", "a folder for the runs", "rename it, or say --out")


def own_run(out: Path | None, title: str, launch: str) -> Path | None:
    """The folder that an earlier start of the same `launch` has left, or was killed in; None where there is none."""
    among = reversed(numbered(title)) if out is None else (out,)
    return next((folder for folder in among if set(words_in(folder).split()) & set(launch.split())), None)
