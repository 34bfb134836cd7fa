"""Wrong labels and outliers are found, by rare and by many classes, and nobody is accused without cause."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits

from kopal.arrays import softmax
from kopal.audit.suspects import NEAREST, confident_joint, nearest_others, neighbour_votes, outliers, wrong_labels
from kopal.errors import DataError
from kopal.fit.probe import choose, cross_fit, make_folds
from kopal.recipes import Recipe
from kopal.trust.calibrate import fit_temperature


def oracle_joint(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The confident joint as the paper writes it, loop by loop; counted only where it beats the photo's own label."""
    classes = probabilities.shape[1]
    thresholds = []
    for k in range(classes):
        own = [float(row[k]) for row, label in zip(probabilities, labels, strict=True) if label == k]
        thresholds.append(sum(own) / len(own) if own else float("inf"))
    table = np.zeros((classes, classes), int)
    for row, label in zip(probabilities, labels, strict=True):
        reached = [k for k in range(classes) if row[k] >= thresholds[k] - 1e-12]
        best = max(reached, key=lambda k: row[k], default=label)
        table[label, best if row[best] > row[label] else label] += 1
    return table


def oracle_votes(features: np.ndarray, labels: np.ndarray, classes: int, groups: list[int]) -> np.ndarray:
    centred = features - features.mean(axis=0)
    votes = np.zeros((len(features), classes))
    for i, x in enumerate(centred):
        others = [j for j in range(len(features)) if groups[j] != groups[i]]
        cosine = {j: x @ centred[j] / np.linalg.norm(x) / np.linalg.norm(centred[j]) for j in others}
        for j in sorted(others, key=cosine.__getitem__)[-NEAREST:]:
            votes[i, labels[j]] += 1 / min(NEAREST, len(others))
    return votes


def made(counts: list[int], seed: int = 0, sure: float = 4.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities, labels and features of classes of these sizes, most of them clear."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    scores = rng.normal(size=(len(labels), len(counts)))
    scores[np.arange(len(labels)), labels] += sure
    centres = rng.normal(size=(len(counts), 24)) * 2
    features = (centres[labels] + rng.normal(size=(len(labels), 24))).astype(np.float32)
    return softmax(scores).astype(np.float32), labels, features


def planted(labels: np.ndarray, classes: int, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    wrong = rng.choice(len(labels), count, replace=False)
    given = labels.copy()
    given[wrong] = (given[wrong] + rng.integers(1, classes, count)) % classes
    return given, wrong


@pytest.mark.parametrize("counts", [[40, 40], [200, 9, 2], [30] * 12, [1, 1, 60], [3] * 150])
def test_the_confident_joint_is_the_papers_and_has_every_photo_once(counts: list[int]) -> None:
    probabilities, labels, _ = made(counts, sure=1.5)
    given, _ = planted(labels, len(counts), len(labels) // 10)
    table = confident_joint(probabilities, given)
    assert np.array_equal(table, oracle_joint(probabilities, given))
    assert np.array_equal(table.sum(axis=1), np.bincount(given, minlength=len(counts)))


def test_the_neighbours_are_those_of_a_plain_loop_and_copies_do_not_vouch() -> None:
    _, labels, features = made([20, 15, 5], seed=3)
    features[1] = features[0]
    groups = [0, 0, *range(1, 39)]
    expected = oracle_votes(features, labels, 3, groups)
    np.testing.assert_allclose(neighbour_votes(nearest_others(features, groups), labels, 3), expected, atol=1e-9)
    _, places = nearest_others(features, groups)
    assert 1 not in places[0]
    assert 0 not in places[1]
    assert 1 in nearest_others(features)[1][0]


@pytest.mark.parametrize("counts", [[60, 60], [300, 40, 12], [8] * 150])
@pytest.mark.parametrize("with_features", [True, False])
def test_planted_labels_stand_first(counts: list[int], with_features: bool) -> None:
    probabilities, labels, features = made(counts, sure=8.0)
    given, wrong = planted(labels, len(counts), round(0.05 * len(labels)))
    found = wrong_labels(
        probabilities, given, [str(k) for k in range(len(counts))], features if with_features else None
    )
    first = [suspect.place for suspect in found[: len(wrong)]]
    assert np.isin(first, wrong).mean() >= 0.9
    for suspect in found[: len(wrong) // 2]:
        assert suspect.given == given[suspect.place]
        assert suspect.suggested == labels[suspect.place]
        assert suspect.confident
        assert f"rather than {suspect.given}" in suspect.why
    margins = [suspect.margin for suspect in found]
    assert margins == sorted(margins, reverse=True)
    assert min(margins) > 0
    assert max(margins) <= 1


def test_a_rare_class_that_no_head_has_learned_is_not_accused_by_its_low_threshold() -> None:
    # One photo of class 2: its head never saw the class, so its threshold is next to nothing and all reach it.
    probabilities, labels, _ = made([50, 50, 1], sure=6.0)
    probabilities[:, 2] = 0.001
    assert not [suspect for suspect in wrong_labels(probabilities, labels, "abc") if suspect.suggested == 2]


def test_right_labels_are_left_in_peace() -> None:
    probabilities, labels, features = made([80, 80, 80], sure=12.0)
    assert wrong_labels(probabilities, labels, "abc", features) == []
    assert wrong_labels(probabilities[:0], labels[:0], "abc") == []


def test_a_class_without_photos_is_no_suggestion() -> None:
    probabilities, labels, _ = made([30, 30, 30], sure=1.0)
    kept = labels != 1
    found = wrong_labels(probabilities[kept], labels[kept], "abc")
    assert found
    assert not [suspect for suspect in found if suspect.confident and suspect.suggested == 1]


def test_five_per_cent_wrong_labels_among_digits_are_found() -> None:
    digits = load_digits()
    features, labels = digits.data.astype(np.float32) / 8 - 1, digits.target.astype(np.int64)
    made_of = Recipe(folds=3, penalties=(0.1, 0.01))
    precisions, recalls = [], []
    for seed in range(2):
        given, wrong = planted(labels, 10, 90, seed)
        fold = make_folds(given, range(len(given)), made_of)
        tried = cross_fit("pixels", features, given, 10, fold, made_of, lambda: None)
        scores = choose([tried], given, 10, fold, made_of).scores
        probabilities = softmax(scores / fit_temperature(scores, given)).astype(np.float32)
        places = [suspect.place for suspect in wrong_labels(probabilities, given, "0123456789", features)]
        precisions.append(np.isin(places[:90], wrong).mean())
        recalls.append(np.isin(wrong, places[:180]).mean())
    assert np.mean(precisions) >= 0.6
    assert np.mean(recalls) >= 0.85


def test_chance_does_not_pass_for_finding() -> None:
    # The check above can fail: a ranking that knows nothing has a precision of 5 %.
    probabilities, labels, _ = made([60] * 10, sure=0.0)
    given, wrong = planted(labels, 10, 30)
    places = [suspect.place for suspect in wrong_labels(probabilities, given, "0123456789")]
    assert np.isin(places[:30], wrong).mean() < 0.3


def test_photos_apart_are_outliers_and_a_cloud_has_few() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(300, 32)).astype(np.float32) * np.geomspace(3, 0.1, 32).astype(np.float32)
    assert len(outliers(features)) < 15
    strange = features.copy()
    strange[[7, 70]] = 0
    strange[7, 30], strange[70, 31] = 9, -9
    found = outliers(strange)
    assert {outlier.place for outlier in found[:2]} == {7, 70}
    assert "times as far" in found[0].why
    assert [outlier.times for outlier in found] == sorted((outlier.times for outlier in found), reverse=True)


def test_a_copy_is_no_company_for_an_outlier() -> None:
    rng = np.random.default_rng(1)
    features = rng.normal(size=(60, 16)).astype(np.float32) + 4 * np.eye(16, dtype=np.float32)[0]
    features[:12] = np.float32(9) * np.eye(16, dtype=np.float32)[5]
    alone = outliers(features, [0] * 12 + list(range(1, 49)))
    assert {outlier.place for outlier in alone} >= set(range(12))
    assert not {outlier.place for outlier in outliers(features)} & set(range(12))


def test_of_few_or_equal_photos_nothing_is_said() -> None:
    assert outliers(np.zeros((NEAREST, 4), np.float32)) == []
    assert outliers(np.ones((50, 4), np.float32)) == []
    votes = neighbour_votes(nearest_others(np.ones((3, 4), np.float32), ["a", "a", "a"]), np.array([0, 1, 1]), 2)
    assert np.array_equal(votes, np.full((3, 2), 0.5))


def test_shapes_that_do_not_fit_are_an_error() -> None:
    probabilities, labels, features = made([10, 10])
    for wrong in (
        lambda: wrong_labels(probabilities, labels[:5], "ab"),
        lambda: wrong_labels(probabilities, labels, "ab", features[:5]),
        lambda: wrong_labels(probabilities, labels + 1, "ab"),
        lambda: wrong_labels(probabilities, labels, "ab", features * np.float32("nan")),
        lambda: outliers(features, [1, 2]),
    ):
        with pytest.raises(DataError):
            wrong()
