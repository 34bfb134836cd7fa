"""Where kopal keeps what it can compute or fetch again."""

from __future__ import annotations

import os
import sys
from pathlib import Path

WEIGHTS = "weights"
"""The folder, inside the cache's, of weights that were fetched."""


def cache_folder() -> Path:
    """Where kopal keeps what it can compute again: $KOPAL_CACHE, else the system's place for caches."""
    if chosen := os.environ.get("KOPAL_CACHE"):
        return Path(chosen)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "kopal"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "kopal" / "Cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kopal"
