"""Claim: as many suspects as there are wrong labels hold 60 % of those, twice as many 85 %, of 5 % that were planted.

    python benchmarks/wrong_labels.py FOLDER... [--seeds 5] [--share 0.05]

FOLDER may be `digits`. Features come through the store, once. Per seed, labels of that share of the train photos are
moved to another class, drawn evenly; the heads are fitted anew on the labels as they then stand, and their out-of-fold
probabilities, calibrated, go to `suspects.wrong_labels`. The photos' own wrong labels count as false alarms.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

import numpy as np

from header import print_header
from kopal.arrays import softmax
from kopal.audit.suspects import WrongLabel, nearest_others, neighbour_votes, wrong_labels
from kopal.datasets import open_dataset
from kopal.features import Backbone, Photos, read
from kopal.fit.backbones import embedded_backbone
from kopal.fit.heads.learn import learn
from kopal.pipeline import calibrate
from kopal.recipes import recipe
from kopal.store import Store, cache_folder

Way = Callable[[np.ndarray, Photos], list[WrongLabel]]
WAYS: dict[str, Way] = {
    "probabilities alone": lambda shares, photos: wrong_labels(shares, photos.labels, photos.classes),
    "neighbours alone": lambda shares, photos: wrong_labels(votes(photos), photos.labels, photos.classes),
    "both (kopal)": lambda shares, photos: wrong_labels(shares, photos.labels, photos.classes, photos.features),
}


def votes(photos: Photos) -> np.ndarray:
    return neighbour_votes(nearest_others(photos.features), photos.labels, len(photos.classes))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--share", type=float, default=0.05)
    options = parser.parse_args()
    print_header(__doc__.splitlines()[0])
    backbone = embedded_backbone("efficientnet-lite0")
    for folder in options.folders:
        photos = read_once(folder, backbone)
        found: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
        for seed in range(options.seeds):
            planted, wrong = plant(photos, options.share, seed)
            fitted = learn(recipe("quick", seed=seed), planted, backbone)
            shares = softmax(fitted.scores / np.float32(calibrate(fitted, planted))).astype(np.float32)
            for way, find in WAYS.items():
                places = [suspect.place for suspect in find(shares, planted)]
                hits, k = np.isin(places, wrong), len(wrong)
                found[way].append((hits[:k].sum() / k, hits[: 2 * k].sum() / k))
        print(f"{folder}: {len(photos)} photos, {len(wrong)} planted, n = {options.seeds} seeds")
        for way, rows in found.items():
            told = (f"{np.mean(part):.3f} ({min(part):.3f} to {max(part):.3f})" for part in zip(*rows, strict=True))
            precision, recall = told
            print(f"  {way:20} precision at k {precision}   recall within 2k {recall}")


def read_once(folder: str, backbone: Backbone) -> Photos:
    """The train part of a set."""
    with closing(Store(cache_folder(), backbone.context)) as store:
        photos, _ = read(open_dataset(folder).only("train"), backbone, store)
    return photos


def plant(photos: Photos, share: float, seed: int) -> tuple[Photos, np.ndarray]:
    """The photos with wrong labels among them, and their rows."""
    rng = np.random.default_rng(seed)
    wrong = rng.choice(len(photos), round(share * len(photos)), replace=False)
    labels, classes = photos.labels.copy(), len(photos.classes)
    labels[wrong] = (labels[wrong] + rng.integers(1, classes, len(wrong))) % classes
    return replace(photos, labels=labels), wrong


if __name__ == "__main__":
    main()
