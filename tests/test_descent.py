"""Gradient descent: the lecture's table digit for digit, in one dimension and in many, and how it ends."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kopal.descent import descend
from kopal.errors import Diverged, UsageError
from kopal.expression import numbers, parse
from kopal.stopping import MaxSteps, NoImprovement, Settled

TABLE = """
0 1.000 4.000 5.006
1 -0.001 1.999 1.000
2 -0.201 1.800 0.968
3 -0.395 1.630 0.755
4 -0.546 1.543 0.352
5 -0.616 1.528 0.067
6 -0.629 1.528 0.005
"""
MINIMUM = -1 / 2 ** (2 / 3)


def quartic(x: np.ndarray) -> np.ndarray:
    return x**4 + x + 2


def test_the_lectures_table_comes_out_digit_for_digit() -> None:
    steps = descend(quartic, 1, 0.2, "forward", h=0.001, stop=MaxSteps(6))
    rows = [f"{step.t} {step.x:.3f} {step.value:.3f} {step.gradient:.3f}" for step in steps]
    assert rows == TABLE.strip().splitlines()


def test_it_finds_the_minimum_whose_sign_the_slide_drops() -> None:
    last = list(descend(quartic, 1, 0.2, lambda x: 4 * x**3 + 1, stop=MaxSteps(500) | Settled(1e-12)))[-1]
    assert float(last.x) == pytest.approx(MINIMUM, abs=1e-10)
    assert pytest.approx(-0.62996, abs=5e-6) == MINIMUM


@pytest.mark.parametrize("gradient", ["forward", "central", lambda x: np.array([2 * x[0], 10 * x[1]])])
def test_in_two_dimensions_it_is_the_same_rule(gradient: str | Callable[[np.ndarray], np.ndarray]) -> None:
    steps = list(descend(lambda x: x[0] ** 2 + 5 * x[1] ** 2, [2, 1], 0.05, gradient, h=1e-6, stop=MaxSteps(400)))
    np.testing.assert_allclose(steps[0].gradient, [4, 10], rtol=1e-5)
    np.testing.assert_allclose(steps[1].x, [1.8, 0.5], rtol=1e-5)
    np.testing.assert_allclose(steps[-1].x, [0, 0], atol=1e-5)


def test_central_differences_are_closer_than_forward_ones() -> None:
    exact = 4 * 1.0**3 + 1
    errors = {
        kind: abs(float(next(descend(quartic, 1, 0.2, kind, h=1e-3)).gradient) - exact)
        for kind in ("forward", "central")
    }
    assert errors["central"] < errors["forward"] / 100


def test_each_stopping_rule_stops_and_rules_combine() -> None:
    def length(rule: object) -> int:
        return len(list(descend(quartic, 1, 0.2, lambda x: 4 * x**3 + 1, stop=rule)))  # type: ignore[arg-type]

    assert length(MaxSteps(3)) == 4
    assert length(MaxSteps(0)) == 1
    assert length(Settled(0.01)) < 12
    assert length(NoImprovement(3) | MaxSteps(10_000)) < 200
    assert length(MaxSteps(3) | Settled(0.01) | NoImprovement(2)) == 4
    with pytest.raises(UsageError, match="patience"):
        NoImprovement(0)


def test_no_improvement_counts_from_the_best_value() -> None:
    watch = NoImprovement(2, margin=0.1).watch()
    assert [bool(watch(t, value, 0.0)) for t, value in enumerate([5, 4, 3.95, 3, 3.2, 2.95])] == [
        *[False] * 5,
        True,
    ]


def test_a_rule_can_watch_two_runs_at_once() -> None:
    rule = NoImprovement(1)
    first, second = rule.watch(), rule.watch()
    assert first(0, 1.0, 0) == second(0, 9.0, 0) == ""
    assert first(1, 2.0, 0) != ""
    assert second(1, 8.0, 0) == ""


def test_divergence_is_named_with_the_step_and_the_advice() -> None:
    with pytest.raises(Diverged, match=r"step \d+") as caught:
        list(descend(quartic, 1, 2.0))
    assert "lower the learning rate" in caught.value.fix


@pytest.mark.parametrize("rate", [0, -1, math.inf, math.nan])
def test_a_rate_that_is_not_above_zero_is_an_error(rate: float) -> None:
    with pytest.raises(UsageError, match="learning rate"):
        next(descend(quartic, 1, rate))


@pytest.mark.parametrize(
    ("text", "x", "value"),
    [
        ("x**4 + x + 2", 2.0, 20.0),
        ("-x**2", 3.0, -9.0),
        ("sin(x)/cos(x) + exp(-x) * log(x)", 2.0, math.tan(2) + math.exp(-2) * math.log(2)),
        ("2 * pi * x - e", 1.0, 2 * math.pi - math.e),
        ("x**2 + 5*y**2", (2.0, 1.0), 9.0),
        ("b - a", (1.0, 5.0), 4.0),
        ("9**9**9*x", 1.0, math.inf),
        ("x**0.5", -1.0, math.nan),
    ],
)
def test_a_formula_is_computed(text: str, x: float | tuple[float, ...], value: float) -> None:
    assert float(parse(text)(x)) == pytest.approx(value, nan_ok=True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x +",
        "1 + 2",
        "__import__('os').system('true')",
        "x.real",
        "x[0]",
        "(lambda: x)()",
        "x if x else 1",
        "x and 1",
        "x < 1",
        "'x'",
        "1j * x",
        "True * x",
        "sin",
        "sin(x, x)",
        "sin(x=1)",
        "open(x)",
        "_x",
        "(x := 3)",
        "x // 2",
        "x % 2",
        "f'{x}'",
        "(" * 300 + "x" + ")" * 300,
        "x" * 500,
        "x\x00",
    ],
)
def test_nothing_else_is_evaluated(text: str) -> None:
    with pytest.raises(UsageError):
        parse(text)


def test_a_deep_formula_is_no_crash() -> None:
    assert float(parse("-" * 390 + "x")(1.0)) == 1.0


def test_starts_are_numbers_one_for_each_variable() -> None:
    assert numbers("1", ["x"]).shape == ()
    assert numbers("2,1", ["x", "y"]).tolist() == [2, 1]
    for wrong in ("a", "1,2", "inf", ""):
        with pytest.raises(UsageError):
            numbers(wrong, ["x"])


def test_the_command_prints_the_lectures_table_and_draws_it(
    kopal: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = kopal("descent", "x**4 + x + 2", "--from", 1, "--rate", 0.2, "--plot", "out.svg")
    assert code == 0, err
    assert [" ".join(line.split()) for line in out.splitlines()[1:8]] == TABLE.strip().splitlines()
    svg = (tmp_path / "out.svg").read_text(encoding="utf-8")
    assert "the estimate on the curve" in svg
    assert "loss over time" in svg
    code, out, _ = kopal("descent", "x**2 + 5*y**2", "--from", "2,1", "--rate", 0.15, "--steps", 20)
    assert code == 0
    assert "contours" in (tmp_path / "descent.svg").read_text(encoding="utf-8")
    assert kopal("descent", "x**2", "--from", "2")[0] == 0
    assert (tmp_path / "descent-2.svg").is_file()
    for wrong in (["x.y"], ["x", "--from", "1,2"], ["x**2", "--rate", "-1"], ["x**2", "--plot", "out.doc"]):
        code, _, err = kopal("descent", *wrong)
        assert code == 2
        assert err.startswith("error: ")
    assert kopal("descent", "x**2", "--gradient", "sideways")[0] == 2
