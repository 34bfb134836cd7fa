"""The list of files that could not be read: each with its path, class, content's digest and the reason."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from kopal.datasets import Dataset
from kopal.errors import UnreadableImage


@dataclass(frozen=True)
class LedgerRow:
    """A file that is left out, and why. `sha256` is empty where not even the bytes could be had."""

    path: str
    class_name: str
    sha256: str
    kind: str
    reason: str


def ledger_row(dataset: Dataset, index: int, data: bytes, error: UnreadableImage) -> LedgerRow:
    """The row for a photo of a set that raised `error`; `data` is what could be read of it."""
    digest = hashlib.sha256(data).hexdigest() if data or error.kind == "empty" else ""
    if error.kind == "too-large" and not data:
        digest = _digest_of_file(dataset.names[index])
    return LedgerRow(dataset.names[index], dataset.classes[dataset.labels[index]], digest, error.kind, error.happened)


def _digest_of_file(path: str) -> str:
    """A file too large to hold is still identified, a block at a time."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
