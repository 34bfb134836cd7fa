"""When to stop, three ways: after a number of steps, when the parameters settle, when nothing improves any more.

Rules are values and combine: `MaxSteps(1000) | Settled(1e-6)` stops at whichever says so first. Every training loop of
kopal asks them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias, final

from kopal.errors import UsageError

Watch: TypeAlias = Callable[[int, float, float], str]
"""(t, value of the criterion, largest change of a parameter since the step before) → the reason to stop, or ""."""


class Rule(Protocol):
    """A stopping rule; `watch` begins a fresh look at one run."""

    def watch(self) -> Watch:
        """A function to ask after every step."""
        ...


class _Combines:
    def __or__(self: Rule, other: Rule) -> AnyOf:
        return AnyOf((self, other))


@final
@dataclass(frozen=True)
class AnyOf(_Combines):
    """Stops as soon as one of its rules does."""

    rules: tuple[Rule, ...]

    def watch(self) -> Watch:
        """Every rule is asked every time, so that each sees the whole run."""
        watches = [rule.watch() for rule in self.rules]
        return lambda t, value, moved: next((why for why in [watch(t, value, moved) for watch in watches] if why), "")


@final
@dataclass(frozen=True)
class MaxSteps(_Combines):
    """After `steps` steps."""

    steps: int
    unit: str = "steps"

    def __post_init__(self) -> None:
        if self.steps < 0:
            raise UsageError(f"{self.steps} {self.unit}", "0 or more")

    def watch(self) -> Watch:
        """Counts."""
        return lambda t, value, moved: f"{self.steps} {self.unit} are done" if t >= self.steps else ""


@final
@dataclass(frozen=True)
class Settled(_Combines):
    """When no parameter moved by more than `tolerance` in a step."""

    tolerance: float = 1e-6

    def watch(self) -> Watch:
        """Looks at the last move; before the first there is none."""
        return lambda t, value, moved: (
            f"no parameter moved by more than {self.tolerance:g}" if t > 0 and moved <= self.tolerance else ""
        )


@final
@dataclass(frozen=True)
class NoImprovement(_Combines):
    """When the criterion has not fallen below its best by more than `margin` for `patience` steps."""

    patience: int
    margin: float = 0.0
    unit: str = "steps"

    def __post_init__(self) -> None:
        if self.patience < 1:
            raise UsageError(f"patience {self.patience}", "1 or more")

    def watch(self) -> Watch:
        """Remembers the best value and when it was."""
        best, since = float("inf"), 0

        def look(t: int, value: float, moved: float) -> str:
            nonlocal best, since
            if value < best - self.margin:
                best, since = value, t
            return f"nothing gained for {self.patience} {self.unit}" if t - since >= self.patience else ""

        return look


def asks_for_movement(rule: Rule) -> bool:
    """Whether a rule looks at how far the parameters move; where none does, nobody need measure it."""
    return isinstance(rule, Settled) or (isinstance(rule, AnyOf) and any(map(asks_for_movement, rule.rules)))
