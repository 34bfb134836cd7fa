"""The linear classifier of the lecture, by gradient descent with the gradient derived by hand.

Three steps: choose the function (`scores`), choose the criterion (`loss`), adjust the parameters (`gradient`, and the
step in `LinearLearner.learn`). The same three serve pixels here and any table of numbers in `softmax_regression.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import numpy as np
from numpy.typing import NDArray

from kopal.arrays import Pixels, Scores, cross_entropy, log_softmax
from kopal.fit.learner import Targets, distributions
from kopal.fit.normalise import Normalisation
from kopal.heap import keep_heap

Matrix = NDArray[np.float32]

SIGMA = 0.001


def scores(x: Matrix, w: Matrix, b: Matrix) -> Matrix:
    """S = w·x + b for every row: x (N, D), w (K, D), b (K,) → (N, K)."""
    return x @ w.T + b


def loss(s: Matrix, p: Matrix) -> float:
    """L = mean of -Σ p log p̂, the cross-entropy of softmax(s) and the targets p, both (N, K)."""
    return float(cross_entropy(log_softmax(s), p).mean())


def gradient(x: Matrix, s: Matrix, p: Matrix) -> tuple[Matrix, Matrix]:
    """dL/dw = mean (p̂ - p) xᵀ and dL/db = mean (p̂ - p): x (N, D), s and p (N, K) → (K, D), (K,)."""
    residual: Matrix = ((np.exp(log_softmax(s)) - p) / len(x)).astype(x.dtype, copy=False)
    return residual.T @ x, residual.sum(axis=0)


def start(rng: np.random.Generator, classes: int, dimension: int, sigma: float = SIGMA) -> tuple[Matrix, Matrix]:
    """Small random w (K, D) and b (K,), normal with mean 0 and deviation `sigma`."""
    w = rng.normal(0, sigma, (classes, dimension)).astype(np.float32)
    return w, rng.normal(0, sigma, classes).astype(np.float32)


@final
class LinearLearner:
    """w and b under way: mini-batch steps with optional momentum and an L2 penalty on w.

    With a normalisation, w and b belong to normalised pixels, yet only raw ones are multiplied: (x - m) / d is affine,
    so it goes into w and b before the product and, by the chain rule, into the gradient after it. A batch of pixels is
    touched once instead of three times.
    """

    def __init__(
        self, normalisation: Normalisation | None, w: Matrix, b: Matrix, momentum: float = 0.0, penalty: float = 0.0
    ) -> None:
        keep_heap()
        self.w, self.b = w, b
        self._momentum, self._penalty = momentum, penalty
        self._velocity = np.zeros_like(w), np.zeros_like(b)
        self._folded = normalisation.rows(w.shape[1]) if normalisation else None

    def learn(self, pixels: Pixels, targets: Targets, rate: float, of: int = 0) -> float:
        """One step on one batch (N, H, W, C) with labels (N,) or distributions (N, K); see `Learner`."""
        return self.learn_rows(_rows(pixels), distributions(targets, len(self.b)), rate)

    def learn_rows(self, x: Matrix, p: Matrix, rate: float) -> float:
        """One step on rows x (N, D) with targets p (N, K); returns the loss before it, without the penalty."""
        s = scores(x, *self._for_raw())
        dw, db = gradient(x, s, p)
        if self._folded:
            mean, scale = self._folded
            dw = (dw - np.outer(db, mean)) * scale
        dw += np.float32(self._penalty) * self.w
        for parameter, slope, velocity in zip((self.w, self.b), (dw, db), self._velocity, strict=True):
            velocity *= np.float32(self._momentum)
            velocity += slope
            parameter -= np.float32(rate) * velocity
        return loss(s, p)

    def scores(self, pixels: Pixels) -> Scores:
        """Pixels (N, H, W, C) → scores (N, K)."""
        return scores(_rows(pixels), *self._for_raw())

    def weights(self) -> dict[str, Matrix]:
        """A copy of the parameters, by name."""
        return {"w": self.w.copy(), "b": self.b.copy()}

    def state(self) -> dict[str, Matrix]:
        """The parameters, and the velocities that momentum gives them."""
        return self.weights() | {f"velocity.{name}": v.copy() for name, v in zip("wb", self._velocity, strict=True)}

    def restore(self, state: Mapping[str, Matrix]) -> None:
        """The way back from `state`."""
        self.w, self.b = state["w"].copy(), state["b"].copy()
        self._velocity = state["velocity.w"].copy(), state["velocity.b"].copy()

    def _for_raw(self) -> tuple[Matrix, Matrix]:
        if not self._folded:
            return self.w, self.b
        mean, scale = self._folded
        w: Matrix = self.w * scale
        return w, (self.b - w @ mean).astype(np.float32)


def _rows(pixels: Pixels) -> Matrix:
    return pixels.reshape(len(pixels), -1).astype(np.float32)


def as_net_weights(
    w: Matrix, b: Matrix, normalisation: Normalisation, image: tuple[int, int, int]
) -> dict[str, Matrix]:
    """W and b for normalised rows (H, W, C) → the weights of `nets.linear`, which sees -1..1 in planes (C, H, W).

    Both maps are affine, so their composition is exact: the normalisation ends up inside the saved graph.
    """
    classes = len(b)
    per_pixel = w.reshape(classes, *image) / normalisation.deviation
    bias = b + (per_pixel * (127.5 - np.broadcast_to(normalisation.mean, image))).sum(axis=(1, 2, 3))
    planes = (per_pixel * 127.5).transpose(0, 3, 1, 2).reshape(classes, -1)
    return {"head.weight": planes.astype(np.float32), "head.bias": bias.astype(np.float32)}
