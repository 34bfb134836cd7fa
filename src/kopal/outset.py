"""What a training refuses before it begins, whatever the photos: a rehearsal refuses the same."""

from __future__ import annotations

from kopal.errors import UsageError
from kopal.fit.backbones import nets_of
from kopal.fit.foreign import is_foreign
from kopal.recipes import Recipe, checked
from kopal.ways import fine_tunes, refuse_head, refuse_int8, starts_from_imagenet


def check_start(recipe: Recipe, resume: bool = False, checkpoint_every: int = 0) -> None:
    """Raises `UsageError` for knobs that are out of range or do not go together."""
    checked(recipe)
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
    if recipe.head != Recipe.head:
        refuse_head(recipe)
    if recipe.features != Recipe.features:
        refuse_int8(recipe)
