"""A reader's own function, as docs/own_function.py has it: it plugs into a net, trains, and exports."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from sklearn.datasets import load_digits

from kopal.autograd import WrongGradient, apply, check_gradient
from kopal.backends.numpy_backend import forward
from kopal.backends.onnx_backend import classifier_model
from kopal.classifier import Classifier
from kopal.errors import UsageError
from kopal.fit.engine import EngineLearner, planes, start
from kopal.images import Geometry
from kopal.model_file import Card
from kopal.nets.layers import Chain, Custom
from kopal.nets.net import Net


@pytest.fixture(scope="module")
def page() -> ModuleType:
    path = Path(__file__).parent.parent / "docs" / "own_function.py"
    spec = importlib.util.spec_from_file_location("own_function", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_trains_and_the_file_gives_the_same_numbers(page: ModuleType) -> None:
    net: Net = page.NET
    digits = load_digits()
    pixels = np.round(digits.images * 255 / 16).astype(np.uint8)[..., None]
    rng = np.random.default_rng(0)
    learner = EngineLearner(net, start(net, rng, "he"))
    for _ in range(6):
        for chosen in np.array_split(rng.permutation(1500), 24):
            learner.learn(pixels[chosen], digits.target[chosen], 0.1)
    scores = learner.scores(pixels[1500:])
    assert (scores.argmax(axis=1) == digits.target[1500:]).mean() > 0.85
    model = classifier_model(net, learner.weights(), 1.0, 10)
    card = Card(net.name, tuple("0123456789"), Geometry(8, 8, 1), 1.0)
    np.testing.assert_allclose(Classifier.build(model, card).scores(pixels[1500:]), scores, atol=1e-4)


def test_a_wrong_derivative_is_caught(page: ModuleType) -> None:
    class Wrong(page.Softplus):  # type: ignore[misc, name-defined]
        @staticmethod
        def backward(dz: np.ndarray, cache: np.ndarray) -> np.ndarray:
            return dz / (1 + np.exp(cache))

    with pytest.raises(WrongGradient):
        check_gradient(lambda x: apply(Wrong, x), [np.random.default_rng(0).normal(size=(3, 4))])


def test_without_an_onnx_form_it_trains_and_says_what_export_lacks(page: ModuleType) -> None:
    net: Net = page.NET
    bare = replace(
        net,
        body=Chain(
            tuple((name, Custom(page.Softplus) if name == "softplus" else layer) for name, layer in net.body.layers)
        ),
    )
    weights = start(bare, np.random.default_rng(0), "he")
    assert forward(bare, weights, planes(np.zeros((2, 8, 8, 1), np.uint8))).shape == (2, 10)
    with pytest.raises(UsageError, match="Softplus has no ONNX form"):
        classifier_model(bare, weights, 1.0, 10)
