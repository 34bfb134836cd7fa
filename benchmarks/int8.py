"""Claim: features in int8 are faster than in float32 and cost less than half a point of accuracy.

    python benchmarks/int8.py FOLDER ... [--photos 600] [--net efficientnet-lite0] [--seeds 5]

A folder may also be digits or fashion-mnist. Speed is taken on the first one, float32 and int8 in turn in one process
as the pipeline runs them: decode alone, net alone, workers that do both, and the bound 1 / (1/decode + 1/net), the
fastest of 5 each: what is slower had company. Accuracy is out of fold on the same photos with a head of its own for
each seed, which deals the folds; with no seeds it is left out.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable

import numpy as np

from features import repeated
from header import once, print_header
from kopal import images
from kopal.datasets import Dataset, open_dataset
from kopal.features import Backbone, Photos, read
from kopal.fit.backbones import backbone_of
from kopal.fit.probe import choose, cross_fit, make_folds
from kopal.parallel import ordered
from kopal.recipes import Recipe

KINDS = ("float32", "int8")
ROUNDS = 5


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--photos", type=int, default=600)
    parser.add_argument("--net", default=Recipe.net)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    print_header(__doc__.splitlines()[0])
    backbones = {kind: backbone_of(Recipe(net=options.net, features=kind)) for kind in KINDS}
    sets = {folder: sample(folder, options.photos) for folder in options.folders}
    speed(next(iter(sets.values())), backbones)
    if not options.seeds:
        return
    print(f"\naccuracy out of fold, {options.seeds} seeds each")
    differences = [
        difference
        for folder, dataset in sets.items()
        for difference in compare(folder.rstrip("/").rsplit("/", 1)[-1], dataset, backbones, options.seeds)
    ]
    found = f"{np.mean(differences):+.2f} points ({min(differences):+.2f} to {max(differences):+.2f})"
    print(f"  int8 less float32, mean over {len(sets)} sets and their seeds: {found}")


def sample(folder: str, photos: int) -> Dataset:
    """Photos of the train part, drawn by seed 0."""
    whole = open_dataset(folder)
    own = [index for index, part in enumerate(whole.parts) if part == "train"]
    return whole.sample([int(index) for index in np.random.default_rng(0).permutation(own)[:photos]])


def speed(dataset: Dataset, backbones: dict[str, Backbone]) -> None:
    data = [dataset.read(index) for index in range(len(dataset))]
    geometry = backbones["int8"].geometry
    pixels = np.stack([images.read(photo, geometry) for photo in data[:64]])
    batches = repeated(pixels, len(data))
    ways: dict[str, Callable[[], object]] = {
        "decode": lambda: list(ordered(lambda photo: images.read(photo, geometry), data))
    }
    for kind, backbone in backbones.items():
        ways[f"net {kind}"] = lambda backbone=backbone: list(ordered(backbone.features, batches))
        ways[f"workers {kind}"] = lambda backbone=backbone: read(dataset, backbone, None)
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, work in ways.items():
            count = sum(map(len, batches)) if name.startswith("net") else len(data)
            rates[name].append(count / once(work))
    best = {name: max(found) for name, found in rates.items()}
    print(f"n = {len(data)} photos, photos a second, fastest of {ROUNDS} (median, least)")
    for name, found in rates.items():
        print(f"  {name:16} {best[name]:5.0f} ({statistics.median(found):.0f}, {min(found):.0f})")
    for kind in KINDS:
        bound = 1 / (1 / best["decode"] + 1 / best[f"net {kind}"])
        print(f"  bound {kind:10} {bound:5.0f}, the workers are at {best[f'workers {kind}'] / bound:.2f} of it")
    print(f"  the net alone in int8 is {best['net int8'] / best['net float32']:.2f} times as fast")


def compare(title: str, dataset: Dataset, backbones: dict[str, Backbone], seeds: int) -> list[float]:
    """A line for a set → the differences in accuracy, seed by seed, in points."""
    photos = {kind: read(dataset, backbone, None)[0] for kind, backbone in backbones.items()}
    first, second = (photos[kind].features for kind in KINDS)
    cosine = (first * second).sum(axis=1) / (np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1))
    right = {kind: [accuracy(own, seed) for seed in range(seeds)] for kind, own in photos.items()}
    differences = [100 * (less - more) for more, less in zip(right["float32"], right["int8"], strict=True)]
    print(
        f"  {title:20} n = {len(first):4}  cosine {cosine.mean():.4f} (least {cosine.min():.4f})  "
        f"float32 {np.mean(right['float32']):.4f}  int8 {np.mean(right['int8']):.4f}  "
        f"difference {np.mean(differences):+.2f} ({min(differences):+.2f} to {max(differences):+.2f})"
    )
    return differences


def accuracy(photos: Photos, seed: int) -> float:
    """Of the default head on these features, every photo judged by one that never saw it."""
    recipe, classes = Recipe(seed=seed), len(photos.classes)
    fold = make_folds(photos.labels, photos.digests, recipe)
    tried = cross_fit("features", photos.features, photos.labels, classes, fold, recipe, lambda: None)
    chosen = choose([tried], photos.labels, classes, fold, recipe)
    return float((chosen.scores.argmax(axis=1) == photos.labels).mean())


if __name__ == "__main__":
    main()
