"""How alike two thumbnails are once one is laid over the other: mirrored, cropped, brighter or not.

First every window that a crop may have left is tried on coarse thumbnails; then the best one is moved and stretched
until it fits (Gauss-Newton on position, size, contrast and brightness: Lucas and Kanade 1981). What is compared in the
end is local structure, pixels without the mean of their neighbourhood over its deviation, so that a bright object on
an even ground does not make two photos alike by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from kopal.looks import SIDE
from kopal.parallel import ordered

Planes = NDArray[np.float32]
"""(N, H, W) grey."""

COARSE = SIDE // 2
SHARES = ((1.0, 1), (0.95, 3), (0.9, 3), (0.85, 3), (0.8, 3))
"""The share of each side that a crop may have left, and at how many offsets it is tried along each side."""

STEPS = 3
AT_ONCE = 256
NOISE = 4.0
"""Grey levels of deviation below which a neighbourhood counts as even."""


@dataclass(frozen=True)
class Pairs:
    """Pairs of thumbnails: the window of `whole` that looks most like all of `part`, row by row.

    `mirrored` where it is the mirrored `part` that it looks like. `window` (P, 4): centre and size in y, then in x, in
    pixels of a thumbnail. `alike` (P,) is the correlation of coarse thumbnails there.
    """

    whole: NDArray[np.int64]
    part: NDArray[np.int64]
    mirrored: NDArray[np.bool_]
    window: NDArray[np.float32]
    alike: NDArray[np.float32]

    def at(self, rows: NDArray[np.integer] | NDArray[np.bool_] | slice) -> Pairs:
        """Some of them."""
        return Pairs(self.whole[rows], self.part[rows], self.mirrored[rows], self.window[rows], self.alike[rows])


def overlay(thumbnails: Planes, pairs: NDArray[np.int64]) -> Pairs:
    """Thumbnails (N, 32, 32) and pairs of rows (P, 2) → how each pair fits best, either way round, mirrored or not."""
    if not len(pairs):
        none = np.empty(0, np.int64)
        return Pairs(none, none, np.empty(0, bool), np.empty((0, 4), np.float32), np.empty(0, np.float32))
    coarse = thumbnails.reshape(len(thumbnails), COARSE, 2, COARSE, 2).mean(axis=(2, 4))
    targets = _normed(np.stack([coarse, coarse[:, :, ::-1]], axis=1).reshape(len(coarse), 2, -1))
    windows, operators = _windows()
    both = np.concatenate([pairs, pairs[:, ::-1]])
    order = np.argsort(both[:, 0], kind="stable")
    wholes, starts = np.unique(both[order, 0], return_index=True)
    asked = np.split(order, starts[1:])
    found = np.empty((len(both), 3), np.float32)

    def look(some: slice) -> None:
        for rows, views in zip(asked[some], _views(coarse[wholes[some]], operators), strict=True):
            parts = targets[both[rows, 1]]
            cosines = (parts.reshape(-1, parts.shape[-1]) @ views.T).reshape(len(rows), -1)
            best = cosines.argmax(axis=1)
            found[rows, 0] = cosines[np.arange(len(rows)), best]
            found[rows, 1], found[rows, 2] = np.divmod(best, len(windows))

    _side_by_side(look, len(asked))
    first, second = found[: len(pairs)], found[len(pairs) :]
    turned = second[:, 0] > first[:, 0]
    best_found = np.where(turned[:, None], second, first)
    whole = np.where(turned, pairs[:, 1], pairs[:, 0])
    part = np.where(turned, pairs[:, 0], pairs[:, 1])
    return Pairs(whole, part, best_found[:, 1] > 0, windows[best_found[:, 2].astype(int)], best_found[:, 0])


def structure_alike(thumbnails: Planes, pairs: Pairs) -> NDArray[np.float32]:
    """The correlation (P,) of local structure, each pair's window moved and stretched until it fits best."""
    found = np.empty(len(pairs.whole), np.float32)

    def compare(some: slice) -> None:
        own = pairs.at(some)
        target = thumbnails[own.part]
        target[own.mirrored] = target[own.mirrored, :, ::-1]
        view = _fitted(thumbnails[own.whole], target, own.window)
        one, two = (_normed(structure(planes).reshape(len(planes), -1)) for planes in (view, target))
        found[some] = np.einsum("pd,pd->p", one, two)

    _side_by_side(compare, len(found))
    return found


def structure(planes: Planes) -> Planes:
    """Each pixel without the mean of the 5 x 5 around it, over their deviation; even ground is near 0."""
    band = np.abs(np.subtract.outer(np.arange(SIDE), np.arange(SIDE))) <= 2
    mean_of = (band / band.sum(axis=1, keepdims=True)).astype(np.float32)
    mean = mean_of @ planes @ mean_of.T
    variance = np.maximum(mean_of @ (planes * planes) @ mean_of.T - mean * mean, 0)
    return np.asarray((planes - mean) / (np.sqrt(variance) + np.float32(NOISE)), np.float32)


def _side_by_side(work: Callable[[slice], None], count: int) -> None:
    """A block of `AT_ONCE` rows on every core: the matrices are too small for BLAS to share them out."""
    with threadpool_limits(1, user_api="blas"):
        for _ in ordered(work, (slice(start, start + AT_ONCE) for start in range(0, count, AT_ONCE))):
            pass


def _fitted(whole: Planes, target: Planes, window: NDArray[np.float32]) -> Planes:
    """The window of each whole that fits its target best, from a start; (P, 32, 32) each."""
    window = window.copy()
    along = np.arange(SIDE, dtype=np.float32) - (SIDE - 1) / 2
    y, x = along[:, None] / SIDE, along[None, :] / SIDE
    for _ in range(STEPS):
        rows, columns = (_sampling(window[:, at], window[:, at + 1]) for at in (0, 2))
        across = whole @ columns[0].transpose(0, 2, 1)
        view, down = rows[0] @ across, rows[1] @ across
        right = rows[0] @ whole @ columns[1].transpose(0, 2, 1)
        slopes = np.stack([down, down * y, right, right * x, view], axis=1).reshape(len(view), 5, -1)
        slopes -= slopes.mean(axis=2, keepdims=True)  # brightness is of no interest
        normal = slopes @ slopes.transpose(0, 2, 1)
        # A picture that is even along one side says nothing of where it lies there: then it stays.
        normal += np.eye(5, dtype=np.float32) * (1 + 1e-3 * normal)
        wanted = slopes @ target.reshape(len(view), -1, 1)
        solved = np.linalg.solve(normal, wanted)[:, :, 0]
        # Moves come multiplied by the contrast, which is solved for beside them.
        gain = np.where(np.abs(solved[:, 4]) > 0.1, solved[:, 4], 1)
        window += np.clip(solved[:, :4] / gain[:, None], -2, 2)
    last = [_sampling(window[:, at], window[:, at + 1])[0] for at in (0, 2)]
    return np.asarray(last[0] @ whole @ last[1].transpose(0, 2, 1), np.float32)


def _sampling(centre: NDArray[np.float32], size: NDArray[np.float32]) -> tuple[Planes, Planes]:
    """Windows along one side → the matrices (P, 32, 32) that read them out linearly, and their slopes by the centre."""
    along = (np.arange(SIDE, dtype=np.float32) + 0.5) / SIDE - 0.5
    at = centre[:, None] + along * size[:, None] - 0.5

    def weights(shift: float) -> Planes:
        near = np.clip(at + np.float32(shift), 0, SIDE - 1)[:, :, None] - np.arange(SIDE, dtype=np.float32)
        np.abs(near, out=near)
        np.subtract(1, near, out=near)
        found: Planes = np.maximum(near, 0, out=near)
        return found

    return weights(0), weights(0.5) - weights(-0.5)


def _windows() -> tuple[NDArray[np.float32], list[Planes]]:
    """All windows (V, 4), and for each share the matrices (offsets, 16, 16) that read it out along one side."""
    windows: list[tuple[float, float, float, float]] = []
    operators: list[Planes] = []
    scale = COARSE / SIDE
    for share, offsets in SHARES:
        low = np.linspace(0, SIDE * (1 - share), offsets) if offsets > 1 else np.zeros(1)
        size = SIDE * share
        centres = low + size / 2
        windows += [(down, size, across, size) for down in centres for across in centres]
        along = (np.arange(COARSE) + 0.5) / COARSE - 0.5
        at = np.clip((centres[:, None] + along * size) * scale - 0.5, 0, COARSE - 1)
        near = np.abs(at[:, :, None] - np.arange(COARSE))
        operators.append(np.maximum(1 - near, 0).astype(np.float32))
    return np.array(windows, np.float32), operators


def _views(coarse: Planes, operators: list[Planes]) -> NDArray[np.float32]:
    """Coarse thumbnails (N, 16, 16) → what is seen through every window (N, V, 256), mean 0 and length 1."""
    seen = []
    for read_out in operators:
        rows = read_out[None] @ coarse[:, None]
        both = rows[:, :, None] @ read_out.transpose(0, 2, 1)[None, None]
        seen.append(both.reshape(len(coarse), -1, COARSE * COARSE))
    return _normed(np.concatenate(seen, axis=1))


def _normed(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """(..., D) with mean 0 and length 1; what is even stays near 0."""
    centred = vectors - vectors.mean(axis=-1, keepdims=True)
    lengths = np.sqrt(np.einsum("...d,...d->...", centred, centred))[..., None]
    return np.asarray(centred / np.maximum(lengths, 1e-6), np.float32)
