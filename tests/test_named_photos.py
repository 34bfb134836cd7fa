"""Where folders are not the classes: metadata.csv, classes in file names, groups in paths or columns."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from conftest import QUICK, draw, make_photos
from kopal.datasets import Dataset, check_groups, open_dataset
from kopal.datasets.reading import prefix
from kopal.errors import DataError, UnreadableImage, UsageError
from kopal.features import read
from kopal.fit.backbones import embedded_backbone
from kopal.fit.probe import make_folds
from kopal.pipeline import train
from packed import KINDS, files, pack


def put(root: Path, content: dict[str, str]) -> Path:
    for name, text in content.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text or name, encoding="utf-8")
    return root


def named(*names: str) -> dict[str, str]:
    return dict.fromkeys(names, "")


def rows(dataset: Dataset, root: Path) -> list[tuple[str, str, str]]:
    return [
        (name.removeprefix(str(root)).lstrip("/\\").replace("\\", "/"), dataset.classes[label], part)
        for name, label, part in zip(dataset.names, dataset.labels, dataset.parts, strict=True)
    ]


def fails(data: object, **how: str) -> str:
    with pytest.raises((DataError, UsageError)) as caught:
        open_dataset(data, **how)  # type: ignore[arg-type]
    assert caught.value.expected
    return str(caught.value)


METADATA = "file_name,label\n1.jpg,cat\nsub/2.jpg,dog\n"
PHOTOS = named("1.jpg", "sub/2.jpg")


def test_metadata_beside_the_photos_gives_their_labels(tmp_path: Path) -> None:
    dataset = open_dataset(put(tmp_path, {**PHOTOS, "metadata.csv": METADATA}))
    assert rows(dataset, tmp_path) == [("1.jpg", "cat", "train"), ("sub/2.jpg", "dog", "train")]
    assert dataset.read(1) == b"sub/2.jpg"
    assert dataset.title == tmp_path.name
    assert not dataset.notes


def test_each_part_may_have_a_metadata_of_its_own(tmp_path: Path) -> None:
    content = {
        f"{part}/{name}": text
        for part in ("train", "validation", "test")
        for name, text in {**PHOTOS, "metadata.csv": METADATA}.items()
    }
    dataset = open_dataset(put(tmp_path, content))
    parts = {name.split("/")[0]: part for name, _, part in rows(dataset, tmp_path)}
    assert parts == {"train": "train", "validation": "calibration", "test": "test"}
    assert len(dataset) == 6
    (tmp_path / "test" / "metadata.csv").unlink()
    assert "test has no metadata.csv" in fails(tmp_path)


def test_one_metadata_above_the_parts_keeps_them_apart(tmp_path: Path) -> None:
    text = "file_name,label\ntrain/1.jpg,cat\ntrain/2.jpg,dog\ntest/1.jpg,cat\n"
    content = {**named("train/1.jpg", "train/2.jpg", "test/1.jpg"), "metadata.csv": text}
    assert open_dataset(put(tmp_path, content)).parts == ("train", "train", "test")


def test_metadata_without_labels_leaves_the_word_to_the_folders(tmp_path: Path) -> None:
    content = {**named("cat/1.jpg", "dog/2.jpg"), "metadata.csv": "file_name,text\ncat/1.jpg,a cat\n"}
    dataset = open_dataset(put(tmp_path, content))
    assert dataset.classes == ("cat", "dog")
    assert any("metadata.csv has no columns file_name and label" in note for note in dataset.notes)


def test_metadata_of_other_kinds_is_not_read_and_said(tmp_path: Path) -> None:
    put(tmp_path, {**PHOTOS, "metadata.jsonl": '{"file_name": "1.jpg", "label": "cat"}'})
    dataset = open_dataset(tmp_path)
    assert dataset.classes == ("sub",)
    assert any("metadata.jsonl is not read: save it as metadata.csv" in note for note in dataset.notes)


def test_photos_that_metadata_does_not_name_are_left_aside_and_said(tmp_path: Path) -> None:
    dataset = open_dataset(put(tmp_path, {**PHOTOS, **named("3.jpg", "notes.txt"), "metadata.csv": METADATA}))
    assert len(dataset) == 2
    assert any("2 files that metadata.csv does not name left aside: 3.jpg, notes.txt" in note for note in dataset.notes)


def test_a_photo_that_is_named_and_not_there_is_a_row_of_the_ledger_and_none_at_all_an_error(tmp_path: Path) -> None:
    dataset = open_dataset(put(tmp_path, {**named("1.jpg"), "metadata.csv": METADATA}))
    with pytest.raises(UnreadableImage, match="no such file"):
        dataset.read(1)
    (tmp_path / "1.jpg").unlink()
    assert "none of the 2 files in metadata.csv is there" in fails(tmp_path)


@pytest.mark.parametrize("odd", [".", "./", "/", "..", "sub/..", "\\"])
def test_a_path_that_names_a_folder_is_a_photo_that_cannot_be_read(tmp_path: Path, odd: str) -> None:
    dataset = open_dataset(put(tmp_path, {**PHOTOS, "metadata.csv": f"{METADATA}{odd},dog\n"}))
    assert len(dataset) == 3
    with pytest.raises(UnreadableImage):
        dataset.read(2)


def test_an_error_in_metadata_names_the_line(tmp_path: Path) -> None:
    assert "metadata.csv, line 3 has no label" in fails(
        put(tmp_path, {**PHOTOS, "metadata.csv": METADATA.replace("dog", "")})
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("top", ["", "photos/"])
def test_metadata_in_an_archive_works_as_in_a_folder(tmp_path: Path, kind: str, top: str) -> None:
    content = {f"{top}{name}": data for name, data in files(*PHOTOS).items()}
    path = pack(tmp_path / kind, {**content, f"{top}metadata.csv": (METADATA + "../gone.jpg,dog\n").encode()})
    dataset = open_dataset(path)
    assert [(name, kind) for name, kind, _ in rows(dataset, path)][:2] == [
        (f"{top}1.jpg", "cat"),
        (f"{top}sub/2.jpg", "dog"),
    ]
    assert dataset.read(1) == b"sub/2.jpg"
    with pytest.raises(UnreadableImage, match="no such file in the archive"):
        dataset.read(2)


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("cat_001.jpg", "cat"),
        ("cat.12.jpg", "cat"),
        ("deep/er/cat-7.png", "cat"),
        ("great_pyrenees_12.jpg", "great_pyrenees"),
        ("cat (3).jpg", "cat"),
        ("cat_2024-11-05.jpeg", "cat"),
        ("kočka 4", "kočka"),
        ("7up_12.jpg", "7up"),
        ("cat12.jpg", "cat"),
        ("cat.jpg", None),
        ("12.jpg", None),
        ("cat_3_small.jpg", None),
    ],
)
def test_a_prefix_is_the_name_before_its_last_numbers(path: str, label: str | None) -> None:
    assert prefix(path) == label


def test_labels_come_from_the_names_of_a_flat_folder(tmp_path: Path) -> None:
    put(tmp_path, named("cat_1.jpg", "dog_1.jpg", "more/cat_2.jpg", "readme.txt", ".hidden_1.jpg"))
    dataset = open_dataset(tmp_path, labels_from="prefix")
    assert {(name, kind) for name, kind, _ in rows(dataset, tmp_path)} == {
        ("cat_1.jpg", "cat"),
        ("dog_1.jpg", "dog"),
        ("more/cat_2.jpg", "cat"),
    }
    assert dataset.notes == ("1 files left aside, whose names do not say a class: readme.txt",)
    assert "--labels-from prefix" in fails(put(tmp_path / "flat", named("cat_1.jpg", "dog_1.jpg")))


def test_a_regular_expression_is_searched_in_the_path_below_the_set(tmp_path: Path) -> None:
    put(tmp_path, named("2024/x-cat-1.jpg", "2024/y-dog-2.jpg", "2025/x-cat-3.jpg"))
    for pattern in (r"\w-(\w+)-", r"(?P<label>cat|dog)-(\d)"):
        assert open_dataset(tmp_path, labels_from=pattern).classes == ("cat", "dog")
    assert open_dataset(tmp_path, labels_from=r"^(\d{4})/").classes == ("2024", "2025")
    assert open_dataset(tmp_path, labels_from="parent").classes == ("2024", "2025")


def test_flat_parts_are_parts_and_runs_of_kopal_are_left_aside(tmp_path: Path) -> None:
    put(tmp_path, named(*(f"{part}/{kind}_{n}.jpg" for part in ("train", "val") for kind in "ab" for n in (1, 2))))
    put(tmp_path, named("train/runs/1/report.json", "train/runs/1/model.onnx"))
    dataset = open_dataset(tmp_path, labels_from="prefix")
    assert dataset.counts("train") == dataset.counts("test") == [2, 2]
    assert any("kopal's own runs" in note for note in dataset.notes)


def test_most_names_without_a_class_are_an_error_and_so_are_classes_that_differ_by_case(tmp_path: Path) -> None:
    put(tmp_path, named("cat_1.jpg", "x.jpg", "y.jpg"))
    assert "the names of 2 of 3 files" in fails(tmp_path, labels_from="prefix")
    assert "differ only by case" in fails(put(tmp_path / "b", named("Cat_1", "cat_2")), labels_from="prefix")


@pytest.mark.parametrize("option", ["labels_from", "group"])
@pytest.mark.parametrize("pattern", ["cat", "(a)(b)", "(unclosed", "*", ""])
def test_a_pattern_that_cannot_be_is_one_error(tmp_path: Path, option: str, pattern: str) -> None:
    message = fails(put(tmp_path, named("a/1", "b/1")), **{option: pattern})
    assert f"--{option.replace('_', '-')} {pattern}" in message


def test_named_sets_and_open_sets_have_no_use_for_either() -> None:
    assert "a set that has its labels" in fails("digits", group="(x)")
    assert "a set that has its labels" in fails(open_dataset("digits"), labels_from="prefix")


GROUPED = ("a/x_1.jpg", "a/x_2.jpg", "a/y_1.jpg", "b/x_3.jpg", "b/z_1.jpg", "b/none.jpg")


def test_groups_come_from_the_path(tmp_path: Path) -> None:
    dataset = open_dataset(put(tmp_path, named(*GROUPED)), group=r"/(\w)_\d")
    found = dict(zip((Path(name).name for name in dataset.names), dataset.groups, strict=True))
    assert found["x_1.jpg"] == found["x_3.jpg"] == "x"
    assert found["none.jpg"] is None
    assert any("5 photos in 3 groups, which no split separates; 1 photos are of none" in n for n in dataset.notes)
    check_groups(dataset)
    assert "finds no group" in fails(tmp_path, group="(zebra)")


def test_groups_come_from_a_column_by_its_name_or_by_theirs(tmp_path: Path) -> None:
    put(tmp_path, named("1", "2", "3", "4"))
    text = "path,label,group,Patient\n1,a,g,p\n2,a,h,q\n3,b,g,r\n4,b,,p\n"
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    assert open_dataset(tmp_path / "t.csv").groups == ("g", "h", "g", None)
    assert open_dataset(tmp_path / "t.csv", group="patient").groups == ("p", "q", "r", "p")
    assert open_dataset(tmp_path / "t.csv", group="(\\d)").groups == ("1", "2", "3", "4")
    assert "one of the columns path, label, group, Patient" in fails(tmp_path / "t.csv", group="doctor")


def test_a_class_of_one_group_cannot_be_learned_and_judged(tmp_path: Path) -> None:
    put(tmp_path, named("a/x_1", "a/x_2", "b/y_1", "b/z_1"))
    dataset = open_dataset(tmp_path, group=r"/(\w)_")
    with pytest.raises(DataError, match="all photos of class a are of one group, x"):
        check_groups(dataset)
    with pytest.raises(DataError, match="all photos of class a are of one group, x"):
        train(tmp_path, tmp_path / "out", group=r"/(\w)_")
    assert not (tmp_path / "out").exists()


def test_a_group_on_both_sides_of_the_owners_parts_is_said(tmp_path: Path) -> None:
    put(tmp_path, named("train/a/x_1", "train/a/y_1", "train/b/z_1", "train/b/z_2", "test/a/x_2", "test/b/w_1"))
    dataset = open_dataset(tmp_path, group=r"/(\w)_")
    assert any("1 groups stand on both sides" in note and note.endswith(": x") for note in dataset.notes)


def test_no_fold_separates_a_group(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    for kind, name in enumerate("ab"):
        (root / name).mkdir(parents=True)
        for number in range(9):
            draw(kind, number).save(root / name / f"animal{number // 3}_{number}.jpg")
    dataset = open_dataset(root, group=r"(\w/animal\d)")
    photos, _ = read(dataset, embedded_backbone("efficientnet-lite0"), None)
    fold = make_folds(photos.labels, photos.groups, QUICK)
    for group in set(dataset.groups):
        inside = np.array([own == group for own in dataset.groups])
        assert inside.sum() == 3
        assert len(set(fold[inside])) == 1
    apart = make_folds(photos.labels, np.arange(len(photos)), QUICK)
    assert any(len({int(apart[i]) for i, own in enumerate(dataset.groups) if own == g}) > 1 for g in dataset.groups)


def test_the_command_line_and_python_have_the_same_words(
    kopal: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_photos(tmp_path / "photos", ("cat", "dog"), count=4)
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in (tmp_path / "photos").glob("*/*"):
        shutil.copy(path, flat / f"{path.parent.name}_{path.name}")
    monkeypatch.chdir(tmp_path)
    arguments = ("flat", "--labels-from", "prefix", "--group", r"(_\d)", "--effort", "quick")
    code, out, err = kopal("train", *arguments, "--out", "out")  # type: ignore[operator]
    assert code == 0, err
    assert "flat: 8 files in 2 classes" in out
    assert "8 photos in 4 groups" in out
    run = train("flat", tmp_path / "again", QUICK, labels_from="prefix", group=r"(_\d)")
    assert run.classifier.classes == ("cat", "dog")
    code, out, err = kopal("evaluate", "out/model.onnx", "flat", "--labels-from", "prefix")  # type: ignore[operator]
    assert code == 0, err
