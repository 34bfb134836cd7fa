"""The commands as a person types them: what they print, what scripts read from them, how they end."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import CLASSES, QUICK, make_photos
from kopal.pipeline import train
from kopal.run import Run

Kopal = Callable[..., tuple[int, str, str]]
TRUST = ("unsure", "why_unsure", "candidates", "unknown", "unknown_score")


def test_train_says_what_it_found_how_good_it_is_and_what_to_type_next(
    kopal: Kopal, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = kopal("train", photos, "--effort", "quick")
    assert code == 0, err
    assert "photos: 24 files in 3 classes" in out
    for words in (*CLASSES, "plan: features of efficientnet-lite0", "95 % interval", "baseline 0.333", "precision"):
        assert words in out
    assert "saved in runs/photos-1" in out
    assert "predict runs/photos-1/model.onnx photo.jpg" in out
    assert (tmp_path / "runs/photos-1/model.onnx").is_file()
    assert max(map(len, out.splitlines())) <= 80
    assert "\x1b" not in out + err


def test_predict_prints_a_line_a_photo_and_all_classes_on_request(kopal: Kopal, trained: Run, photos: Path) -> None:
    one = photos / CLASSES[1] / "1.jpg"
    code, out, _ = kopal("predict", trained.model, one)
    assert code == 0
    path, label, probability = out.strip().split("\t")
    assert (path, label) == (str(one), CLASSES[1])
    assert 0 < float(probability) <= 1
    _, out, _ = kopal("predict", trained.model, one, "--all")
    cells = out.strip().split("\t")
    assert sorted(cells[1::2]) == sorted(CLASSES)
    assert sum(map(float, cells[2::2])) == pytest.approx(1, abs=0.002)
    _, out, _ = kopal("predict", trained.model, one, "--top", 2)
    assert len(out.strip().split("\t")) == 5


def test_predict_walks_folders_and_writes_json_and_csv(
    kopal: Kopal, trained: Run, photos: Path, tmp_path: Path
) -> None:
    code, out, _ = kopal("predict", trained.model, photos, "--json", "--top", 3, "--csv", tmp_path / "out.csv")
    assert code == 0
    answers = json.loads(out)
    assert len(answers) == 24
    assert set(answers[0]) == {"path", "label", "probability", "top", *TRUST}
    right = sum(Path(answer["path"]).parent.name == answer["label"] for answer in answers)
    assert right >= 20
    table = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text(encoding="utf-8"))))
    assert len(table) == 72
    assert table[0]["label"] == answers[0]["label"]


def test_an_unreadable_photo_is_a_row_with_its_reason_and_the_rest_is_answered(
    kopal: Kopal, trained: Run, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "notes.jpg").write_text("no picture")
    arguments = ("predict", trained.model, tmp_path / "notes.jpg", photos / CLASSES[0] / "1.jpg")
    code, out, err = kopal(*arguments)
    assert code == 1
    first, second = out.strip().splitlines()
    assert first.split("\t")[1:] == ["unreadable", "not a JPEG, PNG, WEBP, GIF, BMP or TIFF by its content"]
    assert CLASSES[0] in second
    assert "1 of 2 files could not be read" in err
    code, out, _ = kopal(*arguments, "--json")
    assert code == 1
    assert ["unreadable" in answer for answer in json.loads(out)] == [True, False]


def test_a_dash_reads_paths_from_standard_input(trained: Run, photos: Path) -> None:
    names = "".join(f"{photos / CLASSES[0] / name}\n" for name in ("1.jpg", "2.jpg"))
    done = run_process("predict", trained.model, "-", stdin=names)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 2


def test_standard_input_is_never_read_unasked(trained: Run) -> None:
    done = run_process("predict", trained.model, stdin="photo.jpg\n")
    assert done.returncode == 2
    assert "photos" in done.stderr


def test_evaluate_gives_the_interface_that_scripts_read(kopal: Kopal, trained: Run, photos: Path) -> None:
    code, out, _ = kopal("evaluate", trained.model, photos, "--json")
    assert code == 0
    value = json.loads(out)
    assert {"accuracy", "interval", "n", "classes", "confusion", "per_class"} <= set(value)
    assert value["n"] == 24
    assert value["accuracy"] >= 0.9
    assert value["learned_from"] == 24
    code, out, _ = kopal("evaluate", trained.model, photos)
    assert code == 0
    assert f"accuracy {value['accuracy']:.3f}" in out
    assert "the model learned from 24 of these 24 photos" in out


def test_inspect_tells_and_verifies(kopal: Kopal, trained: Run) -> None:
    code, out, _ = kopal("inspect", trained.model, "--verify")
    assert code == 0
    assert "kružnice" in out
    assert trained.classifier.digest in out
    assert "verified" in out
    _, out, _ = kopal("inspect", trained.model, "--json")
    assert json.loads(out)["classes"] == sorted(CLASSES)


def test_nets_lists_and_describes(kopal: Kopal) -> None:
    code, out, _ = kopal("nets")
    assert code == 0
    assert "efficientnet-lite0" in out
    assert "4,652,008" in out
    code, out, _ = kopal("nets", "efficientnet-lite0")
    assert code == 0
    assert "total" in out.splitlines()[-1]
    assert "4,652,008" in out.splitlines()[-1]


def test_doctor_tells_versions_cores_caches_and_one_timing(kopal: Kopal, cache: Path) -> None:
    code, out, _ = kopal("doctor")
    assert code == 0
    for words in ("python", "onnxruntime", "cores", "instructions", str(cache), "ms an image"):
        assert words in out


def test_cache_shows_and_clears(kopal: Kopal, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOPAL_CACHE", str(tmp_path / "cache"))
    train(photos, tmp_path / "out", QUICK)
    (tmp_path / "cache" / "other.txt").write_text("not ours")
    code, out, _ = kopal("cache")
    assert code == 0
    assert "48 rows (features" in out
    code, out, _ = kopal("cache", "--clear")
    assert code == 0
    assert "freed" in out
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["other.txt"]
    assert "0 rows (features" in kopal("cache")[1]


def test_no_cache_leaves_no_cache(kopal: Kopal, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOPAL_CACHE", str(tmp_path / "cache"))
    code, _, _ = kopal("train", photos, "--out", tmp_path / "out", "--no-cache", "--effort", "quick")
    assert code == 0
    assert not (tmp_path / "cache").exists()


def test_every_command_has_help_and_is_in_the_readme(kopal: Kopal) -> None:
    from kopal.cli.app import app

    readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    names = [command.name for command in app.registered_commands]
    assert len(names) >= 8
    for name in names:
        code, out, _ = kopal(name, "--help")
        assert code == 0
        assert "Usage" in out
        assert f"kopal {name}" in readme, f"{name} is not in the README"


def test_many_classes_do_not_flood_the_screen(kopal: Kopal, tmp_path: Path) -> None:
    make_photos(tmp_path / "photos", tuple(f"class{number:02}" for number in range(45)), count=2)
    code, out, err = kopal("train", tmp_path / "photos", "--out", tmp_path / "out", "--effort", "quick")
    assert code == 0, err
    assert "and 5 more; the fewest: class00, 2" in out
    assert "the 20 worst of 45 classes" in out
    assert len(out.splitlines()) < 70


def test_version(kopal: Kopal) -> None:
    code, out, _ = kopal("--version")
    assert code == 0
    assert out.startswith("kopal 0.")


def test_names_that_are_no_text_survive_a_round_trip(trained: Run, tmp_path: Path) -> None:
    odd = os.fsencode(tmp_path) + "/žluť 'q' \"d\" 🦙 \n end.jpg".encode() + b"\xff"
    make_photos(tmp_path / "photos", CLASSES[:1], count=1)
    try:
        os.rename(tmp_path / "photos" / CLASSES[0] / "1.jpg", os.fsdecode(odd))
    except OSError:
        pytest.skip("this file system takes only Unicode names")
    done = run_process("predict", trained.model, os.fsdecode(odd), "--json", "--csv", tmp_path / "out.csv")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)[0]
    assert os.fsencode(answer["path"]) == odd
    (tmp_path / "out.csv").read_text(encoding="utf-8")
    plain = run_process("predict", trained.model, os.fsdecode(odd))
    assert plain.returncode == 0
    assert len(plain.stdout.splitlines()) == 1


def test_class_names_print_on_a_screen_that_knows_only_ascii(trained: Run, photos: Path) -> None:
    for arguments in (["predict", trained.model, photos, "--json"], ["inspect", trained.model]):
        done = run_process(*arguments, environment={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
        assert done.returncode == 0, done.stderr
    done = run_process(
        "predict", trained.model, photos, "--json", environment={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    )
    assert CLASSES[0] in {answer["label"] for answer in json.loads(done.stdout)}


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_ctrl_c_ends_with_130_and_leaves_nothing(tmp_path: Path) -> None:
    make_photos(tmp_path / "photos", CLASSES, count=60)
    environment = {"KOPAL_CACHE": str(tmp_path / "cache")}
    process = start_process("train", tmp_path / "photos", "--out", tmp_path / "out", environment=environment)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("plan"):
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "interrupted: nothing half-written was left behind" in err
    assert "Traceback" not in err
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_kill_9_loses_at_most_the_batches_in_flight(tmp_path: Path) -> None:
    make_photos(tmp_path / "photos", CLASSES, count=80)
    environment = {"KOPAL_CACHE": str(tmp_path / "cache")}
    process = start_process("train", tmp_path / "photos", "--out", tmp_path / "out", environment=environment)
    store = tmp_path / "cache" / "store.sqlite-wal"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (store.exists() and store.stat().st_size > 100_000):
        time.sleep(0.02)
    process.kill()
    process.communicate()
    from kopal.store import usage

    kept, _ = usage(tmp_path / "cache")
    assert kept >= 8  # a batch was written before the kill, and what was written is there
    again = run_process("train", tmp_path / "photos", "--out", tmp_path / "again", environment=environment)
    assert again.returncode == 0, again.stderr
    assert usage(tmp_path / "cache")[0] == 2 * 240  # features and looks


def test_a_reader_that_leaves_early_ends_the_work_without_a_word(trained: Run, photos: Path) -> None:
    process = start_process("predict", trained.model, photos)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 141  # as of any program that a closed pipe ends
    assert "Traceback" not in err


def start_process(*arguments: object, environment: dict[str, str] | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "kopal", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUTF8": "1", **(environment or {})},
    )


def run_process(
    *arguments: object, stdin: str = "", environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kopal", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONUTF8": "1", **(environment or {})},
    )
