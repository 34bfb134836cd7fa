"""Our nets on PyTorch: the numbers of ONNX Runtime and of our own engine, and the two modes of PyTorch's layers."""

from __future__ import annotations

from itertools import count
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from kopal import autograd
from kopal.backends import numpy_backend
from kopal.backends.onnx_backend import classifier_model, feature_model
from kopal.errors import PixelsError, UsageError, WeightsError
from kopal.fit.engine import planes, start
from kopal.fit.stepping import Stepping
from kopal.nets.describe import describe, output_shape, parameter_shapes
from kopal.nets.layers import (
    Activation,
    AvgPool,
    BatchNorm,
    Conv,
    Custom,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Linear,
    MaxPool,
    Normalize,
    chain,
)
from kopal.nets.net import Net
from kopal.nets.registry import NAMES, build
from kopal.nets.resnet9 import resnet9
from test_nets_parity import furthest, pixels_for, run_onnx

torch = pytest.importorskip("torch")

from kopal.backends import torch_backend  # noqa: E402 - only where PyTorch is
from kopal.backends.torch_backend import TorchNet, forward  # noqa: E402 - only where PyTorch is
from kopal.fit.torch_learner import TorchLearner  # noqa: E402

Weights = dict[str, NDArray[Any]]


def random_weights(net: Net, seed: int = 0) -> Weights:
    """Weights of which none is what it starts as: biases, scales of norms and running statistics are random too."""
    rng = np.random.default_rng(seed)
    weights = start(net, rng, "he")
    # SiLU and the gates after it halve a signal, which would fade from block to block.
    fades = any(isinstance(row.layer, Activation) and row.layer.name == "silu" for row in describe(net))
    for name, array in weights.items():
        if name.endswith("running_var"):
            array[...] = rng.uniform(0.5, 1.5, array.shape) * (0.2 if fades else 1)
        elif name.endswith("weight") and array.ndim == 1:
            array[...] = rng.uniform(0.5, 1.5, array.shape)
        elif array.ndim == 1:
            array[...] = rng.normal(0, 0.1, array.shape)
        elif name == "head.weight":
            # It starts small, and then only its biases are heard.
            array[...] = rng.normal(0, array.shape[1] ** -0.5, array.shape)
    return weights


def smallest(name: str) -> Net:
    """The net for ten classes of the smallest pictures that it can take, odd sides where they fit."""
    usual = build(name).image
    for side in count(9, 6):
        image = (side, side, usual[2])
        try:
            return build(name, 10, image)
        except UsageError:
            continue
    raise AssertionError


def on_torch(net: Net, weights: Weights, pixels: NDArray[np.uint8], last: bool = True) -> NDArray[np.float32]:
    with torch.inference_mode():
        return TorchNet(net, weights, last).eval()(torch.from_numpy(pixels)).numpy()


def on_engine(net: Net, weights: Weights, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    with autograd.no_grad():
        return numpy_backend.forward(net, weights, planes(pixels)).array


@pytest.mark.parametrize("name", NAMES)
def test_every_net_scores_as_onnx_runtime_does(name: str) -> None:
    net = smallest(name)
    # Of the first weights that come the slim net hardly looks at its pixels.
    weights, pixels = random_weights(net, seed=int(name == "resnet20-slim")), pixels_for(net)
    ours, theirs = on_torch(net, weights, pixels), run_onnx(classifier_model(net, weights, 1.0, 10), pixels)
    assert ours.dtype == np.float32
    assert furthest(ours, theirs) < 1e-4


@pytest.mark.parametrize("name", ["mlp", "lenet5", "garment", "resnet9", "resnet18", "googlenet", "efficientnet-b0"])
def test_a_net_scores_as_on_our_own_engine(name: str) -> None:
    net = smallest(name)
    weights, pixels = random_weights(net), pixels_for(net)
    assert furthest(on_torch(net, weights, pixels), on_engine(net, weights, pixels)) < 1e-4


@pytest.mark.parametrize("name", ["garment", "alexnet-2012", "resnet9", "googlenet", "efficientnet-lite0"])
def test_the_order_in_memory_does_not_change_the_scores(name: str) -> None:
    net = smallest(name)
    weights, pixels = random_weights(net), pixels_for(net)
    assert furthest(on_torch(net, weights, pixels, False), on_torch(net, weights, pixels, True)) < 1e-5


def test_channels_last_means_that_every_activation_and_kernel_lies_so() -> None:
    net = smallest("resnet9").until("stage2")
    module = TorchNet(net, random_weights(net))
    out = module(torch.from_numpy(pixels_for(net)))
    assert out.is_contiguous(memory_format=torch.channels_last)
    assert not out.is_contiguous()
    kernels = [tensor for tensor in module.tensors().values() if tensor.ndim == 4]
    assert all(kernel.is_contiguous(memory_format=torch.channels_last) for kernel in kernels)


@pytest.mark.parametrize(
    "layer",
    [
        Conv(4, (3, 3), (2, 2), (0, 0, 1, 1)),
        Conv(4, (3, 2), (1, 2), (2, 0, 1, 3), bias=False),
        Conv(6, (3, 3), (1, 1), (1, 2, 1, 2), groups=3, dilation=(2, 1)),
        MaxPool((3, 3), (2, 2), (0, 0, 1, 1)),
        MaxPool((3, 3), (2, 2), (1, 1, 1, 1)),
        MaxPool((3, 3), (2, 2), ceil=True),
        MaxPool((3, 2), (2, 2), (1, 0, 1, 0), ceil=True),
        MaxPool((3, 3), (3, 3), (0, 1, 1, 0), ceil=True),
        MaxPool((2, 2), (3, 3), (0, 0, 1, 1), ceil=True),
        AvgPool((3, 3), (2, 2), (1, 1, 1, 1)),
        AvgPool((3, 3), (2, 2), (0, 1, 1, 0)),
    ],
    ids=str,
)
@pytest.mark.parametrize("side", [8, 9, 10, 11])
def test_windows_that_do_not_come_out_even_are_as_on_our_own_engine(layer: Any, side: int) -> None:
    net = Net("one", (side, side + 1, 3), chain(normalize=Normalize((0.9,), (0.2,)), layer=layer))
    weights, pixels = random_weights(net), pixels_for(net)
    ours = on_torch(net, weights, pixels)
    assert ours.shape == (2, *output_shape(net))
    assert furthest(ours, on_engine(net, weights, pixels)) < 1e-5
    assert furthest(on_torch(net, weights, pixels, False), ours) < 1e-5
    flat = net.then("flatten", Flatten())
    assert furthest(on_torch(flat, weights, pixels), run_onnx(feature_model(flat, weights), pixels)) < 1e-4


def test_the_comparison_sees_another_epsilon_and_another_running_mean() -> None:
    net = smallest("resnet9")
    weights, pixels = random_weights(net), pixels_for(net)
    theirs = on_torch(net, weights, pixels)
    other = weights | {"stage1.norm.running_mean": weights["stage1.norm.running_mean"] + 0.1}
    assert furthest(on_torch(net, other, pixels), theirs) > 1e-3


def test_no_photos_have_no_scores() -> None:
    net = smallest("resnet9")
    assert on_torch(net, random_weights(net), pixels_for(net)[:0]).shape == (0, 10)


def test_dropout_drops_in_training_alone_and_scales_up_what_it_keeps() -> None:
    net = Net("drop", (20, 20, 3), chain(drop=Dropout(0.25)))
    pixels = torch.from_numpy(pixels_for(net)).clamp(min=1)
    whole = pixels.permute(0, 3, 1, 2).float()
    module = TorchNet(net, {}).train()
    torch.manual_seed(0)
    dropped = module(pixels)
    assert 0.2 < float((dropped == 0).float().mean()) < 0.3
    assert torch.allclose(dropped[dropped > 0], whole[dropped > 0] / 0.75)
    assert torch.equal(module.eval()(pixels), whole)


@pytest.mark.parametrize("last", [True, False])
def test_batch_norm_in_training_uses_its_batch_and_moves_its_statistics_as_torchs_module(last: bool) -> None:
    layer = BatchNorm(epsilon=1e-3, momentum=0.3)
    net = Net("norm", (5, 6, 3), chain(normalize=Normalize((0.4,), (0.3,)), norm=layer))
    weights, pixels = random_weights(net), torch.from_numpy(pixels_for(net))
    module = TorchNet(net, weights, last).train()
    theirs = torch.nn.BatchNorm2d(3, layer.epsilon, layer.momentum).train()
    theirs.load_state_dict(
        {name.removeprefix("norm."): torch.from_numpy(array.copy()) for name, array in weights.items()}, strict=False
    )
    images = (pixels.permute(0, 3, 1, 2) / 255 - 0.4) / 0.3
    for _ in range(2):
        assert torch.allclose(module(pixels), theirs(images), atol=1e-5)
        for name in ("running_mean", "running_var"):
            assert torch.allclose(module.tensors()[f"norm.{name}"], theirs.get_buffer(name), atol=1e-5)
    moved = {name: tensor.clone() for name, tensor in module.tensors().items()}
    assert torch.allclose(module.eval()(pixels), theirs.eval()(images), atol=1e-5)
    assert all(torch.equal(moved[name], tensor) for name, tensor in module.tensors().items())


def test_a_frozen_batch_norm_neither_uses_its_batch_nor_moves() -> None:
    net = Net("norm", (5, 6, 3), chain(normalize=Normalize((0.4,), (0.3,)), norm=BatchNorm()))
    weights, pixels = random_weights(net), pixels_for(net)
    module = TorchNet(net, weights).train().requires_grad_(False)
    np.testing.assert_array_equal(module(torch.from_numpy(pixels)).numpy(), on_torch(net, weights, pixels))
    np.testing.assert_array_equal(module.tensors()["norm.running_mean"].numpy(), weights["norm.running_mean"])


@pytest.mark.parametrize("name", ["resnet18", "efficientnet-lite0"])
def test_a_norm_that_is_frozen_after_a_convolution_is_one_with_it_and_what_learns_learns_as_before(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = smallest(name)
    weights, pixels = random_weights(net), torch.from_numpy(pixels_for(net))

    def there_and_back() -> tuple[dict[str, Any], int]:
        module, kept = TorchNet(net, weights).train(), dict[int, int]()
        for path, tensor in module.tensors().items():
            if f"{path.rpartition('.')[0]}.running_mean" in module.tensors() and path.endswith(".weight"):
                tensor.requires_grad_(False)

        def keep(saved: Any) -> Any:
            if len(saved) == len(pixels):  # else it is a weight
                kept[saved.data_ptr()] = saved.numel()
            return saved

        torch.manual_seed(0)  # what is dropped
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda saved: saved):
            scores = module(pixels)
        scores.square().mean().backward()
        grads = {path: tensor.grad for path, tensor in module.tensors().items() if tensor.requires_grad}
        return {"scores": scores.detach(), **grads}, sum(kept.values())

    folded, little = there_and_back()
    monkeypatch.setattr(torch_backend, "fold_norms", lambda body, weights, *given: (body, weights))
    plain, much = there_and_back()
    for path, found in plain.items():
        assert torch.allclose(folded[path], found, rtol=1e-3, atol=1e-4 * float(found.abs().max())), path
    assert little < 0.8 * much


def test_a_net_learns_copies_of_its_weights_and_statistics_are_no_parameters() -> None:
    net = smallest("resnet9")
    weights = random_weights(net)
    module = TorchNet(net, weights)
    assert tuple(module.tensors()) == tuple(parameter_shapes(net))
    assert sum(parameter.numel() for parameter in module.parameters()) == sum(row.parameters for row in describe(net))
    before = weights["head.bias"].copy()
    with torch.no_grad():
        module.tensors()["head.bias"].add_(1)
    np.testing.assert_array_equal(weights["head.bias"], before)


def test_scores_between_steps_are_in_evaluation_mode_and_those_of_the_exported_graph() -> None:
    body = chain(
        normalize=Normalize((0.5,), (0.5,)),
        conv=Conv(8, (3, 3), bias=False),
        norm=BatchNorm(),
        pool=GlobalAvgPool(),
        flatten=Flatten(),
        drop=Dropout(0.5),
        head=Linear(4),
    )
    net = Net("both", (9, 10, 3), body)
    learner = TorchLearner(net, random_weights(net), Stepping(average=0.9), seed=0)
    pixels, labels = pixels_for(net), np.array([0, 3])
    for _ in range(3):
        learner.learn(pixels, labels, 0.1, 2)
        kept = learner.weights()
        scores = learner.scores(pixels)
        np.testing.assert_array_equal(learner.scores(pixels), scores)
        np.testing.assert_equal(learner.weights(), kept)
        assert furthest(run_onnx(classifier_model(net, kept, 1.0, 4), pixels), scores) < 1e-4
        assert furthest(np.concatenate([learner.scores(pixels[:1]), learner.scores(pixels[1:])]), scores) < 1e-5


def test_bfloat16_rounds_the_activations_and_gives_float32() -> None:
    net = smallest("resnet9")
    weights, pixels = random_weights(net), pixels_for(net)
    with torch.autocast("cpu", torch.bfloat16), torch.inference_mode():
        rounded = forward(net, TorchNet(net, weights).tensors(), torch.from_numpy(pixels), True)
    assert rounded.dtype == torch.float32
    assert 1e-5 < furthest(rounded.numpy(), on_torch(net, weights, pixels)) < 0.1


def test_a_function_of_the_own_engine_is_refused_by_name() -> None:
    class Cube:
        pass

    net = Net("own", (4, 4, 1), chain(cube=Custom(Cube)))
    with pytest.raises(UsageError, match=r"cube: Cube is a function of kopal's own engine[\s\S]*--engine numpy"):
        on_torch(net, {}, pixels_for(net))


def test_pixels_of_another_size_and_weights_that_lack_are_refused_as_on_our_own_engine() -> None:
    net = smallest("resnet9")
    weights, pixels = random_weights(net), pixels_for(net)
    with pytest.raises(PixelsError, match=r"resnet9[\s\S]*\(N, 9, 9, 3\)"):
        on_torch(net, weights, pixels[:, :-1])
    del weights["stage2.down.conv.weight"]
    with pytest.raises(WeightsError, match=r"stage2\.down\.conv\.weight"):
        on_torch(net, weights, pixels)


def test_resnet9_has_the_stages_and_the_size_that_it_says() -> None:
    net = resnet9(32)
    rows = {row.path: row for row in describe(net)}
    assert rows["stage1.conv"].output == (32, 32, 32)
    assert [rows[f"stage{stage}.down.pool"].output for stage in (2, 3, 4)] == [(64, 16, 16), (128, 8, 8), (256, 4, 4)]
    # Convolutions of 9 weights a pair of channels, two numbers a channel for each norm, and the head.
    pairs = 3 * 32 + 32 * 64 + 2 * 64 * 64 + 64 * 128 + 128 * 256 + 2 * 256 * 256
    norms = 32 + 3 * 64 + 128 + 3 * 256
    assert sum(row.parameters for row in rows.values()) == 9 * pairs + 2 * norms + 256 * 10 + 10
    assert output_shape(resnet9(4, classes=7, image=(8, 12, 1))) == (7,)
    assert output_shape(build("resnet9", 3, (28, 28, 1))) == (3,)
    with pytest.raises(UsageError, match="cannot take images"):
        build("resnet9", 3, (7, 7, 3))
