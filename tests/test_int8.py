"""Nets in whole numbers: what is written is what is computed, fused by the runtime, safe on processors without VNNI."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from sklearn.datasets import load_sample_images

from conftest import CLASSES, QUICK, draw, make_photos
from kopal import images
from kopal.backends.onnx_backend import feature_model
from kopal.backends.onnx_int8 import weight_scales
from kopal.backends.ranges import calibration_pixels, measured_ranges
from kopal.classifier import Classifier
from kopal.errors import ModelFileError, UsageError
from kopal.features import Backbone
from kopal.fit.backbones import backbone_of
from kopal.images import Geometry
from kopal.model_file import OPERATORS
from kopal.nets.activation_ranges import known_ranges
from kopal.nets.describe import parameter_shapes
from kopal.nets.layers import Chain, Conv, GlobalAvgPool, QuantizedConv, chain
from kopal.nets.net import Net
from kopal.nets.quantise import places, quantised, steps
from kopal.nets.registry import build
from kopal.nets.weights import PRETRAINED
from kopal.pipeline import train
from kopal.recipes import Recipe, recipe
from kopal.run import Run

NET = "efficientnet-lite0"
INT8 = replace(QUICK, features="int8")
SIDES = (np.maximum, np.minimum)


@pytest.fixture(scope="module")
def exact() -> Backbone:
    return backbone_of(Recipe())


@pytest.fixture(scope="module")
def whole() -> Backbone:
    return backbone_of(Recipe(features="int8"))


@pytest.fixture(scope="module")
def photos_as_pixels() -> np.ndarray:
    """Crops that the ranges were not measured on, and drawn pictures."""
    crops = calibration_pixels(Geometry(224, 224), seed=99)[:6]
    drawn = [images.fit(draw(kind, kind), Geometry(224, 224)) for kind in range(4)]
    return np.stack([*crops, *drawn])


@pytest.fixture(scope="module")
def run(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(photos, tmp_path_factory.mktemp("int8") / "run", INT8)


Session = onnxruntime.InferenceSession


def session_of(model: onnx.ModelProto, optimised: bool = True, saved: Path | None = None) -> Session:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    if saved:
        options.optimized_model_filepath = str(saved)
    return Session(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def test_features_in_whole_numbers_point_where_those_in_float_do(
    exact: Backbone, whole: Backbone, photos_as_pixels: np.ndarray
) -> None:
    first, second = exact.features(photos_as_pixels), whole.features(photos_as_pixels)
    cosine = (first * second).sum(1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)
    assert cosine[:6].min() > 0.98
    assert cosine.min() > 0.95  # flat drawings are far from what the ranges were measured on
    assert not np.array_equal(first, second)


def test_the_runtime_fuses_every_convolution_and_sum_of_the_plain_nodes(whole: Backbone, tmp_path: Path) -> None:
    model = feature_model(whole.net, whole.weights)
    assert {node.op_type for node in model.graph.node} <= OPERATORS
    assert {node.domain for node in model.graph.node} == {""}
    session_of(model, saved=tmp_path / "fused.onnx")
    fused = [node.op_type for node in onnx.load(tmp_path / "fused.onnx").graph.node]
    written = [node.op_type for node in model.graph.node]
    assert fused.count("QLinearConv") == written.count("Conv") == 49
    assert fused.count("QLinearAdd") == 9
    assert not {"Conv", "FusedConv", "Clip", "Relu"} & {*fused}


def test_what_the_runtime_fuses_says_what_the_nodes_say_one_by_one(
    whole: Backbone, photos_as_pixels: np.ndarray
) -> None:
    # Unoptimised, every node runs in float as the standard defines it: the oracle.
    plain = session_of(feature_model(whole.net, whole.weights), optimised=False)
    expected = np.concatenate([plain.run(None, {"pixels": image[None]})[0] for image in photos_as_pixels])
    found = whole.features(photos_as_pixels)
    cosine = (expected * found).sum(1) / np.linalg.norm(expected, axis=1) / np.linalg.norm(found, axis=1)
    # A sum that lies between two steps may be rounded either way.
    assert cosine.min() > 0.995


def test_weights_leave_room_for_two_products_in_sixteen_bits(whole: Backbone) -> None:
    model = feature_model(whole.net, whole.weights)
    kept = [onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer]
    weights = [array for array in kept if array.dtype == np.int8]
    assert len(weights) == 49
    for array in weights:
        found = array.astype(int)
        if found.shape[1] == 1:  # depthwise: added in 32 bits
            assert np.abs(found).max() == 127
        else:
            assert 64 <= np.abs(found).max() <= 127
            assert _worst_pair(found) * 255 < 1 << 15


def _worst_pair(weight: np.ndarray) -> int:
    """What two products can come to that are added in 16 bits: neighbours, or in a larger kernel any two."""
    if weight.shape[2:] == (1, 1):
        pairs = [weight[:, at : at + 2, 0, 0] for at in range(weight.shape[1] - 1)]
        return max(int(np.abs(np.stack([side(pair, 0).sum(1) for pair in pairs])).max()) for side in SIDES)
    flat = weight.reshape(len(weight), -1)
    return max(int(np.sort(np.abs(side(flat, 0)))[:, -2:].sum(1).max()) for side in SIDES)


def test_weights_that_leave_no_room_would_be_noticed() -> None:
    crowded = np.zeros((1, 4, 1, 1), int)
    crowded[0, 1:3] = 100
    assert _worst_pair(crowded) * 255 > 1 << 15
    crowded[0, 1] = -100  # opposite signs do not add up
    assert _worst_pair(crowded) == 100
    scale = weight_scales(np.full((2, 6, 1, 1), 0.9, np.float32), np.zeros(2, np.float32), 0.1)
    assert _worst_pair(np.rint(np.full((2, 6, 1, 1), 0.9) / scale[:, None, None, None]).astype(int)) == 128


def test_a_bias_fits_into_32_bits_however_small_its_weights_are() -> None:
    weight = np.zeros((3, 2, 1, 1), np.float32)
    weight[1] = 1e-12
    weight[2] = 0.5
    bias = np.array([0.0, 3.0, -3.0], np.float32)
    scale = weight_scales(weight, bias, 0.01)
    assert (scale > 0).all()
    assert (np.abs(bias / (0.01 * scale)) < 2**31).all()
    assert scale[2] == np.float32(1.0 / 127)


@pytest.mark.parametrize(("low", "high"), [(0.0, 6.0), (-1.0, 1.0), (-3.2, 0.7), (0.4, 2.0), (-5.0, -1.0)])
def test_steps_cover_their_range_and_hit_zero(low: float, high: float) -> None:
    found = steps(low, high)
    ends = (0 - found.zero) * found.scale, (255 - found.zero) * found.scale
    assert 0 <= found.zero <= 255
    assert ends[0] <= min(low, 0) + 1e-6
    assert ends[1] >= max(high, 0) - 1e-6
    # Not much longer than it must be: zero is a step, which may move an end by half of one.
    assert ends[1] - ends[0] <= (max(high, 0) - min(low, 0)) * 1.01


def test_no_pixel_lies_between_two_steps() -> None:
    found = steps(-1.0, 1.0)
    exact = (np.arange(256) / 127.5 - 1) / found.scale + found.zero
    assert np.abs(exact - np.floor(exact) - 0.5).min() > 1e-3
    assert np.abs(np.rint(exact) - exact).max() <= 0.5
    assert len(np.unique(np.rint(exact))) >= 255


def test_a_range_of_nothing_is_refused() -> None:
    for low, high in ((0.0, 0.0), (float("nan"), 1.0), (0.0, float("inf"))):
        with pytest.raises(UsageError, match="range"):
            steps(low, high)


@pytest.mark.parametrize("name", PRETRAINED)
def test_the_table_has_a_range_for_every_place_of_every_embedded_net(name: str) -> None:
    body = build(name).without_head()
    assert set(known_ranges()[name]) == set(places(body, _zeros(body)))
    assert all(low <= 0 <= high and low < high for low, high in known_ranges()[name].values())


def test_the_table_is_what_the_photos_of_scikit_learn_give(exact: Backbone) -> None:
    pixels = calibration_pixels(exact.geometry)
    assert np.array_equal(pixels, calibration_pixels(exact.geometry))
    assert len({image.tobytes() for image in pixels}) == len(pixels) == 64
    found = measured_ranges(exact.net, exact.weights, pixels)
    for path, ends in known_ranges()[NET].items():
        np.testing.assert_allclose(found[path], ends, rtol=1e-3, atol=1e-3, err_msg=path)
    assert len(load_sample_images().images) == 2


def test_only_what_stands_below_the_pooling_is_quantised(exact: Backbone, whole: Backbone) -> None:
    def kinds(net: Net) -> dict[str, str]:
        return {name: type(layer).__name__ for name, layer in net.body.layers if not isinstance(layer, Chain)}

    assert kinds(whole.net) == {**kinds(exact.net), "normalize-rounded": "Quantize"}
    assert whole.net.name == exact.net.name
    assert whole.dimension == exact.dimension


def test_a_net_of_other_layers_is_refused_by_the_name_of_the_layer() -> None:
    net = build("efficientnet-b0").without_head()
    with pytest.raises(UsageError, match=r"activation.*whole numbers"):
        quantised(net, _zeros(net), dict.fromkeys(("normalize", "stem.activation"), (0.0, 1.0)))


def test_a_convolution_after_the_pooling_is_refused() -> None:
    net = Net("odd", (8, 8, 3), chain(pool=GlobalAvgPool(), conv=Conv(4, (1, 1))))
    with pytest.raises(UsageError, match="conv"):
        quantised(net, {}, {})


def test_a_place_without_a_range_is_named() -> None:
    net = build(NET).without_head()
    with pytest.raises(UsageError, match=r"no range is known for normalize of net efficientnet-lite0"):
        quantised(net, _zeros(net), {})


def test_both_sides_of_a_residual_are_rounded() -> None:
    body, _ = quantised(build(NET).without_head(), _zeros(build(NET).without_head()), known_ranges()[NET])
    stage = dict(body.body.layers)["stage2"]
    assert isinstance(stage, Chain)
    assert [name for name, _ in stage.layers] == ["0", "1", "1-rounded"]
    assert isinstance(dict(dict(stage.layers)["0"].layers)["project"].layers[0][1], QuantizedConv)  # type: ignore[union-attr]


def test_a_file_in_whole_numbers_says_so_and_is_a_third_as_large(run: Run, trained: Run) -> None:
    assert run.classifier.size < trained.classifier.size / 2.5
    provenance = run.classifier.card.provenance
    assert provenance["recipe"]["features"] == "int8"
    assert provenance["weights"]["int8_graph_sha256"] == backbone_of(run.recipe).digest
    assert "int8_graph_sha256" not in trained.classifier.card.provenance["weights"]
    assert run.report.accuracy > 0.7


def test_one_new_photo_costs_one_forward_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_photos(tmp_path / "photos", CLASSES, count=4)
    train(folder, tmp_path / "first", INT8)
    draw(0, 500).save(folder / CLASSES[0] / "new.jpg")
    seen: list[int] = []
    original = Backbone.features

    def counted(self: Backbone, pixels: np.ndarray) -> np.ndarray:
        seen.append(len(pixels))
        return original(self, pixels)

    # The plan times the net on noise; what is counted is the reading.
    monkeypatch.setattr("kopal.plan.net_seconds", lambda backbone: 0.01)
    monkeypatch.setattr(Backbone, "features", counted)
    again = train(folder, tmp_path / "second", INT8)
    assert seen == [1]
    assert again.report.n == 13


def test_float_and_whole_numbers_never_share_a_row_of_the_store(exact: Backbone, whole: Backbone) -> None:
    assert exact.context != whole.context
    assert backbone_of(Recipe(features="int8")).context == whole.context


def test_golden_outputs_of_whole_numbers_may_move_a_little_but_not_the_label(run: Run) -> None:
    from attacks import file_of, with_card

    data = file_of(run.classifier)

    def moved(by: float) -> Classifier:
        def change(card: dict) -> None:
            for row in card["golden"]["scores"]:
                row[int(np.argmax(row))] += by

        return Classifier.from_bytes(with_card(data, change))

    temperature = run.classifier.card.temperature
    assert moved(0.01 * temperature).verify() > 1e-4
    with pytest.raises(ModelFileError, match="golden probabilities") as caught:
        moved(-50.0).verify()
    assert caught.value.fix


def test_golden_outputs_in_float_stay_strict(trained: Run) -> None:
    from attacks import file_of, with_card

    def change(card: dict) -> None:
        card["golden"]["scores"][0][0] += 0.01

    with pytest.raises(ModelFileError, match="golden outputs"):
        Classifier.from_bytes(with_card(file_of(trained.classifier), change)).verify()


@pytest.mark.parametrize(
    ("knobs", "words"),
    [
        ({"net": "garment", "features": "int8"}, "a net that learns"),
        ({"weights": "none", "features": "int8"}, "a net that learns"),
        ({"net": "timm:resnet18", "weights": "imagenet", "features": "int8"}, "int8"),
    ],
)
def test_whole_numbers_where_they_cannot_be_had_are_refused(
    knobs: dict[str, str], words: str, photos: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=words):
        train(photos, tmp_path / "out", recipe(**knobs))
    assert not (tmp_path / "out").exists()


def test_weights_of_a_file_have_no_ranges(tmp_path: Path) -> None:
    import safetensors.numpy

    body = build(NET)
    own = {name: np.ones(shape, np.float32) for name, shape in parameter_shapes(body).items()}
    (tmp_path / "own.safetensors").write_bytes(safetensors.numpy.save(own))
    with pytest.raises(UsageError, match=r"--features int8 with --net efficientnet-lite0.*never measured"):
        backbone_of(Recipe(weights=str(tmp_path / "own.safetensors"), features="int8"))


def test_an_unknown_kind_of_numbers_is_refused() -> None:
    with pytest.raises(UsageError, match="float32, int8"):
        recipe(features="int4")


def test_the_command_trains_in_whole_numbers(kopal: object, photos: Path, tmp_path: Path) -> None:
    command = ("train", photos, "--features", "int8", "--effort", "quick", "--out", tmp_path / "out")
    code, out, err = kopal(*command)  # type: ignore[operator]
    assert (code, err) == (0, "")
    assert f"features of {NET} in int8" in out
    assert json.loads((tmp_path / "out" / "recipe.json").read_text(encoding="utf-8"))["features"] == "int8"
    code, out, _ = kopal("inspect", tmp_path / "out" / "model.onnx", "--verify")  # type: ignore[operator]
    assert code == 0
    assert "int8_graph_sha256" in out
    for command in (("--net", "garment"), ("--tune", "all")):
        code, out, err = kopal("train", photos, "--features", "int8", *command, "--out", tmp_path / "no")  # type: ignore[operator]
        assert code == 2
        assert "--features" in err or "features int8" in err


def _zeros(net: Net) -> dict[str, np.ndarray]:
    return {name: np.zeros(shape, np.float32) for name, shape in parameter_shapes(net).items()}
