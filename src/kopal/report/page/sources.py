"""Where the photos of a finished run are, if they still are there."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from kopal.datasets import NAMED, FolderSource, Source, open_dataset
from kopal.errors import KopalError
from kopal.files import shown


@dataclass(frozen=True)
class Moved:
    """A source whose names began otherwise when the run was made: in another folder, or seen from another one."""

    source: Source
    then: str
    now: str

    def read(self, name: str) -> bytes:
        """The photo's bytes. Raises `UnreadableImage`."""
        return self.source.read(self.now + name[len(self.then) :] if name.startswith(self.then) else name)


def photos_of(run: Path, data: str | None = None) -> tuple[Source | None, str]:
    """The source of a run's photos: `data`, or what it was trained on; and why there is none.

    Raises `KopalError` for `data` that cannot be opened.
    """
    try:
        then = json.loads((run / "report.json").read_bytes())["data"]
        typed, path = str(then["typed"]), str(then["path"])
    except (OSError, ValueError, LookupError, TypeError):
        typed = path = ""
    if data is not None:
        return Moved(_source(data), typed, str(Path(data))), ""
    if not path:
        return None, "no pictures: the run does not say where its photos were; --data PHOTOS does"
    try:
        return Moved(_source(path), typed, path), ""
    except KopalError:
        return None, f"no pictures: the photos are no longer at {shown(path)}; --data PHOTOS says where they are"


def _source(data: str) -> Source:
    # Of a folder the labels do not matter here, wherever they stood.
    return FolderSource() if os.path.isdir(data) else open_dataset(data).source


def whereabouts(origin: str) -> dict[str, str]:
    """What a run keeps of where its photos were; nothing for a set that was made in memory."""
    if not origin:
        return {}
    return {"typed": origin, "path": origin if origin in NAMED else str(Path(origin).resolve())}
