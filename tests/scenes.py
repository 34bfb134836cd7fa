"""What kopal writes, as scenes to be disturbed: what stood before, the work, whether what is left is old or new."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from kopal.evaluate import evaluate
from kopal.files import ABANDONED, BEGUN, HALF, write_bytes
from kopal.fit import downloads
from kopal.fit.checkpoint import Checkpoints
from kopal.fit.fitted import HeadRow
from kopal.fit.loop import Epoch, Place
from kopal.fit.speed import Choice, remembered
from kopal.holding import LOCK
from kopal.ledger import LedgerRow
from kopal.recipes import Recipe
from kopal.run import FILES, Answers, Run, reserved

OLD, NEW, BEGAN = "old", "new", "begun"


@dataclass(frozen=True)
class Scene:
    """`verdict` of what is left: old, new, begun (whole files, marked as half of a run), or in words what is wrong.

    `again` is the next start: what is wrong after it, or nothing.
    """

    prepare: Callable[[Path], object]
    work: Callable[[Path], object]
    verdict: Callable[[Path], str]
    again: Callable[[Path], str]


def left(folder: Path) -> list[str]:
    """The names below a folder, without those of files that are being written, or by which it is held."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.name.endswith((HALF, LOCK)))


def halves(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob(f".*{HALF}"))


def hours_pass(folder: Path) -> None:
    for name in halves(folder):
        os.utime(folder / name, (0, 0))


def one_of(found: object, old: object, new: object) -> str:
    return OLD if found == old else NEW if found == new else f"neither old nor new: {found!r}"[:200]


# a file


def again_file(folder: Path) -> str:
    hours_pass(folder)
    write_bytes(folder / "a.bin", b"third")
    names = sorted(path.name for path in folder.iterdir())
    return "" if names == ["a.bin"] and (folder / "a.bin").read_bytes() == b"third" else f"left: {names}"


A_FILE = Scene(
    lambda folder: write_bytes(folder / "a.bin", b"old" * 1000),
    lambda folder: write_bytes(folder / "a.bin", b"new" * 2000),
    lambda folder: one_of((folder / "a.bin").read_bytes(), b"old" * 1000, b"new" * 2000),
    again_file,
)


# the digests of fetched weights, and how fast the ways of computing are


def digests(folder: Path, name: str) -> None:
    os.environ["KOPAL_CACHE"] = str(folder)
    downloads.compare(name, "1" * 64, name, lambda noun: None)


def again_digests(folder: Path) -> str:
    hours_pass(folder / "weights")
    digests(folder, "c.pth")
    return f"left: {halves(folder)}" if halves(folder) else ""


DIGESTS = Scene(
    lambda folder: digests(folder, "a.pth"),
    lambda folder: digests(folder, "b.pth"),
    lambda folder: one_of((folder / "weights" / "sha256.json").read_text().count("1" * 64), 1, 2),
    again_digests,
)


def speed(folder: Path, key: str) -> Choice:
    return remembered(folder / "cache" / "speed.json", key, lambda: Choice(bfloat16=key == "b"))


def speed_verdict(folder: Path) -> str:
    file = folder / "cache" / "speed.json"
    return one_of([f'"{key}": {{' in file.read_text() for key in "ab"], [True, False], [True, True])


def again_speed(folder: Path) -> str:
    hours_pass(folder / "cache")
    wrong = speed(folder, "b") != Choice(bfloat16=True) or speed(folder, "c") != Choice()
    return f"left: {halves(folder)}" if wrong or halves(folder) else ""


SPEED = Scene(lambda folder: speed(folder, "a"), lambda folder: speed(folder, "b"), speed_verdict, again_speed)


# a checkpoint


def epoch(number: int) -> Epoch:
    return Epoch(number, 0.5, 1 / number, 0.9, 0.01, 100.0, 2.0, True)


def checkpoint(folder: Path, number: int) -> None:
    place = Place(tuple(epoch(each) for each in range(1, number + 1)), step=number)
    state, best = {"w": np.full(2000, number, np.float32)}, {"w": np.full(900, -number, np.float32)}
    own = Checkpoints(folder / "checkpoint", {"rate": 0.1})
    own.unpacked(own.read())  # as --resume does
    own.write(place, state, best, {})


def checkpoint_verdict(folder: Path) -> str:
    own = Checkpoints(folder / "checkpoint", {"rate": 0.1})
    saved = own.unpacked(own.read())
    if saved is None:
        return "no checkpoint"
    number = saved.place.step
    if not ((saved.state["w"] == number).all() and (saved.best["w"] == -number).all()):
        return "a mixture of checkpoints"
    return one_of(number, 1, 2)


def again_checkpoint(folder: Path) -> str:
    checkpoint(folder, 3)
    names = sorted(path.name for path in (folder / "checkpoint").iterdir())
    return "" if names == ["best-3.safetensors", "last.safetensors"] else f"left: {names}"


CHECKPOINT = Scene(
    lambda folder: checkpoint(folder, 1), lambda folder: checkpoint(folder, 2), checkpoint_verdict, again_checkpoint
)


# a run's folder

MODEL = b"model" * 3000


PHOTOS = cast(
    "Any",
    SimpleNamespace(
        names=("a/1", "b/1"), labels=(0, 1), parts=("train", "train"), digests=(b"1", b"2"), classes=("a", "b")
    ),
)


def run_in(folder: Path) -> Run:
    labels = np.array([0, 1, 1])
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]], np.float32)
    # What is fitted is of no matter here: a classifier is what writes a model file.
    model = SimpleNamespace(save=lambda path: write_bytes(Path(path), MODEL), classes=("a", "b"))
    return Run(
        folder,
        cast("Any", model),
        evaluate(np.log(probabilities), labels, 1.0, ("a", "b"), "out of fold"),
        Recipe(),
        (LedgerRow("b/x.jpg", "b", "00", "damaged", "cut short"),),
        Answers(("a/1", "b/1", "b/2"), labels, probabilities, ("a", "b", "unsure")),
        (),
        1.5,
        (HeadRow("logistic", 0.9, (0.8, 1.0), 3, 0.2, 1.0, 100),),
    )


def write_run(folder: Path) -> None:
    with reserved(folder / "out", "photos") as place:
        run_in(place).write({"net": "lenet"}, {"unreadable": 1}, PHOTOS)


def content(folder: Path) -> dict[str, bytes]:
    return {name: (folder / "out" / name).read_bytes() for name in left(folder / "out")}


def whole_run(folder: Path) -> dict[str, bytes]:
    write_run(folder)
    return content(folder)


def run_scene(whole: dict[str, bytes]) -> Scene:
    """`whole` is what an undisturbed run consists of."""

    def verdict(folder: Path) -> str:
        found = content(folder) if (folder / "out").is_dir() else {}
        if not found:
            return OLD
        if found == whole:
            return NEW
        if any(data != whole.get(name) for name, data in found.items()) or "report.json" in found:
            return f"half a run: {sorted(found)}"
        return BEGAN if (folder / "out" / BEGUN).exists() else f"half a run, unmarked: {sorted(found)}"

    def again(folder: Path) -> str:
        try:
            write_run(folder)
        except Exception as error:  # finished by then, which is said in words
            if "is not empty" not in str(error) or "report.json" not in content(folder):
                return repr(error)
        names = sorted(path.name for path in (folder / "out").iterdir())
        return "" if content(folder) == whole and names == sorted(whole) else f"left: {names}"

    assert set(whole) <= set(FILES)
    return Scene(lambda folder: None, write_run, verdict, again)


def scenes(folder: Path) -> dict[str, Scene]:
    """All of them by name; a folder to try one out in."""
    assert ABANDONED > 0
    return {
        "file": A_FILE,
        "digests": DIGESTS,
        "speed": SPEED,
        "checkpoint": CHECKPOINT,
        "run": run_scene(whole_run(folder)),
    }
