"""The commands of every day: demo, train, predict, evaluate."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kopal.cli.knobs import NOT_OF_RECIPES, TRAINING, with_knobs
from kopal.cli.words import HELP, LEARNING

if TYPE_CHECKING:
    from kopal.datasets import Dataset

Out = Annotated[Path | None, typer.Option("--out", help=HELP["--out"], show_default=False)]
Seed = Annotated[int, typer.Option("--seed", help=HELP["--seed"])]
Json = Annotated[bool, typer.Option("--json", help=HELP["--json"])]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help=HELP["--quiet"])]
LabelsFrom = Annotated[str | None, typer.Option("--labels-from", help=HELP["--labels-from"], show_default=False)]
Group = Annotated[str | None, typer.Option("--group", help=HELP["--group"], show_default=False)]


def knob(name: str, least: int | None = None) -> Any:
    """An option for those who study how nets learn; unsaid, the recipe decides."""
    return typer.Option(None, name, help=HELP[name], show_default=False, rich_help_panel=LEARNING, min=least)


Data = Annotated[str, typer.Argument(help=HELP["data"], show_default=False)]
Model = Annotated[str, typer.Argument(help=HELP["model"], show_default=False)]


def demo(out: Out = None, seed: Seed = 0) -> None:
    from kopal.cli.output import quoted, say, say_whole, this_command
    from kopal.cli.screen import Screen
    from kopal.demo import demo as run_demo

    with Screen() as screen:
        run = run_demo(out, seed, screen)
    say(f"\na picture of right and wrong answers: {quoted(run.folder / 'predictions.png')}")
    say("next:")
    say_whole(f"  {this_command()} predict {quoted(run.model)} {quoted(run.folder / 'samples')}")
    say_whole(f"  {this_command()} train path/to/your/photos")


@with_knobs(*TRAINING)
def train(
    said: dict[str, Any],
    data: Data,
    out: Out = None,
    seed: Annotated[int | None, typer.Option("--seed", help=HELP["--seed"], show_default="0")] = None,
    effort: Annotated[str | None, typer.Option("--effort", help=HELP["--effort"], show_default=False)] = None,
    balance: Annotated[bool, typer.Option("--balance", help=HELP["--balance"])] = False,
    labels_from: LabelsFrom = None,
    group: Group = None,
    like: Annotated[Path | None, typer.Option("--like", help=HELP["--like"], show_default=False)] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help=HELP["--dry-run"])] = False,
    no_cache: Annotated[bool, typer.Option("--no-cache", help=HELP["--no-cache"])] = False,
    resume: Annotated[bool, typer.Option("--resume", help=HELP["--resume"])] = False,
    review: Annotated[Path | None, typer.Option("--review", help=HELP["--review"], show_default=False)] = None,
    unknown: Annotated[
        bool | None, typer.Option("--unknown/--no-unknown", help=HELP["--unknown"], show_default="unknown")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    from kopal.cli.training import Manner, best_here, run_training
    from kopal.datasets import open_dataset
    from kopal.recipes import recipe
    from kopal.repeat import again
    from kopal.review import reviewed

    knobs = {name: value for name, value in said.items() if name not in NOT_OF_RECIPES}
    base = again(like, said["weights"]) if like else None
    then = base.recipe if base else None
    manner = Manner(not no_cache, as_json, quiet, dry_run)
    make = partial(recipe, effort, like=then, seed=seed, balance=balance or None, unknown=unknown)
    made = best_here(make, knobs, said, manner)

    def opened() -> Dataset:
        if base:
            return base.opened(data, labels_from, group, review)
        dataset = open_dataset(data, labels_from, group)
        return reviewed(dataset, review) if review else dataset

    return run_training(opened, out, made, said | {"resume": resume or None}, manner)


def predict(
    model: Model,
    photos: Annotated[list[str], typer.Argument(help=HELP["photos"], show_default=False)],
    top: Annotated[int, typer.Option("--top", help=HELP["--top"], min=1)] = 1,
    all_classes: Annotated[bool, typer.Option("--all", help=HELP["--all"])] = False,
    as_json: Json = False,
    csv: Annotated[Path | None, typer.Option("--csv", help=HELP["--csv"], show_default=False)] = None,
    coverage: Annotated[
        float | None, typer.Option("--coverage", help=HELP["--coverage predict"], show_default=False)
    ] = None,
    quiet: Quiet = False,
) -> int:
    from kopal.classifier import load
    from kopal.cli import answers
    from kopal.cli.place import check_answers_place

    if csv is not None:
        check_answers_place(csv, [model, *photos])
    classifier = load(model)
    answers.check_some_exist(photos)
    top = len(classifier.classes) if all_classes else top
    predictions = classifier.predict_files(paths(photos, archives=True), top, coverage)
    return answers.show(predictions, top, as_json, csv, quiet)


def evaluate(
    model: Model,
    data: Data,
    labels_from: LabelsFrom = None,
    as_json: Json = False,
    plot: Annotated[Path | None, typer.Option("--plot", help=HELP["--plot evaluate"], show_default=False)] = None,
    quiet: Quiet = False,
) -> None:
    from kopal.classifier import load
    from kopal.cli.aside import telling
    from kopal.cli.output import paragraph, say, say_json, shown
    from kopal.cli.report_lines import show_report
    from kopal.cli.trust_lines import draw_trust
    from kopal.datasets import open_dataset
    from kopal.evaluate import evaluate_dataset
    from kopal.log import Ledger

    draw = draw_trust(plot, [model, data])
    report, ledger, learned_from = evaluate_dataset(load(model), open_dataset(data, labels_from))
    draw(report, f"{model} on {data}")
    with telling(as_json, quiet) as log:
        log(Ledger(ledger, report.n + len(ledger), complete=True))
    if as_json:
        say_json(report.as_json() | {"unreadable": len(ledger), "learned_from": learned_from})
        return
    if not quiet:
        say(f"{shown(model)} on {shown(data)}")
    if learned_from:
        flatters = f"the model learned from {learned_from} of these {report.n} photos, so the accuracy flatters"
        say(paragraph(f"note: {flatters}", 6))
    show_report(report)
    if plot:
        say(f"drawn in {shown(plot)}")


def paths(arguments: list[str], archives: bool = False) -> Iterator[Any]:
    """The photos that the arguments name; `-` stands for the lines of standard input. Photos in archives, if wanted,
    are values that `Classifier.predict_files` takes.
    """
    from kopal.datasets import expand, expand_archives

    of = expand_archives if archives else expand
    for argument in arguments:
        if argument == "-":
            for line in sys.stdin.buffer:
                if name := os.fsdecode(line.rstrip(b"\r\n")):
                    yield from of([name])
        else:
            yield from of([argument])
