"""`--like RUN --x` is the command that made RUN with --x added, or one clear error."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import safetensors.numpy

from conftest import CLASSES, QUICK, draw
from kopal.errors import UsageError, WeightsError
from kopal.files import write_json
from kopal.nets.registry import build
from kopal.nets.weights import pretrained_weights
from kopal.recipes import Recipe, recipe
from kopal.repeat import again, recipe_of
from kopal.ways import used_knobs

Kopal = Callable[..., tuple[int, str, str]]
BOTH = "efficientnet-lite0+efficientnet-lite2"
COMMANDS: tuple[dict[str, Any], ...] = (
    {},
    {"effort": "quick"},
    {"effort": "best"},
    {"effort": "best", "budget": "5m"},
    {"effort": "best", "weights": "own.pth"},
    {"effort": "quick", "net": "linear"},
    {"effort": "best", "net": "efficientnet-lite0"},
    {"net": "efficientnet-lite0+efficientnet-lite1"},
    {"net": "resnet9"},
    {"net": "resnet9", "optimiser": "adam", "rate": "auto"},
    {"net": "resnet9", "momentum": 0.0},
    {"net": "garment", "budget": "10m"},
    {"net": "garment", "budget": "10m", "epochs": 7},
    {"net": "garment", "batch": 8, "momentum": 0.5, "effort": "quick"},
    {"tune": "last:2"},
    {"tune": "all", "effort": "best", "optimiser": "sgd"},
    {"tune": "last:2", "net": "efficientnet-lite1", "epochs": 3},
    {"weights": "none"},
    {"head": "svm", "features": "int8", "image_size": 64},
    {"seed": 3, "balance": True, "unknown": False, "coverage": 0.9},
    {"folds": 4, "penalties": (2.0, 0.2)},
)
ADDED: tuple[dict[str, Any], ...] = (
    *COMMANDS,
    {"effort": "balanced"},
    {"optimiser": "adam"},
    {"optimiser": "sgd"},
    {"tune": "head"},
    {"budget": 0},
    {"momentum": 0.0},
    {"momentum": 0.9},
    {"rate": "auto"},
)


def outcome(make: Callable[[], Recipe]) -> Recipe | str:
    try:
        return make()
    except UsageError as error:
        return str(error)


@pytest.mark.parametrize("said", COMMANDS, ids=str)
def test_an_option_over_like_is_the_same_as_in_the_command_itself(said: dict[str, Any], tmp_path: Path) -> None:
    made = recipe(**said)
    write_json(tmp_path / "recipe.json", used_knobs(made))
    read = recipe_of(tmp_path)
    for added in ADDED:
        wanted = outcome(lambda added=added: recipe(**{**said, **added}))
        assert outcome(lambda added=added: recipe(like=made, **added)) == wanted, added
        # What the run did not use is not in its file, and comes back as its effort has it.
        assert outcome(lambda added=added: recipe(like=read, **added)) == wanted, added


@pytest.mark.parametrize(
    "made",
    [
        Recipe(),
        QUICK,
        Recipe(effort="best"),
        Recipe(effort="quick", net=BOTH),
        Recipe(net="resnet9"),
        Recipe(net="resnet9", optimiser="adam", rate=0.0),
        Recipe(net="linear", budget=60.0),
        Recipe(epochs=0, budget=60.0),
        Recipe(tune="last:2"),
        Recipe(tune="all", optimiser="adamw", effort="best", net="efficientnet-lite2"),
        *(recipe(**{**one, **other}) for one, other in product(COMMANDS[-3:], COMMANDS[:4])),
    ],
    ids=str,
)
def test_a_recipe_repeated_is_itself(made: Recipe) -> None:
    assert recipe(like=made) == made


def test_a_fine_tuning_over_a_quick_run_has_the_habits_of_fine_tuning() -> None:
    made = recipe(like=recipe("quick"), tune="last:2")
    assert (made.optimiser, made.rate, made.smoothing, made.augment) == ("adamw", 2e-4, 0.1, "medium")
    assert (made.epochs, made.folds) == (5, 3)


def test_an_effort_over_another_leaves_nothing_of_it() -> None:
    made = recipe("balanced", like=recipe("quick"))
    assert (made.folds, len(made.penalties), made.effort) == (5, 8, "balanced")
    assert recipe("best", like=recipe("quick")).net == BOTH


def test_another_optimiser_over_a_residual_net_brings_its_own_rate() -> None:
    made = recipe(like=recipe(net="resnet9"), optimiser="adam")
    assert (made.rate, made.penalty, made.nesterov, made.schedule) == (0.001, 0.0, False, "one-cycle")


def test_without_momentum_there_is_no_nesterov_unless_it_is_said() -> None:
    assert recipe(net="resnet20").nesterov
    assert not recipe(net="resnet20", momentum=0.0).nesterov
    with pytest.raises(UsageError, match="nesterov without momentum"):
        recipe(net="resnet20", momentum=0.0, nesterov=True)


def test_the_command_trains_and_plans_by_the_recipe_that_the_options_stand_for(
    kopal: Kopal, photos: Path, tmp_path: Path
) -> None:
    quick, balanced = tmp_path / "quick", tmp_path / "balanced"
    code, _, err = kopal("train", photos, "--out", quick, "--effort", "quick", "--seed", 2)
    assert code == 0, err
    code, _, err = kopal("train", photos, "--out", balanced, "--like", quick, "--effort", "balanced")
    assert code == 0, err
    new = json.loads((balanced / "recipe.json").read_text())
    assert (new["effort"], new["folds"], len(new["penalties"]), new["seed"]) == ("balanced", 5, 8, 2)
    pytest.importorskip("torch")
    code, out, err = kopal("train", photos, "--like", quick, "--tune", "last:2", "--dry-run", "--json")
    assert code == 0, err
    assert json.loads(out)["recipe"] == used_knobs(recipe("quick", tune="last:2", seed=2))


def test_what_fine_tuning_does_not_have_is_refused_also_where_like_brings_it_along(
    kopal: Kopal, photos: Path, tmp_path: Path
) -> None:
    write_json(tmp_path / "recipe.json", used_knobs(recipe(image_size=64)))
    code, _, err = kopal("train", photos, "--like", tmp_path, "--tune", "last:2", "--dry-run")
    assert code == 2
    assert "--image-size together with --tune last:2" in err
    assert "--like" in err


@pytest.fixture(scope="module")
def flat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Names say everything: round_ann_1.jpg is of class round and was taken by ann."""
    folder = tmp_path_factory.mktemp("flat") / "photos"
    folder.mkdir()
    for kind, name in enumerate(("round", "square")):
        for number in range(6):
            draw(kind, number).save(folder / f"{name}_{('ann', 'bob', 'eve')[number // 2]}_{number}.jpg")
    return folder


READ = ("--labels-from", "^([a-z]+)_", "--group", "_([a-z]+)_")


@pytest.fixture(scope="module")
def grouped(flat: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from kopal.cli import run

    review = tmp_path_factory.mktemp("review") / "mine.csv"
    review.write_text(f"file,action\n{flat / 'round_ann_0.jpg'},leave out\n")
    out = tmp_path_factory.mktemp("runs") / "grouped"
    command = ("train", flat, *READ, "--effort", "quick", "--review", review, "--out", out, "--quiet")
    assert run([str(word) for word in command]) == 0
    return out


def test_a_report_says_how_the_photos_were_read(grouped: Path) -> None:
    kept = json.loads((grouped / "report.json").read_text())["reading"]
    assert kept == {"labels_from": READ[1], "group": READ[3], "review": "mine.csv"}


def test_like_reads_the_photos_as_the_run_did(kopal: Kopal, flat: Path, grouped: Path, tmp_path: Path) -> None:
    code, out, err = kopal("train", flat, "--like", grouped, "--out", tmp_path / "run", "--json")
    assert code == 0, err
    assert json.loads(out)["reading"] == {"labels_from": READ[1], "group": READ[3], "review": None}
    assert "12 photos in 3 groups, which no split separates" in " ".join(err.split())
    assert "mine.csv" in err


def test_how_photos_are_read_may_be_said_anew(kopal: Kopal, flat: Path, grouped: Path) -> None:
    plan = ("train", flat, "--like", grouped / "recipe.json", "--dry-run", "--json")
    code, out, err = kopal(*plan, "--group", r"_(ann|bob)_")
    assert code == 0, err
    notes = " ".join(json.loads(out)["notes"])
    assert "8 photos in 2 groups" in notes and f"read by --labels-from {READ[1]}, as" in notes
    code, out, err = kopal(*plan, "--group", "")
    assert code == 0, err
    assert "groups" not in " ".join(json.loads(out)["notes"])


def test_photos_in_class_folders_need_not_be_read_by_name(kopal: Kopal, photos: Path, grouped: Path) -> None:
    code, out, err = kopal(
        *("train", photos, "--like", grouped, "--labels-from", "parent", "--group", "", "--dry-run", "--json")
    )
    assert code == 0, err
    assert set(json.loads(out)["classes"]) == set(CLASSES)


def test_a_set_with_labels_of_its_own_is_not_read_by_names(grouped: Path) -> None:
    dataset = again(grouped).opened("digits")
    assert not dataset.groups
    assert any("digits has its labels: not read by --labels-from" in note for note in dataset.notes)


def test_a_recipe_that_stands_alone_says_nothing_of_photos(grouped: Path, tmp_path: Path) -> None:
    shutil.copy(grouped / "recipe.json", tmp_path)
    found = again(tmp_path / "recipe.json")
    assert (found.labels_from, found.group, found.review) == (None, None, None)


@pytest.mark.parametrize("report", ["{", "[]", '{"reading": 3}', '{"reading": {"group": ["a"]}}'])
def test_a_damaged_report_is_one_error(grouped: Path, tmp_path: Path, report: str) -> None:
    shutil.copy(grouped / "recipe.json", tmp_path)
    (tmp_path / "report.json").write_text(report)
    with pytest.raises(UsageError, match="damaged"):
        again(tmp_path)


def test_a_weights_file_of_the_same_name_must_be_the_same_file(
    kopal: Kopal, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    own = tmp_path / "elsewhere" / "own.safetensors"
    safetensors.numpy.save_file(dict(pretrained_weights(build("efficientnet-lite0"))), own)
    monkeypatch.chdir(tmp_path)
    code, _, err = kopal("train", photos, "--weights", own, "--effort", "quick", "--out", "first")
    assert code == 0, err
    repeat = ("train", photos, "--like", "first", "--dry-run")

    code, _, err = kopal(*repeat)
    assert code == 2
    assert "no weights file own.safetensors here" in err and "--weights PATH" in err
    code, _, err = kopal(*repeat, "--weights", own)
    assert code == 0, err
    shutil.copy(own, tmp_path)
    code, _, err = kopal(*repeat)
    assert code == 0, err
    (tmp_path / own.name).write_bytes(own.read_bytes() + b"x")
    code, _, err = kopal(*repeat)
    assert code == 2
    assert "own.safetensors here is another file" in err and "--weights PATH" in err
    code, _, err = kopal(*repeat, "--weights", "imagenet")
    assert code == 0, err


def test_weights_without_a_digest_are_not_taken_on_trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_json(tmp_path / "recipe.json", used_knobs(recipe(weights="own.pth")))
    (tmp_path / "own.pth").write_bytes(b"anything")
    with pytest.raises(WeightsError, match="no digest"):
        again(tmp_path)
    assert again(tmp_path, weights="imagenet").recipe.weights == "own.pth"
