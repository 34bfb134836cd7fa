"""Whole nets on the autograd engine: gradients against PyTorch, and the embedded net against ONNX Runtime on photos."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kopal.autograd import cross_entropy, no_grad
from kopal.backends.numpy_backend import forward, learning, tensors
from kopal.backends.onnx_backend import feature_model
from kopal.errors import UsageError
from kopal.fit.engine import planes, start
from kopal.nets.mlp import mlp
from kopal.nets.registry import build
from kopal.nets.weights import pretrained_weights
from kopal.runtime import session
from test_lite_oracle import real_photos


def torch_net(name: str) -> Any:
    nn = pytest.importorskip("torch").nn

    def conv_net(activation: Callable[[], Any], pool: Callable[[int], Any], flat: int) -> Any:
        return nn.Sequential(
            *(nn.Conv2d(1, 6, 5), activation(), pool(2), nn.Conv2d(6, 16, 5), activation(), pool(2), nn.Flatten()),
            *(nn.Linear(flat, 120), activation(), nn.Linear(120, 84), activation(), nn.Linear(84, 10)),
        )

    made = {
        "garment": lambda: conv_net(nn.ReLU, nn.MaxPool2d, 256),
        "lenet5": lambda: conv_net(nn.Tanh, nn.AvgPool2d, 400),
        "mlp": lambda: nn.Sequential(
            *(nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10))
        ),
    }
    return made[name]()


@pytest.mark.parametrize("name", ["garment", "lenet5", "mlp"])
def test_loss_and_every_gradient_equal_torchs(name: str) -> None:
    torch = pytest.importorskip("torch")
    net, rng = build(name), np.random.default_rng(0)
    weights = learning({key: array.astype(np.float64) for key, array in start(net, rng, "he").items()})
    pixels = rng.integers(0, 256, (9, *net.image), dtype=np.uint8)
    labels = rng.integers(0, 10, 9)
    images = planes(pixels).astype(np.float64)
    loss = cross_entropy(forward(net, weights, images, training=True, rng=rng), labels)
    loss.backward()

    module = torch_net(name).double()
    ours = tensors(weights)
    assert [tuple(p.shape) for p in module.parameters()] == [tensor.shape for tensor in ours.values()]
    with torch.no_grad():
        for parameter, tensor in zip(module.parameters(), ours.values(), strict=True):
            parameter.copy_(torch.from_numpy(tensor.array))
    normalize = net.body.layers[0][1]
    inputs = torch.from_numpy((images / 255 - normalize.mean[0]) / normalize.std[0])  # type: ignore[union-attr]
    expected = torch.nn.functional.cross_entropy(module(inputs), torch.from_numpy(labels))
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-9)
    for parameter, (key, tensor) in zip(module.parameters(), ours.items(), strict=True):
        np.testing.assert_allclose(tensor.gradient, parameter.grad.numpy(), rtol=1e-6, atol=1e-10, err_msg=key)


def test_the_embedded_net_on_the_engine_equals_onnx_runtime_on_real_photos() -> None:
    net = build("efficientnet-lite0")
    weights, pixels = pretrained_weights(net), real_photos(224)[:3]
    expected = session(feature_model(net, weights).SerializeToString()).run(None, {"pixels": pixels})[0]
    with no_grad():
        found = forward(net, weights, planes(pixels)).array
    assert np.abs(found - expected).max() <= 1e-4 * np.ptp(expected)
    assert (found.argmax(axis=1) == expected.argmax(axis=1)).all()


def test_an_unknown_activation_is_one_clear_error() -> None:
    with pytest.raises(UsageError, match="swish9"):
        mlp((4,), 2, (2, 2, 1), "swish9")  # type: ignore[arg-type]
