"""A run's folder is held by the process that trains in it, until it ends, however it ends."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kopal.errors import OutputError
from kopal.fit.loop import Epoch
from kopal.holding import LOCK, hold, is_held, words_in
from kopal.numbered import own_run
from kopal.pipeline import train
from kopal.recipes import recipe
from kopal.run import check_free, reserved

Kopal = Callable[..., tuple[int, str, str]]
HOLDS = """
import sys
from pathlib import Path
from kopal.run import reserved
with reserved(Path(sys.argv[1]), "photos", launch="them"):
    print("held", flush=True)
    sys.stdin.read()
"""


def unfinished(folder: Path) -> Path:
    (folder / "checkpoint").mkdir(parents=True)
    (folder / "checkpoint" / "state").write_text("half")
    return folder


def test_a_resumed_training_leaves_the_one_alone_that_goes_on(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made, told = recipe(net="linear", image_size=16, epochs=3, batch=8), []

    def second(noun: object) -> None:
        # As from a second terminal, once the first training has left its checkpoint.
        if isinstance(noun, Epoch) and noun.number == 2:
            for out, resume in ((None, True), ("runs/photos-1", True), ("runs/photos-1", False)):
                with pytest.raises(OutputError, match="a training goes on in") as caught:
                    train(photos, out, made, resume=resume)
                told.append(caught.value.fix)

    run = train(photos, None, made, log=second)
    assert told == ["wait until it has ended, or choose another --out"] * 3
    assert [epoch.number for epoch in run.history] == [1, 2, 3]
    assert LOCK not in {path.name for path in run.folder.iterdir()}
    assert [path.name for path in Path("runs").iterdir()] == ["photos-1"]


def test_a_dry_run_sees_that_a_training_goes_on(
    kopal: Kopal, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with reserved(unfinished(tmp_path / "runs" / "photos-1"), "photos", resume=True):
        before = sorted(tmp_path.rglob("*"))
        for out in ((), ("--out", Path("runs") / "photos-1")):
            code, _, err = kopal("train", photos, "--net", "linear", "--resume", *out, "--dry-run")
            assert code == 2
            assert f"a training goes on in {Path('runs') / 'photos-1'} right now" in err
        assert sorted(tmp_path.rglob("*")) == before
    check_free(None, resume=True, title="photos")


def test_a_process_that_is_killed_holds_nothing_but_what_it_said_stays(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-c", HOLDS, str(out)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert is_held(out)
        with pytest.raises(OutputError, match="right now"), reserved(out, "photos"):
            pass
        process.kill()
    assert not is_held(out)
    assert words_in(out) == "them"
    assert own_run(out, "photos", "us them") == out
    assert own_run(out, "photos", "us") is None
    with reserved(out, "photos", launch="us"):
        assert words_in(out) == "us"
    assert not out.exists()


def test_a_launcher_that_starts_again_finds_its_own_run_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    unfinished(Path("runs/photos-1"))
    assert own_run(None, "photos", "us") is None
    with reserved(None, "photos", launch="us") as folder:
        assert folder == Path("runs/photos-2")
        unfinished(folder)
    unfinished(Path("runs/photos-3"))
    # What is left of an orderly end is found as well as what a killed process leaves.
    assert own_run(None, "photos", "us") == Path("runs/photos-2")
    with reserved(Path("runs/photos-2"), "photos", resume=True, launch="us"):
        pass
    assert own_run(None, "photos", "us") == Path("runs/photos-2")
    # Somebody who goes on with it by hand makes it his own.
    with reserved(Path("runs/photos-2"), "photos", resume=True):
        pass
    assert own_run(None, "photos", "us") is None


@pytest.mark.skipif(os.name == "nt", reason="locks of POSIX")
@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_in_nobodys_way(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unable(*given: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("fcntl.flock", unable)
    with reserved(tmp_path / "out", "photos") as folder:
        assert not is_held(folder)
    assert not folder.exists()


def test_a_file_that_its_holder_takes_away_is_not_held_by_who_waited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = hold(tmp_path)
    assert first is not None
    assert hold(tmp_path) is None
    real, opened = os.open, []

    def slow(path: object, *given: int) -> int:
        # Between opening the file and locking it, the first holder has released it.
        descriptor = real(path, *given)
        if not opened:
            first.release()
        opened.append(path)
        return descriptor

    monkeypatch.setattr("kopal.holding.os.open", slow)
    second = hold(tmp_path)
    assert second is not None
    assert len(opened) == 2
    assert hold(tmp_path) is None
    second.release()
    assert not list(tmp_path.iterdir())
