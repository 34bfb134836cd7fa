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


def knob(name: str, least: int | None = None) -> Any:
    """An option for those who study how nets learn; unsaid, the recipe decides."""
    return typer.Option(None, name, help=HELP[name], show_default=False, rich_help_panel=LEARNING, min=least)


Data = Annotated[str, typer.Argument(help=HELP["data"], show_default=False)]
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
    data: Data,
    out: Out = None,
    seed: Seed = 0,
    effort: Annotated[str, typer.Option("--effort", help=HELP["--effort"])] = "balanced",
    balance: Annotated[bool, typer.Option("--balance", help=HELP["--balance"])] = False,
    no_cache: Annotated[bool, typer.Option("--no-cache", help=HELP["--no-cache"])] = False,
    resume: Annotated[bool, typer.Option("--resume", help=HELP["--resume"])] = False,
    review: Annotated[Path | None, typer.Option("--review", help=HELP["--review"], show_default=False)] = None,
    head: Annotated[str | None, typer.Option("--head", help=HELP["--head"], show_default=False)] = None,
    net: str | None = knob("--net"),
    weights: str | None = knob("--weights"),
    download: bool | None = typer.Option(None, "--download", help=HELP["--download"], rich_help_panel=LEARNING),
    tune: str | None = knob("--tune"),
    image_size: int | None = knob("--image-size"),
    epochs: int | None = knob("--epochs"),
    budget: str | None = knob("--budget"),
    patience: int | None = knob("--patience"),
    settled: float | None = knob("--settled"),
    rate: str | None = knob("--lr"),
    schedule: str | None = knob("--schedule"),
    warmup: float | None = knob("--warmup"),
    batch: int | None = knob("--batch"),
    optimiser: str | None = knob("--optimiser"),
    momentum: float | None = knob("--momentum"),
    nesterov: bool | None = typer.Option(None, "--nesterov", help=HELP["--nesterov"], rich_help_panel=LEARNING),
    penalty: float | None = knob("--l2"),
    smoothing: float | None = knob("--smoothing"),
    clip: float | None = knob("--clip"),
    average: float | None = knob("--average"),
    init: str | None = knob("--init"),
    normalise: str | None = knob("--normalise"),
    augment: str | None = knob("--augment"),
    preview: Annotated[
        Path | None, typer.Option("--preview", help=HELP["--preview"], show_default=False, rich_help_panel=LEARNING)
    ] = None,
    engine: str | None = knob("--engine"),
    device: str | None = knob("--device"),
    amp: str | None = knob("--amp"),
    checkpoint_every: int | None = knob("--checkpoint-every", 1),
    nproc: int | None = knob("--nproc", 2),
    max_restarts: int | None = knob("--max-restarts", 0),
) -> int:
    from kopal.cli.training import run_training
    from kopal.recipes import recipe

    said: dict[str, Any] = {
        "head": head, "net": net, "weights": weights, "tune": tune, "image_size": image_size, "epochs": epochs,
        "budget": budget,
        "patience": patience, "settled": settled, "rate": rate, "schedule": schedule, "warmup": warmup, "batch": batch,
        "optimiser": optimiser, "momentum": momentum, "nesterov": nesterov, "penalty": penalty, "smoothing": smoothing,
        "clip": clip, "average": average, "init": init, "normalise": normalise, "augment": augment, "engine": engine,
        "device": device, "amp": amp,
    }  # fmt: skip
    made = recipe(effort, seed=seed, balance=balance or None, **said)
    said |= {"resume": resume or None, "checkpoint_every": checkpoint_every, "nproc": nproc}
    said |= {"max_restarts": max_restarts, "preview": preview, "download": download, "review": review}
    return run_training(data, out, made, said, no_cache)


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
    data: Data,
    as_json: Json = False,
) -> None:
    from kopal.classifier import load
    from kopal.cli.output import say, say_json, shown
    from kopal.cli.screen import Screen, show_report
    from kopal.datasets import open_dataset
    from kopal.evaluate import evaluate_dataset
    from kopal.log import Ledger

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
