"""The command `audit`: what is wrong with photos as a set, on the screen, as a page, as JSON or as a list to edit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kopal.cli.everyday import Data, Group, Json, LabelsFrom, Quiet
from kopal.cli.reuse import Net, NoCache
from kopal.cli.words import HELP

if TYPE_CHECKING:
    from kopal.audit import Audit
    from kopal.datasets import Dataset


def audit(
    data: Data,
    out: Annotated[Path | None, typer.Option("--out", help=HELP["--out audit"], show_default=False)] = None,
    as_json: Json = False,
    net: Net = None,
    labels_from: LabelsFrom = None,
    group: Group = None,
    no_cache: NoCache = False,
    quiet: Quiet = False,
) -> None:
    from kopal import pipeline
    from kopal.cli.aside import telling
    from kopal.cli.audit_lines import audit_lines
    from kopal.cli.output import quoted, say, say_json, say_whole, this_command
    from kopal.cli.place import check_audit_place
    from kopal.datasets import open_dataset
    from kopal.recipes import recipe

    if out is not None:
        check_audit_place(out, [data])
    dataset = open_dataset(data, labels_from, group)
    with telling(as_json, quiet) as log:
        found = pipeline.audit_photos(dataset, recipe(net=net), not no_cache, log)
    if as_json:
        say_json(found.as_json())
    else:
        say("")
        for line in audit_lines(found):
            say(line)
    if out is not None:
        written = _write(out, found, dataset)
        if not as_json:
            say(written)
            if out.suffix.lower() == ".csv":
                say_whole(f"  {this_command()} train PHOTOS --review {quoted(out)}")


def _write(out: Path, found: Audit, dataset: Dataset) -> str:
    """The file, in the format that its name asks for → what to say of it."""
    from kopal.cli.output import shown
    from kopal.files import write_json, write_text
    from kopal.review import write_review

    if out.suffix.lower() == ".csv":
        write_review(out, found, dataset)
        return f"\na list to edit: {shown(out)}; write leave out or relabel:NAME over keep, then"
    if out.suffix.lower() == ".json":
        write_json(out, found.as_json())
        return f"\nas JSON: {shown(out)}"
    from kopal.report.audit_page import audit_page

    write_text(out, audit_page(found, dataset))
    return f"\nas a page: {shown(out)}"
