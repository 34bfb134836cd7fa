"""The nearest photos of each query as lines, or as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.cells import cell_len

from kopal.cli.output import pad, say_json, shown
from kopal.similar import Answer, Similar


def similar_lines(found: Similar) -> Iterator[str]:
    """Each query, and below it a line for each photo near it: similarity, class, path."""
    for answer in found.answers:
        yield f"\n{shown(answer.query)}"
        if answer.unreadable:
            yield f"  unreadable: {answer.unreadable}"
        width = max((cell_len(shown(near.label)) for near in answer.neighbours), default=0)
        for near in answer.neighbours:
            twin = "  (the same file)" if near.same_file else ""
            yield f"  {near.similarity:6.3f}  {pad(shown(near.label), width)}  {shown(near.name)}{twin}"


def similar_json(found: Similar) -> None:
    """All of it for scripts."""
    answers = [_as_json(answer) for answer in found.answers]
    say_json({"features": found.title, "photos": found.photos, "unreadable": len(found.ledger), "queries": answers})


def _as_json(answer: Answer) -> dict[str, Any]:
    if answer.unreadable:
        return {"path": answer.query, "unreadable": answer.unreadable}
    rows = [
        {"path": near.name, "label": near.label, "similarity": near.similarity, "same_file": near.same_file}
        for near in answer.neighbours
    ]
    return {"path": answer.query, "similar": rows}
