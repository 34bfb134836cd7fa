"""What belongs together stays together: in every split, fold and part, whatever command deals them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import draw
from kopal.datasets import Labelled, open_dataset
from kopal.errors import UsageError
from kopal.features import Photos
from kopal.fit import scratch
from kopal.fit.lesson import carved
from kopal.fit.probe import make_folds
from kopal.images import Geometry
from kopal.ladder import in_parts
from kopal.pixels import PixelPhotos, read_pixels
from kopal.recipes import Recipe

Kopal = Callable[..., tuple[int, str, str]]
EACH = 4
ANIMALS = {"cat": 8, "dog": 7}
GROUP = r"(\w+/a\d+)_"


@pytest.fixture(scope="module")
def animals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four photos of each of fifteen animals; half of all photos are no whole number of animals."""
    root = tmp_path_factory.mktemp("animals") / "photos"
    for kind, (name, count) in enumerate(ANIMALS.items()):
        (root / name).mkdir(parents=True)
        for animal in range(count):
            for number in range(EACH):
                image = draw(kind, 100 * animal + number, (56, 48))
                image.save(root / name / f"a{animal}_{number}.png")
    return root


def animal_of(name: str) -> str:
    found = re.search(GROUP, name.replace("\\", "/"))
    assert found
    return found[1]


def torn(names: Sequence[str], sides: Sequence[object]) -> set[str]:
    """The animals whose photos stand on more than one side."""
    seen: dict[str, set[object]] = {}
    for name, side in zip(names, sides, strict=True):
        seen.setdefault(animal_of(name), set()).add(side)
    assert len(seen) == sum(ANIMALS.values())
    return {animal for animal, own in seen.items() if len(own) > 1}


def learned_from(recipe: Recipe, photos: PixelPhotos) -> list[str]:
    """Where each photo stands in a training from pixels: its part, and of train whether it validates."""
    sides = photos.parts.astype("<U12").tolist()
    for row in carved(recipe, photos)[1].rows.tolist():
        sides[row] = "validation"
    return sides


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[Any]]:
    """stopped("kopal.ways.learn") → what that was called with, by which time all photos are dealt; it then ends."""

    def at(place: str) -> list[Any]:
        arguments: list[Any] = []

        def end(*given: Any, **named: Any) -> None:
            arguments.extend(given)
            raise UsageError("seen enough")

        monkeypatch.setattr(place, end)
        return arguments

    return at


def run(kopal: Kopal, *arguments: object) -> None:
    code, _, err = kopal(*arguments, "--group", GROUP)
    assert (code, "error: seen enough" in err) == (2, True), err


@pytest.mark.parametrize(
    ("command", "place"),
    [
        (("train", "--net", "linear", "--image-size", 8), "kopal.ways.scratch.learn"),
        (("lr-find", "--net", "linear", "--image-size", 8, "--plot", "lr.svg"), "kopal.ways.scratch.find_rate"),
        (("train", "--tune", "all"), "kopal.ways.tune.learn"),
    ],
)
def test_a_net_that_learns_from_pixels_has_no_animal_on_two_sides(
    kopal: Kopal, animals: Path, tmp_path: Path, stopped: Callable[[str], list[Any]], command: Any, place: str
) -> None:
    if "--tune" in command:
        pytest.importorskip("torch")
    given = stopped(place)
    out = ("--out", tmp_path / "out") if command[0] == "train" else ()
    run(kopal, command[0], animals, *command[1:], *out)
    recipe, photos = given[:2]
    assert isinstance(photos, PixelPhotos)
    sides = learned_from(recipe, photos)
    assert set(sides) == {"train", "validation", "calibration", "test"}
    assert not torn(photos.names, sides)


@pytest.mark.parametrize(
    ("command", "place"),
    [(("train", "--effort", "quick"), "kopal.ways.learn"), (("audit",), "kopal.pipeline.learn")],
)
def test_a_head_on_features_has_no_animal_in_two_folds(
    kopal: Kopal, animals: Path, tmp_path: Path, stopped: Callable[[str], list[Any]], command: Any, place: str
) -> None:
    given = stopped(place)
    out = ("--out", tmp_path / "out") if command[0] == "train" else ()
    run(kopal, command[0], animals, *command[1:], *out)
    recipe, photos = given[:2]
    assert isinstance(photos, Photos)
    assert not torn(photos.names, make_folds(photos.labels, photos.groups, recipe).tolist())


def test_advice_is_measured_on_folds_that_tear_no_animal(
    kopal: Kopal, animals: Path, stopped: Callable[[str], list[Any]]
) -> None:
    given = stopped("kopal.consult.cross_fit")
    run(kopal, "advise", animals)
    _, _, labels, _, fold, *_ = given
    dataset = open_dataset(animals)
    assert labels.tolist() == list(dataset.labels)
    assert not torn(dataset.names, fold.tolist())


def test_no_rung_of_the_ladder_is_measured_on_an_animal_that_another_learned_from(
    kopal: Kopal, animals: Path, tmp_path: Path, stopped: Callable[[str], list[Any]]
) -> None:
    given = stopped("kopal.ladder.train")
    run(kopal, "ladder", animals, "--out", tmp_path / "ladder", "--plot", tmp_path / "ladder.svg")
    dataset = given[0]
    assert set(dataset.parts) == {"train", "calibration", "test"}
    assert not torn(dataset.names, dataset.parts)
    assert dataset.groups == open_dataset(animals, group=GROUP).groups, "within train they still bind"


def test_a_promise_is_checked_on_whole_animals(kopal: Kopal, animals: Path, tmp_path: Path) -> None:
    arguments = ("train", animals, "--effort", "quick", "--coverage", 0.8, "--group", GROUP, "--out", tmp_path / "out")
    code, _, err = kopal(*arguments)
    assert code == 0, err
    check = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))["coverage"]
    assert check["n"] + check["calibrated_on"] == EACH * sum(ANIMALS.values())
    assert check["n"] % EACH == check["calibrated_on"] % EACH == 0


def test_without_groups_every_one_of_these_ways_tears_animals_apart(animals: Path) -> None:
    """So the tests above can fail."""
    dataset = open_dataset(animals)
    recipe = Recipe(net="linear", image_size=8)
    photos, _ = read_pixels(dataset, Geometry(8, 8, 3))
    alone: Labelled = replace(photos, groups=np.arange(len(photos)))
    assert torn(photos.names, learned_from(recipe, scratch.in_parts(replace(photos, groups=alone.groups), 0)))
    assert torn(photos.names, make_folds(photos.labels, alone.groups, recipe).tolist())
    assert torn(dataset.names, in_parts(dataset, 0).parts)
