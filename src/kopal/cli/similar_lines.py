"""The nearest photos of each query as lines, or as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.cells import cell_len

from kopal.cli.output import cut, pad, paragraph, room, say_json, shown
from kopal.similar import Answer, Similar


def similar_lines(found: Similar) -> Iterator[str]:
    """Each query, and below it a line for each photo near it: similarity, class, path."""
    for answer in found.answers:
        yield f"\n{shown(answer.query)}"
        if answer.unreadable:
            yield f"  unreadable: {shown(answer.unreadable)}"
        twin = "  (the same file)"
        yield from near_lines(
            [(near.similarity, near.label, near.name, twin if near.same_file else "") for near in answer.neighbours]
        )


def near_lines(rows: Sequence[tuple[float, str, str, str]]) -> Iterator[str]:
    """(similarity, class, path, remark) of photos as aligned lines; a long class is cut, a long path folded."""
    free = room()
    labels = [cut(shown(label), free and free // 3) for _, label, _, _ in rows]
    width = max(map(cell_len, labels), default=0)
    for label, (similarity, _, path, remark) in zip(labels, rows, strict=True):
        yield paragraph(f"  {similarity:6.3f}  {pad(label, width)}  {shown(path)}{remark}", width + 12)


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
