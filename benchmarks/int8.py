"""Claim: features in int8 are faster than in float32 and cost less than half a point of accuracy.

    python benchmarks/int8.py FOLDER ... [--photos 600] [--net efficientnet-lite0] [--seeds 5]

A folder may also be digits or fashion-mnist. Speed is taken on the first one, float32 and int8 in turn in one process
as the pipeline runs them: decode alone, net alone, workers that do both, and the bound 1 / (1/decode + 1/net), medians
of 3. Accuracy is out of fold on the same photos with a head of its own for each seed, which deals the folds.
"""

from __future__ import annotations

import argparse
import statistics

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
    decode: list[float] = []
    rates: dict[str, list[float]] = {f"{what} {kind}": [] for what in ("net", "workers") for kind in KINDS}
    for _ in range(3):
        decode.append(len(data) / once(lambda: list(ordered(lambda photo: images.read(photo, geometry), data))))
        for kind, backbone in backbones.items():
            batches = repeated(pixels, len(data))
            run = once(lambda backbone=backbone, batches=batches: list(ordered(backbone.features, batches)))
            rates[f"net {kind}"].append(sum(map(len, batches)) / run)
            rates[f"workers {kind}"].append(len(data) / once(lambda backbone=backbone: read(dataset, backbone, None)))
    print(f"n = {len(data)} photos, medians of 3 (least to most), photos a second")
    for name, found in {"decode": decode, **rates}.items():
        print(f"  {name:16} {statistics.median(found):5.0f} ({min(found):.0f} to {max(found):.0f})")
    for kind in KINDS:
        net, workers = (statistics.median(rates[f"{what} {kind}"]) for what in ("net", "workers"))
        bound = 1 / (1 / statistics.median(decode) + 1 / net)
        print(f"  bound {kind:10} {bound:5.0f}, the workers are at {workers / bound:.2f} of it")
    ratio = statistics.median(rates["net int8"]) / statistics.median(rates["net float32"])
    print(f"  the net alone in int8 is {ratio:.2f} times as fast")


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
