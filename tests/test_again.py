"""Train again: only new photos are computed, a recipe is repeated, a dry run writes nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import CLASSES, QUICK, draw, make_photos
from kopal.errors import UsageError
from kopal.features import Backbone
from kopal.pipeline import train
from kopal.recipes import Recipe, recipe
from kopal.repeat import recipe_of
from kopal.store import usage

Kopal = Callable[..., tuple[int, str, str]]


def contents(folder: Path) -> dict[str, bytes]:
    return {os.path.relpath(path, folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_after_adding_photos_exactly_the_new_ones_are_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOPAL_CACHE", str(tmp_path / "cache"))
    computed: list[int] = []
    features = Backbone.features

    def counting(self: Backbone, pixels: np.ndarray) -> np.ndarray:
        computed.append(len(pixels))
        return features(self, pixels)

    folder = make_photos(tmp_path / "photos", CLASSES, count=4)
    train(folder, tmp_path / "first", QUICK)
    assert usage(tmp_path / "cache")[0] == 24  # features and looks
    for number in (90, 91):
        draw(0, number).save(folder / CLASSES[0] / f"new{number}.jpg")
    # The plan measures the net on pictures of its own; the photos are those that read() hands over.
    monkeypatch.setattr("kopal.plan.net_seconds", lambda backbone: 0.01)
    monkeypatch.setattr(Backbone, "features", counting)
    run = train(folder, tmp_path / "second", QUICK)
    assert sum(computed) == 2
    assert usage(tmp_path / "cache")[0] == 28
    assert run.report.n == 14


def test_like_repeats_a_recipe_and_options_besides_override_it(kopal: Kopal, photos: Path, tmp_path: Path) -> None:
    code, _, err = kopal("train", photos, "--out", tmp_path / "old", "--effort", "quick", "--seed", 3, "--balance")
    assert code == 0, err
    code, _, err = kopal("train", photos, "--out", tmp_path / "new", "--like", tmp_path / "old")
    assert code == 0, err
    old, new = (json.loads((tmp_path / name / "recipe.json").read_text()) for name in ("old", "new"))
    assert old == new
    assert (new["seed"], new["balance"], new["effort"]) == (3, True, "quick")
    code, out, err = kopal(
        "train", photos, "--like", tmp_path / "old" / "recipe.json", "--seed", 0, "--dry-run", "--json"
    )
    assert code == 0, err
    assert json.loads(out)["recipe"] == {**old, "seed": 0}


def test_a_said_effort_changes_what_it_stands_for_and_nothing_else() -> None:
    like = recipe("quick", seed=7, balance=True)
    made = recipe("best", like=like)
    assert (made.seed, made.balance, made.folds, made.net) == (7, True, 10, "efficientnet-lite0+efficientnet-lite2")
    assert recipe(like=like) == like
    assert recipe(like=like, seed=0).seed == 0
    with pytest.raises(UsageError):
        recipe(like=like, head="nonsense")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"net": "linear", "colour": 1}', "unknown knobs ['colour']"),
        ('{"folds": "many"}', "folds 'many'"),
        ('{"penalties": [1, "x"]}', "penalties"),
        ('{"seed": true}', "seed True"),
        ('{"penalties": []}', "penalties []"),
        ('{"penalties": [1, -1]}', "penalties [1, -1]"),
        ('{"penalties": [NaN]}', "penalties [nan]"),
        ('{"penalties": [0]}', "penalties [0]"),
        ('{"folds": 1}', "folds 1"),
        ('{"effort": "x"}', "unknown effort 'x'"),
        ('{"search_tolerance": NaN}', "search_tolerance nan"),
        ('{"final_tolerance": 0}', "final_tolerance 0"),
        ('{"net": "linear", "rate": -1}', "rate -1"),
        ("[]", "is no recipe"),
        ("{", "is no recipe"),
    ],
)
def test_a_recipe_that_cannot_be_repeated_is_one_error(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "recipe.json").write_text(text)
    with pytest.raises(UsageError) as caught:
        recipe_of(tmp_path)
    assert words in str(caught.value)
    assert "recipe.json" in str(caught.value)
    with pytest.raises(UsageError, match="cannot read"):
        recipe_of(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "wrong",
    [{"penalties": ()}, {"penalties": (-1.0,)}, {"folds": 1}, {"effort": "x"}, {"final_tolerance": float("nan")}],
)
def test_a_recipe_made_by_hand_is_checked_before_anything_is_done(
    photos: Path, tmp_path: Path, wrong: dict[str, Any]
) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        train(photos, tmp_path / "run", replace(QUICK, **wrong))
    assert not (tmp_path / "run").exists()


def test_every_knob_survives_json() -> None:
    for made in (Recipe(), recipe("best", net="resnet20"), recipe(tune="last:2"), recipe(budget="10m")):
        assert Recipe.from_json(json.loads(json.dumps(made.as_json()))) == made


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "features of efficientnet-lite0"),
        (("--net", "linear"), "linear from pixels"),
        (("--net", "garment", "--image-size", "28", "--engine", "numpy"), "garment from pixels"),
    ],
)
def test_a_dry_run_tells_the_plan_and_writes_nothing(
    kopal: Kopal, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], words: str
) -> None:
    monkeypatch.setenv("KOPAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    code, out, err = kopal("train", photos, "--dry-run", *options)
    assert code == 0, err
    assert "24 files in 3 classes" in out
    assert words in out
    assert "nothing written" in out
    assert list(tmp_path.iterdir()) == []
    code, out, err = kopal("train", photos, "--dry-run", "--json", *options)
    assert code == 0, err
    value: dict[str, Any] = json.loads(out)
    assert value["photos"] == 24
    assert value["plan"]["net"]
    assert "24 files in 3 classes" in err
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_sees_what_is_computed_already_and_leaves_the_cache_as_it_is(
    kopal: Kopal, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOPAL_CACHE", str(tmp_path / "cache"))
    train(photos, tmp_path / "run", QUICK)
    before = contents(tmp_path / "run"), usage(tmp_path / "cache")[0]
    code, out, _ = kopal("train", photos, "--dry-run", "--out", tmp_path / "other")
    assert code == 0
    assert "100% of a sample is already computed" in out
    assert (contents(tmp_path / "run"), usage(tmp_path / "cache")[0]) == before
    assert not (tmp_path / "other").exists()


def test_a_dry_run_of_a_fine_tuning_tells_its_epochs(
    kopal: Kopal, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    monkeypatch.setenv("KOPAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    code, out, err = kopal("train", photos, "--dry-run", "--tune", "last:2")
    assert code == 0, err
    assert "then fine-tune 2 of" in out
    assert "at most 8 epochs" in out
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_finds_what_would_stop_the_training(kopal: Kopal, tmp_path: Path) -> None:
    make_photos(tmp_path / "photos", CLASSES[:1], count=2)
    code, _, err = kopal("train", tmp_path / "photos", "--dry-run")
    assert code == 2
    assert "only one class" in err
