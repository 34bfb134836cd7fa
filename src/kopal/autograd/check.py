"""Does a derivative agree with its function? Measured, not believed: a checker for any function of tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from kopal.autograd.errors import WrongGradient
from kopal.autograd.function import Array
from kopal.autograd.graph import no_grad
from kopal.autograd.tensor import Tensor


def check_gradient(
    f: Callable[..., Tensor],
    inputs: Sequence[Array],
    directions: int = 3,
    step: float = 1e-5,
    tolerance: float = 1e-6,
    seed: int = 0,
) -> float:
    """Compare the slopes that `backward` gives with those that can be measured; return the largest disagreement.

    f takes as many tensors as there are inputs and returns one of any shape. All runs in float64. For each input, in
    a few random directions u, the slope of Σ v·f(x) for a random v is measured by central differences,
    (L(x + h·u) - L(x - h·u)) / 2h, and must equal Σ u·dL/dx to `tolerance` of its size. Raises `WrongGradient`.
    Keep away from kinks such as relu at 0, where there is no slope to measure.
    """
    rng = np.random.default_rng(seed)
    points = [np.array(x, np.float64) for x in inputs]
    tensors = [Tensor(x, wants_gradient=True) for x in points]
    output = f(*tensors)
    v = rng.standard_normal(output.shape)
    if output.wants_gradient:
        output.backward(v)
    worst = 0.0
    for number, (x, tensor) in enumerate(zip(points, tensors, strict=True)):
        dx = np.zeros_like(x) if tensor.gradient is None else tensor.gradient
        for _ in range(directions if x.size else 0):
            u = rng.standard_normal(x.shape)
            ahead, behind = (
                _projected(f, v, [*points[:number], x + h * u, *points[number + 1 :]]) for h in (step, -step)
            )
            measured, claimed = (ahead - behind) / (2 * step), float(np.vdot(u, dx))
            # The scale of the terms, not of their sum: in a random direction they may cancel.
            scale = float(np.abs(u * dx).sum()) + abs(measured) + 1e-3
            disagreement = abs(measured - claimed) / scale
            if not disagreement <= tolerance:
                raise WrongGradient(
                    f"the gradient of input {number}, shape {x.shape}, claims a slope of {claimed:.8g}; measured was "
                    f"{measured:.8g}",
                    f"agreement to {tolerance:g} of their size",
                    "compare backward with the derivative of forward",
                )
            worst = max(worst, disagreement)
    return worst


def _projected(f: Callable[..., Tensor], v: Array, points: Sequence[Array]) -> float:
    with no_grad():
        return float(np.vdot(v, f(*(Tensor(x) for x in points)).array))
