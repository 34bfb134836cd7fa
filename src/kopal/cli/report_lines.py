"""How a report looks on a screen: accuracy, a table of classes, what is most often confused, what to trust."""

from __future__ import annotations

from rich.cells import cell_len

from kopal.cli.output import cut, pad, paragraph, room, say, shown
from kopal.cli.trust_lines import trust_lines
from kopal.evaluate import Report

CLASSES_SHOWN, WORST_SHOWN = 40, 20
NUMBERS = 52
"""Columns that the numbers of a class take, with what sets them apart."""


def accuracy_line(report: Report) -> str:
    """Accuracy, its interval, on how many photos and which."""
    low, high = report.interval
    where = f"n = {report.n}, {report.measured_on}"
    return f"accuracy {report.accuracy:.3f}  (95 % interval {low:.3f} to {high:.3f}, {where})"


def show_report(report: Report) -> None:
    """Accuracy with its interval and baseline, a table of classes, the worst confusions."""
    low, _ = report.interval
    say(f"\n{accuracy_line(report)}")
    say(f"baseline {report.majority:.3f}  (always naming the largest class)\n")
    if low <= report.majority:
        say("note: that is not clearly better than always naming the largest class\n")
    rows = list(report.per_class)
    if len(rows) > CLASSES_SHOWN:
        rows = sorted(rows, key=lambda row: row.f1)[:WORST_SHOWN]
        say(f"the {WORST_SHOWN} worst of {len(report.per_class)} classes by F1 (report.json has all)")
    free = room()
    names = [cut(shown(row.name), free and free - NUMBERS) for row in rows]
    width = max(5, *map(cell_len, names))
    say(f"  {pad('class', width)}      n  precision  recall     F1  95 % of recall")
    for name, row in zip(names, rows, strict=True):
        # A class without photos was neither right nor wrong.
        shares = (f"{share:.3f}" if row.n else "    –" for share in (row.precision, row.recall, row.f1))
        precision, recall, f1 = shares
        ends = "{:.3f} to {:.3f}".format(*row.intervals[1]) if row.n else "–"
        say(f"  {pad(name, width)} {row.n:6}      {precision}   {recall}  {f1}  {ends}")
    low, high = report.macro_f1_interval
    say(f"macro F1 {report.macro_f1:.3f}  (95 % interval {low:.3f} to {high:.3f})")
    worst = report.worst_confusions()
    if worst:
        say("\nmost confused")
        for was, said, count in worst:
            half = free and (free - 20) // 2
            say(f"  {count:4} x {cut(shown(was), half)} taken for {cut(shown(said), half)}")
    for line in trust_lines(report):
        say(paragraph(line, 2))
