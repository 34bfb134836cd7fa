"""kopal features: the numbers of any layer against PyTorch's, in files that other tools read."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from conftest import CLASSES, make_photos
from kopal import extraction, images
from kopal.datasets import open_dataset
from kopal.errors import DataError, OutputError, UsageError
from kopal.extraction import extract, of_net
from kopal.feature_table import ARRAYS, COLUMNS, is_feature_table, write_features
from kopal.features import Photos
from kopal.files import writing
from kopal.nets.describe import output_shape
from kopal.nets.places import cut_at, places
from kopal.nets.registry import NAMES, build
from kopal.run import Run
from kopal.store import Store, cache_folder

Kopal = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def taken(photos: Path) -> Photos:
    return extract(open_dataset(photos), of_net())[0]


def test_npz_has_every_array_without_pickle(taken: Photos, tmp_path: Path) -> None:
    out = tmp_path / "features.npz"
    write_features(out, taken, {"net": "some"})
    with np.load(out, allow_pickle=False) as table:
        assert tuple(table.files) == ARRAYS
        assert table["features"].dtype == np.float32
        assert np.array_equal(table["features"], taken.features)
        assert table["classes"][table["labels"]].tolist() == [Path(name).parent.name for name in table["paths"]]
        assert table["digests"].tolist() == [digest.hex() for digest in taken.digests]
        assert set(table["parts"]) == {"train"}
        assert json.loads(str(table["about"])) == {"net": "some"}


def test_csv_gives_every_float_back_exactly(taken: Photos, tmp_path: Path) -> None:
    out = tmp_path / "features.csv"
    odd = replace(taken, names=('a "b",\r\n\udcff.jpg', *taken.names[1:]))
    write_features(out, odd, {})
    with out.open(newline="", encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    assert head == [*COLUMNS, *(f"f{column}" for column in range(1280))]
    assert rows[0][0] == 'a "b",\r\n\\udcff.jpg'
    assert [row[1] for row in rows] == [taken.classes[label] for label in taken.labels]
    assert np.array_equal(np.array([row[5:] for row in rows], np.float32), taken.features)


def test_parquet_is_one_list_a_row(taken: Photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr("kopal.feature_table.ROWS_AT_ONCE", 7)
    out = tmp_path / "features.parquet"
    write_features(out, taken, {"net": "some"})
    table = parquet.read_table(out)
    assert table.column_names == [*COLUMNS, "features"]
    assert np.array_equal(np.array(table["features"].to_pylist(), np.float32), taken.features)
    assert table["class"].to_pylist() == [taken.classes[label] for label in taken.labels]
    assert table["path"].to_pylist() == list(taken.names)
    assert json.loads(table.schema.metadata[b"kopal"]) == {"net": "some"}
    assert is_feature_table(out)


def test_parquet_without_pyarrow_names_the_command(
    kopal: Kopal, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    code, _, err = kopal("features", photos, "--out", tmp_path / "f.parquet")
    assert code == 2
    assert "pip install 'kopal[parquet]'" in err


def test_a_failure_leaves_the_earlier_file(taken: Photos, tmp_path: Path) -> None:
    out = tmp_path / "features.csv"
    write_features(out, taken, {})
    before = out.read_bytes()
    with pytest.raises(RuntimeError), writing(out) as file:
        file.write(b"half")
        raise RuntimeError
    assert out.read_bytes() == before
    with pytest.raises(OutputError, match="no space"), writing(out) as file:
        raise OSError(28, "No space left on device")
    assert [path.name for path in tmp_path.iterdir()] == ["features.csv"]


def test_a_layer_of_vgg16_gives_the_lectures_4096_numbers() -> None:
    assert output_shape(cut_at(build("vgg16"), "fc7")) == (4096,)


def test_a_layer_has_the_numbers_that_pytorch_gives(photos: Path) -> None:
    torch = pytest.importorskip("torch")
    from kopal.backends.torch_backend import forward

    dataset = open_dataset(photos).sample([0, 9, 17])
    found = of_net("resnet20", "conv3.1", weights="none", seed=5)
    taken, _ = extract(dataset, found, cache=False)
    body = cut_at(build("resnet20"), "conv3.1")
    weights = {name: torch.from_numpy(array) for name, array in found.extractor.weights.items()}
    pixels = np.stack([images.read(name, found.extractor.geometry) for name in dataset.names])
    with torch.no_grad():
        wanted = forward(body, weights, torch.from_numpy(pixels), channels_last=False).numpy()
    assert found.shape == wanted.shape[1:]
    assert np.allclose(taken.features, wanted.reshape(3, -1), atol=1e-4)
    pooled, _ = extract(dataset, of_net("resnet20", "conv3.1", pool=True, weights="none", seed=5), cache=False)
    assert np.allclose(pooled.features, wanted.mean((2, 3)), atol=1e-4)


def test_random_weights_follow_the_seed_and_not_the_cut() -> None:
    one, same, other = (of_net("garment", "relu4", weights="none", seed=seed).extractor for seed in (1, 1, 2))
    deeper = of_net("garment", "head", weights="none", seed=1).extractor
    assert one.context == same.context != other.context
    assert all(np.array_equal(array, deeper.weights[name]) for name, array in one.weights.items())


def test_the_features_before_the_head_are_those_that_training_keeps(trained: Run, photos: Path) -> None:
    found = of_net()
    digest = extract(open_dataset(photos), found)[0].digests[0]
    assert digest in Store(cache_folder(), found.extractor.context).get([digest])


@pytest.mark.parametrize("name", NAMES)
def test_every_place_of_every_net_can_be_cut_at(name: str) -> None:
    net = build(name)
    assert {path.split(".")[0] for path in places(net)} == set(net.stages())
    for path in list(places(net))[::7]:
        assert cut_at(net, path).stages()[-1] == path.split(".")[0]


@pytest.mark.parametrize(
    ("net", "at", "words"),
    [
        ("vgg16", "fc", "did you mean fc7 or fc6"),
        ("vgg16", "conv5_4", "conv5_3"),
        ("resnet18", "conv3.1.residual.body.conv1", "cannot be cut inside[^?]*did you mean conv3.1.residual\\?"),
        ("googlenet", "inception3a.branch2.conv", "cannot be cut inside[^?]*did you mean inception3a\\?"),
        ("resnet18", "conv3.9", "did you mean conv3"),
        ("vgg16", "", "kopal nets vgg16 shows"),
    ],
)
def test_a_layer_that_is_not_there_gets_the_closest_names(net: str, at: str, words: str) -> None:
    with pytest.raises(UsageError, match=words.replace("[^?]*", r"[\s\S]*")):
        cut_at(build(net), at)


def test_more_features_than_fit_are_refused_before_any_photo_is_read(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extraction, "MOST_BYTES", 100_000)
    with pytest.raises(DataError, match="24 photos with 1280 numbers each are"):
        extract(open_dataset(photos), of_net())
    with pytest.raises(DataError, match="--pool"):
        extract(open_dataset(photos), of_net("efficientnet-lite0", "stage1"))


def test_the_command_says_what_it_took_and_where_it_is(
    kopal: Kopal, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = kopal("features", photos)
    assert code == 0, err
    assert "efficientnet-lite0 before its head: 1280 numbers" in out
    assert "saved in features.npz, 0.1 MB: 24 rows of 1280" in out
    assert "saved in features-2.npz" in kopal("features", photos)[1]
    assert "saved in features.npz" in kopal("features", photos, "--out", "features.npz")[1]
    out = kopal("features", photos, "--at", "stage3", "--out", "f.csv")[1]
    assert "at stage3: 40 x 28 x 28, flattened to 31360 numbers" in out
    out = kopal("features", photos, "--at", "stage3", "--pool", "--out", "f.csv")[1]
    assert "40 x 28 x 28, the mean of each plane, 40 numbers" in out
    out = kopal("features", photos, "--net", "garment", "--weights", "none", "--out", "f.csv")[1]
    assert "note: the weights are random (seed 0)" in out


def test_a_models_own_features(kopal: Kopal, photos: Path, trained: Run, tmp_path: Path, taken: Photos) -> None:
    code, _, err = kopal("features", photos, "--model", trained.model, "--out", tmp_path / "own.npz")
    assert code == 0, err
    with np.load(tmp_path / "own.npz", allow_pickle=False) as table:
        assert np.array_equal(table["features"], taken.features)
        assert json.loads(str(table["about"]))["model"] == trained.classifier.digest


def test_unreadable_photos_are_listed_and_left_out(kopal: Kopal, tmp_path: Path) -> None:
    root = make_photos(tmp_path / "photos", CLASSES[:2], count=2)
    (root / CLASSES[0] / "bad.jpg").write_bytes(b"no")
    code, out, _ = kopal("features", root, "--out", tmp_path / "f.npz")
    assert code == 0
    assert "1 of 5 files could not be read" in out
    assert len(np.load(tmp_path / "f.npz", allow_pickle=False)["features"]) == 4
    for photo in root.glob("*/*"):
        photo.write_bytes(b"no")
    code, _, err = kopal("features", root, "--out", tmp_path / "g.npz")
    assert code == 2
    assert "none of the photos can be read" in err
    assert not (tmp_path / "g.npz").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--out", "f.txt"], "ends in .npz, .parquet, .csv"),
        (["--out", "gone/f.npz"], "no such folder"),
        (["--out", "folder.npz"], "is a folder"),
        (["--out", "mine.npz"], "is there and is no file of features"),
        (["--out", "mine.csv"], "is there and is no file of features"),
        (["--at", "fc9"], "no layer 'fc9'"),
        (["--net", "vgg16"], "--weights none"),
        (["--weights", "all"], "auto, imagenet, none, or a file"),
        (["--net", "linear", "--weights", "none", "--pool"], "leave out --pool"),
        (["--model", "x.onnx", "--at", "fc7", "--pool"], "--model with --at and --pool"),
    ],
)
def test_bad_input_ends_with_2(
    kopal: Kopal, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder.npz").mkdir()
    np.savez("mine.npz", features=np.ones(3))
    shutil.copy("mine.npz", "copy.npz")
    Path("mine.csv").write_text("path,class\n")
    code, _, err = kopal("features", photos, *arguments)
    assert code == 2
    assert words in err
    assert "Traceback" not in err
    assert Path("mine.npz").read_bytes() == Path("copy.npz").read_bytes()
    assert Path("mine.csv").read_text() == "path,class\n"
