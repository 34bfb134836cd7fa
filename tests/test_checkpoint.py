"""Checkpoint files: whole or not there, back as they were, and refused in words where they are not kopal's."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save

from kopal.errors import CheckpointError, OutputError
from kopal.fit.checkpoint import DIGEST, ENTRY, LAST, Checkpoints, Saved
from kopal.fit.loop import Epoch, Place

IDENTITY = {"rate": 0.1, "penalties": (1.0, 2.0), "classes": ["a", "b"], "photos": "1234", "processes": 1}
STATE = {"weights.w": np.arange(6, dtype=np.float32).reshape(2, 3), "steps": np.array(7)}
BEST = {"w": np.array([1.5, -2], np.float32)}


def epoch(number: int, best: bool = True) -> Epoch:
    return Epoch(number, 0.5, 1 / number, 0.9, 0.01, 100.0, 2.0, best)


def place(*best: bool) -> Place:
    return Place(tuple(epoch(number, one) for number, one in enumerate(best, start=1)), 8, 21, 3.5, 0.01, 7, 9.0, 1.0)


def written(folder: Path, where: Place | None = None, **identity: Any) -> Checkpoints:
    own = Checkpoints(folder, IDENTITY | identity)
    own.write(where or place(True), STATE, BEST, {"rate": 0.2, "choice": {"device": "cpu"}})
    return own


def read(folder: Path, **identity: Any) -> Saved | None:
    own = Checkpoints(folder, IDENTITY | identity)
    return own.unpacked(own.read())


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_was_written_comes_back_as_it_was(tmp_path: Path) -> None:
    written(tmp_path, place(True, True, False))
    saved = read(tmp_path)
    assert saved is not None
    assert saved.place == place(True, True, False)
    assert saved.found == {"rate": 0.2, "choice": {"device": "cpu"}}
    for ours, theirs in ((saved.state, STATE), (saved.best, BEST)):
        assert set(ours) == set(theirs)
        assert all(np.array_equal(ours[name], theirs[name]) and ours[name].flags.writeable for name in ours)


def test_others_can_read_the_files_with_safetensors(tmp_path: Path) -> None:
    written(tmp_path)
    assert np.array_equal(load_file(tmp_path / LAST)["weights.w"], STATE["weights.w"])
    assert np.array_equal(load_file(tmp_path / "best-1.safetensors")["w"], BEST["w"])


def test_numbers_that_are_not_finite_come_back_too(tmp_path: Path) -> None:
    lost = Place((epoch(1), Epoch(2, float("nan"), float("inf"), 0.5, 0.01, 1.0, 1.0, False, "diverged")), step=9)
    Checkpoints(tmp_path, IDENTITY).write(lost, {"w": np.full(3, np.nan, np.float32)}, BEST, {})
    saved = read(tmp_path)
    assert saved is not None
    assert np.isnan(saved.state["w"]).all()
    assert np.isnan(saved.place.history[1].train_loss)
    assert saved.place.stopped == "diverged"


def test_the_best_is_kept_until_there_is_a_better_one_and_then_goes(tmp_path: Path) -> None:
    own = written(tmp_path)
    (tmp_path / ".last.safetensors.1234.part").write_bytes(b"half")
    first = (tmp_path / "best-1.safetensors").stat().st_mtime_ns
    own.write(place(True, False), STATE, BEST, {})
    assert names(tmp_path) == ["best-1.safetensors", LAST]
    assert (tmp_path / "best-1.safetensors").stat().st_mtime_ns == first
    own.write(place(True, False, True), STATE, BEST, {})
    assert names(tmp_path) == ["best-3.safetensors", LAST]


def test_before_the_first_epoch_there_is_no_best(tmp_path: Path) -> None:
    written(tmp_path, place())
    assert names(tmp_path) == [LAST]
    saved = read(tmp_path)
    assert saved is not None
    assert saved.best == {}


def test_a_best_of_an_earlier_try_is_not_taken_for_ours(tmp_path: Path) -> None:
    # Killed between the two files, a training leaves a best that no last names; the next may be another.
    (tmp_path / "best-1.safetensors").write_bytes(save({"w": np.zeros(2, np.float32)}))
    written(tmp_path)
    saved = read(tmp_path)
    assert saved is not None
    assert np.array_equal(saved.best["w"], BEST["w"])


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    assert read(tmp_path) is None
    assert read(tmp_path / "nowhere") is None


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"rate": 0.2}, "rate 0.1 then, 0.2 now"),
        ({"processes": 2}, "processes 1 then, 2 now"),
        ({"photos": "9"}, "the photos, or their names or parts, have changed"),
        ({"classes": ["a", "c", "d"]}, "classes only then: b; only now: c, d"),
        ({"colour": "blue"}, "colour None then, 'blue' now"),
    ],
)
def test_another_training_is_named_by_its_difference(other: dict[str, Any], words: str, tmp_path: Path) -> None:
    written(tmp_path)
    with pytest.raises(CheckpointError, match="of another training") as caught:
        read(tmp_path, **other)
    assert words in caught.value.happened


def header_of(file: Path) -> dict[str, Any]:
    data = file.read_bytes()
    found: dict[str, Any] = json.loads(
        json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"][ENTRY]
    )
    return found


def resaved(file: Path, header: dict[str, Any]) -> None:
    file.write_bytes(save(STATE, {ENTRY: json.dumps(header), DIGEST: "0"}))


def test_another_format_is_named(tmp_path: Path) -> None:
    written(tmp_path)
    resaved(tmp_path / LAST, {"format": 2, "whatever": []})
    with pytest.raises(CheckpointError, match="has format 2"):
        read(tmp_path)


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"" * len(data),
    "cut": lambda data: data[: len(data) // 2],
    "one byte short": lambda data: data[:-1],
    "longer": lambda data: data + b"x",
    "another file": lambda data: b"\x89PNG" + data,
    "a huge header": lambda data: b"\xff" * 8 + data[8:],
    "deep json": lambda data: (200_000).to_bytes(8, "little") + b"[" * 200_000,
    "another's safetensors": lambda data: save({"w": np.zeros(3, np.float32)}),
    "a header of the wrong kind": lambda data: save({"w": np.zeros(3, np.float32)}, {ENTRY: "[1, 2]"}),
    "no digest": lambda data: save(STATE, {ENTRY: json.dumps({"format": 1, "best": [0, ""], "identity": IDENTITY})}),
}


@pytest.mark.parametrize("file", [LAST, "best-1.safetensors"])
@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_one_clear_error(kind: str, file: str, tmp_path: Path) -> None:
    written(tmp_path)
    (tmp_path / file).write_bytes(DAMAGE[kind]((tmp_path / file).read_bytes()))
    with pytest.raises(CheckpointError, match="damaged") as caught:
        read(tmp_path)
    assert "start anew" in caught.value.fix


def test_a_best_that_is_gone_is_not_replaced_by_random_weights(tmp_path: Path) -> None:
    written(tmp_path)
    (tmp_path / "best-1.safetensors").unlink()
    with pytest.raises(CheckpointError, match="damaged"):
        read(tmp_path)


def test_a_best_of_another_training_is_noticed(tmp_path: Path) -> None:
    written(tmp_path / "a")
    Checkpoints(tmp_path / "b", IDENTITY).write(place(True), STATE, {"w": np.zeros(2, np.float32)}, {})
    (tmp_path / "b" / "best-1.safetensors").replace(tmp_path / "a" / "best-1.safetensors")
    with pytest.raises(CheckpointError, match="damaged"):
        read(tmp_path / "a")


@settings(max_examples=150, deadline=None)
@given(file=st.sampled_from([LAST, "best-1.safetensors"]), at=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_any_flipped_bit_is_noticed(file: str, at: float, bit: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("flip")
    written(folder)
    data = bytearray((folder / file).read_bytes())
    data[int(at * len(data))] ^= 1 << bit
    (folder / file).write_bytes(data)
    with pytest.raises(CheckpointError):
        read(folder)


@pytest.mark.skipif(os.name == "nt", reason="folders cannot be opened as files")
def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / LAST).mkdir()
    with pytest.raises(CheckpointError, match="cannot read"):
        read(tmp_path)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("call", ["fsync", "replace", "mkdir"])
def test_a_failed_write_leaves_the_one_before(
    call: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = written(tmp_path)

    def fail(*given: object, **named: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(*((Path, "mkdir") if call == "mkdir" else (os, call)), fail)
        with pytest.raises(OutputError, match=os.strerror(code).lower()):
            own.write(place(True, True), STATE, BEST, {})
    saved = read(tmp_path)
    assert saved is not None
    assert saved.place == place(True)
    assert names(tmp_path) == ["best-1.safetensors", LAST]
    own.write(place(True, True), STATE, BEST, {})
    assert names(tmp_path) == ["best-2.safetensors", LAST]
