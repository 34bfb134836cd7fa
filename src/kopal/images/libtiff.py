"""libtiff's tongue. It tells what it thinks of a damaged file on the standard error stream, past Python and Pillow.

Its handler of errors is one for the whole process, and a null one is silence. Pillow has no way to set it; the library
that Pillow has loaded is asked by name. Where it is not found so (Windows, some builds), it goes on talking.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from PIL import _imaging

_lock = threading.Lock()
_silent: list[Any] = []
"""For each decoding that goes on, what it found as the handler: the first one's is the one to put back."""


@contextmanager
def muted() -> Iterator[None]:
    """Silence while any thread is inside; the former handler is back when the last one has left."""
    set_handler = _setter()
    if set_handler is None:
        yield
        return
    with _lock:
        _silent.append(set_handler(None))
    try:
        yield
    finally:
        with _lock:
            former = _silent.pop()
            if not _silent:
                set_handler(former)


@cache
def _setter() -> Callable[[Any], Any] | None:
    """TIFFSetErrorHandler, handler → the former handler, or None where it cannot be found."""
    try:
        # A library's handle also finds the names of those that it depends on.
        setter = ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler
    except (OSError, AttributeError, TypeError):
        return None
    setter.argtypes, setter.restype = [ctypes.c_void_p], ctypes.c_void_p
    return setter
