"""Nets on the engine: every leaf and combinator, against ONNX Runtime, and what training may change."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest

from kopal import autograd as ag
from kopal.autograd import Function, Tensor, check_gradient
from kopal.backends.numpy_backend import arrays, forward, learning, table, tensors
from kopal.backends.onnx_backend import feature_model
from kopal.errors import PixelsError, UsageError, WeightsError
from kopal.nets.describe import describe, parameter_shapes
from kopal.nets.efficientnet import efficientnet_lite
from kopal.nets.layers import (
    Activation,
    AvgPool,
    BatchNorm,
    Concat,
    Conv,
    Custom,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Linear,
    LocalResponseNorm,
    MaxPool,
    Normalize,
    Residual,
    SqueezeExcite,
    TorchModule,
    chain,
)
from kopal.nets.net import Net
from kopal.nets.run import Table, run
from kopal.nets.weights import pretrained_weights

EVERYTHING = Net(
    "everything",
    (13, 12, 3),
    chain(
        normalize=Normalize((0.4, 0.5, 0.6), (0.2, 0.3, 0.25)),
        conv=Conv(8, (3, 3), (1, 1), (1, 0, 1, 2)),
        norm=BatchNorm(),
        relu=Activation("relu"),
        lrn=LocalResponseNorm(alpha=0.1),
        pool=MaxPool((3, 3), (2, 2), (0, 0, 0, 0), ceil=True),
        block=Residual(
            chain(a=Conv(8, (3, 3), padding=(1, 1, 1, 1), groups=8, bias=False), b=Activation("silu")),
            chain(c=Conv(8, (1, 1)), d=Activation("tanh")),
        ),
        gate=SqueezeExcite(chain(pool=GlobalAvgPool(), conv=Conv(8, (1, 1)), sigmoid=Activation("sigmoid"))),
        same=Residual(chain(a=Conv(8, (3, 3), padding=(2, 2, 2, 2), groups=2, dilation=(2, 2)), b=Activation("relu6"))),
        inception=Concat((("one", Conv(4, (1, 1))), ("two", chain(a=AvgPool((3, 3), (1, 1), (1, 1, 1, 1)))))),
        flatten=Flatten(),
        dropout=Dropout(0.3),
        head=Linear(5),
    ),
)
TINY = Net("tiny", (4, 4, 1), chain(conv=Conv(2, (3, 3), bias=False), norm=BatchNorm(), drop=Dropout(0.5)))


def weights_of(net: Net) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {
        name: (np.abs if name.endswith("var") else np.asarray)(rng.standard_normal(shape) * 0.4 + 0.2).astype(
            np.float32
        )
        for name, shape in parameter_shapes(net).items()
    }


def pixels_of(net: Net, count: int = 3) -> Any:
    return np.random.default_rng(1).integers(0, 256, (count, *net.image), np.uint8)


def planes(pixels: Any) -> Any:
    return pixels.transpose(0, 3, 1, 2).astype(np.float32)


def onnx_runtime(net: Net, weights: dict[str, Any], pixels: Any) -> Any:
    session = onnxruntime.InferenceSession(feature_model(net, weights).SerializeToString())
    return session.run(None, {"pixels": pixels})[0]


def test_every_leaf_and_combinator_equals_onnx_runtime() -> None:
    weights, pixels = weights_of(EVERYTHING), pixels_of(EVERYTHING)
    z = forward(EVERYTHING, weights, planes(pixels))
    assert z.dtype == np.float32 and not z.wants_gradient
    np.testing.assert_allclose(z.array, onnx_runtime(EVERYTHING, weights, pixels), rtol=1e-4, atol=1e-4)


def test_every_leaf_has_a_function() -> None:
    covered = {type(row.layer) for row in describe(EVERYTHING)}
    assert covered | {Custom, TorchModule} == set(table().leaves)


def test_pretrained_efficientnet_equals_onnx_runtime() -> None:
    net = efficientnet_lite("efficientnet-lite0")
    weights, pixels = pretrained_weights(net), pixels_of(net, 2)
    expected = onnx_runtime(net, weights, pixels)
    np.testing.assert_allclose(forward(net, weights, planes(pixels)).array, expected, rtol=1e-3, atol=1e-4)


def test_gradients_through_every_layer_equal_finite_differences() -> None:
    weights = {name: array.astype(np.float64) for name, array in weights_of(EVERYTHING).items()}
    images = planes(pixels_of(EVERYTHING, 2)).astype(np.float64)
    names = [name for name in weights if not name.endswith(("running_mean", "running_var"))]

    def loss(*chosen: Tensor) -> Tensor:
        rng = np.random.default_rng(0)
        # Batch norm moves its statistics: every run gets its own.
        own = {name: array.copy() for name, array in weights.items()} | dict(zip(names, chosen, strict=True))
        return ag.cross_entropy(forward(EVERYTHING, own, images, training=True, rng=rng), np.array([1, 4]))

    check_gradient(loss, [weights[name] for name in names], directions=1, step=1e-7, tolerance=1e-4)


def test_the_gradient_reaches_the_pixels_when_they_are_a_tensor() -> None:
    images = Tensor(planes(pixels_of(EVERYTHING)), wants_gradient=True)
    forward(EVERYTHING, weights_of(EVERYTHING), images).sum().backward()
    assert images.gradient is not None and np.abs(images.gradient).max() > 0


def test_training_moves_the_running_statistics_and_answering_does_not() -> None:
    weights = learning(weights_of(TINY))
    images, rng = planes(pixels_of(TINY)), np.random.default_rng(0)
    before = {name: array.copy() for name, array in arrays(weights).items()}
    forward(TINY, weights, images)
    assert all((array == before[name]).all() for name, array in arrays(weights).items())
    forward(TINY, weights, images, training=True, rng=rng)
    moved = {name for name, array in arrays(weights).items() if (array != before[name]).any()}
    assert moved == {"norm.running_mean", "norm.running_var"}


def test_a_frozen_batch_norm_stays_as_it_is_also_while_the_rest_trains() -> None:
    weights = learning(weights_of(TINY), learns=lambda name: name.startswith("conv"))
    before = {name: array.copy() for name, array in arrays(weights).items()}
    forward(TINY, weights, planes(pixels_of(TINY)), training=True, rng=np.random.default_rng(0)).sum().backward()
    assert all((array == before[name]).all() for name, array in arrays(weights).items())
    assert set(tensors(weights)) == {"conv.weight"}


def test_dropout_works_in_training_only_and_repeats_with_its_generator() -> None:
    weights, images = weights_of(TINY), planes(pixels_of(TINY))
    first, again, other = (
        forward(TINY, weights, images, training=True, rng=np.random.default_rng(seed)).array for seed in (0, 0, 1)
    )
    assert (first == again).all() and (first != other).any() and (first == 0).any()
    assert (forward(TINY, weights, images).array == forward(TINY, weights, images).array).all()
    with pytest.raises(UsageError, match="drop: dropout in training without a generator"):
        forward(TINY, weights, images, training=True)


def test_images_alone_score_as_in_a_batch_and_an_empty_batch_has_no_scores() -> None:
    weights, images = weights_of(EVERYTHING), planes(pixels_of(EVERYTHING))
    together = forward(EVERYTHING, weights, images).array
    alone = np.concatenate([forward(EVERYTHING, weights, image[None]).array for image in images])
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-4)
    assert forward(EVERYTHING, weights, images[:0]).shape == (0, 5)


def test_images_are_not_written_to() -> None:
    images = planes(pixels_of(EVERYTHING))
    images.flags.writeable = False
    forward(EVERYTHING, learning(weights_of(EVERYTHING)), images, training=True, rng=np.random.default_rng(0))


def test_wrong_images_and_missing_weights_are_named() -> None:
    weights = weights_of(TINY)
    with pytest.raises(PixelsError, match=r"tiny got images of shape \(3, 4, 4, 1\)(.|\n)*\(N, 1, 4, 4\)"):
        forward(TINY, weights, np.zeros((3, 4, 4, 1), np.float32))
    with pytest.raises(ag.AutogradError, match="a tensor of uint8"):
        forward(TINY, weights, np.zeros((3, 1, 4, 4), np.uint8))
    del weights["norm.bias"]
    with pytest.raises(WeightsError, match=r"lack norm\.bias"):
        forward(TINY, weights, planes(pixels_of(TINY)))


class Swish(Function):
    """A function that a reader may write."""

    @staticmethod
    def forward(x: Any) -> Any:
        z = 1 / (1 + np.exp(-x))
        return x * z, (x, z)

    @staticmethod
    def backward(dz: Any, cache: Any) -> Any:
        x, z = cache
        return dz * z * (1 + x * (1 - z))


def test_a_function_of_ones_own_takes_a_leafs_place_in_the_table() -> None:
    net = Net("own", (4, 4, 1), chain(conv=Conv(2, (3, 3)), own=Activation("silu"), flatten=Flatten(), head=Linear(2)))
    plain = table()
    own: Table[Tensor, Any] = Table(
        {**plain.leaves, Activation: lambda layer, path, weights, x: ag.apply(Swish, x)},
        plain.add,
        plain.multiply,
        plain.concat,
    )
    weights, images = learning(weights_of(net)), planes(pixels_of(net)) / 255
    z = run(net.body, weights, Tensor(images), own)
    np.testing.assert_allclose(z.array, forward(net, weights, images).array, rtol=1e-5)
    z.sum().backward()
    assert all(tensor.gradient is not None for tensor in tensors(weights).values())


def test_a_net_learns_on_the_engine() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 64)
    images = rng.integers(0, 80, (64, 1, 4, 4)).astype(np.float32)
    images[:, 0, 1:3, 1:3] += 120 * labels[:, None, None]
    net = Net(
        "learner",
        (4, 4, 1),
        chain(scale=Normalize((0.5,), (0.5,)), conv=Conv(4, (3, 3)), norm=BatchNorm(), act=Activation("relu"),
              flatten=Flatten(), head=Linear(2)),
    )  # fmt: skip
    start = {name: ag.initialise("he", rng, shape) if len(shape) > 1 else np.zeros(shape, np.float32)
             for name, shape in parameter_shapes(net).items()}  # fmt: skip
    weights = learning(start | {"norm.weight": np.ones(4, np.float32), "norm.running_var": np.ones(4, np.float32)})
    optimiser = ag.AdamW(tensors(weights), 0.02)
    for _ in range(60):
        ag.cross_entropy(forward(net, weights, images, training=True), labels).backward()
        optimiser.step()
    assert (forward(net, weights, images).array.argmax(axis=1) == labels).mean() > 0.95
