"""What a training says while it goes on: how long it may still take, and the same at its end after a cut as without."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import CLASSES, draw, make_pictures
from kopal.cli.screen import Screen
from kopal.fit.loop import Epoch, Place
from kopal.fit.scratch import Course
from kopal.nets.registry import build
from kopal.pipeline import train
from kopal.recipes import recipe

Kopal = Callable[..., tuple[int, str, str]]
TRAIN = (0.80, 0.45, 0.38, 0.34, 0.32, 0.310, 0.306, 0.304, 0.303, 0.303)
VALIDATION = (0.6, 0.45, 0.42, 0.40, 0.39, 0.3850, 0.3851, 0.3852, 0.3852, 0.3852)
EPOCHS = tuple(
    Epoch(number, *losses, 0.85, 0.01, 1000.0, 50.0, number <= 6, "10 epochs are done" if number == 10 else "")
    for number, losses in enumerate(zip(TRAIN, VALIDATION, strict=True), start=1)
)
"""A converged training: the sixth epoch of ten is the best, each takes 50 s."""


def told(capfd: pytest.CaptureFixture[str], after: int = 0, epochs: int = 10, budget: float = 0.0) -> list[str]:
    """What the screen says of those epochs that a resumed training still does."""
    screen = Screen()
    screen(Course(build("garment", 10), 1, "", 1, 1, epochs, budget, 1.0))
    if after:
        screen(Place(EPOCHS[:after], seconds=50.0 * after))
    capfd.readouterr()
    for epoch in EPOCHS[after:]:
        screen(epoch)
    return capfd.readouterr().out.splitlines()


def left(lines: list[str]) -> list[str]:
    """The column `left`, row by row."""
    place = lines[0].index("left")
    return [line[place : place + 5].strip() for line in lines[1:] if line[:5].strip().isdigit()]


def test_what_is_left_is_so_many_epochs_times_the_seconds_of_one(capfd: pytest.CaptureFixture[str]) -> None:
    lines = told(capfd)
    assert left(lines) == ["8 min", "7 min", "6 min", "5 min", "4 min", "3 min", "2 min", "2 min", "50 s", ""]


def test_within_an_epoch_the_loss_so_far_runs_along(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("kopal.cli.screen.PLAIN_INTERVAL", 0.0)
    made = recipe(net="garment", engine="numpy", epochs=1, batch=8)
    train(make_pictures(tmp_path / "few", 12), tmp_path / "run", made, log=Screen())
    lines = [line for line in capfd.readouterr().err.splitlines() if "photos of the epoch" in line]
    assert len(lines) >= 2
    assert all(re.search(r", loss \d\.\d{4}$", line) for line in lines)


def test_of_a_budget_what_was_spent_before_the_cut_is_gone(capfd: pytest.CaptureFixture[str]) -> None:
    whole, resumed = (left(told(capfd, after, epochs=0, budget=600.0)) for after in (0, 6))
    assert whole == ["9 min", "8 min", "8 min", "7 min", "6 min", "5 min", "4 min", "3 min", "2 min", "2 min"]
    assert resumed == whole[6:]
    assert left(told(capfd, 6, epochs=10, budget=510.0)) == ["2 min", "2 min", "50 s", ""]


def test_a_resumed_training_is_judged_by_its_whole_curve(capfd: pytest.CaptureFixture[str]) -> None:
    whole, resumed = told(capfd), told(capfd, 6)
    assert whole[-1] == resumed[-1] == "the curve: it fell fast, then levelled out: a good rate"
    assert resumed[:-2] == [whole[0], *whole[7:-2]]


def test_the_weights_that_are_kept_are_named_also_where_their_epoch_is_not_shown(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert told(capfd)[-2] == "stopped: 10 epochs are done; the weights of the epoch with the last * are kept"
    assert told(capfd, 4)[-2] == "stopped: 10 epochs are done; the weights of the epoch with the last * are kept"
    assert told(capfd, 6)[-2] == "stopped: 10 epochs are done; the weights of epoch 6 are kept"


def test_the_command_that_resumes_ends_in_the_words_of_the_one_that_was_not_cut(kopal: Kopal, tmp_path: Path) -> None:
    for kind, name in enumerate(CLASSES):
        (tmp_path / "tiny" / name).mkdir(parents=True)
        for number in range(10):
            draw(kind, number, (24, 20)).save(tmp_path / "tiny" / name / f"{number}.png")
    knobs = ("--epochs", 6, "--lr", 0.01, "--batch", 4)

    def interrupted(noun: object) -> None:
        if isinstance(noun, Epoch) and noun.number == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "tiny", tmp_path / "cut", recipe(net="mlp", epochs=6, rate=0.01, batch=4), log=interrupted)

    def end(*options: object) -> list[str]:
        code, out, err = kopal("train", tmp_path / "tiny", "--net", "mlp", *knobs, *options)
        assert code == 0, err
        return [line for line in out.splitlines() if line.startswith("the curve")]

    assert end("--out", tmp_path / "cut", "--resume") == end("--out", tmp_path / "whole") != []
