"""What a training refuses before it begins, whatever the photos: a rehearsal refuses the same."""

from __future__ import annotations

from kopal.backends.torch_module import require_torch
from kopal.errors import UsageError
from kopal.fit.backbones import nets_of
from kopal.fit.foreign import is_foreign
from kopal.fit.pupil import engine_of, misses_torch, torch_is_there
from kopal.nets.weights import PRETRAINED
from kopal.recipes import Recipe, checked
from kopal.ways import fine_tunes, starts_from_imagenet


def check_start(recipe: Recipe, resume: bool = False, checkpoint_every: int = 0, processes: int = 1) -> None:
    """Raises `UsageError` for knobs that are out of range or do not go together."""
    checked(recipe)
    if processes > 1:
        check_together(recipe)
    if checkpoint_every < 0:
        raise UsageError(f"a checkpoint every {checkpoint_every} steps", "0, only after epochs, or more")
    if starts_from_imagenet(recipe) and not fine_tunes(recipe):
        if resume or checkpoint_every:
            raise UsageError(
                "checkpoints of frozen features, which take seconds to fit",
                "a net that learns from pixels",
                "leave out resume and checkpoint_every, or say weights='none'",
            )
        return
    if checkpoint_every and recipe.settled:
        raise UsageError(
            "checkpoints within an epoch together with --settled, which compares whole epochs",
            "one of the two",
            "leave out --checkpoint-every: the end of every epoch is kept anyway",
        )
    if fine_tunes(recipe) and len(nets_of(recipe)) > 1:
        raise UsageError(
            f"--tune {recipe.tune} with --net {recipe.net}", "one net", "name the one that is to go on learning"
        )
    if is_foreign(recipe.net) and (recipe.tune == "gradual" or recipe.tune.startswith("last:")):
        raise UsageError(
            f"--tune {recipe.tune} with --net {recipe.net}, which is one layer to kopal: it has no stages to unfreeze",
            "all of it, or its head alone",
            "say --tune all, or leave --tune out",
        )
    if not fine_tunes(recipe):
        _check_engine(recipe)
        _check_foreign(recipe)
    if recipe.head != Recipe.head:
        refuse_head(recipe)
    if recipe.features != Recipe.features:
        refuse_int8(recipe)
    if (fine_tunes(recipe) or engine_of(recipe) == "torch") and not torch_is_there():
        require_torch()


def check_together(recipe: Recipe) -> None:
    """Raises `UsageError` for what several processes cannot learn together, however they were started."""
    if fine_tunes(recipe):
        raise UsageError(
            f"several processes with --tune {recipe.tune}",
            "one process, or a net that learns from pixels",
            "start it once, without --nproc or torchrun, or leave --tune out and add --weights none",
        )
    if starts_from_imagenet(recipe):
        raise UsageError(
            f"several processes with --net {recipe.net}, whose features are frozen",
            "one process, or a net that learns from pixels",
            "start it once, without --nproc or torchrun, or add --weights none, or a --net without embedded weights",
        )
    if recipe.engine != "numpy" and not torch_is_there():
        require_torch()
    if engine_of(recipe) != "torch":
        raise UsageError(
            f"several processes with --net {recipe.net} on kopal's own engine", "PyTorch", "add --engine torch"
        )


def refuse_head(recipe: Recipe) -> None:
    """Raises `UsageError`: what a net that learns from pixels ends in is its own, and fine-tuning goes on from one."""
    if fine_tunes(recipe):
        raise UsageError(
            f"head {recipe.head} would do nothing: with --tune {recipe.tune} the head is a layer that learns on",
            "another head on frozen features, or fine-tuning",
            "leave out --head or --tune",
        )
    raise UsageError(
        f"head {recipe.head} would do nothing: --net {recipe.net} learns its own from pixels",
        "a head on the frozen features of a net with embedded weights",
        "leave --head out, or say --weights auto with the net " + next(iter(PRETRAINED)),
    )


def refuse_int8(recipe: Recipe) -> None:
    """Raises `UsageError`: a net that learns needs numbers that can change by little."""
    if fine_tunes(recipe):
        raise UsageError(
            f"features {recipe.features} with --tune {recipe.tune}, under which the net learns",
            "frozen features, or fine-tuning",
            "leave out --features or --tune",
        )
    raise UsageError(
        f"features {recipe.features} with a net that learns: --net {recipe.net} is not frozen",
        "the frozen features of a net with embedded weights",
        "leave --features out",
    )


def _check_engine(recipe: Recipe) -> None:
    """Raises `UsageError` for what only PyTorch does, where kopal's own engine is to compute."""
    idle = [f"--device {recipe.device}"] if recipe.device not in ("auto", "cpu") else []
    idle += [f"--amp {recipe.amp}"] if recipe.amp != Recipe.amp else []
    if not idle or engine_of(recipe) == "torch":
        return
    if misses_torch(recipe):
        require_torch()
    raise UsageError(
        f"{' '.join(idle)} would do nothing: kopal's own engine trains --net {recipe.net}, in float32 on the processor",
        "options of PyTorch together with it",
        f"add --engine torch, or leave {' and '.join(idle)} out",
    )


def _check_foreign(recipe: Recipe) -> None:
    """Raises `UsageError` for a start and a normalisation that nets from elsewhere bring along themselves."""
    idle = [
        f"--{knob} {getattr(recipe, knob)}"
        for knob in ("init", "normalise")
        if getattr(recipe, knob) != getattr(Recipe, knob)
    ]
    if idle and is_foreign(recipe.net):
        raise UsageError(
            f"{' '.join(idle)} would do nothing: {recipe.net} starts and sees its pixels as it was written",
            "one of kopal's own nets together with it",
            f"leave {' and '.join(idle)} out",
        )
