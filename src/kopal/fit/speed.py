"""How PyTorch should compute a net on this machine: device, number format, order in memory. Measured, not guessed.

bfloat16 makes ResNet a third faster on processors that multiply it, and EfficientNet slower on the same ones; most nets
want channels last, the smallest do not. A few steps of each settle it; the answer is kept, so that the next training of
the same net here computes the same numbers without asking.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter

from kopal.errors import OutputError
from kopal.files import write_json

TURNS, STEPS, ENOUGH = 2, 3, 2.0
"""Each way is timed in so many turns of so many steps, unless it has had so many seconds already."""
WORTH = 0.9
"""Fewer bits must save a tenth of the time, or they are not worth their rounding."""


@dataclass(frozen=True)
class Choice:
    """`device` by PyTorch's name, activations rounded to `bfloat16` or not, channels last in memory or not."""

    device: str = "cpu"
    bfloat16: bool = False
    channels_last: bool = True

    def in_words(self) -> str:
        """As the plan of a training names it."""
        return f"{self.device}, {'bfloat16' if self.bfloat16 else 'float32'}{', channels last' * self.channels_last}"


def choose(candidates: list[Choice], step: Callable[[Choice], Callable[[], object]]) -> Choice:
    """The fastest candidate; `step(choice)` makes a training step to time. bfloat16 must win clearly.

    The candidates take turns and each one's best time counts: other programs then disturb all of them alike. Only one
    is in memory at a time.
    """
    if len(candidates) == 1:
        return candidates[0]
    times: dict[Choice, list[float]] = {choice: [] for choice in candidates}
    for _ in range(TURNS):
        for choice, found in times.items():
            work = step(choice)
            work()  # the first step of all also compiles and allocates
            for _ in range(STEPS):
                if sum(found) < ENOUGH:
                    started = perf_counter()
                    work()
                    found.append(perf_counter() - started)
            del work
    return min(candidates, key=lambda choice: min(times[choice]) / (WORTH if choice.bfloat16 else 1))


def remembered(file: Path | None, key: str, measure: Callable[[], Choice]) -> Choice:
    """The choice kept in `file` under `key`, or a fresh measurement, which is then kept there."""
    known = _read(file)
    if key in known:
        return known[key]
    choice = measure()
    if file is not None:
        # A place that cannot be written to costs the next training these seconds, not this one.
        with suppress(OSError, OutputError):
            file.parent.mkdir(parents=True, exist_ok=True)
            write_json(file, {name: asdict(kept) for name, kept in {**known, key: choice}.items()})
    return choice


def _read(file: Path | None) -> dict[str, Choice]:
    try:
        found = json.loads(file.read_text(encoding="utf-8")) if file is not None else {}
        return {key: Choice(**choice) for key, choice in found.items() if _sound(choice)}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):  # not there, or damaged: measured anew
        return {}


def _sound(choice: dict[str, object]) -> bool:
    return {name: type(value) for name, value in choice.items()} == {
        name: type(value) for name, value in asdict(Choice()).items()
    }
