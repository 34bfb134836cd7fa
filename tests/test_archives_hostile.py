"""What hostile and damaged archives get: an unreadable photo with its reason, or one clear error."""

from __future__ import annotations

import random
import shutil
import stat
import struct
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from kopal.datasets import members, open_dataset
from kopal.errors import DataError, KopalError, OutputError
from kopal.images import MAX_BYTES
from packed import KINDS, Content, files, pack, refused


def patched(path: Path, name: str, offset: int, value: bytes) -> Path:
    """A zip with the directory's entry for `name` overwritten from `offset` on."""
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\1\2")
    while data[at + 46 : at + 46 + len(name.encode())] != name.encode():
        at = data.index(b"PK\1\2", at + 1)
    data[at + offset : at + offset + len(value)] = value
    path.write_bytes(data)
    return path


# What is not read


def test_a_damaged_photo_is_unreadable_and_the_others_are_read(tmp_path: Path) -> None:
    path = pack(tmp_path / "stored.zip", {"a/1": b"first content", "a/2": b"other content", "b/1": b"x"})
    path.write_bytes(path.read_bytes().replace(b"other content", b"other c0ntent"))
    dataset = open_dataset(path)
    assert refused(dataset) == {"2": "damaged"}
    path = pack(tmp_path / "deflated.zip", {"a/1": bytes(1000), "a/2": bytes(range(256)), "b/1": b"x"})
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo("a/2").header_offset + 30 + len("a/2")
    data = bytearray(path.read_bytes())
    data[start] = 0xFF  # a block type that deflate does not have
    path.write_bytes(data)
    assert refused(open_dataset(path)) == {"2": "damaged"}


def test_members_that_are_locked_or_packed_in_other_ways_are_unreadable(tmp_path: Path) -> None:
    path = pack(tmp_path / "stored.zip", files("a/sound", "a/locked", "a/strange", "a/lost", "b/1"))
    patched(path, "a/locked", 8, struct.pack("<H", 1))
    patched(path, "a/strange", 10, struct.pack("<H", 9))
    patched(path, "b/1", 42, struct.pack("<L", path.stat().st_size))
    assert refused(open_dataset(path)) == {"locked": "encrypted", "strange": "unsupported", "1": "damaged"}


@pytest.mark.parametrize("kind", ["gnu.tar", "pax.tar", "pax.tgz"])
def test_links_and_devices_in_a_tar_are_not_followed(tmp_path: Path, kind: str) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    content = files("a/1", "b/1")
    for name, of in (("soft", tarfile.SYMTYPE), ("hard", tarfile.LNKTYPE), ("dev", tarfile.CHRTYPE), ("fifo", b"6")):
        info = content[f"a/{name}"] = tarfile.TarInfo()
        info.type = of
        info.linkname = str(tmp_path / "secret") if name == "soft" else "a/1"
    up = content["up"] = tarfile.TarInfo()
    up.type, up.linkname = tarfile.SYMTYPE, ".."
    dataset = open_dataset(pack(tmp_path / kind, content))
    assert dataset.classes == ("a", "b")
    assert refused(dataset) == dict.fromkeys(("soft", "hard", "dev", "fifo"), "not-a-file")


def test_links_in_a_zip_are_not_followed(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("a/1", "a/link", "b/1"):
            info = zipfile.ZipInfo(name)
            info.create_system = 3
            info.external_attr = ((stat.S_IFLNK if name == "a/link" else stat.S_IFREG) | 0o777) << 16
            archive.writestr(info, "/etc/passwd")
    assert refused(open_dataset(tmp_path / "a.zip")) == {"link": "not-a-file"}


def test_a_file_with_holes_is_not_read_as_if_it_had_none(tmp_path: Path) -> None:
    holes = tarfile.TarInfo()
    holes.pax_headers = {"GNU.sparse.map": "0,1,4096,1", "GNU.sparse.size": "4097"}
    dataset = open_dataset(pack(tmp_path / "pax.tar", {"a/holes": holes, **files("a/1", "b/1")}))
    assert refused(dataset) == {"holes": "unsupported"}


# Bombs


@pytest.mark.parametrize("kind", ["stored.zip", "deflated.zip", "gnu.tar"])
def test_a_photo_above_the_limit_is_too_large_and_one_at_the_limit_is_read(tmp_path: Path, kind: str) -> None:
    dataset = open_dataset(pack(tmp_path / kind, {"a/at": bytes(MAX_BYTES), "a/above": bytes(MAX_BYTES + 1)}))
    assert refused(dataset) == {"above": "too-large"}


@pytest.mark.parametrize("claimed", [0, 1000])
def test_a_bomb_is_unpacked_no_further_than_it_claims(tmp_path: Path, claimed: int) -> None:
    content: dict[str, Content] = {"a/bomb": bytes(64 << 20), "b/1": b"x"}
    path = patched(pack(tmp_path / "deflated.zip", content), "a/bomb", 24, struct.pack("<L", claimed))
    assert path.stat().st_size < 100_000
    dataset = open_dataset(path)
    tracemalloc.start()
    try:
        assert refused(dataset) == {"bomb": "damaged"}
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_members_that_share_their_bytes_are_a_bomb(tmp_path: Path) -> None:
    path = pack(tmp_path / "deflated.zip", {"a/1": bytes(1000), "b/1": bytes(1000)})
    patched(path, "b/1", 42, struct.pack("<L", 0))
    with pytest.raises(DataError, match="overlap"):
        open_dataset(path)


@pytest.mark.parametrize("kind", ["stored.zip", "gnu.tar", "gnu.tar.gz"])
@pytest.mark.parametrize("content", [files(*(f"a/{n}" for n in range(20))), files("b/" * 20 + "1")])
def test_more_members_or_folders_than_memory_holds_are_refused(
    tmp_path: Path, kind: str, content: dict[str, Content], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = pack(tmp_path / kind, content | files("c/1"))
    assert len(open_dataset(path)) == len(content) + 1
    monkeypatch.setattr(members, "MAX_MEMBERS", 15)
    with pytest.raises(DataError, match="more than 15"):
        open_dataset(path)


def test_a_gzip_bomb_is_left_before_it_fills_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pack(tmp_path / "gnu.tgz", {"a/1": bytes(8 << 20), "b/1": b"x"})
    assert len(open_dataset(path)) == 2
    (tmp_path / "room").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "room"))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("kopal.datasets.gunzip.UNSUSPICIOUS", 1 << 20)
    with pytest.raises(DataError, match="more than 100 times"):
        open_dataset(path)
    monkeypatch.setattr("kopal.datasets.gunzip.UNSUSPICIOUS", 1 << 30)
    usage = shutil.disk_usage(tmp_path)._replace(free=(1 << 30) + 1000)
    monkeypatch.setattr("kopal.datasets.gunzip.shutil.disk_usage", lambda folder: usage)
    with pytest.raises(OutputError, match="no space left"):
        open_dataset(path)
    assert list((tmp_path / "room").iterdir()) == []


# Archives that are damaged as a whole


@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_that_is_cut_short_is_one_clear_error(tmp_path: Path, kind: str) -> None:
    rng = random.Random(0)
    path = pack(tmp_path / kind, {f"{number % 2}/{number}": rng.randbytes(700) for number in range(20)})
    whole = path.read_bytes()
    # A tar's last photo is followed by zeros up to 10 240 bytes.
    end = len(whole) if not kind.endswith(".tar") else len(whole.rstrip(b"\0")) - 512
    for length in (600, end // 3, end // 2 // 512 * 512, end - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match="is damaged") as caught:
            open_dataset(path)
        assert caught.value.expected
        assert caught.value.fix


def test_a_tar_cut_between_two_photos_is_damaged_though_all_its_headers_are_sound(tmp_path: Path) -> None:
    path = pack(tmp_path / "gnu.tar", files("a/1", "b/1"))
    path.write_bytes(path.read_bytes()[:2048])
    with pytest.raises(DataError, match="no file and no end mark at byte 2048"):
        open_dataset(path)


def _header(size: bytes, kind: bytes = b"0") -> bytes:
    """A tar header with a right checksum and any size."""
    header = bytearray(tarfile.TarInfo("a/1").tobuf())
    header[124:136], header[156:157], header[148:156] = size, kind, b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


@pytest.mark.parametrize(
    "header",
    [
        _header(b"\xff" * 11 + b"\0"),
        _header(b"\xff" * 10 + b"\xfe\0", b"x"),
        _header(b"77777777777\0"),
        _header(b"77777777777\0", b"x"),
        _header(b"77777777777\0", b"L"),
        _header(b"\x80" + b"\xff" * 11),
    ],
    ids=["negative", "negative pax", "huge", "huge pax", "huge name", "larger than any file"],
)
def test_a_header_that_lies_about_its_size_is_not_believed(tmp_path: Path, header: bytes) -> None:
    sound = pack(tmp_path / "gnu.tar", files("a/1", "b/1")).read_bytes()
    for place in (0, 1024):
        (tmp_path / "lies.tar").write_bytes(sound[:place] + header + sound[place:])
        with pytest.raises(DataError, match="is damaged"):
            open_dataset(tmp_path / "lies.tar")


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_is_overwritten_there_is_an_answer_or_one_of_our_errors(tmp_path: Path, kind: str) -> None:
    rng = random.Random(kind)
    sound = pack(tmp_path / kind, {**files("a/", "a/1", "kočka/2"), "kočka/" + "x" * 150: b"y" * 600}).read_bytes()
    sound = sound.rstrip(b"\0") + bytes(1024)
    errors = 0
    for _ in range(300):
        data = bytearray(sound)
        for _ in range(rng.randrange(1, 4)):
            data[rng.randrange(len(data))] = rng.choice((0, 255, rng.randrange(256)))
        (tmp_path / kind).write_bytes(data)
        try:
            refused(open_dataset(tmp_path / kind))
        except KopalError:
            errors += 1
    assert 0 < errors < 300
