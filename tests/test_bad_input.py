"""Bad input gets one clear error: what happened, what was expected, how to fix it; exit code 2, no traceback."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from conftest import CLASSES, make_photos
from kopal.run import Run

Kopal = Callable[..., tuple[int, str, str]]
posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX file system")


@pytest.fixture
def fails(kopal: Kopal) -> Callable[..., str]:
    """Run a command that must fail as bad input does; returns its one message."""

    def call(*arguments: object) -> str:
        code, _, err = kopal(*arguments)
        assert code == 2, err
        assert err.startswith("error: ")
        assert err.count("error:") == 1
        assert "Traceback" not in err
        assert "expected: " in err or "to fix: " in err
        return err

    return call


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    return make_photos(tmp_path / "photos", CLASSES[:2], count=2)


def test_a_missing_folder(fails: Callable[..., str], tmp_path: Path) -> None:
    assert "no such folder" in fails("train", tmp_path / "nowhere")


def test_a_file_instead_of_a_folder(fails: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"x")
    assert "is a file" in fails("train", tmp_path / "photo.jpg")


def test_one_class(fails: Callable[..., str], tmp_path: Path) -> None:
    make_photos(tmp_path / "photos", CLASSES[:1])
    assert "only one class" in fails("train", tmp_path / "photos")


def test_no_photos(fails: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    (tmp_path / "photos" / "dog").mkdir()
    assert "no photos" in fails("train", tmp_path / "photos")


def test_photos_without_class_folders(fails: Callable[..., str], tmp_path: Path) -> None:
    make_photos(tmp_path / "photos", CLASSES[:1])
    assert "one folder per class" in fails("train", tmp_path / "photos" / CLASSES[0])


@posix
def test_class_names_that_differ_only_by_case(fails: Callable[..., str], tmp_path: Path) -> None:
    make_photos(tmp_path / "photos", ("Pes", "pes"), count=2)
    assert "differ only by case or Unicode form" in fails("train", tmp_path / "photos")


@posix
def test_class_names_that_differ_only_by_unicode_form(fails: Callable[..., str], tmp_path: Path) -> None:
    make_photos(tmp_path / "photos", ("ko\u010dka", "koc\u030cka"), count=2)
    assert "differ only by case or Unicode form" in fails("train", tmp_path / "photos")


def test_all_photos_broken(fails: Callable[..., str], pair: Path, tmp_path: Path) -> None:
    for photo in pair.glob("*/*"):
        photo.write_bytes(b"broken")
    message = fails("train", pair, "--out", tmp_path / "out")
    assert "too few readable photos" in message
    assert not (tmp_path / "out").exists()


def test_a_class_with_one_photo(fails: Callable[..., str], pair: Path) -> None:
    (pair / CLASSES[0] / "1.jpg").unlink()
    assert "at least 2 in every class" in fails("train", pair)


@posix
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write anywhere")
def test_an_unwritable_out_folder(fails: Callable[..., str], pair: Path, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    assert "permission denied" in fails("train", pair, "--out", tmp_path / "locked" / "run")


@posix
def test_an_out_folder_that_no_one_may_write(fails: Callable[..., str], pair: Path) -> None:
    # Also root cannot make a folder there.
    if not Path("/proc/self").exists():
        pytest.skip("no /proc")
    assert "cannot make the folder" in fails("train", pair, "--out", "/proc/self/run")


def test_an_out_folder_that_is_not_empty(fails: Callable[..., str], pair: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "diary.txt").write_text("mine")
    assert "is not empty" in fails("train", pair, "--out", tmp_path / "out")
    assert (tmp_path / "out" / "diary.txt").read_text() == "mine"


def test_an_out_that_is_a_file(fails: Callable[..., str], pair: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    assert "is a file" in fails("train", pair, "--out", tmp_path / "out")


def test_a_full_disk(fails: Callable[..., str], pair: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("kopal.files.os.fsync", full)
    assert "no space left" in fails("train", pair, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_damaged_model(fails: Callable[..., str], trained: Run, photos: Path, tmp_path: Path) -> None:
    data = bytearray(trained.model.read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "model.onnx").write_bytes(data)
    for arguments in (("predict", photos), ("evaluate", photos), ("inspect",)):
        message = fails(arguments[0], tmp_path / "model.onnx", *arguments[1:])
        assert "damaged" in message


def test_an_onnx_file_that_is_not_ours(fails: Callable[..., str], photos: Path, tmp_path: Path) -> None:
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    out = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "g", [value], [out])
    onnx.save(onnx.helper.make_model(graph), tmp_path / "other.onnx")
    assert "was not written by kopal" in fails("predict", tmp_path / "other.onnx", photos)


def test_a_model_with_its_data_outside(fails: Callable[..., str], trained: Run, photos: Path, tmp_path: Path) -> None:
    from kopal.model_file import seal, unseal

    model, card = unseal(trained.model.read_bytes())
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    (tmp_path / "model.onnx").write_bytes(seal(model, card))
    assert "lies outside the file" in fails("predict", tmp_path / "model.onnx", photos)


def test_a_missing_model_and_a_folder_as_model(fails: Callable[..., str], photos: Path, tmp_path: Path) -> None:
    assert "cannot read the model" in fails("predict", tmp_path / "none.onnx", photos)
    assert "cannot read the model" in fails("predict", tmp_path, photos)


def test_a_missing_photo_to_predict(fails: Callable[..., str], trained: Run, tmp_path: Path) -> None:
    assert "no such file or folder" in fails("predict", trained.model, tmp_path / "none.jpg")


def test_a_missing_photo_among_others_is_a_row(kopal: Kopal, trained: Run, photos: Path, tmp_path: Path) -> None:
    code, out, _ = kopal("predict", trained.model, tmp_path / "none.jpg", photos / CLASSES[0] / "1.jpg")
    assert code == 1
    assert out.count("\n") == 2
    assert "unreadable" in out.splitlines()[0]


def test_a_table_replaces_only_an_earlier_table(
    fails: Callable[..., str], kopal: Kopal, trained: Run, photos: Path, tmp_path: Path
) -> None:
    one = photos / CLASSES[0] / "1.jpg"
    before = one.read_bytes()
    assert "no table of answers" in fails("predict", trained.model, one, "--csv", one)
    assert "no table of answers" in fails("predict", trained.model, one, "--csv", trained.model)
    assert one.read_bytes() == before
    assert "no such folder" in fails("predict", trained.model, one, "--csv", tmp_path / "nowhere" / "a.csv")
    for _ in range(2):
        assert kopal("predict", trained.model, one, "--csv", tmp_path / "a.csv")[0] == 0


def test_runs_inside_the_photos_are_no_class(kopal: Kopal, pair: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(pair)
    for _ in range(2):
        code, out, err = kopal("train", ".", "--effort", "quick")
        assert code == 0, err
        assert "in 2 classes" in out
    assert "holds kopal's own runs" in out


def test_photos_that_are_all_the_same_file(fails: Callable[..., str], pair: Path) -> None:
    (pair / CLASSES[0] / "2.jpg").write_bytes((pair / CLASSES[0] / "1.jpg").read_bytes())
    assert "one and the same file" in fails("train", pair)


def test_a_photo_in_two_classes_is_named(kopal: Kopal, tmp_path: Path) -> None:
    folder = make_photos(tmp_path / "photos", CLASSES[:2], count=4)
    (folder / CLASSES[1] / "twin.jpg").write_bytes((folder / CLASSES[0] / "1.jpg").read_bytes())
    code, out, _ = kopal("train", folder, "--out", tmp_path / "out", "--effort", "quick")
    assert code == 0
    assert "label conflict" in out
    assert "twin.jpg" in out


def test_test_photos_that_are_also_learned_from_are_named(kopal: Kopal, tmp_path: Path) -> None:
    make_photos(tmp_path / "data" / "train", CLASSES[:2], count=4)
    make_photos(tmp_path / "data" / "test", CLASSES[:2], count=2)
    code, out, _ = kopal("train", tmp_path / "data", "--out", tmp_path / "out", "--effort", "quick")
    assert code == 0
    assert "    4 leak" in out
    assert "every photo of the test part has a twin that was learned from" in out


def test_an_empty_folder_to_predict(fails: Callable[..., str], trained: Run, tmp_path: Path) -> None:
    assert "no photos to predict" in fails("predict", trained.model, tmp_path)


@posix
def test_odd_files_are_left_out_and_nothing_hangs(kopal: Kopal, tmp_path: Path) -> None:
    pair = make_photos(tmp_path / "photos", CLASSES[:2], count=4)
    home = pair / CLASSES[0]
    (home / "text.jpg").write_text("text")
    (home / "zero.jpg").write_bytes(b"")
    (home / "loop").symlink_to(pair, target_is_directory=True)
    (home / "self").symlink_to(home / "self")
    (home / "gone.jpg").symlink_to(tmp_path / "nowhere")
    os.mkfifo(home / "pipe.jpg")
    code, out, err = kopal("train", pair, "--out", tmp_path / "out", "--effort", "quick")
    assert code == 0, err
    assert "5 of 13 files could not be read" in out
    ledger = (tmp_path / "out" / "ledger.csv").read_text(encoding="utf-8")
    for name in ("text.jpg", "zero.jpg", "self", "gone.jpg", "pipe.jpg"):
        assert name in ledger


def test_a_class_that_the_model_lacks(fails: Callable[..., str], trained: Run, tmp_path: Path) -> None:
    make_photos(tmp_path / "photos", (*CLASSES, "llama"), count=1)
    message = fails("evaluate", trained.model, tmp_path / "photos")
    assert "llama" in message
    assert CLASSES[0] in message


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train"], "data"),
        (["train", "digits", "--effort", "huge"], "quick, balanced, best"),
        (["train", "digits", "--net", "huge"], "efficientnet-lite0"),
        (["train", "digits", "--net", "linear", "--weights", "imagenet"], "no published weights"),
        (["train", "digits", "--epochs", "3"], "would do nothing"),
        (["train", "digits", "--seed", "-1"], "seed"),
        (["train", "digits", "--seed", "x"], "seed"),
        (["train", "digits", "--colour"], "--colour"),
        (["nets", "huge"], "unknown net"),
        (["fly"], "fly"),
    ],
)
def test_words_that_kopal_does_not_know(arguments: list[str], words: str, fails: Callable[..., str]) -> None:
    assert words in fails(*arguments)


def test_debug_shows_where_an_error_comes_from(kopal: Kopal, tmp_path: Path) -> None:
    code, _, err = kopal("train", tmp_path / "nowhere", "--debug")
    assert code == 2
    assert "Traceback" in err
    assert "no such folder" in err


def test_a_bug_is_called_a_bug(kopal: Kopal, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("kopal.ways.learn", broken)
    code, _, err = kopal("train", photos, "--out", tmp_path / "out")
    assert code == 1
    assert "bug in kopal" in err
    assert "Traceback" not in err
    assert not (tmp_path / "out").exists()
