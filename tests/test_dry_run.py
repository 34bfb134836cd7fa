"""A dry run leaves the cache as it is: byte for byte, at whatever limit, and where there is none."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from conftest import QUICK
from kopal import store
from kopal.errors import WeightsError
from kopal.fit import downloads
from kopal.pipeline import train
from kopal.store import Store

Kopal = Callable[..., tuple[int, str, str]]
ROW = {b"1" * 32: np.ones(5, np.float32)}


def as_it_is(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Everything below a folder: when it was changed, and what is in it."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, b"" if path.is_dir() else path.read_bytes())
        for path in sorted([folder, *folder.rglob("*")])
    }


@pytest.fixture(scope="module")
def filled(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache after a training; copy it, do not change it."""
    folder = tmp_path_factory.mktemp("filled")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KOPAL_CACHE", str(folder / "cache"))
        train(photos, folder / "run", QUICK)
    return folder / "cache"


@pytest.fixture
def used(filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """That cache, in use, some days old."""
    folder = Path(shutil.copytree(filled, tmp_path / "cache"))
    connection = sqlite3.connect(folder / store.FILE)
    with connection:
        connection.execute("UPDATE used SET at = at - 500000")
    connection.close()
    monkeypatch.setenv("KOPAL_CACHE", str(folder))
    return folder


@pytest.mark.parametrize("limit", ["", "1kB"])
@pytest.mark.parametrize("options", [(), ("--net", "linear"), ("--effort", "quick", "--json")])
def test_the_cache_is_the_same_before_and_after(
    kopal: Kopal, photos: Path, used: Path, monkeypatch: pytest.MonkeyPatch, limit: str, options: tuple[str, ...]
) -> None:
    monkeypatch.setenv("KOPAL_CACHE_MAX", limit)
    before = as_it_is(used)
    code, out, err = kopal("train", photos, "--dry-run", *options)
    assert code == 0, err
    assert as_it_is(used) == before
    if not options:
        assert "100% of a sample is already computed" in out


def test_a_store_that_is_opened_to_work_is_seen_to_change(used: Path) -> None:
    before = as_it_is(used)
    kept = Store(used, b"net")
    kept.put(ROW)
    kept.close()
    assert as_it_is(used) != before


def test_a_store_that_another_process_is_writing_to_stays_as_it_is(kopal: Kopal, photos: Path, used: Path) -> None:
    other = Store(used, b"another net")
    other.put(ROW)
    before = as_it_is(used)
    assert {path.rpartition("-")[2] for path in before} >= {"wal", "shm"}
    code, _, err = kopal("train", photos, "--dry-run")
    assert code == 0, err
    assert as_it_is(used) == before
    other.close()


@pytest.mark.parametrize("content", [None, b"", b"no database at all" * 100])
def test_where_there_is_no_store_none_is_made_and_what_is_damaged_stays(
    kopal: Kopal, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    monkeypatch.setenv("KOPAL_CACHE", str(tmp_path / "cache"))
    if content is not None:
        (tmp_path / "cache").mkdir()
        (tmp_path / "cache" / store.FILE).write_bytes(content)
    before = as_it_is(tmp_path)
    code, out, err = kopal("train", photos, "--dry-run")
    assert code == 0, err
    assert "already computed" not in out
    assert as_it_is(tmp_path) == before


def test_a_limit_that_is_no_size_is_told_as_the_training_would(
    kopal: Kopal, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOPAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KOPAL_CACHE_MAX", "much")
    code, _, err = kopal("train", photos, "--dry-run")
    assert code == 2
    assert "KOPAL_CACHE_MAX 'much' is no size" in err


def test_a_store_to_read_finds_rows_and_keeps_none(tmp_path: Path) -> None:
    kept = Store(tmp_path, b"net")
    kept.put(ROW)
    kept.close()
    before = as_it_is(tmp_path)
    reading = Store(tmp_path, b"net", read_only=True)
    assert list(reading.get(list(ROW))) == list(ROW)
    reading.put({b"2" * 32: np.ones(5, np.float32)})
    assert reading.get([b"2" * 32]) == {}
    reading.close()
    assert reading.fault == ""
    assert as_it_is(tmp_path) == before


def test_the_digest_of_fetched_weights_is_compared_and_not_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOPAL_CACHE", str(tmp_path))
    downloads.compare("a.pth", "1" * 64, "a.pth", lambda noun: None, keep=False)
    assert list(tmp_path.iterdir()) == []
    downloads.compare("a.pth", "1" * 64, "a.pth", lambda noun: None)
    assert json.loads((tmp_path / "weights" / downloads.DIGESTS).read_text()) == {"a.pth": "1" * 64}
    with pytest.raises(WeightsError, match="has sha256 2222"):
        downloads.compare("a.pth", "2" * 64, "a.pth", lambda noun: None, keep=False)
