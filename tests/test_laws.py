"""The contract: what holds for every model, whatever fitted it, with 2 and with 10 classes, fresh and loaded."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from conftest import QUICK, draw, make_photos
from kopal.arrays import softmax
from kopal.classifier import Classifier, load
from kopal.datasets import open_dataset
from kopal.ensemble import combine
from kopal.errors import PixelsError, UsageError
from kopal.evaluate import evaluate_dataset
from kopal.features import Backbone, Photos, read
from kopal.fit.backbones import backbone_of
from kopal.fit.heads.learn import learn
from kopal.fit.pupil import torch_is_there
from kopal.model_file import computes_in_int8
from kopal.pipeline import assemble, train
from kopal.recipes import Numbers, Recipe, recipe
from kopal.run import Run

HEADS = ("svm", "knn", "naive-bayes", "lda", "tree", "forest", "mlp")
KINDS = ("probe", "int8", "file", "pixels", "garment", "torch", "ensemble", *HEADS)
NAMES = ("kočka", "1", "10", "2", "a b", "<i>", "'q'", "emoji 🦙", "Zebra", "alpaka")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int], Run]:
    """A run for each kind and number of classes."""
    made = {}
    root = tmp_path_factory.mktemp("laws")
    for classes in (2, 10):
        large = make_photos(root / f"large{classes}", NAMES[:classes], count=4)
        made["probe", classes] = train(large, root / f"probe{classes}", QUICK)
        made["int8", classes] = train(large, root / f"int8{classes}", replace(QUICK, features="int8"))
        if torch_is_there() and find_spec("torchvision"):
            own = replace(QUICK, net="resnet18", weights=str(_random_resnet18(root)), image_size=64)
            many = make_photos(root / f"more{classes}", NAMES[:classes], count=12)
            made["file", classes] = train(many, root / f"file{classes}", own)
        small = _small_photos(root / f"small{classes}", NAMES[:classes])
        made["pixels", classes] = train(small, root / f"pixels{classes}", QUICK)
        for head in HEADS:
            made[head, classes] = train(small, root / f"{head}{classes}", recipe("quick", head=head))
        many = _small_photos(root / f"many{classes}", NAMES[:classes], count=40)
        scratch = recipe(net="garment", epochs=15, batch=16, rate=0.03)
        made["garment", classes] = train(many, root / f"garment{classes}", scratch)
        if torch_is_there():
            made["torch", classes] = train(many, root / f"torch{classes}", replace(scratch, engine="torch"))
        rows = train(many, root / f"linear{classes}", recipe(net="linear", image_size=28, epochs=5))
        fresh = _small_photos(root / f"fresh{classes}", NAMES[:classes], first=100)
        made["ensemble", classes] = _ensemble(root / f"ensemble{classes}", made["garment", classes], rows, fresh)
    return made


def _ensemble(folder: Path, first: Run, second: Run, fresh: Path) -> Run:
    """A run as if its training had ended with both models in one, measured on photos that neither learned from."""
    classifier = combine([first.classifier, second.classifier])
    report, _, learned_from = evaluate_dataset(classifier, open_dataset(fresh))
    assert learned_from == 0
    run = replace(first, folder=folder, classifier=classifier, report=report)
    folder.mkdir()
    classifier.save(run.model)
    return run


def _random_resnet18(root: Path) -> Path:
    """Weights that nothing has learned, saved as torchvision saves its own."""
    torch, models = pytest.importorskip("torch"), pytest.importorskip("torchvision.models")
    torch.manual_seed(0)
    torch.save(models.resnet18().state_dict(), root / "resnet18.pth")
    return root / "resnet18.pth"


def _small_photos(root: Path, classes: tuple[str, ...], count: int = 8, first: int = 0) -> Path:
    # Each class has its own bright pixel: raw pixels tell them apart, a pretrained net does not.
    for kind, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for number in range(first, first + count):
            image = np.random.default_rng([kind, number]).integers(0, 60, (8, 8), dtype=np.uint8)
            image[kind // 3 * 2, kind % 3 * 2] = 255
            Image.fromarray(image).save(root / name / f"{number}.png")
    return root


@pytest.fixture(params=["fresh", "loaded"])
def state(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[f"{kind}-{classes}" for kind in KINDS for classes in (2, 10)])
def run(request: pytest.FixtureRequest, runs: dict[tuple[str, int], Run]) -> Run:
    kind, classes = str(request.param).rsplit("-", 1)
    if kind in ("torch", "file"):
        pytest.importorskip("torch")
    if kind == "file":
        pytest.importorskip("torchvision")
    return runs[kind, int(classes)]


@pytest.fixture
def classifier(run: Run, state: str) -> Classifier:
    return run.classifier if state == "fresh" else load(run.model)


@pytest.fixture
def pixels(classifier: Classifier) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (19, *classifier.geometry.shape), dtype=np.uint8)


def test_the_kinds_are_the_kinds_they_should_be(runs: dict[tuple[str, int], Run]) -> None:
    nets = {key: run.classifier.card.net for key, run in runs.items()}
    assert {net for (kind, _), net in nets.items() if kind == "pixels"} == {"linear"}
    assert {net for (kind, _), net in nets.items() if kind in ("probe", "int8")} == {"efficientnet-lite0"}
    for kind, whole in (("probe", False), ("int8", True)):
        assert computes_in_int8(runs[kind, 2].classifier.graph()) is whole
    assert {net for (kind, _), net in nets.items() if kind == "file"} <= {"resnet18"}
    assert {net for (kind, _), net in nets.items() if kind == "garment"} == {"garment"}
    assert {net for (kind, _), net in nets.items() if kind == "torch"} <= {"garment"}
    assert {net for (kind, _), net in nets.items() if kind == "ensemble"} == {"ensemble of garment and linear"}
    for head in HEADS:
        told = {net for (kind, _), net in nets.items() if kind == head}
        assert told <= {"efficientnet-lite0", "linear" if head == "lda" else f"{head} on pixels"}


def test_1_scores_are_finite_float32_of_shape_n_by_k(classifier: Classifier, pixels: np.ndarray) -> None:
    scores = classifier.scores(pixels)
    assert scores.shape == (len(pixels), len(classifier.classes))
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()


def test_2_a_photo_scores_the_same_alone_as_in_a_batch(classifier: Classifier, pixels: np.ndarray) -> None:
    together = classifier.scores(pixels)
    alone = np.concatenate([classifier.scores(pixels[index : index + 1]) for index in range(len(pixels))])
    assert np.abs(together - alone).max() <= 1e-5 * np.ptp(together)
    assert (together.argmax(1) == alone.argmax(1)).all()


def test_3_order_does_not_matter(classifier: Classifier, pixels: np.ndarray) -> None:
    order = np.random.default_rng(2).permutation(len(pixels))
    difference = np.abs(classifier.scores(pixels)[order] - classifier.scores(pixels[order]))
    assert difference.max() <= 1e-5 * np.ptp(classifier.scores(pixels))


def test_4_an_empty_batch_gives_no_rows(classifier: Classifier, pixels: np.ndarray) -> None:
    assert classifier.scores(pixels[:0]).shape == (0, len(classifier.classes))
    assert classifier.predict_proba(pixels[:0]).shape == (0, len(classifier.classes))
    assert classifier.predict(pixels[:0]) == []
    assert list(classifier.predict_files([])) == []


def test_5_probabilities_are_the_softmax_of_scores_over_temperature(classifier: Classifier, pixels: np.ndarray) -> None:
    scores, probabilities = classifier.scores(pixels), classifier.predict_proba(pixels)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)
    expected = softmax(scores.astype(np.float64) / classifier.card.temperature)
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)
    assert (probabilities.argmax(1) == scores.argmax(1)).all()


def test_6_predict_returns_names(classifier: Classifier, pixels: np.ndarray) -> None:
    named = classifier.predict(pixels)
    assert named == [classifier.classes[index] for index in classifier.scores(pixels).argmax(1)]
    assert set(named) <= set(NAMES)
    assert classifier.classes == tuple(sorted(classifier.classes))


def test_7_save_and_load_is_equal_to_the_bit(classifier: Classifier, pixels: np.ndarray, tmp_path: Path) -> None:
    classifier.save(tmp_path / "again.onnx")
    again = load(tmp_path / "again.onnx")
    assert again.digest == classifier.digest
    assert np.array_equal(again.scores(pixels), classifier.scores(pixels))


def test_8_the_same_seed_gives_the_same_model(runs: dict[tuple[str, int], Run], tmp_path: Path) -> None:
    photos = Path(runs["pixels", 2].answers.names[0]).parent.parent
    again = train(photos, tmp_path / "again", QUICK)
    assert again.model.read_bytes() == runs["pixels", 2].model.read_bytes()


@pytest.mark.parametrize("head", HEADS)
def test_8_the_same_seed_gives_the_same_head(head: str, runs: dict[tuple[str, int], Run], tmp_path: Path) -> None:
    run = runs[head, 2]
    again = train(Path(run.answers.names[0]).parent.parent, tmp_path / "again", run.recipe)
    assert again.model.read_bytes() == run.model.read_bytes()


def test_8_the_same_seed_gives_the_same_model_in_pytorch_too(runs: dict[tuple[str, int], Run], tmp_path: Path) -> None:
    pytest.importorskip("torch")
    run = runs["torch", 2]
    again = train(Path(run.answers.names[0]).parent.parent, tmp_path / "again", run.recipe)
    assert again.model.read_bytes() == run.model.read_bytes()


def test_9_the_input_is_not_changed_and_may_be_read_only_or_strided(classifier: Classifier, pixels: np.ndarray) -> None:
    before = pixels.copy()
    pixels.setflags(write=False)
    expected = classifier.scores(pixels)
    assert np.array_equal(pixels, before)
    assert np.array_equal(classifier.scores(pixels[::-1]), classifier.scores(pixels[::-1].copy()))
    assert np.array_equal(classifier.scores(np.asfortranarray(pixels)), expected)


def test_10_a_wrong_size_or_type_is_an_error_that_names_both(classifier: Classifier, pixels: np.ndarray) -> None:
    for wrong in (pixels.astype(np.float32), pixels[:, 1:], pixels[0], pixels[..., None]):
        with pytest.raises(PixelsError) as caught:
            classifier.scores(wrong)
        assert str(wrong.shape) in str(caught.value)
        assert str(wrong.dtype) in str(caught.value)
        assert ", ".join(map(str, classifier.geometry.shape)) in str(caught.value)


def test_11_a_fresh_process_answers_without_training_libraries(run: Run, pixels_file: Path) -> None:
    code = (
        "import sys, json, numpy, kopal\n"
        "model = kopal.load(sys.argv[1])\n"
        "scores = model.scores(numpy.load(sys.argv[2]))\n"
        "heavy = {'torch', 'sklearn', 'scipy', 'matplotlib', 'pandas', 'skl2onnx'} & set(sys.modules)\n"
        "print(json.dumps([scores.tolist(), sorted(heavy)]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(run.model), str(pixels_file)], capture_output=True, text=True, check=True
    )
    scores, heavy = json.loads(done.stdout)
    assert heavy == []
    np.testing.assert_allclose(scores, run.classifier.scores(np.load(pixels_file)), atol=1e-6)


@pytest.fixture
def pixels_file(run: Run, tmp_path: Path) -> Path:
    path = tmp_path / "pixels.npy"
    np.save(path, np.random.default_rng(3).integers(0, 256, (3, *run.classifier.geometry.shape), dtype=np.uint8))
    return path


def test_12_it_beats_the_majority_class(run: Run) -> None:
    assert run.report.accuracy > run.report.majority + 0.1
    assert run.report.interval[0] > run.report.majority


def test_13_threads_at_once_agree_with_one(classifier: Classifier, pixels: np.ndarray) -> None:
    expected = classifier.scores(pixels)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: classifier.scores(pixels), range(8)))
    assert all(np.array_equal(answer, expected) for answer in answers)


def test_14_plain_onnxruntime_gives_the_same_numbers(run: Run, pixels: np.ndarray) -> None:
    for threads in (1, 2):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(run.model.read_bytes(), options)
        scores, probabilities, label = session.run(["scores", "probabilities", "label"], {"pixels": pixels})
        expected = run.classifier.scores(pixels)
        assert np.abs(scores - expected).max() <= 1e-5 * np.ptp(expected)
        np.testing.assert_allclose(probabilities, run.classifier.predict_proba(pixels), atol=1e-5)
        assert label.dtype == np.int64
        assert (label == expected.argmax(1)).all()


def test_every_kind_but_an_ensemble_tells_unknown_photos(runs: dict[tuple[str, int], Run]) -> None:
    assert {kind for (kind, _), run in runs.items() if not run.classifier.has_unknown} == {"ensemble"}


def test_unknown_obeys_the_laws_of_scores(classifier: Classifier, pixels: np.ndarray, tmp_path: Path) -> None:
    pixels.setflags(write=False)
    if not classifier.has_unknown:
        with pytest.raises(UsageError, match="unknown"):
            classifier.unknown(pixels)
        return
    found = classifier.unknown(pixels)
    assert found.shape == (len(pixels),)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert found.min() >= -1e-3
    allowed = 1e-5 * max(1, np.ptp(found), found.max())
    alone = np.concatenate([classifier.unknown(pixels[index : index + 1]) for index in range(len(pixels))])
    assert np.abs(found - alone).max() <= allowed
    assert np.abs(found[::-1] - classifier.unknown(pixels[::-1])).max() <= allowed
    empty = classifier.unknown(pixels[:0])
    assert (empty.shape, empty.dtype) == ((0,), np.float32)
    with pytest.raises(PixelsError):
        classifier.unknown(pixels[:, 1:])
    classifier.save(tmp_path / "again.onnx")
    assert np.array_equal(load(tmp_path / "again.onnx").unknown(pixels), found)
    with ThreadPoolExecutor(4) as pool:
        assert all(np.array_equal(each, found) for each in pool.map(lambda _: classifier.unknown(pixels), range(8)))


def test_plain_onnxruntime_tells_unknown_photos_too(run: Run, pixels: np.ndarray) -> None:
    session = onnxruntime.InferenceSession(run.model.read_bytes())
    names = [output.name for output in session.get_outputs()]
    assert names == ["scores", "probabilities", "label", "unknown"][: 4 if run.classifier.has_unknown else 3]
    if run.classifier.has_unknown:
        found, expected = session.run(["unknown"], {"pixels": pixels})[0], run.classifier.unknown(pixels)
        np.testing.assert_allclose(found, expected, atol=1e-5 * max(1, expected.max()))
        assert session.run(["unknown"], {"pixels": pixels[:0]})[0].shape == (0,)
        card = run.classifier.card.thresholds["unknown"]
        assert card["threshold"] == 1
        assert card["false_alarms"] >= 0.05


def test_the_golden_outputs_hold(classifier: Classifier) -> None:
    assert classifier.verify() <= 1e-6


def test_predict_files_answers_as_pixels_do(run: Run) -> None:
    from kopal import images

    names = run.answers.names[:5]
    pixels = np.stack([images.read(name, run.classifier.geometry) for name in names])
    predictions = list(run.classifier.predict_files(names, top=2))
    assert [prediction.label for prediction in predictions] == run.classifier.predict(pixels)
    assert [prediction.path for prediction in predictions] == list(names)
    assert all(len(prediction.top) == 2 for prediction in predictions)
    assert all(prediction.top[0] == (prediction.label, prediction.probability) for prediction in predictions)
    if run.classifier.has_unknown:
        scores = run.classifier.unknown(pixels)
        np.testing.assert_allclose(
            [prediction.unknown_score for prediction in predictions], scores, rtol=1e-4, atol=1e-4
        )
        assert [prediction.unknown for prediction in predictions] == [score > 1 for score in scores]
    assert run.classifier.has_unknown or all(prediction.unknown_score is None for prediction in predictions)


@pytest.fixture(scope="module")
def in_parts(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path, Numbers], tuple[Photos, Backbone]]:
    """A folder of photos read as train and test part at once; each folder only once."""

    @cache
    def read_parts(source: Path, numbers: Numbers) -> tuple[Photos, Backbone]:
        backbone = backbone_of(Recipe(features=numbers))
        parts = tmp_path_factory.mktemp("parts")
        for part in ("train", "test"):
            (parts / part).symlink_to(source, target_is_directory=True)
        return read(open_dataset(parts), backbone, None)[0], backbone

    return read_parts


@pytest.mark.parametrize("kind", ["probe", "int8", "pixels", *HEADS])
def test_the_head_on_stored_features_equals_the_file_on_pixels(
    kind: str, runs: dict[tuple[str, int], Run], in_parts: Callable[[Path, Numbers], tuple[Photos, Backbone]]
) -> None:
    # Photos of a test part are scored from stored features; the file must say the same from their pixels.
    from kopal import images

    made = runs[kind, 10].recipe
    photos, backbone = in_parts(Path(runs[kind, 10].answers.names[0]).parent.parent, made.features)
    fitted = learn(made, photos, backbone)
    classifier = assemble(fitted, 1.0, photos, made)
    test = np.flatnonzero(photos.where("test"))
    pixels = np.stack([images.read(photos.names[index], classifier.geometry) for index in test])
    scores = classifier.scores(pixels)
    equal = np.abs(scores - fitted.scores[test]).max(axis=1) <= 1e-4 * np.ptp(scores)
    # Where two photos' features differ by no more than rounding, a tree's threshold may lie between two roundings.
    assert equal.mean() >= (0.95 if kind in {"tree", "forest"} else 1)


def test_no_photo_is_scored_by_a_head_that_saw_it(tmp_path: Path) -> None:
    # Labels that have nothing to do with the picture: a head that saw the photo would know them, ours must not.
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / "photos" / name).mkdir(parents=True)
    for number in range(60):
        image = rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)
        Image.fromarray(image).save(tmp_path / "photos" / "ab"[number % 2] / f"{number}.png")
    run = train(tmp_path / "photos", tmp_path / "out", QUICK)
    assert 0.25 < run.report.accuracy < 0.75
    low, high = run.report.interval
    assert low < 0.5 < high


def test_a_law_can_fail(runs: dict[tuple[str, int], Run]) -> None:
    run = runs["probe", 2]
    honest = run.classifier

    class Liar:
        classes, geometry, card = honest.classes, honest.geometry, honest.card

        def scores(self, pixels: np.ndarray) -> np.ndarray:
            return honest.scores(pixels) + np.float32(len(pixels))

    pixels = np.zeros((3, *honest.geometry.shape), np.uint8)
    laws: list[Callable[..., None]] = [test_2_a_photo_scores_the_same_alone_as_in_a_batch]
    for law in laws:
        with pytest.raises(AssertionError):
            law(Liar(), pixels)


def test_draw_makes_what_the_tests_think() -> None:
    assert draw(0, 1).size == (160, 120)
    assert draw(0, 1).tobytes() == draw(0, 1).tobytes()
    assert draw(0, 1).tobytes() != draw(0, 2).tobytes()
