"""The store gives back what was put in, or nothing: whatever happens to its file, the work goes on."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from kopal import store
from kopal.errors import OutputError
from kopal.store import Store

SOME = {bytes([number]) * 32: np.full(5, number, np.float32) for number in range(1, 9)}


def same(found: dict, wanted: dict) -> bool:
    return found.keys() == wanted.keys() and all(np.array_equal(found[key], wanted[key]) for key in wanted)


def meddle(folder: Path, command: str, *values: object) -> None:
    connection = sqlite3.connect(folder / store.FILE)
    with connection:
        connection.execute(command, values)
    connection.close()


def test_what_is_put_in_comes_out_also_in_another_process_and_time(tmp_path: Path) -> None:
    first = Store(tmp_path, b"net")
    assert first.get(list(SOME)) == {}
    first.put(SOME)
    assert same(first.get(list(SOME)), SOME)
    first.close()
    second = Store(tmp_path, b"net")
    assert same(second.get([*SOME, b"unknown"]), SOME)
    assert second.get([]) == {}
    assert second.fault == ""
    second.close()


def test_another_net_or_geometry_misses(tmp_path: Path) -> None:
    one, other = Store(tmp_path, b"net"), Store(tmp_path, b"other net")
    one.put(SOME)
    assert other.get(list(SOME)) == {}
    other.put({key: value + 1 for key, value in SOME.items()})
    assert same(one.get(list(SOME)), SOME)
    one.close()
    other.close()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE kept SET data = zeroblob(20)",
        "UPDATE kept SET data = substr(data, 1, 12)",
        "UPDATE kept SET data = CAST(x'80ff' AS TEXT)",
        "UPDATE kept SET data = 'text'",
        "UPDATE kept SET data = 7",
        "UPDATE kept SET checksum = zeroblob(8)",
        "UPDATE kept SET checksum = 'ž'",
        "UPDATE kept SET data = zeroblob(0)",
    ],
)
def test_a_damaged_row_is_a_miss_and_is_replaced(tmp_path: Path, damage: str) -> None:
    kept = Store(tmp_path, b"net")
    kept.put(SOME)
    hurt = next(iter(SOME))
    meddle(tmp_path, f"{damage} WHERE key = ?", kept._key(hurt))
    rest = {key: value for key, value in SOME.items() if key != hurt}
    assert same(kept.get(list(SOME)), rest)
    kept.put({hurt: SOME[hurt]})
    assert same(kept.get(list(SOME)), SOME)
    assert kept.fault == ""
    kept.close()


def test_a_row_under_another_photos_key_is_a_miss(tmp_path: Path) -> None:
    kept = Store(tmp_path, b"net")
    first, second = list(SOME)[:2]
    kept.put({first: SOME[first]})
    meddle(tmp_path, "UPDATE kept SET key = ?", kept._key(second))
    assert kept.get([first, second]) == {}
    kept.close()


@pytest.mark.parametrize(
    "rubbish", [b"not a database at all" * 100, b"\0" * 5000, b"SQLite format 3\0" + b"\xff" * 5000]
)
def test_a_file_that_is_no_store_is_a_fault_and_no_exception(tmp_path: Path, rubbish: bytes) -> None:
    (tmp_path / store.FILE).write_bytes(rubbish)
    broken = Store(tmp_path, b"net")
    broken.put(SOME)
    assert broken.get(list(SOME)) == {}
    assert "kopal cache --clear" in broken.fault
    assert store.usage(tmp_path)[0] == 0
    broken.close()
    assert store.clear(tmp_path) == len(rubbish)
    fresh = Store(tmp_path, b"net")
    fresh.put(SOME)
    assert same(fresh.get(list(SOME)), SOME)
    fresh.close()


def test_pages_damaged_in_the_middle_never_give_wrong_features(tmp_path: Path) -> None:
    many = {number.to_bytes(32, "big"): np.arange(200, dtype=np.float32) + number for number in range(200)}
    kept = Store(tmp_path / "a", b"net")
    kept.put(many)
    kept.close()
    whole = (tmp_path / "a" / store.FILE).read_bytes()
    dice = np.random.default_rng(0)
    for _ in range(30):
        damaged = np.frombuffer(whole, np.uint8).copy()
        damaged[dice.integers(100, len(damaged), 50)] ^= 0x55
        shutil.rmtree(tmp_path / "a")
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / store.FILE).write_bytes(damaged.tobytes())
        hurt = Store(tmp_path / "a", b"net")
        found = hurt.get(list(many))
        assert all(np.array_equal(value, many[key]) for key, value in found.items())
        hurt.put(dict(list(many.items())[:5]))
        hurt.close()


def test_a_folder_that_cannot_be_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / "a\0b"):
        nowhere = Store(folder, b"net")
        nowhere.put(SOME)
        assert nowhere.get(list(SOME)) == {}
        assert nowhere.fault
    (tmp_path / "taken" / store.FILE).mkdir(parents=True)
    assert Store(tmp_path / "taken", b"net").fault


@pytest.mark.parametrize("limit", ["PRAGMA query_only = ON", "PRAGMA max_page_count = 1"])
def test_a_store_that_may_not_grow_is_a_fault_when_it_is_written_to(tmp_path: Path, limit: str) -> None:
    full = Store(tmp_path, b"net")
    full.put(SOME)
    assert full._connection is not None
    full._connection.execute(limit)
    large = {bytes([9]) * 32: np.zeros(100_000, np.float32)}
    full.put(large)
    assert full.fault.startswith("the cache is not added to: ")
    assert same(full.get([*SOME, *large]), SOME)
    full.close()
    again = Store(tmp_path, b"net")
    assert same(again.get([*SOME, *large]), SOME)
    again.close()


def test_clearing_deletes_the_stores_own_files_and_no_other(tmp_path: Path) -> None:
    kept = Store(tmp_path, b"net")
    kept.put(SOME)
    (tmp_path / "mine.txt").write_text("mine")
    rows, size = store.usage(tmp_path)
    assert rows == len(SOME)
    assert size == sum(path.stat().st_size for path in tmp_path.iterdir()) - 4
    kept.close()
    assert store.clear(tmp_path) > 0
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    assert store.usage(tmp_path) == (0, 0)
    assert store.clear(tmp_path) == 0
    assert store.clear(tmp_path / "nowhere") == 0


def test_what_cannot_be_cleared_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / store.FILE).touch()

    def fail(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", fail)
    with pytest.raises(OutputError, match="Permission denied"):
        store.clear(tmp_path)


def test_the_environment_moves_the_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KOPAL_CACHE", str(tmp_path))
    assert store.cache_folder() == tmp_path
    monkeypatch.delenv("KOPAL_CACHE")
    assert "kopal" in str(store.cache_folder()).lower()


def test_threads_share_one_store(tmp_path: Path) -> None:
    from kopal.parallel import ordered

    shared = Store(tmp_path, b"net")

    def work(number: int) -> bool:
        row = {number.to_bytes(32, "big"): np.full(9, number, np.float32)}
        shared.put(row)
        return same(shared.get(list(row)), row)

    assert all(ordered(work, range(200), workers=4))
    shared.close()


def test_the_closed_store_finds_and_keeps_nothing(tmp_path: Path) -> None:
    closed = Store(tmp_path, b"net")
    closed.close()
    closed.close()
    closed.put(SOME)
    assert closed.get(list(SOME)) == {}
    assert closed.fault == ""
