"""Photos that the tests make themselves, and models fitted on them once per session."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from kopal.pipeline import train
from kopal.recipes import Recipe
from kopal.run import Run

CLASSES = ("červená kružnice", "blue square", "green bar")
QUICK = Recipe(penalties=(1.0, 0.1), folds=3)


def draw(kind: int, seed: int, size: tuple[int, int] = (160, 120)) -> Image.Image:
    """A noisy picture of one of many kinds: its hue and shape tell the kind, its place and noise do not."""
    rng = np.random.default_rng([kind, seed])
    noise = rng.integers(90, 160, (size[1], size[0], 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    colour = tuple(int(255 * channel) for channel in np.eye(3)[kind % 3] * 0.8 + 0.1 * (kind // 3))
    x, y = (int(rng.integers(side // 16, side // 2)) for side in size)
    box = (x, y, x + size[0] // 3, y + size[1] // 3)
    painter = ImageDraw.Draw(image)
    shape = (painter.ellipse, painter.rectangle, painter.line, painter.chord)[kind % 4]
    if kind % 4 == 2:
        painter.line(box, fill=colour, width=12)
    elif kind % 4 == 3:
        painter.chord(box, 20, 200, fill=colour)
    else:
        shape(box, fill=colour)
    return image


def make_photos(root: Path, classes: tuple[str, ...] = CLASSES, count: int = 8, first: int = 0) -> Path:
    """A folder of class folders with `count` JPEGs each."""
    for kind, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for number in range(count):
            draw(kind, first + number).save(root / name / f"{number + 1}.jpg", quality=92)
    return root


def make_pictures(root: Path, count: int, size: tuple[int, int] = (24, 20)) -> Path:
    """A folder of three class folders with `count` small PNGs each."""
    for kind, name in enumerate(CLASSES):
        (root / name).mkdir(parents=True)
        for number in range(count):
            draw(kind, number, size).save(root / name / f"{number}.png")
    return root


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The tests never touch the owner's cache."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("KOPAL_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of eight photos; read it, do not change it."""
    return make_photos(tmp_path_factory.mktemp("data") / "photos")


@pytest.fixture(scope="session")
def trained(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run on `photos`."""
    return train(photos, tmp_path_factory.mktemp("runs") / "trained", QUICK)


@pytest.fixture
def kopal(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """kopal("predict", ...) in this process → (exit code, standard output, standard error)."""
    from kopal.cli import run

    def call(*arguments: object) -> tuple[int, str, str]:
        code = run([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[[int], None]:
    """Make standard output a terminal of so many columns, a dumb one, so that bars are lines."""

    def of(width: int) -> None:
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setenv("TERM", "dumb")
        monkeypatch.setattr(type(sys.stdout), "isatty", lambda stream: True)

    return of
