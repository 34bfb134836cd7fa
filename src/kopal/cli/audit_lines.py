"""An audit as lines: the kinds of findings, worst first, each with its count and its worst example."""

from __future__ import annotations

import os
from collections.abc import Iterator

from kopal.audit import MEANING, Audit, Finding
from kopal.audit.leaks import WithoutTwins
from kopal.cli.output import cut, room, shown

SHOWN = 5
"""Findings of a kind that the command itself names."""
LOUD = 6
"""Kinds that a training's summary names; the rest are counted."""


def summary_lines(audit: Audit) -> Iterator[str]:
    """A few lines for a training: nothing where nothing was found, and no word of files that were listed already."""
    kinds = [row for row in audit.summary() if row[0] not in ("unreadable", "truncated")]
    if not kinds:
        return
    yield "audit (kopal audit shows all; copies stay together in every split):"
    free = room()
    for kind, count, worst in kinds[:LOUD]:
        line = f"  {count:5} {kind:14}  "
        yield line + cut(_short(worst), free and free - len(line))
    if rest := kinds[LOUD:]:
        yield f"        and {', '.join(f'{count} {kind}' for kind, count, _ in rest)}"


def audit_lines(audit: Audit) -> Iterator[str]:
    """The whole command's answer: each kind, what it means, its worst findings."""
    counts = audit.counts()
    if not counts:
        yield f"nothing found in {audit.photos} photos"
        return
    yield f"{len(audit.findings)} findings on {audit.photos} photos, the worst kinds first"
    for kind, count in counts.items():
        yield f"\n{count} x {kind}: {MEANING[kind]}"
        for found in audit.of(kind)[:SHOWN]:
            yield f"  {_one(found)}"
        if count > SHOWN:
            yield f"  and {count - SHOWN} more"


def without_twins_line(honest: WithoutTwins) -> str:
    """What the test part says without the photos that leak."""
    if not honest.n:
        return "every photo of the test part has a twin that was learned from: the accuracy says nothing"
    low, high = honest.interval
    return (
        f"without the {honest.twins} photos of the test part whose twins were learned from: accuracy "
        f"{honest.accuracy:.3f}  (95 % interval {low:.3f} to {high:.3f}, n = {honest.n})"
    )


def _short(found: Finding) -> str:
    """A finding in few words: the photo and its first twin by class and name, or why."""
    names = [shown("/".join(name.replace(os.sep, "/").split("/")[-2:])) for name in (found.file, *found.others[:1])]
    return " = ".join(names) if found.file else shown(found.why)


def _one(found: Finding) -> str:
    if not found.file:
        named = f": {', '.join(map(shown, found.others[:2]))}" if found.others else ""
        return f"{shown(found.why)}{named}"
    twins = f" = {shown(found.others[0])}" if found.others else ""
    more = f" (and {len(found.others) - 1} more)" if len(found.others) > 1 else ""
    return f"{shown(found.file)}{twins}{more}: {shown(found.why)}"
