"""A net is a value: it can be cut at a layer, given another head, and asked for its stages."""

from __future__ import annotations

import pytest

from kopal.errors import UsageError
from kopal.nets.describe import describe, output_shape, parameter_shapes
from kopal.nets.layers import Activation, Linear, chain
from kopal.nets.net import Net
from kopal.nets.registry import NAMES, build


def test_until_fc7_of_vgg16_gives_the_lectures_4096_numbers() -> None:
    net = build("vgg16").until("fc7")
    assert output_shape(net) == (4096,)
    assert net.stages()[-1] == "fc7"


@pytest.mark.parametrize("name", NAMES)
def test_every_stage_of_every_net_can_be_cut_at(name: str) -> None:
    net = build(name)
    for count, stage in enumerate(net.stages(), start=1):
        assert net.until(stage).stages() == net.stages()[:count]


def test_until_keeps_the_names_so_that_the_same_weights_fit() -> None:
    net = build("resnet18")
    cut, whole = parameter_shapes(net.until("conv3.1")), parameter_shapes(net)
    assert cut == {name: whole[name] for name in list(whole)[: len(cut)]}


def test_until_goes_into_a_chain() -> None:
    net = build("resnet18").until("conv3.1")
    assert net.stages()[-1] == "conv3"
    assert output_shape(net) == (128, 28, 28)
    assert describe(net)[-1].path == "conv3.1.relu"


def test_until_the_last_layer_is_the_whole_net() -> None:
    assert build("garment").until("head") == build("garment")


def test_the_net_that_is_cut_stays_as_it_is() -> None:
    net = build("vgg11")
    before = net.stages()
    net.until("pool1")
    net.with_head(3)
    assert net.stages() == before


@pytest.mark.parametrize("path", ["fc9", "", "fc7.", "conv1"])
def test_until_an_unknown_layer_names_the_possible_ones(path: str) -> None:
    with pytest.raises(UsageError, match=r"fc7") as caught:
        build("vgg16").until(path)
    assert caught.value.happened


def test_until_an_unknown_layer_inside_a_chain_names_the_paths_there() -> None:
    with pytest.raises(UsageError, match=r"no layer 'conv3.9'[\s\S]*one of: conv3.1, conv3.2$"):
        build("resnet18").until("conv3.9")


@pytest.mark.parametrize(
    ("name", "path", "what"),
    [
        ("resnet18", "conv3.1.residual.body", "'conv3.1.residual' is one Residual"),
        ("googlenet", "inception3a.branch1", "'inception3a' is one Concat"),
        ("efficientnet-b0", "stage1.0.squeeze.gate", "'stage1.0.squeeze' is one SqueezeExcite"),
        ("vgg16", "conv1_1.weight", "'conv1_1' is one Conv"),
    ],
)
def test_until_refuses_to_cut_where_half_is_no_net(name: str, path: str, what: str) -> None:
    with pytest.raises(UsageError, match=what):
        build(name).until(path)


@pytest.mark.parametrize("name", NAMES)
def test_with_head_changes_the_last_layer_and_nothing_else(name: str) -> None:
    net = build(name)
    changed = net.with_head(3)
    assert output_shape(changed) == (3,)
    assert changed.stages() == net.stages()
    assert changed.without_head() == net.without_head()
    before, after = parameter_shapes(net), parameter_shapes(changed)
    assert [path for path in before if before[path] != after[path]] == ["head.weight", "head.bias"]


def test_without_head_gives_the_features_that_the_head_saw() -> None:
    net = build("efficientnet-lite0")
    assert output_shape(net.without_head()) == (parameter_shapes(net)["head.weight"][1],) == (1280,)


def test_with_head_keeps_a_head_of_another_name() -> None:
    net = Net("custom", (2, 2, 1), chain(flatten=build("linear").body.layers[1][1], answer=Linear(5)))
    assert net.with_head(2).stages() == ("flatten", "answer")


def test_a_net_that_does_not_end_in_a_linear_layer_has_no_head_to_change() -> None:
    net = build("garment").until("relu4")
    with pytest.raises(UsageError, match="net garment does not end in a Linear layer"):
        net.without_head()
    with pytest.raises(UsageError, match="net garment does not end in a Linear layer"):
        net.with_head(3)


def test_an_empty_net_has_no_head_either() -> None:
    with pytest.raises(UsageError, match="does not end in a Linear layer"):
        Net("empty", (2, 2, 1), chain()).without_head()


def test_then_adds_a_layer_at_the_end() -> None:
    net = build("garment").then("squash", Activation("sigmoid"))
    assert net.stages() == (*build("garment").stages(), "squash")
    assert output_shape(net) == (10,)


def test_stages_are_the_top_level_names_in_order() -> None:
    assert build("resnet50").stages() == (
        *("normalize", "conv1", "pool1", "conv2", "conv3", "conv4", "conv5"),
        *("pool", "flatten", "head"),
    )
