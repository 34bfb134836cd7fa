"""Claim: no picture crashes the process, raises anything else than UnreadableImage, or takes 10 s or 1 GB.

    python benchmarks/hostile_images.py [FOLDER] [--count 3000] [--seed 0] [--each 2]

Pictures of every format and way of coding are cut, flipped, spliced, given zeros for an end and headers that lie; then
come bombs, and pictures up to the limits. FOLDER holds further ones, such as those in Pillow's source distribution:
each is read as it is and `--each` times changed, and the folder's content must be the same afterwards. Every file is
read in a child process with limited memory, so that a crash or a hang is a row in the table.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections import Counter
from collections.abc import Iterable
from itertools import tee
from pathlib import Path

from header import print_header

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import image_bombs
from hostile_images import Hostile, hostile, mutated, sound
from hostile_reader import Outcome, outcomes

MEGABYTES = 1500
SECONDS = 10
MOST_BYTES = 32 * 1024 * 1024


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--each", type=int, default=2)
    options = parser.parse_args()
    print_header(__doc__.splitlines()[0])
    whole = {name: one.digest for name, one in zip(sound(), tried_bytes(sound().values()), strict=True)}
    cut_table(report("made", tried(hostile(options.seed, options.count))), whole)
    bombs = image_bombs.BOMBS | image_bombs.LARGE
    rows = report("bombs and large ones", tried(Hostile(name, "bomb", make()) for name, make in bombs.items()))
    for one, outcome in rows:
        cost = f"{outcome.seconds:5.2f} s {outcome.megabytes:6.0f} MB"
        print(f"  {one.kind:45} {outcome.kind:12} {cost}  {outcome.words[:60]}")
    if options.folder:
        files = {
            str(path): path.read_bytes()
            for path in sorted(Path(options.folder).rglob("*"))
            if path.is_file() and path.stat().st_size <= MOST_BYTES
        }
        report(options.folder, tried(mutated(files, options.seed, options.each)))
        same = all(Path(name).read_bytes() == data for name, data in files.items())
        print(f"  {len(files)} files of the folder, content unchanged: {same}")


def tried_bytes(files: Iterable[bytes]) -> Iterable[Outcome]:
    return outcomes(files, "pictures", MEGABYTES)


def tried(files: Iterable[Hostile]) -> list[tuple[Hostile, Outcome]]:
    kept, read = tee(files)
    found = tried_bytes(one.data for one in read)
    # The bytes of a bomb are not needed any more.
    return [
        (Hostile(one.kind, one.way, one.data[:1_000_000]), outcome) for outcome, one in zip(found, kept, strict=True)
    ]


def report(title: str, rows: list[tuple[Hostile, Outcome]]) -> list[tuple[Hostile, Outcome]]:
    """Counts, the slowest, the hungriest, and every finding."""
    kinds = Counter(outcome.kind for _, outcome in rows)
    slowest = max(rows, key=lambda row: row[1].seconds)
    peak = max(outcome.megabytes for _, outcome in rows)
    print(f"{title}: {len(rows)} files; " + ", ".join(f"{kind} {count}" for kind, count in kinds.most_common()))
    print(f"  slowest {slowest[1].seconds:.2f} s ({slowest[0].kind}, {slowest[0].way}); peak {peak:.0f} MB")
    findings = [row for row in rows if row[1].finding or row[1].seconds > SECONDS]
    print(f"  findings: {len(findings)}")
    for one, outcome in findings:
        digest = hashlib.sha256(one.data).hexdigest()[:12]
        print(f"    {one.kind}, {one.way}, {digest}: {outcome.kind} {outcome.words} {outcome.seconds:.2f} s")
    return rows


def cut_table(rows: list[tuple[Hostile, Outcome]], whole: dict[str, str]) -> None:
    """Of the files that were cut: how many are flagged, and whether the others lack anything of their picture."""
    for way in ("cut", "zeros"):
        print(
            f"  {way:8} {'files':>6} {'flagged':>8} {'picture whole':>14} {'missed':>7} {'flagged, of not whole':>22}"
        )
        for kind in [*sorted({one.format for one, _ in rows}), "all"]:
            ours = [(one, outcome) for one, outcome in rows if one.way == way and kind in (one.format, "all")]
            flagged = sum(outcome.kind != "read" for _, outcome in ours)
            intact = sum(outcome.digest == whole[one.kind] for one, outcome in ours)
            missed = len(ours) - flagged - intact
            share = flagged / max(1, flagged + missed)
            print(f"  {kind:8} {len(ours):6} {flagged:8} {intact:14} {missed:7} {share:22.3f}")


if __name__ == "__main__":
    main()
