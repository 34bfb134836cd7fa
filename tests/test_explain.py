"""The pictures of a linear classifier: templates and lines show what the weights say, for any names and any sizes."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from kopal import model_file
from kopal.backends.onnx_backend import classifier_model
from kopal.classifier import Classifier
from kopal.errors import ModelFileError, PixelsError, UsageError
from kopal.images import Geometry
from kopal.model_file import Card
from kopal.nets.describe import parameter_shapes
from kopal.nets.garment import garment
from kopal.nets.linear import linear
from kopal.report.plane import COLOURS, plane_picture, segment
from kopal.report.templates import classifier_picture, templates_picture
from kopal.run import Run
from kopal.templates import linear_weights

Kopal = Callable[..., tuple[int, str, str]]

HOSTILE = (
    "$\\frac{1}$",
    "_hidden",
    "<script>&\"'",
    "new\nline\x00",
    "not text \udcff",
    "🦙 犬 kočka",
    "x" * 300,
    "%s {0} \\",
    " ",
)


def model(image: tuple[int, int, int], classes: Sequence[str], seed: int = 0) -> Classifier:
    rng = np.random.default_rng(seed)
    weights = {
        "head.weight": rng.normal(0, 0.1, (len(classes), int(np.prod(image)))).astype(np.float32),
        "head.bias": rng.normal(0, 0.1, len(classes)).astype(np.float32),
    }
    graph = classifier_model(linear(len(classes), image), weights, 1.0, len(classes))
    return Classifier.build(graph, Card("linear", tuple(classes), Geometry(*image), 1.0))


def pixels(picture: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).astype(int)


def place(picture: np.ndarray, colour: Sequence[int], tolerance: int = 40) -> tuple[float, float]:
    """The mean (row, column) of the pixels that are nearly of a colour."""
    rows, columns = np.nonzero(np.abs(picture - colour).max(axis=-1) <= tolerance)
    assert len(rows), f"no pixel of colour {colour}"
    return float(rows.mean()), float(columns.mean())


def texts(picture: bytes) -> str:
    root = ET.fromstring(picture.decode())
    return "\n".join("".join(node.itertext()) for node in root.iter() if node.tag.endswith("text"))


@pytest.mark.parametrize("image", [(4, 3, 1), (2, 5, 3), (1, 2, 1)])
def test_the_weights_that_are_drawn_give_the_models_scores(image: tuple[int, int, int]) -> None:
    classifier = model(image, "abc")
    weight, bias = linear_weights(classifier)
    photos = np.random.default_rng(1).integers(0, 256, (5, *image), np.uint8)
    planes = photos.transpose(0, 3, 1, 2).reshape(5, -1)
    np.testing.assert_allclose(planes @ weight.T + bias, classifier.scores(photos), atol=1e-4)


def test_constants_are_copies() -> None:
    classifier = model((2, 2, 1), "ab")
    before = classifier.constants()
    assert before["head.weight"].shape == (2, 4)
    classifier.constants()["head.weight"][:] = 0
    np.testing.assert_array_equal(classifier.constants()["head.weight"], before["head.weight"])


@pytest.mark.parametrize("sign", [1, -1])
def test_red_stands_where_a_pixel_speaks_for_the_class_and_blue_where_it_speaks_against(sign: int) -> None:
    weight = sign * np.array([[1.0, -1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    picture = pixels(templates_picture(weight, (2, 2, 1), ["a", "b"]))
    above = picture[: int(picture.shape[0] * 0.7)]
    red, blue = place(above, (103, 0, 31)), place(above, (5, 48, 97))
    assert abs(red[0] - blue[0]) < 5
    assert (red[1] < blue[1]) == (sign > 0)


def test_a_colour_template_has_its_planes_as_colours_and_grey_for_zero() -> None:
    weight = np.zeros((2, 3, 1, 2))
    weight[0, 0, 0, 1] = 1  # red, right pixel
    weight[0, 2, 0, 0] = -1  # against blue, left pixel
    picture = pixels(templates_picture(weight.reshape(2, -1), (1, 2, 3), ["a", "b"]))
    right, left, grey = (place(picture, colour, 6) for colour in ((255, 128, 128), (128, 128, 0), (128, 128, 128)))
    assert left[1] < right[1] < grey[1]


def test_of_many_classes_the_first_hundred_are_drawn_and_the_picture_says_so() -> None:
    weight = np.random.default_rng(0).normal(size=(103, 4))
    words = texts(templates_picture(weight, (2, 2, 1), [f"class {k}" for k in range(103)], "svg"))
    assert "the first 100 of 103 classes" in words
    assert "class 99" in words
    assert "class 100" not in words
    few = texts(templates_picture(weight[:3], (2, 2, 1), "abc", "svg"))
    assert "the first" not in few


@pytest.mark.parametrize("kind", ["svg", "png", "pdf"])
def test_hostile_class_names_are_only_text_and_the_same_weights_give_the_same_file(kind: str) -> None:
    count = len(HOSTILE)
    weight = np.random.default_rng(0).normal(size=(count, 2))
    for draw in (
        lambda: templates_picture(weight, (1, 2, 1), HOSTILE, kind),
        lambda: plane_picture(weight, np.ones(count), weight, np.arange(count), HOSTILE, kind),
    ):
        picture = draw()
        assert picture == draw()
        assert len(picture) < 600_000
        if kind == "svg":
            words = texts(picture)
            for name in ("$\\frac{1}$", "_hidden", "<script>&\"'", "new\\nline\\x00", "not text \\udcff", "🦙"):
                assert name in words


@pytest.mark.parametrize("weight", [np.zeros((2, 6)), np.full((2, 6), 1e-30), np.full((2, 6), 1e30)])
@pytest.mark.parametrize("image", [(1, 2, 3), (6, 1, 1)])
def test_weights_of_any_size_are_drawn(weight: np.ndarray, image: tuple[int, int, int]) -> None:
    assert pixels(templates_picture(weight, image, "ab")).size


@pytest.mark.parametrize(("image", "words"), [((1, 2, 1), "right pixel"), ((2, 1, 1), "lower pixel")])
def test_images_of_two_numbers_are_drawn_as_a_plane(image: tuple[int, int, int], words: str) -> None:
    drawn = texts(classifier_picture(model(image, ("kočka", "pes", "alpaka")), "svg"))
    assert words in drawn
    assert "kočka" in drawn
    assert "one class against the rest" in drawn
    assert "Each row of w as an image" in texts(classifier_picture(model((1, 3, 1), "ab"), "svg"))


@pytest.mark.parametrize("sign", [1, -1])
def test_the_plane_is_light_where_a_class_wins_and_its_arrow_points_there(sign: int) -> None:
    w = sign * np.array([[-1.0, 0.0], [1.0, 0.0]])
    picture = pixels(plane_picture(w, [0, 0], np.empty((0, 2)), [], ["a", "b"]))[:, : int(5.4 * 110)]
    full = [tuple(bytes.fromhex(colour[1:])) for colour in COLOURS[:2]]
    light = [tuple(round(255 - 0.2 * (255 - channel)) for channel in colour) for colour in full]
    for colours, tolerance in ((full, 10), (light, 1)):
        first, second = (place(picture, colour, tolerance) for colour in colours)
        assert (first[1] < second[1]) == (sign > 0)


def test_points_have_the_colour_of_their_class() -> None:
    points = np.array([[-1.0, -1.0], [1.0, 1.0]])
    for labels in ([0, 1], [1, 0]):
        # Weights of zero have no line, and the first class wins everywhere.
        drawn = plane_picture(np.zeros((2, 2)), [1, 0], points, labels, ["a", "b"])
        picture = pixels(drawn)[:, : int(5.4 * 110)]
        at = [place(picture, tuple(bytes.fromhex(colour[1:])), 10)[1] for colour in COLOURS[:2]]
        assert (at[0] < at[1]) == (labels == [0, 1])
        assert "out of view" in texts(plane_picture(np.zeros((2, 2)), [1, 0], points, labels, ["a", "b"], "svg"))


@pytest.mark.parametrize("seed", range(20))
def test_a_segment_lies_on_its_line_and_ends_at_the_edges(seed: int) -> None:
    rng = np.random.default_rng(seed)
    w, low, high = rng.normal(size=2), np.array([-1.0, 0.0]), np.array([2.0, 5.0])
    inside = rng.uniform(low, high)
    ends = segment(w, -float(w @ inside), low, high)
    assert ends is not None
    np.testing.assert_allclose(ends @ w, w @ inside, atol=1e-9)
    for end in ends:
        assert np.isclose(end, low).any() or np.isclose(end, high).any()
    outside = high + 1
    assert segment(np.abs(w), -float(np.abs(w) @ outside), low, high) is None


@pytest.mark.parametrize(
    ("w", "b", "there"), [([1, 0], 0, True), ([0, 1], 0, True), ([1, 1], 0, True), ([1, 1], -2, False), ([0, 0], 0, 0)]
)
def test_level_upright_and_corner_lines_are_found(w: list[float], b: float, there: bool) -> None:
    ends = segment(np.array(w, float), b, np.full(2, -1.0), np.full(2, 1.0))
    assert (ends is not None) == bool(there)


@pytest.mark.parametrize("points", [np.empty((0, 2)), [[3, 3]], [[0, 7], [9, 7]], [[0, 0], [1, 1e6]]])
def test_any_points_have_a_view(points: np.ndarray) -> None:
    assert pixels(plane_picture([[1, 2], [3, 4]], [0, 1], points, [0] * len(points), ["a", "b"])).size


def test_shapes_that_do_not_fit_are_named() -> None:
    with pytest.raises(PixelsError, match=r"w is \(2, 3\).*labels \(2,\)"):
        plane_picture(np.ones((2, 3)), [0, 0], np.ones((1, 2)), [0, 0], ["a", "b"])


def test_a_file_that_only_calls_itself_linear_is_refused() -> None:
    net = garment(3)
    weights = {name: np.zeros(shape, np.float32) for name, shape in parameter_shapes(net).items()}
    fake = Classifier.build(
        classifier_model(net, weights, 1.0, 3), Card("linear", tuple("abc"), Geometry(28, 28, 1), 1)
    )
    with pytest.raises(ModelFileError, match="lacks its w"):
        classifier_picture(fake, "png")
    sound = model((2, 2, 1), "ab")
    graph, card = model_file.unseal(sound._data)
    broken = sound.constants()["head.weight"]
    broken[0, 0] = np.nan
    for tensor in graph.graph.initializer:
        if tensor.name == "head.weight":
            tensor.raw_data = broken.tobytes()
    nan = Classifier.from_bytes(model_file.seal(graph, Card("linear", card.classes, card.geometry, 1.0)))
    with pytest.raises(ModelFileError, match="not all finite"):
        classifier_picture(nan, "png")


def test_explain_draws_and_never_replaces_an_unasked_file(
    kopal: Kopal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model((3, 3, 1), ("kočka", "pes")).save("model.onnx")
    for name in ("templates.png", "templates-2.png"):
        code, out, err = kopal("explain", "model.onnx")
        assert code == 0, err
        assert name in out
        assert pixels(Path(name).read_bytes()).shape[1] > 400
    for suffix, start in ((".svg", b"<?xml"), (".pdf", b"%PDF"), (".PNG", b"\x89PNG")):
        assert kopal("explain", "model.onnx", "--out", f"out{suffix}")[0] == 0
        assert (tmp_path / f"out{suffix}").read_bytes().startswith(start)


def test_explain_names_what_is_wrong(kopal: Kopal, trained: Run, tmp_path: Path) -> None:
    model((3, 3, 1), ("kočka", "pes")).save(tmp_path / "model.onnx")
    good, bad = tmp_path / "model.onnx", tmp_path / "templates.gif"
    for arguments, words in (
        ((good, "--out", bad), ".svg, .png, .pdf"),
        ((trained.model, "--out", tmp_path / "out.png"), "--net linear"),
        ((tmp_path / "none.onnx", "--out", tmp_path / "out.png"), "none.onnx"),
        ((good, "--out", tmp_path / "none" / "out.png"), "cannot write"),
        ((), "'model'"),
    ):
        code, _, err = kopal("explain", *arguments)
        assert code == 2
        assert words in err
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    with pytest.raises(UsageError, match="efficientnet-lite0 has no templates"):
        classifier_picture(trained.classifier, "png")
