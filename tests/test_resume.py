"""A training that is cut short goes on as if nothing had been; what cannot go on is refused in words."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import CLASSES, draw, make_pictures
from kopal import pipeline, ways
from kopal.errors import CheckpointError, Diverged, OutputError, UsageError
from kopal.fit import loop, scratch
from kopal.fit.engine import EngineLearner
from kopal.fit.loop import Epoch
from kopal.log import Note
from kopal.pipeline import train
from kopal.recipes import Recipe, recipe

Kopal = Callable[..., tuple[int, str, str]]
WITH_TORCH = pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")
ONE_THREAD = {"OMP_NUM_THREADS": "1"}
CUTS = (
    *("Sweep:1", "Epoch:1", "Epoch:3", "Epoch:4", "done:1", "gone:1"),
    *(f"Progress:{step}" for step in (2, 4, 7, 11, 15, 21)),
    *("half:1", "half:2", "half:19", "written:4", "written:20", "synced:3", "synced:9", "renamed:3"),
)
"""Where to kill: when a noun is told, in the middle of writing a file, or as the checkpoint is taken away."""


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of ten pictures, 24 x 20."""
    return make_pictures(tmp_path_factory.mktemp("tiny") / "tiny", 10)


def of(**knobs: Any) -> Recipe:
    return recipe(net="garment", **{"epochs": 4, "batch": 4, "rate": 0.01, **knobs})


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked and killed")
@pytest.mark.parametrize(("engine", "optimiser"), [("numpy", "adamw"), pytest.param("torch", "sgd", marks=WITH_TORCH)])
def test_killed_at_any_moment_it_ends_in_the_same_file(
    engine: str, optimiser: str, photos: Path, tmp_path: Path
) -> None:
    def differences(*cuts: str) -> str:
        script = Path(__file__).with_name("cut_short.py")
        command = [sys.executable, script, photos, tmp_path, engine, optimiser, *cuts]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | ONE_THREAD)
        return done.stdout

    assert len(CUTS) == 20
    assert differences(*CUTS) == ""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked and killed")
def test_a_cut_that_never_comes_is_noticed(photos: Path, tmp_path: Path) -> None:
    script = Path(__file__).with_name("cut_short.py")
    command = [sys.executable, script, photos, tmp_path, "numpy", "sgd", "Epoch:5"]
    assert "Epoch:5 0 0" in subprocess.run(command, capture_output=True, text=True, check=True).stdout


class Stop:
    """A log that presses Ctrl-C when the n-th epoch is told, and keeps the notes."""

    def __init__(self, after: int = 0) -> None:
        self.after = after
        self.notes: list[str] = []
        self.epochs: list[Epoch] = []

    def __call__(self, noun: object) -> None:
        if isinstance(noun, Note):
            self.notes.append(noun.text)
        if isinstance(noun, Epoch):
            self.epochs.append(noun)
            if noun.number == self.after:
                raise KeyboardInterrupt


def cut(photos: Path, out: Path | None, made: Recipe, after: int = 3, **more: Any) -> None:
    with pytest.raises(KeyboardInterrupt, match="--resume"):
        train(photos, out, made, log=Stop(after), **more)


def test_the_last_unfinished_run_goes_on_and_a_finished_one_does_not(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        cut(photos, None, of())
    train(photos, None, of())
    log = Stop()
    assert train(photos, None, of(), log=log, resume=True).folder == Path("runs/tiny-2")
    assert log.notes == ["going on after epoch 2"]
    assert [epoch.number for epoch in log.epochs] == [3, 4]
    assert train(photos, None, of(), resume=True).folder == Path("runs/tiny-1")
    again = Stop()
    assert train(photos, None, of(), log=again, resume=True).folder == Path("runs/tiny-4")
    assert again.notes == ["no checkpoint to go on from: the training starts anew"]
    files = [folder.joinpath("model.onnx").read_bytes() for folder in sorted(Path("runs").iterdir())]
    assert len(set(files)) == 1
    with pytest.raises(OutputError, match="is finished"):
        train(photos, "runs/tiny-1", of(), resume=True)


def test_an_unfinished_folder_is_not_overwritten_but_says_resume(photos: Path, tmp_path: Path) -> None:
    cut(photos, tmp_path / "out", of())
    with pytest.raises(OutputError, match="cut short") as caught:
        train(photos, tmp_path / "out", of())
    assert "--resume" in caught.value.fix
    assert train(photos, tmp_path / "out", of(), resume=True).report.n


@pytest.mark.parametrize(
    ("knobs", "words"),
    [
        ({"rate": 0.02}, "rate 0.01 then, 0.02 now"),
        ({"epochs": 5}, "epochs 4 then, 5 now"),
        ({"optimiser": "adamw"}, "optimiser 'sgd' then, 'adamw' now"),
        ({"seed": 1}, "seed 0 then, 1 now"),
    ],
)
def test_another_recipe_is_refused_by_its_differences(
    knobs: dict[str, Any], words: str, photos: Path, tmp_path: Path
) -> None:
    cut(photos, tmp_path / "out", of())
    kept = sorted(tmp_path.rglob("*"))
    with pytest.raises(CheckpointError, match=words):
        train(photos, tmp_path / "out", of(**knobs), resume=True)
    assert sorted(tmp_path.rglob("*")) == kept


def test_other_photos_and_classes_are_refused(photos: Path, tmp_path: Path) -> None:
    import shutil

    own = tmp_path / "own"
    shutil.copytree(photos, own)
    cut(own, tmp_path / "out", of())
    draw(0, 77, (24, 20)).save(own / CLASSES[0] / "3.png")
    with pytest.raises(CheckpointError, match="the photos, or their names or parts, have changed"):
        train(own, tmp_path / "out", of(), resume=True)
    shutil.copytree(photos, own, dirs_exist_ok=True)
    # Renamed, the photos are the same; but they would be dealt otherwise, and some be validated on that were learned.
    (own / CLASSES[0] / "0.png").rename(own / CLASSES[0] / "z.png")
    with pytest.raises(CheckpointError, match="have changed"):
        train(own, tmp_path / "out", of(), resume=True)
    (own / CLASSES[1]).rename(own / "a goat")
    with pytest.raises(CheckpointError, match=f"classes only then: {CLASSES[1]}; only now: a goat"):
        train(own, tmp_path / "out", of(), resume=True)


def test_settled_compares_whole_epochs_so_there_are_no_checkpoints_within(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--settled"):
        train(photos, tmp_path / "out", of(settled=0.1), checkpoint_every=2)
    with pytest.raises(UsageError, match="every -1 steps"):
        train(photos, tmp_path / "out", of(), checkpoint_every=-1)


def test_frozen_features_have_nothing_to_resume(kopal: Kopal, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="frozen features"):
        train(photos, tmp_path / "out", recipe(), resume=True)
    code, _, err = kopal("train", photos, "--resume")
    assert code == 2
    assert "--resume would do nothing" in err


def test_a_full_disk_costs_one_note_and_not_the_training(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    real, log = os.fsync, Stop()

    def fsync(descriptor: int) -> None:
        # Full at first, then space, then a fault, and nothing but faults until the last epoch is done.
        if len(log.epochs) in (1, 3):
            code = errno.ENOSPC if len(log.epochs) == 1 else errno.EIO
            raise OSError(code, os.strerror(code))
        real(descriptor)

    monkeypatch.setattr("kopal.files.os.fsync", fsync)
    run = train(photos, tmp_path / "out", of(), log=log, checkpoint_every=1)
    assert len(run.history) == 4
    assert [note.split(": ", 1)[0] for note in log.notes] == ["no checkpoint for now, the one before stays"] * 2
    assert "no space left" in log.notes[0]
    assert not list((tmp_path / "out").rglob("*.part"))


def test_nan_in_a_later_epoch_keeps_the_best_and_in_the_first_there_is_none(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learn, broken, poisoned = EngineLearner.learn, 13, {}

    def learning(self: EngineLearner, *given: Any) -> float:
        loss = learn(self, *given)
        if self._steps == broken:
            for name, array in self.state().items():
                poisoned[name] = np.full_like(array, np.nan) if array.ndim else array
            self.restore(poisoned)
            return float("nan")
        return loss

    monkeypatch.setattr(EngineLearner, "learn", learning)
    run = train(photos, tmp_path / "out", of())
    assert [epoch.number for epoch in run.history] == [1, 2, 3]
    assert "after step 13" in run.history[-1].stopped
    assert "lower the learning rate" in run.history[-1].stopped
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert report["stopped"] == run.history[-1].stopped
    assert report["best_epoch"] <= 2
    broken = 4
    with pytest.raises(Diverged, match="after step 4"):
        train(photos, tmp_path / "early", of(), checkpoint_every=1)
    assert not (tmp_path / "early").exists()


def test_a_budget_is_kept_and_the_rate_is_down_by_then(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count(step=0.01)
    for room in (pipeline, ways, scratch, loop):
        monkeypatch.setattr(room, "perf_counter", lambda: next(clock), raising=False)
    run = train(photos, tmp_path / "out", recipe(net="garment", budget="2s", batch=4))
    assert 1.8 <= run.seconds <= 2.2
    assert run.history[-1].stopped == "the time is used up"
    assert run.history[-1].rate < 0.05 * run.history[0].rate


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_says_what_is_kept_and_how_to_go_on(photos: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "kopal", "train", photos, "--net", "garment", "--epochs", "100000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        next(line for line in process.stdout if line.startswith("    3 "))
        process.send_signal(signal.SIGINT)
        process.stdout.close()
        err = process.stderr.read()
    assert process.returncode == 130
    assert err.splitlines() == [
        f"interrupted: what was trained is kept in {Path('runs/tiny-1/checkpoint')}",
        "the same command with --resume goes on from there",
    ]
    assert (tmp_path / "runs" / "tiny-1" / "checkpoint" / "last.safetensors").exists()


@WITH_TORCH
def test_numbers_and_rate_that_were_measured_are_not_measured_again(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kopal.fit import torch_pupil
    from kopal.fit.speed import Choice

    made = of(engine="torch", rate="auto")
    chosen = Choice(channels_last=False)
    monkeypatch.setattr(torch_pupil, "choose", lambda possible, step: chosen)
    whole = train(photos, tmp_path / "whole", made, cache=False)
    cut(photos, tmp_path / "out", made, cache=False)

    def measured(*given: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr(torch_pupil, "choose", measured)
    monkeypatch.setattr("kopal.fit.scratch.sweep", measured)
    run = train(photos, tmp_path / "out", made, cache=False, resume=True)
    assert run.model.read_bytes() == whole.model.read_bytes()
    assert np.isfinite(run.history[-1].validation_loss)
