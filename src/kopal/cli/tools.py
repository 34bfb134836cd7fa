"""Tools: ensemble, inspect, doctor, cache."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kopal.cli.words import HELP


def ensemble(
    models: Annotated[list[str], typer.Argument(help=HELP["models"], show_default=False)],
    out: Annotated[Path | None, typer.Option("--out", help=HELP["--out ensemble"], show_default=False)] = None,
) -> None:
    from kopal.classifier import load
    from kopal.cli.output import free_name, quoted, say, say_whole, shown, this_command
    from kopal.cli.place import check_place
    from kopal.ensemble import combine, left_out

    out = out or free_name("ensemble.onnx")
    check_place(out, models)
    members = [load(model) for model in models]
    classifier = combine(members)
    classifier.save(out)
    say(f"saved in {shown(out)}, {classifier.size / 1e6:.1f} MB:")
    say(f"  {shown(classifier.card.net)}, {len(classifier.classes)} classes")
    if photos := classifier.card.provenance.get("photos"):
        say(f"  the models learned from {shown(str(photos))} different photos")
    if lost := left_out(members):
        say(f"  it does not {lost}, as a single model does")
    say("next:")
    say_whole(f"  {this_command()} evaluate {quoted(out)} path/to/new/photos")
    say_whole(f"  {this_command()} predict {quoted(out)} photo.jpg")


def inspect(
    model: Annotated[str, typer.Argument(help=HELP["model"], show_default=False)],
    verify: Annotated[bool, typer.Option("--verify", help=HELP["--verify"])] = False,
    as_json: Annotated[bool, typer.Option("--json", help=HELP["--json"])] = False,
) -> None:
    from kopal.classifier import load
    from kopal.cli.machine import model_lines
    from kopal.cli.output import paragraph, say, say_json

    classifier = load(model)
    difference = classifier.verify() if verify else None
    if as_json:
        value = classifier.card.as_json() | {"sha256": classifier.digest, "bytes": classifier.size}
        say_json(value if difference is None else value | {"golden_difference": difference})
        return
    for line in model_lines(classifier):
        say(paragraph(line, 11))
    if difference is not None:
        say(f"verified   the seal matches, the golden outputs agree to {difference:.1e} of their range")


def doctor() -> None:
    from kopal.cli.machine import doctor_lines
    from kopal.cli.output import paragraph, say

    for line in doctor_lines():
        say(paragraph(line, 37))


def cache(
    action: Annotated[str | None, typer.Argument(help=HELP["action"], show_default=False)] = None,
    most: Annotated[str | None, typer.Option("--max", help=HELP["--max"], show_default=False)] = None,
    clear: Annotated[bool, typer.Option("--clear", help=HELP["--clear"])] = False,
    as_json: Annotated[bool, typer.Option("--json", help=HELP["--json"])] = False,
) -> int:
    from kopal.cli.cached import cared_for, lines
    from kopal.cli.output import say, say_json

    told = cared_for(action, most, clear)
    if as_json:
        say_json(told)
    else:
        for line in lines(told):
            say(line)
    return 1 if told.get("damaged") else 0


def show_version(wanted: bool) -> None:
    """`kopal --version`."""
    if wanted:
        from importlib.metadata import version

        typer.echo(f"kopal {version('kopal')}")
        raise typer.Exit
