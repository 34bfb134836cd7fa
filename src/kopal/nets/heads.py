"""Heads that are no layers of a net: leaves, all the same, that take features (N, D) and give scores (N, K).

A linear head and a net with a hidden layer need no leaf of their own. The formulas stand beside each leaf; what the
arrays hold is found by `fit/heads/`, and written as nodes by `backends/onnx_heads.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

Shapes: TypeAlias = Mapping[str, tuple[int, ...]]

FLOOR = 1e-6
"""The least probability of which a head that only gives probabilities takes the logarithm."""

NEARLY = 1e-6
"""Numbers closer than this are equal: which of two equal photos is nearer must not hang on how a sum was rounded."""


@dataclass(frozen=True)
class KernelMachine:
    """Σ_v exp(-gamma · ‖z - v‖²) · coefficients_v + bias, with z = (x - mean) · scale: a Gaussian kernel's SVM.

    `vectors` (V, D), `coefficients` (V, K), `bias` (K,), `mean` and `scale` (D,).
    """

    classes: int
    vectors: int
    gamma: float

    def words(self) -> str:
        """As on a slide."""
        return f"Gaussian kernel, {self.vectors} support vectors"

    def shapes(self, dimension: int) -> Shapes:
        """The arrays by name, for D features."""
        vectors = {"vectors": (self.vectors, dimension), "coefficients": (self.vectors, self.classes)}
        return {**vectors, "bias": (self.classes,), "mean": (dimension,), "scale": (dimension,)}


@dataclass(frozen=True)
class Neighbours:
    """log max(p, 1e-6), where the `nearest` references vote for their class, with weight exp((cos - 1) / width).

    The angle is that of x - mean and a reference; those that are as near as the last one that counts, count too.
    `references` (M, D) have length 1, `votes` (M, K) have each its weight in the column of its class, `mean` (D,).
    """

    classes: int
    references: int
    nearest: int
    width: float

    def words(self) -> str:
        """As on a slide."""
        return f"{self.nearest} nearest of {self.references}"

    def shapes(self, dimension: int) -> Shapes:
        """The arrays by name, for D features."""
        votes = (self.references, self.classes)
        return {"references": (self.references, dimension), "votes": votes, "mean": (dimension,)}


@dataclass(frozen=True)
class GaussianBayes:
    """z² · squaresᵀ + z · linearᵀ + bias, with z = (x - mean) · scale: the log of a normal density per class.

    `squares` and `linear` (K, D), `bias` (K,), `mean` and `scale` (D,).
    """

    classes: int

    def words(self) -> str:
        """As on a slide."""
        return "naive Bayes"

    def shapes(self, dimension: int) -> Shapes:
        """The arrays by name, for D features."""
        rows = (self.classes, dimension)
        return {"squares": rows, "linear": rows, "bias": (self.classes,), "mean": (dimension,), "scale": (dimension,)}


@dataclass(frozen=True)
class Trees:
    """log max(p, 1e-6), where p is the mean over T trees of the shares of the classes in the leaf that x falls into.

    Every question, x[feature] ≤ threshold, is asked at once. A leaf is reached where as many answers on its path are
    yes, less those that should have been no, as its path has yeses: `paths` (T, Q, L) holds 1 and -1 for them, `yeses`
    (T, 1, L) their number. `features` and `thresholds` (T · Q,), `shares` (T, L, K). Trees with fewer questions or
    leaves than the largest are filled up by ones that are never reached.
    """

    classes: int
    trees: int
    questions: int
    leaves: int

    def words(self) -> str:
        """As on a slide."""
        return f"{self.trees} trees of {self.leaves} leaves" if self.trees > 1 else f"a tree of {self.leaves} leaves"

    def shapes(self, dimension: int) -> Shapes:
        """The arrays by name, for D features."""
        asked = (self.trees * self.questions,)
        return {
            "features": asked,
            "thresholds": asked,
            "paths": (self.trees, self.questions, self.leaves),
            "yeses": (self.trees, 1, self.leaves),
            "shares": (self.trees, self.leaves, self.classes),
        }


HeadLeaf: TypeAlias = KernelMachine | Neighbours | GaussianBayes | Trees
