"""How trust looks on a screen: calibration, promises and what came of them, drift."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from kopal.evaluate import Report
from kopal.trust.conformal import fewest
from kopal.trust.promise_check import CoverageCheck, FloorCheck


def trust_lines(report: Report) -> Iterator[str]:
    """What the probabilities are worth, and which promises stand."""
    found = report.calibration
    low, high = found.interval
    yield ""
    yield f"log loss {found.log_loss:.3f}, Brier score {found.brier:.3f}, ECE {found.ece:.3f}"
    if found.temperature != 1:
        was_loss, was_brier, was_ece = found.before
        yield f"  without the temperature {was_loss:.3f}, {was_brier:.3f}, {was_ece:.3f}"
    yield f"calibration error {found.ece_debiased:.3f}  (ECE less chance; 95 % interval {low:.3f} to {high:.3f})"
    if report.coverage:
        yield from coverage_lines(report.coverage)
    if report.max_error:
        yield from floor_lines(report.max_error)
    if report.drift:
        yield report.drift.sentence()


def draw_trust(plot: Path | None, reads: Sequence[str]) -> Callable[[Report, str], None]:
    """What draws a report into a file, if one was named. Raises where there is no such format, or none may be drawn."""
    from kopal.cli.place import check_picture_place
    from kopal.files import write_bytes
    from kopal.report.formats import caption

    kind = check_picture_place(plot, "--plot", reads) if plot else ""

    def draw(report: Report, title: str) -> None:
        if plot:
            from kopal.report.reliability_plot import reliability_picture

            write_bytes(plot, reliability_picture(report, caption(title, 60), kind))

    return draw


def coverage_lines(check: CoverageCheck) -> Iterator[str]:
    """The check in words."""
    low, high = check.band
    found = f"found {check.found:.3f} on {check.n} photos, band {low:.2f} to {high:.2f}"
    yield f"coverage promised {check.promised:g}, {found}"
    yield f"  one name for {check.one:.0%}, two or three for {check.several:.0%}, unsure for {check.unsure:.0%}"
    if check.too_few:
        where = "a class has" if check.method == "by-class" else "there are"
        yield (
            f"note: {where} {check.too_few} photos to calibrate on; below {fewest(check.promised)} only the set of all "
            "classes would be honest"
        )
    if check.out_of_fold:
        yield "  from scores out of fold, so it is about kept, not provably (cross-conformal)"


def floor_lines(check: FloorCheck) -> Iterator[str]:
    """What became of the limit of errors, in words."""
    floor = check.floor
    if floor is None:
        yield (
            f"errors below {check.max_error:g} cannot be promised from {check.photos} photos: it takes at least "
            f"{check.fewest} sure answers without an error; so nothing is withheld"
        )
        return
    yield f"errors promised below {check.max_error:g}: only probabilities from {floor.confidence:.3f} on are answers"
    answered = f"{floor.accepted} of {floor.photos} answered, {floor.errors} wrong"
    yield f"  where chosen: {answered}, at most {floor.bound:.4f} (95 % sure)"
    if check.n:
        yield f"  of the {check.n} photos measured on {check.answered} are answered, {check.errors} of these wrong"
