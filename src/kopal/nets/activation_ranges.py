"""How large the numbers inside the embedded nets get: measured once, shipped as a table, the same on every machine.

`benchmarks/activation_ranges.py` made the table, with `kopal.backends.ranges`, from 64 crops of the two photos that
come with scikit-learn; a test measures it anew.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from kopal.nets.quantise import Range

FILE = "activation_ranges.json"


@cache
def known_ranges() -> Mapping[str, Mapping[str, Range]]:
    """By the name of the net: (lowest, highest) by the path of the layer."""
    table = json.loads((files("kopal.nets") / FILE).read_text(encoding="utf-8"))
    return {
        net: {path: (float(low), float(high)) for path, (low, high) in ranges.items()} for net, ranges in table.items()
    }
