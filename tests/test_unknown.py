"""Photos of none of the classes are told, and those of the classes called unknown as seldom as is promised."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score

import attacks
from conftest import QUICK, make_photos
from kopal.backends.onnx_backend import classifier_model
from kopal.backends.onnx_head import before_head, head_input
from kopal.backends.onnx_unknown import with_unknown
from kopal.classifier import Classifier, load
from kopal.errors import ModelFileError
from kopal.fit.fitted import Fitted
from kopal.images import Geometry
from kopal.log import Note
from kopal.model_file import Card
from kopal.nets.linear import linear
from kopal.novelty import Novelty, Spread, auroc, compare, fit_novelty, shrunk, spread_of
from kopal.pipeline import train
from kopal.pixels import PixelPhotos
from kopal.run import Run
from kopal.unknown import OPTIONS, choose, draw, fit_unknown, limit_of, of_features

Command = Callable[..., tuple[int, str, str]]
SHAPE = (4, 5, 1)


def clusters(classes: int, count: int, seed: int = 0, width: int = 20) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.arange(classes * count) % classes
    centres = np.random.default_rng(99).normal(size=(classes, width)) * 2
    return (centres[labels] + rng.normal(size=(len(labels), width))).astype(np.float32), labels


def oracle(novelty: Novelty, x: np.ndarray) -> float:
    """The formula, one photo and one reference at a time, in doubles."""
    z = x.astype(np.float64) - novelty.mean
    for direction, share in zip(novelty.directions.astype(np.float64), novelty.shrinkage, strict=True):
        z = z - share * (z @ direction) * direction
    z /= np.linalg.norm(z)
    cosines = sorted(
        float(z @ row) * float(scale) for row, scale in zip(novelty.references, novelty.scales, strict=True)
    )
    return 1 - float(np.mean(cosines[-novelty.nearest :]))


def fitted_way(option: tuple[float, int], seed: int = 0) -> tuple[Novelty, np.ndarray]:
    features, labels = clusters(4, 40, seed)
    mean = features.mean(axis=0)
    return fit_novelty(features, mean, spread_of(features, labels, mean, 0), *option), features


@pytest.mark.parametrize("option", OPTIONS)
def test_distances_are_the_formula_and_bytes_hardly_change_them(option: tuple[float, int]) -> None:
    way, features = fitted_way(option)
    fresh, _ = clusters(5, 6, seed=1)
    np.testing.assert_allclose(way.distances(fresh), [oracle(way, row) for row in fresh], atol=1e-5)
    exact = shrunk(features - way.mean, way.directions, way.shrinkage)
    exact /= np.linalg.norm(exact, axis=1, keepdims=True)
    np.testing.assert_allclose(way.references * way.scales[:, None], exact, atol=0.006)
    np.testing.assert_allclose(np.linalg.norm(way.references * way.scales[:, None], axis=1), 1, atol=1e-6)
    assert way.distances(fresh[:0]).shape == (0,)


def test_a_photo_and_its_copies_do_not_count_as_its_own_neighbours() -> None:
    way, features = fitted_way((1.0, 1))
    group = np.arange(len(features))
    group[1] = 0
    apart = way.distances(features, (group, group))
    assert way.distances(features).max() < 1e-3
    without = Novelty(way.mean, way.directions, way.shrinkage, way.references[2:], way.scales[2:], 1)
    np.testing.assert_allclose(apart[:2], without.distances(features[:2]), atol=1e-6)


def test_the_spread_within_classes_is_that_of_plain_eigenvectors() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 3
    long = rng.normal(size=(400, 30)) * np.geomspace(9, 0.5, 30)
    features = (long + np.eye(30)[labels] * 5).astype(np.float32)
    found = spread_of(features, labels, features.mean(axis=0), 0)
    within = features - np.stack([features[labels == label].mean(axis=0) for label in range(3)])[labels]
    values, vectors = np.linalg.eigh(within.T.astype(np.float64) @ within / 400)
    np.testing.assert_allclose(found.variances[:5], values[::-1][:5], rtol=1e-3)
    np.testing.assert_allclose(np.abs((found.directions[:3] @ vectors[:, ::-1][:, :3]).diagonal()), 1, atol=1e-3)
    assert found.mean_variance == pytest.approx(values.mean(), rel=1e-4)


def test_shrinking_makes_the_spread_rounder_by_the_roundness() -> None:
    spread = Spread(np.eye(2, 6, dtype=np.float32), np.array([8.0, 2.0]), 2.0)
    # What is left along the other four directions: (12 - 10) / 4.
    for roundness in (0.3, 0.8):
        rest = (1 - roundness) * 0.5 + roundness * 2
        along = (1 - roundness) * spread.variances + roundness * 2
        np.testing.assert_allclose(1 - spread.shrinkage(roundness), np.sqrt(rest / along), rtol=1e-6)
    assert not spread.shrinkage(1.0).any()


def test_auroc_is_scikit_learns_also_with_ties() -> None:
    rng = np.random.default_rng(0)
    known, strange = (rng.integers(0, 9, size).astype(np.float32) for size in (40, 25))
    expected = roc_auc_score(np.repeat([0, 1], [40, 25]), np.concatenate([known, strange]))
    assert auroc(known, strange) == pytest.approx(expected)


def test_the_limit_is_conformal_and_few_photos_promise_less() -> None:
    hundred = np.arange(1, 101, dtype=np.float32)
    assert limit_of(hundred) == (96, 0.05)  # the 96th of 100: (100 + 1) · 0.95, rounded up
    assert limit_of(hundred[:19]) == (19, 0.05)
    assert limit_of(hundred[:9]) == (9, pytest.approx(0.1))
    # A perfect set of copies: what rounding makes is not unknown.
    assert limit_of(np.zeros(50, np.float32))[0] == pytest.approx(1e-3)


def test_new_photos_of_the_classes_are_called_unknown_as_seldom_as_promised() -> None:
    digits = load_digits()
    features, labels = digits.data.astype(np.float32) / 8 - 1, digits.target.astype(np.int64)
    alarms = []
    for seed in range(12):
        order = np.random.default_rng(seed).permutation(len(labels))[:900]
        old, new = order[:600], order[600:]
        found = of_features(features[old], labels[old], range(600), seed=seed)
        alarms.append(float((found.novelty.distances(features[new]) > found.limit).mean()))
        assert (found.photos, found.false_alarms) == (600 if found.roundness == 1 else found.photos, 0.05)
        assert found.photos >= 290
    assert 0.035 <= np.mean(alarms) <= 0.065


def test_distances_to_oneself_would_break_the_promise() -> None:
    # The check above can fail: in-sample distances are far too small.
    digits = load_digits()
    features, labels = digits.data.astype(np.float32)[:900] / 8 - 1, digits.target.astype(np.int64)
    found = of_features(features[:600], labels[:600], range(600))
    limit, _ = limit_of(found.novelty.distances(features[:600]))
    assert (found.novelty.distances(features[600:]) > limit).mean() > 0.1


def test_a_class_that_was_left_out_is_told_and_chance_is_a_half() -> None:
    features, labels = clusters(4, 50)
    option, told = choose(features, labels, range(200))
    assert option in OPTIONS
    assert told is not None
    assert told > 0.95
    noise = np.random.default_rng(0).normal(size=features.shape).astype(np.float32)
    _, guessed = choose(noise, labels, range(200))
    assert guessed is not None
    assert 0.4 < guessed < 0.65


@pytest.mark.parametrize("count", [9, 70])
def test_options_are_compared_by_the_distances_that_they_would_give(count: int) -> None:
    features, labels = clusters(4, count)
    known, asked = np.arange(0, len(features), 2), np.arange(1, len(features), 2)
    mean = features[known].mean(axis=0)
    spread = spread_of(features[known], labels[known], mean, 0)
    found = compare(features, features @ features.T, asked, known, spread, OPTIONS)
    for option, distances in zip(OPTIONS, found, strict=True):
        way = fit_novelty(features[known], mean, spread, *option)
        # References are kept as bytes.
        assert np.abs(distances - way.distances(features[asked])).max() < 2e-3


def test_the_same_seed_gives_the_same_and_rows_are_drawn_from_every_class() -> None:
    features, labels = clusters(4, 50)
    first, again = (of_features(features, labels, range(200), seed=3) for _ in range(2))
    assert np.array_equal(first.novelty.references, again.novelty.references)
    assert first.limit == again.limit
    many = np.repeat([0, 1, 2], [900, 95, 5])
    rows = draw(many, 100, 0)
    assert np.bincount(many[rows]).tolist() == [90, 9, 1]
    assert np.array_equal(draw(many, 1000, 0), np.arange(1000))
    assert not np.array_equal(draw(many, 100, 0), draw(many, 100, 1))


@pytest.mark.parametrize("option", OPTIONS[::3])
def test_the_graph_gives_what_numpy_gives(option: tuple[float, int]) -> None:
    way, _ = fitted_way(option)
    model = graph_of(way)
    pixels = np.random.default_rng(0).integers(0, 256, (9, *SHAPE), dtype=np.uint8)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    found = session.run(["unknown"], {"pixels": pixels})[0]
    flat = pixels.transpose(0, 3, 1, 2).reshape(9, -1).astype(np.float32) / 127.5 - 1
    np.testing.assert_allclose(found, way.distances(flat) / 0.5, atol=1e-5)
    assert session.run(["unknown"], {"pixels": pixels[:0]})[0].shape == (0,)


def graph_of(way: Novelty) -> object:
    net = linear(3, SHAPE)
    weights = {"head.weight": np.eye(3, 20, dtype=np.float32), "head.bias": np.zeros(3, np.float32)}
    model = classifier_model(net, weights, 1.0, 3)
    return with_unknown(model, way, 0.5, head_input(model.graph))


def sound() -> bytes:
    way, _ = fitted_way(OPTIONS[2])
    card = Card("linear", tuple("abc"), Geometry(*SHAPE), 1.0, thresholds={"unknown": {"threshold": 1.0}})
    return attacks.file_of(Classifier.build(graph_of(way), card))


@pytest.mark.parametrize("value", [None, {}, {"threshold": 0}, {"threshold": "1"}, {"threshold": True}, [1.0],
                                   {"threshold": float("inf")}, {"threshold": -1.0}])  # fmt: skip
def test_an_output_without_a_sound_threshold_is_refused(value: object) -> None:
    data = sound()
    assert Classifier.from_bytes(data).has_unknown
    with pytest.raises(ModelFileError, match="unknown"):
        Classifier.from_bytes(attacks.with_card(data, lambda card: card["thresholds"].update(unknown=value)))
    with pytest.raises(ModelFileError, match="unknown"):
        Classifier.from_bytes(attacks.with_card(data, lambda card: card.update(thresholds={})))


def test_golden_outputs_cover_it() -> None:
    data = sound()
    assert Classifier.from_bytes(data).verify() <= 1e-6
    for value in ([1.0, 9.0], []):
        shifted = attacks.with_card(data, lambda card, value=value: card["golden"].update(unknown=value))
        with pytest.raises(ModelFileError, match="golden"):
            Classifier.from_bytes(shifted).verify()


def test_features_below_the_head_are_the_same_with_and_without_the_output(trained: Run, photos: Path) -> None:
    assert trained.classifier.has_unknown
    plain = train(photos, trained.folder.parent / "plain", replace(QUICK, unknown=False))
    assert not plain.classifier.has_unknown
    assert "unknown" not in plain.classifier.card.thresholds
    both = [before_head(run.classifier.graph()).SerializeToString(deterministic=True) for run in (trained, plain)]
    assert both[0] == both[1]
    assert json.loads((plain.folder / "report.json").read_text())["unknown"] is None


def test_a_net_without_a_linear_head_says_plainly_that_it_cannot_tell() -> None:
    notes: list[object] = []
    photos = PixelPhotos(
        tuple("ab"), ("x", "y"), np.array([0, 1]), np.array(["train", "train"]), (b"x", b"y"), np.arange(2),
        np.zeros((2, *SHAPE), np.uint8), Geometry(*SHAPE),
    )  # fmt: skip
    net = linear(2, SHAPE).without_head()
    assert fit_unknown(Fitted(net, {}, photos.geometry, np.zeros((2, 2), np.float32)), photos, log=notes.append) is None
    assert isinstance(notes[0], Note)
    assert "will not tell unknown photos" in notes[0].text


@pytest.fixture(scope="module")
def strange(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture like none of the classes."""
    path = tmp_path_factory.mktemp("strange") / "strange.png"
    rows = np.indices((120, 160)).sum(axis=0) // 6 % 2 * 255
    Image.fromarray(np.stack([rows, 255 - rows, rows * 0], axis=2).astype(np.uint8)).save(path)
    return path


def test_predict_marks_unknown_photos_in_text_json_and_table(
    kopal: Command, trained: Run, photos: Path, strange: Path, tmp_path: Path
) -> None:
    known = next((photos / "green bar").iterdir())
    code, out, _ = kopal("predict", trained.model, strange, known, "--csv", tmp_path / "out.csv")
    assert code == 0
    first, second = out.splitlines()
    assert first.split("\t")[1] == "unknown"
    assert first.split("\t")[2] in trained.classifier.classes
    assert second.split("\t")[1] == "green bar"
    table = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text(encoding="utf-8"))))
    assert [row["unknown"] for row in table] == ["yes", "no"]
    assert float(table[0]["unknown_score"]) > 1 > float(table[1]["unknown_score"])
    answers = json.loads(kopal("predict", trained.model, strange, known, "--json")[1])
    assert [answer["unknown"] for answer in answers] == [True, False]
    assert answers[0]["unknown_score"] > 1


def test_the_report_and_inspect_say_what_is_promised(kopal: Command, photos: Path, tmp_path: Path) -> None:
    code, out, err = kopal("train", photos, "--effort", "quick", "--out", tmp_path / "out")
    assert (code, err) == (0, "")
    assert "unknown photos: 24 photos to compare with" in out
    report = json.loads((tmp_path / "out" / "report.json").read_text())["unknown"]
    assert report["threshold"] == 1
    assert report["false_alarms"] == 0.05
    assert "cosine distance" in report["method"]
    assert 0.5 < report["auroc"] <= 1
    assert "unknown    above 1:" in kopal("inspect", tmp_path / "out" / "model.onnx")[1]
    code, out, _ = kopal("train", photos, "--effort", "quick", "--no-unknown", "--out", tmp_path / "without")
    assert code == 0
    assert not load(tmp_path / "without" / "model.onnx").has_unknown
    said = json.loads(kopal("predict", tmp_path / "without" / "model.onnx", photos, "--json")[1])
    assert {row["unknown"] for row in said} == {row["unknown_score"] for row in said} == {None}


def test_an_old_file_still_loads_and_answers(photos: Path) -> None:
    # As files were before: no fourth output, empty thresholds, no golden `unknown`.
    card = attacks.sound().card.as_json()
    assert card["thresholds"] == {}
    assert "unknown" not in card["golden"]
    old = Classifier.from_bytes(attacks.file_of(attacks.sound()))
    assert not old.has_unknown
    [answer] = old.predict_files([next((photos / "green bar").iterdir())])
    assert (answer.unknown, answer.unknown_score) == (False, None)


def test_more_photos_of_the_same_kinds_are_mostly_known(trained: Run, tmp_path: Path) -> None:
    more = make_photos(tmp_path / "more", count=6, first=100)
    answers = list(trained.classifier.predict_files(sorted(more.rglob("*.jpg"))))
    assert sum(answer.unknown for answer in answers) <= 4
