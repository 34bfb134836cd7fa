"""How PyTorch should compute, measured: what is chosen, what is kept of it, and what is not there to choose from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from kopal.errors import UsageError
from kopal.fit import speed
from kopal.fit.speed import Choice, choose, remembered

SLOW, FAST, NARROW = Choice(), Choice(channels_last=False), Choice(bfloat16=True)


class Clock:
    """Time that passes only when a step says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self.steps: list[Choice] = []

    def stepping(self, seconds: dict[Choice, list[float]]) -> Callable[[Choice], Callable[[], object]]:
        """Steps that take these seconds, the last number over and over."""

        def of(choice: Choice) -> Callable[[], object]:
            def step() -> None:
                nth = self.steps.count(choice)
                self.steps.append(choice)
                self.now += seconds[choice][min(nth, len(seconds[choice]) - 1)]

            return step

        return of


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(speed, "perf_counter", lambda: made.now)
    return made


def test_the_fastest_way_is_chosen_wherever_it_stands(clock: Clock) -> None:
    steps = clock.stepping({SLOW: [0.2], FAST: [0.1], NARROW: [0.3]})
    for candidates in ([SLOW, FAST, NARROW], [FAST, NARROW, SLOW]):
        assert choose(candidates, steps) == FAST


def test_bfloat16_must_save_a_tenth_of_the_time(clock: Clock) -> None:
    assert choose([SLOW, NARROW], clock.stepping({SLOW: [0.1], NARROW: [0.095]})) == SLOW
    assert choose([SLOW, NARROW], clock.stepping({SLOW: [0.1], NARROW: [0.085]})) == NARROW


def test_the_first_step_does_not_count_and_of_the_others_the_best_does(clock: Clock) -> None:
    assert choose([SLOW, FAST], clock.stepping({SLOW: [0.2], FAST: [5.0, 0.3, 0.1, 0.3]})) == FAST
    assert choose([SLOW, FAST], clock.stepping({SLOW: [0.2], FAST: [0.01, 0.3]})) == SLOW


def test_the_ways_take_turns_and_a_slow_one_has_fewer_of_them(clock: Clock) -> None:
    choose([SLOW, FAST], clock.stepping({SLOW: [1.5], FAST: [0.1]}))
    one_turn = [SLOW] * 3 + [FAST] * (1 + speed.STEPS)
    assert clock.steps[: len(one_turn)] == one_turn
    # Made anew for each turn, so that one at a time is in memory: each turn begins with a step that does not count.
    assert clock.steps.count(SLOW) == speed.TURNS + 2
    assert clock.steps.count(FAST) == speed.TURNS * (1 + speed.STEPS)


def test_a_choice_says_itself_in_words() -> None:
    assert SLOW.in_words() == "cpu, float32, channels last"
    assert Choice("cuda", True, False).in_words() == "cuda, bfloat16"


def never() -> Choice:
    raise AssertionError("measured again")


def test_a_measurement_is_kept_for_the_next_time_and_others_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "cache" / "speeds.json"
    assert remembered(file, "žluťoučký net", lambda: FAST) == FAST
    assert remembered(file, "another", lambda: NARROW) == NARROW
    assert remembered(file, "žluťoučký net", never) == FAST
    assert remembered(file, "another", never) == NARROW


def test_without_a_file_it_is_measured_each_time() -> None:
    assert remembered(None, "key", lambda: FAST) == FAST
    assert remembered(None, "key", lambda: NARROW) == NARROW


@pytest.mark.parametrize(
    "damaged",
    [
        *(b"", b"{", b"\xff\xfe", b"[1]", b"3", b"null", b'{"key": 1}', b'{"key": null}', b'{"key": {"colour": 1}}'),
        *(b'{"key": {"device": 5}}', b'{"key": {"bfloat16": "no"}}', b"[" * 100_000),
    ],
    ids=lambda damaged: repr(damaged[:30]),
)
def test_a_damaged_file_is_measured_anew_and_mended(damaged: bytes, tmp_path: Path) -> None:
    file = tmp_path / "speeds.json"
    file.write_bytes(damaged)
    assert remembered(file, "key", lambda: FAST) == FAST
    assert remembered(file, "key", never) == FAST
    assert json.loads(file.read_text(encoding="utf-8"))["key"]["channels_last"] is False


def test_a_place_that_cannot_be_written_to_costs_no_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert remembered(tmp_path / "file" / "speeds.json", "key", lambda: FAST) == FAST
    (tmp_path / "folder").mkdir()
    assert remembered(tmp_path / "folder", "key", lambda: FAST) == FAST


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What this machine is made to have."""
    torch = pytest.importorskip("torch")
    from kopal.fit import torch_pupil

    has = SimpleNamespace(cuda=False, mps=False, bfloat16=True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has.cuda)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: has.bfloat16)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: has.mps)
    monkeypatch.setattr(torch_pupil, "_has_bfloat16", lambda: has.bfloat16)
    return has


def test_small_nets_try_both_orders_in_memory_and_bfloat16_is_tried_where_it_is(machine: SimpleNamespace) -> None:
    from kopal.fit.torch_pupil import candidates

    assert candidates("auto", "auto", small=False) == [Choice(), Choice(bfloat16=True)]
    assert candidates("cpu", "off", small=True) == [Choice(), Choice(channels_last=False)]
    assert len(candidates("cpu", "auto", small=True)) == 4
    machine.bfloat16 = False
    assert candidates("cpu", "auto", small=False) == [Choice()]


def test_a_graphics_card_is_taken_where_there_is_one(machine: SimpleNamespace) -> None:
    from kopal.fit.torch_pupil import candidates

    machine.mps = True
    assert candidates("auto", "auto", small=True) == [Choice("mps")]
    machine.cuda = True
    assert candidates("auto", "auto", small=True) == [Choice("cuda", bfloat16=True)]
    assert candidates("auto", "off", small=True) == [Choice("cuda")]
    assert candidates("cpu", "off", small=False) == [Choice("cpu")]


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_an_error_that_names_those_that_are(
    device: str, machine: SimpleNamespace
) -> None:
    from kopal.fit.torch_pupil import candidates

    with pytest.raises(
        UsageError, match=rf"no device {device} on this machine[\s\S]*one of: cpu\n[\s\S]*--device auto"
    ):
        candidates(device, "auto", small=False)


def test_a_pupil_measures_once_and_amp_off_never_gets_bfloat16(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    from kopal.fit import torch_pupil
    from kopal.fit.engine import start
    from kopal.fit.stepping import stepping
    from kopal.fit.world import ALONE
    from kopal.nets.registry import build
    from kopal.recipes import recipe

    asked: list[list[Choice]] = []

    def last(possible: list[Choice], step: Callable[[Choice], Callable[[], object]]) -> Choice:
        asked.append(possible)
        step(possible[-1])()
        return possible[-1]

    monkeypatch.setattr(torch_pupil, "choose", last)
    monkeypatch.setattr(torch_pupil, "_has_bfloat16", lambda: True)
    net = build("garment")
    weights, file = start(net, np.random.default_rng(0), "he"), tmp_path / "speeds.json"

    def words(**knobs: str) -> str:
        own = recipe(net="garment", engine="torch", device="cpu", batch=64, **knobs)
        make, choice = torch_pupil.ready(own, net, weights, stepping(own), ALONE, file)
        first, second = make(), make()
        np.testing.assert_equal(first.state(), second.state())
        return f"PyTorch on {choice.in_words()}"

    assert words() == words() == "PyTorch on cpu, bfloat16"
    assert len(asked) == 1
    assert words(amp="off") == words(amp="off") == "PyTorch on cpu, float32"
    assert words() == "PyTorch on cpu, bfloat16"
    assert len(asked) == 2
