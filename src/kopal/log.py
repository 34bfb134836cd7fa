"""What a long piece of work tells on its way. The library never prints: it hands each noun to a `Log`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from kopal.ledger import LedgerRow


@dataclass(frozen=True)
class Progress:
    """A long step on its way: `done` of `total` units of `what`, and what there is to say of it `so_far`."""

    what: str
    done: int
    total: int
    so_far: str = ""


@dataclass(frozen=True)
class Ledger:
    """All that could not be read, told before the fitting starts; `complete` where no ledger.csv will list it."""

    rows: tuple[LedgerRow, ...]
    photos: int
    complete: bool = False


@dataclass(frozen=True)
class Note:
    """A line that the owner should read, such as a cache that cannot be used."""

    text: str


Log: TypeAlias = Callable[[object], None]
"""Is handed each noun as it comes into being: Dataset, Plan, Progress, Ledger, Note, Course, Tuning, Epoch, Kept,
Fitted, Run, Advice, Audit, WithoutTwins."""


def silent(noun: object) -> None:
    """The log of someone who wants the result only."""
