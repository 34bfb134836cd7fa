"""Claim: photos in, features out at 0.95 or more of 1 / (1/decode + 1/net), both measured alone on all cores.

    python benchmarks/features.py path/to/class/folders [--photos 600]

Compares workers that each decode and run a one-thread session (what kopal does) with a pool that decodes beside one
session on all threads. Both orders are run in turn in one process; the numbers are medians of three.
"""

from __future__ import annotations

import argparse
import statistics
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime

from header import once, print_header
from kopal import images
from kopal.backends.onnx_backend import feature_model
from kopal.classifier import BATCH
from kopal.datasets import open_dataset
from kopal.features import Backbone, read
from kopal.fit.backbones import embedded_backbone
from kopal.parallel import chunks, cores, ordered


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--photos", type=int, default=600)
    options = parser.parse_args()
    print_header(__doc__.splitlines()[0])
    backbone = embedded_backbone("efficientnet-lite0")
    whole = open_dataset(options.folder)
    chosen = np.random.default_rng(0).permutation(len(whole))[: options.photos]
    dataset = whole.sample([int(index) for index in chosen])
    data = [dataset.read(index) for index in range(len(dataset))]
    pixels = np.stack([images.read(photo, backbone.geometry) for photo in data[:64]])
    wide = wide_session(backbone)
    ways = {
        "decode alone": lambda: list(ordered(lambda photo: images.read(photo, backbone.geometry), data)),
        "net alone": lambda: list(ordered(backbone.features, repeated(pixels, len(data)))),
        "workers (kopal)": lambda: read(dataset, backbone, None),
        "pool + wide session": lambda: pool_beside_session(data, backbone, wide),
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(3):
        for name, work in ways.items():
            rates[name].append(len(data) / once(work))
    medians = {name: statistics.median(found) for name, found in rates.items()}
    bound = 1 / (1 / medians["decode alone"] + 1 / medians["net alone"])
    print(f"n = {len(data)} photos, batches of {BATCH}, medians of 3 (min to max)")
    for name, found in rates.items():
        print(f"  {name:20} {medians[name]:6.0f}/s  ({min(found):.0f} to {max(found):.0f})")
    print(f"  {'bound':20} {bound:6.0f}/s")
    for name in ("workers (kopal)", "pool + wide session"):
        print(f"  {name:20} {medians[name] / bound:6.2f} of the bound")


def repeated(pixels: np.ndarray, count: int) -> list[np.ndarray]:
    batches = [np.ascontiguousarray(pixels[at : at + BATCH]) for at in range(0, len(pixels), BATCH)]
    return [batches[index % len(batches)] for index in range(count // BATCH)]


def wide_session(backbone: Backbone) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = cores()
    graph = feature_model(backbone.net, backbone.weights).SerializeToString()
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def pool_beside_session(data: list[bytes], backbone: Backbone, wide: onnxruntime.InferenceSession) -> None:
    with ThreadPoolExecutor(cores()) as pool:
        decoded = pool.map(lambda photo: images.read(photo, backbone.geometry), data)
        for chunk in chunks(decoded, BATCH):
            wide.run(None, {"pixels": np.stack(chunk)})


if __name__ == "__main__":
    main()
