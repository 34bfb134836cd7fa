"""Claim: keeping the whole centre square serves people's own photos better than the published inner crop.

    python benchmarks/geometry.py path/to/class/folders

Out-of-fold accuracy and calibrated log loss of the default training for each share of the picture that is kept.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

from header import print_header
from kopal.datasets import open_dataset
from kopal.features import Backbone, read
from kopal.fit.backbones import embedded_backbone
from kopal.fit.frozen import fit
from kopal.metrics import wilson
from kopal.recipes import Recipe


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    options = parser.parse_args()
    print_header(__doc__.splitlines()[0])
    dataset = open_dataset(options.folder).only("train")
    own = embedded_backbone("efficientnet-lite0")
    for crop in (0.875, 1.0):
        backbone = Backbone(own.net, own.weights, replace(own.geometry, crop=crop))
        photos, _ = read(dataset, backbone, None)
        fitted = fit(Recipe(), photos, backbone)
        right = int((fitted.scores.argmax(axis=1) == photos.labels).sum())
        low, high = wilson(right, len(photos))
        loss = fitted.contenders[0].log_loss
        print(f"  crop {crop:5}: accuracy {right / len(photos):.4f} ({low:.3f} to {high:.3f}), log loss {loss:.4f}")


if __name__ == "__main__":
    main()
