"""What learning needs besides gradients: optimisers, initialisers, and a batch shared between threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kopal import autograd as ag
from kopal.autograd import SGD, Adam, AdamW, AutogradError, ShapeMismatch, Tensor, initialise
from kopal.autograd.init import fans
from kopal.autograd.optimisers import matrices_only

CASES: dict[str, tuple[Any, str, dict[str, Any]]] = {
    "plain": (lambda w: SGD(w, 0.1), "SGD", {"lr": 0.1}),
    "momentum": (lambda w: SGD(w, 0.1, momentum=0.9), "SGD", {"lr": 0.1, "momentum": 0.9}),
    "nesterov": (lambda w: SGD(w, 0.1, 0.9, nesterov=True), "SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    "momentum and decay": (
        lambda w: SGD(w, 0.1, 0.9, decay=0.01, decays=lambda name, weight: True),
        "SGD",
        {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01},
    ),
    "adam": (lambda w: Adam(w, 0.01, (0.8, 0.99), 1e-6), "Adam", {"lr": 0.01, "betas": (0.8, 0.99), "eps": 1e-6}),
    "adamw": (
        lambda w: AdamW(w, 0.01, decay=0.1, decays=lambda name, weight: True),
        "AdamW",
        {"lr": 0.01, "weight_decay": 0.1},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_optimiser_equals_torch_step_by_step(name: str) -> None:
    torch = pytest.importorskip("torch", reason="torch is the oracle here")
    make, kind, options = CASES[name]
    rng = np.random.default_rng(0)
    start = {"w": rng.standard_normal((3, 4)), "b": rng.standard_normal(3)}
    ours = {key: Tensor(array.copy(), wants_gradient=True) for key, array in start.items()}
    theirs = {key: torch.tensor(array, requires_grad=True) for key, array in start.items()}
    optimiser, oracle = make(ours), getattr(torch.optim, kind)(theirs.values(), **options)
    for step in range(12):
        if step == 6:
            optimiser.rate = oracle.param_groups[0]["lr"] = 0.02
        for key, array in start.items():
            if key == "b" and step == 3:
                theirs[key].grad = None  # a weight without a gradient stands still
                continue
            gradient = rng.standard_normal(array.shape)
            ours[key].gradient = gradient.copy()
            theirs[key].grad = torch.tensor(gradient)
        optimiser.step()
        oracle.step()
        for key in start:
            np.testing.assert_allclose(ours[key].array, theirs[key].detach().numpy(), rtol=1e-10, atol=1e-12)


def test_decay_leaves_biases_and_norms_alone() -> None:
    for make in (lambda w: AdamW(w, 0.1, decay=0.5), lambda w: SGD(w, 0.1, decay=0.5)):
        weights = {"w": Tensor(np.ones((2, 2)), wants_gradient=True), "b": Tensor(np.ones(2), wants_gradient=True)}
        for tensor in weights.values():
            tensor.gradient = np.zeros(tensor.shape)
        make(weights).step()
        assert (weights["w"].array < 1).all() and (weights["b"].array == 1).all()
    assert not matrices_only("norm.weight", Tensor(np.ones(3)))


@pytest.mark.parametrize("make", [lambda w: SGD(w, 0.1, 0.9), Adam, AdamW])
def test_a_step_keeps_float32_forgets_the_gradient_and_does_not_write_into_it(make: Any) -> None:
    w = Tensor(np.ones((2, 2), np.float32), wants_gradient=True)
    optimiser = make({"w": w})
    for _ in range(2):
        gradient = np.full((2, 2), 0.5, np.float32)
        w.gradient = gradient
        optimiser.step()
        assert w.gradient is None and w.dtype == np.float32 and (gradient == 0.5).all()


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
def test_a_rate_that_is_no_rate_is_refused_also_between_steps(rate: float) -> None:
    w = {"w": Tensor(1.0, wants_gradient=True)}
    for kind in (SGD, Adam, AdamW):
        with pytest.raises(AutogradError, match="learning rate of"):
            kind(w, rate)
        optimiser = kind(w, 0.1)
        optimiser.rate = rate
        with pytest.raises(AutogradError, match="learning rate of"):
            optimiser.step()


def test_nesterov_needs_momentum() -> None:
    with pytest.raises(AutogradError, match="nesterov without momentum"):
        SGD({}, 0.1, nesterov=True)


def test_initialisers_have_the_spread_that_they_promise() -> None:
    rng, shape = np.random.default_rng(0), (64, 32, 3, 3)
    assert fans(shape) == (288, 576)
    spread = {name: float(initialise(name, rng, shape).std()) for name in ag.INITIALISERS}
    assert spread == pytest.approx(
        {"normal": 0.001, "xavier": (2 / (288 + 576)) ** 0.5, "he": (2 / 288) ** 0.5, "zero": 0}, rel=0.02
    )
    assert all(initialise(name, rng, shape).dtype == np.float32 for name in ag.INITIALISERS)
    first, again = (initialise("he", np.random.default_rng(1), (3, 4)) for _ in range(2))
    assert (first == again).all()


def test_unknown_initialisers_and_shapes_without_fans_are_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(AutogradError, match="unknown initialiser 'best'"):
        initialise("best", rng, (2, 2))
    with pytest.raises(ShapeMismatch, match=r"\(3,\)"):
        initialise("he", rng, (3,))


def test_a_ten_layer_perceptron_started_at_a_thousandth_does_not_move_and_with_he_it_does() -> None:
    rng = np.random.default_rng(0)
    x, labels = rng.standard_normal((64, 8), np.float32), rng.integers(0, 2, 64)
    x[:, 0] = labels * 4 - 2

    def fall(name: str) -> float:
        weights = {str(i): Tensor(initialise(name, rng, (8, 8)), wants_gradient=True) for i in range(10)}
        optimiser, losses = SGD(weights, 0.05, 0.9), []
        for _ in range(60):
            h = Tensor(x)
            for weight in weights.values():
                h = ag.linear(ag.relu(h), weight) if weight is not weights["0"] else ag.linear(h, weight)
            loss = ag.cross_entropy(h, labels)
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        return losses[0] - losses[-1]

    assert abs(fall("normal")) < 1e-3
    assert fall("he") > 0.3
