"""Batch norm needs two photos of every batch for each process, and that is said at the start; other nets take any."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kopal.errors import UsageError
from kopal.fit.foreign import foreign_net
from kopal.fit.norming import check_batch, norms_by_batch
from kopal.nets.registry import build

Kopal = Callable[..., tuple[int, str, str]]
IMAGE = (16, 16, 3)
MODULES = """
from torch import nn

def normed(classes):
    inner = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    return nn.Sequential(inner, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, classes))

def grouped(classes):
    inner = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4), nn.ReLU())
    return nn.Sequential(inner, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, classes))
"""


@pytest.mark.parametrize(
    "command",
    [
        ("train", "--net", "resnet18", "--weights", "none", "--image-size", "32"),
        ("train", "--net", "resnet18", "--weights", "none", "--image-size", "32", "--dry-run"),
        ("train", "--net", "resnet9", "--engine", "numpy"),
        ("lr-find", "--net", "resnet9", "--engine", "numpy"),
    ],
)
def test_batch_norm_on_single_photos_is_one_clear_error(
    kopal: Kopal, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    if "resnet18" in command:
        pytest.importorskip("torch", reason="resnet18 learns in torch")
    monkeypatch.chdir(tmp_path)
    code, _, err = kopal(command[0], photos, *command[1:], "--batch", "1")
    assert code == 2
    assert err.splitlines() == [
        f"error: a batch of 1 photo for --net {command[2]}, which has batch norm",
        "expected: at least 2 of every batch",
        "to fix:   say --batch 2 or more, or choose a net without batch norm",
    ]


def test_a_net_without_batch_norm_learns_from_single_photos(
    kopal: Kopal, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = kopal("train", photos, "--net", "linear", "--image-size", "16", "--batch", "1", "--epochs", "1")
    assert code == 0, err


@pytest.mark.parametrize(
    ("net", "batch", "processes", "needed"), [("resnet9", 7, 4, 8), ("garment", 3, 4, 4), ("resnet9", 1, 1, 2)]
)
def test_each_process_needs_its_photos(net: str, batch: int, processes: int, needed: int) -> None:
    own = build(net, 3, (28, 28, 3))
    with pytest.raises(UsageError) as caught:
        check_batch(own, batch, processes)
    assert f"--batch {needed} or more" in caught.value.fix
    assert ("which has batch norm" in caught.value.happened) == (net == "resnet9")
    check_batch(own, needed, processes)


def test_a_dry_run_counts_the_processes(kopal: Kopal, photos: Path) -> None:
    pytest.importorskip("torch", reason="several processes learn in torch")
    knobs = ("--net", "resnet9", "--image-size", "16", "--batch", "7", "--nproc", "4", "--amp", "off")
    code, _, err = kopal("train", photos, *knobs, "--dry-run")
    assert code == 2
    assert err.startswith("error: a batch of 7 photos in 4 processes for --net resnet9, which has batch norm")


def test_batch_norm_is_found_in_modules_from_elsewhere(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="torch runs these nets")
    (tmp_path / "module.py").write_text(MODULES)
    assert norms_by_batch(foreign_net(f"{tmp_path / 'module.py'}:normed", 3, IMAGE))
    assert not norms_by_batch(foreign_net(f"{tmp_path / 'module.py'}:grouped", 3, IMAGE))
