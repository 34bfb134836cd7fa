"""kopal.train from photos to a run folder: what it writes, what it keeps, what it refuses."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import kopal.features as features_room
from conftest import CLASSES, QUICK, draw, make_photos
from kopal.classifier import load
from kopal.datasets import open_dataset
from kopal.errors import DataError, OutputError, UsageError
from kopal.evaluate import evaluate_dataset
from kopal.features import Backbone, read, small_pixels
from kopal.fingerprints import fingerprint
from kopal.fit.backbones import embedded_backbone
from kopal.fit.probe import choose, cross_fit, make_folds
from kopal.log import Ledger
from kopal.pipeline import train
from kopal.plan import Plan
from kopal.recipes import Recipe, recipe
from kopal.run import Run
from kopal.store import Store, cache_folder


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return embedded_backbone("efficientnet-lite0")


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_folder_holds_these_files_and_no_more(trained: Run) -> None:
    names = {path.name for path in trained.folder.iterdir()}
    tables = {"photos.csv", "ledger.csv", "predictions.csv"}
    assert names == {"report.html", "model.onnx", "report.json", "recipe.json"} | tables


def test_the_report_has_what_scripts_read(trained: Run) -> None:
    report = json.loads((trained.folder / "report.json").read_text(encoding="utf-8"))
    assert {"accuracy", "interval", "n", "classes", "confusion", "per_class", "seconds"} <= set(report)
    assert report["classes"] == sorted(CLASSES)
    assert report["n"] == 24 == int(np.sum(report["confusion"]))
    assert report["interval"][0] <= report["accuracy"] <= report["interval"][1]
    assert [row["class"] for row in report["per_class"]] == sorted(CLASSES)


def test_predictions_have_a_row_for_every_photo_and_add_up_to_the_accuracy(trained: Run, photos: Path) -> None:
    predictions = rows(trained.folder / "predictions.csv")
    assert {row["path"] for row in predictions} == {str(path) for path in photos.glob("*/*.jpg")}
    assert np.mean([row["truth"] == row["predicted"] for row in predictions]) == trained.report.accuracy
    assert all(Path(row["path"]).parent.name == row["truth"] for row in predictions)
    for row in predictions:
        said, true = float(row["probability"]), float(row["of_truth"])
        assert true == said if row["truth"] == row["predicted"] else true <= said


def test_the_recipe_is_read_back_as_it_was(trained: Run) -> None:
    value = json.loads((trained.folder / "recipe.json").read_text(encoding="utf-8"))
    assert Recipe.from_json(value) == QUICK
    assert "epochs" not in value  # a knob of the other way of learning
    with pytest.raises(UsageError, match="unknown knobs"):
        Recipe.from_json({**value, "colour": "blue"})


def test_the_straight_line_is_told_noun_by_noun(photos: Path, tmp_path: Path) -> None:
    nouns: list[object] = []
    train(photos, tmp_path / "out", QUICK, log=nouns.append)
    kinds = [type(noun).__name__ for noun in nouns if type(noun).__name__ != "Progress"]
    assert kinds == ["Dataset", "Plan", "Ledger", "Fitted", "Audit", "Unknown", "Run", "Advice"]
    assert any(type(noun).__name__ == "Progress" for noun in nouns)
    plan = next(noun for noun in nouns if isinstance(noun, Plan))
    assert plan.photos == 24
    assert plan.reading_seconds >= 0
    assert plan.fitting_seconds > 0


def test_bad_files_are_listed_before_the_fitting_and_the_rest_is_used(tmp_path: Path) -> None:
    folder = make_photos(tmp_path / "photos", CLASSES[:2], count=6)
    sound = (folder / CLASSES[0] / "1.jpg").read_bytes()
    bad = {
        "text.jpg": b"this is not a picture",
        "zero.png": b"",
        "cut.jpg": sound[: len(sound) // 2],
    }
    for name, data in bad.items():
        (folder / CLASSES[1] / name).write_bytes(data)
    (folder / CLASSES[1] / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    before = {path: path.read_bytes() for path in folder.glob("*/*") if path.exists()}
    nouns: list[object] = []
    run = train(folder, tmp_path / "out", QUICK, log=nouns.append)
    ledger = {Path(row["path"]).name: row for row in rows(run.folder / "ledger.csv")}
    assert set(ledger) == {*bad, "gone.jpg"}
    assert ledger["cut.jpg"]["kind"] == "truncated"
    assert ledger["zero.png"]["kind"] == "empty"
    assert ledger["text.jpg"]["kind"] == "not-an-image"
    import hashlib

    assert ledger["cut.jpg"]["sha256"] == hashlib.sha256(bad["cut.jpg"]).hexdigest()
    assert run.report.n == 12
    order = [type(noun).__name__ for noun in nouns]
    assert order.index("Ledger") < order.index("Fitted")
    assert len(next(noun for noun in nouns if isinstance(noun, Ledger)).rows) == 4
    assert {path: path.read_bytes() for path in folder.glob("*/*") if path.exists()} == before


def test_a_class_left_with_one_photo_stops_and_leaves_no_folder(tmp_path: Path) -> None:
    folder = make_photos(tmp_path / "photos", CLASSES[:2], count=3)
    for number in (1, 2):
        (folder / CLASSES[1] / f"{number}.jpg").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"too few readable photos in blue square \(1\)"):
        train(folder, tmp_path / "out", QUICK)
    assert not (tmp_path / "out").exists()


def test_equal_files_never_stand_in_different_folds(tmp_path: Path, backbone: Backbone) -> None:
    folder = make_photos(tmp_path / "photos", CLASSES, count=6)
    for name in CLASSES:
        for copy in range(4):
            shutil.copy(folder / name / "1.jpg", folder / name / f"copy{copy}.jpg")
    photos, _ = read(open_dataset(folder), backbone, None)
    fold = make_folds(photos.labels, photos.digests, QUICK)
    for digest in set(photos.digests):
        assert len({int(fold[index]) for index, own in enumerate(photos.digests) if own == digest}) == 1


def test_a_test_part_is_measured_and_never_learned_from(tmp_path: Path) -> None:
    make_photos(tmp_path / "data" / "train", CLASSES, count=6)
    make_photos(tmp_path / "data" / "Testing", CLASSES, count=3, first=100)
    run = train(tmp_path / "data", tmp_path / "a", QUICK)
    assert run.report.measured_on == "test part"
    assert run.report.n == 9
    # Other test photos, the same model: nothing of them went into it (the fingerprint of the data aside).
    shutil.rmtree(tmp_path / "data" / "Testing")
    make_photos(tmp_path / "data" / "test", CLASSES, count=4, first=200)
    again = train(tmp_path / "data", tmp_path / "b", QUICK)
    pixels = np.random.default_rng(0).integers(0, 256, (4, *run.classifier.geometry.shape), dtype=np.uint8)
    assert np.array_equal(run.classifier.predict_proba(pixels), again.classifier.predict_proba(pixels))


def test_of_three_parts_the_middle_one_calibrates(tmp_path: Path, backbone: Backbone) -> None:
    for part, count, first in (("train", 6, 0), ("valid", 3, 50), ("test", 3, 100)):
        make_photos(tmp_path / "data" / part, CLASSES, count=count, first=first)
    run = train(tmp_path / "data", tmp_path / "out", QUICK)
    report = json.loads((run.folder / "report.json").read_text(encoding="utf-8"))
    assert report["photos"] == {"train": 18, "calibration": 9, "test": 9}
    assert run.classifier.card.provenance["photos"] == 18


def test_evaluate_on_the_training_layout_measures_the_test_part(tmp_path: Path, trained: Run) -> None:
    make_photos(tmp_path / "data" / "train", CLASSES, count=2)
    make_photos(tmp_path / "data" / "val", CLASSES[:2], count=3, first=300)
    report, ledger, learned = evaluate_dataset(trained.classifier, open_dataset(tmp_path / "data"))
    assert (report.n, report.measured_on, ledger, learned) == (6, "test part", (), 0)


def test_evaluate_names_both_lists_when_the_model_lacks_a_class(tmp_path: Path, trained: Run) -> None:
    make_photos(tmp_path / "data", (*CLASSES, "llama"), count=1)
    with pytest.raises(DataError) as caught:
        evaluate_dataset(trained.classifier, open_dataset(tmp_path / "data"))
    assert "llama" in caught.value.happened
    assert all(name in caught.value.expected for name in CLASSES)


def test_the_second_run_computes_nothing(photos: Path, trained: Run, backbone: Backbone) -> None:
    dataset = open_dataset(photos)
    store = Store(cache_folder(), backbone.context)
    counter = _Counting(backbone)
    first, _ = read(dataset, counter, store)  # type: ignore[arg-type]
    assert counter.runs == 0
    fresh, _ = read(dataset, counter, None)  # type: ignore[arg-type]
    assert counter.runs == 24
    assert np.array_equal(first.features, fresh.features)
    store.close()


def test_a_renamed_photo_hits_a_changed_one_misses_and_so_does_another_net(tmp_path: Path, backbone: Backbone) -> None:
    folder = make_photos(tmp_path / "photos", CLASSES[:2], count=2)
    store = Store(tmp_path / "cache", backbone.context)
    counter = _Counting(backbone)
    read(open_dataset(folder), counter, store)  # type: ignore[arg-type]
    assert counter.runs == 4
    one = folder / CLASSES[0] / "1.jpg"
    one.rename(folder / CLASSES[0] / "renamed.png")
    read(open_dataset(folder), counter, store)  # type: ignore[arg-type]
    assert counter.runs == 4
    size = (folder / CLASSES[0] / "2.jpg").stat().st_size
    draw(1, 77).save(folder / CLASSES[0] / "2.jpg")
    os.truncate(folder / CLASSES[1] / "1.jpg", (folder / CLASSES[1] / "1.jpg").stat().st_size)
    read(open_dataset(folder), counter, store)  # type: ignore[arg-type]
    assert counter.runs == 5, size
    store.close()
    other = embedded_backbone("efficientnet-lite0")
    assert other.context == backbone.context
    changed = Backbone(backbone.net, backbone.weights, type(backbone.geometry)(200, 224))
    assert changed.context != backbone.context


class _Counting:
    """A backbone that counts the photos it is given."""

    def __init__(self, backbone: Backbone) -> None:
        self._backbone = backbone
        self.runs = 0
        self.geometry, self.dimension, self.context = backbone.geometry, backbone.dimension, backbone.context

    def features(self, pixels: np.ndarray) -> np.ndarray:
        self.runs += len(pixels)
        return self._backbone.features(pixels)


def test_small_photos_of_mixed_sizes_become_one_array_as_the_decoder_would_make_it(
    tmp_path: Path, backbone: Backbone
) -> None:
    from kopal import images

    for kind, name in enumerate("ab"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number, size in enumerate([(20, 24), (20, 24), (33, 17)]):
            draw(kind, number, size).save(tmp_path / "photos" / name / f"{number}.jpg")
    photos, _ = read(open_dataset(tmp_path / "photos"), backbone, None)
    found = small_pixels(photos)
    assert found is not None
    pixels, geometry = found
    assert geometry.shape == (24, 20, 3)
    for row, name in zip(pixels, photos.names, strict=True):
        assert np.array_equal(row, images.read(name, geometry))


def test_one_large_photo_means_no_small_pixels(tmp_path: Path, backbone: Backbone) -> None:
    for kind, name in enumerate("ab"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(3):
            size = (80, 20) if (kind, number) == (0, 1) else (20, 20)
            draw(kind, number, size).save(tmp_path / "photos" / name / f"{number}.png")
    store = Store(tmp_path / "cache", backbone.context)
    for _ in range(2):  # computed, then from the store
        photos, _ = read(open_dataset(tmp_path / "photos"), backbone, store)
        assert photos.small is None
    store.close()


def test_balance_lets_a_rare_class_speak() -> None:
    # Two classes that cannot be told apart: the plain fit names the frequent one, the balanced one is undecided.
    rng = np.random.default_rng(0)
    features = rng.normal(size=(440, 4)).astype(np.float32)
    labels = np.repeat([0, 1], [400, 40])
    shares = []
    for made in (recipe(), recipe(balance=True)):
        fold = make_folds(labels, range(440), made)
        tried = cross_fit("noise", features, labels, 2, fold, made, lambda: None)
        found = choose([tried], labels, 2, fold, made)
        shares.append([float(scores.argmax(axis=1).mean()) for scores in (found.scores, found.head.scores(features))])
    assert max(shares[0]) < 0.02
    assert min(shares[1]) > 0.2 and max(shares[1]) < 0.8


def test_the_fingerprint_follows_content_and_labels_not_names(tmp_path: Path, backbone: Backbone) -> None:
    folder = make_photos(tmp_path / "photos", CLASSES[:2], count=3)
    first = fingerprint(read(open_dataset(folder), backbone, None)[0])
    (folder / CLASSES[0] / "1.jpg").rename(folder / CLASSES[0] / "z.jpg")
    assert fingerprint(read(open_dataset(folder), backbone, None)[0]) == first
    (folder / CLASSES[0] / "z.jpg").rename(folder / CLASSES[1] / "z.jpg")
    assert fingerprint(read(open_dataset(folder), backbone, None)[0]) != first


def test_the_default_folder_counts_up(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert train(photos, recipe=QUICK).folder == Path("runs/photos-1")
    assert train(photos, recipe=QUICK).folder == Path("runs/photos-2")


def test_an_interrupted_training_leaves_nothing(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("kopal.ways.learn", stop)
    with pytest.raises(KeyboardInterrupt):
        train(photos, tmp_path / "out", QUICK)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_no_half_run(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("kopal.files.os.fsync", full)
    with pytest.raises(OutputError, match="no space left"):
        train(photos, tmp_path / "out", QUICK)
    assert list(tmp_path.iterdir()) == []


def test_a_cache_that_cannot_be_used_is_said_and_the_work_goes_on(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("KOPAL_CACHE", str(tmp_path / "file"))
    nouns: list[object] = []
    run = train(photos, tmp_path / "out", QUICK, log=nouns.append)
    assert run.report.n == 24
    assert any(type(noun).__name__ == "Note" and "cache" in noun.text for noun in nouns)  # type: ignore[attr-defined]


def test_quick_balanced_and_best_are_recipes_and_others_are_not() -> None:
    assert recipe("quick").folds < recipe("balanced").folds < recipe("best").folds
    assert recipe("best").net == "efficientnet-lite0+efficientnet-lite2"
    assert recipe("best", tune="all").net == recipe("best", weights="none").net == "efficientnet-lite2"
    assert recipe("best", net="efficientnet-lite0").net == "efficientnet-lite0"
    with pytest.raises(UsageError, match="unknown effort"):
        recipe("extreme")


def test_features_are_read_in_order_whatever_the_workers_do(photos: Path, backbone: Backbone) -> None:
    dataset = open_dataset(photos)
    found, _ = read(dataset, backbone, None)
    assert found.names == dataset.names
    reversed_set = dataset.sample(range(len(dataset) - 1, -1, -1))
    again, _ = read(reversed_set, backbone, None)
    np.testing.assert_allclose(again.features[::-1], found.features, atol=1e-5)
    assert features_room.SMALL_SIDE == 64


def test_a_loaded_model_knows_where_it_comes_from(trained: Run) -> None:
    provenance = load(trained.model).card.provenance
    assert provenance["photos"] == 24
    assert provenance["weights"]["licence"] == "Apache-2.0"
    assert len(provenance["data_sha256"]) == 64
