"""The commands of every day: demo, train, predict, evaluate."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from kopal.cli.words import HELP, LEARNING

Out = Annotated[Path | None, typer.Option("--out", help=HELP["--out"], show_default=False)]
Seed = Annotated[int, typer.Option("--seed", help=HELP["--seed"])]
Json = Annotated[bool, typer.Option("--json", help=HELP["--json"])]


def knob(name: str) -> Any:
    """An option for those who study how nets learn; unsaid, the recipe decides."""
    return typer.Option(None, name, help=HELP[name], show_default=False, rich_help_panel=LEARNING)


Model = Annotated[str, typer.Argument(help=HELP["model"], show_default=False)]


def demo(out: Out = None, seed: Seed = 0) -> None:
    from kopal.cli.output import quoted, say, this_command
    from kopal.cli.screen import Screen
    from kopal.demo import demo as run_demo

    with Screen() as screen:
        run = run_demo(out, seed, screen)
    say(f"\na picture of right and wrong answers: {quoted(run.folder / 'predictions.png')}")
    say("next:")
    say(f"  {this_command()} predict {quoted(run.model)} {quoted(run.folder / 'samples')}")
    say(f"  {this_command()} train path/to/your/photos")


def train(
    data: Annotated[str, typer.Argument(help=HELP["data"], show_default=False)],
    out: Out = None,
    seed: Seed = 0,
    effort: Annotated[str, typer.Option("--effort", help=HELP["--effort"])] = "balanced",
    balance: Annotated[bool, typer.Option("--balance", help=HELP["--balance"])] = False,
    no_cache: Annotated[bool, typer.Option("--no-cache", help=HELP["--no-cache"])] = False,
    net: str | None = knob("--net"),
    weights: str | None = knob("--weights"),
    image_size: int | None = knob("--image-size"),
    epochs: int | None = knob("--epochs"),
    rate: float | None = knob("--lr"),
    schedule: str | None = knob("--schedule"),
    batch: int | None = knob("--batch"),
    momentum: float | None = knob("--momentum"),
    penalty: float | None = knob("--l2"),
    init: str | None = knob("--init"),
    normalise: str | None = knob("--normalise"),
    patience: int | None = knob("--patience"),
    settled: float | None = knob("--settled"),
    engine: str | None = knob("--engine"),
) -> None:
    from kopal.cli.output import quoted, say, this_command
    from kopal.cli.screen import Screen
    from kopal.pipeline import starts_from_imagenet
    from kopal.pipeline import train as run_train
    from kopal.recipes import recipe

    recipe_ = recipe(
        effort, net=net, weights=weights, seed=seed, balance=balance, image_size=image_size,
        epochs=epochs, rate=rate, schedule=schedule, batch=batch, momentum=momentum, penalty=penalty, init=init,
        normalise=normalise, patience=patience, settled=settled, engine=engine,
    )  # fmt: skip
    if starts_from_imagenet(recipe_):
        said = {"--epochs": epochs, "--lr": rate, "--schedule": schedule, "--batch": batch, "--momentum": momentum}
        said |= {"--l2": penalty, "--init": init, "--normalise": normalise, "--patience": patience}
        refuse_idle(said | {"--settled": settled, "--engine": engine, "--image-size": image_size})
    with Screen() as screen:
        run = run_train(data, out, recipe_, not no_cache, screen)
    say(f"next:\n  {this_command()} predict {quoted(run.model)} photo.jpg")


def refuse_idle(said: dict[str, Any]) -> None:
    """Raises `UsageError` for options of learning from pixels where features are frozen: they would do nothing."""
    from kopal.errors import UsageError

    idle = [name for name, value in said.items() if value is not None]
    if idle:
        raise UsageError(
            f"{', '.join(idle)} would do nothing: the net's features are frozen",
            "options of learning from pixels together with it",
            "add --weights none, or a --net without embedded weights",
        )


def predict(
    model: Model,
    photos: Annotated[list[str], typer.Argument(help=HELP["photos"], show_default=False)],
    top: Annotated[int, typer.Option("--top", help=HELP["--top"], min=1)] = 1,
    all_classes: Annotated[bool, typer.Option("--all", help=HELP["--all"])] = False,
    as_json: Json = False,
    csv: Annotated[Path | None, typer.Option("--csv", help=HELP["--csv"], show_default=False)] = None,
) -> int:
    from kopal.classifier import load
    from kopal.cli import answers

    classifier = load(model)
    answers.check_some_exist(photos)
    top = len(classifier.classes) if all_classes else top
    predictions = classifier.predict_files(paths(photos), top)
    return answers.show(predictions, top, as_json, csv)


def evaluate(
    model: Model,
    data: Annotated[str, typer.Argument(help=HELP["data"], show_default=False)],
    as_json: Json = False,
) -> None:
    from kopal.classifier import load
    from kopal.cli.output import say, say_json, shown
    from kopal.cli.screen import Screen, show_report
    from kopal.datasets import open_dataset
    from kopal.evaluate import evaluate_dataset
    from kopal.pipeline import Ledger

    report, ledger, learned_from = evaluate_dataset(load(model), open_dataset(data))
    if as_json:
        say_json(report.as_json() | {"unreadable": len(ledger), "learned_from": learned_from})
        return
    Screen()(Ledger(ledger, report.n + len(ledger), complete=True))
    say(f"{shown(model)} on {shown(data)}")
    if learned_from:
        say(f"note: the model learned from {learned_from} of these {report.n} photos, so the accuracy flatters")
    show_report(report)


def paths(arguments: list[str]) -> Iterator[str]:
    """The photos that the arguments name; `-` stands for the lines of standard input."""
    from kopal.datasets import expand

    for argument in arguments:
        if argument == "-":
            for line in sys.stdin.buffer:
                if name := os.fsdecode(line.rstrip(b"\r\n")):
                    yield from expand([name])
        else:
            yield from expand([argument])
