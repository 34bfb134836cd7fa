"""Claim: `unknown` tells photos of a class that was left out by 0.05 AUROC better than the largest softmax does.

    python benchmarks/unknown.py FOLDER... [--splits 50] [--photos 900]

FOLDER may be `digits`. Features come through the store, once; those of the kind that kopal's head takes are used.
Left out: each class in turn; what measures distances is chosen and fitted on four fifths of the others, as is a
softmax regression at the penalty that won on all; the last fifth is known, the class left out is not. Between sets:
four fifths of one are known, the other is not. False alarms: per split, `--photos` photos are drawn, two thirds to fit
on, one third is new. Seconds are of the process, one BLAS thread.
"""

from __future__ import annotations

import argparse
from contextlib import closing
from dataclasses import dataclass
from itertools import compress, permutations
from time import process_time

import numpy as np

from header import print_header
from kopal.arrays import softmax
from kopal.datasets import open_dataset
from kopal.features import Photos, read
from kopal.fit.backbones import embedded_backbone
from kopal.fit.fitted import Fitted
from kopal.fit.heads.learn import learn
from kopal.fit.logistic import fit_path
from kopal.novelty import auroc
from kopal.pipeline import assemble
from kopal.recipes import Recipe, recipe
from kopal.splits import folds
from kopal.store import Store, cache_folder
from kopal.unknown import fit_unknown, of_features


@dataclass(frozen=True)
class Known:
    """The train part of a set: features (N, D) of the kind that its head takes, and the penalties down to its own."""

    name: str
    features: np.ndarray
    labels: np.ndarray
    digests: list[bytes]
    penalties: tuple[float, ...]

    def of(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[bytes]]:
        """What some photos (N,) of truth values have."""
        return self.features[rows], self.labels[rows], list(compress(self.digests, rows))

    def fold(self, seed: int = 0) -> np.ndarray:
        """A fifth for each photo."""
        return folds(self.labels, self.digests, 5, seed)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--splits", type=int, default=50)
    parser.add_argument("--photos", type=int, default=900)
    options = parser.parse_args()
    print_header(__doc__.splitlines()[0])
    sets = [prepared(folder) for folder in options.folders]
    gains = []
    for one in sets:
        rows = np.array([left_out(one, label) for label in np.unique(one.labels)])
        ours, softmaxs = rows.mean(axis=0)
        gains.append(ours - softmaxs)
        print(f"{one.name}: class left out, mean of {len(rows)}: unknown {ours:.3f}, largest softmax {softmaxs:.3f}")
    print(f"mean gain {np.mean(gains):.3f}")
    for one, other in permutations(sets, 2):
        if one.features.shape[1] == other.features.shape[1]:
            print(f"{one.name} known, {other.name} not: {between(one, other):.3f}")
    for one in sets:
        alarms = [false_alarms(one, seed, options.photos) for seed in range(options.splits)]
        print(
            f"{one.name}: false alarms {np.mean(alarms):.3f} (deviation of a split {np.std(alarms):.3f}), "
            f"n = {options.splits} splits"
        )


def prepared(folder: str) -> Known:
    backbone, made = embedded_backbone("efficientnet-lite0"), recipe("quick")
    with closing(Store(cache_folder(), backbone.context)) as store:
        photos, _ = read(open_dataset(folder).only("train"), backbone, store)
    fitted = learn(made, photos, backbone)
    cost(folder, fitted, photos, made)
    penalties = made.penalties[: made.penalties.index(fitted.penalty) + 1]
    return Known(folder, fitted.features, photos.labels, list(photos.digests), penalties)


def cost(folder: str, fitted: Fitted, photos: Photos, made: Recipe) -> None:
    started = process_time()
    unknown = fit_unknown(fitted, photos)
    spent = process_time() - started
    sizes = [assemble(fitted, 1.0, photos, made, found).size for found in (unknown, None)]
    print(
        f"{folder}: {len(photos)} photos, {fitted.features.shape[1]} features of {fitted.net.name}: "
        f"{spent:.1f} s, {sizes[0] - sizes[1]:,} bytes on top of {sizes[1]:,}; AUROC told {unknown.auroc:.3f}, "
        f"{unknown.in_words()}"
    )


def left_out(one: Known, label: int) -> tuple[float, float]:
    held = one.fold() == label % 5
    kept, known = (one.labels != label) & ~held, (one.labels != label) & held
    features, labels, digests = one.of(kept)
    way = of_features(features, labels, digests).novelty
    known_features, strange = one.features[known], one.features[one.labels == label]
    present, compact = np.unique(labels, return_inverse=True)
    head = fit_path(features, compact, np.ones(len(labels), np.float32), len(present), one.penalties, 1e-3)[-1]
    doubt = [1 - softmax(head.scores(some)).max(axis=1) for some in (known_features, strange)]
    return auroc(way.distances(known_features), way.distances(strange)), auroc(*doubt)


def between(one: Known, other: Known) -> float:
    held = one.fold() == 0
    way = of_features(*one.of(~held)).novelty
    return auroc(way.distances(one.features[held]), way.distances(other.features))


def false_alarms(one: Known, seed: int, count: int) -> float:
    order = np.random.default_rng(seed).permutation(len(one.labels))[:count]
    old, new = (np.isin(np.arange(len(one.labels)), rows) for rows in np.split(order, [len(order) * 2 // 3]))
    found = of_features(*one.of(old), seed=seed)
    return float((found.novelty.distances(one.features[new]) > found.limit).mean())


if __name__ == "__main__":
    main()
