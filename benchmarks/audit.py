"""Claim: copies planted among 2 000 photos are found, few pairs are false, none crosses a split; seconds and memory.

    python benchmarks/audit.py path/to/class/folders [--photos 2000] [--copies 100] [--seed 0]

The photos are copied into a temporary folder, with `--copies` of each kind beside them, each of another photo. Pairs
that are found among the photos without any copies are counted apart: they are the set's own. With --own they are
listed, so that they can be looked at. The audit of the whole folder is timed with its features known.
"""

from __future__ import annotations

import argparse
import io
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from header import print_header
from kopal.audit import audit, find_twins
from kopal.datasets import Dataset, open_dataset
from kopal.features import Photos
from kopal.fit.world import ALONE
from kopal.log import silent
from kopal.recipes import Recipe
from kopal.splits import folds, parts
from kopal.ways import Circumstances, read_features

Change = Callable[[Image.Image, np.random.Generator], bytes]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--photos", type=int, default=2000)
    parser.add_argument("--copies", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--own", action="store_true")
    options = parser.parse_args()
    print_header(__doc__.splitlines()[0])
    whole = open_dataset(options.folder)
    rng = np.random.default_rng(options.seed)
    with tempfile.TemporaryDirectory() as scratch:
        chosen = np.sort(rng.permutation(len(whole))[: options.photos])
        root, planted = plant(whole, chosen.tolist(), options.copies, rng, Path(scratch) / "photos")
        os.environ["KOPAL_CACHE"] = str(Path(scratch) / "cache")
        photos = read(open_dataset(root))
        own = own_pairs(photos, planted)
        for name, features in (("features, hash and pixels", photos.features), ("hash and pixels", None)):
            print(f"\n{name}")
            show(photos, features, planted, own, options.own)
        split(photos, planted)
        timed(whole)


def plant(
    whole: Dataset, chosen: list[int], copies: int, rng: np.random.Generator, root: Path
) -> tuple[Path, dict[str, tuple[str, str]]]:
    """The folder, and for each planted file its kind and the file that it is a copy of."""
    for name in whole.classes:
        (root / name).mkdir(parents=True)
    written, planted = [], {}
    for index in chosen:
        file = root / whole.classes[whole.labels[index]] / f"{index}.jpg"
        file.write_bytes(whole.read(index))
        written.append(file)
    order = rng.permutation(len(written))
    for number, kind in enumerate(KINDS):
        for place in order[number * copies : (number + 1) * copies]:
            source = written[place]
            file = source.with_name(f"{source.stem} {kind}.jpg")
            file.write_bytes(KINDS[kind](ImageOps.exif_transpose(Image.open(source)).convert("RGB"), rng))
            if kind == "the same file":
                shutil.copy(source, file)
            planted[str(file)] = kind, str(source)
    return root, planted


def jpeg(image: Image.Image, quality: int = 90) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def cropped(image: Image.Image, rng: np.random.Generator) -> bytes:
    """Nine tenths of either side, anywhere."""
    width, height = (round(0.9 * side) for side in image.size)
    left, top = (int(rng.integers(0, side - kept + 1)) for side, kept in zip(image.size, (width, height), strict=True))
    return jpeg(image.crop((left, top, left + width, top + height)))


KINDS: dict[str, Change] = {
    "the same file": lambda image, rng: b"",
    "resized": lambda image, rng: jpeg(image.resize((image.width // 2, image.height // 2))),
    "quality 40": lambda image, rng: jpeg(image, 40),
    "cropped": cropped,
    "mirrored": lambda image, rng: jpeg(ImageOps.mirror(image)),
    "brightness": lambda image, rng: jpeg(ImageEnhance.Brightness(image).enhance(float(rng.choice([0.7, 1.3])))),
    "colour": lambda image, rng: jpeg(ImageEnhance.Color(image).enhance(0.3)),
}


def read(dataset: Dataset) -> Photos:
    return read_features(Recipe(), dataset, Circumstances(ALONE, time.perf_counter()), silent)[1]


def own_pairs(photos: Photos, planted: dict[str, tuple[str, str]]) -> set[tuple[str, str]]:
    """The pairs that are found where nothing was planted."""
    rows = np.array([place for place, name in enumerate(photos.names) if name not in planted])
    found = find_twins([photos.digests[row] for row in rows], photos.looks[rows], photos.features[rows])
    return {tuple(sorted(photos.names[rows[place]] for place in pair)) for pair in found.pairs}


def show(
    photos: Photos,
    features: np.ndarray | None,
    planted: dict[str, tuple[str, str]],
    own: set[tuple[str, str]],
    listed: bool,
) -> None:
    started = time.perf_counter()
    found = find_twins(photos.digests, photos.looks, features)
    spent = time.perf_counter() - started
    group = dict(zip(photos.names, found.groups.tolist(), strict=True))
    for kind in KINDS:
        mine = [(file, source) for file, (own_kind, source) in planted.items() if own_kind == kind]
        hits = sum(group[file] == group[source] for file, source in mine)
        print(f"  {kind:14} {hits} of {len(mine)} found")
    origin = {file: source for file, (_, source) in planted.items()}
    pairs = [tuple(sorted(photos.names[place] for place in pair)) for pair in found.pairs]
    roots = [tuple(sorted(origin.get(name, name) for name in pair)) for pair in pairs]
    false = [pair for pair in roots if pair[0] != pair[1] and pair not in own]
    print(f"  {len(pairs)} pairs reported, of which false {len(false)} ({len(false) / max(1, len(pairs)):.2%}),")
    print(f"  of the set itself {len(own)}; threshold {found.threshold:.3f}, largest group ", end="")
    print(f"{np.bincount(found.groups).max()}, crowds {[len(crowd) for crowd in found.crowds]}, {spent:.2f} s")
    if listed:
        for pair in sorted({*own, *false}):
            print("   ", "false" if pair in false else "own  ", *pair)


def split(photos: Photos, planted: dict[str, tuple[str, str]]) -> None:
    """How many planted pairs stand on two sides, by groups and by files alone."""
    _, groups = audit(photos, (), photos.features)
    place = {name: row for row, name in enumerate(photos.names)}
    pairs = [(place[file], place[source]) for file, (_, source) in planted.items()]
    linked = [(one, two) for one, two in pairs if groups[one] == groups[two]]
    for name, own in (("groups", groups), ("files", photos.groups)):
        fold = folds(photos.labels, own.tolist(), 5, 0)
        part = parts(photos.labels, own.tolist(), [0.1, 0.1], 0, photos.classes)
        crossing = [sum(side[one] != side[two] for one, two in pairs) for side in (fold, part)]
        of_linked = sum(fold[one] != fold[two] or part[one] != part[two] for one, two in linked)
        print(f"\nsplit by {name}: of {len(pairs)} planted pairs {crossing[0]} cross a fold, {crossing[1]} a part; of")
        print(f"  the {len(linked)} that were found, {of_linked}")


def timed(whole: Dataset) -> None:
    """The whole set once cold, once with everything known: reading and audit."""
    for name in ("cold", "warm"):
        started = time.perf_counter()
        photos = read(whole)
        between = time.perf_counter()
        found, groups = audit(replace(photos, groups=photos.groups), (), photos.features)
        now = time.perf_counter()
        print(f"\n{name}: {len(photos)} photos, read in {between - started:.1f} s, audited in {now - between:.2f} s")
    print(f"  {dict(found.counts())}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(f"  largest group {np.bincount(groups).max()}; peak {peak} MB")


if __name__ == "__main__":
    main()
