"""Trainings that are killed at a moment of their own: `python cut_short.py photos folder engine optimiser cut …`.

A cut is a name and a count, such as Epoch:2. Each training runs in a process forked off here, where the imports are
already done; it is ended by SIGKILL, resumed in another, and compared with one that was left alone. Prints the cuts
after which something was otherwise.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kopal.run
from kopal import files
from kopal.errors import OutputError
from kopal.pipeline import train
from kopal.recipes import recipe


def countdown(count: int) -> Callable[[], None]:
    """What ends this process, as kill -9 does, when it is called for the count-th time."""
    left = [count]

    def tick() -> None:
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)

    return tick


def before(module: Any, name: str, tick: Callable[[], None]) -> None:
    original = getattr(module, name)
    setattr(module, name, lambda *given, **named: (tick(), original(*given, **named))[1])


def after(module: Any, name: str, tick: Callable[[], None]) -> None:
    original = getattr(module, name)
    setattr(module, name, lambda *given, **named: (original(*given, **named), tick())[0])


class Half(io.FileIO):
    """A file of which only half is written before the process ends, if it does."""

    tick: Callable[[], None]

    def write(self, data: Any) -> int:
        super().write(data[: len(data) // 2])
        self.tick()
        return super().write(data[len(data) // 2 :])


def arm(name: str, tick: Callable[[], None]) -> None:
    match name:
        case "half":
            Half.tick = staticmethod(tick)
            files.open = Half  # type: ignore[attr-defined]
        case "written":
            before(os, "fsync", tick)
        case "synced":
            before(os, "replace", tick)
        case "renamed":
            after(os, "replace", tick)
        case "done":
            before(kopal.run.shutil, "rmtree", tick)
        case "gone":
            after(kopal.run.shutil, "rmtree", tick)


def run(photos: Path, out: Path, engine: str, optimiser: str, resume: bool, cut: str = "") -> None:
    name, _, count = cut.partition(":")
    tick = countdown(int(count or 0))
    arm(name, tick)
    knobs: dict[str, Any] = {"epochs": 4, "batch": 4, "average": 0.9, "augment": "light", "rate": "auto"}
    made = recipe(net="garment", engine=engine, optimiser=optimiser, **knobs)
    told = lambda noun: tick() if type(noun).__name__ == name else None  # noqa: E731
    try:
        train(photos, out, made, log=told, resume=resume, checkpoint_every=2)
    except OutputError as error:
        # Ended by the kill after its last word: nothing is left to do.
        if "is finished" not in str(error):
            raise


def forked(work: Callable[[], None]) -> int:
    """Do the work in a process of its own → minus the signal that ended it, or its exit code."""
    child = os.fork()
    if not child:
        try:
            work()
        except BaseException as error:  # whatever it is, this process must not go on as its parent
            print(type(error).__name__, error, flush=True)  # noqa: T201
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main(photos: Path, folder: Path, engine: str, optimiser: str, *cuts: str) -> None:
    if engine == "torch":
        import torch._dynamo  # noqa: F401 - its optimisers ask for it: once, not once a fork

    def trained(out: Path, resume: bool, cut: str = "") -> int:
        return forked(lambda: run(photos, out, engine, optimiser, resume, cut))

    whole = folder / "whole"
    assert trained(whole, resume=False) == 0
    for number, cut in enumerate(cuts):
        out = folder / str(number)
        ended, resumed = trained(out, False, cut), trained(out, True)
        names = {path.name for path in out.iterdir()} if out.exists() else set()
        same = names and (out / "model.onnx").read_bytes() == (whole / "model.onnx").read_bytes()
        if (ended, resumed) != (-signal.SIGKILL, 0) or not same or names != {path.name for path in whole.iterdir()}:
            print(cut, ended, resumed, bool(same), sorted(names))  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
