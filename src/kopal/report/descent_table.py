"""A descent as the lecture's table: t, x, f, df/dx, three decimals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kopal.descent import Step


def descent_lines(steps: Sequence[Step], variables: Sequence[str]) -> Iterator[str]:
    """One line per step under a line of names; numbers aligned."""
    names = ["t", *variables, "f", *(f"df/d{name}" for name in variables)]
    rows = [
        [str(step.t), *_cells(step.x.ravel().tolist()), *_cells([step.value]), *_cells(step.gradient.ravel().tolist())]
        for step in steps
    ]
    widths = [max(len(row[column]) for row in [names, *rows]) for column in range(len(names))]
    for row in [names, *rows]:
        yield "  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True))


def _cells(values: Sequence[float]) -> list[str]:
    # Very large and very small numbers keep their size visible.
    return [f"{value:.3f}" if value == 0 or 5e-4 <= abs(value) < 1e6 else f"{value:.3e}" for value in values]
