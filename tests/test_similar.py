"""kopal similar: the nearest photos against scikit-learn, features of any model before its head."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from sklearn.neighbors import NearestNeighbors

import kopal.similar as module
from conftest import CLASSES, make_photos
from kopal.backends.onnx_head import before_head
from kopal.classifier import Classifier, load
from kopal.datasets import open_dataset
from kopal.ensemble import combine
from kopal.errors import DataError, UsageError
from kopal.extraction import ModelFeatures, of_model, of_net
from kopal.pipeline import train
from kopal.recipes import recipe
from kopal.run import Run
from kopal.similar import nearest, similar
from linear_models import model, pixels

Kopal = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize("block", [1 << 12, 1 << 25])
def test_the_nearest_are_scikit_learns(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK_BYTES", block)
    monkeypatch.setattr(module, "QUERIES_AT_ONCE", 3)
    rng = np.random.default_rng(0)
    features, queries = (rng.normal(size=(count, 17)).astype(np.float32) for count in (300, 8))
    places, cosines = nearest(features, queries, 12)
    oracle = NearestNeighbors(n_neighbors=12, metric="cosine", algorithm="brute").fit(features)
    distances, wanted = oracle.kneighbors(queries)
    assert places.tolist() == wanted.tolist()
    assert np.allclose(cosines, 1 - distances, atol=1e-5)


def test_of_equally_near_photos_the_first_wins_whatever_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    features = np.zeros((50, 2), np.float32)
    features[:, 0] = 2
    features[40] = (-1, 0)
    for block in (1, 1 << 25):
        monkeypatch.setattr(module, "BLOCK_BYTES", block)
        places, cosines = nearest(features, np.array([[3, 0]], np.float32), 4)
        assert places.tolist() == [[0, 1, 2, 3]]
        assert cosines.tolist() == [[1, 1, 1, 1]]


def test_more_than_there_are_gives_all_and_a_zero_vector_has_no_direction() -> None:
    features = np.array([[1, 0], [0, 0], [-1, 0]], np.float32)
    places, cosines = nearest(features, np.array([[5, 0], [0, 0]], np.float32), 9)
    assert places.tolist() == [[0, 1, 2], [0, 1, 2]]
    assert cosines.tolist() == [[1, 0, -1], [0, 0, 0]]
    assert nearest(features, np.empty((0, 2), np.float32), 2)[0].shape == (0, 2)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 1e30])
def test_numbers_without_bounds_are_an_error(wrong: float) -> None:
    with pytest.raises(DataError, match="not finite, or too large"):
        nearest(np.array([[1, 0], [wrong, 0]], np.float32), np.array([[1, 1]], np.float32), 1)


def test_a_model_of_frozen_features_has_the_features_of_its_net_and_their_place_in_the_cache(trained: Run) -> None:
    own, net = ModelFeatures(trained.classifier), of_net().extractor
    assert own.context == net.context
    assert own.dimension == net.dimension == 1280
    images = pixels(trained.classifier, 2)
    assert np.array_equal(own.features(images), net.features(images))


@pytest.mark.parametrize("head", ["svm", "knn", "naive-bayes", "lda", "tree", "forest", "mlp"])
def test_whatever_the_head_the_features_are_those_of_the_net(photos: Path, tmp_path: Path, head: str) -> None:
    run = train(photos, tmp_path / "run", recipe("quick", head=head, unknown=False))
    assert ModelFeatures(run.classifier).context == of_net().extractor.context


def test_the_head_of_the_graph_makes_scores_of_its_features(trained: Run) -> None:
    classifier, images = trained.classifier, pixels(trained.classifier, 3)
    constants = classifier.constants()
    found = ModelFeatures(classifier).features(images) @ constants["head.weight"].T + constants["head.bias"]
    assert np.allclose(found, classifier.scores(images), atol=1e-4)


def test_a_linear_model_has_its_pixels_and_says_so() -> None:
    extraction = of_model(model(), "model.onnx")
    assert extraction.extractor.dimension == 4 * 5 * 3
    assert "pixels themselves" in extraction.notes[0]


def test_an_ensemble_of_different_nets_has_no_features_but_one_over_a_common_net_has(trained: Run) -> None:
    with pytest.raises(UsageError, match=r"both\.onnx: the graph shows no features[\s\S]*one linear head") as caught:
        of_model(combine([_hidden(0), _hidden(1)]), "both.onnx")
    assert "--net" in caught.value.fix
    graph = trained.classifier.graph()
    bias = next(tensor for tensor in graph.graph.initializer if tensor.name == "head.bias")
    bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) + 1, "head.bias"))
    common = combine([trained.classifier, Classifier.build(graph, trained.classifier.card)])
    assert ModelFeatures(common).dimension == 1280


def test_a_graph_with_neither_a_head_nor_a_linear_layer_has_no_features() -> None:
    graph = model().graph()
    for node in graph.graph.node:
        if node.op_type == "Gemm":
            node.op_type, node.name = "Add", "sum"
    with pytest.raises(UsageError, match="no features"):
        before_head(graph)


def test_a_matrix_product_is_a_head_too() -> None:
    graph = model().graph()
    for node in graph.graph.node:
        if node.op_type == "Gemm":
            features = node.input[0]
            node.op_type, node.name = "MatMul", "product"
            del node.input[2], node.attribute[:]
    kept = before_head(graph)
    assert kept.graph.node[-1].input[0] == features
    assert [value.name for value in kept.graph.output] == ["features"]


def test_the_answers_are_the_sets_own_photos(photos: Path, tmp_path: Path) -> None:
    dataset = open_dataset(photos)
    query = tmp_path / "copy.jpg"
    shutil.copy(dataset.names[5], query)
    found = similar(dataset, [str(query), str(tmp_path / "gone.jpg"), dataset.names[9]], of_net(), top=3)
    first, gone, own = found.answers
    assert [answer.query for answer in found.answers] == [str(query), str(tmp_path / "gone.jpg"), dataset.names[9]]
    assert [near.same_file for near in first.neighbours] == [True, False, False]
    assert first.neighbours[0].name == dataset.names[5]
    assert first.neighbours[0].similarity == pytest.approx(1, abs=1e-5)
    assert gone.unreadable == "no such file"
    assert own.neighbours[0].name == dataset.names[9]


def test_a_query_may_be_a_name_in_a_set_that_is_no_folder(photos: Path, tmp_path: Path, kopal: Kopal) -> None:
    archive = shutil.make_archive(str(tmp_path / "photos"), "zip", photos)
    name = open_dataset(archive).names[0]
    code, out, err = kopal("similar", archive, name, "--top", 2)
    assert code == 0, err
    assert f"{name}  (the same file)" in out


def test_the_command_prints_similarity_class_and_path(kopal: Kopal, photos: Path, trained: Run) -> None:
    query = photos / CLASSES[1] / "1.jpg"
    code, out, err = kopal("similar", photos, query, "--top", 3, "--model", trained.model)
    assert code == 0, err
    rows = out.split(f"\n{query}\n")[1].splitlines()
    assert len(rows) == 3
    assert rows[0].startswith(f"   1.000  {CLASSES[1]}")
    assert rows[0].endswith(f"  {query}  (the same file)")
    assert "before its head: 1280 numbers" in out
    assert out.split(f"\n{query}\n")[1] == kopal("similar", photos, query, "--top", 3)[1].split(f"\n{query}\n")[1]


def test_a_flat_folder_is_read_as_it_is_or_with_the_labels_of_its_names(
    kopal: Kopal, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("flat").mkdir()
    for place, name in enumerate(CLASSES[1:]):
        for letter in "ab":
            shutil.copy(photos / name / f"{ord(letter) - 96}.jpg", f"flat/{letter}{place}.jpg")
    code, out, err = kopal("similar", "flat", "flat/a1.jpg", "--top", 3, "--out", "page.html")
    assert code == 0, err
    rows = out.split("\nflat/a1.jpg\n")[1].splitlines()[:3]
    assert rows[0].split() == ["1.000", "flat/a1.jpg", "(the", "same", "file)"]
    assert all(row.split()[1].startswith("flat/") for row in rows)
    assert 'alt="flat/a1.jpg"' in Path("page.html").read_text(encoding="utf-8")
    code, out, err = kopal("similar", "flat", "flat/a1.jpg", "--labels-from", "prefix")
    assert code == 0, err
    assert "1.000  a  flat/a1.jpg" in out
    code, out, err = kopal("features", "flat", "--out", "flat.csv")
    assert code == 0, err
    assert "flat: 4 files without classes" in out
    assert Path("flat.csv").read_text(encoding="utf-8").splitlines()[1].startswith("flat/a0.jpg,,0,train,")
    assert kopal("similar", "digits", "digits/00042", "--top", 1)[0] == 0
    Path("none").mkdir()
    code, _, err = kopal("similar", "none", "flat/a1.jpg")
    assert code == 2
    assert "no photos in none" in err


def test_json_is_for_scripts_and_an_unreadable_query_ends_with_1(kopal: Kopal, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    code, out, _ = kopal("similar", photos, photos / CLASSES[0] / "2.jpg", tmp_path / "broken.jpg", "--json")
    assert code == 1
    value = json.loads(out)
    assert value["photos"] == 24
    good, bad = value["queries"]
    assert len(good["similar"]) == 12
    assert good["similar"][0]["same_file"] is True
    assert good["similar"][0]["label"] == CLASSES[0]
    assert "ends" in bad["unreadable"]


def test_unreadable_photos_of_the_set_are_listed_and_left_out(kopal: Kopal, tmp_path: Path) -> None:
    root = make_photos(tmp_path / "photos", CLASSES[:2], count=2)
    (root / CLASSES[0] / "bad.jpg").write_bytes(b"no")
    code, out, _ = kopal("similar", root, root / CLASSES[0] / "1.jpg")
    assert code == 0
    assert "1 of 5 files could not be read and are left out:\n  not-an-image  " in out
    assert out.count(f"  {root}{os.sep}") == 1 + 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["gone.jpg"], "no such photo: gone.jpg"),
        (["{photo}", "--top", "0"], "--top"),
        (["{photo}", "--out", "page.txt"], "ends in .html"),
        (["{photo}", "--out", "gone/page.html"], "no such folder"),
        (["{photo}", "--out", "mine.html"], "is there and is no page"),
        (["{photo}", "--model", "gone.onnx"], "cannot read the model"),
        (["{photo}", "--model", "gone.onnx", "--net", "vgg16"], "--model with --net"),
        (["{photo}", "--net", "vgg16"], "add --download"),
        (["{photo}", "--net", "vgg61"], "did you mean"),
    ],
)
def test_bad_input_ends_with_2(
    kopal: Kopal, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.html").write_text("<html>my own</html>")
    photo = str(photos / CLASSES[0] / "1.jpg")
    code, _, err = kopal("similar", photos, *(argument.format(photo=photo) for argument in arguments))
    assert code == 2
    assert words in err
    assert "Traceback" not in err
    assert Path("mine.html").read_text() == "<html>my own</html>"


def _hidden(seed: int) -> Classifier:
    """A small net with a hidden layer, without any training."""
    from kopal.backends.onnx_backend import classifier_model
    from kopal.fit.engine import start
    from kopal.images import Geometry
    from kopal.model_file import Card
    from kopal.nets.registry import build

    net = build("mlp", 3, (8, 8, 1))
    weights = start(net, np.random.default_rng(seed), "he")
    names = ("a", "b", "c")
    return Classifier.build(classifier_model(net, weights, 1.0, 3), Card("mlp", names, Geometry(8, 8, 1), 1.0))


def test_the_features_of_a_net_that_learned_are_its_last_hidden_layer(tmp_path: Path) -> None:
    _hidden(3).save(tmp_path / "mlp.onnx")
    assert ModelFeatures(load(tmp_path / "mlp.onnx")).dimension == 128
