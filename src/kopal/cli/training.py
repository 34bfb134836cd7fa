"""The command `train` at work: alone, or as one of several processes."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kopal.backends.torch_module import require_torch
from kopal.cli.aside import telling
from kopal.cli.dry import dry_run
from kopal.cli.output import quoted, say, say_json, say_whole, shown, this_command
from kopal.cli.report_lines import accuracy_line
from kopal.cli.voices import processes, restarted, several, tells
from kopal.datasets import Dataset
from kopal.errors import TogetherError, UsageError
from kopal.fit.pupil import torch_is_there
from kopal.fit.world import ALONE, World
from kopal.log import Note
from kopal.numbered import own_run
from kopal.outset import check_together, refuse_head, refuse_int8
from kopal.pipeline import assist, train
from kopal.recipes import NOT_OF_TUNING, Recipe
from kopal.ways import fine_tunes, starts_from_imagenet

OPTIONS = {"rate": "--lr", "penalty": "--l2"}
FAILED = 1
OF_FEATURES_TOO = (
    *("net", "weights", "head", "features", "tune", "image_size", "download"),
    *("coverage", "sets", "max_error"),
)


@dataclass(frozen=True)
class Manner:
    """How a training is run and told: with the cache, as JSON, quietly, or only planned."""

    cache: bool = True
    as_json: bool = False
    quiet: bool = False
    dry: bool = False


def run_training(
    opened: Callable[[], Dataset], out: Path | None, recipe: Recipe, said: dict[str, Any], manner: Manner
) -> int:
    """Train, alone or as the process that PyTorch's launcher started → the exit code; `said` is what the user said.

    The data are opened once it is known that the options fit together.
    """
    _refuse(said, recipe)
    if (manner.dry or said["preview"]) and not tells():
        return 0
    if manner.dry:
        every = said["checkpoint_every"] or 0
        dry_run(
            opened(),
            out,
            recipe,
            manner.cache,
            manner.as_json,
            bool(said["resume"]),
            every,
            said["nproc"] or processes(),
        )
    elif said["preview"]:
        _preview(opened, recipe, said["preview"])
    elif said["nproc"]:
        from kopal.cli.launch import launch

        opened()
        return launch(said["nproc"], said["max_restarts"] or 0)
    elif several():
        return _together(opened(), out, recipe, manner, bool(said["resume"]), said["checkpoint_every"] or 0)
    else:
        every, download = said["checkpoint_every"] or 0, bool(said["download"])
        _train(opened(), out, recipe, manner, bool(said["resume"]), every, download=download)
    return 0


def best_here(make: Callable[..., Recipe], knobs: dict[str, Any], said: dict[str, Any], manner: Manner) -> Recipe:
    """The recipe of these knobs; where only the effort asks for a fine-tuning and PyTorch is missing, a frozen one.

    The budget is then no longer among what was `said`.
    """
    made = make(**knobs)
    if said["tune"] is not None or not fine_tunes(made) or torch_is_there():
        return made
    frozen = make(**knobs | {"tune": "head", "budget": None})
    if fine_tunes(frozen):
        return made
    said["budget"] = None
    with telling(manner.as_json, manner.quiet) as log:
        log(Note("without PyTorch nothing is fine-tuned, and the budget not used: pip install 'kopal[torch]'"))
    return frozen


def option(knob: str) -> str:
    """The option of the command line that sets a knob of the recipe."""
    return OPTIONS.get(knob, "--" + knob.replace("_", "-"))


def _train(
    data: Dataset,
    out: Path | None,
    recipe: Recipe,
    manner: Manner,
    resume: bool,
    every: int,
    world: World = ALONE,
    download: bool = False,
) -> None:
    with telling(manner.as_json, manner.quiet) as log:
        run = train(data, out, recipe, manner.cache, log, resume, every, world, download)
    if manner.as_json:
        say_json({"folder": str(run.folder), "model": str(run.model), **run.numbers()})
    elif manner.quiet:
        say_whole(f"{accuracy_line(run.report)}\n{shown(run.model)}")
    else:
        say("next:")
        say_whole(f"  {this_command()} predict {quoted(run.model)} photo.jpg")


def _together(data: Dataset, out: Path | None, recipe: Recipe, manner: Manner, resume: bool, every: int) -> int:
    """One of several processes: the first trains and tells, the others learn along."""
    require_torch()
    from kopal.fit.distributed import joined, left, lost

    try:
        world = joined(recipe.device)
        if restarted():
            # It goes on in its own folder, if there is one yet, and never in that of another training.
            own = None if world.rank else own_run(out, data.title, world.launch)
            resume = bool(world.from_first(os.fsencode(own or ""))) or resume
            out = own or out
        if world.rank:
            assist(data, recipe, world, manner.cache, resume, every)
        else:
            _train(data, out, recipe, manner, resume, every, world)
    except RuntimeError as error:
        if not lost(error):
            raise
        if "TORCHELASTIC_RUN_ID" in os.environ:  # the launcher tells who is gone
            return FAILED
        raise TogetherError(
            "another process of this training is gone", "all of them until the end", "look at what that one has said"
        ) from error
    finally:
        left()
    return 0


def _refuse(said: dict[str, Any], recipe: Recipe) -> None:
    """Raises `UsageError` for options that do not fit together."""
    if said["nproc"] or several():
        # What is wrong with the command is better said once, and before the seconds that the processes take to start.
        check_together(recipe)
    if fine_tunes(recipe):
        _refuse_unfit(said, recipe)
    elif starts_from_imagenet(recipe):
        _refuse_idle(said)
    elif said["download"]:
        raise UsageError(
            "--download without weights to fetch: the net learns from pixels",
            "a net with published weights",
            "add --weights imagenet",
        )
    elif said["head"] is not None:
        refuse_head(recipe)
    elif recipe.features != Recipe.features:
        refuse_int8(recipe)
    if said["max_restarts"] is not None and not said["nproc"]:
        raise UsageError("--max-restarts without --nproc", "both: it starts several processes again", "add --nproc 2")


def _refuse_idle(said: dict[str, Any]) -> None:
    """Raises `UsageError` for options of learning from pixels where features are frozen: they would do nothing."""
    idle = [option(name) for name, value in said.items() if value is not None and name not in OF_FEATURES_TOO]
    if idle:
        raise UsageError(
            f"{', '.join(idle)} would do nothing: the net's features are frozen",
            "options of learning from pixels together with it",
            "add --tune last:3, --weights none, or a --net without embedded weights",
        )


def _refuse_unfit(said: dict[str, Any], recipe: Recipe) -> None:
    """Raises `UsageError` for options of learning from pixels that fine-tuning does not have, said or with --like."""
    kept = [name for name in NOT_OF_TUNING if said[name] is None and getattr(recipe, name) != getattr(Recipe, name)]
    unfit = [option(name) for name in NOT_OF_TUNING if said[name] is not None or name in kept]
    if unfit:
        raise UsageError(
            f"{', '.join(unfit)} together with --tune {recipe.tune}",
            "options of fine-tuning: the net has its size, weights and norms already",
            f"leave {'them' if len(unfit) > 1 else 'it'} out{', and --like that brings them along' if kept else ''}",
        )


def _preview(opened: Callable[[], Dataset], recipe: Recipe, file: Path) -> None:
    from kopal.cli.place import check_picture_place
    from kopal.files import write_bytes
    from kopal.preview import preview

    kind = check_picture_place(file, "--preview")
    write_bytes(file, preview(opened(), recipe, kind))
    say(f"drawn in {shown(file)}; nothing was trained")
