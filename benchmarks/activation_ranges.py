"""Makes the table of activation ranges that `--features int8` ships with, for every net with embedded weights.

    python benchmarks/activation_ranges.py [--write]

64 crops of the two photos of scikit-learn, drawn by seed 0, go through each net in float32; the least and the largest
number behind each layer are kept with six digits. With --write the table in the package is replaced.
"""

from __future__ import annotations

import argparse
import json
from importlib.resources import files
from pathlib import Path

from header import print_header
from kopal.backends.ranges import calibration_pixels, measured_ranges
from kopal.fit.backbones import embedded_backbone
from kopal.nets.activation_ranges import FILE, known_ranges
from kopal.nets.weights import PRETRAINED

TABLE = Path(str(files("kopal.nets"))) / FILE


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    print_header(__doc__.splitlines()[0])
    table = {}
    for name in PRETRAINED:
        backbone = embedded_backbone(name)
        found = measured_ranges(backbone.net, backbone.weights, calibration_pixels(backbone.geometry))
        table[name] = {path: [float(f"{end:.6g}") for end in ends] for path, ends in found.items()}
    if options.write:
        TABLE.write_text(text(table), encoding="utf-8")
    for name, ranges in table.items():
        shipped = known_ranges().get(name, {})
        worst = max(
            (abs(end - old) for path, ends in ranges.items() for end, old in zip(ends, shipped[path], strict=True)),
            default=float("nan"),
        )
        print(f"  {name}: {len(ranges)} ranges, at most {worst:.1e} from those in the package")


def text(table: dict[str, dict[str, list[float]]]) -> str:
    """A line for each range, so that a change is a change of lines."""
    nets = []
    for name, ranges in table.items():
        lines = ",\n".join(f"    {json.dumps(path)}: {json.dumps(ends)}" for path, ends in ranges.items())
        nets.append(f"  {json.dumps(name)}: {{\n{lines}\n  }}")
    return "{\n" + ",\n".join(nets) + "\n}\n"


if __name__ == "__main__":
    main()
