"""docs/data.md is run: every command and the Python lines, on data as the page describes them."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import make_photos

PAGE = (Path(__file__).parent.parent / "docs" / "data.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(bash|python)\n(.*?)```", PAGE, re.DOTALL)
ANIMALS = ("a", "b", "c")


@pytest.mark.skipif(sys.platform == "win32", reason="the page's commands are written for bash")
def test_every_command_and_snippet_of_the_page_runs(
    kopal: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_photos(Path("photos"), ("cat", "dog"), count=6)
    shutil.make_archive("photos", "zip", "photos")
    lines, metadata = ["path,label,split,group"], ["file_name,label"]
    for folder in ("flat", "imagefolder"):
        Path(folder).mkdir()
    for number, path in enumerate(sorted(Path("photos").glob("*/*"))):
        name, animal = path.parent.name, ANIMALS[number % 3]
        part = "test" if animal == "c" else "train"
        lines.append(f"{path.as_posix()},{name},{part},{name}{animal}")
        metadata.append(f"{number}.jpg,{name}")
        shutil.copy(path, f"imagefolder/{number}.jpg")
        shutil.copy(path, f"flat/{name}_{animal}{number}.jpg")
    Path("labels.csv").write_text("\n".join(lines), encoding="utf-8")
    Path("imagefolder/metadata.csv").write_text("\n".join(metadata), encoding="utf-8")
    ran = 0
    for kind, text in BLOCKS:
        if kind == "python":
            exec(compile(text, "docs/data.md", "exec"), {})
            continue
        for line in text.splitlines():
            code, out, err = kopal(*shlex.split(line)[1:])
            assert code == 0, f"{line}\n{out}\n{err}"
            ran += 1
    assert ran >= 8
    assert Path("answers.csv").is_file()
