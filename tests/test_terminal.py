"""Every command on a narrow terminal, a wide one, a dumb one, a pipe and an old code page: nothing wraps or breaks."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.cells import cell_len

from conftest import make_photos
from kopal.cli.app import app
from kopal.cli.output import this_command
from kopal.cli.typography import ERRORS, LIKE

Kopal = Callable[..., tuple[int, str, str]]
DEEP = "/".join(("a-folder-in-a-folder-in-a-folder", "čtyřicet-dva", "photos-of-the-year-before-last", "all"))
DEEP_RUN = f"{DEEP}-run"
LONG_CLASS, LONG_FILE = "a-class-whose-name-goes-on-and-on-until-no-table-can-hold-it", "one-word-" + "犬" * 60
LONG = ("a class whose name goes on and on until no table of eighty columns can hold it", "kočka", "pes " * 30 + "end")
COMMANDS = {
    "train": "train photos --effort quick --out runs/new",
    "train long names": "train long --effort quick --out runs/long",
    "train heads": "train photos --head all --effort quick --out runs/heads",
    "train from pixels": "train photos --net linear --image-size 16 --epochs 2 --out runs/pixels",
    "dry run": "train photos --dry-run",
    "train hard": f"train {DEEP} --effort quick --out runs/hard",
    "dry run hard": f"train {DEEP} --dry-run",
    "audit": "audit photos",
    "audit hard": f"audit {DEEP} --out audit.html",
    "audit into a list": f"audit {DEEP} --out audit.csv",
    "evaluate hard": f"evaluate runs/e/model.onnx {DEEP}",
    "explain hard": f"explain runs/e/model.onnx {DEEP}/{LONG_CLASS}/{LONG_FILE}.jpg --out why.png",
    "features hard": f"features {DEEP} --out f.npz",
    "similar hard": f"similar {DEEP} {DEEP}/{LONG_CLASS}/{LONG_FILE}.jpg --top 12 --model runs/e/model.onnx",
    "advise hard": f"advise {DEEP}",
    "lr-find hard": f"lr-find {DEEP} --net linear --image-size 16 --plot lr.svg",
    "report hard": f"report {DEEP_RUN}",
    "inspect hard": "inspect runs/e/model.onnx",
    "compare hard": f"compare runs/e {DEEP_RUN} --out compare.html",
    "bad photos": f"predict runs/e/model.onnx {DEEP}",
    "bad query": f"similar {DEEP} {DEEP}/pes --top 3",
    "predict": "predict runs/a/model.onnx photos --top 3",
    "evaluate": "evaluate runs/a/model.onnx photos",
    "evaluate long names": "evaluate runs/b/model.onnx long",
    "advise": "advise photos",
    "ladder": "ladder photos --budget 1s --out runs/ladder --plot ladder.svg",
    "lr-find": "lr-find photos --net linear --image-size 16 --plot lr.svg",
    "features": "features photos --out f.npz",
    "similar": "similar photos photos/pes/1.jpg --top 3",
    "inspect": "inspect runs/b/model.onnx --verify",
    "doctor": "doctor",
    "cache": "cache",
    "nets": "nets",
    "one net": "nets efficientnet-b7",
    "inception": "nets inception-v3",
    "descent": "descent x**2+5*y**2 --from 2,1 --plot d.svg",
    "explain": "explain runs/c/model.onnx --out templates.png",
    "explain a photo": "explain runs/a/model.onnx photos/pes/1.jpg --out why.png",
    "report": "report runs/a",
    "compare": "compare runs/a runs/d --out compare.html",
    "cache verify": "cache verify",
    "ensemble": "ensemble runs/a/model.onnx runs/d/model.onnx --out e.onnx",
    "wrong option": "train photos --nonsense",
    "wrong class": "evaluate runs/b/model.onnx photos",
    "wrong folder": "train nowhere",
    "wrong photo": f"explain runs/e/model.onnx {DEEP}/pes/{LONG_FILE}.jpg",
    "wrong place": f"features photos --out {DEEP}/nowhere/f.npz",
}
NAMES = [command.name or command.callback.__name__.replace("_", "-") for command in app.registered_commands]  # type: ignore[union-attr]
TALKING = ("train", "evaluate", "advise", "features", "similar", "lr-find", "ladder")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three sets and their models, to work in with short paths."""
    from kopal.cli import run

    folder = tmp_path_factory.mktemp("home")
    make_photos(folder / "photos", ("kočka", "pes", "alpaka"), count=5)
    make_photos(folder / "long", LONG, count=4)
    make_hard(folder / DEEP)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("KOPAL_CACHE", "cache")
        assert run(["train", "photos", "--effort", "quick", "--out", "runs/a"]) == 0
        assert run(["train", "long", "--effort", "quick", "--out", "runs/b"]) == 0
        assert (
            run(["train", "photos", "--net", "linear", "--image-size", "16", "--epochs", "1", "--out", "runs/c"]) == 0
        )
        assert run(["train", "photos", "--effort", "quick", "--seed", "1", "--out", "runs/d"]) == 0
        assert run(["train", DEEP, "--effort", "quick", "--out", "runs/e"]) == 0
        shutil.copytree("runs/e", DEEP_RUN)
        report = Path(DEEP_RUN) / "report.json"
        told = json.loads(report.read_bytes()) | {"data": {"typed": DEEP, "path": f"{DEEP}/gone"}}
        report.write_text(json.dumps(told), encoding="utf-8")
    return folder


def make_hard(root: Path) -> None:
    """Photos in a deep folder with a long class and long names, among them what an audit finds and nobody can read."""
    make_photos(root, (LONG_CLASS, "pes"), count=6)
    shutil.copy(root / LONG_CLASS / "1.jpg", root / LONG_CLASS / f"{LONG_FILE}.jpg")
    shutil.copy(root / LONG_CLASS / "2.jpg", root / "pes" / f"{'a copy of another photo, ' * 5}.jpg")
    (root / "pes" / f"{LONG_FILE}.jpg").write_text("no picture")
    (root / "pes" / "cut.jpg").write_bytes((root / "pes" / "1.jpg").read_bytes()[:-900])


@pytest.fixture
def at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """In that folder; what a test leaves in runs/ is taken away."""
    monkeypatch.chdir(home)
    monkeypatch.setenv("KOPAL_CACHE", "cache")
    before = set(home.rglob("*"))
    yield home
    for path in sorted(set(home.rglob("*")) - before, reverse=True):
        if home / "cache" not in path.parents:
            path.rmdir() if path.is_dir() else path.unlink()


def too_wide(text: str, width: int) -> list[str]:
    """Lines that a terminal would wrap. What is to be copied is whole, and a line of an answer is for machines."""
    whole = re.compile(rf"  {re.escape(this_command())} |.*(https://|\t)")
    return [line for line in text.splitlines() if cell_len(line) > width and not whole.match(line)]


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("name", COMMANDS)
def test_no_line_is_wider_than_the_terminal(
    kopal: Kopal, terminal: Callable[[int], None], at_home: Path, name: str, width: int
) -> None:
    terminal(width)
    code, out, err = kopal(*COMMANDS[name].split())
    assert code == {"wrong": 2, "bad": 1}.get(name.split(maxsplit=1)[0], 0), err
    assert out or code
    assert too_wide(out + err, width) == []
    assert "\x1b" not in out + err


def test_a_line_that_is_too_wide_is_seen() -> None:
    assert too_wide("short\n" + "x" * 81, 80) == ["x" * 81]
    assert too_wide("ㄱ" * 41, 80)


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("name", ["", *NAMES])
def test_the_help_of_every_command_fits_and_no_panel_is_cut(
    kopal: Kopal, monkeypatch: pytest.MonkeyPatch, name: str, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("NO_COLOR", "1")
    code, out, _ = kopal(*name.split(), "--help")
    assert code == 0
    assert too_wide(out, width) == []
    assert "\x1b" not in out
    for line in out.splitlines():
        if line.startswith("╭"):
            assert line.endswith("─╮"), line
            assert re.search(r"[^─] ─+╮$", line), f"the title is cut: {line}"


@pytest.mark.parametrize(
    "name", ["train", "evaluate long names", "nets", "train hard", "evaluate hard", "audit hard", "advise hard"]
)
def test_in_a_pipe_nothing_is_cut_or_wrapped(kopal: Kopal, at_home: Path, name: str) -> None:
    code, out, err = kopal(*COMMANDS[name].split())
    assert code == 0, err
    assert "\x1b" not in out + err
    if name == "evaluate long names":
        assert all(each in out for each in LONG)
    if name == "nets":
        assert "224 x 224 x 3" in out
    if name in ("train hard", "evaluate hard"):
        bad = Path(DEEP) / "pes" / f"{LONG_FILE}.jpg"
        assert f"  not-an-image  {bad}: not a JPEG, PNG, WEBP, GIF, BMP or TIFF by its content\n" in out
    if name == "train hard":
        assert re.search(r"\n +\d+ label conflict  .*\.jpg = .*\.jpg\n", out)
    if name == "audit hard":
        assert re.search(rf"\n  {DEEP}/.*jpg = {DEEP}/.*jpg: it stands in .*, its twin in .*\n", out)
    if name == "advise hard":
        assert all(line[:2] != "  " for line in out.split("\n→ ", 1)[1].split("\n\n")[0].splitlines())


def test_columns_of_the_report_stay_aligned_whatever_the_screen_can_show(at_home: Path) -> None:
    for encoding in ("utf-8", "cp1252", "cp437", "ascii"):
        out = in_process_of_its_own(encoding, "evaluate runs/a/model.onnx photos")
        lines = out.splitlines()
        head = next(line for line in lines if line.split()[:1] == ["class"])
        table = lines[lines.index(head) + 1 :][:3]
        assert len(table) == 3
        assert len({len(line) for line in table} | {len(head)}) == 1, out
        assert ("kočka" in out) == (encoding == "utf-8")
        assert ("ko\\u010dka" in out) == (encoding != "utf-8")


@pytest.mark.parametrize("encoding", ["cp1252", "cp437"])
def test_no_command_fails_on_a_code_page_of_windows(at_home: Path, encoding: str) -> None:
    names = ("train", "train long names", "train from pixels", "predict", "evaluate", "inspect", "advise", "similar")
    wanted = [COMMANDS[name] for name in (*names, "nets", "ladder", "wrong class")] + ["train --help", "--help"]
    out = in_process_of_its_own(encoding, *wanted)
    assert "Error" not in out.replace("KopalError", "")
    assert "This is a bug" not in out
    assert "╭" not in out or encoding == "cp437"
    assert out.count("exit code 0") == len(wanted) - 1, out
    assert out.count("exit code 2") == 1


def in_process_of_its_own(encoding: str, *commands: str) -> str:
    """What commands print one after the other, where standard output knows only an encoding; errors among it."""
    script = (
        "import sys\nfrom kopal.cli import run\n"
        "for command in sys.argv[1:]:\n    print('exit code', run(command.split()), flush=True)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *commands],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0", "COLUMNS": "80"},
    )
    text = done.stdout.decode(encoding)
    assert done.returncode == 0, text
    assert "UnicodeEncodeError" not in text
    return text


def test_letters_that_a_screen_lacks_are_ascii_and_keep_their_number_of_columns() -> None:
    for sign, likeness in LIKE.items():
        assert sign.encode("ascii", ERRORS) == likeness.encode()
        assert len(likeness) == 1
    assert "č\udcff".encode("ascii", ERRORS) == b"\\u010d\\udcff"
    assert "\udcff".encode("utf-8", ERRORS) == b"\\udcff"


@pytest.mark.parametrize("name", TALKING)
def test_json_is_all_that_standard_output_gets_and_quiet_is_quiet(kopal: Kopal, at_home: Path, name: str) -> None:
    code, out, err = kopal(*COMMANDS[name].split(), "--json")
    assert code == 0, err
    json.loads(out)
    if name != "evaluate":  # nothing to tell on its way
        assert err
    if name == "train":
        assert json.loads(out)["model"] == str(Path("runs/new/model.onnx"))
        assert "15 files in 3 classes" in err
        code, out, err = kopal(*COMMANDS[name].replace("runs/new", "runs/quiet").split(), "--quiet")
        assert out.splitlines()[1:] == [str(Path("runs/quiet/model.onnx"))]
        assert out.startswith("accuracy ")
    else:
        code, out, err = kopal(*COMMANDS[name].split(), "--quiet")
    assert code == 0
    assert err == ""
    assert out
    for talk in ("files in", "plan:", "features of", "next:", "note: 1"):
        assert talk not in out


def test_quiet_predict_is_silent_about_what_its_rows_say_already(kopal: Kopal, at_home: Path) -> None:
    (at_home / "bad.jpg").write_text("no picture")
    arguments = ("predict", "runs/a/model.onnx", "bad.jpg", "photos/pes")
    loud, quiet = kopal(*arguments), kopal(*arguments, "-q")
    assert loud[0] == quiet[0] == 1
    assert loud[1] == quiet[1]
    assert "could not be read" in loud[2]
    assert quiet[2] == ""


def test_predict_looks_into_archives(kopal: Kopal, at_home: Path) -> None:
    plain = kopal("predict", "runs/a/model.onnx", "photos", "--json")
    for kind in ("zip", "gztar"):
        packed = Path(shutil.make_archive("packed", kind, "photos")).name
        code, out, err = kopal("predict", "runs/a/model.onnx", packed, "--json")
        assert code == 0, err
        answers, expected = (
            {each["path"].partition(top)[2]: each["label"] for each in json.loads(text)}
            for text, top in ((out, packed), (plain[1], "photos"))
        )
        assert len(answers) == 15
        assert answers == expected
