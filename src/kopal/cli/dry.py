"""`kopal train --dry-run`: what was found, the plan and what it would take."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from kopal.cli.aside import telling
from kopal.cli.output import say, say_json
from kopal.datasets import Dataset
from kopal.fit.scratch import Course
from kopal.log import Ledger, Note
from kopal.pipeline import rehearse
from kopal.plan import Plan
from kopal.recipes import Recipe
from kopal.ways import used_knobs


def dry_run(
    dataset: Dataset,
    out: Path | None,
    recipe: Recipe,
    cache: bool,
    as_json: bool,
    resume: bool,
    every: int,
    processes: int = 1,
) -> None:
    """Show it, as text or as JSON. Nothing is trained, and nothing written."""
    nouns: list[object] = []
    with telling(as_json) as log:

        def note(noun: object) -> None:
            nouns.append(noun)
            log(noun)

        rehearse(dataset, recipe, cache, note, out, resume, every, processes)
    if not as_json:
        say("a dry run: nothing was trained, and nothing written")
        return
    value: dict[str, Any] = {
        "title": dataset.title,
        "photos": len(dataset),
        "classes": dict(zip(dataset.classes, dataset.counts(), strict=True)),
        "notes": [*dataset.notes, *(noun.text for noun in nouns if isinstance(noun, Note))],
        "recipe": used_knobs(recipe),
    }
    for noun in nouns:
        if isinstance(noun, Plan):
            value["plan"] = asdict(noun)
        elif isinstance(noun, Course):
            value["plan"] = {name: entry for name, entry in vars(noun).items() if name != "net"} | {
                "net": noun.net.name
            }
        elif isinstance(noun, Ledger):
            value["unreadable"] = len(noun.rows)
    say_json(value)
