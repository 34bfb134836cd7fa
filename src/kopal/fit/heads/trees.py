"""A decision tree, and a forest of them: questions about single features, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kopal.arrays import Features, Labels, Scores
from kopal.fit.heads.head import Head, HeadKind, Option, floored_log
from kopal.nets.fold import Weights
from kopal.nets.heads import NEARLY, Trees
from kopal.nets.layers import Layer

BLOCK = 4096
FEWEST_IN_LEAF = 2
"""Photos in a leaf of a single tree: one alone would be sure of what it cannot know."""
MOST_LEAVES = 256
"""Leaves of a tree in a forest: more make a larger file, and no better answers (3 068 photos: 0.80 against 0.81)."""


@dataclass(frozen=True)
class Tree:
    """Nodes 0..M-1, the root first: x[feature] ≤ threshold leads to `left`, else `right`; a leaf leads to itself.

    `shares` (M, K) of the classes; the other arrays (M,).
    """

    feature: NDArray[np.int64]
    threshold: NDArray[np.float32]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    shares: NDArray[np.float32]

    def reached(self, features: Features) -> NDArray[np.float32]:
        """Features (N, D) → the shares (N, K) of the leaf that each row falls into."""
        rows = np.arange(len(features))
        node = np.zeros(len(features), np.int64)
        while True:
            yes = features[rows, self.feature[node]] <= self.threshold[node]
            below = np.where(yes, self.left[node], self.right[node])
            if np.array_equal(below, node):
                return self.shares[node]
            node = below

    def until(self, leaves: int) -> Tree:
        """The tree as it was when it had so many leaves: the best split was made first, and each added two nodes."""
        kept = min(2 * leaves - 1, len(self.left))
        here = np.arange(kept)
        cut = self.right[:kept] >= kept
        left, right = (np.where(cut, here, below[:kept]) for below in (self.left, self.right))
        return Tree(self.feature[:kept], self.threshold[:kept], left, right, self.shares[:kept])

    def leaves(self) -> list[tuple[int, dict[int, int]]]:
        """Each leaf with the nodes on its path, and 1 for those whose answer is yes, -1 for no."""
        found = []
        ahead: list[tuple[int, dict[int, int]]] = [(0, {})]
        while ahead:
            node, path = ahead.pop()
            if self.left[node] == node:
                found.append((node, path))
            else:
                ahead += [(int(self.right[node]), path | {node: -1}), (int(self.left[node]), path | {node: 1})]
        return found


@dataclass(frozen=True)
class TreesHead:
    """One tree or many, whose shares are averaged."""

    trees: tuple[Tree, ...]

    def scores(self, features: Features) -> Scores:
        """Features (N, D) → scores (N, K)."""
        total = np.zeros((len(features), self.trees[0].shares.shape[1]), np.float32)
        for tree in self.trees:
            total += tree.reached(features)
        return floored_log(total / np.float32(len(self.trees)))

    def layer(self) -> Layer:
        """A Trees leaf."""
        leaves = max(len(tree.leaves()) for tree in self.trees)
        # A tree has one question fewer than leaves; the graph has at least one.
        return Trees(self.trees[0].shares.shape[1], len(self.trees), max(1, leaves - 1), leaves)

    def weights(self) -> Weights:
        """The leaf's arrays; what fills up the smaller trees is never reached."""
        layer = self.layer()
        assert isinstance(layer, Trees)
        arrays = {name: np.zeros(shape, np.float32) for name, shape in layer.shapes(0).items()}
        arrays["yeses"] += 1
        for number, tree in enumerate(self.trees):
            questions = np.flatnonzero(tree.left != np.arange(len(tree.left)))
            start = number * layer.questions
            arrays["features"][start : start + len(questions)] = tree.feature[questions]
            arrays["thresholds"][start : start + len(questions)] = tree.threshold[questions]
            place = {int(node): place for place, node in enumerate(questions)}
            for column, (leaf, path) in enumerate(tree.leaves()):
                for node, answer in path.items():
                    arrays["paths"][number, place[node], column] = answer
                arrays["yeses"][number, 0, column] = sum(answer == 1 for answer in path.values())
                arrays["shares"][number, column] = tree.shares[leaf]
        return arrays

    def holds(self) -> str:
        """Nothing of single photos but thresholds."""
        return ""


def fit_tree(
    features: Features,
    labels: Labels,
    weights: NDArray[np.float32],
    classes: int,
    options: Sequence[Option],
    seed: int,
) -> list[Head]:
    """A tree per option, of at most so many `leaves`."""
    from sklearn.tree import DecisionTreeClassifier  # noqa: PLC0415 - costs a second: only where it is wanted

    largest = max(int(option["leaves"]) for option in options)
    found = DecisionTreeClassifier(max_leaf_nodes=largest, min_samples_leaf=FEWEST_IN_LEAF, random_state=seed)
    grown = _read(found.fit(features, labels, sample_weight=weights).tree_)
    return [TreesHead((grown.until(int(option["leaves"])),)) for option in options]


def fit_forest(
    features: Features,
    labels: Labels,
    weights: NDArray[np.float32],
    classes: int,
    options: Sequence[Option],
    seed: int,
) -> list[Head]:
    """A forest per option, of so many `trees`, each grown on photos drawn with replacement."""
    from sklearn.ensemble import RandomForestClassifier  # noqa: PLC0415 - costs a second: only where it is wanted

    found: list[Head] = []
    for option in options:
        forest = RandomForestClassifier(int(option["trees"]), max_leaf_nodes=MOST_LEAVES, random_state=seed)
        forest.fit(features, labels, sample_weight=weights)
        found.append(TreesHead(tuple(_read(tree.tree_) for tree in forest.estimators_)))
    return found


def _read(tree: Any) -> Tree:
    """scikit-learn's arrays → ours.

    Thresholds lie midway between two photos' features. Of pixels, a third photo's may be exactly there, and which side
    it falls on must not hang on how a file and NumPy round: what is as good as equal counts as equal.
    """
    here = np.arange(tree.node_count)
    leaf = tree.children_left < 0
    threshold = (tree.threshold + NEARLY * np.maximum(1, np.abs(tree.threshold))).astype(np.float32)
    shares = tree.value[:, 0, :] / tree.value[:, 0, :].sum(axis=1, keepdims=True)
    return Tree(
        np.where(leaf, 0, tree.feature).astype(np.int64),
        np.where(leaf, np.float32(0), threshold),
        np.where(leaf, here, tree.children_left),
        np.where(leaf, here, tree.children_right),
        shares.astype(np.float32),
    )


TREE = HeadKind(
    "tree",
    fit_tree,
    tuple({"leaves": float(count)} for count in (8, 16, 32, 64)),
    tuple({"leaves": float(count)} for count in (16, 64)),
)
FOREST = HeadKind("forest", fit_forest, ({"trees": 100.0},), ({"trees": 50.0},))
