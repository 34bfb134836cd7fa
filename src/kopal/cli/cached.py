"""What `cache` does and tells: what is kept, whether it is sound, less of it, nothing of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kopal import store
from kopal.errors import UsageError
from kopal.files import shown


def cared_for(action: str | None, most: str | None, clear: bool) -> dict[str, Any]:
    """Do it → what is told of it, as --json has it. Raises `UsageError` and `OutputError`."""
    if action not in (None, "verify", "prune"):
        raise UsageError(f"kopal cache {shown(action)}", "verify, prune, or neither", "kopal cache --help")
    if clear and action:
        raise UsageError(f"--clear together with {action}", "one of the two")
    if most is not None and action != "prune":
        raise UsageError("--max without prune", "how large to prune it to", f"kopal cache prune --max {shown(most)}")
    folder = store.cache_folder()
    if folder == store.NOWHERE:
        raise UsageError("no cache is kept: there is no home folder", "a place for it", "set KOPAL_CACHE to a folder")
    told: dict[str, Any] = {"folder": str(folder)}
    if clear:
        return told | {"freed": store.clear(folder), "weights": _weights(folder)}
    if action == "verify":
        checked = store.verify(folder)
        return told | {"checked": checked.rows, "damaged": checked.damaged}
    limit = store.limit() if most is None else store.size_of(most, "--max")
    if action == "prune":
        pruned = store.prune(folder, limit)
        return told | {"removed": pruned.removed, "freed": pruned.freed, "bytes": pruned.left}
    rows, size = store.usage(folder)
    return told | {"rows": rows, "bytes": size, "limit": limit, "weights": _weights(folder)}


def lines(told: dict[str, Any]) -> Iterator[str]:
    """The same for eyes."""
    folder = Path(told["folder"])
    if "checked" in told:
        found = f"{told['damaged']} damaged, deleted, to be computed again" if told["damaged"] else "all sound"
        yield f"{shown(folder)}: checked {told['checked']} rows, {found}"
    elif "removed" in told:
        freed, left = _size(told["freed"]), _size(told["bytes"])
        yield f"{shown(folder)}: {told['removed']} rows deleted, {freed} freed, {left} left"
    elif "freed" in told:
        yield f"freed {_size(told['freed'])} in {shown(folder)}"
        if told["weights"]:
            yield f"fetched weights stay: {_size(told['weights'])} in {shown(folder / store.WEIGHTS)}"
    else:
        size = f"{_size(told['bytes'])} of at most {_size(told['limit'])}"
        yield f"{shown(folder)}: {told['rows']} rows (features, pixels, looks), {size}"
        if told["weights"]:
            yield f"{shown(folder / store.WEIGHTS)}: fetched weights, {_size(told['weights'])}"


def _size(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def _weights(folder: Path) -> int:
    """Bytes of the weights that were fetched."""
    try:
        return sum(path.stat().st_size for path in (folder / store.WEIGHTS).iterdir() if path.is_file())
    except OSError:
        return 0
