"""From a recipe to a net that is ready to learn: architecture, first weights, engine. Step two of four: the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kopal.autograd import initialise
from kopal.backends.torch_module import require_torch
from kopal.errors import UsageError
from kopal.fit import engine, linear
from kopal.fit.foreign import foreign_net, is_foreign, starting_weights
from kopal.fit.learner import Learner
from kopal.fit.normalise import Normalisation
from kopal.fit.norming import check_batch
from kopal.fit.stepping import Stepping, stepping
from kopal.fit.world import World
from kopal.nets.layers import Chain, Normalize
from kopal.nets.linear import linear as linear_net
from kopal.nets.net import Net
from kopal.nets.registry import build
from kopal.recipes import Recipe

Weights = Mapping[str, NDArray[Any]]
SMALL = ("linear", "mlp", "lenet5", "garment")
"""Nets that our own engine trains as fast as PyTorch, without the seconds that its import takes."""
MISSED = "PyTorch, several times as fast on such nets, is not installed: pip install 'kopal[torch]'"


@dataclass(frozen=True)
class Pupil:
    """A net and how to train it: `make` gives a fresh learner, each time the same; `finish` its weights as the net's.

    `how` says in words what computes; `choice` is what was measured to settle that, plain values for `kept`.
    """

    net: Net
    make: Callable[[], Learner]
    finish: Callable[[Weights], Weights]
    how: str
    choice: Mapping[str, Any] = field(default_factory=dict)


def pupil(
    recipe: Recipe,
    image: tuple[int, int, int],
    classes: int,
    normalisation: Normalisation,
    world: World,
    speeds: Path | None,
    kept: Mapping[str, Any] | None = None,
) -> Pupil:
    """The recipe's net for an image (H, W, C) and its learner. `speeds` is the file of `fit/speed.py`; `kept`, the
    choice of a pupil that this one goes on for, is taken without asking the clock.
    """
    how = stepping(recipe)
    if engine_of(recipe) == "numpy" and recipe.net == "linear" and _by_hand(how):
        return _linear(recipe, image, classes, normalisation)
    net, weights = _started(recipe, image, classes, normalisation)
    check_batch(net, recipe.batch, world.size)
    if engine_of(recipe) == "numpy":
        words = f"engine numpy: {MISSED}" if misses_torch(recipe) else "engine numpy"
        return Pupil(net, lambda: engine.EngineLearner(net, weights, how, recipe.seed), _as_it_is, words)
    require_torch()
    from kopal.fit.torch_pupil import ready  # noqa: PLC0415 - PyTorch takes seconds: only where it is wanted

    make, choice = ready(recipe, net, weights, how, world, speeds, kept)
    return Pupil(net, make, _as_it_is, f"PyTorch on {choice.in_words()}", asdict(choice))


def engine_of(recipe: Recipe) -> str:
    """What computes the gradients: as the recipe says, else our own engine for small nets and where PyTorch lacks."""
    if recipe.engine != "auto":
        return recipe.engine
    if is_foreign(recipe.net):
        return "torch"
    return "torch" if recipe.net not in SMALL and torch_is_there() else "numpy"


def misses_torch(recipe: Recipe) -> bool:
    """Whether our own engine computes only because PyTorch is not there."""
    return recipe.engine == "auto" and engine_of(recipe) == "numpy" and recipe.net not in SMALL


def torch_is_there() -> bool:
    """Whether PyTorch can be imported; looks without importing."""
    return find_spec("torch") is not None


def _started(
    recipe: Recipe, image: tuple[int, int, int], classes: int, normalisation: Normalisation
) -> tuple[Net, Weights]:
    """The net with its first weights: drawn by the recipe, or by a module from elsewhere as it was made."""
    if is_foreign(recipe.net):
        require_torch().manual_seed(recipe.seed)
        net = foreign_net(recipe.net, classes, image)
        return net, starting_weights(net)
    net = _normalised(build(recipe.net, classes, image), normalisation)
    return net, engine.start(net, np.random.default_rng(recipe.seed), recipe.init)


def _by_hand(how: Stepping) -> bool:
    """Whether the steps are those whose gradient stands in `fit/linear.py`."""
    return how == Stepping(momentum=how.momentum, penalty=how.penalty)


def _linear(recipe: Recipe, image: tuple[int, int, int], classes: int, normalisation: Normalisation) -> Pupil:
    def make() -> Learner:
        rng = np.random.default_rng(recipe.seed)
        w, b = linear.start(rng, classes, int(np.prod(image)))
        if recipe.init != "normal":
            w, b = initialise(recipe.init, rng, w.shape), np.zeros_like(b)
        return linear.LinearLearner(normalisation, w, b, recipe.momentum, recipe.penalty)

    def finish(weights: Weights) -> Weights:
        return linear.as_net_weights(weights["w"], weights["b"], normalisation, image)

    return Pupil(linear_net(classes, image), make, finish, "engine numpy, the gradient by hand")


def _as_it_is(weights: Weights) -> Weights:
    return weights


def _normalised(net: Net, normalisation: Normalisation) -> Net:
    """The net with the training photos' own mean and deviation in place of the published ones."""
    if normalisation.mean.ndim > 1:
        raise UsageError(
            "a mean image with a convolutional net", "--normalise pixel or channel: a net may see any part"
        )
    mean, std = (tuple(float(value) / 255 for value in part) for part in (normalisation.mean, normalisation.deviation))
    first, *rest = net.body.layers
    if not isinstance(first[1], Normalize):
        rest = [first, *rest]
    return replace(net, body=Chain((("normalize", Normalize(mean, std)), *rest)))
