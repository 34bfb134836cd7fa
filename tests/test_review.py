"""A review written by `kopal audit`, edited by its owner, and obeyed by `kopal train`; files stay as they are."""

from __future__ import annotations

import csv
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import CLASSES, make_photos
from kopal.audit import Audit, Finding
from kopal.datasets import Dataset, open_dataset
from kopal.errors import UsageError
from kopal.review import COLUMNS, reviewed, write_review

Kopal = Callable[..., tuple[int, str, str]]


@pytest.fixture
def dataset(photos: Path) -> Dataset:
    return open_dataset(photos)


def of(path: Path, *rows: tuple[str, str]) -> Path:
    path.write_text("".join(f"{line}\n" for line in ("file,action", *(",".join(row) for row in rows))), "utf-8")
    return path


def test_a_review_as_written_changes_nothing(dataset: Dataset, tmp_path: Path) -> None:
    findings = [
        Finding("duplicate", dataset.names[1], (dataset.names[0],), 1.0, "the same, again", "leave out"),
        Finding("shortcut", "", (), 0.5, "size", "review"),
    ]
    write_review(tmp_path / "review.csv", Audit(24).plus(findings), dataset)
    with (tmp_path / "review.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert [row["action"] for row in rows] == ["keep", "keep"]
    assert {row["advised"] for row in rows} == {"leave out", "review"}
    found = reviewed(dataset, tmp_path / "review.csv")
    assert (found.names, found.labels) == (dataset.names, dataset.labels)


def test_what_is_left_out_is_gone_and_what_is_relabelled_has_another_class(dataset: Dataset, tmp_path: Path) -> None:
    names = dataset.names
    path = of(tmp_path / "r.csv", (names[2], " Leave  Out "), (names[3], f"relabel: {CLASSES[2]}"), (names[4], ""))
    found = reviewed(dataset, path)
    assert names[2] not in found.names and len(found) == 23
    assert found.classes[found.labels[found.names.index(names[3])]] == CLASSES[2]
    assert found.labels[found.names.index(names[4])] == dataset.labels[4]
    assert "1 photos are left out and 1 have another class" in found.notes[-1]


def test_a_photo_may_stand_in_two_rows_that_agree(dataset: Dataset, tmp_path: Path) -> None:
    name = dataset.names[2]
    rows = ((name, "keep"), (name, "leave out"), (name, "leave out"))
    assert len(reviewed(dataset, of(tmp_path / "r.csv", *rows))) == 23


@pytest.mark.parametrize(
    ("action", "said"),
    [
        ("delete", "action 'delete'"),
        ("relabel:nothing like it", "action 'relabel:nothing like it'"),
        ("relabel:", "action 'relabel:'"),
    ],
)
def test_an_unknown_action_is_one_clear_error(action: str, said: str, dataset: Dataset, tmp_path: Path) -> None:
    path = of(tmp_path / "r.csv", (dataset.names[0], "keep"), (dataset.names[1], action))
    with pytest.raises(UsageError, match=f"line 3: {said}"):
        reviewed(dataset, path)


def test_unknown_files_are_one_error_for_all_of_them(dataset: Dataset, tmp_path: Path) -> None:
    rows = [(f"nowhere/{number}.jpg", "leave out") for number in range(9)] + [("", "leave out")]
    with pytest.raises(UsageError, match=r"line 2: no photo 'nowhere/0\.jpg'; .*and 5 more") as caught:
        reviewed(dataset, of(tmp_path / "r.csv", *rows))
    assert "leave out or relabel:NAME" in caught.value.expected


def test_two_rows_that_contradict_each_other_are_named(dataset: Dataset, tmp_path: Path) -> None:
    name = dataset.names[0]
    path = of(tmp_path / "r.csv", (name, "leave out"), (name, f"relabel:{CLASSES[1]}"))
    with pytest.raises(UsageError, match=r"line 3: .*line 2 says otherwise"):
        reviewed(dataset, path)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"one,two\n1,2\n",
        b"file,action\nonly-a-file\n",
        b"\xff\xfe\x00",
        b'file,action\n"open,keep\n',
        b"file,action\n" + b"x" * 200_000 + b",keep\n",
    ],
)
def test_what_is_no_review_is_an_error(data: bytes, dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_bytes(data)
    with pytest.raises(UsageError, match=r"r\.csv"):
        reviewed(dataset, tmp_path / "r.csv")


@pytest.mark.parametrize("place", ["nowhere.csv", "."])
def test_a_review_that_is_not_there_is_an_error(place: str, dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        reviewed(dataset, tmp_path / place)


def test_a_spreadsheets_mark_and_semicolons_are_no_trouble(dataset: Dataset, tmp_path: Path) -> None:
    text = f"action;file\r\nleave out;{dataset.names[0]}\r\n"
    (tmp_path / "r.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert len(reviewed(dataset, tmp_path / "r.csv")) == 23


def test_a_path_that_is_spelled_otherwise_leads_to_the_same_photo(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos.parent)
    path = of(tmp_path / "r.csv", (str(photos / CLASSES[0] / "1.jpg"), "leave out"))
    assert len(reviewed(open_dataset(photos.name), path)) == 23


@pytest.mark.skipif(sys.platform != "linux", reason="names of odd bytes")
def test_odd_names_survive_the_way_there_and_back(photos: Path, tmp_path: Path) -> None:
    root = tmp_path / "photos"
    shutil.copytree(photos, root)
    odd = os.fsdecode(os.fsencode(root / CLASSES[0]) + b'/odd\xff,"quoted"\n.jpg')
    os.rename(root / CLASSES[0] / "1.jpg", odd)
    dataset = open_dataset(root)
    path = tmp_path / "r.csv"
    write_review(path, Audit(24, (Finding("blurred", odd, (), 1.0, "why", "review"),)), dataset)
    path.write_text(path.read_text("utf-8").replace("\nkeep", "\nleave out"), "utf-8")
    found = reviewed(dataset, path)
    assert len(found) == 23 and odd not in found.names


def test_train_obeys_a_review_and_touches_no_file(kopal: Kopal, tmp_path: Path) -> None:
    folder = make_photos(tmp_path / "photos", CLASSES, count=5)
    (folder / CLASSES[0] / "again.jpg").write_bytes((folder / CLASSES[0] / "1.jpg").read_bytes())
    before = {path: path.read_bytes() for path in folder.rglob("*.jpg")}
    path = tmp_path / "review.csv"
    code, out, err = kopal("audit", folder, "--out", path)
    assert code == 0, err
    assert f"train PHOTOS --review {path}" in out
    text = path.read_text("utf-8")
    assert "\nkeep,duplicate," in text
    path.write_text(text.replace("\nkeep,duplicate,", "\nleave out,duplicate,"), "utf-8")
    code, out, err = kopal("train", folder, "--review", path, "--effort", "quick", "--out", tmp_path / "out")
    assert code == 0, err
    assert "1 photos are left out" in out
    assert "n = 15" in out
    assert {path: path.read_bytes() for path in folder.rglob("*.jpg")} == before
    code, _, err = kopal("train", folder, "--review", of(tmp_path / "bad.csv", ("no.jpg", "leave out")))
    assert code == 2
    assert "no photo 'no.jpg'" in err and "Traceback" not in err


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda text: text.replace("keep", "leave out", 1), "was edited: 1 of its rows"),
        (lambda text: text.replace("keep", "relabel:green bar"), "was edited: 2 of its rows"),
        (lambda text: "\ufeff" + text.replace("keep", "leave out", 1).replace(",", ";"), "was edited: 1 of its rows"),
        (lambda text: text.replace("advised\n", "advised,notes\n"), "is there and is no audit"),
        (lambda text: text, "no such"),
        (lambda text: text.replace("keep", " Keep "), "no such"),
    ],
)
def test_a_list_that_was_edited_is_not_written_over(
    kopal: Kopal, dataset: Dataset, tmp_path: Path, edit: Callable[[str], str], said: str
) -> None:
    findings = [Finding("outlier", name, (), 1.0, "why", "review") for name in dataset.names[:2]]
    path = tmp_path / "review.csv"
    write_review(path, Audit(24).plus(findings), dataset)
    path.write_text(edit(path.read_text("utf-8")), "utf-8")
    before = path.read_bytes()
    # The photos are not there: what may not be written over is told first, else that there is no such folder.
    code, _, err = kopal("audit", tmp_path / "gone", "--out", path)
    assert code == 2
    assert said in err
    assert ("choose another --out" in err) == (said != "no such")
    assert path.read_bytes() == before


def test_a_new_audit_keeps_what_was_decided_and_goes_on_once_the_list_is_away(kopal: Kopal, tmp_path: Path) -> None:
    root = make_photos(tmp_path / "photos", CLASSES[:2], count=4)
    shutil.copy(root / CLASSES[0] / "1.jpg", root / CLASSES[0] / "copy.jpg")
    path = tmp_path / "rev.csv"
    for _ in range(2):
        assert kopal("audit", root, "--out", path)[0] == 0
    edited = path.read_text("utf-8").replace("keep", "leave out", 1)
    path.write_text(edited, "utf-8")
    code, _, err = kopal("audit", root, "--out", path)
    assert code == 2
    assert "delete it" in err
    assert path.read_text("utf-8") == edited
    path.unlink()
    assert kopal("audit", root, "--out", path)[0] == 0
