"""An archive is the set that its folder would be, however it was packed and its names are spelled."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import struct
import sys
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from conftest import CLASSES, make_photos
from kopal.datasets import Dataset, Packed, expand_archives, open_dataset
from kopal.datasets.archive import inner_path
from kopal.datasets.folder import FolderTree
from kopal.datasets.tree import Entry
from kopal.errors import DataError, UnreadableImage, UsageError
from kopal.run import Run
from packed import KINDS, Content, files, pack

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="names of POSIX systems")


def unpack(folder: Path, content: dict[str, Content]) -> Path:
    for name, data in content.items():
        place = folder / name
        (place if data is None else place.parent).mkdir(parents=True, exist_ok=True)
        if isinstance(data, bytes):
            place.write_bytes(data)
    return folder


def told(dataset: Dataset, root: Path) -> list[tuple[str, str, str, bytes]]:
    """(path below root, class, part, content)"""
    return [
        (name.removeprefix(str(root)).replace(os.sep, "/"), dataset.classes[label], part, dataset.read(index))
        for index, (name, label, part) in enumerate(zip(dataset.names, dataset.labels, dataset.parts, strict=True))
    ]


LAYOUTS = {
    "classes": files("pes/1.jpg", "alpaka/2.jpg", "kočka/3.jpg", "Zebra/4.jpg"),
    "decomposed": files(unicodedata.normalize("NFD", "kočka") + "/1", "pes/1"),
    "order": files(*(f"a/photo{number}.jpg" for number in (10, 2, 1, 100, 20, "02")), "b/x"),
    "parts": files(*(f"{part}/{kind}/{part}" for part in ("Training", "val", "TEST") for kind in ("a", "b")), "x.csv"),
    "two parts": files("train/a/1", "train/b/2", "valid/b/3", "valid/a/4", "notes/"),
    "deep": files("a/1", "a/deep/er/2", "b/x/3", "b/x/y/4", "c/9", "c/d/10"),
    "droppings": files("a/1", "b/1", "a/._1.jpg", "a/Thumbs.db", "__MACOSX/a/._1", ".DS_Store", ".git/x/y"),
    "left aside": files("a/1", "b/1", "empty/", "only/Thumbs.db", "x.txt", "runs/1/report.json", "runs/1/model.onnx"),
    "odd names": files("it's/1", "🐈/ space ", "%s{0}/-dash", "a,b;c/" + "long" * 40, "x" * 120 + "/1"),
    "nested archive": files("a/1", "a/more.zip", "b/1"),
}  # fmt: skip
ERRORS = {
    "case": files("Kočka/1", "kočka/1", "pes/1"),
    "form": files(*(unicodedata.normalize(form, "kočka") + "/1" for form in ("NFC", "NFD"))),
    "extra": files("train/a/1", "train/b/1", "test/a/1", "test/zebra/1"),
    "twice": files("train/a/1", "train/b/1", "val/a/1", "validation/a/1"),
    "nothing": files("a/", "b/"),
    "loose": files("1.jpg", "2.jpg"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_archive_is_the_set_that_its_folder_is(tmp_path: Path, kind: str, layout: str) -> None:
    content = LAYOUTS[layout]
    folder, archive = unpack(tmp_path / "folder", content), pack(tmp_path / kind, content)
    ours, theirs = open_dataset(archive), open_dataset(folder)
    assert told(ours, archive) == told(theirs, folder)
    assert ours.classes == theirs.classes
    assert [note for note in ours.notes if "compressed as a whole" not in note] == list(theirs.notes)
    assert ours.title == kind.partition(".")[0]
    assert all(name.startswith(f"{archive}/") for name in ours.names)


@POSIX
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layout", ERRORS)
def test_an_archive_is_refused_for_what_its_folder_is_refused_for(tmp_path: Path, kind: str, layout: str) -> None:
    folder, archive = unpack(tmp_path / "folder", ERRORS[layout]), pack(tmp_path / kind, ERRORS[layout])
    said = []
    for data in (folder, archive):
        with pytest.raises(DataError) as caught:
            open_dataset(data)
        said.append(caught.value)
    assert said[1].happened == said[0].happened.replace(str(folder), str(archive))
    assert said[1].expected == said[0].expected


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("top", ["photos", "./photos", "data/set/photos"])
def test_a_single_top_folder_is_entered(tmp_path: Path, kind: str, top: str) -> None:
    inside = files("train/cat/1", "train/dog/2", "test/cat/3", "test/dog/4")
    content = {f"{top}/{name}": data for name, data in inside.items()} | {"__MACOSX/photos/._1": b"x"}
    dataset = open_dataset(pack(tmp_path / kind, content))
    assert dataset.classes == ("cat", "dog")
    assert dataset.counts("test") == [1, 1]
    assert dataset.names[0] == f"{tmp_path / kind}/{top.removeprefix('./')}/train/cat/1"


def test_a_file_beside_the_top_folder_is_left_aside_and_named(tmp_path: Path) -> None:
    dataset = open_dataset(pack(tmp_path / "stored.zip", files("set/cat/1", "set/dog/1", "LICENSE")))
    assert dataset.classes == ("cat", "dog")
    assert any("LICENSE" in note for note in dataset.notes)


def test_a_single_class_is_not_taken_for_a_top_folder(tmp_path: Path) -> None:
    assert open_dataset(pack(tmp_path / "stored.zip", files("cat/1", "cat/2"))).classes == ("cat",)
    assert open_dataset(pack(tmp_path / "gnu.tar", files("photos/cat/1", "photos/cat/2"))).classes == ("cat",)


@pytest.mark.parametrize("kind", ["stored.zip", "deflated.zip", "gnu.tar", "gnu.tar.gz"])
@pytest.mark.parametrize("positioned", [True, False])
def test_many_threads_read_at_once(
    tmp_path: Path, kind: str, positioned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not positioned:  # as on Windows
        monkeypatch.delattr(os, "pread", raising=False)
    rng = random.Random(0)
    content = {f"{number % 3}/{number}": rng.randbytes(rng.randrange(20_000)) for number in range(200)}
    dataset = open_dataset(pack(tmp_path / kind, content))
    order = rng.choices(range(len(dataset)), k=4000)
    with ThreadPoolExecutor(8) as pool:
        for index, data in zip(order, pool.map(dataset.read, order), strict=True):
            assert data == content[dataset.names[index].removeprefix(f"{tmp_path / kind}/")]


def test_an_archive_is_told_by_its_content_and_not_by_its_name(tmp_path: Path) -> None:
    content = files("a/1", "b/1")
    pack(tmp_path / "stored.zip", content).rename(tmp_path / "photos")
    pack(tmp_path / "gnu.tar", content).rename(tmp_path / "photos.zip")
    assert open_dataset(tmp_path / "photos").classes == open_dataset(tmp_path / "photos.zip").classes == ("a", "b")
    for name, data in (("text.zip", b"text"), ("zero.tar", b""), ("old.RAR", b"Rar!"), ("x.tar.xz", b"\xfd7zXZ\0")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DataError, match="no zip, tar or gzipped tar") as caught:
            open_dataset(tmp_path / name)
        assert caught.value.fix
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(UsageError, match="is a file"):
        open_dataset(tmp_path / "photo.jpg")


def test_gzip_of_something_else_is_not_unpacked(tmp_path: Path) -> None:
    (tmp_path / "photo.gz").write_bytes(gzip.compress(b"photo" * 1000))
    with pytest.raises(DataError, match="holds no tar"):
        open_dataset(tmp_path / "photo.gz")


# Names


@pytest.mark.parametrize(
    ("name", "inner"),
    [
        ("cat/1.jpg", "cat/1.jpg"),
        ("./cat//1.jpg", "cat/1.jpg"),
        ("cat\\1.jpg", "cat/1.jpg"),
        ("cat/..jpg", "cat/..jpg"),
        ("cat/", "cat"),
        ("./", ""),
        ("../cat/1.jpg", None),
        ("cat/../../1.jpg", None),
        ("..\\1.jpg", None),
        ("/etc/passwd", None),
        ("\\\\host\\share", None),
        ("C:\\cat\\1.jpg", None),
        ("c:cat/1.jpg", None),
        ("cat/1\0.jpg", None),
        ("a/" * 65 + "b", None),
        ("x" * 5000, None),
    ],
)
def test_no_name_leads_out(name: str, inner: str | None) -> None:
    assert inner_path(name) == inner


@POSIX
@pytest.mark.parametrize("kind", ["stored.zip", "pax.tar", "pax.tgz"])
def test_members_with_names_that_lead_out_are_left_aside_and_said(tmp_path: Path, kind: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    bad = files("../evil/1", "/absolute/1", "C:\\evil\\1", "a/../../up")
    dataset = open_dataset(pack(home / kind, files("a/1", "b/1") | bad))
    assert len(dataset) == 2
    assert any("../evil/1" in note and "and 1 more" in note for note in dataset.notes)
    assert sorted(path.name for path in tmp_path.rglob("*")) == sorted(["home", kind])


def test_folders_written_with_backslashes_are_folders(tmp_path: Path) -> None:
    path = pack(tmp_path / "stored.zip", files("cat|1.jpg", "dog|2.jpg"))
    path.write_bytes(path.read_bytes().replace(b"|", b"\\"))
    assert open_dataset(path).classes == ("cat", "dog")


def test_names_in_utf8_without_the_flag_for_it_are_read_as_utf8(tmp_path: Path) -> None:
    path = pack(tmp_path / "stored.zip", files("kočka/1", "pes/1"))
    raw = path.read_bytes()
    assert struct.pack("<HH", 20, 0x800) in raw
    path.write_bytes(raw.replace(struct.pack("<HH", 20, 0x800), struct.pack("<HH", 20, 0)))
    dataset = open_dataset(path)
    assert dataset.classes == ("kočka", "pes")
    assert dataset.notes == ()


def test_names_that_are_not_utf8_are_code_page_437_and_that_is_said(tmp_path: Path) -> None:
    path = pack(tmp_path / "stored.zip", files("caf?/1", "pes/1"))
    path.write_bytes(path.read_bytes().replace(b"caf?", b"caf\x82"))
    dataset = open_dataset(path)
    assert dataset.classes == ("café", "pes")
    assert any("437" in note for note in dataset.notes)


def test_a_name_kept_in_utf8_beside_the_plain_one_is_taken(tmp_path: Path) -> None:
    true = "kočka/1".encode()
    for checksum, wanted in ((zlib.crc32(b"ko_ka/1"), "kočka"), (0, "ko_ka")):
        info = zipfile.ZipInfo("ko_ka/1")
        info.extra = struct.pack("<HHBL", 0x7075, 5 + len(true), 1, checksum) + true
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.writestr(info, b"x")
            archive.writestr("pes/1", b"x")
        assert open_dataset(tmp_path / "a.zip").classes == (wanted, "pes")


@POSIX
def test_names_in_a_tar_that_are_not_utf8_are_those_of_the_folder(tmp_path: Path) -> None:
    odd = os.fsdecode(b"ko\xe8ka")
    path = tmp_path / "odd.tar"
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT, encoding="utf-8", errors="surrogateescape") as archive:
        for name in (f"{odd}/1", "pes/1"):
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    assert set(open_dataset(path).classes) == {odd, "pes"}


@pytest.mark.parametrize("kind", ["stored.zip", "gnu.tar"])
def test_of_two_members_with_one_name_the_later_counts_as_when_unpacked(tmp_path: Path, kind: str) -> None:
    content = {"a/1": b"early", "./a/1": b"late", "b": b"a file", "b/1": b"b", "c/1": b"c"}
    dataset = open_dataset(pack(tmp_path / kind, content))
    assert [dataset.read(index) for index in range(len(dataset))] == [b"late", b"b", b"c"]
    assert any("more than once" in note and "./a/1" in note and "b/1" in note for note in dataset.notes)


# On the command line


def test_train_and_evaluate_take_an_archive(
    kopal: Callable[..., tuple[int, str, str]], trained: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = make_photos(tmp_path / "folder", count=4)
    content: dict[str, Content] = {
        f"{name}/{photo.name}": photo.read_bytes() for name in CLASSES for photo in sorted((folder / name).iterdir())
    }
    pack(Path("stored.zip"), content | {f"{CLASSES[1]}/zero.jpg": b""}).rename("photos.zip")
    pack(Path("gnu.tar.gz"), content).rename("photos.tgz")
    code, out, err = kopal("train", "photos.zip", "--effort", "quick", "--out", "run")
    assert code == 0, err
    assert "photos: 13 files in 3 classes" in out
    assert f"photos.zip/{CLASSES[1]}/zero.jpg" in Path("run/ledger.csv").read_text(encoding="utf-8")
    said = [kopal("evaluate", trained.model, data, "--json") for data in ("folder", "photos.tgz")]
    assert said[0] == said[1]
    assert said[0][0] == 0
    (tmp_path / "photos.zip").write_bytes((tmp_path / "photos.zip").read_bytes()[:5000])
    code, _, err = kopal("train", "photos.zip")
    assert code == 2
    assert "error: photos.zip is damaged" in err


def test_a_bad_archive_among_photos_is_a_row_with_its_reason_and_the_rest_is_answered(
    kopal: Callable[..., tuple[int, str, str]], trained: Run, photos: Path, tmp_path: Path
) -> None:
    bad, one, folder, csv = tmp_path / "bad.zip", photos / CLASSES[0] / "1.jpg", photos / CLASSES[1], tmp_path / "o.csv"
    whole = pack(tmp_path / "stored.zip", {"1.jpg": one.read_bytes()})
    for content, reason in ((b"text", "is no zip, tar or gzipped tar"), (whole.read_bytes()[:5000], "is damaged")):
        bad.write_bytes(content)
        arguments = ("predict", trained.model, one, bad, whole, folder)
        code, out, err = kopal(*arguments, "--csv", csv)
        assert code == 1
        rows = [line.split("\t") for line in out.splitlines()]
        assert [row[0] for row in rows[:3]] == [str(one), str(bad), f"{whole}/1.jpg"]
        assert rows[1][1] == "unreadable"
        assert reason in rows[1][2]
        assert len(rows) == 3 + 8
        assert "1 of 11 files could not be read" in err
        assert len(csv.read_text(encoding="utf-8").splitlines()) == 1 + 11
        code, out, _ = kopal(*arguments, "--json")
        assert code == 1
        assert [reason in answer.get("unreadable", "") for answer in json.loads(out)[:3]] == [False, True, False]


def test_a_folder_that_cannot_be_listed_does_not_take_the_rest_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("locked", "open"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.jpg").touch()
    listed = FolderTree.entries

    def entries(tree: FolderTree, folder: str) -> list[Entry]:
        if folder.endswith("locked"):
            raise UsageError(f"cannot list the folder {folder}: permission denied")
        return listed(tree, folder)

    monkeypatch.setattr(FolderTree, "entries", entries)
    locked, photo = expand_archives([str(tmp_path / "locked"), str(tmp_path / "open")])
    assert photo == str(tmp_path / "open" / "1.jpg")
    assert isinstance(locked, Packed)
    with pytest.raises(UnreadableImage, match="permission denied"):
        locked.read()
