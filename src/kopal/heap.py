"""The C library's heap: what a training step frees is kept for the next one."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of mallopt(3)."""
LARGEST_KEPT = 1 << 30
"""Bytes of a block above which the system is asked for it and given it back, as glibc does by itself above 32 MB."""
FREE_KEPT = (1 << 31) - 1
"""Bytes at the top of the heap that may lie unused; the most that mallopt takes."""


def keep_heap() -> None:
    """Let the C library keep memory that a training step frees, for the next step, which wants the same again.

    glibc returns large blocks to the system as soon as they are free, and has every page faulted in anew: it can cost
    as much as the step itself (benchmarks/engine.py: 1.5 ms against 0.9), and a third of a step of a large net
    (docs/measurements.md). It holds until the process ends. Elsewhere than with glibc this does nothing.
    """
    with _glibc() as library:
        library.mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT)
        library.mallopt(M_TRIM_THRESHOLD, FREE_KEPT)


def give_back() -> None:
    """Return to the system what was kept and is free, once no step follows."""
    with _glibc() as library:
        library.malloc_trim(0)


@contextmanager
def _glibc() -> Iterator[Any]:
    """The C library, if it has what glibc has; else the block ends where it asks for that."""
    with suppress(AttributeError, OSError):
        yield ctypes.CDLL(None) if sys.platform == "linux" else None
