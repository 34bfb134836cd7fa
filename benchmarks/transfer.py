"""Claim: to an accuracy that frozen features reach, kopal takes less than half the seconds of a good script.

    python benchmarks/transfer.py FOLDER [--repeats 3]

FOLDER holds a part to learn from (train) and one to judge by (validation or test). Each side is a whole process, in
turn: kopal cold (no cache), kopal cold with int8 features, and a script of timm's tf_efficientnet_lite0 with the same
weights, channels last in bfloat16 under torch.inference_mode, a DataLoader with two workers, timm's own transform, and
scikit-learn's logistic regression on standardised features, its penalty chosen by validation on a fifth.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from header import print_header

SCRIPT = Path(__file__).with_name("timm_script.py")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    print_header(__doc__.splitlines()[0])
    found: dict[str, list[tuple[float, float]]] = {}
    for _ in range(options.repeats):
        for side, run in (("kopal", "float32"), ("kopal, int8", "int8"), ("timm and scikit-learn", "")):
            found.setdefault(side, []).append(ours(options.folder, run) if run else theirs(options.folder))
    for side, rows in found.items():
        seconds, accuracies = zip(*rows, strict=True)
        print(
            f"  {side:22} {statistics.median(seconds):6.1f} s ({min(seconds):.1f} to {max(seconds):.1f}), accuracy "
            f"{statistics.median(accuracies):.4f}"
        )
    ratios = [
        script / mine for (mine, _), (script, _) in zip(found["kopal"], found["timm and scikit-learn"], strict=True)
    ]
    print(f"  script / kopal {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


def ours(folder: Path, numbers: str) -> tuple[float, float]:
    """A cold training → seconds of the process, and accuracy on the second part."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "run"
        command = [sys.executable, "-m", "kopal", "train", folder, "--features", numbers, "--out", out, "--quiet"]
        seconds = timed(command, {**os.environ, "KOPAL_CACHE": str(Path(scratch) / "cache")})[0]
        return seconds, json.loads((out / "report.json").read_bytes())["accuracy"]


def theirs(folder: Path) -> tuple[float, float]:
    """The script → seconds of the process, and accuracy on the second part."""
    seconds, said = timed([sys.executable, SCRIPT, folder], dict(os.environ))
    return seconds, float(said)


def timed(command: list[object], environment: dict[str, str]) -> tuple[float, str]:
    """A process → its seconds, and what it printed."""
    started = time.perf_counter()
    done = subprocess.run(
        [*map(str, command)], env=environment, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    return time.perf_counter() - started, done.stdout


if __name__ == "__main__":
    main()
