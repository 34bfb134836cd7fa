"""The command `advise`: what the photos call for, why, what it would cost, and whether more of them would help."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kopal.cli.everyday import Data, Group, Json, LabelsFrom, Quiet, Seed, knob
from kopal.cli.reuse import Download
from kopal.cli.words import HELP

if TYPE_CHECKING:
    from kopal.advise import Advice


def advise(
    data: Data,
    net: str | None = knob("--net"),
    plot: Annotated[Path | None, typer.Option("--plot", help=HELP["--plot advise"], show_default=False)] = None,
    seed: Seed = 0,
    balance: Annotated[bool, typer.Option("--balance", help=HELP["--balance"])] = False,
    no_cache: Annotated[bool, typer.Option("--no-cache", help=HELP["--no-cache"])] = False,
    as_json: Json = False,
    weights: str | None = knob("--weights"),
    download: Download = False,
    numbers: str | None = knob("--features"),
    labels_from: LabelsFrom = None,
    group: Group = None,
    quiet: Quiet = False,
) -> None:
    from kopal import pipeline
    from kopal.cli.aside import telling
    from kopal.cli.output import say, say_json, shown
    from kopal.cli.place import check_picture_place
    from kopal.datasets import open_dataset
    from kopal.recipes import recipe

    kind = check_picture_place(plot, "--plot", [data]) if plot else ""
    made = recipe(net=net, features=numbers, weights=weights, seed=seed, balance=balance or None)
    with telling(as_json, quiet) as log:
        found = pipeline.advise(open_dataset(data, labels_from, group), made, not no_cache, log, download)
    drawn = _draw(found, plot, f"{made.net} on {Path(data).name}", kind) if plot else False
    if as_json:
        say_json(found.as_json() | {"picture": str(plot) if drawn else None})
        return
    for line in advice_lines(found, made.net):
        say(line)
    if plot:
        say(f"drawn in {shown(plot)}" if drawn else f"not drawn: {found.no_curve}")


def advice_lines(advice: Advice, net: str) -> Iterator[str]:
    """The advice as a page: what was measured, the curve, what follows, what it costs."""
    from kopal.cli.output import paragraph, seconds
    from kopal.similarity import FAMILIAR

    measured = advice.measured
    low, high = measured.interval
    yield f"\na head on {net}: accuracy {measured.accuracy:.3f} ({low:.3f} to {high:.3f}, out of fold)"
    if measured.seen is not None:
        yield f"  on the photos that it learned from: {measured.seen:.3f}"
    if measured.prominence is not None:
        yield f"how familiar: the best of the net's own scores stands out by {measured.prominence:.1f}"
        yield f"  deviations (similar from {FAMILIAR}; chance 3.2; arXiv:1911.11132)"
    if measured.log_evidence is not None:
        yield f"how well features fit the labels: {measured.log_evidence:.3f} (LogME, arXiv:2102.11005;"
        yield "  higher is better, between nets on the same photos)"
    if advice.curve:
        yield "\nlearning curve  photos  accuracy"
        for point in advice.curve.points:
            low, high = point.interval
            yield f"{point.share:14.0%}  {point.photos:6}  {point.accuracy:.3f} ({low:.3f} to {high:.3f})"
        for times in (2, 4):
            low, high = advice.curve.band(times * advice.curve.photos)
            expected = advice.curve.gain(times).accuracy
            yield f"{times:12} x  {times * advice.curve.photos:6}  {expected:.3f} ({low:.3f} to {high:.3f}) expected"
    yield ""
    for sentence in advice.sentences():
        yield paragraph(f"→ {sentence}", 2)
    if advice.costs:
        yield "\nabout how long here, reading aside (a factor of two either way)"
        yield f"  {'the head only':27} {seconds(advice.costs.head)}"
        for price in advice.costs.tuning:
            yield f"  {f'--tune {price.tune}, {price.epochs} epochs':27} {seconds(price.seconds)}"


def _draw(advice: Advice, plot: Path, title: str, kind: str) -> bool:
    """Whether there was a curve to draw."""
    from kopal.files import write_bytes
    from kopal.report.formats import caption
    from kopal.report.learning_curve_plot import learning_curve_picture

    if advice.curve is None:
        return False
    write_bytes(plot, learning_curve_picture(advice.curve, caption(title, 60), kind))
    return True
