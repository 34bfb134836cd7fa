"""What can go wrong in the engine. All are ValueErrors; the engine stands on NumPy alone."""

from __future__ import annotations


class AutogradError(ValueError):
    """An error in three sentences: what happened, what was expected, how to fix it (the last two may be empty)."""

    def __init__(self, happened: str, expected: str = "", fix: str = "") -> None:
        super().__init__(happened, expected, fix)
        self.happened = happened
        self.expected = expected
        self.fix = fix

    def __str__(self) -> str:
        lines = [self.happened]
        if self.expected:
            lines.append(f"expected: {self.expected}")
        if self.fix:
            lines.append(f"to fix:   {self.fix}")
        return "\n".join(lines)


class ShapeMismatch(AutogradError):
    """Arrays that do not fit each other; the message names the operation and every shape."""


class GraphFreed(AutogradError):
    """A second walk back through a graph whose caches the first walk has already let go."""


class WrongGradient(AutogradError):
    """A derivative that disagrees with the function it stands beside."""
