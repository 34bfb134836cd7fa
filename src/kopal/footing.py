"""What a ladder stands on: its photos and how they were read, kept in its folder, so that no table mixes two of them.

ladder.json    the set's fingerprint, how it was read, the seed, and the seconds that each rung was given
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import compress
from pathlib import Path
from typing import Any

from kopal.datasets import Dataset
from kopal.errors import OutputError
from kopal.files import shown, write_json
from kopal.fingerprints import fingerprint_of
from kopal.repeat import how_read
from kopal.report.page import whereabouts

FILE = "ladder.json"
ANOTHER = "choose another --out"


@dataclass(frozen=True)
class Footing:
    """Where the photos are, how they are read, the seed that deals them, how many there are, and their fingerprint."""

    path: str | None
    labels_from: str | None
    group: str | None
    review: str | None
    seed: int
    photos: int
    photos_sha256: str


def footing(dataset: Dataset, digests: Sequence[bytes | None], seed: int) -> Footing:
    """The footing of a set in its parts; `digests` are its photos' sha256, None for those that cannot be read."""
    readable = [digest is not None for digest in digests]
    content = fingerprint_of(
        (digest for digest in digests if digest is not None),
        (dataset.classes[label] for label in compress(dataset.labels, readable)),
        compress(dataset.parts, readable),
    )
    where = whereabouts(dataset.origin).get("path")
    return Footing(where, **how_read(dataset), seed=seed, photos=len(dataset), photos_sha256=content)


def stand(folder: Path, own: Footing, rungs: Sequence[Path]) -> dict[str, float]:
    """Make the folder of a ladder, or find it → the seconds that its rungs were given before.

    Raises `OutputError` where it cannot be made, or where its `rungs` stand on something else, naming the difference.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        text = (folder / FILE).read_text(encoding="utf-8") if (folder / FILE).exists() else ""
    except OSError as error:
        raise OutputError(
            f"cannot make the folder {shown(folder)}: {(error.strerror or str(error)).lower()}",
            "a place that may be written to",
            ANOTHER,
        ) from error
    except UnicodeDecodeError as error:
        raise _damaged(folder) from error
    if not text:
        if any(rung.exists() for rung in rungs):
            raise OutputError(
                f"{shown(folder)} holds rungs, and no {FILE} that says of which photos", "a ladder's folder", ANOTHER
            )
        keep(folder, own, {})
        return {}
    then, budgets = _read(text, folder)
    if differences := _differences(then, asdict(own)):
        raise OutputError(
            f"the rungs in {shown(folder)} were climbed otherwise: {'; '.join(differences)}",
            "the same photos, read in the same way, and the same seed",
            ANOTHER,
        )
    return budgets


def keep(folder: Path, own: Footing, budgets: Mapping[str, float]) -> None:
    """Write down what the rungs stand on, and the seconds that each was given. Raises `OutputError`."""
    write_json(folder / FILE, {**asdict(own), "budgets": dict(budgets)})


def _read(text: str, folder: Path) -> tuple[dict[str, Any], dict[str, float]]:
    try:
        then = json.loads(text)
        return then, {str(name): float(seconds) for name, seconds in then.pop("budgets").items()}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise _damaged(folder) from error


def _damaged(folder: Path) -> OutputError:
    return OutputError(f"{shown(folder / FILE)} is damaged", "as kopal ladder wrote it", ANOTHER)


def _differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs, in words; that the photos do only where nothing else explains it."""
    found = [name for name in now if then.get(name) != now[name]]
    if found == ["photos_sha256"]:
        return ["the photos, or their classes or parts, have changed"]
    words = {"path": "photos of", "photos": "photos:"}
    return [
        f"{words.get(name) or '--' + name.replace('_', '-')} {_word(then.get(name))} then, {_word(now[name])} now"
        for name in found
        if name != "photos_sha256"
    ]


def _word(value: Any) -> str:
    return "none" if value is None else shown(str(value))
