"""The schedules against those of PyTorch, step by step; warm-up; and that they are pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kopal.fit.lesson import rates
from kopal.recipes import recipe
from kopal.schedules import LAST, RISE, SCHEDULES, Schedule, constant, one_cycle, plateau, warmed_up

STEPS = 40


def theirs(make: Any, steps: int = STEPS) -> np.ndarray:
    """The rates of a scheduler of PyTorch over `steps` steps, at a rate of 1."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = make(torch.optim.lr_scheduler, optimiser)
    found = []
    for _ in range(steps):
        found.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()
    return np.array(found)


def ours(schedule: Schedule, steps: int = STEPS) -> np.ndarray:
    return np.array([schedule(step / steps, ()) for step in range(steps)])


MAKERS = {
    "constant": lambda s, o: s.ConstantLR(o, factor=1.0),
    "step": lambda s, o: s.MultiStepLR(o, milestones=[STEPS // 2, 3 * STEPS // 4], gamma=0.1),
    "exponential": lambda s, o: s.ExponentialLR(o, gamma=0.01 ** (1 / STEPS)),
    "cosine": lambda s, o: s.CosineAnnealingLR(o, T_max=STEPS),
}


@pytest.mark.parametrize("name", MAKERS)
def test_a_schedule_is_pytorchs_step_by_step(name: str) -> None:
    np.testing.assert_allclose(ours(SCHEDULES[name]), theirs(MAKERS[name]), rtol=1e-9, atol=1e-12)


def test_one_cycle_is_pytorchs_step_by_step() -> None:
    pytorch = theirs(lambda s, o: s.OneCycleLR(o, 1.0, total_steps=STEPS, cycle_momentum=False), STEPS - 1)
    # PyTorch's peak is one step before three tenths of the way, and its end is the last step, not the one after.
    peak = RISE * STEPS - 1
    steps = np.arange(STEPS - 1)
    done = np.where(steps < peak, RISE * steps / peak, RISE + (1 - RISE) * (steps - peak) / (STEPS - 1 - peak))
    np.testing.assert_allclose([one_cycle(float(share), ()) for share in done], pytorch, rtol=1e-9)
    assert one_cycle(1.0, ()) == LAST == 1 / 25 / 1e4


def reduced(losses: Sequence[float]) -> float:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    # Its patience counts the epochs that are forgiven, ours those until it acts.
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, factor=0.3, patience=2, threshold=1e-3, eps=0)
    optimiser.step()
    for loss in losses:
        scheduler.step(loss)
    return float(optimiser.param_groups[0]["lr"])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([0.5, 0.9, 0.9995, 1.0, 1.2, 2.0]), max_size=20))
def test_plateau_is_pytorchs_whatever_the_losses(losses: list[float]) -> None:
    assert plateau(0.5, losses) == pytest.approx(reduced(losses), rel=1e-12)


def test_plateau_has_come_down_twice_after_six_epochs_without_gain() -> None:
    assert [round(plateau(0.0, [1.0] * count), 6) for count in range(8)] == [1, 1, 1, 1, 0.3, 0.3, 0.3, 0.09]


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("share", [0.05, 0.4])
def test_warm_up_is_linear_and_meets_the_schedule(name: str, share: float) -> None:
    plain, warm = SCHEDULES[name], warmed_up(SCHEDULES[name], share)
    for part in (0.01, 0.25, 0.5, 0.99):
        assert warm(part * share, ()) == pytest.approx(part * plain(part * share, ()))
    for done in (share, share + 1e-9, (1 + share) / 2, 1.0):
        assert warm(done, ()) == plain(done, ())
    assert warm(share - 1e-9, ()) == pytest.approx(warm(share, ()), rel=1e-6)


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_first_step_has_a_length_and_none_is_longer_than_the_rate(name: str) -> None:
    for share in (0.0, 0.1):
        factors = [warmed_up(SCHEDULES[name], share)(done, ()) for done in np.linspace(0, 1, 201)[:-1]]
        assert min(factors) > 0
        assert max(factors) <= 1


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_is_pure_and_knows_no_time_after_the_end(name: str) -> None:
    schedule, losses = SCHEDULES[name], [1.0, 1.0, 1.0, 1.0]
    forwards = [schedule(done / 10, losses) for done in range(11)]
    backwards = [schedule(done / 10, losses) for done in reversed(range(11))]
    assert forwards == backwards[::-1]
    assert losses == [1.0] * 4
    # A budget that is overdrawn by a step gives a share above 1.
    assert schedule(1.5, losses) == schedule(1.0, losses)


def test_no_warm_up_is_the_schedule_itself() -> None:
    assert warmed_up(constant, 0.0) is constant


def test_a_recipe_gives_its_rate_times_its_schedule() -> None:
    rate = rates(recipe(net="mlp", schedule="step", warmup=0.1, rate=0.2))
    assert [rate(done, ()) for done in (0.05, 0.3, 0.6, 0.9)] == pytest.approx([0.1, 0.2, 0.02, 0.002])
