"""How long all heads take on cached features of 3 068 photos, and what each is worth there.

    python benchmarks/heads.py [features.npz]

One BLAS thread. Without a file, features are drawn: ten overlapping classes, 1 280 numbers that fall off as principal
components of real features do. A file has `f` (N, 1280) float32 and `y` (N,). Seconds are of the process, all
threads together, so that a busy machine does not count.
"""

from __future__ import annotations

import sys
from time import perf_counter, process_time

import numpy as np

from kopal.features import Photos
from kopal.fit.backbones import embedded_backbone
from kopal.fit.heads import learn
from kopal.recipes import recipe

N, D, K = 3068, 1280, 10


def drawn() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, K, N)
    spread = (1 + np.arange(D)) ** -0.4
    latent = (rng.normal(0, 1.0, (K, D))[labels] * (np.arange(D) < 60) + rng.normal(0, 1.5, (N, D))) * spread
    turn = np.linalg.qr(rng.normal(size=(D, D)))[0]
    return np.maximum(latent @ turn + 0.1, 0).astype(np.float32), labels


def main() -> None:
    if sys.argv[1:]:
        with np.load(sys.argv[1]) as file:
            features, labels = file["f"], file["y"]
    else:
        features, labels = drawn()
    count = len(labels)
    photos = Photos(
        tuple(f"class {index}" for index in range(int(labels.max()) + 1)),
        tuple(map(str, range(count))),
        labels,
        np.array(["train"] * count),
        tuple(str(index).encode() for index in range(count)),
        np.arange(count),
        features,
        None,
    )
    learn.perf_counter = process_time  # type: ignore[attr-defined]
    began, spent = perf_counter(), process_time()
    fitted = learn.learn(recipe(head="all"), photos, embedded_backbone("efficientnet-lite0"))
    for row in fitted.heads:
        print(
            f"{row.head:12} accuracy {row.accuracy:.3f}  log loss {row.log_loss:.3f}  "
            f"{row.seconds:5.1f} s  {row.bytes / 1e6:5.1f} MB"
        )
    print(
        f"{features.shape}: {process_time() - spent:.1f} s of the process, {perf_counter() - began:.1f} s by the clock"
    )


if __name__ == "__main__":
    main()
