"""A dry run refuses what the training refuses at its start, in the same words, and still writes and deletes nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kopal.files import HALF
from kopal.holding import LOCK
from kopal.run import check_free, reserved

Kopal = Callable[..., tuple[int, str, str]]
BOTH = "efficientnet-lite0+efficientnet-lite2"


def tree(folder: Path) -> dict[str, bytes]:
    return {os.path.relpath(path, folder): path.read_bytes() if path.is_file() else b"" for path in folder.rglob("*")}


def refused_alike(kopal: Kopal, *command: object) -> str:
    dry, _, told = kopal("train", *command, "--dry-run")
    code, _, err = kopal("train", *command)
    assert dry == code == 2
    assert told == err
    return err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--tune", "last:2", "--net", BOTH), "to fix:   name the one that is to go on learning"),
        (("--tune", "last:2", "--head", "svm"), "head svm would do nothing: with --tune last:2"),
        (("--tune", "last:2", "--head", "svm"), "to fix:   leave out --head or --tune"),
        (("--tune", "gradual", "--net", "timm:test_convnext"), "one layer to kopal"),
        (("--tune", "last:2", "--net", "timm:test_convnext"), "to fix:   say --tune all"),
        (("--tune", "last:2", "--settled", "0.1", "--checkpoint-every", "2"), "--settled, which compares whole epochs"),
        (("--net", "garment", "--settled", "0.1", "--checkpoint-every", "2"), "--settled, which compares whole epochs"),
        (("--net", "garment", "--nproc", "2", "--engine", "numpy"), "several processes with --net garment"),
        (("--net", "linear", "--batch", "999"), "a batch of 999 photos"),
    ],
)
def test_a_dry_run_refuses_what_the_training_would(
    kopal: Kopal, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert words in refused_alike(kopal, photos, *options)


@pytest.mark.parametrize(
    ("options", "words"), [(("--batch", "999"), "a batch of 999 photos"), (("--device", "cuda"), "no device cuda")]
)
def test_a_dry_run_of_a_fine_tuning_knows_the_photos_and_the_machine(
    kopal: Kopal, photos: Path, options: tuple[str, ...], words: str
) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available() and "cuda" in options:
        pytest.skip("the device is there")
    code, _, err = kopal("train", photos, "--tune", "last:2", *options, "--dry-run")
    assert code == 2
    assert words in err


def occupied(place: Path) -> Path:
    place.mkdir()
    (place / "mine.txt").write_text("mine")
    return place


def finished(place: Path) -> Path:
    place.mkdir()
    (place / "report.json").write_text("{}")
    return place


def interrupted(place: Path) -> Path:
    (place / "checkpoint").mkdir(parents=True)
    (place / "checkpoint" / "state").write_text("half")
    return place


def taken(place: Path) -> Path:
    place.write_text("a file")
    return place


def below_a_file(place: Path) -> Path:
    return taken(place) / "run"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (occupied, "is not empty"),
        (finished, "is not empty"),
        (interrupted, "cut short"),
        (taken, "is a file"),
        (below_a_file, "not a directory"),
    ],
)
def test_a_dry_run_sees_that_a_run_cannot_stand_where_it_should(
    kopal: Kopal, photos: Path, tmp_path: Path, make: Callable[[Path], Path], words: str
) -> None:
    out = make(tmp_path / "out")
    before = tree(tmp_path)
    assert words in refused_alike(kopal, photos, "--out", out)
    assert tree(tmp_path) == before


def test_a_dry_run_sees_that_there_is_nothing_to_resume(kopal: Kopal, photos: Path, tmp_path: Path) -> None:
    out = finished(tmp_path / "out")
    assert "is finished" in refused_alike(kopal, photos, "--net", "linear", "--out", out, "--resume")


def test_runs_that_is_a_file_is_seen(
    kopal: Kopal, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    taken(tmp_path / "runs")
    assert "`runs` is a file" in refused_alike(kopal, photos)


def test_what_a_killed_run_has_left_is_in_nobodys_way_and_stays_until_a_training(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for name in (f".run{HALF}", "recipe.json", "model.onnx", f".report.json.1234{HALF}"):
        (out / name).write_text("half")
    before = tree(tmp_path)
    check_free(out)
    assert tree(tmp_path) == before
    with reserved(out, "photos") as folder:
        assert [entry.name for entry in folder.iterdir()] == [LOCK]
    assert not out.exists()


def test_a_place_that_is_free_is_not_made(tmp_path: Path) -> None:
    check_free(tmp_path / "a" / "b")
    check_free(tmp_path)
    check_free(None)
    check_free(interrupted(tmp_path / "c"), resume=True)
    assert set(tree(tmp_path)) == {"c", "c/checkpoint", "c/checkpoint/state"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--net", "garment", "--device", "cuda"), "--device cuda would do nothing: kopal's own engine trains"),
        (("--net", "garment", "--device", "mps", "--amp", "off"), "--device mps --amp off would do nothing"),
        (("--net", "resnet20", "--engine", "numpy", "--amp", "off"), "add --engine torch, or leave --amp off out"),
        (("--net", "module.py:make_net", "--init", "zero"), "--init zero would do nothing: module.py:make_net starts"),
        (("--net", "timm:resnet10t", "--init", "zero", "--normalise", "image"), "--init zero --normalise image would"),
        (("--net", "garment", "--seed", "18446744073709551616"), "seed 18446744073709551616"),
        (("--seed", "4294967296"), "a whole number from 0 to 4294967295"),
    ],
)
def test_what_would_do_nothing_or_cannot_be_is_refused_before_the_photos_are_read(
    kopal: Kopal, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert words in refused_alike(kopal, photos, *options)
    assert not list(tmp_path.iterdir())


def test_what_asks_for_no_more_than_the_engine_does_is_taken(kopal: Kopal, photos: Path) -> None:
    code, _, err = kopal("train", photos, "--net", "garment", "--device", "cpu", "--seed", 4294967295, "--dry-run")
    assert code == 0, err
