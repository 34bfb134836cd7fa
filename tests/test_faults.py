"""Whatever fails while files are written, old or new is there, never half; the next start finds nothing in its way."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import scenes
from faults import failing, nothing, points, sql_failing, sql_points
from kopal import store
from kopal.errors import OutputError
from kopal.files import ABANDONED, BEGUN, HALF, write_bytes
from kopal.fit import downloads
from kopal.fit.loop import Epoch
from kopal.holding import LOCK
from kopal.run import CHECKPOINT, FILES, Run, reserved
from kopal.store import Store
from scenes import NEW, OLD, Scene, halves

Kopal = Callable[..., tuple[int, str, str]]
FAULTS = [(errno.ENOSPC, True), (errno.ENOSPC, False), (errno.EIO, False)]


def disturb(scene: Scene, folder: Path, at: int, code: int, lasting: bool) -> tuple[list[str], str]:
    """Do the work with a fault at one point → the points passed, and the error in words."""
    folder.mkdir(parents=True)
    scene.prepare(folder)
    error = ""
    with points(folder, at, failing(code) if at else nothing, lasting) as seen:
        try:
            scene.work(folder)
        except OutputError as caught:
            error = caught.happened
    return seen, error


@pytest.mark.parametrize("name", ["file", "digests", "speed", "checkpoint", "run"])
@pytest.mark.parametrize(("code", "lasting"), FAULTS)
def test_at_every_point_a_fault_leaves_old_or_new(
    name: str, code: int, lasting: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOPAL_CACHE", str(tmp_path))  # and back again
    scene = scenes.scenes(tmp_path / "try")[name]
    whole, error = disturb(scene, tmp_path / "whole", 0, 0, False)
    assert error == ""
    assert scene.verdict(tmp_path / "whole") == NEW
    assert {"open", "write", "fsync", "replace"} <= set(whole)
    told = 0
    for at in range(1, len(whole) + 1):
        folder = tmp_path / str(at)
        _, error = disturb(scene, folder, at, code, lasting)
        told += bool(error)
        assert "\n" not in error
        if name != "checkpoint":  # which may be written, and the one before not deleted
            assert scene.verdict(folder) == NEW or error or name in ("digests", "speed"), (at, whole[at - 1])
        assert scene.verdict(folder) in (OLD, NEW), (at, whole[at - 1])
        if whole[at - 1] != "unlink":
            assert halves(folder) == [], (at, whole[at - 1])
        assert scene.again(folder) == "", (at, whole[at - 1])
    # The two that only spare the next training some seconds have nothing to tell.
    assert bool(told) == (name not in ("digests", "speed"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked and killed")
def test_killed_at_any_point_old_or_new_is_left(tmp_path: Path) -> None:
    script = Path(__file__).with_name("killed.py")
    command = [sys.executable, script, tmp_path, os.environ.get("KOPAL_KILL_EVERY", "1")]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line for line in lines if not line.startswith("points ")] == []
    assert len(lines) == 7


def test_what_writes_in_place_is_found_out(tmp_path: Path) -> None:
    def in_place(folder: Path) -> None:
        try:
            with open(folder / "a.bin", "wb") as file:
                file.write(b"new" * 2000)
        except OSError as error:
            raise OutputError("cannot write") from error

    careless = Scene(scenes.A_FILE.prepare, in_place, scenes.A_FILE.verdict, scenes.A_FILE.again)
    assert disturb(careless, tmp_path / "whole", 0, 0, False)[0] == ["open", "write"]
    disturb(careless, tmp_path / "hurt", 2, errno.EIO, False)
    assert careless.verdict(tmp_path / "hurt").startswith("neither old nor new")


def test_the_model_file_is_old_or_new(trained: Run, tmp_path: Path) -> None:
    model, old = tmp_path / "model.onnx", b"an older model"

    def save(at: int) -> list[str]:
        model.write_bytes(old)
        with points(tmp_path, at, failing(errno.ENOSPC)) as seen:
            if at:
                with pytest.raises(OutputError, match="no space left"):
                    trained.classifier.save(model)
            else:
                trained.classifier.save(model)
        return seen

    whole = save(0)
    new = model.read_bytes()
    assert whole == ["open", "write", "fsync", "replace", "fsync"]
    for at in range(1, 5):
        save(at)
        assert model.read_bytes() == old
        assert list(tmp_path.iterdir()) == [model]
    assert new == trained.model.read_bytes()


def test_a_full_disk_at_the_end_is_one_error_and_the_same_command_works_once_there_is_room(
    kopal: Kopal, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["train", photos, "--out", tmp_path / "out", "--effort", "quick"]
    with points(tmp_path / "out", 12, failing(errno.ENOSPC), lasting=True):
        code, _, err = kopal(*command)
    assert code == 2
    assert err.count("error:") == 1
    assert "no space left" in err
    assert "Traceback" not in err
    assert not (tmp_path / "out").exists()
    assert kopal(*command)[0] == 0


@pytest.mark.parametrize("kept", [True, False])
def test_what_took_hours_is_not_taken_back_unless_a_checkpoint_holds_it(tmp_path: Path, kept: bool) -> None:
    history = (Epoch(1, 0.5, 0.5, 0.9, 0.01, 100.0, 2.0, True),)
    with pytest.raises(OutputError), reserved(tmp_path / "out", "photos") as folder:
        if kept:
            scenes.checkpoint(folder, 1)
        run = scenes.run_in(folder)
        with points(folder, 20, failing(errno.ENOSPC), lasting=True):
            Run(**{**vars(run), "history": history}).write({}, {}, scenes.PHOTOS)
    assert (tmp_path / "out" / "model.onnx").exists() != kept
    assert (tmp_path / "out" / CHECKPOINT).exists() == kept
    with pytest.raises(OutputError, match="cut short" if kept else "not empty"), reserved(tmp_path / "out", "photos"):
        pass
    assert (tmp_path / "out" / "model.onnx").exists() != kept


def test_a_folder_that_is_not_a_half_run_is_never_tidied(tmp_path: Path) -> None:
    mine = tmp_path / "out"
    mine.mkdir()
    for name in (*FILES[:-1], ".browser.1234.part"):
        (mine / name).write_text("mine")
    with pytest.raises(OutputError, match="not empty"), reserved(mine, "photos"):
        pass
    assert len(list(mine.iterdir())) == len(FILES)


def test_what_a_killed_training_was_writing_goes_when_the_next_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    other = tmp_path / "runs" / "photos-1"
    other.mkdir(parents=True)
    old, young = (other / f".model.onnx.{name}{HALF}" for name in ("old", "young"))
    for half in (old, young):
        half.write_bytes(b"half")
    os.utime(old, (0, 0))
    with reserved(None, "photos") as folder:
        assert folder.name == "photos-2"
    assert list(other.iterdir()) == [young]  # somebody may be writing it


def half_a_run(folder: Path, age: float) -> Path:
    """What a process leaves that was killed `age` seconds ago while it wrote a run."""
    folder.mkdir(parents=True)
    for name in ("model.onnx", "recipe.json", BEGUN):
        (folder / name).write_bytes(b"half")
    os.utime(folder / BEGUN, (time.time() - age,) * 2)
    return folder


def test_half_a_run_goes_as_a_whole_when_the_next_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    half_a_run(tmp_path / "runs" / "photos-1", 3 * ABANDONED)
    own = half_a_run(tmp_path / "runs" / "photos-2", 3 * ABANDONED)
    (own / "notes.txt").write_text("mine")
    young = half_a_run(tmp_path / "runs" / "photos-3", ABANDONED / 2)
    whole = half_a_run(tmp_path / "runs" / "photos-4", 3 * ABANDONED)
    (whole / "report.json").write_text("{}")
    with reserved(None, "photos") as folder:
        assert folder.name == "photos-1"
        assert [path.name for path in folder.iterdir()] == [LOCK]
    assert [path.name for path in own.iterdir()] == ["notes.txt"]
    assert len(list(young.iterdir())) == 3  # somebody may be writing it
    assert sorted(path.name for path in whole.iterdir()) == ["model.onnx", "recipe.json", "report.json"]
    with reserved(tmp_path / "runs" / "photos-1", "photos"):
        pass


def test_half_a_training_that_can_be_resumed_keeps_its_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    left = half_a_run(tmp_path / "runs" / "photos-1", 3 * ABANDONED)
    scenes.checkpoint(left, 1)
    with reserved(None, "photos") as folder:
        assert folder.name == "photos-2"
    with reserved(None, "photos", resume=True) as folder:
        assert folder.name == "photos-1"
        assert sorted(path.name for path in folder.iterdir()) == [LOCK, CHECKPOINT]


def test_who_writes_a_file_beside_half_a_run_leaves_its_mark(tmp_path: Path) -> None:
    left = half_a_run(tmp_path / "out", 3 * ABANDONED)
    write_bytes(left / "why.png", b"a picture")
    assert (left / BEGUN).exists()
    (left / "why.png").unlink()
    with reserved(left, "photos") as folder:
        assert [path.name for path in folder.iterdir()] == [LOCK]


def test_what_a_killed_download_had_fetched_goes_with_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, young = tmp_path / "net.pth.1234.partial", tmp_path / "net.pth.5678.partial"
    for half in (old, young):
        half.write_bytes(b"half")
    os.utime(old, (0, 0))
    fetching = SimpleNamespace(download_url_to_file=lambda url, path, *_, progress: Path(path).write_bytes(b"whole"))
    monkeypatch.setattr(downloads, "require_torch", lambda: None)
    monkeypatch.setattr(downloads, "import_module", lambda name: fetching)
    downloads.fetch("https://example.org/net.pth", tmp_path / "net.pth", None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.pth", young.name]


def row(number: int) -> dict[bytes, np.ndarray]:
    return {number.to_bytes(32, "big"): np.arange(50, dtype=np.float32) * number}


def work(folder: Path) -> tuple[set[int], str]:
    """Open, keep, read, keep, close → the rows that were kept without a fault, and the last fault."""
    kept, opened = set(), Store(folder, b"net")
    for number in range(1, 5):
        opened.put(row(number))
        if not opened.fault:
            kept.add(number)
        for key, found in opened.get(list(row(number))).items():
            assert np.array_equal(found, row(number)[key])
    opened.close()
    return kept, opened.fault


@pytest.mark.parametrize("version", [0, store.layout.VERSION])
def test_the_store_survives_a_fault_at_anything_that_sqlite_is_asked_to_do(tmp_path: Path, version: int) -> None:
    def old(folder: Path) -> Path:
        folder.mkdir()
        if version:
            work(folder)
        return folder

    with sql_points() as whole:
        work(old(tmp_path / "whole"))
    assert len(whole) > 30
    for at in range(1, len(whole) + 1):
        folder = old(tmp_path / str(at))
        with sql_points(at, sql_failing):
            kept, fault = work(folder)
        assert "\n" not in fault
        opened = Store(folder, b"net")
        for number in range(1, 5):
            found = opened.get(list(row(number)))
            assert all(np.array_equal(value, row(number)[key]) for key, value in found.items())
            assert found or number not in kept, (at, whole[at - 1])
        opened.put(row(9))
        assert len(opened.get(list(row(9)))) == 1
        assert opened.fault == ""
        opened.close()
        assert store.verify(folder).damaged == 0
