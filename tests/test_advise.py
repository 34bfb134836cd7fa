"""The advice is the lecture's 2x2, says what is not known, and costs a training next to nothing."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.main import get_command

from conftest import CLASSES, make_photos
from kopal.advise import BACKWARD, EPOCHS, MIRRORED, SLOWER, Advice, Measured, Price, costs, tunes
from kopal.cli.app import app
from kopal.errors import WeightsError
from kopal.fit.freedom import depth
from kopal.fit.pupil import torch_is_there
from kopal.learning_curve import LearningCurve, curve
from kopal.nets.beside import beside
from kopal.nets.describe import describe
from kopal.nets.registry import build
from kopal.recipes import recipe
from kopal.run import Run

Kopal = Callable[..., tuple[int, str, str]]
CLOTHING = Measured(3068, 10, 222, 112, 0.884, (0.872, 0.895), 7.5, 0.973, tiny=False)


def rising(errors: tuple[float, ...], count: int = 4000) -> LearningCurve:
    difficulty = np.linspace(0, 1, count)
    return curve({n: (difficulty > error)[None] for n, error in zip((100, 200, 500, 1000), errors, strict=True)})


@pytest.mark.parametrize(
    ("median", "prominence", "mode"),
    [
        (100, 7.5, "head"),
        (300, 7.5, "last"),
        (300, 4.4, "all"),
        (40, 4.4, "trouble"),
        (40, None, "head"),
        (3000, None, "head"),
    ],
)
def test_the_four_places_are_the_lectures(median: float, prominence: float | None, mode: str) -> None:
    assert Advice(replace(CLOTHING, median=median, prominence=prominence)).mode == mode


def test_trouble_is_said_plainly_with_what_helps() -> None:
    measured = replace(CLOTHING, median=40, prominence=4.4, accuracy=0.6, tiny=True)
    text = "\n".join(Advice(measured).sentences())
    for words in ("trouble", "more photos first of all", "a backbone that knows", "from scratch"):
        assert words in text
    assert "--weights none" in text
    assert "--weights none" not in "\n".join(Advice(replace(measured, tiny=False)).sentences())
    well = "\n".join(Advice(replace(measured, accuracy=0.99)).sentences())
    assert "stay with the head; by the rule this is trouble, yet it reaches 0.990" in well
    assert "what helps" not in well


def test_what_is_not_known_is_called_so() -> None:
    text = "\n".join(Advice(replace(CLOTHING, prominence=None), no_curve="too few").sentences())
    assert "similarity to ImageNet not known" in text
    assert "more photos: not known; too few" in text
    assert "how much is not known" in text
    assert Advice(replace(CLOTHING, prominence=None)).as_json()["similarity"] == "not known"


def test_errors_on_photos_that_were_learned_from_point_at_the_features() -> None:
    assert "the features are the limit" in Advice(replace(CLOTHING, seen=0.90)).glance()[-1]
    assert "the features are the limit" not in Advice(CLOTHING).glance()[-1]
    assert "little left to gain" in Advice(replace(CLOTHING, accuracy=0.995)).glance()[-1]


@pytest.mark.parametrize(
    ("errors", "answer"),
    [((0.4, 0.3, 0.2, 0.15), "yes"), ((0.0102, 0.0101, 0.01, 0.01), "no"), ((0.2, 0.162, 0.129, 0.109), "hardly")],
)
def test_do_i_need_more_photos_is_answered_in_one_sentence(errors: tuple[float, ...], answer: str) -> None:
    sentence = Advice(CLOTHING, curve=rising(errors)).more_photos()
    assert sentence.startswith(f"more photos: {answer}; twice as many")
    assert "\n" not in sentence


def test_the_glance_is_three_short_lines_whatever_was_found() -> None:
    for median in (2.5, 40, 12345.5):
        for prominence in (None, 4.4, 17.5):
            for accuracy in (0.0, 0.5, 1.0):
                lines = Advice(replace(CLOTHING, median=median, prominence=prominence, accuracy=accuracy)).glance()
                assert len(lines) == 3
                assert max(map(len, lines)) <= 80


def test_costs_grow_with_what_is_unfrozen() -> None:
    net = build("efficientnet-lite0").without_head()
    found = costs(net, photos=1000, forward=0.01, workers=2, fitting=3.0)
    last, whole = found.tuning
    assert found.head == 3.0
    assert whole.seconds == pytest.approx(EPOCHS * BACKWARD * SLOWER * 5)
    assert 5 < last.seconds < whole.seconds / 2
    twice = costs(net, photos=2000, forward=0.01, workers=2, fitting=3.0)
    assert twice.tuning[0].seconds == pytest.approx(2 * last.seconds)


def test_what_is_priced_is_what_the_advised_commands_do() -> None:
    whole = build("efficientnet-lite0")
    net = whole.without_head()
    rows = describe(net)
    for price in costs(net, photos=1000, forward=0.01, workers=1).tuning:
        made = recipe(tune=price.tune)
        assert price.epochs == made.epochs
        # From outside: the stages as the net prints them, and the shares of the multiply-adds that lie in them.
        own = [name for name in whole.stages() if any(row.learned for row in rows if row.path.startswith(f"{name}."))]
        own = own[len(own) - (depth(made.tune, whole) - 1) :]
        learning = sum(row.multiply_adds for row in rows if row.path.partition(".")[0] in own)
        share = learning / sum(row.multiply_adds for row in rows)
        assert price.seconds == pytest.approx(10 * (MIRRORED * (1 - share) + made.epochs * BACKWARD * SLOWER * share))
    shown = {tune for median in (20, 300) for seen in (4.4, 7.5, None) if (tune := placed(median, seen).tune)}
    assert shown == {price.tune for price in costs(net, 1, 1.0, 1).tuning}


def placed(median: float, prominence: float | None) -> Advice:
    return Advice(replace(CLOTHING, median=median, prominence=prominence))


@pytest.mark.parametrize(("prominence", "tune"), [(7.5, "last:4"), (4.4, "all"), (None, "last:4")])
def test_the_advised_command_comes_with_its_minutes(prominence: float | None, tune: str) -> None:
    found = costs(build("efficientnet-lite0").without_head(), photos=3000, forward=0.01, workers=2)
    advice = replace(placed(300, prominence), costs=found)
    minutes = round(next(price.seconds for price in found.tuning if price.tune == tune) / 60)
    cost = f"--tune {tune}: {EPOCHS} epochs, about {minutes} min here"
    assert f"--tune {tune}" in advice.glance()[1]
    assert advice.glance()[2].startswith(f"  {cost}")
    assert max(map(len, advice.glance())) <= 80
    assert any(sentence.startswith(cost) for sentence in advice.sentences())
    assert not any("min here" in line for line in replace(advice, measured=CLOTHING, costs=None).glance())


def test_what_tune_refuses_is_neither_advised_nor_priced() -> None:
    first, second = (build(name, None, (224, 224, 3)).without_head() for name in ("resnet18", "efficientnet-lite0"))
    both, _ = beside([(first, {}), (second, {})])
    for net in (both, build("linear").without_head()):
        assert tunes(net) == ()
        assert costs(net, 100, 0.01, 1, 2.0).tuning == ()
        for prominence in (4.4, 7.5, None):
            lines = "\n".join(replace(placed(300, prominence), tunes=tunes(net)).sentences())
            assert "(--tune" not in lines
            assert "with --tune" not in lines
    assert tunes(build("linear", None, (8, 8, 3))) == ("all",)
    assert costs(build("linear", None, (8, 8, 3)), 10, 0.01, 1).tuning[0] == Price(
        "all", EPOCHS, pytest.approx(EPOCHS * BACKWARD * SLOWER * 0.1)
    )
    few = replace(placed(300, 7.5), tunes=("all",))
    assert few.tune == "all"
    assert "--tune all" in few.glance()[1]


def test_a_training_ends_with_its_advice_and_keeps_it(trained: Run, kopal: Kopal, photos: Path, tmp_path: Path) -> None:
    kept = json.loads((trained.folder / "report.json").read_text(encoding="utf-8"))["advice"]
    assert (kept["amount"], kept["similarity"], kept["mode"]) == ("little", "different", "trouble")
    assert kept["measured"]["median"] == 8
    code, out, err = kopal("train", photos, "--effort", "quick", "--out", tmp_path / "out")
    assert code == 0, err
    assert "advice: little data, 8 photos a class; unlike ImageNet" in out


def test_a_training_says_what_the_mode_that_it_names_would_cost(
    kopal: Kopal, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kopal.advise.MUCH", 8)
    code, out, err = kopal("train", photos, "--effort", "quick", "--out", tmp_path / "out")
    assert code == 0, err
    assert f"  --tune all: {EPOCHS} epochs, under a minute here (a factor of two either way)" in out
    kept = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))["advice"]
    assert [price["tune"] for price in kept["seconds"]["tuning"]] == ["last:4", "all"]
    assert "--tune all: 8 epochs" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_a_net_from_pixels_ends_without_advice(kopal: Kopal, photos: Path, tmp_path: Path) -> None:
    code, out, err = kopal(
        "train", photos, "--net", "linear", "--image-size", 8, "--epochs", 1, "--out", tmp_path / "out"
    )
    assert code == 0, err
    assert "advice" not in out
    assert "advice" not in json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))


def test_advise_tells_the_curve_what_follows_and_what_it_costs(kopal: Kopal, tmp_path: Path) -> None:
    make_photos(tmp_path / "photos", CLASSES, count=16)
    code, out, err = kopal("advise", tmp_path / "photos", "--plot", tmp_path / "curve.svg")
    assert code == 0, err
    for words in ("learning curve", "100%", "2 x", "4 x", "trouble", "more photos: ", "the head only", "LogME"):
        assert words in out
    assert (tmp_path / "curve.svg").is_file()
    code, out, err = kopal("advise", tmp_path / "photos", "--json")
    assert code == 0, err
    first = json.loads(out)
    assert {"amount", "similarity", "mode", "measured", "limits", "sentences", "learning_curve", "seconds"} <= set(
        first
    )
    second = json.loads(kopal("advise", tmp_path / "photos", "--json")[1])
    assert first["learning_curve"] == second["learning_curve"]
    assert first["measured"] == second["measured"]


def test_too_few_photos_for_a_curve_still_have_their_place(kopal: Kopal, photos: Path, tmp_path: Path) -> None:
    code, out, err = kopal("advise", photos, "--plot", tmp_path / "curve.svg")
    assert code == 0, err
    assert "little data, 8 photos a class" in out
    assert "24 photos are too few for a learning curve" in out
    assert "not drawn" in out
    assert not (tmp_path / "curve.svg").exists()
    value = json.loads(kopal("advise", photos, "--json")[1])
    assert "learning_curve" not in value
    assert "too few" in value["no_learning_curve"]


@pytest.mark.parametrize("said", [("--net", "garment"), ("--weights", "none")])
def test_there_is_no_advice_on_nets_from_scratch(kopal: Kopal, photos: Path, said: tuple[str, str]) -> None:
    code, _, err = kopal("advise", photos, *said)
    assert code == 2
    assert "there are no frozen features to measure" in err


def test_a_picture_of_an_unknown_kind_is_refused_before_the_work(kopal: Kopal, photos: Path, tmp_path: Path) -> None:
    code, out, err = kopal("advise", photos, "--plot", tmp_path / "curve.gif")
    assert code == 2
    assert ".svg" in err
    assert "plan" not in out


def weights_file(path: Path, classes: int | None = None) -> Path:
    """Random weights of Lite0 in our own names, with a head of so many classes, which are ImageNet's if unsaid."""
    from safetensors.numpy import save_file

    from kopal.fit.engine import start

    net = build("efficientnet-lite0", classes, (64, 64, 3))
    save_file(start(net, np.random.default_rng(0), "he"), path)
    return path


@pytest.mark.parametrize("command", ["advise", "train"])
def test_features_of_a_file_are_asked_by_the_files_own_head_or_not_at_all(
    kopal: Kopal, photos: Path, tmp_path: Path, command: str
) -> None:
    from kopal.datasets import open_dataset
    from kopal.features import read
    from kopal.fit.backbones import backbone_of
    from kopal.similarity import prominence

    def advice_with(weights: Path) -> dict[str, Any]:
        said = ("--weights", weights, "--json", *(("--out", tmp_path / weights.stem) if command == "train" else ()))
        code, out, err = kopal(command, photos, *said)
        assert code == 0, err
        found: dict[str, Any] = json.loads(out)
        return found["advice"] if command == "train" else found

    own = weights_file(tmp_path / "own.safetensors")
    backbone = backbone_of(recipe(weights=own))
    arrays = read_arrays(own)
    seen, _ = read(open_dataset(photos), backbone, None)
    expected = prominence(seen.features, arrays["head.weight"], arrays["head.bias"]).mean()
    assert advice_with(own)["measured"]["prominence"] == pytest.approx(expected, rel=1e-4)
    found = advice_with(weights_file(tmp_path / "seven.safetensors", 7))
    assert found["measured"]["prominence"] is None
    assert found["similarity"] == "not known"
    assert any("which these weights lack" in sentence for sentence in found["sentences"])
    assert found["mode"] == "head"


def read_arrays(path: Path) -> dict[str, Any]:
    from safetensors.numpy import load_file

    return dict(load_file(path))


def test_published_weights_of_torchvision_bring_their_head_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = pytest.importorskip("torchvision.models")
    from kopal.fit.backbones import backbone_of
    from kopal.nets.torchvision_weights import DOWNLOADABLE

    torch = pytest.importorskip("torch")
    module = models.resnet18()
    monkeypatch.setenv("KOPAL_CACHE", str(tmp_path))
    (tmp_path / "weights").mkdir()
    torch.save(module.state_dict(), tmp_path / "own.pth")
    name = f"resnet18-{hashlib.sha256((tmp_path / 'own.pth').read_bytes()).hexdigest()[:8]}.pth"
    (tmp_path / "own.pth").rename(tmp_path / "weights" / name)
    monkeypatch.setitem(DOWNLOADABLE, "resnet18", replace(DOWNLOADABLE["resnet18"], file=name))
    head = backbone_of(recipe(net="resnet18", weights="imagenet", image_size=64)).head
    assert head is not None
    assert np.array_equal(head[0], module.fc.weight.detach().numpy())
    assert np.array_equal(head[1], module.fc.bias.detach().numpy())


def test_a_net_of_pixels_alone_gets_advice_and_no_minutes_of_tuning(kopal: Kopal, photos: Path, tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    from kopal.fit.engine import start

    net = build("linear")
    save_file(start(net, np.random.default_rng(0), "normal"), tmp_path / "lin.safetensors")
    code, out, err = kopal("advise", photos, "--net", "linear", "--weights", tmp_path / "lin.safetensors")
    assert code == 0, err
    assert "similarity to ImageNet not known" in out
    assert "the head only" in out
    assert "epochs" not in out


def test_advice_fetches_weights_where_it_is_told_to_and_a_dry_run_never_does(
    kopal: Kopal, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kopal.fit import downloads

    asked: list[str] = []

    def fetch(url: str, path: Path, hash_prefix: str | None) -> None:
        asked.append(url)
        raise WeightsError("no network in the tests", "none")

    monkeypatch.setenv("KOPAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(downloads, "fetch", fetch)
    wanted = (photos, "--net", "resnet18", "--weights", "imagenet")
    code, _, err = kopal("advise", *wanted)
    assert code == 2
    assert "add --download" in err
    assert not asked
    code, _, err = kopal("advise", *wanted, "--download")
    assert code == 2
    assert "no network in the tests" in err
    assert len(asked) == 1
    tuned = [("--download", "--tune", "last:2")] if torch_is_there() else []
    for said in ((), ("--download",), *tuned):
        code, _, err = kopal("train", *wanted, *said, "--dry-run")
        assert code == 2
        assert "a dry run fetches nothing: leave --dry-run out to train, and add --download" in " ".join(err.split())
    assert len(asked) == 1


@pytest.mark.parametrize(
    "command",
    [
        ("advise", "{}", "--net", "resnet18", "--weights", "imagenet"),
        ("features", "{}", "--net", "resnet18"),
        ("similar", "{}", "{}", "--net", "resnet18"),
        ("audit", "{}", "--net", "resnet18"),
        ("lr-find", "{}", "--net", "resnet18", "--weights", "imagenet"),
        ("ladder", "{}", "--budget", "never"),
        ("advise", "{}", "--features", "int8", "--net", "resnet18", "--weights", "imagenet"),
        ("advise", "{}", "--net", "efficientnet-lite0+resnet18", "--weights", "w.pth"),
    ],
)
def test_what_an_error_asks_for_the_command_has(
    kopal: Kopal, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KOPAL_CACHE", str(tmp_path / "cache"))
    code, _, err = kopal(*(word.format(photos) for word in command))
    assert code == 2, err
    own = {name for option in get_command(app).commands[command[0]].params for name in option.opts}  # type: ignore[attr-defined]
    assert {*re.findall(r"--[a-z][a-z-]*", err)} - {"--debug"} <= own, err
