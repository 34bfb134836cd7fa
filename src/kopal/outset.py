"""What a training refuses before it begins, whatever the photos: a rehearsal refuses the same."""

from __future__ import annotations

from kopal.errors import UsageError
from kopal.fit.backbones import nets_of
from kopal.fit.pupil import engine_of
from kopal.recipes import Recipe, checked
from kopal.ways import fine_tunes, refuse_head, refuse_int8, starts_from_imagenet


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
    if recipe.head != Recipe.head:
        refuse_head(recipe)
    if recipe.features != Recipe.features:
        refuse_int8(recipe)


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
    if engine_of(recipe) != "torch":
        raise UsageError(
            f"several processes with --net {recipe.net} on kopal's own engine", "PyTorch", "add --engine torch"
        )
