"""The command `compare`: runs side by side, each against the first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kopal.cli.everyday import Json
from kopal.cli.words import HELP

if TYPE_CHECKING:
    from kopal.compare import Comparison


def compare(
    runs: Annotated[list[str], typer.Argument(help=HELP["runs"], show_default=False)],
    out: Annotated[Path | None, typer.Option("--out", help=HELP["--out compare"], show_default=False)] = None,
    as_json: Json = False,
) -> None:
    from kopal.cli.output import paragraph, say, say_json, shown
    from kopal.cli.place import check_page_place
    from kopal.compare import compare as compare_runs
    from kopal.files import write_text
    from kopal.report.page import comparison_page

    if out is not None:
        check_page_place(out, "compare", runs)
    found = compare_runs(runs)
    if out is not None:
        write_text(out, comparison_page(found, [Path(run) for run in runs]))
    if as_json:
        say_json(found.as_json())
        return
    for line in comparison_lines(found):
        say(paragraph(line, 4))
    if out is not None:
        say(f"as a page: {shown(out)}")


NUMBERS = 63
"""Columns that the numbers of a run take, with what sets them apart."""


def comparison_lines(found: Comparison) -> Iterator[str]:
    """The table of a comparison, and what it means."""
    from rich.cells import cell_len

    from kopal.cli.output import cut, pad, room, shown

    free = room()
    names = [cut(row.run, free and free - NUMBERS) for row in found.rows]
    width = max(3, *map(cell_len, names))
    yield f"{pad('run', width)}  right  95 % interval     loss  calib        s     MB        p"
    for name, row in zip(names, found.rows, strict=True):
        low, high = row.interval
        p = "" if row.p is None else f"{row.p:7.2g}"
        yield (
            f"{pad(name, width)}  {row.accuracy:.3f}  {low:.3f} to {high:.3f}  {row.log_loss:7.3f}  "
            f"{row.calibration_error:5.3f}  {row.seconds:7.1f}  {row.bytes / 1e6:5.1f}  {p}"
        ).rstrip()
    places = {row.measured_on for row in found.rows}
    where = f", {shown(places.pop())}" if len(places) == 1 else ""
    if found.shared:
        yield f"on the same {found.shared} photos{where}; calib is the calibration error"
        yield "p is McNemar's: how likely chance alone would part a run so far from the first"
    for row in found.rows[1:]:
        if row.p is not None:
            verdict = "more than chance" if row.p < 0.05 else "may be chance"
            yield f"  {row.run}: {row.only_this} photos won from the first, {row.only_first} lost; {verdict}"
    if found.note:
        yield f"note: {found.note}"
