"""One store for many processes: none ever gets a wrong row, with locks or without, whoever is killed."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from kopal import store
from kopal.store import Store

PROCESSES = 8
OPERATIONS = int(os.environ.get("KOPAL_STORE_OPERATIONS", "500"))
"""Rows that each of them reads or writes; 10 000 take half a minute."""

WRITER = """
import sys
from pathlib import Path
import numpy as np
from kopal.store import Store
store = Store(Path(sys.argv[1]), b"net")
first, count = int(sys.argv[2]), int(sys.argv[3])
for batch in range(first, first + count):
    keys = [(batch * 8 + row).to_bytes(32, "big") for row in range(8)]
    store.put({key: np.full(1280, int.from_bytes(key, "big"), np.float32) for key in keys})
    assert len(store.get(keys)) == 8, store.fault
    print(batch, flush=True)
"""


def check(folder: Path, batches: list[int]) -> None:
    keys = [(batch * 8 + row).to_bytes(32, "big") for batch in batches for row in range(8)]
    reader = Store(folder, b"net")
    for at in range(0, len(keys), 800):
        found = reader.get(keys[at : at + 800])
        assert len(found) == len(keys[at : at + 800])
        assert all((value == int.from_bytes(key, "big")).all() for key, value in found.items())
    assert reader.fault == ""
    reader.close()
    connection = sqlite3.connect(folder / store.FILE)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


def writer(folder: Path, first: int, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(folder), str(first), str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_two_processes_write_and_read_at_once(tmp_path: Path) -> None:
    both = [writer(tmp_path, 0, 60), writer(tmp_path, 30, 60)]
    for process in both:
        process.communicate(timeout=60)
    assert [process.returncode for process in both] == [0, 0]
    check(tmp_path, list(range(90)))
    assert store.usage(tmp_path)[0] == 720


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_killed_process_loses_no_batch_that_it_had_kept(tmp_path: Path) -> None:
    for attempt in range(3):
        process = writer(tmp_path, attempt * 100_000, 100_000)
        assert process.stdout is not None
        kept = [int(process.stdout.readline()) for _ in range(5 + 9 * attempt)]
        time.sleep(0.003 * attempt)
        os.kill(process.pid, signal.SIGKILL)
        kept += [int(line) for line in process.communicate()[0].splitlines() if line]
        check(tmp_path, kept)


SHARER = """
import sqlite3, sys
from pathlib import Path
import numpy as np
from kopal.errors import KopalError
from kopal.store import Store, clear

folder, seed, rows, vfs = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
if vfs:
    connect = sqlite3.connect
    def without_locks(path, **more):
        address = path if more.pop("uri", False) else f"{Path(path).as_uri()}?"
        return connect(f"{address}&vfs={vfs}", uri=True, **more)
    sqlite3.connect = without_locks

dice = np.random.default_rng(seed)
wrong = read = 0
faults = set()
for turn in range(rows // 8):
    if turn % 40 == 0:
        shared = Store(folder, b"net")
    numbers = dice.integers(0, 2000, 8).tolist()
    wanted = {number.to_bytes(32, "big"): np.arange(320, dtype=np.float32) * (1 + number) for number in numbers}
    found = shared.get(list(wanted))
    wrong += sum(not np.array_equal(found[key], wanted[key]) for key in found)
    read += len(found)
    shared.put({key: row for key, row in wanted.items() if key not in found or dice.random() < 0.1})
    if turn % 40 == 39:
        shared.close()
        faults.add(shared.fault)
        if "--clear" in shared.fault:  # as the owner would, while the others go on
            try:
                clear(folder)
            except KopalError:
                pass
shared.close()
print(wrong, read, "|".join(sorted({*faults, shared.fault} - {""})), sep="|")
"""


def shared_by_many(folder: Path, vfs: str = "") -> list[tuple[int, int, list[str]]]:
    """What each of the processes has to say: how many rows were wrong, how many it was given, and the faults."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SHARER, str(folder), str(seed), str(OPERATIONS), vfs],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed in range(PROCESSES)
    ]
    said = [process.communicate(timeout=600) for process in processes]
    assert [(process.returncode, err) for process, (_, err) in zip(processes, said, strict=True)] == [(0, "")] * 8
    answers = [out.strip().split("|") for out, _ in said]
    return [(int(wrong), int(read), list(filter(None, faults))) for wrong, read, *faults in answers]


def test_eight_processes_never_get_a_wrong_row(tmp_path: Path) -> None:
    said = shared_by_many(tmp_path)
    assert [(wrong, faults) for wrong, _, faults in said] == [(0, [])] * PROCESSES
    assert sum(read for _, read, _ in said) > 0.2 * PROCESSES * OPERATIONS
    assert store.verify(tmp_path).damaged == 0


@pytest.mark.skipif(sys.platform == "win32", reason="the ways of SQLite to use no locks are those of POSIX")
@pytest.mark.parametrize("journal", ["", "WAL", "DELETE"])
def test_nor_do_they_where_the_file_system_has_no_locks(tmp_path: Path, journal: str) -> None:
    if journal:  # else there is no store yet
        full = Store(tmp_path, b"net")
        full.put(
            {number.to_bytes(32, "big"): np.arange(320, dtype=np.float32) * (1 + number) for number in range(2000)}
        )
        assert full._connection is not None
        full._connection.execute(f"PRAGMA journal_mode = {journal}")
        full.close()
    said = shared_by_many(tmp_path, "unix-none")
    assert [wrong for wrong, _, _ in said] == [0] * PROCESSES
    if journal == "WAL":  # with any other, how soon the file breaks is chance, and it may be at once
        assert sum(read for _, read, _ in said) > 0.1 * PROCESSES * OPERATIONS
    assert all(fault.startswith("the cache is ") for _, _, faults in said for fault in faults)


def test_a_file_system_that_refuses_locks_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing(sqlite3.Connection):
        def execute(self, *given: object) -> sqlite3.Cursor:  # type: ignore[override]
            raise sqlite3.OperationalError("disk I/O error")

    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *where, **more: connect(*where, factory=Refusing, **more))
    refused = Store(tmp_path, b"net")
    refused.put({b"1" * 32: np.zeros(3, np.float32)})
    assert refused.get([b"1" * 32]) == {}
    assert refused.fault == "the cache is not used: disk I/O error (see KOPAL_CACHE)"


READ_ONLY = """
import os, sys
from pathlib import Path
import numpy as np
from kopal.store import Store
if os.geteuid() == 0:
    os.seteuid(65534)
folder = Path(sys.argv[1])
kept = Store(folder, b"net")
found = kept.get([b"1" * 32, b"2" * 32])
assert list(found) == [b"1" * 32] and found[b"1" * 32].tolist() == [7, 7], found
kept.put({b"2" * 32: np.zeros(2, np.float32)})
assert len(kept.get([b"1" * 32, b"2" * 32])) == 1
kept.close()
print(kept.fault)
elsewhere = Store(folder / "sub", b"net")
assert elsewhere.get([b"1" * 32]) == {}
print(elsewhere.fault)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
def test_a_folder_that_may_only_be_read_is_read_and_told_in_one_line() -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        first = Store(folder, b"net")
        first.put({b"1" * 32: np.full(2, 7, np.float32)})
        first.close()
        folder.chmod(0o555)
        (folder / store.FILE).chmod(0o444)
        done = subprocess.run([sys.executable, "-c", READ_ONLY, folder], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        known, unknown = done.stdout.splitlines()
        assert known.startswith("the cache is not added to: ")
        assert unknown.startswith("the cache is not used: ")
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)
