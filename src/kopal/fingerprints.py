"""One digest for a whole set of labelled photos, by content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from kopal.datasets import Labelled


def fingerprint(photos: Labelled) -> str:
    """sha256 over the content, class and part of every photo, whatever the files are called and in whatever order."""
    names = (photos.classes[label] for label in photos.labels)
    return fingerprint_of(photos.digests, names, map(str, photos.parts))


def fingerprint_of(digests: Iterable[bytes], classes: Iterable[str], parts: Iterable[str]) -> str:
    """The same of photos that have not been decoded: the digest, the class's name and the part of each."""
    rows = sorted(
        digest + name.encode("utf-8", "backslashreplace") + b"\0" + part.encode()
        for digest, name, part in zip(digests, classes, parts, strict=True)
    )
    return hashlib.sha256(b"".join(rows)).hexdigest()
