"""The sets that have a name and need no download."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from kopal import images
from kopal.datasets import NAMED, fashion_mnist_folder, named, open_dataset
from kopal.errors import DataError, UsageError
from kopal.images import Geometry


def test_digits_are_a_set_that_is_always_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    dataset = open_dataset("digits")
    assert len(dataset) == 1797
    assert dataset.classes == tuple("0123456789")
    assert images.read(dataset.read(0), Geometry(8, 8, 1)).shape == (8, 8, 1)
    theirs = load_digits()
    assert np.array_equal(dataset.labels, theirs.target)
    pixels = np.stack([images.read(dataset.read(index), Geometry(8, 8, 1))[..., 0] for index in range(50)])
    assert np.abs(pixels / 255 * 16 - theirs.images[:50]).max() < 0.05


def test_a_folder_called_digits_goes_before_the_set_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        (tmp_path / "digits" / name).mkdir(parents=True)
        (tmp_path / "digits" / name / "1").touch()
    monkeypatch.chdir(tmp_path)
    assert open_dataset("digits").classes == ("a", "b")


def test_fashion_mnist_is_the_published_set_or_says_how_to_get_it() -> None:
    if fashion_mnist_folder() is None:
        with pytest.raises(UsageError, match="not on this machine") as caught:
            NAMED["fashion-mnist"]()
        assert "dataset-fashion-mnist" in caught.value.fix
        return
    dataset = NAMED["fashion-mnist"]()
    assert dataset.counts("train") == [6000] * 10
    assert dataset.counts("test") == [1000] * 10
    assert dataset.classes == tuple(sorted(named.FASHION_CLASSES))
    assert dataset.classes[dataset.labels[0]] == "Ankle boot"
    assert images.read(dataset.read(0), Geometry(28, 28, 1)).shape == (28, 28, 1)


@pytest.mark.parametrize(
    "data", [b"", b"\0\0\x08", b"\0\0\x08\1\0\0\0\5abc", b"\0\0\x0b\1\0\0\0\1a", b"text" * 9, b"\0\0\x08\0"]
)
def test_a_damaged_idx_file_is_an_error(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(data)
    with pytest.raises(DataError, match="damaged"):
        named._idx(tmp_path, "t10k-labels-idx1-ubyte")
    (tmp_path / "train-labels.gz").write_bytes(gzip.compress(b"x" * 99)[:-9])
    with pytest.raises(DataError, match="cannot be read"):
        named._idx(tmp_path, "train-labels")
    with pytest.raises(DataError, match="lacks"):
        named._idx(tmp_path, "train-images")
