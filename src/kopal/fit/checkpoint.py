"""A training on disk: what it takes to go on after Ctrl-C, a crash or kill -9, as if nothing had been.

    checkpoint/last.safetensors     the learner's state; in the header, as JSON, the place in the training
    checkpoint/best-7.safetensors   the weights of the best epoch, here the seventh

Each file is whole or not there. The best is written before the last that names it, and an older best goes after: at
every moment the last checkpoint and the best that it names are both there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from kopal.errors import CheckpointError
from kopal.files import shown, write_bytes
from kopal.fit.loop import Epoch, Place

Arrays = Mapping[str, NDArray[Any]]
LAST, ENTRY, FORMAT = "last.safetensors", "kopal.checkpoint", 1


@dataclass(frozen=True)
class Saved:
    """A training as it was left: its place, its learner's state, the best weights so far, what it had measured."""

    place: Place
    state: Arrays
    best: Arrays
    found: Mapping[str, Any]


@final
class Checkpoints:
    """The checkpoint of one training, in a folder. `identity`, recipe and data, must be equal for it to go on."""

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        self._folder = folder
        self._identity = identity

    def write(self, place: Place, state: Arrays, best: Arrays, found: Mapping[str, Any]) -> None:
        """Replace the checkpoint. Raises `OutputError`, and leaves the one before as it was."""
        number = max((epoch.number for epoch in place.history if epoch.best), default=0)
        self._folder.mkdir(parents=True, exist_ok=True)
        own = self._best_file(number)
        if number and not own.exists():
            write_bytes(own, save(dict(best)))
        header = {
            "format": FORMAT,
            "identity": self._identity,
            "place": asdict(place),
            "best": number,
            "found": dict(found),
        }
        write_bytes(self._folder / LAST, save(dict(state), {ENTRY: json.dumps(header)}))
        for file in self._folder.iterdir():
            if file not in (own, self._folder / LAST):
                file.unlink(missing_ok=True)

    def read(self) -> bytes:
        """Both files as one value, empty where there is no checkpoint; for `unpacked`, here or in another process."""
        last = _content(self._folder / LAST)
        if not last:
            return b""
        number = int(_header(last, self._folder)["best"])
        best = _content(self._best_file(number)) if number else b""
        return len(last).to_bytes(8, "little") + last + best

    def unpacked(self, data: bytes) -> Saved | None:
        """The training in such a value. Raises `CheckpointError` where it is another one, naming the difference."""
        if not data:
            return None
        size = int.from_bytes(data[:8], "little")
        last, best = data[8 : 8 + size], data[8 + size :]
        header = _header(last, self._folder)
        self._check(header["identity"])
        place = header["place"]
        history = tuple(Epoch(**epoch) for epoch in place.pop("history"))
        return Saved(
            Place(history=history, **place),
            _arrays(last, self._folder),
            _arrays(best, self._folder) if best else {},
            header["found"],
        )

    def _best_file(self, number: int) -> Path:
        return self._folder / f"best-{number}.safetensors"

    def _check(self, then: Mapping[str, Any]) -> None:
        # What is compared has been through JSON on one side only.
        now = json.loads(json.dumps(self._identity))
        differences = [
            f"{name} {then.get(name, 'unsaid')!r} then, {now.get(name, 'unsaid')!r} now"
            for name in sorted({*then, *now})
            if then.get(name) != now.get(name)
        ]
        if differences:
            raise CheckpointError(
                f"the checkpoint in {shown(self._folder)} is of another training: {'; '.join(differences[:5])}",
                "the same recipe and the same photos",
                "repeat the command as it was, or start anew with another --out",
            )


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return b""


def _header(data: bytes, folder: Path) -> dict[str, Any]:
    try:
        size = int.from_bytes(data[:8], "little")
        header = json.loads(json.loads(data[8 : 8 + size])["__metadata__"][ENTRY])
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(folder) from error
    if header.get("format") != FORMAT:
        raise CheckpointError(
            f"the checkpoint in {shown(folder)} has format {header.get('format')}",
            f"format {FORMAT}",
            "go on with the kopal that wrote it, or start anew with another --out",
        )
    return dict(header)


def _arrays(data: bytes, folder: Path) -> dict[str, NDArray[Any]]:
    try:
        return {name: np.array(array) for name, array in load(data).items()}
    except SafetensorError as error:
        raise _damaged(folder) from error


def _damaged(folder: Path) -> CheckpointError:
    return CheckpointError(
        f"the checkpoint in {shown(folder)} is damaged", "the files that kopal wrote", "start anew with another --out"
    )
