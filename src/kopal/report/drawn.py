"""The mark that every picture of kopal's bears, by which an earlier one is told from somebody's photo."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

METADATA: dict[str, dict[str, Any]] = {
    "svg": {"Date": None, "Creator": "kopal"},
    "pdf": {"CreationDate": None, "Creator": "kopal"},
    "png": {"Software": "kopal"},
}
"""What Matplotlib is to write beside a picture: who drew it, and no date, so that the same figure is the same file."""
TITLE = '<dc:title xmlns:dc="http://purl.org/dc/elements/1.1/">kopal</dc:title>'
"""The same for an SVG that is written without Matplotlib."""
MARKS = {".svg": b">kopal</dc:title>", ".pdf": b"/Creator (kopal)", ".png": b"tEXtSoftware\0kopal"}
NEAR = 1 << 16
"""Bytes at the start of a file, and at the end of it, among which the mark stands: in a PDF it comes last."""


def is_drawn(path: Path) -> bool:
    """Whether kopal drew the picture in a file, as far as its bytes tell; its name says as what to read it."""
    mark = MARKS.get(path.suffix.lower())
    if mark is None:
        return False
    try:
        with path.open("rb") as file:
            start = file.read(NEAR)
            file.seek(max(0, file.seek(0, os.SEEK_END) - NEAR))
            return mark in start or mark in file.read(NEAR)
    except OSError:
        return False
