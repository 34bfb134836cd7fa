"""The training loop and its parts: what it yields, when it stops, what it refuses; and the 80 / 10 / 10 parts."""

from __future__ import annotations

from collections.abc import Mapping
from unittest.mock import Mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kopal.errors import DataError, Diverged, UsageError
from kopal.fit.learner import Photographs
from kopal.fit.loop import Epoch, Lesson, batches_of_epoch, epochs
from kopal.fit.world import World
from kopal.schedules import SCHEDULES
from kopal.splits import parts
from kopal.stopping import AnyOf, MaxSteps, NoImprovement, Rule, Settled


class Script:
    """A learner that gets better, or worse, as told: one number per epoch is its validation score."""

    def __init__(self, margins: list[float], batches: int) -> None:
        self.margins, self.batches = margins, batches
        self.rates: list[float] = []
        self.seen: list[int] = []

    def learn(self, pixels: np.ndarray, labels: np.ndarray, rate: float, of: int) -> float:
        self.rates.append(rate)
        self.seen.extend(pixels[:, 0, 0, 0].tolist())
        return 1.0

    def scores(self, pixels: np.ndarray) -> np.ndarray:
        margin = self.margins[len(self.rates) // self.batches - 1]
        return np.stack([np.full(len(pixels), margin), np.zeros(len(pixels))], axis=1).astype(np.float32)

    def weights(self) -> Mapping[str, np.ndarray]:
        return {"w": np.array([float(len(self.rates))])}


def photographs(count: int) -> Photographs:
    pixels = np.arange(count, dtype=np.uint8).reshape(-1, 1, 1, 1)
    return Photographs(pixels, np.zeros(count, np.int64))


def lesson(stop: Rule, seed: int = 0, batch: int = 5) -> Lesson:
    return Lesson(batch, lambda done, losses: 0.1, stop, seed)


def run(margins: list[float], stop: Rule, seed: int = 0) -> tuple[list[Epoch], Script]:
    learner = Script(margins, batches=3)
    history = list(epochs(learner, photographs(12), photographs(4), lesson(stop, seed)))
    return history, learner


def test_every_photo_is_seen_once_an_epoch_in_an_order_of_seed_and_epoch() -> None:
    history, learner = run([1, 2, 3], MaxSteps(3))
    assert [epoch.number for epoch in history] == [1, 2, 3]
    seen = np.array(learner.seen).reshape(3, 12)
    assert all(sorted(row) == list(range(12)) for row in seen.tolist())
    assert not np.array_equal(seen[0], seen[1])
    assert run([1, 2, 3], MaxSteps(3))[1].seen == learner.seen
    assert run([1, 2, 3], MaxSteps(3), seed=1)[1].seen != learner.seen


def test_a_batch_of_one_uses_every_photo() -> None:
    learner = Script([1], batches=12)
    list(epochs(learner, photographs(12), photographs(4), lesson(MaxSteps(1), batch=1)))
    assert sorted(learner.seen) == list(range(12))


@pytest.mark.parametrize(
    ("size", "batch", "photos", "used"), [(4, 6, 100, 96), (4, 6, 102, 102), (4, 6, 103, 102), (4, 3, 3, 3)]
)
def test_only_a_last_shorter_batch_is_left_out(size: int, batch: int, photos: int, used: int) -> None:
    world = Mock(spec=World, rank=0, size=size)
    dealt = list(batches_of_epoch(photographs(photos), lesson(MaxSteps(1), batch=batch), 1, world))
    assert sum(map(len, dealt)) == used
    # What is left of an epoch is the same after any whole batch, as a training that goes on needs it.
    rest = list(batches_of_epoch(photographs(photos), lesson(MaxSteps(1), batch=batch), 1, world, done=batch))
    assert [batch.tolist() for batch in rest] == [batch.tolist() for batch in dealt[1:]]


def test_the_best_epoch_is_the_one_of_least_validation_loss() -> None:
    history, _ = run([1, 3, 2, 4, 0], MaxSteps(5))
    assert [epoch.best for epoch in history] == [True, True, False, True, False]


def test_each_rule_ends_the_training_and_says_why() -> None:
    assert run([1, 2], MaxSteps(2, "epochs"))[0][-1].stopped == "2 epochs are done"
    history, _ = run([3, 2, 1, 9], NoImprovement(2) | MaxSteps(4))
    assert len(history) == 3
    assert "nothing gained" in history[-1].stopped
    assert len(run([1] * 9, AnyOf((Settled(100.0), MaxSteps(9))))[0]) == 1


def test_the_rate_follows_its_schedule_within_an_epoch() -> None:
    learner = Script([1, 2], batches=3)
    list(epochs(learner, photographs(12), photographs(4), Lesson(5, SCHEDULES["cosine"], MaxSteps(2), epochs=2)))
    assert learner.rates[0] == 1
    assert all(np.diff(learner.rates) < 0)
    assert SCHEDULES["cosine"](1.0, []) == pytest.approx(0)
    assert SCHEDULES["constant"](0.7, []) == 1


def test_divergence_stops_with_step_and_advice() -> None:
    class Broken(Script):
        def __init__(self, margins: list[float], batches: int, at: int) -> None:
            super().__init__(margins, batches)
            self.at = at

        def learn(self, pixels: np.ndarray, labels: np.ndarray, rate: float, of: int) -> float:
            super().learn(pixels, labels, rate, of)
            return float("nan") if len(self.rates) == self.at else 1.0

    def history(at: int) -> list[Epoch]:
        return list(epochs(Broken([1, 2, 3], 3, at), photographs(12), photographs(4), lesson(MaxSteps(3))))

    # In the first epoch there is nothing to keep; later the epochs that went well are.
    with pytest.raises(Diverged, match="step 2") as caught:
        history(2)
    assert "lower the learning rate" in caught.value.fix
    first, second = history(5)
    assert first.best and not second.best
    assert "step 5" in second.stopped and "lower the learning rate" in second.stopped


def test_no_photos_and_no_batch_are_errors() -> None:
    learner = Script([1], 3)
    for train, validation in ((photographs(0), photographs(4)), (photographs(4), photographs(0))):
        with pytest.raises(DataError):
            list(epochs(learner, train, validation, lesson(MaxSteps(1))))
    with pytest.raises(UsageError, match="batch size"):
        list(epochs(learner, photographs(4), photographs(4), lesson(MaxSteps(1), batch=0)))


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(3, 40), min_size=2, max_size=5),
    twins=st.integers(0, 6),
    seed=st.integers(0, 1000),
)
def test_parts_hold_every_class_whole_groups_and_about_their_share(counts: list[int], twins: int, seed: int) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    groups = list(range(len(labels)))
    # Some photos get a twin of their own class; three different groups of each class always remain.
    rng = np.random.default_rng(seed)
    for _ in range(twins):
        label = int(rng.integers(len(counts)))
        own = np.flatnonzero(labels == label)
        first, second = rng.choice(own, 2, replace=False)
        if len({groups[index] for index in own} - {groups[first]}) >= 3:
            groups[first] = groups[second]
    part = parts(labels, groups, [0.1, 0.1], seed)
    assert set(part.tolist()) == {0, 1, 2}
    for label in range(len(counts)):
        assert set(part[labels == label].tolist()) == {0, 1, 2}
    for group in set(groups):
        assert len({int(part[index]) for index, own in enumerate(groups) if own == group}) == 1
    assert np.array_equal(part, parts(labels, groups, [0.1, 0.1], seed))
    for number in (1, 2):
        assert (part == number).sum() <= 0.1 * len(labels) + len(counts) * (1 + twins + 1)


def test_a_class_with_fewer_photos_than_parts_is_an_error_that_says_so() -> None:
    with pytest.raises(DataError, match="class 1 has 2 photos, 2 different ones"):
        parts(np.array([0, 0, 0, 0, 1, 1]), list(range(6)), [0.1, 0.1], 0)
    with pytest.raises(DataError, match="class b has 4 photos, 1 different ones"):
        parts(np.array([0, 0, 0, 1, 1, 1, 1]), [0, 1, 2, 9, 9, 9, 9], [0.1, 0.1], 0, ["a", "b"])


class Slow(Script):
    """A learner whose steps take hardly any time, and whose scoring takes more than the whole budget."""

    now = 0.0

    def learn(self, pixels: np.ndarray, labels: np.ndarray, rate: float, of: int) -> float:
        self.now += 1e-3
        return super().learn(pixels, labels, rate, of)

    def scores(self, pixels: np.ndarray) -> np.ndarray:
        self.now += 10
        return super().scores(pixels)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_step_after_the_time_has_run_out_still_has_a_length(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    learner, schedule = Slow([1, 2, 3, 4], batches=1), SCHEDULES[name]
    monkeypatch.setattr("kopal.fit.loop.perf_counter", lambda: learner.now)
    made = Lesson(12, lambda done, losses: 0.1 * schedule(done, losses), MaxSteps(3, "epochs"), epochs=3, budget=2.0)
    list(epochs(learner, photographs(12), photographs(4), made))
    assert len(learner.rates) == 2
    assert all(0 < rate <= 0.1 for rate in learner.rates)
