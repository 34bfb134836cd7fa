"""Photos of the same kind raise no alarm, others do; what is kept is small and is checked when it is read."""

from __future__ import annotations

import json

import numpy as np
import pytest

from kopal.errors import ModelFileError
from kopal.trust.drift import FALSE_ALARMS, FEWEST, Reference, compare, reference


def drawn(n: int, seed: int, scale: float = 1.0, classes: int = 6) -> np.ndarray:
    """Scores of photos of one kind: the class stands out, by more or less."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(n, classes))
    scores[np.arange(n), rng.integers(0, classes, n)] += 5 * rng.random(n)
    return (scale * scores).astype(np.float32)


@pytest.mark.parametrize(("known", "new"), [(100, 30), (1000, 100), (3000, 3000)])
def test_photos_of_the_same_kind_raise_an_alarm_in_at_most_1_of_100(known: int, new: int) -> None:
    trials = 100 if known > 1000 else 300
    alarms = [compare(reference(drawn(known, seed), 1), drawn(new, 9000 + seed), 1).alarm for seed in range(trials)]
    assert np.mean(alarms) <= FALSE_ALARMS + 1 / trials


def test_the_test_keeps_its_rate_also_without_the_least_distance() -> None:
    found = [compare(reference(drawn(400, seed), 1), drawn(200, 9000 + seed), 1).p for seed in range(400)]
    assert np.mean(np.array(found) < 0.05) <= 0.05 + 3 * (0.05 * 0.95 / 400) ** 0.5


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_photos_that_the_model_sees_differently_raise_one(scale: float) -> None:
    found = compare(reference(drawn(500, 0), 1), drawn(100, 1, scale), 1)
    assert found.alarm
    assert "do not look like the training data" in found.sentence()
    assert "median" in found.sentence()


def test_a_slight_shift_of_many_photos_is_none() -> None:
    found = compare(reference(drawn(20_000, 0), 1), drawn(20_000, 1, 1.04), 1)
    assert found.p < FALSE_ALARMS
    assert not found.alarm
    assert "look like the training data" in found.sentence()


def test_a_few_photos_cannot_tell() -> None:
    found = compare(reference(drawn(500, 0), 1), drawn(FEWEST - 1, 1, 10), 1)
    assert not found.alarm
    assert "too few" in found.sentence()


def test_scores_that_are_log_probabilities_have_no_height_to_differ_in() -> None:
    known, new = (np.log(np.random.default_rng(seed).dirichlet(np.ones(5), 400)).astype(np.float32) for seed in (0, 1))
    found = compare(reference(known, 1), new, 1)
    assert not found.alarm


def test_what_is_kept_is_small_and_comes_back() -> None:
    kept = reference(drawn(5000, 0), 1.3)
    text = json.dumps(kept.as_json())
    assert len(text) < 5000
    assert Reference.from_json(json.loads(text)) == kept


@pytest.mark.parametrize(
    "value",
    [
        [],
        {},
        {"photos": 5, "curves": {}},
        {"photos": 5, "curves": {"confidence": [[1]], "margin": [], "energy": [], "spread": []}},
        {"photos": 0, "curves": {name: [[0, 1]] for name in ("confidence", "margin", "energy", "spread")}},
        {"photos": 5, "curves": {name: [[0, float("nan")]] for name in ("confidence", "margin", "energy", "spread")}},
    ],
)
def test_a_damaged_reference_is_refused(value: object) -> None:
    with pytest.raises(ModelFileError, match="damaged"):
        Reference.from_json(value)  # type: ignore[arg-type]
