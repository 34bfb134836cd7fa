"""Nets that are written elsewhere, trained end to end: from pixels to the file, cut short, and edited in between."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from conftest import make_pictures
from kopal.classifier import load
from kopal.errors import CheckpointError, UsageError
from kopal.fit.loop import Epoch
from kopal.pipeline import train
from kopal.recipes import Recipe, recipe

pytest.importorskip("torch", reason="torch runs these nets")

Kopal = Callable[..., tuple[int, str, str]]
MODULE = """
from torch import nn


def make_net(classes):
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(32, classes),
    )


def other(classes):
    return make_net(classes)
"""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of ten pictures, 24 x 20."""
    return make_pictures(tmp_path_factory.mktemp("tiny") / "tiny", 10)


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """module.py in the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "module.py").write_text(MODULE, encoding="utf-8")
    return tmp_path / "module.py"


def of(net: str = "module.py:make_net", **knobs: object) -> Recipe:
    return recipe(net=net, **{"epochs": 3, "batch": 8, "rate": 0.02, "amp": "off", **knobs})


def cut(data: Path, made: Recipe) -> None:
    """A training in `out` that Ctrl-C ends in its second epoch."""

    def log(noun: object) -> None:
        if isinstance(noun, Epoch) and noun.number == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(data, "out", made, log=log)


def test_a_users_module_learns_goes_on_after_a_cut_and_answers_from_its_file(tiny: Path) -> None:
    whole = train(tiny, "whole", of())
    assert whole.classifier.geometry.shape == (20, 24, 3)
    assert whole.classifier.card.net == "module.py:make_net"
    cut(tiny, of())
    resumed = train(tiny, "out", of(), resume=True)
    assert resumed.model.read_bytes() == whole.model.read_bytes()
    assert len(resumed.history) == 3
    classifier = load(resumed.model)
    assert classifier.verify() <= 1e-6
    rows = np.random.default_rng(0).integers(0, 256, (5, 20, 24, 3), dtype=np.uint8)
    alone = np.concatenate([classifier.scores(rows[index : index + 1]) for index in range(5)])
    assert np.abs(classifier.scores(rows) - alone).max() <= 1e-5 * np.ptp(alone)


def test_an_edited_module_is_another_training_and_the_refusal_says_so(tiny: Path, file: Path) -> None:
    cut(tiny, of())
    file.write_text(MODULE.replace("nn.ReLU", "nn.Tanh"), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"makes the net has changed: sha256 [0-9a-f]{12} then, sha256 "):
        train(tiny, "out", of(), resume=True)
    file.write_text(MODULE, encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"net 'module\.py:make_net' then, 'module\.py:other' now\n") as caught:
        train(tiny, "out", of("module.py:other"), resume=True)
    assert "changed" not in caught.value.happened
    assert train(tiny, "out", of(), resume=True).report.n


def test_the_seed_draws_its_first_weights(tiny: Path) -> None:
    scores = [
        load(train(tiny, str(number), of(epochs=1, seed=seed)).model).scores(np.zeros((1, 20, 24, 3), np.uint8))
        for number, seed in enumerate((0, 0, 1))
    ]
    assert np.array_equal(scores[0], scores[1])
    assert not np.allclose(scores[0], scores[2])


def test_a_file_that_is_not_there_is_refused_in_the_words_of_the_door(tiny: Path) -> None:
    for net, words in {"gone.py:make_net": "no file", "module.py": "names no function"}.items():
        with pytest.raises(UsageError, match=words):
            train(tiny, "out", of(net))


def test_a_net_of_timm_learns_by_the_command(kopal: Kopal, tiny: Path) -> None:
    if find_spec("timm") is None:
        pytest.skip("timm's nets")
    options = ("--image-size", 32, "--epochs", 1, "--batch", 8, "--amp", "off", "--out", "out")
    code, out, err = kopal("train", tiny, "--net", "timm:resnet10t", "--weights", "none", *options)
    assert code == 0, err
    assert "plan: timm:resnet10t from pixels 32 x 32 x 3" in out
    assert load("out/model.onnx").card.net == "timm:resnet10t"
