"""No option that writes a file replaces a photo, or anything else that kopal did not write itself."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from matplotlib.figure import Figure
from PIL import Image

from conftest import draw
from kopal.cli.app import app
from kopal.cli.place import check_picture_place
from kopal.report.drawn import MARKS, is_drawn
from kopal.report.figure import rendered
from kopal.run import Run

Kopal = Callable[..., tuple[int, str, str]]

# Neither the models nor the runs exist: what is wrong with the place is said before anything is opened.
WRITES = {
    "train --preview": ("train png --net garment --preview", ".png"),
    "predict --csv": ("predict gone.onnx png --csv", ".png", ".csv"),
    "evaluate --plot": ("evaluate gone.onnx png --plot", ".png", ".svg", ".pdf"),
    "audit --out": ("audit png --out", ".html", ".json", ".csv"),
    "explain --out": ("explain gone.onnx png/cat/0.png --out", ".png", ".svg", ".pdf"),
    "compare --out": ("compare gone lost --out", ".html"),
    "nets --plot": ("nets --plot", ".png", ".svg", ".pdf"),
    "nets --graph": ("nets lenet5 --graph", ".svg"),
    "descent --plot": ("descent x**2 --plot", ".png", ".svg", ".pdf"),
    "ladder --plot": ("ladder png --plot", ".png", ".svg", ".pdf"),
    "lr-find --plot": ("lr-find png --net garment --plot", ".png", ".svg", ".pdf"),
    "advise --plot": ("advise png --plot", ".png", ".svg", ".pdf"),
    "features --out": ("features png --out", ".npz", ".csv"),
    "similar --out": ("similar png png/cat/0.png --out", ".html"),
    "ensemble --out": ("ensemble gone.onnx lost.onnx --out", ".onnx"),
}
ALSO = {"templates": ("explain gone.onnx --out", ".png")}
FOLDERS = {"demo --out", "train --out", "ladder --out"}
READS = {"train --like", "train --review", "features --model", "similar --model"}
CASES = [(words, ending) for words, *endings in (WRITES | ALSO).values() for ending in endings]


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with two classes of photos below png/."""
    for kind, name in enumerate(("cat", "dog")):
        (tmp_path / "png" / name).mkdir(parents=True)
        for number in range(4):
            draw(kind, number, (40, 30)).save(tmp_path / "png" / name / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_option_that_takes_a_file_is_known_here() -> None:
    found = set()
    for command in app.registered_commands:
        assert command.callback
        for hint in get_type_hints(command.callback, include_extras=True).values():
            kind, *about = get_args(hint) or (hint,)
            if kind == Path | None:
                found.add(f"{command.name} {about[0].default}")  # where Typer keeps an option's name
    assert found == {*WRITES, *FOLDERS, *READS}


@pytest.mark.parametrize(("words", "ending"), CASES)
def test_a_photo_is_never_replaced_whatever_its_name(kopal: Kopal, home: Path, words: str, ending: str) -> None:
    photo = home / "png" / "cat" / f"mine{ending}"
    draw(0, 9).save(photo, "PNG")
    before = digests(home)
    code, out, err = kopal(*words.split(), photo.relative_to(home))
    assert code == 2
    assert err.startswith("error: ")
    assert err.count("error:") == 1
    assert "is there and is no " in err
    assert f"choose another {words.rsplit(maxsplit=1)[-1]}" in err
    assert out == ""
    assert digests(home) == before


@pytest.mark.parametrize(("words", "ending"), CASES)
def test_a_folder_that_is_not_there_is_told_before_the_work(kopal: Kopal, home: Path, words: str, ending: str) -> None:
    code, _, err = kopal(*words.split(), f"nowhere/a{ending}")
    assert code == 2
    assert "no such folder" in err


def test_with_a_model_at_hand_photos_stay_as_they_are(kopal: Kopal, trained: Run, home: Path) -> None:
    before = digests(home)
    for command in (
        ("evaluate", trained.model, "png", "--plot", "png/cat/1.png"),
        ("explain", trained.model, "png/cat/2.png", "--out", "png/cat/2.png"),
        ("explain", trained.model, "png/cat/2.png", "--out", "png/dog/../cat/2.png"),
        ("predict", trained.model, "png/cat/3.png", "--csv", "png/cat/3.png"),
        ("train", "png", "--out", "png/cat"),
        ("train", "png", "--out", "png/cat/1.png"),
    ):
        assert kopal(*command)[0] == 2
    assert digests(home) == before


@pytest.mark.parametrize("ending", MARKS)
def test_a_picture_of_ones_own_is_replaced(kopal: Kopal, home: Path, ending: str) -> None:
    for command in (("descent", "x**2", "--plot"), ("nets", "--plot"), ("train", "png", "--net", "mlp", "--preview")):
        for _ in range(2):
            code, _, err = kopal(*command, f"picture{ending}")
            assert code == 0, err


def test_a_drawn_net_is_replaced(kopal: Kopal, home: Path) -> None:
    for net in ("lenet5", "mlp"):
        code, _, err = kopal("nets", net, "--graph", "net.svg")
        assert code == 0, err
    assert is_drawn(home / "net.svg")


def test_what_is_to_be_read_is_not_replaced_even_if_kopal_wrote_it(kopal: Kopal, home: Path) -> None:
    assert kopal("descent", "x**2", "--plot", "png/cat/curve.png")[0] == 0
    (home / "own.csv").write_text("path,class,label,part,sha256,f0\npng/cat/0.png,cat,0,train,00,1\n")
    (home / "said.csv").write_text("path,rank,label,probability,unreadable,answer,unknown,unknown_score\n")
    before = digests(home)
    for command in (
        ("explain", "gone.onnx", "png/cat/curve.png", "--out", "png/dog/../cat/curve.png"),
        ("features", "own.csv", "--out", home / "own.csv"),
        ("predict", "gone.onnx", "png", "said.csv", "--csv", "said.csv"),
    ):
        code, _, err = kopal(*command)
        assert code == 2
        assert "is what is to be read" in err
    assert digests(home) == before


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right of their own there")
def test_a_link_to_a_photo_is_as_the_photo(kopal: Kopal, home: Path) -> None:
    before = digests(home)
    for name in ("link.png", "link.html"):
        (home / name).symlink_to(home / "png" / "cat" / "0.png")
    assert "is there and is no picture" in kopal("descent", "x**2", "--plot", "link.png")[2]
    assert "is there and is no audit" in kopal("audit", "png", "--out", "link.html")[2]
    assert {name: digest for name, digest in digests(home).items() if "link" not in name} == before


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.svg")
    assert check_picture_place(tmp_path / "pipe.svg", "--plot") == "svg"


def test_a_page_that_kopal_did_not_write_stays_in_its_run(kopal: Kopal, trained: Run, tmp_path: Path) -> None:
    for name in ("report.json", "model.onnx", "predictions.csv", "recipe.json"):
        (tmp_path / name).write_bytes((trained.folder / name).read_bytes())
    (tmp_path / "report.html").write_text("mine")
    code, _, err = kopal("report", tmp_path)
    assert code == 2
    assert "is no page of kopal report" in err
    assert (tmp_path / "report.html").read_text() == "mine"


@pytest.mark.parametrize("kind", ["svg", "png", "pdf"])
def test_pictures_of_kopals_are_told_from_others_by_their_mark(tmp_path: Path, kind: str) -> None:
    figure = Figure()
    figure.text(0.1, 0.5, "kopal")
    ours, theirs = tmp_path / f"ours.{kind}", tmp_path / f"theirs.{kind.upper()}"
    ours.write_bytes(rendered(figure, kind))
    figure.savefig(theirs)
    assert is_drawn(ours)
    assert not is_drawn(theirs)
    theirs.write_bytes(ours.read_bytes()[:20])
    assert not is_drawn(theirs)
    assert not is_drawn(tmp_path / f"none.{kind}")
    ours.rename(tmp_path / "ours.jpg")
    assert not is_drawn(tmp_path / "ours.jpg")


def test_a_photo_that_names_kopal_is_still_a_photo(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "kopal.png")
    assert not is_drawn(tmp_path / "kopal.png")
