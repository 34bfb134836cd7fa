"""What a frozen backbone costs: milliseconds a photo on one thread, parameters, megabytes of model.onnx.

Random weights: they cost what trained ones do. `python benchmarks/backbones.py [NET@SIDE ...]`
"""

from __future__ import annotations

import platform
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np

from kopal.backends.onnx_backend import feature_model
from kopal.features import Backbone
from kopal.fit.backbones import backbone_of
from kopal.fit.engine import start
from kopal.images import Geometry
from kopal.nets.describe import describe
from kopal.nets.registry import build
from kopal.recipes import recipe

USUAL = (
    *("efficientnet-lite0", "resnet18", "resnet50", "efficientnet-b0"),
    *("timm:convnext_tiny.fb_in22k_ft_in1k", "timm:vit_small_patch14_dinov2.lvd142m@224"),
)
RUNS = 7


def backbone(name: str, side: int) -> Backbone:
    """A net's features with random weights."""
    if name.startswith("timm:"):
        import timm
        import torch

        more = {"img_size": side} if side and "vit" in name else {}
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "random.pth"
            torch.save(timm.create_model(name.removeprefix("timm:"), **more).state_dict(), file)
            return backbone_of(recipe(net=name, weights=str(file), image_size=side))
    net = build(name, None, (side, side, 3) if side else None).without_head()
    return Backbone(net, start(net, np.random.default_rng(0), "he"), Geometry(*net.image))


def main() -> None:
    print(f"{platform.processor() or platform.machine()}, onnxruntime {version('onnxruntime')}, one thread, n = {RUNS}")
    for named in sys.argv[1:] or USUAL:
        name, _, side = named.partition("@")
        made = backbone(name, int(side or 0))
        pixels = np.random.default_rng(0).integers(0, 256, (1, *made.geometry.shape), dtype=np.uint8)
        made.features(pixels)
        times = []
        for _ in range(RUNS):
            started = perf_counter()
            made.features(pixels)
            times.append(1000 * (perf_counter() - started))
        rows = describe(made.net)
        learned, work = sum(row.parameters for row in rows), sum(row.multiply_adds for row in rows)
        size = len(feature_model(made.net, made.weights).SerializeToString())
        print(
            f"{name:42} {made.geometry.height:4} px {median(times):7.1f} ms ({min(times):.1f} to {max(times):.1f})  "
            f"{learned / 1e6:6.1f} M  {work / 1e9:5.2f} G  "
            f"{made.dimension:5} features  {size / 1e6:6.1f} MB"
        )


if __name__ == "__main__":
    main()
