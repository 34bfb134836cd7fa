"""Where an ensemble may be written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kopal.classifier import load
from kopal.errors import KopalError, OutputError, UsageError
from kopal.files import shown


def check_place(out: Path, models: Sequence[str]) -> None:
    """Raises where an ensemble may not be written: over anything but an earlier one, which is soon made again."""
    if out.suffix.lower() != ".onnx":
        raise UsageError(f"--out {shown(out)}", "a name that ends in .onnx", "--out ensemble.onnx")
    if out.is_dir():
        raise OutputError(f"{shown(out)} is a folder", "a new name", "choose another --out")
    if not out.parent.is_dir():
        raise OutputError(
            f"cannot write {shown(out)}: no such folder", "a name in a folder that exists", "make it first"
        )
    if not out.exists():
        return
    if any(Path(model).exists() and out.samefile(model) for model in models):
        raise OutputError(f"{shown(out)} is one of the models", "a new name", "choose another --out")
    try:
        earlier = "members" in load(out).card.provenance
    except KopalError:
        earlier = False
    if not earlier:
        raise OutputError(f"{shown(out)} is there and is no ensemble", "a new name", "choose another --out")
