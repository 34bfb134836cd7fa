"""The heads beside the softmax regression: against scikit-learn's own answers, in NumPy and in the file."""

from __future__ import annotations

import csv
import json
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from kopal.arrays import softmax
from kopal.backends.onnx_backend import classifier_model
from kopal.errors import UsageError
from kopal.fit.heads import cross, knn, learn, mlp, svm, trees
from kopal.fit.heads.head import Head, Option
from kopal.fit.heads.kinds import KINDS
from kopal.fit.heads.learn import NAMES
from kopal.fit.heads.standard import standard
from kopal.metrics import log_loss
from kopal.nets.describe import describe, parameter_shapes
from kopal.nets.linear import linear
from kopal.nets.net import Net
from kopal.nets.table import words
from kopal.pipeline import train
from kopal.recipes import recipe
from kopal.runtime import session

D = 12
Data = tuple[np.ndarray, np.ndarray, np.ndarray]


def make(classes: int, count: int = 150) -> Data:
    """Pixels (N, 1, D, 1), what a net without a head makes of them (N, D), and labels (N,) of overlapping classes."""
    rng = np.random.default_rng(classes)
    labels = np.arange(count) % classes
    centres = rng.integers(60, 200, (classes, D))
    pixels = np.clip(centres[labels] + rng.normal(0, 45, (count, D)), 0, 255).astype(np.uint8)
    # Multiples of four to learn from, others to ask: no threshold, midway between two photos, is a third one's number.
    pixels = pixels // 4 * 4 + (np.arange(count) >= 100)[:, None].astype(np.uint8)
    features = (pixels.astype(np.float32) / 127.5 - 1).astype(np.float32)
    return pixels.reshape(count, 1, D, 1), features, labels.astype(np.int64)


@pytest.fixture(params=[2, 3])
def data(request: pytest.FixtureRequest) -> Data:
    return make(request.param)


def fitted(name: str, features: np.ndarray, labels: np.ndarray, option: Option, seed: int = 0) -> Head:
    ones = np.ones(len(labels), np.float32)
    [head] = KINDS[name].fit(features, labels, ones, int(labels.max()) + 1, [option], seed)
    return head


def as_net(head: Head, classes: int) -> tuple[Net, dict[str, np.ndarray]]:
    net = linear(classes, (1, D, 1)).without_head().then("head", head.layer())
    return net, {f"head.{name}": array for name, array in head.weights().items()}


def file_scores(head: Head, pixels: np.ndarray, classes: int) -> np.ndarray:
    model = classifier_model(*as_net(head, classes), 1.0, classes)
    return session(model.SerializeToString()).run(["scores"], {"pixels": pixels})[0]


def normalised(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return features.mean(axis=0), features.std(axis=0)


def check(name: str, data: Data, option: Option, expected: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> None:
    """Scores of the head, in NumPy and in the file, against scikit-learn's: equal to 1e-4."""
    pixels, features, labels = data
    learned, asked = slice(0, 100), slice(100, None)
    head = fitted(name, features[learned], labels[learned], option)
    wanted = expected(features[learned], labels[learned])
    classes = int(labels.max()) + 1
    for scores in (head.scores(features[asked]), file_scores(head, pixels[asked], classes)):
        assert scores.shape == (len(features[asked]), classes)
        assert scores.dtype == np.float32
        np.testing.assert_allclose(as_sklearn(name, scores), wanted, atol=1e-4)


def as_sklearn(name: str, scores: np.ndarray) -> np.ndarray:
    """Decision values of an svm, probabilities of the others."""
    if name == "svm":
        return scores if scores.shape[1] > 2 else scores[:, 1] - scores[:, 0]
    factor = np.sqrt(D) if name == "naive-bayes" else 1.0
    return softmax(scores.astype(np.float64) * factor)


@pytest.mark.parametrize("option", svm.SVM.options)
def test_svm_gives_the_decision_values_of_one_class_against_the_rest(data: Data, option: Option) -> None:
    def expected(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
        mean, deviation = normalised(features)
        machine = SVC(C=option["C"], gamma=option["gamma"] / D)
        rest = (machine if labels.max() == 1 else OneVsRestClassifier(machine)).fit(
            (features - mean) / deviation, labels
        )
        return rest.decision_function((data[1][100:] - mean) / deviation)

    # SVC stops at a tolerance of 1e-3, on a kernel rounded elsewhere: the optimum is the same, not the last digits.
    tight = {"rtol": 0, "atol": 5e-3}
    pixels, features, labels = data
    head = fitted("svm", features[:100], labels[:100], option)
    wanted = expected(features[:100], labels[:100])
    np.testing.assert_allclose(as_sklearn("svm", head.scores(features[100:])), wanted, **tight)
    written = file_scores(head, pixels[100:], int(labels.max()) + 1)
    np.testing.assert_allclose(written, head.scores(features[100:]), atol=1e-4)


@pytest.mark.parametrize(("k", "width"), [(5, 0.07), (20, 0.03)])
def test_knn_gives_the_weighted_votes_of_the_nearest(data: Data, k: int, width: float) -> None:
    def expected(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
        mean = features.mean(axis=0)
        votes = KNeighborsClassifier(
            k, metric="cosine", algorithm="brute", weights=lambda distance: np.exp(-distance / width)
        )
        found = votes.fit(features - mean, labels).predict_proba(data[1][100:] - mean)
        floored = np.maximum(found, 1e-6)
        return floored / floored.sum(axis=1, keepdims=True)

    check("knn", data, {"k": k, "width": width}, expected)


@pytest.mark.parametrize("smoothing", [0.01, 1.0])
def test_naive_bayes_gives_the_posterior_probabilities(data: Data, smoothing: float) -> None:
    def expected(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
        mean, deviation = normalised(features.astype(np.float64))
        bayes = GaussianNB(var_smoothing=smoothing).fit((features - mean) / deviation, labels)
        return bayes.predict_proba((data[1][100:] - mean) / deviation)

    check("naive-bayes", data, {"smoothing": smoothing}, expected)


def test_lda_gives_the_probabilities_of_shrunk_discriminant_analysis(data: Data) -> None:
    def expected(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
        mean, deviation = normalised(features)
        found = LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto").fit((features - mean) / deviation, labels)
        return found.predict_proba((data[1][100:] - mean) / deviation)

    check("lda", data, {}, expected)


def _floored(probabilities: np.ndarray) -> np.ndarray:
    floored = np.maximum(probabilities, 1e-6)
    return floored / floored.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("leaves", [2, 5, 30])
def test_a_tree_gives_the_shares_of_its_leaves_whatever_size_it_was_grown_to(data: Data, leaves: int) -> None:
    def expected(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
        tree = DecisionTreeClassifier(max_leaf_nodes=leaves, min_samples_leaf=2, random_state=0)
        return _floored(tree.fit(features, labels).predict_proba(data[1][100:]))

    check("tree", data, {"leaves": leaves}, expected)
    _, features, labels = data
    ones = np.ones(100, np.float32)
    options = [{"leaves": leaves}, {"leaves": 60}]
    small, _ = trees.fit_tree(features[:100], labels[:100], ones, int(labels.max()) + 1, options, 0)
    np.testing.assert_allclose(softmax(small.scores(features[100:])), expected(features[:100], labels[:100]), atol=1e-5)


def test_a_forest_gives_the_mean_of_its_trees(data: Data) -> None:
    def expected(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
        forest = RandomForestClassifier(20, max_leaf_nodes=trees.MOST_LEAVES, random_state=0)
        return _floored(forest.fit(features, labels, np.ones(100)).predict_proba(data[1][100:]))

    check("forest", data, {"trees": 20}, expected)


def test_a_tree_without_questions_is_a_tree() -> None:
    features, labels = np.zeros((9, D), np.float32), np.arange(9) % 3
    head = fitted("tree", features, labels, {"leaves": 8})
    np.testing.assert_allclose(softmax(head.scores(features)), 1 / 3, atol=1e-6)
    np.testing.assert_allclose(softmax(file_scores(head, make(3)[0], 3)), 1 / 3, atol=1e-6)


def test_mlp_gives_the_probabilities_of_the_net_after_as_many_passes(data: Data) -> None:
    def expected(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
        scaling = standard(features, np.ones(len(features), np.float32))
        net = MLPClassifier(
            (mlp.HIDDEN,), alpha=mlp.PENALTY, batch_size=100, learning_rate_init=mlp.RATE, shuffle=False, random_state=0
        )
        rng = np.random.default_rng(0)
        for _ in range(7 * mlp.FEWEST_STEPS):  # one batch holds all the photos
            order = rng.permutation(len(features))
            net.partial_fit(scaling.apply(features)[order], labels[order], classes=np.unique(labels))
        return net.predict_proba(scaling.apply(data[1][100:]))

    check("mlp", data, {"passes": 7}, expected)


def test_the_check_against_scikit_learn_can_fail(data: Data) -> None:
    with pytest.raises(AssertionError):
        check("lda", data, {}, lambda features, labels: np.full((50, labels.max() + 1), 1 / (labels.max() + 1)))


@pytest.mark.parametrize("name", KINDS)
def test_every_option_is_the_same_in_the_file_also_for_no_photos(name: str, data: Data) -> None:
    pixels, features, labels = data
    classes = int(labels.max()) + 1
    kind = KINDS[name]
    assert all(option in kind.options for option in kind.quick) or name == "forest"
    heads = kind.fit(features, labels, np.ones(len(labels), np.float32), classes, kind.quick, 0)
    assert len(heads) == len(kind.quick)
    for head in heads:
        written = file_scores(head, pixels, classes)
        np.testing.assert_allclose(written, head.scores(features), atol=1e-4 * max(1, np.ptp(written)))
        assert file_scores(head, pixels[:0], classes).shape == head.scores(features[:0]).shape == (0, classes)
        net, weights = as_net(head, classes)
        assert {key: array.shape for key, array in weights.items()} == parameter_shapes(net)
        assert all(words(row) for row in describe(net))


@pytest.mark.parametrize("name", KINDS)
def test_photos_may_weigh_more_than_others(name: str) -> None:
    # Two classes on top of one another: the one that weighs more is named more often.
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(200, D)).astype(np.float32), np.arange(200) % 2
    option = KINDS[name].options[0]
    named = []
    for favourite in (0, 1):
        weights = np.where(labels == favourite, 4, 1).astype(np.float32)
        [head] = KINDS[name].fit(features, labels, weights, 2, [option], 0)
        fresh = rng.normal(size=(500, D)).astype(np.float32)
        named.append(head.scores(fresh).argmax(axis=1).mean())
    assert named[0] < 0.5 < named[1]


def test_neighbours_that_are_equally_near_all_vote() -> None:
    features = np.repeat(np.eye(3, D, dtype=np.float32), 4, axis=0)
    labels = np.arange(12) // 4
    labels[[3, 7]] = 2
    [head] = knn.fit(features, labels, np.ones(12, np.float32), 3, [{"k": 2, "width": 0.07}], 0)
    found = softmax(head.scores(features))
    np.testing.assert_allclose(found[:4], np.tile([0.75, 0, 0.25], (4, 1)), atol=1e-4)


@pytest.mark.parametrize("name", KINDS)
def test_a_class_that_is_not_in_a_fold_is_as_unlikely_as_the_floor(name: str) -> None:
    _, features, labels = make(3)
    kept = labels != 1
    ones = np.ones(int(kept.sum()), np.float32)
    [scores] = cross.fit_present(KINDS[name], features[kept], labels[kept], ones, 3, KINDS[name].options[:1], 0)
    found = scores(features)
    assert found.shape == (len(features), 3)
    assert np.isfinite(found).all()
    assert (found.argmin(axis=1) == 1).all()
    assert (found[kept].argmax(axis=1) == labels[kept]).mean() > 0.8


def test_one_class_alone_can_only_be_named() -> None:
    _, features, labels = make(3)
    one = labels == 2
    [scores] = cross.fit_present(KINDS["svm"], features[one], labels[one], np.ones(50, np.float32), 3, [{}], 0)
    assert (scores(features).argmax(axis=1) == 2).all()


def test_two_photos_a_class_are_enough_for_every_head() -> None:
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(5, D)).astype(np.float32), np.array([0, 0, 1, 1, 2])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for kind in KINDS.values():
            for head in kind.fit(features, labels, np.ones(5, np.float32), 3, kind.options, 0):
                assert np.isfinite(head.scores(features)).all()


def test_choosing_does_not_flatter_itself() -> None:
    # Guessers only: the best of fifty looks better than chance, and its honest scores must not.
    rng = np.random.default_rng(0)
    labels, fold = np.arange(200) % 2, np.arange(200) // 2 % 5
    guesses = list(rng.normal(size=(50, 200, 2)).astype(np.float32))
    choice = cross.choose(guesses, labels, fold)
    looks = (guesses[choice.index].argmax(axis=1) == labels).mean()
    honest = (choice.scores.argmax(axis=1) == labels).mean()
    assert looks > 0.57
    assert honest < 0.54


def test_scores_of_another_contender_come_at_the_winners_temperature() -> None:
    # Two that say the same, one of them a hundred times as loud: mixed, they are as good as either.
    rng = np.random.default_rng(0)
    labels, fold = np.arange(300) % 3, np.arange(300) // 3 % 5
    quiet = (np.eye(3)[labels] + rng.normal(0, 0.8, (300, 3))).astype(np.float32)
    loud = (10 * (quiet + rng.normal(0, 0.05, (300, 3)))).astype(np.float32)
    choice = cross.choose([quiet, loud], labels, fold)
    assert cross._calibrated_loss(choice.scores, labels) < max(choice.losses) + 0.01
    assert choice.losses[choice.index] == min(choice.losses) < log_loss(loud, labels)


def test_more_photos_than_a_head_can_take_are_one_clear_error() -> None:
    with pytest.raises(UsageError, match="svm on 20000 photos"):
        cross.check_size(KINDS["svm"], 20000)
    cross.check_size(KINDS["svm"], 12000)
    cross.check_size(KINDS["mlp"], 10**6)


Command = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize("head", ["svm", "knn"])
def test_the_report_says_where_the_file_holds_photos_features(
    head: str, kopal: Command, photos: Path, tmp_path: Path
) -> None:
    code, out, err = kopal("train", photos, "--head", head, "--effort", "quick", "--out", tmp_path / "out")
    assert (code, err) == (0, "")
    told = {"svm": "support vectors, features of your photos", "knn": "24 reference features of your photos"}[head]
    assert told in out
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert told in report["holds"]
    assert f"<dt>holds</dt><dd>{report['holds']}</dd>" in (tmp_path / "out" / "report.html").read_text("utf-8")
    assert report["head"] == head
    assert report["option"]
    assert "penalty" not in report
    assert json.loads((tmp_path / "out" / "recipe.json").read_text())["head"] == head
    assert kopal("predict", tmp_path / "out" / "model.onnx", photos)[0] == 0


def test_all_heads_are_compared_and_the_best_is_kept(photos: Path, tmp_path: Path) -> None:
    run = train(photos, tmp_path / "out", recipe("quick", head="all", unknown=False))
    with (tmp_path / "out" / "heads.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["head"] for row in rows} == set(NAMES)
    losses = [float(row["log_loss"]) for row in rows]
    assert losses == sorted(losses)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["head"] == rows[0]["head"]
    assert [row["head"] for row in report["heads"]] == [row["head"] for row in rows]
    assert all(float(row["low"]) <= float(row["accuracy"]) <= float(row["high"]) for row in rows)
    # The graph alone is nearly the whole file.
    assert abs(run.classifier.size - int(rows[0]["bytes"])) < 10_000
    alone = train(photos, tmp_path / "alone", replace(run.recipe, head=report["head"]))
    pixels = np.random.default_rng(0).integers(0, 256, (3, *run.classifier.geometry.shape), dtype=np.uint8)
    assert np.array_equal(alone.classifier.scores(pixels), run.classifier.scores(pixels))


def test_heads_that_cannot_take_so_many_photos_are_named_with_the_reason(
    kopal: Command, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learn, "NAMES", ("logistic", "svm", "lda", "knn"))
    monkeypatch.setitem(KINDS, "svm", replace(KINDS["svm"], most=23))
    monkeypatch.setitem(KINDS, "knn", replace(KINDS["knn"], most=24))
    code, out, err = kopal("train", photos, "--head", "all", "--effort", "quick", "--out", tmp_path / "out")
    assert code == 0, err
    assert "left out: svm, which takes at most 23 photos: these are 24" in out
    assert out.count("left out:") == 1
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert {row["head"] for row in report["heads"]} == {"logistic", "lda", "knn"}
    assert len(report["heads_left_out"]) == 1


def test_a_head_for_a_net_that_learns_from_pixels_is_refused(kopal: Command, photos: Path, tmp_path: Path) -> None:
    for name in ("svm", "logistic"):
        code, _, err = kopal("train", photos, "--net", "garment", "--head", name, "--out", tmp_path / "out")
        assert code == 2
        assert f"head {name} would do nothing" in err
    with pytest.raises(UsageError, match="would do nothing"):
        train(photos, tmp_path / "out", recipe(net="garment", head="knn"))
    assert not (tmp_path / "out").exists()


def test_an_unknown_head_names_those_there_are(kopal: Command, photos: Path) -> None:
    code, _, err = kopal("train", photos, "--head", "boosting")
    assert code == 2
    assert "naive-bayes" in err
