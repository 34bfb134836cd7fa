"""What stands around the optimisers of our own engine: the gradient clipped before, the memory saved after."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from kopal import autograd
from kopal.autograd import SGD, Adam, AdamW, Tensor


@pytest.mark.parametrize("norm", [0.0, 0.5, 1e3])
def test_clipping_equals_torchs(norm: float) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(3, 4)).astype(np.float32)
    gradients = {"a": shared, "b": shared, "c": rng.normal(size=5).astype(np.float32), "none": None}
    ours = {name: Tensor(np.zeros((3, 4) if name != "c" else 5, np.float32), True) for name in gradients}
    theirs = {name: torch.zeros(tensor.shape, requires_grad=True) for name, tensor in ours.items()}
    for name, gradient in gradients.items():
        ours[name].gradient = gradient
        theirs[name].grad = None if gradient is None else torch.tensor(gradient)
    autograd.clip(ours, norm)
    if norm:
        torch.nn.utils.clip_grad_norm_(theirs.values(), norm)
    for name, tensor in ours.items():
        if gradients[name] is None:
            assert tensor.gradient is None
        else:
            np.testing.assert_allclose(tensor.gradient, theirs[name].grad.numpy(), rtol=1e-5)
    np.testing.assert_array_equal(shared, np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32))


@pytest.mark.parametrize(
    "make",
    [lambda w: SGD(w, 0.1, 0.9), lambda w: Adam(w, 0.1), lambda w: AdamW(w, 0.1, decay=0.1)],
    ids=["sgd", "adam", "adamw"],
)
def test_an_optimiser_goes_on_from_its_memory(make: Callable[[Any], autograd.Optimiser]) -> None:
    rng = np.random.default_rng(0)
    gradients = rng.normal(size=(4, 3, 2)).astype(np.float32)

    def go(optimiser: autograd.Optimiser, weight: Tensor, some: NDArray[np.float32]) -> None:
        for gradient in some:
            weight.gradient = gradient.copy()
            optimiser.step()

    first = Tensor(np.ones((3, 2), np.float32), wants_gradient=True)
    whole = make({"w": first})
    assert whole.memory() == {}
    go(whole, first, gradients[:2])
    memory, second = whole.memory(), Tensor(first.array.copy(), wants_gradient=True)
    kept = {name: array.copy() for name, array in memory.items()}
    go(whole, first, gradients[2:])
    np.testing.assert_equal(memory, kept)
    later = make({"w": second})
    later.remember(memory)
    go(later, second, gradients[2:])
    np.testing.assert_array_equal(second.array, first.array)
    np.testing.assert_equal(later.memory(), whole.memory())
    np.testing.assert_equal(memory, kept)
