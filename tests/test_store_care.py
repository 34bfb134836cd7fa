"""The store keeps to its limit, notices damage, and begins anew where another version has been."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from conftest import QUICK
from kopal import store
from kopal.errors import OutputError, UsageError
from kopal.log import Note
from kopal.pipeline import train
from kopal.store import Store, layout, rows

Kopal = Callable[..., tuple[int, str, str]]


def some(first: int, count: int, size: int = 1280) -> dict[bytes, np.ndarray]:
    """Rows of which no two have a stretch in common."""
    return {
        number.to_bytes(32, "big"): np.random.default_rng(number).standard_normal(size).astype(np.float32)
        for number in range(first, first + count)
    }


def session(folder: Path, wanted: dict[bytes, np.ndarray], keep: bool = True) -> set[bytes]:
    """What a training does: look up batch by batch, keep what was missing → what was found. Every row is right."""
    opened, hits = Store(folder, b"net"), set()
    digests = list(wanted)
    for at in range(0, len(digests), 8):
        batch = digests[at : at + 8]
        found = opened.get(batch)
        assert all(np.array_equal(found[key], wanted[key]) for key in found)
        hits |= set(found)
        if keep:
            opened.put({key: wanted[key] for key in batch if key not in found})
    opened.close()
    assert opened.fault == ""
    return hits


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Every call lets an hour pass."""
    now = [1_700_000_000.0]
    monkeypatch.setattr(rows.time, "time", lambda: now[0])

    def pass_an_hour() -> None:
        now[0] += 3600

    return pass_an_hour


@pytest.mark.parametrize(
    ("text", "size"),
    [
        *[("0", 0), ("1000000", 10**6), ("1000000 B", 10**6), ("500MB", 5 * 10**8), ("2GB", 2 * 10**9)],
        *[("2g", 2 * 10**9), ("1.5 GB", 15 * 10**8), ("1TB", 10**12), ("64kB", 64_000), ("1MiB", 1 << 20)],
    ],
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert store.size_of(text, "--max") == size


@pytest.mark.parametrize("text", ["much", "", "-1", "2 XB", "1e9", "GB", "1,5GB", "nan", "9" * 40, "٣GB", "5iB"])
def test_what_is_no_size_is_an_error_that_names_it(
    text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kopal: Kopal, photos: Path
) -> None:
    with pytest.raises(UsageError, match="--max"):
        store.size_of(text, "--max")
    if text:
        monkeypatch.setenv("KOPAL_CACHE_MAX", text)
        with pytest.raises(UsageError, match="KOPAL_CACHE_MAX"):
            Store(tmp_path, b"net")
        assert list(tmp_path.iterdir()) == []
        code, _, err = kopal("cache")
        assert code == 2
        assert err.startswith("error: KOPAL_CACHE_MAX ")


def test_a_training_with_a_limit_that_is_none_ends_before_it_begins(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kopal: Kopal, photos: Path
) -> None:
    monkeypatch.setenv("KOPAL_CACHE_MAX", "much")
    code, _, err = kopal("train", photos, "--out", tmp_path / "out")
    assert code == 2
    assert err.count("error:") == 1
    assert not (tmp_path / "out").exists()


def test_what_was_of_no_use_for_the_longest_time_goes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Callable[[], None]
) -> None:
    monkeypatch.setenv("KOPAL_CACHE_MAX", "900kB")
    first, second, third = some(0, 64), some(100, 64), some(200, 64)
    for wanted in (first, second):
        session(tmp_path, wanted)
        clock()
    assert session(tmp_path, first) == set(first)
    clock()
    session(tmp_path, third)
    assert store.usage(tmp_path)[1] <= 900_000
    clock()
    assert session(tmp_path, third, keep=False) == set(third)
    assert session(tmp_path, first, keep=False) == set(first)
    assert len(session(tmp_path, second, keep=False)) < 40


def test_a_set_larger_than_the_limit_does_not_push_itself_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Callable[[], None]
) -> None:
    monkeypatch.setenv("KOPAL_CACHE_MAX", "600kB")
    wanted = some(0, 200)
    session(tmp_path, wanted)
    found = []
    for _ in range(3):
        clock()
        found.append(session(tmp_path, wanted))
        assert store.usage(tmp_path)[1] <= 600_000
    assert len(found[0]) > 60
    assert found[0] <= found[1] <= found[2]


def test_reading_writes_nothing_until_the_end(tmp_path: Path, clock: Callable[[], None]) -> None:
    wanted = some(0, 64)
    session(tmp_path, wanted)
    clock()
    reader = Store(tmp_path, b"net")
    assert reader._connection is not None
    for _ in range(3):
        assert len(reader.get(list(wanted))) == 64
    assert reader._connection.total_changes == 0
    reader.close()
    with sqlite3.connect(tmp_path / store.FILE) as connection:
        assert connection.execute("SELECT min(at), max(at), count(*) FROM used").fetchone() == (
            1_700_003_600,
            1_700_003_600,
            64,
        )
    connection.close()


def test_so_many_rows_that_their_use_is_noted_on_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Callable[[], None]
) -> None:
    monkeypatch.setattr(rows, "NOTED", 20)
    session(tmp_path, some(0, 64))
    clock()
    reader = Store(tmp_path, b"net")
    for key in some(0, 64):
        reader.get([key])
    assert reader._connection is not None
    assert reader._connection.total_changes == 60
    reader.close()


def test_a_question_for_very_many_rows_is_answered(tmp_path: Path) -> None:
    wanted = some(0, 3000, 4)
    kept = Store(tmp_path, b"net")
    kept.put(wanted)
    found = kept.get(list(wanted))
    assert len(found) == 3000
    assert all(np.array_equal(found[key], wanted[key]) for key in wanted)
    kept.close()


def test_a_lower_limit_gives_the_disk_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session(tmp_path, some(0, 400))
    assert store.usage(tmp_path)[1] > 2_000_000
    monkeypatch.setenv("KOPAL_CACHE_MAX", "1MB")
    session(tmp_path, some(1000, 1))
    assert store.usage(tmp_path)[1] <= 1_000_000


def test_prune_makes_the_file_as_small_as_was_asked(
    tmp_path: Path, kopal: Kopal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOPAL_CACHE", str(tmp_path))
    wanted = some(0, 200)
    session(tmp_path, wanted)
    code, out, _ = kopal("cache", "prune", "--max", "500kB", "--json")
    told = json.loads(out)
    assert code == 0
    assert told["bytes"] == store.usage(tmp_path)[1] <= 500_000
    assert told["removed"] == 200 - store.usage(tmp_path)[0] > 100
    assert len(session(tmp_path, wanted, keep=False)) == 200 - told["removed"]
    assert "0 rows deleted" in kopal("cache", "prune")[1]
    kopal("cache", "prune", "--max", "0")
    assert store.usage(tmp_path)[0] == 0
    assert store.usage(tmp_path)[1] < 200_000
    session(tmp_path, wanted)
    assert session(tmp_path, wanted) == set(wanted)


def test_pruning_and_checking_what_is_not_there_is_nothing_to_do(tmp_path: Path) -> None:
    assert store.prune(tmp_path / "none", 0) == store.Pruned(0, 0, 0)
    assert store.verify(tmp_path / "none") == store.Verified(0, 0)
    assert list(tmp_path.iterdir()) == []


def damage(folder: Path, wanted: dict[bytes, np.ndarray], dice: np.random.Generator) -> int:
    """Flip one bit in the numbers of each row, where they lie in the file → how many rows that were."""
    content = bytearray((folder / store.FILE).read_bytes())
    hurt = 0
    for row in wanted.values():
        data = row.tobytes()
        byte, bit = int(dice.integers(len(data))), 1 << int(dice.integers(8))
        at = content.find(data)
        hurt += at >= 0
        while at >= 0:  # a row that was moved has left a copy where it was
            content[at + byte] ^= bit
            at = content.find(data, at)
    (folder / store.FILE).write_bytes(content)
    return hurt


def test_of_a_thousand_damaged_rows_a_thousand_are_noticed(
    tmp_path: Path, kopal: Kopal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOPAL_CACHE", str(tmp_path))
    hurt, well = some(0, 1000, 100), some(5000, 200, 100)
    session(tmp_path, {**hurt, **well})
    assert damage(tmp_path, hurt, np.random.default_rng(0)) == 1000
    assert session(tmp_path, hurt, keep=False) == set()
    assert session(tmp_path, well, keep=False) == set(well)
    code, out, _ = kopal("cache", "verify")
    assert code == 1
    assert "checked 1200 rows, 1000 damaged" in out
    code, out, _ = kopal("cache", "verify", "--json")
    assert (code, json.loads(out)["checked"], json.loads(out)["damaged"]) == (0, 200, 0)
    assert session(tmp_path, well) == set(well)
    session(tmp_path, hurt)
    assert session(tmp_path, hurt) == set(hurt)


def test_damaged_keys_and_indices_are_mended(tmp_path: Path) -> None:
    wanted = some(0, 300, 100)
    session(tmp_path, wanted)
    content = bytearray((tmp_path / store.FILE).read_bytes())
    keys = [Store(tmp_path / "other", b"net")._key(digest) for digest in list(wanted)[:20]]
    for number, key in enumerate(keys):  # each stands in the table and in its index
        places = [content.find(key), content.rfind(key)]
        content[places[number % 2] + 3] ^= 4
    (tmp_path / store.FILE).write_bytes(content)
    session(tmp_path, wanted, keep=False)
    assert 0 < store.verify(tmp_path).damaged <= 20
    assert store.verify(tmp_path).damaged == 0
    assert len(session(tmp_path, wanted)) >= 280
    assert session(tmp_path, wanted) == set(wanted)


def test_a_store_beyond_mending_says_what_to_do(tmp_path: Path, kopal: Kopal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOPAL_CACHE", str(tmp_path))
    session(tmp_path, some(0, 300))
    content = bytearray((tmp_path / store.FILE).read_bytes())
    for page in range(1, len(content) // layout.PAGE):
        content[page * layout.PAGE : page * layout.PAGE + 12] = b"\xff" * 12
    (tmp_path / store.FILE).write_bytes(content)
    broken = Store(tmp_path, b"net")
    assert broken.get(list(some(0, 8))) == {}
    broken.put(some(400, 8))
    broken.close()
    assert "kopal cache verify" in broken.fault
    assert "\n" not in broken.fault
    for action in ("verify", "prune"):
        code, _, err = kopal("cache", action)
        assert code == 2
        assert "--clear" in err
        assert err.count("error:") == 1
    with pytest.raises(OutputError, match="damaged"):
        store.verify(tmp_path)
    assert kopal("cache", "--clear")[0] == 0
    assert kopal("cache", "verify")[0] == 0


def first_layout(folder: Path) -> sqlite3.Connection:
    """A store as it was before it bore a version, and still open."""
    connection = sqlite3.connect(folder / store.FILE)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE features (key BLOB PRIMARY KEY, data BLOB NOT NULL, checksum BLOB NOT NULL)")
    with connection:
        connection.executemany(
            "INSERT INTO features VALUES (?, ?, ?)", [(bytes([n]) * 32, b"x" * 5000, b"y" * 8) for n in range(200)]
        )
    return connection


@pytest.mark.parametrize("still_open", [False, True])
def test_the_layout_without_a_version_is_begun_anew(tmp_path: Path, still_open: bool) -> None:
    old = first_layout(tmp_path)
    if not still_open:
        old.close()
    wanted = some(0, 20)
    assert session(tmp_path, wanted) == set()
    assert session(tmp_path, wanted) == set(wanted)
    if still_open:
        with pytest.raises(sqlite3.OperationalError, match="features"):
            old.execute("SELECT * FROM features")
        old.close()
    else:
        assert store.usage(tmp_path)[1] < 500_000
        with sqlite3.connect(tmp_path / store.FILE) as connection:
            assert connection.execute("PRAGMA page_size").fetchone() == (layout.PAGE,)
        connection.close()
    assert store.usage(tmp_path)[0] == 20


@pytest.mark.parametrize("version", [layout.VERSION - 1, layout.VERSION + 1])
def test_another_version_is_begun_anew(tmp_path: Path, version: int, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = some(0, 20)
    with monkeypatch.context() as then:
        then.setattr(layout, "VERSION", version)
        session(tmp_path, wanted)
    assert session(tmp_path, wanted) == set()
    assert session(tmp_path, wanted) == set(wanted)
    assert store.usage(tmp_path)[0] == 20


def test_a_store_that_has_lost_a_table_is_begun_anew(tmp_path: Path) -> None:
    wanted = some(0, 20)
    session(tmp_path, wanted)
    with sqlite3.connect(tmp_path / store.FILE) as connection:
        connection.execute("DROP TABLE used")
    connection.close()
    assert session(tmp_path, wanted) == set()
    assert session(tmp_path, wanted) == set(wanted)


@pytest.mark.parametrize("version", [0, layout.VERSION])
def test_a_database_of_another_program_is_left_alone(tmp_path: Path, version: int) -> None:
    with sqlite3.connect(tmp_path / store.FILE) as connection:
        connection.execute("CREATE TABLE features (something)")
        connection.execute("INSERT INTO features VALUES ('precious')")
        connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    content = (tmp_path / store.FILE).read_bytes()
    strange = Store(tmp_path, b"net")
    strange.put(some(0, 1))
    assert strange.get(list(some(0, 1))) == {}
    strange.close()
    assert strange.fault == f"the cache is not used: {store.FILE} is there and is not kopal's (see KOPAL_CACHE)"
    for care in (store.verify, lambda folder: store.prune(folder, 0)):
        with pytest.raises(OutputError, match="not kopal's"):
            care(tmp_path)
    with sqlite3.connect(tmp_path / store.FILE) as connection:
        assert connection.execute("SELECT * FROM features").fetchall() == [("precious",)]
    connection.close()
    assert len((tmp_path / store.FILE).read_bytes()) == len(content)


@pytest.mark.parametrize("trouble", ["a file", "no store", "damaged", "no room", "no home"])
def test_a_cache_that_cannot_be_used_costs_one_line_and_not_the_training(
    trouble: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "cache"
    monkeypatch.setenv("KOPAL_CACHE", str(folder))
    if trouble == "a file":
        folder.touch()
    elif trouble == "no store":
        folder.mkdir()
        (folder / store.FILE).write_bytes(b"no database" * 1000)
    elif trouble == "no home":
        homeless(monkeypatch)
    elif trouble == "damaged":
        session(folder, some(0, 300))
        content = bytearray((folder / store.FILE).read_bytes())
        content[layout.PAGE :] = b"\xff" * (len(content) - layout.PAGE)
        (folder / store.FILE).write_bytes(content)
    else:
        monkeypatch.setattr(rows, "transaction", no_room)
    nouns: list[object] = []
    run = train(photos, tmp_path / "out", QUICK, log=nouns.append)
    told = [noun.text for noun in nouns if isinstance(noun, Note) and "cache" in noun.text]
    assert len(told) == 1
    assert "\n" not in told[0]
    assert run.report.n == 24


def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user as containers have them: neither a variable nor an entry of the system says where they are at home."""
    for name in ("KOPAL_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)

    def home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", home)


def test_without_a_home_folder_doctor_says_so_and_cache_how_to_have_one(
    kopal: Kopal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    homeless(monkeypatch)
    code, out, err = kopal("doctor")
    assert code == 0, err
    assert "none is kept: there is no home folder (see KOPAL_CACHE)" in out
    code, out, err = kopal("cache")
    assert (code, out) == (2, "")
    assert "no home folder" in err
    assert "KOPAL_CACHE" in err
    monkeypatch.setenv("XDG_CACHE_HOME" if sys.platform != "win32" else "LOCALAPPDATA", str(tmp_path))
    if sys.platform != "darwin":
        assert tmp_path in store.cache_folder().parents


def no_room(*_: object) -> None:
    raise sqlite3.OperationalError("database or disk is full")


def test_cache_says_what_it_does_in_lines_and_in_json(
    kopal: Kopal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOPAL_CACHE", str(tmp_path))
    monkeypatch.setenv("KOPAL_CACHE_MAX", "2GB")
    session(tmp_path, some(0, 10))
    (tmp_path / store.WEIGHTS).mkdir()
    (tmp_path / store.WEIGHTS / "net.pth").write_bytes(b"w" * 2_000_000)
    out = kopal("cache")[1]
    assert "10 rows (features, pixels, looks)" in out
    assert "of at most 2.0 GB" in out
    assert "fetched weights, 2.0 MB" in out
    told = json.loads(kopal("cache", "--json")[1])
    size = store.usage(tmp_path)[1]
    assert told == {"folder": str(tmp_path), "rows": 10, "bytes": size, "limit": 2 * 10**9, "weights": 2_000_000}
    assert "all sound" in kopal("cache", "verify")[1]
    assert "0 rows deleted" in kopal("cache", "prune")[1]
    told = json.loads(kopal("cache", "--clear", "--json")[1])
    assert told == {"folder": str(tmp_path), "freed": size, "weights": 2_000_000}
    assert "fetched weights stay: 2.0 MB" in kopal("cache", "--clear")[1]
    assert [path.name for path in tmp_path.iterdir()] == [store.WEIGHTS]


@pytest.mark.parametrize(
    "arguments",
    [("burn",), ("verify", "--clear"), ("--max", "1GB"), ("verify", "--max", "1GB"), ("prune", "--max", "x")],
)
def test_what_the_command_cannot_do_is_an_error(kopal: Kopal, arguments: tuple[str, ...]) -> None:
    code, out, err = kopal("cache", *arguments)
    assert code == 2
    assert out == ""
    assert err.startswith("error: ")
