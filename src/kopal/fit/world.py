"""The processes that train one net together. Alone is the usual case; `fit/distributed.py` has several."""

from __future__ import annotations

from typing import Protocol, final

from kopal.arrays import Scores


class World(Protocol):
    """Process `rank` of `size`. Every method is called by all of them, in the same order, and gives all the same."""

    @property
    def rank(self) -> int:
        """The number of the process; 0 alone prints and writes."""

    @property
    def size(self) -> int:
        """How many processes there are."""

    @property
    def here(self) -> int:
        """How many of them share this machine."""

    @property
    def launch(self) -> str:
        """Names of those who started the processes, the same when they start them again; "" alone."""

    def sums(self, *values: float) -> tuple[float, ...]:
        """Each value, added up over the processes."""

    def interleaved(self, scores: Scores) -> Scores:
        """Rows rank, rank + size, … of each process → all rows in order."""

    def from_first(self, data: bytes) -> bytes:
        """The bytes that process 0 has."""


@final
class _Alone:
    rank, size, here, launch = 0, 1, 1, ""

    def sums(self, *values: float) -> tuple[float, ...]:
        return values

    def interleaved(self, scores: Scores) -> Scores:
        return scores

    def from_first(self, data: bytes) -> bytes:
        return data


ALONE: World = _Alone()
