"""`kopal train photos/ --preview sheet.png`: what the net will see, and nothing is trained."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import CLASSES, make_photos
from kopal.datasets import open_dataset
from kopal.errors import DataError
from kopal.fit import scratch
from kopal.preview import TRIED, preview
from kopal.recipes import recipe

Kopal = Callable[..., tuple[int, str, str]]
LIGHT = recipe(net="mlp", augment="light")


def size(picture: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(picture)).size


@pytest.mark.parametrize("net", ["mlp", "garment", "resnet18"])
def test_a_sheet_of_a_folder_and_of_a_named_set(kopal: Kopal, photos: Path, tmp_path: Path, net: str) -> None:
    for data in (photos, "digits"):
        sheet = tmp_path / f"{Path(data).name}.png"
        code, out, err = kopal("train", data, "--net", net, "--augment", "strong", "--preview", sheet)
        assert code == 0, err
        assert "nothing was trained" in out
        width, height = size(sheet.read_bytes())
        assert width > 800
        assert height > 300
    assert sorted(path.name for path in tmp_path.iterdir()) == ["digits.png", "photos.png"]


def test_the_sheet_names_classes_and_preset(photos: Path) -> None:
    words = preview(photos, LIGHT, "svg").decode()
    for name in ("červená", "blue square", "green bar", "Augmentation: light", "epoch 7"):
        assert name in words


def test_the_sheet_is_the_same_each_time_and_another_with_another_seed(photos: Path) -> None:
    assert preview(photos, LIGHT) == preview(photos, LIGHT)
    assert preview(photos, LIGHT) != preview(photos, recipe(net="mlp", augment="light", seed=1))


def test_many_classes_give_as_many_rows_as_fit(tmp_path: Path) -> None:
    many = make_photos(tmp_path / "photos", tuple(f"class {number}" for number in range(9)), 2)
    words = preview(many, LIGHT, "svg").decode()
    assert sum(f"class {number}" in words for number in range(9)) == 6


def test_the_photos_are_at_the_size_that_the_net_will_see() -> None:
    small, large = (recipe(net="mlp", image_size=side) for side in (8, 32))
    dataset = open_dataset("digits")
    assert scratch.geometry(small, dataset).shape != scratch.geometry(large, dataset).shape
    assert preview("digits", small) != preview("digits", large)


def test_broken_first_photos_are_passed_over(tmp_path: Path) -> None:
    root = make_photos(tmp_path / "photos", count=3)
    whole = preview(root, LIGHT, "svg").decode()
    for name in CLASSES:
        (root / name / "0.jpg").write_bytes(b"no photo")
    assert preview(root, LIGHT, "svg").decode() == whole


def test_a_class_without_a_readable_photo_is_left_out_and_none_at_all_is_an_error(tmp_path: Path) -> None:
    root = make_photos(tmp_path / "photos", count=2)
    for path in (root / "green bar").iterdir():
        path.write_bytes(b"no photo")
    words = preview(root, LIGHT, "svg").decode()
    assert "blue square" in words
    assert "green bar" not in words
    for path in root.rglob("*.jpg"):
        path.write_bytes(b"no photo")
    with pytest.raises(DataError, match="none of the first photos can be read"):
        preview(root, LIGHT)


def test_only_the_first_photos_of_a_class_are_tried(tmp_path: Path) -> None:
    root = make_photos(tmp_path / "photos", count=1)
    for name in CLASSES:
        (root / name / "1.jpg").rename(root / name / "z.jpg")
        for number in range(TRIED):
            (root / name / f"a{number}.jpg").write_bytes(b"no photo")
    with pytest.raises(DataError):
        preview(root, LIGHT)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--net", "mlp", "--preview", "sheet.jpg"), "sheet.jpg"),
        (("--net", "mlp", "--augment", "wild", "--preview", "sheet.png"), "wild"),
        (("--preview", "sheet.png"), "--preview would do nothing"),
    ],
)
def test_bad_input_is_one_clear_error(
    kopal: Kopal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, options: tuple[str, ...], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = kopal("train", "digits", *options)
    assert code == 2
    assert err.startswith("error: ")
    assert words in err
    assert out == ""
    assert not list(tmp_path.iterdir())


def test_the_photo_itself_is_untouched_by_reading_it(photos: Path) -> None:
    before = {path: path.read_bytes() for path in photos.rglob("*.jpg")}
    preview(photos, recipe(net="mlp", augment="strong"))
    assert all(path.read_bytes() == data for path, data in before.items())
    assert np.all([len(data) > 0 for data in before.values()])
