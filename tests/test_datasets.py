"""A folder becomes the set that its owner means, under any names, or an error that says why not."""

from __future__ import annotations

import os
import sys
import unicodedata
from pathlib import Path

import pytest

from kopal.datasets import Dataset, expand, from_folder
from kopal.datasets.folder import FolderTree
from kopal.datasets.tree import Entry, natural, walk
from kopal.errors import DataError, UnreadableImage, UsageError

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="names that only Linux keeps apart")
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="links and names of POSIX systems")


def put(root: Path, *files: str) -> Path:
    """Empty files; a name that ends in / is an empty folder."""
    for file in files:
        path = root / file
        if file.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file.encode("utf-8", "surrogateescape"))
    return root


def rows(dataset: Dataset, root: Path) -> list[tuple[str, str, str]]:
    """(path below root, class, part)"""
    return [
        (Path(os.path.relpath(name, root)).as_posix(), dataset.classes[label], part)
        for name, label, part in zip(dataset.names, dataset.labels, dataset.parts, strict=True)
    ]


def test_each_folder_is_a_class_and_classes_are_sorted(tmp_path: Path) -> None:
    root = put(tmp_path / "pets", "pes/1.jpg", "alpaka/2.jpg", "kočka/3.jpg", "Zebra/4.jpg")
    dataset = from_folder(root)
    assert dataset.classes == ("Zebra", "alpaka", "kočka", "pes") == tuple(sorted(dataset.classes))
    assert {(name, kind) for name, kind, _ in rows(dataset, root)} == {
        ("pes/1.jpg", "pes"),
        ("alpaka/2.jpg", "alpaka"),
        ("kočka/3.jpg", "kočka"),
        ("Zebra/4.jpg", "Zebra"),
    }
    assert set(dataset.parts) == {"train"}
    assert dataset.title == "pets"
    assert dataset.counts() == [1, 1, 1, 1]
    assert len(dataset) == 4
    assert dataset.read(0) == Path(dataset.names[0]).read_bytes()


def test_folders_1_2_10_are_classes_in_the_order_of_their_names_as_text(tmp_path: Path) -> None:
    assert from_folder(put(tmp_path, "10/a", "2/a", "1/a")).classes == ("1", "10", "2")


def test_files_come_in_natural_order(tmp_path: Path) -> None:
    root = put(tmp_path, *(f"a/photo{number}.jpg" for number in (10, 2, 1, 100, 20)), "a/photo02.jpg", "b/x")
    found = [name for name, kind, _ in rows(from_folder(root), root) if kind == "a"]
    assert found == [f"a/photo{number}.jpg" for number in ("1", "02", "2", "10", "20", "100")]
    assert natural("2") < natural("10")
    assert natural("٣") != natural("3")


def test_droppings_of_systems_and_tools_are_not_photos(tmp_path: Path) -> None:
    root = put(
        tmp_path,
        *("a/1.jpg", "b/1.jpg", "a/.hidden.jpg", "a/Thumbs.db", "a/THUMBS.DB", "a/desktop.ini", "a/._1.jpg"),
        *(".ipynb_checkpoints/1.jpg", "__MACOSX/1.jpg", "a/.ipynb_checkpoints/2.jpg", "a/__MACOSX/3.jpg", ".git/x"),
    )
    dataset = from_folder(root)
    assert [name for name, _, _ in rows(dataset, root)] == ["a/1.jpg", "b/1.jpg"]
    assert dataset.classes == ("a", "b")
    assert dataset.notes == ()


def test_an_empty_class_is_left_out_and_named(tmp_path: Path) -> None:
    dataset = from_folder(put(tmp_path, "a/1", "b/1", "nothing here/", "only droppings/Thumbs.db"))
    assert dataset.classes == ("a", "b")
    assert any("nothing here" in note for note in dataset.notes)
    assert any("only droppings" in note for note in dataset.notes)


def test_files_beside_the_classes_are_left_aside_and_counted(tmp_path: Path) -> None:
    dataset = from_folder(put(tmp_path, "a/1", "b/1", "readme.txt", "labels.csv", ".hidden"))
    assert len(dataset) == 2
    assert any(note.startswith("2 files") for note in dataset.notes)


def test_photos_in_folders_below_a_class_belong_to_it(tmp_path: Path) -> None:
    root = put(tmp_path, "a/1", "a/deep/er/2", "b/x/3", "b/x/y/4")
    assert {(name, kind) for name, kind, _ in rows(from_folder(root), root)} == {
        ("a/1", "a"),
        ("a/deep/er/2", "a"),
        ("b/x/3", "b"),
        ("b/x/y/4", "b"),
    }


@pytest.mark.parametrize("train", ["train", "Training", "TRAIN"])
@pytest.mark.parametrize("second", ["val", "VALID", "Validation", "test", "Testing"])
def test_of_two_parts_the_second_is_the_test_whatever_its_name(tmp_path: Path, train: str, second: str) -> None:
    root = put(tmp_path, f"{train}/a/1", f"{train}/b/2", f"{second}/b/3", f"{second}/a/4")
    assert {(name.split("/", 1)[1], kind, part) for name, kind, part in rows(from_folder(root), root)} == {
        ("a/1", "a", "train"),
        ("b/2", "b", "train"),
        ("a/4", "a", "test"),
        ("b/3", "b", "test"),
    }


@pytest.mark.parametrize(
    "names", [("train", "val", "test"), ("Training", "Validation", "TEST"), ("TRAIN", "valid", "testing")]
)
def test_of_three_parts_the_middle_one_calibrates(tmp_path: Path, names: tuple[str, str, str]) -> None:
    root = put(tmp_path, *(f"{part}/{kind}/1" for part in names for kind in ("a", "b")))
    dataset = from_folder(root)
    wanted = dict(zip(names, ("train", "calibration", "test"), strict=True))
    assert all(wanted[name.split("/")[0]] == part for name, _, part in rows(dataset, root))
    assert dataset.counts("train") == dataset.counts("calibration") == dataset.counts("test") == [1, 1]
    assert len(dataset.only("test")) == 2
    assert dataset.has("calibration")
    assert not dataset.only("train").has("test")


def test_parts_are_matched_by_the_name_of_the_class_and_not_by_its_place(tmp_path: Path) -> None:
    dataset = from_folder(put(tmp_path, "train/a/1", "train/b/1", "train/c/1", "test/c/1"))
    assert dataset.classes == ("a", "b", "c")
    assert dataset.counts("test") == [0, 0, 1]


@LINUX
def test_a_class_written_in_another_unicode_form_in_another_part_is_the_same(tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "kočka") for form in ("NFC", "NFD"))
    dataset = from_folder(put(tmp_path, f"train/{composed}/1", "train/pes/1", f"test/{decomposed}/1", "test/pes/1"))
    assert dataset.classes == (composed, "pes")
    assert dataset.counts("test") == [1, 1]


def test_a_train_folder_alone_is_all_for_training(tmp_path: Path) -> None:
    dataset = from_folder(put(tmp_path, "train/a/1", "train/b/1"))
    assert dataset.classes == ("a", "b")
    assert set(dataset.parts) == {"train"}


def test_classes_that_are_called_train_and_test_are_classes(tmp_path: Path) -> None:
    assert from_folder(put(tmp_path, "train/1.jpg", "test/2.jpg", "bus/3.jpg")).classes == ("bus", "test", "train")


def test_a_class_that_train_lacks_is_an_error_that_names_both_lists(tmp_path: Path) -> None:
    root = put(tmp_path, "train/a/1", "train/b/1", "test/a/1", "test/zebra/1", "test/b/1", "test/empty/")
    with pytest.raises(DataError) as caught:
        from_folder(root)
    assert "zebra" in caught.value.happened
    assert "empty" not in caught.value.happened
    assert "a, b" in caught.value.expected
    assert caught.value.fix


def test_two_folders_for_one_part_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="same part"):
        from_folder(put(tmp_path, "train/a/1", "train/b/1", "val/a/1", "validation/a/1"))


@LINUX
@pytest.mark.parametrize(
    "twins",
    [("Kočka", "kočka"), ("straße", "STRASSE"), tuple(unicodedata.normalize(f, "kočka") for f in ("NFC", "NFD"))],
)
@pytest.mark.parametrize("part", ["", "train/", "test/"])
def test_classes_that_differ_only_by_case_or_form_are_an_error(
    tmp_path: Path, twins: tuple[str, str], part: str
) -> None:
    root = put(tmp_path, "train/pes/1", "train/x/1") if part else tmp_path
    with pytest.raises(DataError, match="differ only by case or Unicode form") as caught:
        from_folder(put(root, *(f"{part}{name}/1" for name in twins), f"{part}pes/1"))
    assert caught.value.fix


@LINUX
def test_a_class_spelled_in_another_case_in_test_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Cat"):
        from_folder(put(tmp_path, "train/cat/1", "train/dog/1", "test/Cat/1"))


@POSIX
def test_links_are_followed_and_loops_are_not(tmp_path: Path) -> None:
    root = put(tmp_path / "set", "a/1", "b/1")
    put(tmp_path / "elsewhere", "2", "deep/3")
    (root / "a" / "more").symlink_to(tmp_path / "elsewhere")
    (root / "a" / "up").symlink_to(root)
    (root / "a" / "self").symlink_to(root / "a")
    (root / "b" / "to a").symlink_to(tmp_path / "elsewhere" / "deep")
    (tmp_path / "elsewhere" / "round").symlink_to(tmp_path / "elsewhere")
    (root / "c").symlink_to(tmp_path / "elsewhere")
    assert {(name, kind) for name, kind, _ in rows(from_folder(root), root)} == {
        ("a/1", "a"),
        ("a/more/2", "a"),
        ("a/more/deep/3", "a"),
        ("b/1", "b"),
        ("b/to a/3", "b"),
        ("c/2", "c"),
        ("c/deep/3", "c"),
    }


class Deep:
    """So many folders, each within the other, and a photo in the last."""

    def __init__(self, depth: int) -> None:
        self.depth = depth

    def entries(self, folder: str) -> list[Entry]:
        last = int(folder) == self.depth
        return [Entry("photo" if last else "folder", str(int(folder) + 1), not last)]

    def identity(self, folder: str) -> str:
        return folder


def test_folders_may_lie_in_one_another_deeper_than_pythons_calls() -> None:
    depth = 5 * sys.getrecursionlimit()
    assert list(walk(Deep(depth), "0")) == [str(depth + 1)]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a path cannot be that long")
def test_a_photo_in_more_than_a_thousand_folders_is_found_to_train_and_to_predict(tmp_path: Path) -> None:
    root = put(tmp_path, "a/1", "b/1")
    here = str(root / "a")
    try:
        for _ in range(1100):
            here += "/d"
            os.mkdir(here)
        assert len(from_folder(root)) == 2, "empty folders hold nothing"
        Path(here, "2").touch()
        assert sorted(map(os.path.basename, from_folder(root).names)) == ["1", "1", "2"]
        assert f"{here}/2" in list(expand([str(root)]))
    finally:  # pytest's own way to delete it calls itself for every folder
        Path(here, "2").unlink(missing_ok=True)
        os.removedirs(here)


def test_a_folder_that_cannot_be_reached_is_one_short_error() -> None:
    for ask in (FolderTree().entries, FolderTree().identity):
        with pytest.raises(UsageError, match="cannot list the folder") as caught:
            ask("d/" * 5000)
        assert len(str(caught.value)) < 700


@POSIX
def test_a_link_that_leads_nowhere_is_a_photo_that_cannot_be_read(tmp_path: Path) -> None:
    root = put(tmp_path, "a/1", "b/1")
    (root / "a" / "dangling.jpg").symlink_to("gone.jpg")
    (root / "a" / "self.jpg").symlink_to("self.jpg")
    (root / "self").symlink_to("self")
    dataset = from_folder(root)
    assert dataset.counts() == [3, 1]
    for index, name in enumerate(dataset.names):
        if name.endswith(".jpg"):
            with pytest.raises(UnreadableImage):
                dataset.read(index)


@POSIX
@pytest.mark.parametrize(
    "name",
    ["žluťoučký kůň", "it's", 'a "b"', "🐈‍⬛", "two\nlines", " space ", "-dash", "a,b;c", "$HOME", "%s{0}", "~", "*?"],
)
def test_any_name_of_a_folder_is_the_name_of_a_class(tmp_path: Path, name: str) -> None:
    root = put(tmp_path, f"{name}/{name}.jpg", "other/1.jpg")
    dataset = from_folder(root)
    assert unicodedata.normalize("NFC", name) in dataset.classes
    assert sorted(rows(dataset, root))[0][0] in {f"{name}/{name}.jpg", "other/1.jpg"}
    assert {dataset.read(0), dataset.read(1)} == {f"{name}/{name}.jpg".encode(), b"other/1.jpg"}


@LINUX
def test_names_that_are_not_utf8_are_read_and_kept(tmp_path: Path) -> None:
    odd = os.fsdecode(b"ko\xe8ka")
    root = put(tmp_path, f"{odd}/{odd}.jpg", "pes/1.jpg")
    dataset = from_folder(root)
    assert odd in dataset.classes
    assert f"{odd}/{odd}.jpg".encode("utf-8", "surrogateescape") in {dataset.read(0), dataset.read(1)}


def test_a_folder_that_is_not_there_or_no_folder_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path, words in (
        ("gone", "no such folder"),
        ("file", "is a file"),
        ("a\0b", "folder"),
        ("x" * 5000, "cannot open"),
    ):
        with pytest.raises(UsageError, match=words) as caught:
            from_folder(tmp_path / path)
        assert caught.value.expected


def test_a_folder_without_photos_is_an_error_that_shows_the_layout(tmp_path: Path) -> None:
    for files in ((), ("a/", "b/"), ("loose.jpg", "loose2.jpg"), ("train/a/", "train/b/")):
        root = put(tmp_path / str(len(files)) / "-".join(files).replace("/", ""), *files)
        root.mkdir(parents=True, exist_ok=True)
        with pytest.raises(DataError, match="no photos") as caught:
            from_folder(root)
        assert "one folder per class" in caught.value.expected


def test_expand_gives_files_as_they_are_and_the_files_in_folders(tmp_path: Path) -> None:
    root = put(tmp_path, "a/10.jpg", "a/9.jpg", "a/.hidden", "one.jpg")
    assert list(expand([str(root / "one.jpg"), str(root / "a")])) == [
        str(root / name) for name in ("one.jpg", "a/9.jpg", "a/10.jpg")
    ]
    # What is missing stays: reading it says so, beside the answers for the rest.
    assert list(expand([str(root / "gone.jpg")])) == [str(root / "gone.jpg")]
