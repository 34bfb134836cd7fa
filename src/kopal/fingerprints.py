"""One digest for a whole set of labelled photos, by content."""

from __future__ import annotations

import hashlib

from kopal.datasets import Labelled


def fingerprint(photos: Labelled) -> str:
    """sha256 over the content, class and part of every photo, whatever the files are called and in whatever order."""
    rows = sorted(
        digest + photos.classes[label].encode("utf-8", "backslashreplace") + b"\0" + str(part).encode()
        for digest, label, part in zip(photos.digests, photos.labels, photos.parts, strict=True)
    )
    return hashlib.sha256(b"".join(rows)).hexdigest()
