"""How far down a net may learn within a budget: a step at each depth is timed, the deepest that has time is taken."""

from __future__ import annotations

from time import perf_counter

import numpy as np

from kopal.fit.freedom import freedom
from kopal.fit.ground import kept_below, mirrors
from kopal.fit.loop import SCORING_COSTS
from kopal.fit.stepping import stepping
from kopal.nets.fold import Weights
from kopal.nets.net import Net
from kopal.parallel import MAX_WORKERS, cores
from kopal.recipes import Recipe

SHALLOWEST = 2
"""The head alone is what the probe has fitted already, better than steps would."""
FEWEST_EPOCHS = 5
"""With fewer the rate would fall before the stages have learned anything."""
TIMED = 8


def reach(
    recipe: Recipe,
    net: Net,
    weights: Weights,
    most: int,
    photos: tuple[int, int],
    forward: float,
    left: float,
) -> int:
    """The number of stages, at most `most`, that learn `FEWEST_EPOCHS` times from all photos in `left` seconds; 0 where
    not even the fewest do.

    `photos` are those to learn from and to validate on, `forward` the seconds of one core for a photo, all the way up.
    """
    began = perf_counter()
    learning, validation = photos
    chosen = 0
    for count in range(min(SHALLOWEST, most), most + 1):
        cut = kept_below(recipe, net, count, learning, validation)
        seen = learning * (1 + mirrors(recipe)) + validation
        first = forward * cut.work_below * seen / min(cores(), MAX_WORKERS) if cut else 0.0
        if first >= left - (perf_counter() - began):
            break
        a_photo = seconds_a_photo(recipe, cut.upper if cut else net, weights, count)
        epoch = a_photo * (learning + SCORING_COSTS * validation)
        if first + FEWEST_EPOCHS * epoch > left - (perf_counter() - began):
            break
        chosen = count
    return chosen


def seconds_a_photo(recipe: Recipe, net: Net, weights: Weights, stages: int) -> float:
    """What a photo costs in a step of the last `stages` stages of a net, or of its upper half."""
    import torch  # noqa: PLC0415 - PyTorch takes seconds: only where it is wanted

    from kopal.fit.torch_learner import TorchLearner  # noqa: PLC0415

    torch.set_num_threads(cores())
    learner = TorchLearner(net, weights, stepping(recipe), free=freedom(net, stages))
    pixels, labels = np.zeros((TIMED, *net.image), np.uint8), np.zeros(TIMED, np.int64)
    times = []
    for _ in range(3):  # the first one also compiles and allocates
        started = perf_counter()
        learner.learn(pixels, labels, 1e-6, TIMED)
        times.append(perf_counter() - started)
    return min(times[1:]) / TIMED
