"""The command explain: why a photo got its answer, or what a linear model looks for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kopal.cli.everyday import Json, Model
from kopal.cli.words import HELP

if TYPE_CHECKING:
    from kopal.explain import Explanation


def explain(
    model: Model,
    photo: Annotated[str | None, typer.Argument(help=HELP["photo explained"], show_default=False)] = None,
    out: Annotated[Path | None, typer.Option("--out", help=HELP["--out explain"], show_default=False)] = None,
    label: Annotated[str | None, typer.Option("--class", help=HELP["--class"], show_default=False)] = None,
    as_json: Json = False,
) -> None:
    from kopal.cli.output import free_name, paragraph, say, say_json, shown
    from kopal.cli.place import check_picture_place
    from kopal.files import write_bytes

    if photo is None:
        out = out or free_name("templates.png")
        kind = check_picture_place(out, "--out", [model])
        write_bytes(out, _templates(model, kind, label, as_json))
        say(f"drawn in {shown(out)}")
        return
    out = out or (None if as_json else free_name("why.png"))
    kind = check_picture_place(out, "--out", [model, photo]) if out else ""
    found = _grounds(model, photo, label)
    if as_json:
        say_json(explanation_json(found))
    else:
        for line in explanation_lines(found):
            say(paragraph(line, 2))
    if out:
        from kopal.report.why_picture import why_picture

        write_bytes(out, why_picture(found, kind))
        if not as_json:
            say(f"drawn in {shown(out)}")


def _templates(model: str, kind: str, label: str | None, as_json: bool) -> bytes:
    from kopal.classifier import load
    from kopal.errors import UsageError
    from kopal.report.templates import classifier_picture

    if label is not None or as_json:
        raise UsageError("--class or --json without a photo", "a photo to explain", "add its path")
    return classifier_picture(load(model), kind)


def _grounds(model: str, photo: str, label: str | None) -> Explanation:
    from kopal.classifier import load
    from kopal.errors import UnreadableImage, UsageError
    from kopal.explain import explain as explained
    from kopal.files import shown

    try:
        return explained(load(model), photo, label, Path(model).parent)
    except UnreadableImage as error:
        raise UsageError(f"{shown(photo)}: {error.happened}", "a photo that can be read") from error


def explanation_lines(found: Explanation) -> Iterator[str]:
    """The answer, where it comes from, and the nearest photos, in words."""
    from kopal.cli.output import shown
    from kopal.cli.similar_lines import near_lines

    ranked = ", ".join(f"{shown(name)} {share:.3f}" for name, share in found.top)
    said = "" if found.said == found.top[0][0] else f"{shown(found.said)}; "
    yield f"{shown(found.path)}: {said}{ranked}"
    yield f"for {shown(found.explained)}: {found.attribution.in_words()}"
    if found.near:
        yield f"nearest of {found.compared} photos that it learned from:"
    yield from near_lines([(near.similarity, near.label, near.path, "") for near in found.near])
    if found.note:
        yield f"note: {shown(found.note)}"


def explanation_json(found: Explanation) -> dict[str, Any]:
    """All of it for scripts; the map row by row."""
    return {
        "path": found.path,
        "answer": found.said,
        "top": [{"label": name, "probability": share} for name, share in found.top],
        "explained": found.explained,
        "method": found.attribution.method,
        "map": found.attribution.worth.tolist(),
        "near": [{"path": near.path, "label": near.label, "similarity": near.similarity} for near in found.near],
        "compared": found.compared,
        "note": found.note,
    }
