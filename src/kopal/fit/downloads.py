"""Weights that are fetched once: where they lie, what they must hash to, and what to do where they are not there.

The full sha256 is written down when a file is first used, and compared ever after.
"""

from __future__ import annotations

import hashlib
import json
from importlib import import_module
from pathlib import Path
from urllib.error import URLError

from kopal.backends.torch_module import require_torch
from kopal.backends.weights_file import read_file
from kopal.errors import OutputError, UsageError, WeightsError, WeightsMissing
from kopal.files import ABANDONED, shown, sweep, write_json
from kopal.log import Log, Note
from kopal.nets.torchvision_weights import DOWNLOADABLE, Downloadable
from kopal.store import WEIGHTS, cache_folder

DIGESTS = "sha256.json"
PARTIAL = ".partial"
"""How PyTorch's downloader ends the name of what it has begun to fetch."""


def weights_folder() -> Path:
    """Where fetched weights lie."""
    return cache_folder() / WEIGHTS


def nets_at_hand() -> frozenset[str]:
    """The nets whose downloadable weights are in the folder already."""
    return frozenset(name for name, entry in DOWNLOADABLE.items() if (weights_folder() / entry.file).is_file())


def published_file(net: str, entry: Downloadable, download: bool, log: Log, keep: bool = True) -> tuple[bytes, str]:
    """A published weights file: its bytes and sha256, from the folder, or fetched where `download` allows it.

    With `keep` the sha256 of a file seen for the first time is written down.
    Raises `WeightsError` that says what to do: where it is not there, cannot be fetched, or is not what was published.
    """
    path = weights_folder() / entry.file
    if not path.is_file():
        if not download:
            raise WeightsMissing(
                f"the published weights of {net} are not on this machine",
                f"{entry.file} in {shown(path.parent)}",
                f"add --download to fetch its {entry.megabytes:.0f} MB once; {by_hand(entry.url, path.parent)}",
            )
        log(Note(f"fetching {entry.url}, {entry.megabytes:.0f} MB"))
        fetch(entry.url, path, entry.hash_prefix)
    data = read_file(path)
    sha256 = hashlib.sha256(data).hexdigest()
    if not sha256.startswith(entry.hash_prefix):
        raise WeightsError(
            f"{shown(path)} has sha256 {sha256}",
            f"{entry.hash_prefix}…, as published",
            "delete that file, and add --download to fetch it again",
        )
    compare(entry.file, sha256, shown(path), log, keep)
    return data, sha256


def by_hand(url: str, folder: Path) -> str:
    """What else to do, in words, where this machine may not or cannot fetch."""
    return f"or get {url} on another machine and put it into {shown(folder)}, or say --weights FILE"


def fetch(url: str, path: Path, hash_prefix: str | None) -> None:
    """Fetch a file with PyTorch's downloader, whole or not at all, checked against the start of its sha256."""
    otherwise = by_hand(url, path.parent)
    try:
        require_torch()
    except UsageError as error:
        raise WeightsError(
            "torch is not installed",
            "the package torch, which fetches weights",
            f"pip install 'kopal[torch]'; {otherwise}",
        ) from error
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent, ABANDONED, PARTIAL)
        import_module("torch.hub").download_url_to_file(url, str(path), hash_prefix, progress=False)
    except RuntimeError as error:
        raise WeightsError(
            f"what came from {url} is not what was published: {error}",
            f"a sha256 that begins with {hash_prefix}",
            f"try again later; {otherwise}",
        ) from error
    except (URLError, OSError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        raise WeightsError(
            f"cannot fetch {url}: {reason}",
            "a connection to that address, and room on the disk",
            f"try again; {otherwise}",
        ) from error


def compare(name: str, sha256: str, place: str, log: Log, keep: bool = True) -> None:
    """With `keep` write down the sha256 of a file that is new; raises `WeightsError` where it was another before."""
    record = weights_folder() / DIGESTS
    try:
        known = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    known = known if isinstance(known, dict) else {}
    if name not in known and not keep:
        return
    if name not in known:
        try:
            record.parent.mkdir(parents=True, exist_ok=True)
            write_json(record, {**known, name: sha256})
        except (OSError, OutputError) as error:
            reason = error.happened if isinstance(error, OutputError) else error.strerror or error
            log(Note(f"the weights' sha256 cannot be written down: {reason}"))
    elif known[name] != sha256:
        raise WeightsError(
            f"{place} has sha256 {sha256}",
            f"{known[name]}, as when it was first used",
            f"delete that file, and add --download; if the new one is right, take its line out of {shown(record)}",
        )
