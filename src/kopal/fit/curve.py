"""Reading the loss curve, as the lecture's part 20 does: was the rate too low, good, high, did it learn by heart?"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import isfinite, log

from kopal.fit.loop import Epoch

FEWEST = 3
"""Epochs from which a curve has a shape."""
STILL_FALLING = 0.03
"""Of the loss of the epoch before: so much less in the last one means that more epochs would go on gaining."""
JUMP = 0.02
"""Of the first loss: a training loss that rises by more from one epoch to the next jumps; a fourth of them is many."""
LOST, UNLEARNED = 1.5, 0.995
"""Losses over ln K, that of calling all classes equally likely: much worse in epoch 1; no better at the end."""
LUCK = 1.2
"""Accuracies over 1 / K that a guess may have."""
RISEN = 1.1
"""Validation loss over its least, while the training loss falls: learning by heart."""


def read_curve(history: Sequence[Epoch], classes: int) -> str:
    """What the losses of a training say about its rate and its length, or "" where they are too few to say."""
    if history and not isfinite(history[-1].validation_loss):
        return "it diverged: the learning rate is too high"
    if len(history) < FEWEST:
        return ""
    train = [epoch.train_loss for epoch in history]
    validation = [epoch.validation_loss for epoch in history]
    jumps = sum(later - earlier > JUMP * train[0] for earlier, later in pairwise(train))
    guesses = max(epoch.validation_accuracy for epoch in history) < LUCK / classes
    learned = not guesses or min(validation) < UNLEARNED * log(classes)
    if not learned and train[0] > LOST * log(classes):
        return "the first steps threw the net out of reach: the learning rate is far too high"
    falling = train[-1] < (1 - STILL_FALLING) * train[-2] and validation[-1] <= min(validation)
    if (not learned and not falling) or min(train) > 0.95 * train[0]:
        return "flat: the learning rate is too low, or so high that nothing is gained; kopal lr-find tells which"
    if jumps >= (len(train) - 1) / 4:
        return "the training loss jumps up and down: the learning rate is high"
    best = validation.index(min(validation))
    if validation[-1] > RISEN * validation[best] and train[-1] < train[best]:
        return (
            f"after epoch {best + 1} it learned by heart: the training loss fell on, the validation loss rose; "
            "more photos, --augment or --l2 help"
        )
    if falling:
        return "still falling at the end: more epochs, or a higher rate, would gain more"
    return "it fell fast, then levelled out: a good rate"
