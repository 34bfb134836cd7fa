"""Where PyTorch is missing: kopal's own nets train on kopal's own engine and say what that costs, or say what lacks."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import make_pictures

Kopal = Callable[..., tuple[int, str, str]]
PIP = "pip install 'kopal[torch]'"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of five pictures, 12 x 12."""
    return make_pictures(tmp_path_factory.mktemp("tiny") / "tiny", 5, (12, 12))


@pytest.fixture
def hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)


def plan(out: str) -> str:
    return next(line for line in out.splitlines() if "engine numpy" in line).strip()


def test_a_net_that_would_take_it_trains_and_says_what_pytorch_would_gain(
    hidden: None, kopal: Kopal, tiny: Path, tmp_path: Path
) -> None:
    code, out, err = kopal("train", tiny, "--net", "resnet20-slim", "--epochs", 1, "--out", tmp_path / "out")
    assert code == 0, err
    assert plan(out) == f"engine numpy: PyTorch, several times as fast on such nets, is not installed: {PIP}"


@pytest.mark.parametrize("options", [("--net", "garment"), ("--net", "resnet20-slim", "--engine", "numpy")])
def test_who_does_not_need_it_is_not_told(hidden: None, options: tuple[str, ...], kopal: Kopal, tiny: Path) -> None:
    code, out, err = kopal("train", tiny, *options, "--dry-run")
    assert code == 0, err
    assert plan(out) == "engine numpy"


@pytest.mark.parametrize(
    "options",
    [
        ("--net", "resnet20", "--engine", "torch"),
        ("--net", "resnet20", "--device", "cuda"),
        ("--net", "resnet20", "--amp", "off"),
        ("--net", "resnet20", "--nproc", "2"),
        ("--net", "garment", "--nproc", "2"),
        ("--net", "module.py:make_net"),
        ("--net", "timm:resnet10t"),
    ],
)
def test_what_cannot_go_without_it_is_refused_once_with_the_command(
    hidden: None, options: tuple[str, ...], kopal: Kopal, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = kopal("train", tiny, *options)
    assert code == 2
    assert err.splitlines() == [
        "error: torch is not installed",
        "expected: PyTorch, which this needs",
        f"to fix:   {PIP}",
    ]
    assert not (tmp_path / "runs").exists()
