"""Work that is killed at every point of its writing: `python killed.py folder [count]`, `count` to every so manyth.

Each piece of work runs in a process forked off here, where the imports are already done, and is ended by SIGKILL at a
point of its own (tests/faults.py), or by the system when a file of SQLite's grows beyond some size. Then what is left
must be old or new, and the next start must find nothing in its way. Prints what was otherwise, and at last how many
points there were of each kind.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sys
from collections import Counter
from pathlib import Path

import numpy as np

from cut_short import forked
from faults import killed, points
from kopal.store import Store
from scenes import BEGAN, NEW, OLD, Scene, scenes

BATCHES = 12


def disturbed(name: str, scene: Scene, folder: Path, every: int) -> int:
    """Kill the work at every point, or every so manyth → how many points that were."""

    def work(where: Path, at: int) -> None:
        with points(where, at, killed) as seen:
            scene.work(where)
        (where.parent / "count").write_text(str(len(seen)))

    def fresh() -> Path:
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "here").mkdir(parents=True)
        scene.prepare(folder / "here")
        return folder / "here"

    here = fresh()
    assert forked(lambda: work(here, 0)) == 0
    total = int((folder / "count").read_text())
    tried = range(1, total + 1, every)
    for at in tried:
        here = fresh()
        ended = forked(lambda: work(here, at))  # noqa: B023 - called at once
        verdict = scene.verdict(here)
        wrong = scene.again(here)
        if ended != -signal.SIGKILL or verdict not in (OLD, NEW, BEGAN) or wrong:
            print(name, at, ended, verdict, wrong)  # noqa: T201
    return len(tried)


def rows(batch: int) -> dict[bytes, np.ndarray]:
    return {
        (batch * 8 + row).to_bytes(32, "big"): np.arange(300, dtype=np.float32) + batch * 8 + row for row in range(8)
    }


def fill(folder: Path, size: int, kill: bool, told: int) -> None:
    """Keep batches, telling each, while no file may grow beyond `size`."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL if kill else signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    kept = Store(folder, b"net")
    for batch in range(BATCHES):
        kept.put(rows(batch))
        if not kept.fault:
            os.write(told, bytes([batch]))
    for batch in range(BATCHES):
        found = kept.get(list(rows(batch)))
        assert all(np.array_equal(value, rows(batch)[key]) for key, value in found.items())
    assert "\n" not in kept.fault
    kept.close()


def store_grown(folder: Path, sizes: range, kill: bool) -> Counter[str]:
    """Let the store grow to each of the sizes and no further → how the processes ended."""
    endings: Counter[str] = Counter()
    for size in sizes:
        shutil.rmtree(folder, ignore_errors=True)
        read, write = os.pipe()
        ended = forked(lambda: fill(folder, size, kill, write))  # noqa: B023 - called at once
        os.close(write)
        kept = list(os.read(read, 1000))
        os.close(read)
        endings["killed" if ended == -signal.SIGXFSZ else "failed" if len(kept) < BATCHES else "whole"] += 1
        store = Store(folder, b"net")
        for batch in range(BATCHES):
            found = store.get(list(rows(batch)))
            if any(not np.array_equal(value, rows(batch)[key]) for key, value in found.items()):
                print("store", size, "a wrong row")  # noqa: T201
            if batch in kept and len(found) < 8:
                print("store", size, "lost a batch that it had kept")  # noqa: T201
        store.put(rows(99))
        if store.fault or len(store.get(list(rows(99)))) < 8 or ended not in (0, -signal.SIGXFSZ):
            print("store", size, ended, store.fault)  # noqa: T201
        store.close()
    return endings


def main(folder: Path, every: int) -> None:
    for name, scene in scenes(folder / "try").items():
        print("points", name, disturbed(name, scene, folder / name, every))  # noqa: T201
    for kill in (True, False):
        endings = store_grown(folder / "store", range(0, 1_200_000, 20_011 * every), kill)
        print("points", "store", dict(sorted(endings.items())))  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1)
