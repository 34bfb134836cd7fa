"""Claim: a 224 x 224 net is fastest on one image at a time, one thread a core.

python benchmarks/batch_size.py
"""

from __future__ import annotations

import statistics

import numpy as np

from header import once, print_header
from kopal.backends.onnx_backend import feature_model
from kopal.fit.backbones import embedded_backbone
from kopal.parallel import cores, ordered
from kopal.runtime import session


def main() -> None:
    print_header(__doc__.splitlines()[0])
    backbone = embedded_backbone("efficientnet-lite0")
    runner = session(feature_model(backbone.net, backbone.weights).SerializeToString())
    pixels = np.random.default_rng(0).integers(0, 256, (64, *backbone.geometry.shape), dtype=np.uint8)
    sizes = (1, 4, 8, 16, 32)
    rates: dict[int, list[float]] = {size: [] for size in sizes}
    for _ in range(5):
        for size in sizes:
            batches = [np.ascontiguousarray(pixels[at : at + size]) for at in range(0, 64, size)] * 2
            rates[size].append(
                128
                / once(
                    lambda batches=batches: list(ordered(lambda batch: runner.run(None, {"pixels": batch}), batches))
                )
            )
    for size, found in rates.items():
        print(f"  batch {size:2}: {statistics.median(found):4.0f} images/s on {cores()} cores (medians of 5)")


if __name__ == "__main__":
    main()
