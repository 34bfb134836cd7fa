"""What learns while a pretrained net is fine-tuned: which stages, how fast each, and from which step on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kopal.errors import UsageError
from kopal.nets.describe import describe, parameter_shapes
from kopal.nets.net import Net

DECAY = 0.75
"""Each stage learns at so much of the rate of the one above it: what is lower is more general (arXiv:1801.06146)."""
JOINED_BY = 0.5
"""With gradual unfreezing the lowest stage joins after this share of the training."""
STATISTICS = "running_mean"


@dataclass(frozen=True)
class Freedom:
    """Factors of the learning rate by full name; what is not named is frozen. `joins` are the steps before which an
    array is frozen too (0 where it is not named).
    """

    factors: Mapping[str, float]
    joins: Mapping[str, int] = field(default_factory=dict)

    def learns(self, name: str, steps: int) -> bool:
        """Whether an array learns once so many steps are done."""
        return name in self.factors and steps >= self.joins.get(name, 0)


def stages(net: Net) -> tuple[str, ...]:
    """The names of the top-level layers that have something to learn, in order; the last is the head."""
    learning = {row.path.split(".")[0] for row in describe(net) if row.learned}
    return tuple(name for name in net.stages() if name in learning)


def depth(tune: str, net: Net) -> int:
    """How many stages `tune` lets learn at the most, from the head down. Raises `UsageError` for too many."""
    names = stages(net)
    if tune == "head":
        return 1
    count = len(names) if tune in ("all", "gradual") else int(tune.removeprefix("last:"))
    if not 1 <= count <= len(names):
        raise UsageError(
            f"--tune {tune}, but net {net.name} has {len(names)} stages that can learn",
            f"last:1 to last:{len(names)}; the stages are {', '.join(names)}",
            "say how many of the last ones are to learn, the head among them",
        )
    return count


def freedom(net: Net, count: int, decay: float = DECAY, steps: int = 0) -> Freedom:
    """The last `count` stages of a net learn, each at `decay` of the rate of the one above.

    The scale of a batch norm stays frozen, and with it (`backends/torch_backend.py`) the norm's statistics: the scale
    is one with the weights of the convolution before, which learn; the shift learns. With `steps`, the length of the
    training, one stage after the other joins: the head and the stage below it at once, the lowest halfway.
    """
    own = stages(net)[::-1][:count]
    names = parameter_shapes(net)
    learned = [f"{row.path}.{name}" for row in describe(net) for name in row.learned]
    free = [name for name in learned if name.split(".")[0] in own and not _scales(name, names)]
    place = {name: own.index(name.split(".")[0]) for name in free}
    factors = {name: decay ** place[name] for name in free}
    if not steps or count < 3:
        return Freedom(factors)
    each = JOINED_BY * steps / (count - 2)
    return Freedom(factors, {name: round(each * (place[name] - 1)) for name in free if place[name] > 1})


def _scales(name: str, names: Mapping[str, object]) -> bool:
    """Whether this is the weight of a norm that keeps statistics."""
    path, _, own = name.rpartition(".")
    return own == "weight" and f"{path}.{STATISTICS}" in names
