"""Predictions as lines, JSON or a table, while they arrive. Imports nothing that only training needs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from kopal.cli.output import as_json
from kopal.errors import UsageError
from kopal.files import shown, write_csv
from kopal.model_file import UNKNOWN
from kopal.prediction import Prediction
from kopal.trust.promise import UNSURE

COLUMNS = ("path", "rank", "label", "probability", "unreadable", "answer", "unknown", "unknown_score")


def check_some_exist(arguments: Sequence[str]) -> None:
    """Raises `UsageError` where nothing that was named is there; one missing photo among others is a row."""
    if not any(argument == "-" or os.path.lexists(argument) for argument in arguments):
        raise UsageError(
            f"no such file or folder: {', '.join(map(shown, arguments[:5]))}",
            "photos, or folders of photos",
            "check the spelling and the folder you are in",
        )


def show(predictions: Iterable[Prediction], top: int, json: bool, csv: Path | None, quiet: bool = False) -> int:
    """Print each prediction as it comes; 0, or 1 if a photo could not be read. Raises `UsageError` for no photos."""
    kept: list[tuple[object, ...]] = []
    seen = bad = 0
    for prediction in predictions:
        _print_json(prediction, first=seen == 0) if json else _print(prediction, top)
        seen += 1
        bad += bool(prediction.unreadable)
        if csv is not None:
            kept.extend(_rows(prediction))
    if not seen:
        raise UsageError("no photos to predict", "photos, or folders of photos")
    if json:
        _say("\n]\n")
    if csv is not None:
        write_csv(csv, COLUMNS, kept)
    if bad and not json and not quiet:
        print(f"{bad} of {seen} files could not be read", file=sys.stderr)  # noqa: T201
    return 1 if bad else 0


def _print(prediction: Prediction, top: int) -> None:
    if prediction.unreadable:
        _say(f"{shown(prediction.path)}\tunreadable\t{shown(prediction.unreadable)}\n")
        return
    # A short list is the answer, unless so many were asked for or it is none.
    rows = prediction.top[:top] if top > 1 or prediction.unsure else prediction.candidates or prediction.top[:top]
    ranked = "\t".join(f"{shown(label)}\t{probability:.3f}" for label, probability in rows)
    # The nearest names follow all the same: they say what it was taken for.
    mark = f"{UNKNOWN}\t" if prediction.unknown else f"{UNSURE}\t" if prediction.unsure else ""
    _say(f"{shown(prediction.path)}\t{mark}{ranked}\n")


def _print_json(prediction: Prediction, first: bool) -> None:
    answer = {"unreadable": prediction.unreadable} if prediction.unreadable else prediction.as_json()
    _say(("[\n  " if first else ",\n  ") + as_json({"path": prediction.path} | answer))


def _rows(prediction: Prediction) -> Iterator[tuple[object, ...]]:
    if prediction.unreadable:
        yield prediction.path, "", "", "", prediction.unreadable, "", "", ""
    score = prediction.unknown_score
    told = ("", "") if score is None else ("yes" if prediction.unknown else "no", f"{score:.4f}")
    for rank, (label, probability) in enumerate(prediction.top, start=1):
        yield prediction.path, rank, label, f"{probability:.6f}", "", prediction.said, *told


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
