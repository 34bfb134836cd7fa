"""The bootstrap: how much a number would differ on other photos of the same kind, by drawing the photos again.

Efron 1979. Drawing photos with replacement is drawing the cells of their confusion table, which takes no photos.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kopal.metrics import f1_interval

RESAMPLES, DRAWS = 1000, 10_000_000
"""As many resamples, fewer where photos x resamples would be more draws than that; 200 at the least."""
CHUNK = 1 << 20


def resamples(photos: int) -> int:
    """How often photos are drawn again: a thousand times, or as often as takes about a second."""
    return max(200, min(RESAMPLES, DRAWS // max(1, photos)))


def macro_f1(table: NDArray[np.int64]) -> float:
    """A confusion table (K, K) → the mean F1 of the classes that have photos."""
    rows, columns = np.nonzero(table)
    return float(_macro_f1(table[rows, columns][None].astype(np.float64), rows, columns)[0])


def macro_f1_interval(table: NDArray[np.int64], seed: int = 0) -> tuple[float, float]:
    """The 95 % percentile interval of the macro F1 by the bootstrap, for a confusion table (K, K).

    Without an error in the table no resample holds one; then it is Wilson's, of all photos together.
    """
    n, hits = int(table.sum()), int(np.trace(table))
    if hits == n:
        return f1_interval(hits, 0)
    rng = np.random.default_rng(seed)
    rows, columns = np.nonzero(table)
    left, found = resamples(n), []
    while left > 0:
        drawn = rng.multinomial(n, table[rows, columns] / n, min(left, max(1, CHUNK // len(rows))))
        found.append(_macro_f1(drawn.astype(np.float64), rows, columns))
        left -= len(drawn)
    low, high = np.quantile(np.concatenate(found), (0.025, 0.975))
    return float(low), float(high)


def _macro_f1(drawn: NDArray[np.float64], rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.float64]:
    """Photos (B, C) in the cells at (row, column) of B tables → (B,); a class without photos in one counts not there.

    The cells stand in the order of their rows.
    """
    present, starts = np.unique(rows, return_index=True)
    was = np.add.reduceat(drawn, starts, axis=1)
    by_column = np.argsort(columns, kind="stable")
    named, starts = np.unique(columns[by_column], return_index=True)
    size = len(drawn), int(max(rows.max(), columns.max())) + 1
    said, hits = np.zeros(size), np.zeros(size)
    said[:, named] = np.add.reduceat(drawn[:, by_column], starts, axis=1)
    diagonal = rows == columns
    hits[:, rows[diagonal]] = drawn[:, diagonal]
    f1 = 2 * hits[:, present] / np.maximum(was + said[:, present], 1)
    return np.asarray((f1 * (was > 0)).sum(axis=1) / (was > 0).sum(axis=1))
