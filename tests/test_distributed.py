"""Several processes train one net: the numbers of one process, one voice, and an end when one of them dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

from conftest import make_pictures
from kopal.fit.world import World
from kopal.holding import LOCK

pytest.importorskip("torch", reason="torch is not installed")
if os.name == "nt":
    pytest.skip("processes are ended by POSIX signals", allow_module_level=True)

Kopal = Callable[..., tuple[int, str, str]]
TRAIN = (
    "-m",
    "kopal",
    "train",
    "--net",
    "garment",
    "--engine",
    "torch",
    "--amp",
    "off",
    "--batch",
    "16",
    "--lr",
    "0.01",
)
TWO = (*TRAIN, "--nproc", "2")
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of twenty pictures, 24 x 20: 48 to learn from and validate on, 12 for the report."""
    return make_pictures(tmp_path_factory.mktemp("few") / "few", 20)


def start(*arguments: object, cwd: Path) -> subprocess.Popen[str]:
    """Python with these arguments, in a session of its own."""
    command = [sys.executable, *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, **pipes, text=True, cwd=cwd, env=os.environ | ENVIRONMENT, start_new_session=True)


def end(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit code, standard output and standard error; nothing of it is left running."""
    try:
        out, err = process.communicate(timeout=100)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, out, err


def kill_process(rank: int, of: subprocess.Popen[str]) -> float:
    """SIGKILL to one of the launched processes once two epochs are done → when that was."""
    assert of.stdout is not None
    next(line for line in of.stdout if line.startswith("    2 "))
    children = Path(f"/proc/{of.pid}/task/{of.pid}/children")
    if not children.exists():
        os.killpg(of.pid, signal.SIGKILL)
        pytest.skip("the processes are looked up in /proc")
    for child in children.read_text().split():
        if f"\0RANK={rank}\0" in Path(f"/proc/{child}/environ").read_text():
            os.kill(int(child), signal.SIGKILL)
    return time.monotonic()


THREE_STEPS = """
import os, sys
import numpy as np
from kopal.fit.distributed import joined, left
from kopal.fit.engine import start
from kopal.fit.stepping import Stepping
from kopal.fit.torch_learner import TorchLearner
from kopal.fit.world import ALONE
from kopal.nets.registry import build

world = joined("cpu") if "RANK" in os.environ else ALONE
net = build("garment", 3, (28, 28, 3))
how = Stepping(momentum=0.9, nesterov=True, penalty=0.01, smoothing=0.1, clip=0.5, average=0.9)
learner = TorchLearner(net, start(net, np.random.default_rng(0), "he"), how, 0, world=world)
rng = np.random.default_rng(1)
losses = []
for size in (16, 16, 7):
    pixels = rng.integers(0, 256, (size, 28, 28, 3), dtype=np.uint8)
    mine = slice(world.rank, None, world.size)
    losses += world.sums(learner.learn(pixels[mine], (np.arange(size) % 3)[mine], 0.05, size))
scores = np.arange(15, dtype=np.float32).reshape(5, 3)
whole = world.interleaved(scores[world.rank :: world.size])
said = world.from_first(b"first" if not world.rank else b"")
if not world.rank:
    np.savez(sys.argv[1], losses=losses, scores=whole, said=np.frombuffer(said, np.uint8), **learner.weights())
normed = build("resnet9", 3, (28, 28, 3))
learner = TorchLearner(normed, start(normed, np.random.default_rng(0), "he"), how, 0, world=world)
learner.learn(pixels[mine], (np.arange(size) % 3)[mine], 0.05, size)
own = b"".join(array.tobytes() for array in learner.weights().values())
assert world.from_first(own) == own
del learner, world
left()
"""


def test_two_processes_take_the_steps_of_one(tmp_path: Path) -> None:
    # The outside oracle is the same learner alone: half of each batch in two processes must not show in the weights.
    (tmp_path / "steps.py").write_text(THREE_STEPS)
    for file, started_by in (("1.npz", ()), ("2.npz", TORCHRUN)):
        code, _, err = end(start(*started_by, "steps.py", file, cwd=tmp_path))
        assert code == 0, err
    one, two = (np.load(tmp_path / f"{count}.npz") for count in (1, 2))
    assert set(one) == set(two)
    for name in one:
        np.testing.assert_allclose(two[name], one[name], atol=1e-4, err_msg=name)
    assert np.array_equal(two["scores"], np.arange(15).reshape(5, 3))
    assert bytes(two["said"]) == b"first"


def test_the_first_alone_prints_and_writes_and_a_cut_training_goes_on(photos: Path, tmp_path: Path) -> None:
    process = start(*TWO, photos, "--epochs", 100_000, "--checkpoint-every", 1, cwd=tmp_path)
    assert process.stdout is not None
    told = [line for line in iter(process.stdout.readline, "") if not line.startswith("    2 ") or stop(process)]
    code, _, err = end(process)
    assert code == 130
    assert err.splitlines() == [
        f"interrupted: what was trained is kept in {Path('runs/few-1/checkpoint')}",
        "the same command with --resume goes on from there",
    ]
    assert sum(line.startswith("plan:") for line in told) == 1
    assert sum(line.startswith("    1 ") for line in told) == 1
    # One process more or less would deal the batches otherwise.
    code, _, err = end(start(*TRAIN, photos, "--epochs", 100_000, "--resume", cwd=tmp_path))
    assert code == 2
    assert "processes 2 then, 1 now" in err


def stop(process: subprocess.Popen[str]) -> bool:
    """Ctrl-C, as a terminal gives it to all of them."""
    os.killpg(process.pid, signal.SIGINT)
    return True


def test_a_process_that_is_killed_ends_all_in_time(photos: Path, tmp_path: Path) -> None:
    process = start(*TWO, photos, "--epochs", 100_000, cwd=tmp_path)
    killed = kill_process(1, process)
    code, _, err = end(process)
    assert code == 2
    assert time.monotonic() - killed < 30
    assert err.splitlines()[0] == "error: process 1 of 2 was ended by SIGKILL; the others were ended too"
    assert "--resume" in err
    assert "Traceback" not in err
    assert len(err.splitlines()) == 3


def test_a_killed_training_starts_again_from_its_checkpoint_and_finishes(photos: Path, tmp_path: Path) -> None:
    process = start(*TWO, photos, "--epochs", 30, "--max-restarts", 1, "--out", "out", cwd=tmp_path)
    kill_process(0, process)
    code, out, err = end(process)
    assert code == 0, err
    assert err.splitlines() == ["process 0 of 2 was ended by SIGKILL; all of them start again from the last checkpoint"]
    assert "note: going on after epoch" in out
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert report["epochs"] == 30
    assert not (tmp_path / "out" / "checkpoint").exists()


def test_pytorchs_own_launcher_works_too_and_batch_norm_is_remarked_on(photos: Path, tmp_path: Path) -> None:
    knobs = ("--net", "resnet9", "--amp", "off", "--epochs", 1, "--batch", 16, "--out", "out")
    code, out, err = end(start(*TORCHRUN, "-m", "kopal", "train", photos, *knobs, cwd=tmp_path))
    assert code == 0, err
    assert out.count("note: batch norm: each of the 2 processes") == 1
    assert out.count("plan:") == 1
    assert (tmp_path / "out" / "model.onnx").exists()


def test_a_process_that_is_killed_ends_all_under_pytorchs_own_launcher(photos: Path, tmp_path: Path) -> None:
    process = start(*TORCHRUN, *TRAIN, photos, "--epochs", 100_000, cwd=tmp_path)
    killed = kill_process(1, process)
    code, _, err = end(process)
    assert code not in (0, -signal.SIGKILL)
    assert time.monotonic() - killed < 30
    # PyTorch's launcher tells who is gone; none of kopal's processes takes that for a fault of its own.
    assert "(SIGKILL)" in err
    assert "bug in kopal" not in err


def test_pytorchs_own_launcher_starts_again_from_the_checkpoint(photos: Path, tmp_path: Path) -> None:
    # Of two runs it takes its own: the other, a later one by its number, is somebody else's.
    other = cut_short(tmp_path / "runs" / "few-7")
    process = start(*TORCHRUN, "--max-restarts", 1, *TRAIN, photos, "--epochs", 30, cwd=tmp_path)
    kill_process(0, process)
    code, out, err = end(process)
    assert code == 0, err
    assert "note: going on after epoch" in out
    assert json.loads((tmp_path / "runs" / "few-1" / "report.json").read_text(encoding="utf-8"))["epochs"] == 30
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["few-1", "few-7"]
    assert other.read_bytes() == b"half"


def cut_short(run: Path) -> Path:
    """The checkpoint, not to be touched, of another training that was cut short in that folder."""
    file = run / "checkpoint" / "last.safetensors"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"half")
    return file


DIES_ONCE = """
import os, signal
from pathlib import Path
from torch import nn

def make(classes):
    if os.environ["RANK"] == Path("dies").read_text():
        Path("dies").write_text("nobody")
        os.kill(os.getpid(), signal.SIGKILL)
    return nn.Sequential(nn.Conv2d(3, 4, 3, 4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, classes))
"""


@pytest.mark.parametrize(
    ("rank", "launcher", "restarts"),
    [(0, (), ("--nproc", 2, "--max-restarts", 1)), (1, (*TORCHRUN, "--max-restarts", 1), ())],
)
def test_a_restart_before_the_first_checkpoint_stays_out_of_other_runs(
    rank: int, launcher: tuple[object, ...], restarts: tuple[object, ...], photos: Path, tmp_path: Path
) -> None:
    other = cut_short(tmp_path / "runs" / "few-1")
    (tmp_path / "dies.py").write_text(DIES_ONCE)
    (tmp_path / "dies").write_text(str(rank))
    knobs = ("--net", "dies.py:make", "--amp", "off", "--epochs", 1, "--batch", 16, *restarts)
    code, _, err = end(start(*launcher, "-m", "kopal", "train", photos, *knobs, cwd=tmp_path))
    assert code == 0, err
    assert (tmp_path / "dies").read_text() == "nobody"
    assert (tmp_path / "runs" / "few-2" / "report.json").exists()
    assert not (tmp_path / "runs" / "few-3").exists()
    assert other.read_bytes() == b"half"


MODULE = """
from torch import nn

class Odd(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8)
        self.head, self.idle = nn.Linear(8, classes), nn.Linear(5, 5)

    def forward(self, x):
        return self.head(self.norm(self.stem(x)).relu().mean((2, 3)))
"""


def test_a_module_with_an_idle_weight_and_batch_norm_learns_in_several_processes(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(MODULE)
    knobs = ("--net", "module.py:Odd", "--amp", "off", "--epochs", 1, "--batch", 16, "--out", "out")
    code, out, err = end(start("-m", "kopal", "train", photos, *knobs, "--nproc", 2, cwd=tmp_path))
    assert code == 0, err
    assert out.count("note: batch norm: each of the 2 processes") == 1
    assert err == ""


def test_threads_are_shared_by_the_processes_of_a_machine_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    # Two machines with two processes each, and four cores each: every process has two.
    import torch

    from kopal.fit import torch_pupil
    from kopal.fit.engine import start as started
    from kopal.fit.stepping import stepping
    from kopal.nets.registry import build
    from kopal.recipes import recipe

    net, threads = build("resnet18", 3, (224, 224, 3)), []
    weights = started(net, np.random.default_rng(0), "he")
    monkeypatch.setattr(torch_pupil, "cores", lambda: 4)
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    world = Mock(spec=World, rank=0, size=4, here=2, from_first=lambda data: data)
    made = recipe(net="resnet18", weights="none", batch=8, amp="off", device="cpu")
    torch_pupil.ready(made, net, weights, stepping(made), world, None)
    assert threads == [2]


def test_bad_input_is_one_message_without_a_stack_trace(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("in the way")
    code, _, err = end(start(*TWO, photos, "--out", "out", cwd=tmp_path))
    assert code == 2
    assert err.splitlines() == [
        "error: out is a file",
        "expected: a new or empty folder",
        "to fix:   choose another --out",
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere", "--net", "garment", "--engine", "torch", "--nproc", "2"], "no such folder: nowhere"),
        (["PHOTOS", "--net", "garment", "--engine", "numpy", "--nproc", "2"], "on kopal's own engine"),
        (["PHOTOS", "--net", "garment", "--nproc", "2"], "on kopal's own engine"),
        (["PHOTOS", "--nproc", "2"], "several processes with --net efficientnet-lite0, whose features are frozen"),
        (["PHOTOS", "--net", "garment", "--engine", "torch", "--nproc", "1"], "'--nproc'"),
        (["PHOTOS", "--net", "garment", "--engine", "torch", "--max-restarts", "1"], "--max-restarts without --nproc"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_launched(
    arguments: list[str], words: str, kopal: Kopal, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def launched(*given: object) -> None:
        raise AssertionError("launched")

    monkeypatch.setattr("kopal.cli.launch.launch", launched)
    code, out, err = kopal("train", *(str(photos) if argument == "PHOTOS" else argument for argument in arguments))
    assert (code, out) == (2, "")
    assert words in err


def process(rank: int, patch: pytest.MonkeyPatch) -> None:
    """This process is one of two that a launcher has started."""
    for variable, value in (("WORLD_SIZE", 2), ("RANK", rank), ("LOCAL_RANK", rank)):
        patch.setenv(variable, str(value))


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--head", "svm"),
        ("--tune", "last:2"),
        ("--tune", "last:2", "--dry-run"),
        ("--net", "garment"),
        ("--net", "garment", "--preview", "sheet.png"),
    ],
)
def test_every_process_refuses_what_nproc_does_and_one_says_so(
    options: tuple[str, ...], kopal: Kopal, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, told = kopal("train", photos, *options, "--nproc", 2)
    assert code == 2
    assert told.startswith("error: several processes with")
    process(0, monkeypatch)
    assert kopal("train", photos, *options) == (2, "", told)
    process(1, monkeypatch)
    assert kopal("train", photos, *options) == (2, "", "")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("PHOTOS", "--batch", "many"), "Invalid value for '--batch'"),
        (("PHOTOS", "--batch", "0"), "batch 0"),
        (("nowhere",), "no such folder: nowhere"),
    ],
)
def test_what_all_processes_find_wrong_before_they_meet_is_said_once(
    options: tuple[str, ...], words: str, kopal: Kopal, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ("train", *(str(photos) if each == "PHOTOS" else each for each in options), *TRAIN[3:7])
    process(0, monkeypatch)
    code, out, err = kopal(*given)
    assert (code, out) == (2, "")
    assert words in err
    process(1, monkeypatch)
    assert kopal(*given) == (2, "", "")


@pytest.mark.parametrize("words", ["", "them", "us"])
def test_a_restart_with_a_folder_goes_on_with_its_own_training_alone(
    words: str, kopal: Kopal, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The first start was refused, as the folder is another's; the launcher repeats it all the same.
    cut_short(tmp_path / "out")
    (tmp_path / "out" / LOCK).write_text(words)
    world = Mock(spec=World, rank=0, size=2, here=2, launch="us", from_first=lambda data: data)
    monkeypatch.setattr("kopal.fit.distributed.joined", lambda device: world)
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    process(0, monkeypatch)
    code, _, err = kopal("train", photos, *TRAIN[3:], "--epochs", 1, "--out", tmp_path / "out")
    assert code == 2
    assert ("holds a training that was cut short" in err) == (words != "us")
    assert ("is damaged, or not one of kopal's" in err) == (words == "us")


def test_the_first_process_alone_plans_and_draws(
    kopal: Kopal, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    process(1, monkeypatch)
    for option in (("--dry-run",), ("--preview", "sheet.png")):
        assert kopal("train", photos, *TRAIN[3:], *option) == (0, "", "")
    assert not list(tmp_path.iterdir())
    process(0, monkeypatch)
    code, out, _ = kopal("train", photos, *TRAIN[3:], "--preview", "sheet.png")
    assert (code, out.count("drawn in")) == (0, 1)
    assert (tmp_path / "sheet.png").exists()
    code, out, _ = kopal("train", photos, *TRAIN[3:], "--dry-run")
    assert (code, out.count("plan:")) == (0, 1)


def test_the_options_about_processes_are_not_handed_on() -> None:
    from kopal.cli.launch import _without_launch

    given = ["train", "--nproc", "2", "photos", "--max-restarts=3", "--batch", "8", "--nproc=4", "--max-restarts", "1"]
    assert _without_launch(given) == ["train", "photos", "--batch", "8"]
