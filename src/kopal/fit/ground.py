"""What a fine-tuning works on: the whole net and pixels, or the upper half and the activations of the frozen one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from kopal.fit.activations import computed, counted, fits, guises
from kopal.fit.augment import PRESETS
from kopal.fit.cut import Halves, halves
from kopal.fit.learner import Photographs
from kopal.fit.loop import Prepare
from kopal.images import Geometry
from kopal.log import Log, Progress
from kopal.nets.fold import Weights
from kopal.nets.net import Net
from kopal.recipes import Recipe


@dataclass(frozen=True)
class Ground:
    """A net, what it takes of the photos, and what is done to that first. `below` is the cut, where there is one."""

    net: Net
    learning: Photographs
    validation: Photographs
    prepare: Prepare
    below: Halves | None


def kept_below(recipe: Recipe, net: Net, stages: int, learning: int, validation: int) -> Halves | None:
    """The halves of a net whose lower one need run only once, as what it gives has room in memory; else None."""
    cut = halves(net, stages)
    return cut if cut and fits(cut, learning, validation, mirrors(recipe)) else None


def mirrors(recipe: Recipe) -> bool:
    """Whether a recipe wants mirror images too."""
    return PRESETS[recipe.augment].flip > 0


def ground(
    recipe: Recipe,
    net: Net,
    weights: Weights,
    stages: int,
    learning: Photographs,
    validation: Photographs,
    classes: int,
    geometry: Geometry,
    log: Log,
) -> Ground:
    """What the last `stages` stages learn from: activations where they have room, pixels, augmented, elsewhere."""
    augment, seed = PRESETS[recipe.augment], recipe.seed
    cut = kept_below(recipe, net, stages, len(learning), len(validation))
    if cut is None:
        changed = partial(augment.apply, classes=classes)
        prepare: Prepare = lambda pixels, labels, images, epoch: changed(pixels, labels, images, seed, epoch)  # noqa: E731
        return Ground(net, learning, validation, prepare, None)
    total = len(learning) + len(validation)
    step = counted(total, lambda done, of: log(Progress("photos through the frozen stages", done, of)))
    return Ground(
        cut.upper,
        computed(cut, weights, learning, geometry, mirrors(recipe), step),
        computed(cut, weights, validation, geometry, step=step),
        guises(augment, seed, classes),
        cut,
    )
