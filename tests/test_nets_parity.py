"""Our nets compute what torch's modules compute: the same random weights, the same pixels, the same scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from kopal.backends.onnx_backend import classifier_model, feature_model
from kopal.errors import WeightsError
from kopal.nets.describe import output_shape, parameter_shapes
from kopal.nets.layers import IMAGENET
from kopal.nets.net import Net
from kopal.nets.registry import build
from kopal.nets.torchvision_names import translate_torchvision

Arrays = dict[str, NDArray[Any]]

# One net of each family and of each kind of block; sides where the windows do not come out even are among them.
TORCHVISION = {
    "alexnet": {},
    "vgg11": {"init_weights": False},
    "resnet18": {},
    "resnet50": {},
    "googlenet": {"transform_input": True, "aux_logits": False, "init_weights": False},
    "inception-v3": {"transform_input": True, "init_weights": False},
    "efficientnet-b0": {},
    "efficientnet-b5": {},
}


def pixels_for(net: Net) -> NDArray[np.uint8]:
    """Two pictures of coloured patches: of plain noise a deep net makes the same scores whatever the noise."""
    height, width, channels = net.image
    rng = np.random.default_rng(0)
    patches = rng.integers(0, 256, (2, 7, 7, channels)).repeat(-(-height // 7), 1).repeat(-(-width // 7), 2)
    noise = rng.integers(-40, 41, (2, height, width, channels))
    return np.clip(patches[:, :height, :width] + noise, 0, 255).astype(np.uint8)


def run_onnx(model: Any, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"pixels": pixels})[0]


def run_torch(module: Any, pixels: NDArray[np.uint8], mean: Any, std: Any) -> NDArray[np.float32]:
    torch = pytest.importorskip("torch")
    images = (pixels / 255 - np.array(mean)) / np.array(std)
    with torch.inference_mode():
        return module(torch.tensor(images.transpose(0, 3, 1, 2), dtype=torch.float32)).numpy()


def randomised(module: Any, pixels: NDArray[np.uint8]) -> Any:
    """Random weights under which the scores still depend on the pixels, and batch norms that each do something.

    With torch's own initial weights the signal fades from layer to layer until only the biases are heard. So weights
    that keep its strength, random factors and shifts, and running statistics measured on the pixels.
    """
    torch = pytest.importorskip("torch")
    generator = torch.Generator().manual_seed(0)
    norms = [layer for layer in module.eval().modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    for layer in module.modules():
        if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear):
            torch.nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu", generator=generator)
    for norm in norms:
        torch.nn.init.uniform_(norm.weight, 0.5, 1.5, generator=generator)
        torch.nn.init.normal_(norm.bias, 0, 0.1, generator=generator)
        norm.train().momentum = 1.0
    if norms:
        run_torch(module, pixels, IMAGENET.mean, IMAGENET.std)
    return module.eval()


def state(module: Any) -> Arrays:
    return {name: tensor.numpy() for name, tensor in module.state_dict().items()}


def furthest(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> float:
    """The largest difference, as a share of the range of the oracle's numbers."""
    assert ours.shape == theirs.shape
    assert np.abs(theirs[0] - theirs[1]).max() > 0.05 * np.ptp(theirs), "the oracle hardly looks at the pixels"
    return float(np.abs(ours - theirs).max() / np.ptp(theirs))


@pytest.mark.parametrize("name", TORCHVISION)
def test_a_net_scores_as_torchvisions_module_with_the_same_weights(name: str) -> None:
    torch, models = pytest.importorskip("torch"), pytest.importorskip("torchvision.models")
    torch.manual_seed(0)
    # Smaller than published, for time: B5's 456 becomes 193, which no stride divides.
    net = build(name, image=(193, 193, 3)) if name == "efficientnet-b5" else build(name)
    pixels = pixels_for(net)
    module = randomised(models.get_model(name.replace("-", "_"), **TORCHVISION[name]), pixels)
    theirs = run_torch(module, pixels, IMAGENET.mean, IMAGENET.std)
    weights = translate_torchvision(state(module), net)
    del module
    ours = run_onnx(classifier_model(net, weights, 1.0, 1000), pixels)
    assert furthest(ours, theirs) < 1e-4


def test_a_lite_net_scores_as_timms_module_with_the_same_weights() -> None:
    torch, timm = pytest.importorskip("torch"), pytest.importorskip("timm")
    torch.manual_seed(0)
    net = build("efficientnet-lite3", classes=10)
    pixels = pixels_for(net)
    module = randomised(timm.create_model("tf_efficientnet_lite3", num_classes=10), pixels)
    ours = run_onnx(classifier_model(net, translate_torchvision(state(module), net), 1.0, 10), pixels)
    assert furthest(ours, run_torch(module, pixels, [0.5], [0.5])) < 1e-4


@pytest.mark.parametrize(("name", "groups"), [("alexnet-2012", 2), ("alexnet-one-tower", 1)])
def test_the_papers_alexnet_scores_as_torchs_layers_in_the_papers_order(name: str, groups: int) -> None:
    torch = pytest.importorskip("torch")
    nn = torch.nn
    torch.manual_seed(0)

    def norm() -> Any:
        # k + alpha Σ a², the paper's formula; torch divides alpha by the size
        return nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)

    module = nn.Sequential(
        nn.ZeroPad2d((1, 2, 1, 2)),
        *(nn.Conv2d(3, 96, 11, 4), nn.ReLU(), norm(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(96, 256, 5, padding=2, groups=groups), nn.ReLU(), norm(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(256, 384, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(384, 384, 3, padding=1, groups=groups), nn.ReLU()),
        *(nn.Conv2d(384, 256, 3, padding=1, groups=groups), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Flatten()),
        *(nn.Linear(9216, 4096), nn.ReLU(), nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, 1000)),
    )
    net = build(name)
    pixels = pixels_for(net)
    module = randomised(module, pixels)
    with torch.no_grad():
        # Large activations, so that the normalisation is not the identity times a constant.
        module[1].weight.mul_(30)
    ours = run_onnx(classifier_model(net, translate_torchvision(state(module), net), 1.0, 1000), pixels)
    assert furthest(ours, run_torch(module, pixels, IMAGENET.mean, IMAGENET.std)) < 1e-4


@pytest.mark.parametrize("name", ["mlp", "lenet5", "garment"])
def test_a_small_net_scores_as_torchs_layers(name: str) -> None:
    torch = pytest.importorskip("torch")
    nn = torch.nn
    torch.manual_seed(0)
    modules = {
        "mlp": (nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10)),
        "lenet5": (
            *(nn.Conv2d(1, 6, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2)),
            *(nn.Flatten(), nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10)),
        ),
        "garment": (
            *(nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Linear(256, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)),
        ),
    }
    net = build(name)
    pixels = pixels_for(net)
    module = randomised(nn.Sequential(*modules[name]), pixels)
    ours = run_onnx(classifier_model(net, translate_torchvision(state(module), net), 1.0, 10), pixels)
    assert furthest(ours, run_torch(module, pixels, [0.5], [0.5])) < 1e-4


def test_a_net_cut_after_its_pool_gives_the_features_of_torchvisions_module() -> None:
    torch, models = pytest.importorskip("torch"), pytest.importorskip("torchvision.models")
    torch.manual_seed(0)
    net = build("resnet18", image=(64, 64, 3))
    pixels = pixels_for(net)
    module = randomised(models.resnet18(), pixels)
    weights = translate_torchvision(state(module), net)
    module.fc = torch.nn.Identity()
    ours = run_onnx(feature_model(net.without_head(), weights), pixels)
    assert ours.shape == (2, *output_shape(net.without_head())) == (2, 512)
    assert furthest(ours, run_torch(module, pixels, IMAGENET.mean, IMAGENET.std)) < 1e-4


def test_the_comparison_sees_another_normalisation_and_two_layers_that_change_places() -> None:
    torch, models = pytest.importorskip("torch"), pytest.importorskip("torchvision.models")
    torch.manual_seed(0)
    net = build("resnet18", image=(64, 64, 3))
    pixels = pixels_for(net)
    module = randomised(models.resnet18(), pixels)
    theirs = run_torch(module, pixels, IMAGENET.mean, IMAGENET.std)
    weights = translate_torchvision(state(module), net)
    assert furthest(run_torch(module, pixels, [0.5], [0.5]), theirs) > 1e-3
    first, second = "conv2.1.residual.body.conv1.weight", "conv2.1.residual.body.conv2.weight"
    weights[first], weights[second] = weights[second], weights[first]
    assert furthest(run_onnx(classifier_model(net, weights, 1.0, 1000), pixels), theirs) > 1e-3


def test_the_comparison_refuses_an_oracle_that_does_not_look_at_the_pixels() -> None:
    deaf = np.tile(np.arange(10, dtype=np.float32), (2, 1))
    with pytest.raises(AssertionError, match="hardly looks"):
        furthest(deaf, deaf)


def foreign(net: Net) -> Arrays:
    """A state dict of the right shapes under foreign names: what a damaged file starts from."""
    rng = np.random.default_rng(0)
    return {f"model.{name}": rng.normal(size=shape) for name, shape in parameter_shapes(net).items()}


def test_translation_keeps_every_array_under_our_name() -> None:
    net = build("resnet18", classes=2)
    arrays = foreign(net)
    weights = translate_torchvision(arrays, net)
    assert list(weights) == list(parameter_shapes(net))
    for name, array in weights.items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, arrays[f"model.{name}"].astype(np.float32))


def test_translation_does_not_care_in_which_order_a_layer_holds_its_arrays() -> None:
    net = build("resnet18", classes=2)
    arrays = foreign(net)
    layers = list(dict.fromkeys(name.rpartition(".")[0] for name in arrays))
    turned = {name: arrays[name] for layer in layers for name in reversed(arrays) if name.rpartition(".")[0] == layer}
    assert list(turned) != list(arrays)
    np.testing.assert_equal(translate_torchvision(turned, net), translate_torchvision(arrays, net))


def test_translation_leaves_out_counts_of_batches_and_auxiliary_classifiers() -> None:
    net = build("googlenet", classes=2)
    arrays = foreign(net)
    more = arrays | {"model.conv1.bn.num_batches_tracked": np.array(7), "aux1.fc1.weight": np.zeros((3, 3))}
    np.testing.assert_equal(translate_torchvision(more, net), translate_torchvision(arrays, net))


def test_translation_refuses_a_layer_that_is_missing() -> None:
    net = build("garment")
    arrays = {name: array for name, array in foreign(net).items() if ".fc2." not in name}
    with pytest.raises(WeightsError, match=r"hold 4 layers[\s\S]*5, as net garment has"):
        translate_torchvision(arrays, net)


def test_translation_refuses_a_layer_that_is_left_over() -> None:
    net = build("garment")
    with pytest.raises(WeightsError, match=r"hold 6 layers[\s\S]*5, as net garment has"):
        translate_torchvision(foreign(net) | {"extra.weight": np.zeros((2, 2))}, net)


def test_translation_refuses_an_array_that_is_missing_in_a_layer() -> None:
    net = build("garment")
    arrays = foreign(net)
    del arrays["model.fc2.bias"]
    with pytest.raises(WeightsError, match=r"'model.fc2' of the weights holds weight \(84, 120\)\n[\s\S]*bias \(84,\)"):
        translate_torchvision(arrays, net)


def test_translation_refuses_another_shape_and_names_both() -> None:
    net = build("garment")
    arrays = foreign(net) | {"model.head.weight": np.zeros((11, 84)), "model.head.bias": np.zeros(11)}
    with pytest.raises(WeightsError, match=r"'model.head'[\s\S]*\(11, 84\)[\s\S]*\(10, 84\)[\s\S]*as 'head'"):
        translate_torchvision(arrays, net)
