"""Where kopal keeps what it can compute or fetch again."""

from __future__ import annotations

import os
import sys
from pathlib import Path

WEIGHTS = "weights"
"""The folder, inside the cache's, of weights that were fetched."""
NOWHERE = Path(os.devnull, "no home folder")
"""In place of the cache's folder where there is none: nothing can be made there, and nothing found."""


def cache_folder() -> Path:
    """Where kopal keeps what it can compute again: $KOPAL_CACHE, else the system's place for caches.

    `NOWHERE` for a user without a home folder, as some containers have them.
    """
    if chosen := os.environ.get("KOPAL_CACHE"):
        return Path(chosen)
    try:
        return _usual()
    except RuntimeError:  # so Path.home() says that there is none
        return NOWHERE


def _usual() -> Path:
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "kopal"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "kopal" / "Cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kopal"
