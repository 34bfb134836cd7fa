"""Every knob of a training, frozen, as JSON both ways. One dial, `effort`, sets the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, TypeAlias

from kopal.errors import UsageError

Effort: TypeAlias = Literal["quick", "balanced", "best"]


@dataclass(frozen=True)
class Recipe:
    """How to train. `net` is the frozen backbone; `penalties` are tried strongest first over `folds` folds.

    `balance` makes every class weigh the same; `seed` deals the folds.
    """

    net: str = "efficientnet-lite0"
    seed: int = 0
    balance: bool = False
    effort: Effort = "balanced"
    folds: int = 5
    penalties: tuple[float, ...] = (3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
    search_tolerance: float = 1e-3
    final_tolerance: float = 1e-4

    def as_json(self) -> dict[str, Any]:
        """Plain values; `Recipe.from_json` is the way back."""
        return asdict(self) | {"penalties": list(self.penalties)}

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Recipe:
        """The recipe from its JSON value. Raises `UsageError` for a knob that does not exist."""
        unknown = sorted(set(value) - {field.name for field in fields(Recipe)})
        if unknown:
            raise UsageError(f"a recipe with unknown knobs {unknown}", "the knobs of this version of kopal")
        return Recipe(**{**value, "penalties": tuple(value.get("penalties", Recipe.penalties))})


EFFORTS: dict[str, dict[str, Any]] = {
    "quick": {"folds": 3, "penalties": (1.0, 0.1, 0.01, 0.001)},
    "balanced": {},
    "best": {"net": "efficientnet-lite2", "folds": 10},
}


def recipe(effort: str = "balanced", *, net: str | None = None, seed: int = 0, balance: bool = False) -> Recipe:
    """The recipe for an effort, with what the user said on top. Raises `UsageError` for an unknown effort."""
    if effort not in EFFORTS:
        raise UsageError(f"unknown effort {effort!r}", f"one of: {', '.join(EFFORTS)}")
    if seed < 0:
        raise UsageError(f"seed {seed}", "0 or more")
    knobs = {**EFFORTS[effort], "effort": effort, "seed": seed, "balance": balance}
    return Recipe(**(knobs | ({"net": net} if net else {})))
