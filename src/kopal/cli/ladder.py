"""The command `ladder`: a table of rungs, while they are climbed, and their picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kopal.cli.everyday import Data, Group, Json, LabelsFrom, Out, Quiet, Seed
from kopal.cli.words import HELP


def ladder(
    data: Data,
    out: Out = None,
    budget: Annotated[str | None, typer.Option("--budget", help=HELP["--budget ladder"], show_default=False)] = None,
    plot: Annotated[Path | None, typer.Option("--plot", help=HELP["--plot ladder"], show_default=False)] = None,
    seed: Seed = 0,
    labels_from: LabelsFrom = None,
    group: Group = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    from kopal.cli.aside import telling
    from kopal.cli.output import free_name, say, say_json, shown
    from kopal.cli.place import check_picture_place
    from kopal.datasets import Dataset, open_dataset
    from kopal.files import write_bytes
    from kopal.ladder import climb
    from kopal.log import Note, Progress
    from kopal.recipes import duration
    from kopal.report.ladder_plot import ladder_picture
    from kopal.report.ladder_table import rung_line

    plot = plot or free_name("ladder.svg")
    kind = check_picture_place(plot, "--plot", [data])
    dataset = open_dataset(data, labels_from, group)
    folder = out or Path("runs") / f"{dataset.title}-ladder"
    rungs = []
    with telling(as_json, quiet) as log:
        brief = lambda noun: log(noun) if isinstance(noun, Dataset | Note | Progress) else None  # noqa: E731
        for rung in climb(dataset, folder, duration(budget or 0), seed, brief):
            rungs.append(rung)
            if not as_json:
                say(rung_line(rungs))
    write_bytes(plot, ladder_picture(rungs, f"What each step buys on {shown(dataset.title)}", kind))
    if as_json:
        say_json([rung.as_json() for rung in rungs])
        return
    say(f"measured on the same {rungs[0].n} photos of the test part")
    say(f"drawn in {shown(plot)}; the runs stand in {shown(folder)}")
