"""How large the store may grow: $KOPAL_CACHE_MAX, and sizes as people write them."""

from __future__ import annotations

import os
import re

from kopal.errors import UsageError

VARIABLE = "KOPAL_CACHE_MAX"
DEFAULT = 10_000_000_000

_SIZE = re.compile(r"\s*(\d{1,15}(?:\.\d{1,9})?)\s*(?:([kmgt])(i?))?b?\s*", re.IGNORECASE | re.ASCII)


def limit() -> int:
    """The bytes that the store may take on disk. Raises `UsageError` where the environment says no size."""
    chosen = os.environ.get(VARIABLE)
    return size_of(chosen, VARIABLE) if chosen else DEFAULT


def size_of(text: str, name: str) -> int:
    """500MB, 2 GB, 1.5GiB or plain bytes → bytes. Raises `UsageError`, which says what `name` was given."""
    found = _SIZE.fullmatch(text)
    if found is None:
        raise UsageError(f"{name} {text!r} is no size", "bytes, or a number with kB, MB, GB or TB", f"{name} 2GB")
    number, unit, binary = found.groups()
    power = " kmgt".index((unit or " ").lower())
    return int(float(number) * (1024 if binary else 1000) ** power)
