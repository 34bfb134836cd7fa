"""The best effort takes what the budget allows: it fine-tunes, or says why features stay frozen."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kopal.nets.weights import PRETRAINED
from kopal.recipes import Recipe, recipe, recipe_from_json
from kopal.recipes.efforts import EMBEDDED, SIDE_BY_SIDE
from kopal.ways import used_knobs

Kopal = Callable[..., tuple[int, str, str]]


def test_the_nets_that_start_pretrained_are_those_of_the_packages() -> None:
    assert set(EMBEDDED) == set(PRETRAINED)


def test_the_best_effort_with_a_budget_fine_tunes_all_that_there_is_time_for() -> None:
    made = recipe("best", budget="5m")
    assert (made.tune, made.net, made.budget, made.epochs) == ("all", "efficientnet-lite2", 300.0, 0)
    assert made == recipe("best", tune="all", budget="5m")
    assert recipe("best", net="efficientnet-lite0", budget="5m").tune == "all"
    assert recipe("best", net="resnet18", weights="imagenet", budget="5m").tune == "all"
    assert recipe("best", tune="last:2", budget="5m").tune == "last:2"


@pytest.mark.parametrize(
    "said",
    [
        {"tune": "head"},
        {"head": "svm"},
        {"features": "int8"},
        {"net": SIDE_BY_SIDE},
        {"net": "garment"},
        {"net": "resnet20", "weights": "none"},
        {"weights": "none"},
    ],
)
def test_what_is_said_against_fine_tuning_holds(said: dict[str, Any]) -> None:
    made = recipe("best", budget="5m", **said)
    assert made.tune == "head"
    assert recipe(like=made) == made


@pytest.mark.parametrize("effort", ["quick", "balanced"])
def test_other_efforts_do_not_fine_tune_by_themselves(effort: str) -> None:
    assert recipe(effort, budget="5m").tune == "head"
    assert recipe("best").tune == "head"


def test_such_a_recipe_is_read_back_as_it_was() -> None:
    made = recipe("best", budget="5m")
    assert recipe(like=made) == made
    assert recipe_from_json(json.loads(json.dumps(used_knobs(made)))) == made
    frozen = Recipe(**{**recipe("best").as_json(), "penalties": recipe("best").penalties})
    assert recipe_from_json(json.loads(json.dumps(used_knobs(frozen)))).tune == "head"


def test_the_command_fine_tunes_within_the_budget(kopal: Kopal, photos: Path) -> None:
    pytest.importorskip("torch")
    code, out, err = kopal(
        "train", photos, "--effort", "best", "--budget", "5m", "--net", "efficientnet-lite0", "--dry-run"
    )
    assert code == 0, err
    assert "then fine-tune" in out
    assert "300 s in all" in out


def test_without_torch_it_stays_with_the_frozen_nets_and_says_so_in_one_line(
    kopal: Kopal, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    command = ("train", photos, "--effort", "best", "--budget", "5m")
    code, out, err = kopal(*command, "--dry-run")
    assert code == 0, err
    assert out.count("without PyTorch nothing is fine-tuned") == 1
    assert SIDE_BY_SIDE in out
    code, _, err = kopal(*command, "--tune", "all", "--out", tmp_path / "run")
    assert code == 2
    assert "pip install 'kopal[torch]'" in err
