"""Where a command may write: to a new name, or over an earlier file of its own kind, which is soon made again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from kopal.errors import KopalError, OutputError, UsageError
from kopal.files import shown


def check_place(out: Path, models: Sequence[str]) -> None:
    """Raises where an ensemble may not be written: over anything but an earlier one."""
    if out.is_file() and any(Path(model).exists() and out.samefile(model) for model in models):
        raise OutputError(f"{shown(out)} is one of the models", "a new name", "choose another --out")
    _check(out, "ensemble.onnx", "ensemble", _is_ensemble)


def check_features_place(out: Path) -> None:
    """Raises where features may not be written, or not in that format."""
    from kopal.feature_table import KINDS, is_feature_table, table_format

    _check(out, "features.npz", "file of features", is_feature_table, KINDS)
    table_format(out)


def check_page_place(out: Path, command: str) -> None:
    """Raises where a command's page may not be written."""
    kinds = (".html", ".htm")
    _check(out, f"{command}.html", f"page of kopal {command}", lambda path: _is_page(path, command), kinds)


def check_audit_place(out: Path) -> None:
    """Raises where an audit may not be written, or not in that format."""
    _check(out, "audit.html", "audit", _is_audit, (".html", ".json", ".csv"))


def _check(
    out: Path, example: str, what: str, is_earlier: Callable[[Path], bool], kinds: Sequence[str] = (".onnx",)
) -> None:
    if out.suffix.lower() not in kinds:
        raise UsageError(f"--out {shown(out)}", f"a name that ends in {', '.join(kinds)}", f"--out {example}")
    if out.is_dir():
        raise OutputError(f"{shown(out)} is a folder", "a new name", "choose another --out")
    if not out.parent.is_dir():
        raise OutputError(
            f"cannot write {shown(out)}: no such folder", "a name in a folder that exists", "make it first"
        )
    if out.exists() and not is_earlier(out):
        raise OutputError(f"{shown(out)} is there and is no {what}", "a new name", "choose another --out")


def _is_ensemble(path: Path) -> bool:
    from kopal.classifier import load

    try:
        return "members" in load(path).card.provenance
    except KopalError:
        return False


def _is_audit(path: Path) -> bool:
    from kopal.report.web_page import generator
    from kopal.review import COLUMNS

    starts = {".html": generator("audit"), ".json": '{\n  "photos": ', ".csv": ",".join(COLUMNS)}
    try:
        with path.open("rb") as file:
            return starts[path.suffix.lower()].encode() in file.read(200)
    except OSError:
        return False


def _is_page(path: Path, command: str) -> bool:
    from kopal.report.web_page import generator

    try:
        with path.open("rb") as file:
            return generator(command).encode() in file.read(200)
    except OSError:
        return False
