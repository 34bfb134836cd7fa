"""The command report: a run's page, made again from its files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kopal.cli.words import HELP


def report(
    run: Annotated[Path, typer.Argument(help=HELP["run"], show_default=False)],
    data: Annotated[str | None, typer.Option("--data", help=HELP["--data"], show_default=False)] = None,
    open_it: Annotated[bool, typer.Option("--open", help=HELP["--open"])] = False,
) -> None:
    import webbrowser

    from kopal.cli.output import paragraph, say, shown
    from kopal.cli.place import check_report_place
    from kopal.files import write_text
    from kopal.report.page import photos_of, run_page
    from kopal.run import PAGE

    check_report_place(run / PAGE)
    source, note = photos_of(run, data)
    write_text(run / PAGE, run_page(run, source))
    if note:
        say(paragraph(f"note: {note}", 6))
    say(f"written to {shown(run / PAGE)}")
    if open_it:
        webbrowser.open((run / PAGE).resolve().as_uri())
