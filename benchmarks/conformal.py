"""Whether promises are kept: coverage over random splits, in the worst class, on hard photos, out of fold; errors.

    python benchmarks/conformal.py [features.npz] [--splits 300]

Without a file, noisy digits of scikit-learn. A file has `f` (N, D) float32 and `y` (N,). A softmax regression learns
from 300 photos (a file: from half), the rest are dealt anew for every split. ± is the standard error over splits.
"""

from __future__ import annotations

import argparse
from math import ceil

import numpy as np
from sklearn.datasets import load_digits

from header import print_header
from kopal.fit.logistic import fit_path
from kopal.splits import folds
from kopal.trust.calibrate import fit_temperature
from kopal.trust.conformal import choices, fit_sets, oddness, quantile
from kopal.trust.reliability import confidences, probabilities_of
from kopal.trust.selective import choose_floor

PENALTY, TOLERANCE = 0.03, 1e-3
Arrays = tuple[np.ndarray, np.ndarray]


def noisy_digits(deviation: float) -> Arrays:
    pixels, labels = load_digits(return_X_y=True)
    noise = np.random.default_rng(0).normal(0, deviation, pixels.shape)
    return (pixels / 16 + noise).astype(np.float32), labels.astype(np.int64)


def fitted(features: np.ndarray, labels: np.ndarray):
    ones, classes = np.ones(len(labels), np.float32), int(labels.max()) + 1
    return fit_path(features, labels, ones, classes, (1.0, 0.1, PENALTY), TOLERANCE)[-1]


def told(values: list[float]) -> str:
    return f"{np.mean(values):.4f} ± {np.std(values) / len(values) ** 0.5:.4f}"


def coverage_over_splits(scores: np.ndarray, labels: np.ndarray, splits: int) -> None:
    probabilities = probabilities_of(scores, 1.0)
    odd = oddness(probabilities, "lac")[np.arange(len(labels)), labels]
    rules = {"⌈(n + 1) c⌉": quantile, "⌈n c⌉, wrong": lambda own, c: np.sort(own)[ceil(len(own) * c) - 1]}
    for coverage in (0.9, 0.95):
        for name, rule in rules.items():
            rng, found = np.random.default_rng(1), []
            for _ in range(splits):
                dealt = rng.permutation(odd)
                found.append(float(np.mean(dealt[50:] <= rule(dealt[:50], coverage))))
            print(f"{name:13} at {coverage:.2f}, 50 photos: {told(found)}, exact {ceil(51 * coverage) / 51:.4f}")
    rng, found = np.random.default_rng(1), []
    for _ in range(splits):
        dealt = rng.permutation(len(labels))
        own, new = dealt[:200], dealt[200:]
        heat = fit_temperature(scores[own], labels[own])
        sets = fit_sets(probabilities_of(scores[own], heat), labels[own], "lac")
        members = sets.members(probabilities_of(scores[new], heat), 0.9)
        found.append(float(members[np.arange(len(new)), labels[new]].mean()))
    print(f"temperature from the same 200 photos: {told(found)}, exact {ceil(201 * 0.9) / 201:.4f}")


def methods(scores: np.ndarray, labels: np.ndarray, splits: int) -> None:
    probabilities = probabilities_of(scores, 1.0)
    hard = np.argsort(probabilities.max(axis=1))[: len(labels) // 10]
    right = confidences(probabilities, labels)[1].mean()
    print(f"\naccuracy {right:.3f}, 0.9 from half of the photos: shares of sets with no name, one, two or three")
    print("method  coverage  worst class  least sure tenth  names   none    one    few")
    for method in choices():
        rng, rows, by_class, sizes = np.random.default_rng(2), [], [], []
        for _ in range(max(20, splits // 5)):
            dealt = rng.permutation(len(labels))
            own, new = dealt[: len(labels) // 2], dealt[len(labels) // 2 :]
            members = fit_sets(probabilities[own], labels[own], method).members(probabilities[new], 0.9)
            hit = members[np.arange(len(new)), labels[new]]
            size = members.sum(axis=1)
            rows.append((hit.mean(), hit[np.isin(new, hard)].mean()))
            sizes.append((size.mean(), (size == 0).mean(), (size == 1).mean(), np.isin(size, (2, 3)).mean()))
            by_class.append([hit[labels[new] == label].mean() for label in range(int(labels.max()) + 1)])
        whole, least_sure = np.mean(rows, axis=0)
        names, none, one, few = np.mean(sizes, axis=0)
        worst = np.mean(by_class, axis=0).min()
        print(
            f"{method:9}  {whole:.3f}        {worst:.3f}             {least_sure:.3f}   {names:.2f}  "
            f"{none:.3f}  {one:.3f}  {few:.3f}"
        )


def out_of_fold(features: np.ndarray, labels: np.ndarray, repeats: int = 12) -> None:
    """Thresholds from scores out of fold, kept by a head that has learned from all of these photos."""
    found = []
    for seed in range(repeats):
        dealt = np.random.default_rng(seed).permutation(len(labels))
        own, new = dealt[: len(labels) // 3], dealt[len(labels) // 3 :]
        fold = folds(labels[own], own.tolist(), 5, seed)
        scores = np.empty((len(own), int(labels.max()) + 1), np.float32)
        for held in range(5):
            out = fold == held
            scores[out] = fitted(features[own][~out], labels[own][~out]).scores(features[own][out])
        sets = fit_sets(probabilities_of(scores, 1.0), labels[own], "lac", out_of_fold=True)
        answers = probabilities_of(fitted(features[own], labels[own]).scores(features[new]), 1.0)
        found.append(float(sets.members(answers, 0.9)[np.arange(len(new)), labels[new]].mean()))
    print(f"\nout of fold, {len(own)} photos, {repeats} draws: coverage {told(found)}, promised 0.9")


def errors(trainings: int) -> None:
    """Honest confidences, so that the true share of errors from any of them on is known."""
    rng = np.random.default_rng(10_000)
    everyone = np.sort(1 - 0.5 * rng.random(400_000) ** 3)[::-1]
    risk = np.cumsum(1 - everyone) / np.arange(1, len(everyone) + 1)
    most = (risk <= 0.02).mean()
    print()
    for n in (200, 500, 2000, 10_000):
        broken, accepted, refused = 0, [], 0
        for seed in range(trainings):
            rng = np.random.default_rng(seed)
            confidence = 1 - 0.5 * rng.random(n) ** 3
            floor = choose_floor(confidence, rng.random(n) < confidence, 0.02)
            refused += floor is None
            if floor:
                accepted.append(floor.accepted / n)
                broken += risk[np.searchsorted(-everyone, -floor.confidence) - 1] > 0.02
        share = f"{np.mean(accepted):.2f}" if accepted else "none"
        print(
            f"errors below 0.02 from {n} photos: broken in {broken / trainings:.3f} of {trainings}, not promised in "
            f"{refused / trainings:.2f}, answers {share} (at best {most:.2f})"
        )


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("file", nargs="?")
    options.add_argument("--splits", type=int, default=300)
    chosen = options.parse_args()
    print_header("Promises of coverage and of errors are kept")
    if chosen.file:
        with np.load(chosen.file) as file:
            features, labels = file["f"], file["y"].astype(np.int64)
        order = np.random.default_rng(0).permutation(len(labels))
        features, labels, learned = features[order], labels[order], len(labels) // 2
    else:
        (features, labels), learned = noisy_digits(0.35), 300
    scores = fitted(features[:learned], labels[:learned]).scores(features[learned:])
    right = confidences(probabilities_of(scores, 1.0), labels[learned:])[1]
    print(f"{len(labels) - learned} photos that a model of accuracy {right.mean():.3f} never saw")
    coverage_over_splits(scores, labels[learned:], chosen.splits)
    methods(scores, labels[learned:], chosen.splits)
    if not chosen.file:
        clear, labels = noisy_digits(0.1)
        methods(fitted(clear[:learned], labels[:learned]).scores(clear[learned:]), labels[learned:], chosen.splits)
    out_of_fold(features, labels)
    errors(chosen.splits)


if __name__ == "__main__":
    main()
