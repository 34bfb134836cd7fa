"""Claim: no model.onnx executes anything, crashes the process, raises a foreign error, or takes a second or 2 GB.

    python benchmarks/hostile_models.py [--count 10000] [--seed 0]

Small models of five kinds are changed in their header, constants, names, shapes, attributes, nodes and bytes, most of
them under a good seal; then come files of the pickle family. Each is opened and asked in a child process with limited
memory, in which an audit hook listens.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

from header import print_header

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from hostile_reader import Outcome, outcomes
from kopal.model_file import _seal_entry
from model_mutants import mutants
from pickled import pickled

MEGABYTES = 2000


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print_header(__doc__.splitlines()[0])
    ways = [mutant.way for mutant in mutants(options.seed, options.count)]
    files = (mutant.data for mutant in mutants(options.seed, options.count))
    report("changed models", list(zip(ways, outcomes(files, "models", MEGABYTES), strict=True)))
    with tempfile.TemporaryDirectory() as folder:
        trap = Path(folder) / "trap"
        plain = pickled(str(trap))
        both = plain | {f"{name}, sealed": data + _seal_entry(data) for name, data in plain.items()}
        report("pickles", list(zip(both, outcomes(both.values(), "models", MEGABYTES), strict=True)))
        print(f"  unpickled: {trap.exists()}")


def report(title: str, rows: list[tuple[str, Outcome]]) -> None:
    kinds = Counter(outcome.kind for _, outcome in rows)
    way, slowest = max(rows, key=lambda row: row[1].seconds)
    peak = max(outcome.megabytes for _, outcome in rows)
    print(f"{title}: {len(rows)} files; " + ", ".join(f"{kind} {count}" for kind, count in kinds.most_common()))
    print(f"  slowest {slowest.seconds:.2f} s ({way}); peak {peak:.0f} MB")
    runtime = Counter(outcome.words[:24] for _, outcome in rows if outcome.kind == "refused")
    print("  refused because: " + "; ".join(f"{words} … {count}" for words, count in runtime.most_common(12)))
    findings = [(way, outcome) for way, outcome in rows if outcome.finding or outcome.seconds > 1]
    print(f"  findings: {len(findings)}")
    for way, outcome in findings:
        print(f"    {way}: {outcome.kind} {outcome.words} {outcome.seconds:.2f} s")


if __name__ == "__main__":
    main()
