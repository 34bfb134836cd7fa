"""A table of photos is the set that its owner means, as spreadsheets and tools write it, or one error."""

from __future__ import annotations

import codecs
import csv
import io
import sys
from datetime import date
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import CLASSES, QUICK, make_photos
from kopal.datasets import Dataset, open_dataset
from kopal.datasets.columns import SYNONYMS
from kopal.errors import DataError, UnreadableImage, UsageError
from kopal.pipeline import train

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="names of POSIX systems")
FILES = ("img/1.jpg", "img/2.jpg", "img/3.jpg", "img/4.jpg")
LABELS = ("kočka", "pes", "kočka", "pes")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with four files, which hold their own names."""
    (tmp_path / "img").mkdir()
    for name in FILES:
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


def table(folder: Path, text: str | bytes, name: str = "labels.csv", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    return path


def rows(dataset: Dataset, folder: Path) -> list[tuple[str, str, str]]:
    return [
        (Path(name).relative_to(folder).as_posix(), dataset.classes[label], part)
        for name, label, part in zip(dataset.names, dataset.labels, dataset.parts, strict=True)
    ]


def fails(path: Path, **how: str) -> str:
    with pytest.raises((DataError, UsageError)) as caught:
        open_dataset(path, **how)
    assert caught.value.expected
    return str(caught.value)


PLAIN = [(file, label, "train") for file, label in zip(FILES, LABELS, strict=True)]
BODY = list(zip(FILES, LABELS, strict=True))


def written(header: str = "path,label", delimiter: str = ",", end: str = "\r\n", quote: bool = False) -> str:
    file = io.StringIO(newline="")
    how = csv.QUOTE_ALL if quote else csv.QUOTE_MINIMAL
    csv.writer(file, delimiter=delimiter, lineterminator=end, quoting=how).writerows([header.split(","), *BODY])
    return file.getvalue()


WRITINGS = {
    "unix": written(end="\n").encode(),
    "windows": written().encode(),
    "old mac": written(end="\r").encode(),
    "quoted": written(quote=True).encode(),
    "excel utf-8": codecs.BOM_UTF8 + written(delimiter=";").encode(),
    "excel in Europe": written(delimiter=";").encode(),
    "excel says the delimiter": ("sep=;\r\n" + written(delimiter=";")).encode(),
    "excel unicode text": codecs.BOM_UTF16_LE + written(delimiter="\t").encode("utf-16-le"),
    "utf-16 big end first": codecs.BOM_UTF16_BE + written().encode("utf-16-be"),
    "utf-16 without a mark": written().encode("utf-16-le"),
    "tabs": written(delimiter="\t").encode(),
    "blank lines": ("\n\n" + written(end="\n\n") + "\n ,\n").encode(),
    "empty columns": written().replace("\r\n", ",,\r\n").encode(),
    "no end of line at the end": written().rstrip().encode(),
    "spaces": written().replace(",", " , ").encode(),
    "capitals": written("PATH,Label").encode(),
    "windows paths": written().replace("img/", "img\\").encode(),
    "dots": written().replace("img/", "./img/../img/").encode(),
}


@pytest.mark.parametrize("writing", WRITINGS)
def test_however_it_is_written_it_is_the_same_set(folder: Path, writing: str) -> None:
    dataset = open_dataset(table(folder, WRITINGS[writing]))
    assert rows(dataset, folder) == PLAIN
    assert dataset.classes == ("kočka", "pes")
    assert dataset.title == "labels"
    assert [dataset.read(index) for index in range(4)] == [name.encode() for name in FILES]


@pytest.mark.parametrize("name", ["x.tsv", "x.txt", "X.CSV", "x.tab"])
def test_the_ending_only_says_that_it_is_a_table(folder: Path, name: str) -> None:
    assert rows(open_dataset(table(folder, written(), name)), folder) == PLAIN


@pytest.mark.parametrize("word", sorted(SYNONYMS["path"] | {"File Name", "file-path", "Image"}))
def test_the_column_of_the_path_has_many_names(folder: Path, word: str) -> None:
    assert rows(open_dataset(table(folder, written(f"{word},label"))), folder) == PLAIN


@pytest.mark.parametrize("word", sorted(SYNONYMS["label"] | {"Species", "CLASS NAME"}))
def test_the_column_of_the_label_has_many_names(folder: Path, word: str) -> None:
    assert rows(open_dataset(table(folder, written(f"path,{word}"))), folder) == PLAIN


def test_the_right_name_beats_one_that_means_it_and_two_of_those_are_an_error(folder: Path) -> None:
    right = "image,path,label\n" + "\n".join(f"x,{file},{label}" for file, label in BODY)
    assert rows(open_dataset(table(folder, right)), folder) == PLAIN
    for header in ("file,image,label", "path,class,species", "path,path,label"):
        text = f"{header}\n" + "\n".join(f"{file},{label},{label}" for file, label in BODY)
        assert "which is the" in fails(table(folder, text))


def test_paths_may_be_absolute_and_cells_may_hold_delimiters_quotes_and_line_ends(tmp_path: Path) -> None:
    odd = 'a, "b"; \tc.jpg'
    for name in (odd, "plain.jpg"):
        (tmp_path / name).write_bytes(b"x")
    file = io.StringIO(newline="")
    labels = ("one,\ntwo", "plain")
    csv.writer(file).writerows([("path", "label"), (odd, labels[0]), (str(tmp_path / "plain.jpg"), labels[1])])
    dataset = open_dataset(table(tmp_path, file.getvalue()))
    assert [Path(name).name for name in dataset.names] == [odd, "plain.jpg"]
    assert dataset.classes == labels


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("train", "val"), ("train", "test")),
        (("Training", "TEST"), ("train", "test")),
        (("train", "calibration"), ("train", "test")),
        (("train", "dev", "test"), ("train", "calibration", "test")),
        (("train", "calib", "holdout"), ("train", "calibration", "test")),
        (("test",), ("test",)),
    ],
)
def test_the_words_of_a_split_column_are_parts_by_the_rule_of_two_and_three(
    folder: Path, words: tuple[str, ...], wanted: tuple[str, ...]
) -> None:
    lines = [f"{file},{label},{words[index % len(words)]}" for index, (file, label) in enumerate(BODY * 1)]
    labelled = [line.replace("pes", "kočka") for line in lines]  # one class, so that every part has it
    dataset = open_dataset(table(folder, "path,label,split\n" + "\n".join(labelled)))
    assert dataset.parts == tuple(wanted[index % len(words)] for index in range(4))


def test_a_split_column_that_is_empty_is_none_and_one_with_a_gap_or_an_unknown_word_is_an_error(folder: Path) -> None:
    empty = "path,label,split\n" + "\n".join(f"{file},{label}," for file, label in BODY)
    assert set(open_dataset(table(folder, empty)).parts) == {"train"}
    gap = empty.replace("pes,", "pes,train")
    assert "line 2 has no part" in fails(table(folder, gap))
    unknown = empty.replace("kočka,", "kočka,train").replace("2.jpg,pes,", "2.jpg,pes,fold 1")
    assert "line 3 is in the part 'fold 1'" in fails(table(folder, unknown))


def test_a_part_with_a_class_that_train_lacks_is_an_error(folder: Path) -> None:
    text = "path,label,split\nimg/1.jpg,a,train\nimg/2.jpg,b,test\n"
    assert "classes that train lacks: b" in fails(table(folder, text))


def test_a_missing_file_is_a_row_of_the_ledger_and_none_at_all_is_an_error(tmp_path: Path) -> None:
    make_photos(tmp_path / "photos", CLASSES[:2], count=4)
    names = [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.glob("photos/*/*"))]
    lines = [f"{name},{name.split('/')[1]}" for name in [*names, f"photos/{CLASSES[0]}/gone.jpg"]]
    run = train(table(tmp_path, "path,label\n" + "\n".join(lines)), tmp_path / "out", QUICK)
    assert [(row.kind, Path(row.path).name) for row in run.ledger] == [("missing", "gone.jpg")]
    assert run.report.n == 8
    assert "none of the 1 files" in fails(table(tmp_path, "path,label\nnowhere.jpg,a\n"))


def test_one_photo_as_two_things_is_one_error_with_both_lines(folder: Path) -> None:
    text = written() + "\r\n./img/1.jpg,pes\r\n"
    message = fails(table(folder, text))
    assert "two labels: kočka in line 2, pes in line 7" in message
    text = "path,label,split\nimg/1.jpg,a,train\nimg/1.jpg,a,test\n"
    assert "two parts: train in line 2, test in line 3" in fails(table(folder, text))
    text = "path,label,group\nimg/1.jpg,a,x\nimg/1.jpg,a,y\n"
    assert "two groups: x in line 2, y in line 3" in fails(table(folder, text))


def test_one_photo_twice_as_the_same_counts_once_and_is_said(folder: Path) -> None:
    dataset = open_dataset(table(folder, written() + "img/1.jpg,kočka\r\n"))
    assert rows(dataset, folder) == PLAIN
    assert any("1 lines of labels.csv repeat" in note for note in dataset.notes)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("path,label\nimg/1.jpg,\n", "line 2 has no label"),
        ("path,label\nimg/1.jpg,a\n,b\n", "line 3 has no path"),
        ("path,label\nimg/1.jpg\n", "line 2 has 1 cells and the header 2"),
        ("path,label\nimg/1.jpg,a,b\n", "line 2 has 3 cells and the header 2"),
        ('path,label\nimg/1.jpg,a\n"img/2.jpg,b\n', "line 3: unexpected end of data"),
        ('path,label\nimg/1.jpg,"a"b\n', "line 2: "),
        ("path,label\nimg/1.jpg,Pes\nimg/2.jpg,a\nimg/3.jpg,pes\n", "'Pes', line 2, and 'pes', line 4"),
        ("path,label\n", "lists no photos"),
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("img/1.jpg,a\nimg/2.jpg,b\n", "no column of the path"),
        ("path\nimg/1.jpg\n", "no column of the label"),
        (b"path,label\nimg/1.jpg,ko\xe8ka\n", "line 2 is not UTF-8; it looks like a Windows code page"),
        (b"path,label\nimg/1.jpg,\x81\x8d\n", "line 2 is neither UTF-8 nor any Windows code page"),
        (b"path,label\nimg/1.jpg,a\0b\n", "holds zeros"),
        (codecs.BOM_UTF16_LE + b"p\0a", "begins as UTF-16"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "no table"),
    ],
)
def test_what_is_wrong_is_one_error_that_names_the_line(folder: Path, text: str | bytes, words: str) -> None:
    if isinstance(text, bytes) and text.startswith(b"\x89"):
        with pytest.raises(DataError):
            open_dataset(table(folder, text))
        return
    assert words in fails(table(folder, text))


def test_a_code_page_is_shown_as_it_would_read(folder: Path) -> None:
    message = fails(table(folder, "path,label\nimg/1.jpg,façade\n".encode("cp1252")))
    assert "façade" in message
    assert "CSV UTF-8" in message


def test_labels_may_come_from_the_path_where_there_is_no_column_of_them(tmp_path: Path) -> None:
    for name in ("cat/1.jpg", "dog/2.jpg"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"x")
    path = table(tmp_path, "file\ncat/1.jpg\ndog/2.jpg\n")
    assert open_dataset(path, labels_from="parent").classes == ("cat", "dog")
    assert open_dataset(path, labels_from=r"^(\w)").classes == ("c", "d")
    assert "no class in cat/1.jpg" in fails(path, labels_from="(zebra)")
    both = table(tmp_path, "file,class\ncat/1.jpg,x\ndog/2.jpg,y\n")
    assert "has labels, in the column class" in fails(both, labels_from="parent")


def test_parquet_is_read_where_pyarrow_is_there(folder: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = {"image": list(FILES), "class": [0, 1, 0, 1], "split": ["train", "train", "test", "test"]}
    pictures = arrow.array([{"bytes": b"x"}] * 4)
    parquet.write_table(arrow.table({**columns, "pictures": pictures}), folder / "set.parquet")
    dataset = open_dataset(folder / "set.parquet")
    assert rows(dataset, folder) == [
        (file, str(label), part) for file, label, part in zip(*columns.values(), strict=True)
    ]
    parquet.write_table(arrow.table({"path": FILES[:2], "label": ["a", None]}), folder / "gap.parquet")
    assert "row 2 has no label" in fails(folder / "gap.parquet")
    (folder / "broken.parquet").write_bytes(b"PAR1" + bytes(50))
    assert "no Parquet file, or damaged" in fails(folder / "broken.parquet")


def binding(kind: str) -> Any:
    """A column of a kind that binds the first two photos, and the other two."""
    arrow = pytest.importorskip("pyarrow")
    days = [date(2024, 1, 1)] * 2 + [date(2024, 1, 2)] * 2
    if kind == "string_view" and not hasattr(arrow, "string_view"):
        pytest.skip("this pyarrow has no string_view")
    return {
        "date": lambda: arrow.array(days),
        "timestamp": lambda: arrow.array([1, 1, 2, 2], arrow.timestamp("ns")),
        "with its zone": lambda: arrow.array([1, 1, 2, 2], arrow.timestamp("us", "UTC")),
        "time": lambda: arrow.array([1, 1, 2, 2], arrow.time64("us")),
        "decimal": lambda: arrow.array([Decimal("1.50")] * 2 + [Decimal("2.50")] * 2),
        "string_view": lambda: arrow.array(list("aabb"), arrow.string_view()),
        "large_string": lambda: arrow.array(list("aabb"), arrow.large_string()),
        "category": lambda: arrow.array(list("aabb")).dictionary_encode(),
        "truth": lambda: arrow.array([True, True, False, False]),
    }[kind]()


KINDS = ("date", "timestamp", "with its zone", "time", "decimal", "string_view", "large_string", "category", "truth")


@pytest.mark.parametrize("kind", KINDS)
def test_what_binds_photos_or_names_their_class_in_parquet_is_read_whatever_its_type(folder: Path, kind: str) -> None:
    column = binding(kind)
    arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    path = folder / "set.parquet"
    parquet.write_table(arrow.table({"path": FILES, "label": LABELS, "group": column, "seen": column}), path)
    for dataset in (open_dataset(path), open_dataset(path, group="seen")):
        first, second, third, fourth = dataset.groups
        assert first == second != third == fourth
        assert None not in dataset.groups
    parquet.write_table(arrow.table({"path": FILES, "label": column}), path)
    assert open_dataset(path).labels in ((0, 0, 1, 1), (1, 1, 0, 0))


def test_a_column_of_parquet_that_is_no_text_is_refused_by_name_and_type_where_it_is_asked_for(folder: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = folder / "set.parquet"
    plain = {"path": arrow.array(FILES), "label": arrow.array(LABELS)}
    broken = arrow.array([b"\xff"] * 4, arrow.binary()).view(arrow.string())
    odd = {
        "of type binary": arrow.array([b"x"] * 4),
        "of type struct<bytes: binary>": arrow.array([{"bytes": b"x"}] * 4),
        "of type list<": arrow.array([["x"]] * 4),
        "text that is not UTF-8": broken,
    }
    for words, column in odd.items():
        for kind in ("path", "label", "split", "group"):
            parquet.write_table(arrow.table({**plain, kind: column}), path)
            said = fails(path)
            assert f"the column {kind}, {words}" in said
            assert f"for the {kind}" in said
        parquet.write_table(arrow.table({**plain, "Patient": column}), path)
        assert not open_dataset(path).groups, "what is not asked for may be anything"
        assert f"the column Patient, {words}" in fails(path, group="patient")
    parquet.write_table(arrow.table({**plain, "image": odd["of type struct<bytes: binary>"]}), path)
    assert len(open_dataset(path)) == 4, "beside the path a picture is no second one"


def test_a_damaged_parquet_is_a_set_or_one_error_and_never_anything_else(folder: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = folder / "set.parquet"
    columns = {"path": FILES, "label": LABELS, "group": binding("timestamp"), "weight": binding("decimal")}
    parquet.write_table(arrow.table(columns), path)
    whole, rng, refused = path.read_bytes(), np.random.default_rng(0), 0
    for _ in range(200):
        data = bytearray(whole)
        for place in rng.integers(0, len(data), rng.integers(1, 4)):
            data[place] = rng.integers(0, 256)
        path.write_bytes(data)
        try:
            open_dataset(path)
        except (DataError, UsageError) as error:
            assert error.expected
            refused += 1
    assert refused > 50


def test_parquet_without_pyarrow_names_the_command(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (folder / "set.parquet").write_bytes(b"PAR1")
    with pytest.raises(UsageError, match="pyarrow is not installed") as caught:
        open_dataset(folder / "set.parquet")
    assert caught.value.fix == "pip install 'kopal[parquet]'"


def test_a_table_trains_the_same_model_as_the_folder(photos: Path, tmp_path: Path) -> None:
    names = sorted(photos.glob("*/*"))
    text = "path,label\n" + "\n".join(f"{name},{name.parent.name}" for name in names)
    run, other = (train(data, tmp_path / out, QUICK) for data, out in ((table(tmp_path, text), "a"), (photos, "b")))
    assert run.report.accuracy == pytest.approx(other.report.accuracy, abs=0.1)
    assert run.classifier.classes == other.classifier.classes
    fingerprints = [each.classifier.card.provenance["data_sha256"] for each in (run, other)]
    assert fingerprints[0] == fingerprints[1]


def test_a_damaged_table_is_a_set_or_one_error_and_never_anything_else(folder: Path) -> None:
    rng = np.random.default_rng(0)
    whole = list(WRITINGS.values())
    opened = 0
    for number in range(400):
        data = bytearray(whole[number % len(whole)])
        for place in rng.integers(0, len(data), rng.integers(1, 6)):
            data[place] = rng.choice([0, 10, 13, 34, 44, 59, 92, 255, rng.integers(256)])
        try:
            opened += len(open_dataset(table(folder, bytes(data[: rng.integers(1, 2 * len(data))])))) > 0
        except (DataError, UsageError) as error:
            assert error.happened
            assert error.expected
    assert 20 < opened < 380


@POSIX
def test_a_file_whose_name_holds_a_backslash_is_itself(tmp_path: Path) -> None:
    (tmp_path / "a\\1.jpg").write_bytes(b"x")
    dataset = open_dataset(table(tmp_path, "path,label\na\\1.jpg,a\n"))
    assert dataset.read(0) == b"x"


def test_a_link_out_or_a_folder_in_a_table_is_a_row_that_cannot_be_read(folder: Path) -> None:
    dataset = open_dataset(table(folder, "path,label\nimg,a\nimg/1.jpg,b\n"))
    with pytest.raises(UnreadableImage, match="not a regular file"):
        dataset.read(0)
