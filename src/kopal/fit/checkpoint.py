"""A training on disk: what it takes to go on after Ctrl-C, a crash or kill -9, as if nothing had been.

    checkpoint/last.safetensors     the learner's state; in the header, as JSON, the place in the training
    checkpoint/best-7.safetensors   the weights of the best epoch, here the seventh

Each file is whole or not there. The best is written before the last that names it, and an older best goes after: at
every moment the last checkpoint and the best that it names are both there. Both carry a digest of all that they hold.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from kopal.errors import CheckpointError, OutputError
from kopal.files import shown, write_bytes
from kopal.fit.loop import Epoch, Place

Arrays = Mapping[str, NDArray[Any]]
LAST, ENTRY, DIGEST, FORMAT = "last.safetensors", "kopal.checkpoint", "kopal.sha256", 1


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
        # The best that stands in the folder, if it is of this very training and not of an earlier try.
        self._best: tuple[int, str] = (0, "")

    def write(self, place: Place, state: Arrays, best: Arrays, found: Mapping[str, Any]) -> None:
        """Replace the checkpoint. Raises `OutputError`, and leaves the one before as it was."""
        number = max((epoch.number for epoch in place.history if epoch.best), default=0)
        own = self._best_file(number)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if number and number != self._best[0]:
                digest = _digest(best, "")
                write_bytes(own, save(dict(best), {DIGEST: digest}))
                self._best = number, digest
            header = json.dumps(
                {
                    "format": FORMAT,
                    "identity": self._identity,
                    "place": asdict(place),
                    "best": self._best if number else (0, ""),
                    "found": dict(found),
                }
            )
            write_bytes(self._folder / LAST, save(dict(state), {ENTRY: header, DIGEST: _digest(state, header)}))
            for file in self._folder.iterdir():
                if file not in (own, self._folder / LAST):
                    file.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(
                f"cannot write {shown(self._folder)}: {(error.strerror or str(error)).lower()}",
                "a folder that may be written to",
                "free some space or choose another --out",
            ) from error

    def read(self) -> bytes:
        """Both files as one value, empty where there is no checkpoint; for `unpacked`, here or in another process."""
        if not (self._folder / LAST).exists():
            return b""
        last = _content(self._folder / LAST)
        number = _header(last, self._folder)["best"][0]
        best = _content(self._best_file(number)) if number else b""
        return len(last).to_bytes(8, "little") + last + best

    def unpacked(self, data: bytes) -> Saved | None:
        """The training in such a value. Raises `CheckpointError` where it is another one, naming the difference."""
        if not data:
            return None
        size = int.from_bytes(data[:8], "little")
        last, best = data[8 : 8 + size], data[8 + size :]
        header = _header(last, self._folder)
        state, _ = _arrays(last, self._folder)
        self._check(header["identity"])
        number, digest = header["best"]
        weights, own = _arrays(best, self._folder) if number else ({}, digest)
        if own != digest:
            raise _damaged(self._folder)
        self._best = number, digest
        place = header["place"]
        history = tuple(Epoch(**epoch) for epoch in place.pop("history"))
        return Saved(Place(history=history, **place), state, weights, header["found"])

    def _best_file(self, number: int) -> Path:
        return self._folder / f"best-{number}.safetensors"

    def _check(self, then: Mapping[str, Any]) -> None:
        # What is compared has been through JSON on one side only.
        now = json.loads(json.dumps(self._identity))
        differences = [
            _difference(name, then.get(name), now.get(name))
            for name in sorted({*then, *now})
            if then.get(name) != now.get(name)
        ]
        if differences:
            raise CheckpointError(
                f"the checkpoint in {shown(self._folder)} is of another training: {'; '.join(differences[:5])}",
                "the same recipe and the same photos",
                "repeat the command as it was, or start anew with another --out",
            )


def _difference(name: str, then: Any, now: Any) -> str:
    if name == "photos":
        return "the photos, or their names or parts, have changed"
    if name == "module":
        then, now = (f"sha256 {digest[:12]}" if digest else "none" for digest in (then, now))
        return f"the file that makes the net has changed: {then} then, {now} now"
    if isinstance(then, list) and isinstance(now, list):
        # Of a thousand classes the few that differ say more than two lists.
        own = [
            ", ".join(item for item in one if item not in other) or "none" for one, other in ((then, now), (now, then))
        ]
        return f"{name} only then: {own[0]}; only now: {own[1]}"
    return f"{name} {then!r} then, {now!r} now"


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise CheckpointError(
            f"cannot read {shown(file)}: {(error.strerror or str(error)).lower()}",
            "a checkpoint that may be read",
            "make it readable, or start anew with another --out",
        ) from error


def _digest(arrays: Arrays, header: str) -> str:
    """sha256 of a header and of arrays with their names, kinds and shapes."""
    digest = hashlib.sha256(header.encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"\0{name} {array.dtype.str} {array.shape}\0".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _metadata(data: bytes) -> dict[str, str]:
    size = int.from_bytes(data[:8], "little")
    return dict(json.loads(data[8 : 8 + size])["__metadata__"])


def _header(data: bytes, folder: Path) -> dict[str, Any]:
    try:
        header = dict(json.loads(_metadata(data)[ENTRY]))
        if header["format"] == FORMAT:
            return header | {"best": (int(header["best"][0]), str(header["best"][1]))}
    except (ValueError, KeyError, IndexError, TypeError, RecursionError) as error:
        raise _damaged(folder) from error
    raise CheckpointError(
        f"the checkpoint in {shown(folder)} has format {header['format']}",
        f"format {FORMAT}",
        "go on with the kopal that wrote it, or start anew with another --out",
    )


def _arrays(data: bytes, folder: Path) -> tuple[dict[str, NDArray[Any]], str]:
    """The arrays of a file and its digest, once that is found to be right."""
    try:
        arrays = {name: np.array(array) for name, array in load(data).items()}
        metadata = _metadata(data)
        if _digest(arrays, metadata.get(ENTRY, "")) == metadata[DIGEST]:
            return arrays, metadata[DIGEST]
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise _damaged(folder) from error
    raise _damaged(folder)


def _damaged(folder: Path) -> CheckpointError:
    return CheckpointError(
        f"the checkpoint in {shown(folder)} is damaged, or not one of kopal's",
        "the files that kopal wrote",
        "start anew with another --out",
    )
