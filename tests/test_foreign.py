"""Nets that are written elsewhere: a torch module becomes a leaf, trains on weights from outside, and is exported."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from kopal.backends.numpy_backend import forward
from kopal.backends.onnx_backend import classifier_model
from kopal.classifier import Classifier
from kopal.errors import KopalError, UsageError, WeightsError
from kopal.fit.foreign import foreign_net, is_foreign, named_net, starting_weights, usual_image
from kopal.images import Geometry
from kopal.model_file import OPERATORS, Card
from kopal.nets.describe import describe, output_shape
from kopal.nets.layers import Normalize, TorchModule
from kopal.nets.net import Net
from kopal.nets.table import net_lines
from kopal.report.net_graph import net_graph
from kopal.runtime import session

CLASSES, IMAGE = 4, (12, 10, 3)

MODULE = """
import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.GELU())
        self.register_buffer("order", torch.arange(width).flip(0))
        self.register_buffer("slope", torch.full((1,), 0.5), persistent=False)

    def forward(self, x):
        return x + self.body(x) * self.slope


class Own(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.SiLU(inplace=True))
        self.block = Block(8)
        self.token = nn.Parameter(torch.ones(1, 1, 8))
        self.frozen = nn.Parameter(torch.full((8,), 1.5), requires_grad=False)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(8, classes)

    def forward(self, x):
        x = self.block(self.stem(x)).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1) * self.frozen
        return self.head(self.drop(x.mean(dim=1)))


def make_net(classes):
    return Own(classes)


def raising(classes):
    raise RuntimeError("no such width")


def a_list(classes):
    return [classes]


def too_wide(classes):
    return Own(classes + 1)


def a_tuple(classes):
    class Tuple(Own):
        def forward(self, x):
            return super().forward(x), x
    return Tuple(classes)


def large_only(classes):
    return nn.Sequential(nn.Conv2d(3, 4, 50), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, classes))


def always_dropping(classes):
    class Dropping(Own):
        def forward(self, x):
            return nn.functional.dropout(super().forward(x))
    return Dropping(classes)


def by_neighbours(classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(360, classes), nn.BatchNorm1d(classes, track_running_stats=False))


def by_values(classes):
    class Branching(Own):
        def forward(self, x):
            return super().forward(x) if x.sum() > -1e9 else x
    return Branching(classes)


def rare(classes):
    class Rare(Own):
        def forward(self, x):
            return super().forward(x.cumsum(2))
    return Rare(classes)


def counting(classes):
    class Counting(Own):
        def forward(self, x):
            return super().forward(x) + 1e-9 * x.shape[0]
    return Counting(classes)


def average_of_all(classes):
    return nn.Sequential(nn.BatchNorm2d(3, momentum=None), nn.Flatten(), nn.Linear(360, classes))


def tied(classes):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second, self.head = nn.Linear(10, 10), nn.Linear(10, 10), nn.Linear(360, classes)
            self.second.weight = self.first.weight

        def forward(self, x):
            return self.head(self.second(self.first(x)).flatten(1))
    return Tied()


def keeping(classes):
    class Keeping(Own):
        kept = None

        def train(self, mode=True):
            self.kept = None if mode else self.kept
            return super().train(mode)

        def forward(self, x):
            if self.training:
                return super().forward(x) + self.token.exp().sum()
            if self.kept is None:
                self.kept = self.token.exp().sum()
            return super().forward(x) + self.kept
    return Keeping(classes)


def zoo(classes):
    class Zoo(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 8, 3, padding="same", groups=1)
            self.norms = nn.ModuleList([nn.GroupNorm(2, 8), nn.LayerNorm(8), nn.RMSNorm(8)])
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
            self.kinds = nn.ModuleList([nn.Hardswish(), nn.Hardsigmoid(), nn.ReLU6(), nn.LeakyReLU(0.1), nn.ELU(),
                nn.Softplus(), nn.PReLU(), nn.Mish(), nn.GELU("tanh"), nn.Tanh(), nn.Hardtanh(-0.5, 0.5)])
            self.head = nn.Linear(26, classes)

        def forward(self, x):
            f = nn.functional
            x = self.norms[0](self.conv(x))
            for kind in self.kinds:
                x = x + kind(x)
            x = f.pad(x, (1, 2, 0, 1), value=0.25) + f.pad(x, (1, 2, 0, 1), mode="reflect")
            x = torch.roll(x, (3, -2), (2, 3))
            a, b = x.chunk(2, dim=1)
            x = torch.stack([a, b], 1).flatten(1, 2)
            x[:, 2:4] = x[:, 2:4] * 0.5
            for mode in ("nearest", "bilinear", "bicubic"):
                x = x + f.interpolate(f.interpolate(x, scale_factor=1.5, mode=mode), x.shape[2:], mode=mode)
            pooled = [f.max_pool2d(x, 3, 2, 1, ceil_mode=True), f.avg_pool2d(x, 2, 2, ceil_mode=True)]
            x = torch.cat([pooled[0], f.adaptive_avg_pool2d(pooled[1], (7, 7))[..., :7]], 2)
            x = f.adaptive_avg_pool2d(x, (5, 3))
            t = self.norms[2](self.norms[1](x.permute(0, 2, 3, 1).reshape(-1, 15, 8)))
            t = t + self.attention(t, t, t, need_weights=False)[0]
            q, k, v = t.unbind(1)[0], t[:, 1], t.select(1, -1)
            means = torch.cat([q, k / 3 - v, (1 - v).abs().sqrt()], 1)
            return self.head(torch.cat([
                f.normalize(means, dim=1), x.amax((2, 3))[:, :1], t.sum((1, 2), keepdim=True).clamp(-3, 3)[:, 0]], 1))
    return Zoo()
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("own") / "module.py"
    path.write_text(MODULE, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def torch() -> Any:
    return pytest.importorskip("torch", reason="torch runs these nets")


@pytest.fixture(scope="module")
def net(file: Path, torch: Any) -> Net:
    torch.manual_seed(0)
    return foreign_net(f"{file}:make_net", CLASSES, IMAGE)


def moved(net: Net) -> dict[str, np.ndarray]:
    """Weights that are not the module's own: whoever exports those is found out."""
    rng = np.random.default_rng(0)
    weights = starting_weights(net)
    noise = {name: rng.normal(0, 0.05, array.shape).astype(np.float32) for name, array in weights.items()}
    return {name: array + (abs(noise[name]) if "var" in name else noise[name]) for name, array in weights.items()}


def by_torch(net: Net, weights: dict[str, np.ndarray], pixels: np.ndarray) -> np.ndarray:
    """The same by torch alone: pixels normalised, the module's state replaced, evaluation."""
    import torch

    normalize, leaf = (layer for _, layer in net.body.layers)
    assert isinstance(normalize, Normalize)
    assert isinstance(leaf, TorchModule)
    module = copy.deepcopy(leaf.structure).train().eval()
    state = {name.removeprefix("module."): torch.tensor(array) for name, array in weights.items()}
    module.load_state_dict(state, strict=False)
    mean, std = (np.array(numbers, np.float32).reshape(-1, 1, 1) for numbers in (normalize.mean, normalize.std))
    images = ((pixels.transpose(0, 3, 1, 2) / np.float32(255) - mean) / std).astype(np.float32)
    with torch.no_grad():
        return module(torch.from_numpy(images)).numpy()


def check_export(net: Net, classes: int = CLASSES) -> None:
    weights = moved(net)
    model = classifier_model(net, weights, 1.0, classes)
    onnx.checker.check_model(model, full_check=True)
    assert {node.op_type for node in model.graph.node} <= OPERATORS
    run = session(model.SerializeToString()).run
    pixels = np.random.default_rng(1).integers(0, 256, (5, *net.image), dtype=np.uint8)
    expected = by_torch(net, weights, pixels)
    found = run(["scores"], {"pixels": pixels})[0]
    assert np.ptp(expected) > 1e-3
    assert np.abs(found - expected).max() <= 1e-4 * np.ptp(expected)
    alone = np.concatenate([run(["scores"], {"pixels": pixels[at : at + 1]})[0] for at in range(5)])
    assert np.abs(found - alone).max() <= 1e-5 * np.ptp(expected)
    scores, probabilities, label = run(None, {"pixels": pixels[:0]})
    assert (scores.shape, probabilities.shape, label.shape) == ((0, classes), (0, classes), (0,))


def test_a_users_module_gives_the_same_numbers_as_onnx(net: Net) -> None:
    check_export(net)


@pytest.mark.parametrize("function", ["tied", "keeping", "zoo"])
def test_weights_shared_or_kept_and_many_operators_give_the_same_numbers_as_onnx(
    file: Path, torch: Any, function: str
) -> None:
    torch.manual_seed(0)
    check_export(foreign_net(f"{file}:{function}", CLASSES, IMAGE))


@pytest.mark.parametrize("name", ["resnet10t", "vit_tiny_patch16_224", "mobilenetv3_small_050"])
def test_a_timm_net_gives_the_same_numbers_as_onnx(torch: Any, name: str) -> None:
    pytest.importorskip("timm", reason="timm's nets")
    torch.manual_seed(0)
    check_export(foreign_net(f"timm:{name}", CLASSES, (32, 32, 3)))


def test_the_exported_weights_are_the_given_ones(net: Net) -> None:
    weights = moved(net)
    pixels = np.zeros((1, *IMAGE), np.uint8)
    before = session(classifier_model(net, weights, 1.0, CLASSES).SerializeToString()).run(
        ["scores"], {"pixels": pixels}
    )
    weights["module.head.bias"] = weights["module.head.bias"] + np.float32(2)
    after = session(classifier_model(net, weights, 1.0, CLASSES).SerializeToString()).run(
        ["scores"], {"pixels": pixels}
    )
    np.testing.assert_allclose(after[0], before[0] + 2, atol=1e-4)
    del weights["module.head.bias"]
    with pytest.raises(WeightsError, match=r"lack module\.head\.bias"):
        classifier_model(net, weights, 1.0, CLASSES)


def test_the_same_net_and_weights_give_the_same_bytes(file: Path, torch: Any) -> None:
    def made() -> bytes:
        torch.manual_seed(0)
        net = foreign_net(f"{file}:make_net", CLASSES, IMAGE)
        return classifier_model(net, starting_weights(net), 1.0, CLASSES).SerializeToString(deterministic=True)

    assert made() == made()


def test_a_classifier_of_it_is_sealed_loaded_and_verified(net: Net) -> None:
    classes = ("a", "b", "kočka", "d")
    model = classifier_model(net, moved(net), 1.5, CLASSES)
    built = Classifier.build(model, Card(net.name, classes, Geometry(*IMAGE), 1.5))
    loaded = Classifier.from_bytes(built._data)
    pixels = np.random.default_rng(2).integers(0, 256, (3, *IMAGE), dtype=np.uint8)
    assert np.array_equal(loaded.scores(pixels), built.scores(pixels))
    assert loaded.verify() <= 1e-6
    assert loaded.card.net == "module.py:make_net"
    assert loaded.scores(pixels[:0]).shape == (0, CLASSES)


def test_it_is_described_as_one_leaf(net: Net) -> None:
    rows = describe(net)
    assert [row.path for row in rows] == ["normalize", "module"]
    assert output_shape(net) == (CLASSES,)
    leaf = rows[-1]
    # stem 3·8·9 + 8, its norm 16, block 8·8·9 and norm 16, token 8, head 8·4 + 4
    assert leaf.parameters == 224 + 16 + 576 + 16 + 8 + 36
    assert set(leaf.fixed) == {
        "frozen",
        *(f"{n}.running_{s}" for n in ("stem.1", "block.body.1") for s in ("mean", "var")),
    }
    # stem: 5 x 4 places; block: the same places; head once
    assert leaf.multiply_adds == 20 * 216 + 20 * 576 + 32
    text = "\n".join(net_lines(net))
    assert "module.py:make_net: 12 x 10 x 3 pixels in, 4 scores out" in text
    assert "module.py:make_net" in net_graph(net)
    assert set(starting_weights(net)) == {f"module.{name}" for name in (*leaf.learned, *leaf.fixed)}


def test_images_of_another_size_are_a_misfit(net: Net) -> None:
    with pytest.raises(UsageError, match="was made for images of shape"):
        describe(Net(net.name, (14, 10, 3), net.body))


def test_the_numpy_engine_says_what_runs_it(net: Net) -> None:
    with pytest.raises(UsageError, match="torch module") as caught:
        forward(net, starting_weights(net), np.zeros((1, 3, 12, 10), np.float32))
    assert "--engine torch" in caught.value.fix


def as_tensors(torch: Any, net: Net, learns: Callable[[str], bool]) -> dict[str, Any]:
    learned = {f"module.{name}" for name in describe(net)[-1].learned}
    return {
        name: torch.tensor(array, requires_grad=name in learned and learns(name))
        for name, array in starting_weights(net).items()
    }


def test_training_moves_the_weights_and_statistics_outside_and_nothing_inside(net: Net, torch: Any) -> None:
    from kopal.backends.torch_module import run_module

    leaf = net.body.layers[-1][1]
    assert isinstance(leaf, TorchModule)
    inside = {name: tensor.clone() for name, tensor in leaf.structure.state_dict().items()}
    weights = as_tensors(torch, net, lambda name: True)
    images = torch.randn(8, 3, 12, 10, generator=torch.Generator().manual_seed(0)) + 1
    labels = torch.arange(8) % CLASSES
    optimiser = torch.optim.SGD([tensor for tensor in weights.values() if tensor.requires_grad], lr=0.1)
    losses = []
    for _ in range(30):
        loss = torch.nn.functional.cross_entropy(run_module(leaf, "module", weights, images, True), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert all(torch.equal(tensor, inside[name]) for name, tensor in leaf.structure.state_dict().items())
    # By hand: the running mean of the first norm after one step from 0 with momentum 0.1.
    fresh = as_tensors(torch, net, lambda name: True)
    mean = torch.nn.functional.conv2d(images, fresh["module.stem.0.weight"], fresh["module.stem.0.bias"], 2).mean(
        (0, 2, 3)
    )
    run_module(leaf, "module", fresh, images, True)
    torch.testing.assert_close(fresh["module.stem.1.running_mean"], 0.1 * mean.detach())
    # Evaluation moves nothing and is free of chance.
    still = {name: tensor.clone() for name, tensor in fresh.items()}
    with torch.no_grad():
        first, second = (run_module(leaf, "module", fresh, images, False) for _ in range(2))
    assert torch.equal(first, second)
    assert all(torch.equal(tensor, still[name]) for name, tensor in fresh.items())
    trained = {name: tensor.detach().numpy() for name, tensor in weights.items()}
    with torch.no_grad():
        expected = run_module(leaf, "module", weights, images, False).numpy()
    np.testing.assert_allclose(by_torch_of(leaf, trained, images), expected, atol=1e-5)


def by_torch_of(leaf: TorchModule, weights: dict[str, np.ndarray], images: Any) -> np.ndarray:
    import torch

    module = copy.deepcopy(leaf.structure).train().eval()
    module.load_state_dict({n.removeprefix("module."): torch.tensor(a) for n, a in weights.items()}, strict=False)
    with torch.no_grad():
        return module(images).numpy()


def test_a_frozen_batch_norm_keeps_its_statistics(net: Net, torch: Any) -> None:
    from kopal.backends.torch_module import run_module

    leaf = net.body.layers[-1][1]
    assert isinstance(leaf, TorchModule)
    weights = as_tensors(torch, net, lambda name: not name.startswith("module.stem"))
    run_module(leaf, "module", weights, torch.randn(4, 3, 12, 10), True).sum().backward()
    assert not weights["module.stem.1.running_mean"].any()
    assert weights["module.block.body.1.running_mean"].any()
    assert weights["module.head.weight"].grad is not None


WRONG = {
    "raising": "no such width",
    "a_list": "gives a list",
    "too_wide": r"shape \(2, 5\) for 2 images",
    "a_tuple": "gives a tuple",
    "large_only": "cannot take 2 x 12 x 10 x 3 pixels",
    "always_dropping": "other scores alone",
    "by_neighbours": "cannot take 1 x 12",
    "by_values": "torch.export cannot record",
    "rare": "cumsum",
    "counting": "number of images",
    "average_of_all": "averages over all batches",
    "gone": "no function 'gone'",
}


@pytest.mark.parametrize("function", WRONG)
def test_a_module_that_does_not_fit_is_refused_before_training(file: Path, torch: Any, function: str) -> None:
    with pytest.raises(UsageError, match=WRONG[function]) as caught:
        foreign_net(f"{file}:{function}", CLASSES, IMAGE)
    assert caught.value.expected
    assert "Traceback" not in str(caught.value)


def test_a_file_that_is_missing_or_broken_is_refused(tmp_path: Path, torch: Any) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("def make_net(:\n", encoding="utf-8")
    leaving = tmp_path / "leaving.py"
    leaving.write_text("raise SystemExit(3)\n", encoding="utf-8")
    for name, reason in {
        f"{tmp_path}/gone.py:make_net": "no file",
        str(broken): "names no function",
        f"{broken}:": "names no function",
        f"{broken}:make_net": "SyntaxError",
        f"{leaving}:make_net": "SystemExit",
    }.items():
        with pytest.raises(UsageError, match=reason):
            foreign_net(name, CLASSES, IMAGE)


def test_a_file_may_import_its_neighbour(tmp_path: Path, torch: Any) -> None:
    (tmp_path / "kopal_test_neighbour.py").write_text("WIDTH = 300\n", encoding="utf-8")
    (tmp_path / "own.py").write_text(
        "from torch import nn\nfrom kopal_test_neighbour import WIDTH\n"
        "def make(classes):\n    return nn.Sequential(nn.Flatten(), nn.LazyLinear(WIDTH), nn.Linear(WIDTH, classes))\n",
        encoding="utf-8",
    )
    net = foreign_net(f"{tmp_path / 'own.py'}:make", 2, (4, 4, 1))
    assert starting_weights(net)["module.1.weight"].shape == (300, 16)


def test_an_unknown_timm_net_gets_close_names(torch: Any) -> None:
    pytest.importorskip("timm", reason="timm's nets")
    with pytest.raises(UsageError, match="no net 'resnet10'") as caught:
        foreign_net("timm:resnet10", CLASSES, IMAGE)
    assert "timm:resnet10t" in caught.value.expected


def test_timm_nets_see_pixels_as_published_and_grey_ones_by_one_number(torch: Any) -> None:
    pytest.importorskip("timm", reason="timm's nets")
    assert usual_image("timm:resnet10t") == (176, 176, 3)
    colour, grey = (foreign_net("timm:resnet10t", CLASSES, (32, 32, depth)).body.layers[0][1] for depth in (3, 1))
    assert isinstance(colour, Normalize)
    assert isinstance(grey, Normalize)
    assert colour.mean == (0.485, 0.456, 0.406)
    assert grey.mean == pytest.approx((0.449,), abs=1e-6)


def test_names_that_lead_through_the_door() -> None:
    assert is_foreign("timm:resnet18")
    assert is_foreign("a/module.py:make_net")
    assert is_foreign("module.py")
    assert not is_foreign("resnet18")
    assert named_net("lenet5").name == "lenet5"
    assert usual_image("module.py:make_net") is None


@pytest.mark.parametrize("missing", ["torch", "timm"])
def test_a_package_that_is_missing_is_named_with_its_pip_command(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    if missing == "timm":
        pytest.importorskip("torch", reason="timm is asked for after torch")
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(KopalError, match=f"{missing} is not installed") as caught:
        foreign_net("timm:resnet18", CLASSES, IMAGE)
    assert caught.value.fix == f"pip install 'kopal[{missing}]'"
