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
    from kopal.cli.output import free_name, quoted, say, shown, this_command
    from kopal.cli.place import check_place
    from kopal.ensemble import combine

    out = out or free_name("ensemble.onnx")
    check_place(out, models)
    classifier = combine([load(model) for model in models])
    classifier.save(out)
    say(f"saved in {shown(out)}, {classifier.size / 1e6:.1f} MB:")
    say(f"  {shown(classifier.card.net)}, {len(classifier.classes)} classes")
    if photos := classifier.card.provenance.get("photos"):
        say(f"  the models learned from {photos} different photos")
    say(f"next:\n  {this_command()} evaluate {quoted(out)} path/to/new/photos")
    say(f"  {this_command()} predict {quoted(out)} photo.jpg")


def inspect(
    model: Annotated[str, typer.Argument(help=HELP["model"], show_default=False)],
    verify: Annotated[bool, typer.Option("--verify", help=HELP["--verify"])] = False,
    as_json: Annotated[bool, typer.Option("--json", help=HELP["--json"])] = False,
) -> None:
    from kopal.classifier import load
    from kopal.cli.machine import model_lines
    from kopal.cli.output import say, say_json

    classifier = load(model)
    difference = classifier.verify() if verify else None
    if as_json:
        value = classifier.card.as_json() | {"sha256": classifier.digest, "bytes": classifier.size}
        say_json(value if difference is None else value | {"golden_difference": difference})
        return
    for line in model_lines(classifier):
        say(line)
    if difference is not None:
        say(f"verified   the seal matches, the golden outputs agree to {difference:.1e} of their range")


def doctor() -> None:
    from kopal.cli.machine import doctor_lines
    from kopal.cli.output import say

    for line in doctor_lines():
        say(line)


def cache(clear: Annotated[bool, typer.Option("--clear", help=HELP["--clear"])] = False) -> None:
    from kopal.cli.output import say, shown
    from kopal.store import cache_folder, usage
    from kopal.store import clear as clear_store

    folder = cache_folder()
    if clear:
        say(f"freed {clear_store(folder) / 1e6:.1f} MB in {shown(folder)}")
        return
    rows, size = usage(folder)
    say(f"{shown(folder)}: {rows} rows (features, pixels, looks), {size / 1e6:.1f} MB")


def show_version(wanted: bool) -> None:
    """`kopal --version`."""
    if wanted:
        from importlib.metadata import version

        typer.echo(f"kopal {version('kopal')}")
        raise typer.Exit
