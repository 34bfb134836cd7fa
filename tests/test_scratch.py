"""Nets learned from pixels, end to end: parts, history, the file, and the same laws as every other model."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from conftest import CLASSES, make_photos, make_pictures
from kopal import images
from kopal.classifier import load
from kopal.datasets import open_dataset
from kopal.errors import DataError, Diverged, UsageError
from kopal.fit import scratch
from kopal.fit.scratch import Course
from kopal.log import Note
from kopal.nets.registry import build, smallest_side
from kopal.pipeline import train
from kopal.recipes import Recipe, recipe
from kopal.run import Run

Kopal = Callable[..., tuple[int, str, str]]


def of(net: str, **knobs: object) -> Recipe:
    return recipe(net=net, **knobs)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of 40 colour pictures, 24 x 20."""
    return make_pictures(tmp_path_factory.mktemp("small") / "photos", 40)


@pytest.fixture(scope="module", params=["linear", "mlp", "lenet5", "garment"])
def run(request: pytest.FixtureRequest, small: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    knobs = {"epochs": 12, "rate": 0.003 if request.param == "linear" else 0.02, "batch": 16}
    return train(small, tmp_path_factory.mktemp("runs") / "run", of(request.param, **knobs))


def test_it_learns_and_writes_its_history(run: Run) -> None:
    assert run.report.measured_on == "test part"
    assert run.report.accuracy > run.report.majority + 0.2
    report = json.loads((run.folder / "report.json").read_text(encoding="utf-8"))
    assert report["photos"] == {"train": 96, "calibration": 12, "test": 12}
    assert report["stopped"] == "12 epochs are done"
    with (run.folder / "history.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12 == report["epochs"]
    best = min(rows, key=lambda row: float(row["validation_loss"]))
    assert int(best["number"]) == report["best_epoch"]


def test_the_file_answers_as_the_report_says(run: Run) -> None:
    classifier = load(run.model)
    pixels = np.stack([images.read(name, classifier.geometry) for name in run.answers.names])
    np.testing.assert_allclose(classifier.predict_proba(pixels), run.answers.probabilities, atol=1e-5)
    assert classifier.verify() <= 1e-6
    rows = np.random.default_rng(0).integers(0, 256, (9, *classifier.geometry.shape), dtype=np.uint8)
    scores = classifier.scores(rows)
    alone = np.concatenate([classifier.scores(rows[index : index + 1]) for index in range(9)])
    assert np.abs(scores - alone).max() <= 1e-5 * np.ptp(scores)
    assert classifier.scores(rows[:0]).shape == (0, 3)


def test_the_same_seed_gives_the_same_model_and_another_another(small: Path, tmp_path: Path) -> None:
    made = [
        train(small, tmp_path / str(number), of("garment", epochs=2, seed=seed)).model.read_bytes()
        for number, seed in enumerate((0, 0, 1))
    ]
    assert made[0] == made[1] != made[2]


@pytest.mark.parametrize("way", ["pixel", "image", "channel"])
def test_every_normalisation_is_inside_the_linear_file(way: str, small: Path, tmp_path: Path) -> None:
    run = train(small, tmp_path / "out", of("linear", epochs=8, normalise=way, rate=0.01, batch=16))
    assert run.report.accuracy > 0.5
    assert run.classifier.card.net == "linear"


def test_a_mean_image_is_for_the_linear_classifier_alone(small: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="mean image"):
        train(small, tmp_path / "out", of("garment", normalise="image"))
    assert not (tmp_path / "out").exists()


def test_the_owners_parts_are_kept(small: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train").symlink_to(small, target_is_directory=True)
    make_photos(tmp_path / "data" / "test", CLASSES, count=3, first=500)
    run = train(tmp_path / "data", tmp_path / "out", of("linear", epochs=2))
    report = json.loads((run.folder / "report.json").read_text(encoding="utf-8"))
    assert report["photos"] == {"train": 108, "calibration": 12, "test": 9}


def test_validation_never_sees_calibration_or_test(small: Path) -> None:
    from kopal.pixels import read_pixels

    made = of("linear", epochs=1)
    photos, _ = read_pixels(open_dataset(small), scratch.geometry(made, open_dataset(small)))
    photos = scratch.in_parts(photos, 0)
    told: list[object] = []
    scratch.learn(made, photos, told.append)
    course = next(noun for noun in told if isinstance(noun, Course))
    assert course.photos + course.validation == int(photos.where("train").sum()) == 96
    assert course.validation >= 9


def test_a_net_with_embedded_weights_can_start_from_none_and_does_not_claim_them() -> None:
    from kopal.ways import starts_from_imagenet

    assert starts_from_imagenet(of("efficientnet-lite0"))
    assert not starts_from_imagenet(of("efficientnet-lite0", weights="none"))
    assert not starts_from_imagenet(of("garment"))


def test_balance_draws_every_class_as_often() -> None:
    from kopal.fit.learner import Photographs
    from kopal.fit.loop import Lesson, epochs
    from kopal.stopping import MaxSteps

    seen: list[int] = []

    class Counting:
        def learn(self, pixels: np.ndarray, labels: np.ndarray, rate: float, of: int) -> float:
            seen.extend(labels.tolist())
            return 1.0

        def scores(self, pixels: np.ndarray) -> np.ndarray:
            return np.zeros((len(pixels), 2), np.float32)

        def weights(self) -> dict[str, np.ndarray]:
            return {"w": np.zeros(1)}

    labels = np.repeat([0, 1], [900, 100])
    photos = Photographs(np.zeros((1000, 1, 1, 1), np.uint8), labels)
    list(epochs(Counting(), photos, photos, Lesson(100, lambda done, losses: 0.1, MaxSteps(1), balance=True)))
    assert 0.45 < np.mean(seen) < 0.55


def test_two_photos_a_class_are_too_few_for_a_net(tmp_path: Path) -> None:
    folder = make_photos(tmp_path / "photos", CLASSES, count=2)
    with pytest.raises(DataError, match="at least 3 different photos"):
        train(folder, tmp_path / "out", of("linear", epochs=1))


def test_a_rate_far_too_high_is_called_so(small: Path, tmp_path: Path) -> None:
    with pytest.raises(Diverged, match="diverged"):
        train(small, tmp_path / "out", of("garment", rate=1e6, momentum=0.99))
    assert not (tmp_path / "out").exists()


def test_patience_and_settled_stop_early(small: Path, tmp_path: Path) -> None:
    run = train(small, tmp_path / "a", of("linear", epochs=50, rate=1e-9, settled=1e-6))
    assert "no parameter moved" in run.history[-1].stopped
    run = train(small, tmp_path / "b", of("garment", epochs=50, rate=1e-12, patience=2))
    assert "nothing gained" in run.history[-1].stopped


def test_the_command_shows_each_epoch(kopal: Kopal, small: Path, tmp_path: Path) -> None:
    code, out, err = kopal("train", small, "--net", "garment", "--epochs", 2, "--out", tmp_path / "out")
    assert code == 0, err
    assert "plan: garment from pixels 28 x 28 x 3" in out
    assert out.count(" *\n") >= 1
    assert "stopped: 2 epochs are done" in out
    assert "history.csv" in out


@pytest.mark.parametrize(
    ("knobs", "words"),
    [
        (["--lr", "0"], "learning rate"),
        (["--lr", "-1"], "learning rate"),
        (["--epochs", "0"], "epochs"),
        (["--momentum", "1"], "momentum"),
        (["--batch", "0"], "batch"),
        (["--init", "magic"], "normal, xavier, he, zero"),
        (["--normalise", "magic"], "channel, pixel, image"),
        (["--weights", "imagenet"], "no published weights"),
        (["--engine", "abacus"], "auto, numpy"),
        (["--image-size", "3"], "cannot take images"),
    ],
)
def test_knobs_out_of_range_are_one_clear_error(
    knobs: list[str], words: str, kopal: Kopal, small: Path, tmp_path: Path
) -> None:
    code, _, err = kopal("train", small, "--net", "garment", "--out", tmp_path / "out", *knobs)
    assert code == 2, err
    assert words in err
    assert "Traceback" not in err
    assert not (tmp_path / "out").exists()


def test_ten_layers_started_at_sigma_0_001_do_not_move(small: Path, tmp_path: Path) -> None:
    # Row 10 of the lecture: through ten such layers the scores, and so the gradients, fade to nothing.
    from kopal.fit.engine import EngineLearner, start
    from kopal.nets.mlp import mlp

    net = mlp((32,) * 9, 3, (20, 24, 3))
    pixels = np.random.default_rng(0).integers(0, 256, (30, 20, 24, 3), dtype=np.uint8)
    labels = np.arange(30) % 3
    moved = {}
    for init in ("normal", "he"):
        learner = EngineLearner(net, start(net, np.random.default_rng(0), init))
        losses = [learner.learn(pixels, labels, 0.02) for _ in range(60)]
        moved[init] = losses[0] - losses[-1]
    assert abs(moved["normal"]) < 0.01
    assert moved["he"] > 0.2


def told_size(net: str, data: Path, **knobs: object) -> tuple[tuple[int, int, int], list[str]]:
    """The pixels that a net would learn from these photos, and the notes about that."""
    told: list[object] = []
    shape = scratch.geometry(of(net, weights="none", **knobs), open_dataset(data), told.append).shape
    return shape, [noun.text for noun in told if isinstance(noun, Note)]


def test_nets_for_large_photos_learn_small_ones_at_their_own_size_or_the_least_that_works(
    small: Path, tmp_path: Path
) -> None:
    assert told_size("resnet18", small) == ((20, 20, 3), [])
    assert told_size("efficientnet-lite0", small) == ((20, 20, 3), [])
    shape, notes = told_size("vgg16", small)
    assert shape == (32, 32, 3)
    assert notes == ["vgg16 works from 32 x 32 pixels on: the photos, 20 x 20, are enlarged to that"]
    assert told_size("alexnet", small)[0] == (63, 63, 3)
    assert told_size("resnet18", small, image_size=48) == ((48, 48, 3), [])
    assert told_size("garment", small) == ((28, 28, 3), [])
    large = make_photos(tmp_path / "large", CLASSES, count=1)
    assert told_size("resnet18", large) == ((224, 224, 3), [])
    # One size may be the commonest where all the others, larger, are of sizes of their own.
    for name in CLASSES:
        (large / name / "1.jpg").rename(large / name / "large.jpg")
        for file in sorted((small / name).iterdir())[:3]:
            (large / name / file.name).write_bytes(file.read_bytes())
    assert told_size("resnet18", large) == ((224, 224, 3), [])


def test_the_least_size_that_works_is_where_one_pixel_less_does_not() -> None:
    for net in ("vgg16", "alexnet", "googlenet", "inception-v3"):
        side = smallest_side(net)
        build(net, 3, (side, side, 3))
        with pytest.raises(UsageError, match="cannot take images"):
            build(net, 3, (side - 1, side - 1, 3))


@pytest.mark.parametrize(("net", "side"), [("resnet18", 20), ("vgg16", 32)])
def test_they_learn_at_that_size_and_the_plan_says_it(
    net: str, side: int, kopal: Kopal, small: Path, tmp_path: Path
) -> None:
    pytest.importorskip("torch", reason="kopal's own engine would take long")
    few = [tmp_path / "few" / name / file.name for name in CLASSES for file in sorted((small / name).iterdir())[:6]]
    for file in few:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes((small / file.parent.name / file.name).read_bytes())
    options = ("--weights", "none", "--epochs", 1, "--lr", 0.001, "--batch", 4, "--amp", "off", "--no-unknown")
    code, out, err = kopal("train", tmp_path / "few", "--net", net, *options, "--out", tmp_path / "out")
    assert code == 0, err
    assert f"plan: {net} from pixels {side} x {side} x 3" in out
    assert ("are enlarged to that" in " ".join(out.split())) == (net == "vgg16")
    assert load(tmp_path / "out" / "model.onnx").geometry.shape == (side, side, 3)
