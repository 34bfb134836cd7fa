"""Claim: whole processes, as a user starts them: training cold and warm, one prediction, the import, peak memory.

    python benchmarks/main_job.py path/to/class/folders [--test path/to/labelled/photos] [--repeats 3] [--features int8]
    python benchmarks/main_job.py --made 10000

With --made it draws that many photos itself (noise and blobs, 320 x 240 JPEG) to measure memory against their number.
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

import numpy as np
from PIL import Image, ImageFilter

from header import print_header


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--test")
    parser.add_argument("--made", type=int)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--features", default="float32")
    options = parser.parse_args()
    print_header(__doc__.splitlines()[0])
    with tempfile.TemporaryDirectory() as scratch:
        folder = make(Path(scratch) / "made", options.made) if options.made else Path(options.folder)
        os.environ["KOPAL_CACHE"] = str(Path(scratch) / "cache")
        repeats = 1 if options.made else options.repeats
        for number in range(repeats):
            kopal("cache", "--clear")
            command = ("train", folder, "--features", options.features, "--out")
            cold = kopal(*command, Path(scratch) / f"cold{number}")
            warm = kopal(*command, Path(scratch) / f"warm{number}")
            print(f"  train cold {cold[0]:6.1f} s, {cold[1]:4.0f} MB; warm {warm[0]:5.1f} s, {warm[1]:4.0f} MB")
        run = Path(scratch) / "cold0"
        report = json.loads((run / "report.json").read_text(encoding="utf-8"))
        print(f"  accuracy {report['accuracy']:.4f} {report['interval']}, n = {report['n']}, {report['measured_on']}")
        if options.test:
            print(kopal("evaluate", run / "model.onnx", options.test)[2])
        photo = next(path for path in sorted(folder.rglob("*")) if path.is_file())
        one = [kopal("predict", run / "model.onnx", photo)[0] for _ in range(7)]
        bare, full = ([python(code)[0] for _ in range(7)] for code in ("pass", "import kopal"))
        imported = statistics.median(full) - statistics.median(bare)
        print(f"  predict one photo {statistics.median(one):.2f} s (median of 7, {min(one):.2f} to {max(one):.2f})")
        print(f"  import kopal {imported:.3f} s over an empty Python (medians of 7)")


def kopal(*arguments: object) -> tuple[float, float, str]:
    return process([sys.executable, "-m", "kopal", *map(str, arguments)])


def python(code: str) -> tuple[float, float, str]:
    return process([sys.executable, "-c", code])


def process(command: list[str]) -> tuple[float, float, str]:
    started = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    out = child.stdout.read() if child.stdout else ""
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - started
    if status:
        raise SystemExit(f"{command} failed:\n{out}")
    child.returncode = 0
    return seconds, usage.ru_maxrss / 1024, out


def make(root: Path, count: int) -> Path:
    rng = np.random.default_rng(0)
    for kind in range(10):
        (root / f"class{kind}").mkdir(parents=True)
    for number in range(count):
        kind = number % 10
        noise = Image.fromarray(rng.integers(0, 256, (15, 20, 3), dtype=np.uint8)).resize((320, 240))
        noise.paste((25 * kind, 255 - 25 * kind, 128), (20 * kind, 40, 20 * kind + 60, 160))
        noise.filter(ImageFilter.GaussianBlur(1)).save(root / f"class{kind}" / f"{number}.jpg")
    return root


if __name__ == "__main__":
    main()
