"""The options that set the knobs of a training, each described once; a command names those that it has.

A command that is decorated with `with_knobs("net", "rate")` gets the options --net and --lr, and their values by name
as its first argument, a dictionary; None is what was not said.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

from kopal.cli.words import HELP, LEARNING

R = TypeVar("R")


@dataclass(frozen=True)
class Knob:
    """An option: its name, what it holds, the least it may be, and the panel of the help that it stands in."""

    option: str
    kind: type
    least: int | None = None
    panel: str | None = LEARNING


KNOBS: dict[str, Knob] = {
    "head": Knob("--head", str, panel=None),
    "coverage": Knob("--coverage", float, panel=None),
    "sets": Knob("--sets", str, panel=None),
    "max_error": Knob("--max-error", float, panel=None),
    "features": Knob("--features", str, panel=None),
    "net": Knob("--net", str),
    "weights": Knob("--weights", str),
    "download": Knob("--download", bool),
    "tune": Knob("--tune", str),
    "image_size": Knob("--image-size", int),
    "epochs": Knob("--epochs", int),
    "budget": Knob("--budget", str),
    "patience": Knob("--patience", int),
    "settled": Knob("--settled", float),
    "rate": Knob("--lr", str),
    "schedule": Knob("--schedule", str),
    "warmup": Knob("--warmup", float),
    "batch": Knob("--batch", int),
    "optimiser": Knob("--optimiser", str),
    "momentum": Knob("--momentum", float),
    "nesterov": Knob("--nesterov", bool),
    "penalty": Knob("--l2", float),
    "smoothing": Knob("--smoothing", float),
    "clip": Knob("--clip", float),
    "average": Knob("--average", float),
    "init": Knob("--init", str),
    "normalise": Knob("--normalise", str),
    "augment": Knob("--augment", str),
    "preview": Knob("--preview", Path),
    "engine": Knob("--engine", str),
    "device": Knob("--device", str),
    "amp": Knob("--amp", str),
    "checkpoint_every": Knob("--checkpoint-every", int, 1),
    "nproc": Knob("--nproc", int, 2),
    "max_restarts": Knob("--max-restarts", int, 0),
}
TRAINING = tuple(KNOBS)
NOT_OF_RECIPES = ("download", "preview", "checkpoint_every", "nproc", "max_restarts")
"""Those that do not change what is learned."""
SWEEP = (
    *("net", "weights", "image_size", "batch", "optimiser", "momentum", "nesterov", "penalty", "smoothing", "clip"),
    *("init", "normalise", "augment", "engine", "device", "amp"),
)
"""Those that a sweep over learning rates has in common with a training."""


def with_knobs(*names: str) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """A command with these options besides its own; Typer reads them from its signature."""

    def decorate(command: Callable[..., R]) -> Callable[..., R]:
        @wraps(command)
        def called(**arguments: Any) -> R:
            said = {name: arguments.pop(name) for name in names}
            return command(said, **arguments)

        hints = get_type_hints(command, include_extras=True)
        _, *own = inspect.signature(command).parameters.values()
        parameters = [each.replace(annotation=hints[each.name], kind=each.KEYWORD_ONLY) for each in own]
        parameters += [_parameter(name, KNOBS[name]) for name in names]
        called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        called.__annotations__ = {each.name: each.annotation for each in parameters}
        return called

    return decorate


def _parameter(name: str, knob: Knob) -> inspect.Parameter:
    option = typer.Option(
        knob.option, help=HELP[knob.option], show_default=False, rich_help_panel=knob.panel, min=knob.least
    )
    kind: Any = knob.kind | None
    annotation: Any = Annotated[kind, option]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
