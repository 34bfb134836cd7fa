"""How a gradient becomes a step, as a value: every engine reads the same one."""

from __future__ import annotations

from dataclasses import dataclass

from kopal.recipes import OptimiserName, Recipe


@dataclass(frozen=True)
class Stepping:
    """The optimiser and what stands around it.

    `momentum` and `nesterov` are SGD's. `penalty` decays what multiplies, never biases and norms: L2 in the gradient
    of SGD and Adam, beside the step of AdamW. `smoothing` takes that share of every target and spreads it over all
    classes (arXiv:1512.00567). `clip` bounds the norm of the whole gradient (arXiv:1211.5063), 0 leaves it. `average`
    is the share that the running average of the weights keeps of itself in a step (arXiv:1803.05407 shows what it is
    good for), 0 keeps none: with it, the average is what validates and what is saved.
    """

    optimiser: OptimiserName = "sgd"
    momentum: float = 0.9
    nesterov: bool = False
    penalty: float = 0.0
    smoothing: float = 0.0
    clip: float = 0.0
    average: float = 0.0

    def kept(self, step: int) -> float:
        """What the average keeps in step 1, 2, …: less at first, so that it does not remember the random start."""
        return min(self.average, step / (step + 10))


def stepping(recipe: Recipe) -> Stepping:
    """The part of a recipe that is about steps."""
    return Stepping(
        recipe.optimiser,
        recipe.momentum,
        recipe.nesterov,
        recipe.penalty,
        recipe.smoothing,
        recipe.clip,
        recipe.average,
    )
