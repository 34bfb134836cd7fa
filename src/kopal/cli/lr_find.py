"""The command `lr-find`: a sweep over learning rates, its table, its picture and the advice."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from kopal.cli.everyday import Data, Json, Seed, knob
from kopal.cli.words import HELP, LEARNING


def lr_find(
    data: Data,
    net: str | None = knob("--net"),
    plot: Annotated[Path | None, typer.Option("--plot", help=HELP["--plot lr"], show_default=False)] = None,
    seed: Seed = 0,
    balance: Annotated[bool, typer.Option("--balance", help=HELP["--balance"])] = False,
    no_cache: Annotated[bool, typer.Option("--no-cache", help=HELP["--no-cache"])] = False,
    as_json: Json = False,
    weights: str | None = knob("--weights"),
    image_size: int | None = knob("--image-size"),
    batch: int | None = knob("--batch"),
    optimiser: str | None = knob("--optimiser"),
    momentum: float | None = knob("--momentum"),
    nesterov: bool | None = typer.Option(None, "--nesterov", help=HELP["--nesterov"], rich_help_panel=LEARNING),
    penalty: float | None = knob("--l2"),
    smoothing: float | None = knob("--smoothing"),
    clip: float | None = knob("--clip"),
    init: str | None = knob("--init"),
    normalise: str | None = knob("--normalise"),
    augment: str | None = knob("--augment"),
    engine: str | None = knob("--engine"),
    device: str | None = knob("--device"),
    amp: str | None = knob("--amp"),
) -> None:
    from kopal.cli.output import free_name, say, say_json, shown
    from kopal.cli.screen import Screen
    from kopal.files import write_bytes
    from kopal.fit.lr_finder import advice
    from kopal.log import silent
    from kopal.pipeline import find_rate
    from kopal.recipes import recipe
    from kopal.report.formats import caption, picture_kind
    from kopal.report.lr_plot import lr_picture
    from kopal.report.lr_table import lr_lines

    said: dict[str, Any] = {
        "net": net, "weights": weights, "image_size": image_size, "batch": batch, "optimiser": optimiser,
        "momentum": momentum, "nesterov": nesterov, "penalty": penalty, "smoothing": smoothing, "clip": clip,
        "init": init, "normalise": normalise, "augment": augment, "engine": engine, "device": device, "amp": amp,
        "balance": balance or None, "seed": seed or None,
    }  # fmt: skip
    plot = plot or free_name("lr.svg")
    kind, made = picture_kind(plot), recipe(**said)
    with Screen() as screen:
        found = find_rate(data, made, not no_cache, silent if as_json else screen)
    write_bytes(plot, lr_picture(found, f"{made.net} on {caption(Path(data).name, 40)}", kind))
    if as_json:
        say_json(found.as_json() | {"advice": advice(found), "picture": str(plot)})
        return
    for line in (*lr_lines(found), *advice(found)):
        say(line)
    say(f"drawn in {shown(plot)}")
    if found.learns:
        say(f"next:\n  {_train_command(data, said, found.suggested)}")


def _train_command(data: str, said: dict[str, Any], rate: float) -> str:
    """The training with the options that were said here, at a rate."""
    from kopal.cli.output import quoted, this_command
    from kopal.cli.training import option

    words = [this_command(), "train", quoted(Path(data))]
    for name, value in said.items():
        if value is not None and value is not False:
            words += [option(name)] if value is True else [option(name), str(value)]
    return " ".join([*words, "--lr", f"{rate:.2g}"])
