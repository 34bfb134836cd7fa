"""The house rules that a machine can hold: what an import costs, what loads what, how long a file is."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "kopal"
FILES = sorted(SOURCE.rglob("*.py"))


def modules_after(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print('\\n'.join(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_import_kopal_loads_the_standard_library_only() -> None:
    new = modules_after("import kopal") - modules_after("")
    top = {name.split(".")[0] for name in new}
    assert top - set(sys.stdlib_module_names) - {"kopal"} == set()


def test_predict_loads_no_training_library() -> None:
    loaded = modules_after("from kopal.cli.app import app; import kopal.classifier, kopal.cli.answers, kopal.datasets")
    assert not {"torch", "sklearn", "scipy", "matplotlib", "skl2onnx"} & loaded
    assert not {name for name in loaded if name.startswith(("kopal.fit", "kopal.pipeline", "kopal.features"))}


def test_public_names_are_all_there() -> None:
    import kopal

    assert all(getattr(kopal, name) is not None for name in kopal.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        kopal.nonsense  # noqa: B018


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_file_is_short_and_says_its_idea(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 300
    assert ast.get_docstring(ast.parse(text)), "no docstring"


def test_only_the_restricted_reader_knows_pickle() -> None:
    users = {
        path.name
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        and {"pickle", "joblib", "dill", "cloudpickle", "marshal", "shelve"}
        & {*(alias.name for alias in node.names), getattr(node, "module", "") or ""}
    }
    assert users == {"torch_file.py"}
