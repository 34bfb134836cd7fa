"""Each architecture has the size, the cost and the layers that its publishers give."""

from __future__ import annotations

from collections import Counter
from math import prod

import pytest

from kopal.errors import UsageError
from kopal.nets.describe import describe, output_shape, parameter_shapes
from kopal.nets.layers import BatchNorm, Chain, Conv, Linear, LocalResponseNorm, MaxPool, Normalize, chain
from kopal.nets.mlp import mlp
from kopal.nets.net import Net
from kopal.nets.published import PUBLISHED
from kopal.nets.registry import NAMES, build

# torchvision.models.*_Weights.IMAGENET1K_V1.meta["num_params"]; Lite: timm's tf_efficientnet_lite0 to 4;
# AlexNet 2012: counted from the paper; ResNet-9: from the layers that it names; the other small nets: the lecture.
PARAMETERS = {
    "linear": 30_730,
    "mlp": 784 * 256 + 256 + 256 * 128 + 128 + 128 * 10 + 10,
    "lenet5": 61_706,
    "garment": 44_426,
    "resnet9": 1_646_122,
    # The paper's table 6 says 0.27, 0.46, 0.66 and 0.85 million; projections add 2 752.
    "resnet20": 272_474,
    "resnet32": 466_906,
    "resnet44": 661_338,
    "resnet56": 855_770,
    "resnet20-slim": 68_786,
    "alexnet-2012": 60_965_224,
    "alexnet-one-tower": 62_378_344,
    "alexnet": 61_100_840,
    "vgg11": 132_863_336,
    "vgg13": 133_047_848,
    "vgg16": 138_357_544,
    "vgg19": 143_667_240,
    "googlenet": 6_624_904,
    "inception-v3": 27_161_264 - 3_326_696,  # less the auxiliary classifier
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "efficientnet-lite0": 4_652_008,
    "efficientnet-lite1": 5_416_680,
    "efficientnet-lite2": 6_092_072,
    "efficientnet-lite3": 8_197_096,
    "efficientnet-lite4": 13_006_568,
    "efficientnet-b0": 5_288_548,
    "efficientnet-b1": 7_794_184,
    "efficientnet-b2": 9_109_994,
    "efficientnet-b3": 12_233_232,
    "efficientnet-b4": 19_341_616,
    "efficientnet-b5": 30_389_784,
    "efficientnet-b6": 43_040_704,
    "efficientnet-b7": 66_347_960,
}

# torchvision.models.*_Weights.IMAGENET1K_V1.meta["_ops"], in thousand millions.
BILLIONS = {
    "alexnet": 0.714,
    "vgg11": 7.609,
    "vgg13": 11.308,
    "vgg16": 15.47,
    "vgg19": 19.632,
    "googlenet": 1.498,
    "inception-v3": 5.713,
    "resnet18": 1.814,
    "resnet34": 3.664,
    "resnet50": 4.089,
    "resnet101": 7.801,
    "resnet152": 11.514,
    "efficientnet-b0": 0.386,
    "efficientnet-b1": 0.687,
    "efficientnet-b2": 1.088,
    "efficientnet-b3": 1.827,
    "efficientnet-b4": 4.394,
    "efficientnet-b5": 10.266,
    "efficientnet-b6": 19.068,
    "efficientnet-b7": 37.746,
}

# The README of EfficientNet-Lite. Its counts come out with three more operations per number that a batch norm gives:
# a factor, a shift, an activation.
LITE_BILLIONS = {0: 0.407, 1: 0.631, 2: 0.899, 3: 1.44, 4: 2.64}


def parameters(net: Net) -> int:
    return sum(row.parameters for row in describe(net))


def billions(net: Net) -> float:
    return sum(row.multiply_adds for row in describe(net)) / 1e9


@pytest.mark.parametrize("name", NAMES)
def test_a_net_has_the_published_number_of_parameters(name: str) -> None:
    assert parameters(build(name)) == PARAMETERS[name]


@pytest.mark.parametrize("name", BILLIONS)
def test_a_net_has_the_published_multiply_adds(name: str) -> None:
    assert billions(build(name)) == pytest.approx(BILLIONS[name], abs=0.0006)


@pytest.mark.parametrize("size", LITE_BILLIONS)
def test_a_lite_net_has_the_published_operations(size: int) -> None:
    net = build(f"efficientnet-lite{size}")
    normed = sum(prod(row.output) for row in describe(net) if isinstance(row.layer, BatchNorm)) / 1e9
    assert billions(net) + 3 * normed == pytest.approx(LITE_BILLIONS[size], rel=0.005)


def test_the_counts_can_be_wrong() -> None:
    assert parameters(build("vgg16", classes=999)) != PARAMETERS["vgg16"]
    assert billions(build("resnet18", image=(192, 192, 3))) != pytest.approx(BILLIONS["resnet18"], abs=0.0006)


@pytest.mark.parametrize("name", NAMES)
def test_no_two_arrays_of_a_net_share_a_name(name: str) -> None:
    net = build(name)
    assert len(parameter_shapes(net)) == sum(len(row.learned) + len(row.fixed) for row in describe(net))


def test_two_layers_of_one_name_would_be_seen() -> None:
    net = Net("double", (8, 8, 3), Chain((("conv", Conv(3, (1, 1))), ("conv", Conv(3, (1, 1))))))
    assert len(parameter_shapes(net)) != sum(len(row.learned) for row in describe(net))


@pytest.mark.parametrize("name", NAMES)
def test_a_net_begins_with_normalize_and_ends_with_the_linear_head(name: str) -> None:
    net = build(name)
    assert isinstance(net.body.layers[0][1], Normalize)
    last, layer = net.body.layers[-1]
    assert last == "head"
    assert isinstance(layer, Linear)


@pytest.mark.parametrize("name", NAMES)
def test_a_net_is_built_for_other_classes(name: str) -> None:
    net = build(name, classes=7)
    assert output_shape(net) == (7,)
    assert net == build(name).with_head(7)


@pytest.mark.parametrize("name", [name for name in NAMES if build(name).image[0] > 200])
def test_a_net_for_photos_is_built_for_another_side(name: str) -> None:
    assert output_shape(build(name, image=(193, 193, 3))) == (1000,)


@pytest.mark.parametrize("name", ["linear", "mlp", "lenet5", "garment"])
@pytest.mark.parametrize("image", [(28, 28, 1), (32, 32, 3), (40, 36, 3)])
def test_a_small_net_is_built_for_any_small_picture(name: str, image: tuple[int, int, int]) -> None:
    assert output_shape(build(name, 3, image)) == (3,)


def test_lenet_has_the_same_parameters_on_28_pixels_as_on_32() -> None:
    assert parameters(build("lenet5", image=(28, 28, 1))) == parameters(build("lenet5")) == 61_706


def test_alexnet_2012_is_the_papers_sequence_with_windows_that_fit() -> None:
    net = build("alexnet-2012")
    assert [name.rstrip("12345678") for name in net.stages() if not name.startswith(("relu", "dropout"))] == [
        *("normalize", "conv", "norm", "pool", "conv", "norm", "pool", "conv", "conv", "conv", "pool"),
        *("flatten", "fc", "fc", "head"),
    ]
    shapes = {row.path: row.output for row in describe(net)}
    assert shapes["conv1"] == (96, 55, 55)
    assert shapes["pool5"] == (256, 6, 6)
    # The field's other reading of the paper: 227 pixels without padding. The same windows, the same counts.
    wider = build("alexnet-2012", image=(227, 227, 3))
    assert {row.path: row.output for row in describe(wider)}["conv1"] == (96, 55, 55)
    assert parameters(wider) == 60_965_224
    assert sum(isinstance(row.layer, LocalResponseNorm) for row in describe(net)) == 2


@pytest.mark.parametrize(
    ("name", "counts"),
    [("vgg11", (1, 1, 2, 2, 2)), ("vgg13", (2,) * 5), ("vgg16", (2, 2, 3, 3, 3)), ("vgg19", (2, 2, 4, 4, 4))],
)
def test_vgg_is_the_slides_table(name: str, counts: tuple[int, ...]) -> None:
    rows = describe(build(name))
    groups: list[list[int]] = [[]]
    for row in rows:
        if isinstance(row.layer, Conv):
            assert row.layer.kernel == (3, 3)
            groups[-1].append(row.layer.out)
        if isinstance(row.layer, MaxPool):
            groups.append([])
    expected = [[width] * count for width, count in zip((64, 128, 256, 512, 512), counts, strict=True)]
    assert groups == [*expected, []]


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("resnet")])
def test_resnet_has_as_many_layers_as_its_name_says(name: str) -> None:
    learned = [row.path for row in describe(build(name)) if isinstance(row.layer, Conv | Linear)]
    layers = int(name.removeprefix("resnet").removesuffix("-slim"))
    assert len([path for path in learned if ".shortcut." not in path]) == layers


def test_the_bottleneck_strides_in_its_3x3() -> None:
    strided = [row.layer.kernel for row in describe(build("resnet50")) if _strided(row.layer)]
    assert Counter(strided) == {(7, 7): 1, (3, 3): 3, (1, 1): 3}
    paths = [row.path for row in describe(build("resnet50")) if _strided(row.layer)]
    assert [path for path in paths if path.startswith("conv4")] == [
        "conv4.1.residual.body.conv2",
        "conv4.1.residual.shortcut.conv",
    ]


def _strided(layer: object) -> bool:
    return isinstance(layer, Conv) and layer.stride != (1, 1)


def test_inception_blocks_have_the_papers_widths() -> None:
    net = build("googlenet")
    widths = [output_shape(net.until(name))[0] for name in net.stages() if name.startswith("inception")]
    assert widths == [256, 480, 512, 512, 512, 528, 832, 832, 1024]


def test_lite_keeps_stem_and_head_while_b_scales_them() -> None:
    assert output_shape(build("efficientnet-lite4").until("stem"))[0] == 32
    assert output_shape(build("efficientnet-lite4").without_head()) == (1280,)
    assert output_shape(build("efficientnet-b7").until("stem"))[0] == 64
    assert output_shape(build("efficientnet-b7").without_head()) == (2560,)


def test_a_perceptron_has_the_layers_asked_for() -> None:
    net = mlp((5, 4), 3, (2, 2, 1), "sigmoid")
    assert net.stages() == ("normalize", "flatten", "fc1", "sigmoid1", "fc2", "sigmoid2", "head")
    assert parameters(net) == (4 * 5 + 5) + (5 * 4 + 4) + (4 * 3 + 3)


def test_a_perceptron_without_hidden_layers_is_the_linear_classifier() -> None:
    assert mlp((), 10, (32, 32, 3)).body == build("linear").body


def test_a_perceptron_refuses_an_unknown_activation_and_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"'softplus'[\s\S]*relu, relu6, sigmoid, tanh, silu"):
        mlp((5,), 3, (2, 2, 1), "softplus")  # type: ignore[arg-type]


def test_a_perceptron_refuses_an_empty_layer() -> None:
    with pytest.raises(UsageError, match=r"widths \(5, 0\)"):
        mlp((5, 0), 3, (2, 2, 1))


def test_an_unknown_net_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"'vgg17'[\s\S]*vgg16, vgg19"):
        build("vgg17")


def test_a_net_for_no_classes_is_refused() -> None:
    with pytest.raises(UsageError, match="0 classes"):
        build("resnet18", classes=0)


@pytest.mark.parametrize("image", [(224, 200, 3), (224, 224, 1)])
def test_a_net_for_photos_refuses_other_shapes(image: tuple[int, int, int]) -> None:
    with pytest.raises(UsageError, match=r"224 x \d+ x \d pixels[\s\S]*three colours"):
        build("resnet18", image=image)


def test_an_image_too_small_for_the_net_is_refused_when_it_is_built() -> None:
    with pytest.raises(
        UsageError, match=r"net vgg16 cannot take images of 16 x 16 x 3 pixels: pool5: [\s\S]*32 x 32 pixels or more"
    ):
        build("vgg16", image=(16, 16, 3))


def test_published_figures_are_of_nets_that_exist() -> None:
    assert set(PUBLISHED) <= set(NAMES)
    for known in PUBLISHED.values():
        assert 0.5 < known.top1 < (known.top5 or 1) < 1.01


def test_published_figures_are_torchvisions_own() -> None:
    models = pytest.importorskip("torchvision.models")
    for name, known in PUBLISHED.items():
        if known.source.what.startswith("torchvision"):
            weights = models.get_model_weights(name.replace("-", "_")).IMAGENET1K_V1
            measured = weights.meta["_metrics"]["ImageNet-1K"]
            assert (known.top1, known.top5) == pytest.approx((measured["acc@1"] / 100, measured["acc@5"] / 100))
            assert build(name).image[0] == weights.transforms().crop_size[0], name


def test_a_chain_of_keywords_is_a_chain_of_pairs() -> None:
    assert chain(a=Linear(1)) == Chain((("a", Linear(1)),))
