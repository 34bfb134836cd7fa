"""Claim: the softmax regression reaches scikit-learn's optimum in a fraction of its time.

    python benchmarks/logistic.py [--rows 3000] [--columns 1280] [--classes 10]

Random features with correlated columns and noisy labels; one path of penalties, both from the strongest down with a
warm start, both to the same tolerance, in turn; medians of three. Losses are of the last penalty, lower is better.
"""

from __future__ import annotations

import argparse
import statistics

import numpy as np
from sklearn.linear_model import LogisticRegression

from header import once, print_header
from kopal.arrays import log_softmax
from kopal.fit.logistic import fit_path
from kopal.recipes import Recipe


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--columns", type=int, default=1280)
    parser.add_argument("--classes", type=int, default=10)
    options = parser.parse_args()
    print_header(__doc__.splitlines()[0])
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(options.columns, options.columns)) / np.sqrt(np.arange(1, options.columns + 1))
    features = (rng.normal(size=(options.rows, options.columns)) @ mixing.T).astype(np.float32)
    truth = features @ rng.normal(size=(options.columns, options.classes)) + rng.gumbel(size=(options.rows, 1))
    labels = (truth + 20 * rng.gumbel(size=truth.shape)).argmax(axis=1)
    standardised = (features - features.mean(0)) / features.std(0)
    penalties = Recipe().penalties
    ones = np.ones(options.rows, np.float32)
    found: dict[str, np.ndarray] = {}

    def ours() -> None:
        path = fit_path(standardised, labels, ones, options.classes, penalties, Recipe().search_tolerance)
        found["kopal"] = path[-1].scores(standardised)

    def theirs() -> None:
        model = LogisticRegression(tol=Recipe().search_tolerance, warm_start=True, max_iter=1000)
        for penalty in penalties:
            model.set_params(C=1 / (penalty * options.rows)).fit(standardised, labels)
        found["scikit-learn"] = model.decision_function(standardised)

    ways = {"kopal": ours, "scikit-learn": theirs}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(3):
        for name, work in ways.items():
            times[name].append(once(work))
    for name in ways:
        loss = -log_softmax(found[name].astype(np.float64))[np.arange(options.rows), labels].mean()
        print(f"  {name:12} {statistics.median(times[name]):6.2f} s, cross-entropy {loss:.5f}")
    ratio = statistics.median(times["scikit-learn"]) / statistics.median(times["kopal"])
    print(f"  scikit-learn / kopal {ratio:.1f}")


if __name__ == "__main__":
    main()
