"""The command `lr-find`: a sweep over learning rates, its table, its picture and the advice."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from kopal.cli.everyday import Data, Group, Json, LabelsFrom, Quiet, Seed
from kopal.cli.knobs import SWEEP, with_knobs
from kopal.cli.words import HELP


@with_knobs(*SWEEP)
def lr_find(
    said: dict[str, Any],
    data: Data,
    plot: Annotated[Path | None, typer.Option("--plot", help=HELP["--plot lr"], show_default=False)] = None,
    seed: Seed = 0,
    balance: Annotated[bool, typer.Option("--balance", help=HELP["--balance"])] = False,
    labels_from: LabelsFrom = None,
    group: Group = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help=HELP["--no-cache"])] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    from kopal.cli.aside import telling
    from kopal.cli.output import free_name, paragraph, say, say_json, say_whole, shown
    from kopal.cli.place import check_picture_place
    from kopal.datasets import open_dataset
    from kopal.files import write_bytes
    from kopal.fit.lr_finder import advice
    from kopal.pipeline import find_rate
    from kopal.recipes import recipe
    from kopal.report.formats import caption
    from kopal.report.lr_plot import lr_picture
    from kopal.report.lr_table import lr_lines

    said |= {"balance": balance or None, "seed": seed or None}
    plot = plot or free_name("lr.svg")
    kind, made = check_picture_place(plot, "--plot", [data]), recipe(**said)
    with telling(as_json, quiet) as log:
        found = find_rate(open_dataset(data, labels_from, group), made, not no_cache, log)
    write_bytes(plot, lr_picture(found, f"{made.net} on {caption(Path(data).name, 40)}", kind))
    if as_json:
        say_json(found.as_json() | {"advice": advice(found), "picture": str(plot)})
        return
    for line in (*lr_lines(found), *map(paragraph, advice(found))):
        say(line)
    say(f"drawn in {shown(plot)}")
    if found.learns and not quiet:
        where = {"labels_from": labels_from, "group": group}
        say("next:")
        say_whole(f"  {_train_command(data, where | said, found.suggested)}")


def _train_command(data: str, said: dict[str, Any], rate: float) -> str:
    """The training with the options that were said here, at a rate."""
    from kopal.cli.output import quoted, this_command
    from kopal.cli.training import option

    words = [this_command(), "train", quoted(Path(data))]
    for name, value in said.items():
        if value is not None and value is not False:
            words += [option(name)] if value is True else [option(name), shlex.quote(str(value))]
    return " ".join([*words, "--lr", f"{rate:.2g}"])
