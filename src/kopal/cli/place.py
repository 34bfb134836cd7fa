"""Where a command may write: to a new name, or over an earlier file of its own kind, which is soon made again.

Whatever else is there stays: a photo, a table or an archive above all, and what its owner has edited. Every command
asks here before its work begins.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from kopal.errors import KopalError, OutputError, UsageError
from kopal.files import shown

AUDIT_JSON = re.compile(rb'\{\n  "photos": \d+,\n  "counts": \{')
START = 200
"""Bytes at the start of a file that tell what it is."""


def check_picture_place(out: Path, option: str, reads: Sequence[str] = (), formats: Sequence[str] = ()) -> str:
    """The format of a picture; raises where it may not be drawn, or not in that format."""
    from kopal.report.drawn import is_drawn
    from kopal.report.formats import FORMATS, picture_kind

    kind = picture_kind(out, formats or FORMATS)
    _check(out, option, "picture that kopal drew", is_drawn, reads)
    return kind


def check_answers_place(out: Path, reads: Sequence[str]) -> None:
    """Raises where a table of answers may not be written."""
    from kopal.cli.answers import COLUMNS

    _check(out, "--csv", "table of answers", lambda path: _header(path) == ",".join(COLUMNS), reads)


def check_place(out: Path, models: Sequence[str]) -> None:
    """Raises where an ensemble may not be written: over anything but an earlier one."""
    if _is_one_of(out, models):
        raise OutputError(f"{shown(out)} is one of the models", "a new name", "choose another --out")
    _check_name(out, "ensemble.onnx", (".onnx",))
    _check(out, "--out", "ensemble", _is_ensemble)


def check_features_place(out: Path, reads: Sequence[str]) -> None:
    """Raises where features may not be written, or not in that format."""
    from kopal.feature_table import KINDS, is_feature_table, table_format

    _check_name(out, "features.npz", KINDS)
    _check(out, "--out", "file of features", is_feature_table, reads)
    table_format(out)


def check_page_place(out: Path, command: str, reads: Sequence[str]) -> None:
    """Raises where a command's page may not be written."""
    _check_name(out, f"{command}.html", (".html", ".htm"))
    _check(out, "--out", f"page of kopal {command}", lambda path: _is_page(path, command), reads)


def check_report_place(page: Path) -> None:
    """Raises where a run's page may not be written again."""
    if page.is_file() and not _is_page(page, "report"):
        raise OutputError(f"{shown(page)} is there and is no page of kopal report", "kopal's own", "move it away")


def check_audit_place(out: Path, reads: Sequence[str]) -> None:
    """Raises where an audit may not be written, or not in that format; a list that was edited is its owner's."""
    from kopal.review import decisions

    _check_name(out, "audit.html", (".html", ".json", ".csv"))
    _check(out, "--out", "audit", _is_audit, reads)
    if out.suffix.lower() == ".csv" and out.is_file() and (edited := decisions(out)):
        raise OutputError(
            f"{shown(out)} was edited: {edited} of its rows say something else than keep",
            "a new name, so that what was decided stays",
            "choose another --out, or delete it",
        )


def _check_name(out: Path, example: str, kinds: Sequence[str]) -> None:
    if out.suffix.lower() not in kinds:
        raise UsageError(f"--out {shown(out)}", f"a name that ends in {', '.join(kinds)}", f"--out {example}")


def _check(out: Path, option: str, what: str, is_earlier: Callable[[Path], bool], reads: Sequence[str] = ()) -> None:
    """Raises where a file would have no folder, or would replace another one than `is_earlier` knows, or an input.

    A device or a pipe cannot be replaced, and is not looked into.
    """
    if os.path.isdir(out):
        raise OutputError(f"{shown(out)} is a folder", "a new name", f"choose another {option}")
    if not os.path.isdir(out.parent):
        raise OutputError(
            f"cannot write {shown(out)}: no such folder", "a name in a folder that exists", "make it first"
        )
    if os.path.isfile(out) and not is_earlier(out):
        raise OutputError(f"{shown(out)} is there and is no {what}", "a new name", f"choose another {option}")
    if _is_one_of(out, reads):
        raise OutputError(f"{shown(out)} is what is to be read", "a new name", f"choose another {option}")


def _is_one_of(out: Path, reads: Sequence[str]) -> bool:
    return os.path.isfile(out) and any(os.path.exists(each) and os.path.samefile(out, each) for each in reads)


def _is_ensemble(path: Path) -> bool:
    from kopal.classifier import load

    try:
        return "members" in load(path).card.provenance
    except KopalError:
        return False


def _is_audit(path: Path) -> bool:
    from kopal.review import COLUMNS

    match path.suffix.lower():
        case ".csv":
            # A spreadsheet may have written semicolons and quotes.
            return [name.strip('"') for name in re.split("[,;\t]", _header(path))] == list(COLUMNS)
        case ".json":
            return AUDIT_JSON.match(_start(path)) is not None
        case _:
            return _is_page(path, "audit")


def _is_page(path: Path, command: str) -> bool:
    from kopal.report.web_page import generator

    return generator(command).encode() in _start(path)


def _header(path: Path) -> str:
    """The first line of a table."""
    return _start(path).decode("utf-8-sig", "replace").partition("\n")[0].strip()


def _start(path: Path) -> bytes:
    """The first bytes of a file, none where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(START)
    except OSError:
        return b""
