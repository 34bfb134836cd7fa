"""L-BFGS (Liu and Nocedal, 1989): a quasi-Newton descent that remembers ten steps instead of a Hessian."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]

MEMORY = 10
SUFFICIENT = 1e-4
"""A step must win this share of what the slope promises (Armijo)."""


def minimise(
    objective: Callable[[Vector], tuple[float, Vector]], start: Vector, tolerance: float, steps: int = 500
) -> Vector:
    """The point where no component of the gradient exceeds `tolerance`, or nothing is gained any more.

    `objective` gives value and gradient; it should be convex and smooth, as penalised softmax regression is.
    """
    point = start
    value, gradient = objective(point)
    history: deque[tuple[Vector, Vector, float]] = deque(maxlen=MEMORY)
    for _ in range(steps):
        if not gradient.size or float(np.abs(gradient).max()) <= tolerance:
            break
        direction = _direction(gradient, history)
        slope = float(gradient @ direction)
        length = 1.0
        while True:
            candidate = point - length * direction
            new_value, new_gradient = objective(candidate)
            if new_value <= value - SUFFICIENT * length * slope:
                break
            length /= 2
            if length < 1e-6:  # float32 is at its end
                return point
        moved, turned = candidate - point, new_gradient - gradient
        curvature = float(moved @ turned)
        if curvature > 0:
            history.append((moved, turned, 1 / curvature))
        point, value, gradient = candidate, new_value, new_gradient
    return point


def _direction(gradient: Vector, history: deque[tuple[Vector, Vector, float]]) -> Vector:
    """The two-loop recursion: the inverse Hessian, as the last steps reveal it, times the gradient."""
    direction = gradient.copy()
    shares = []
    for moved, turned, inverse in reversed(history):
        share = inverse * float(moved @ direction)
        direction -= share * turned
        shares.append(share)
    if history:
        moved, turned, inverse = history[-1]
        direction /= inverse * float(turned @ turned)
    else:
        direction /= max(1.0, float(np.linalg.norm(gradient)))
    for (moved, turned, inverse), share in zip(history, reversed(shares), strict=True):
        direction += moved * (share - inverse * float(turned @ direction))
    return direction
