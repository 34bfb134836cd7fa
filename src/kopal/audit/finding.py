"""What an audit says: findings, each with its file, its reason and what to do, the worst kinds first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, get_args

Kind: TypeAlias = Literal[
    "leak",
    "label conflict",
    "label",
    "shortcut",
    "unreadable",
    "truncated",
    "alike",
    "duplicate",
    "near-duplicate",
    "black",
    "white",
    "near-empty",
    "outlier",
    "blurred",
    "tiny",
    "odd-shaped",
    "imbalance",
]
"""The kinds of findings, the worst first."""

KINDS: tuple[Kind, ...] = get_args(Kind)

MEANING: dict[Kind, str] = {
    "leak": "a photo of the test part, or of the calibration part, has a twin that is learned from",
    "label conflict": "twins stand in two classes, so one label is wrong",
    "label": "a label that the other photos speak against",
    "shortcut": "a property of the file alone tells the class: a net may learn that instead of what is shown",
    "unreadable": "files that cannot be read",
    "truncated": "files that end too early",
    "alike": "so many photos are alike that copies cannot be told from them",
    "duplicate": "the same file again",
    "near-duplicate": "a copy of another photo: resized, recompressed, cropped, mirrored or recoloured",
    "black": "nothing but black",
    "white": "nothing but white",
    "near-empty": "next to nothing is on the photo",
    "outlier": "unlike all other photos",
    "blurred": "much less sharp than the other photos",
    "tiny": "much smaller than the other photos",
    "odd-shaped": "much longer than wide, or wider than long, than the other photos",
    "imbalance": "a class has far fewer photos than the largest",
}
"""What a kind of finding means, in words."""

KEEP, LEAVE_OUT, REVIEW, RELABEL = "keep", "leave out", "review", "relabel:"
"""What to do with a photo. After the last comes the name of a class."""


@dataclass(frozen=True)
class Finding:
    """One thing that the owner should know.

    `file` is the photo that it is about, empty for one about the whole set; `others` are the photos that it is about
    as well, such as its twins. `score` orders the findings of one kind, the worst highest. `action` is what is
    advised: nothing is done unless the owner says so.
    """

    kind: Kind
    file: str
    others: tuple[str, ...]
    score: float
    why: str
    action: str

    def as_json(self) -> dict[str, Any]:
        """Plain values, as `findings[]` has them."""
        return {**vars(self), "others": list(self.others)}


@dataclass(frozen=True)
class Audit:
    """All findings on a set of photos, the worst kinds first and within a kind the worst photos."""

    photos: int
    findings: tuple[Finding, ...] = ()

    def plus(self, findings: Iterable[Finding]) -> Audit:
        """With more findings, such as those that need a fitted head."""
        together = [*self.findings, *findings]
        together.sort(key=lambda found: (KINDS.index(found.kind), -found.score, found.file))
        return replace(self, findings=tuple(together))

    def counts(self) -> dict[Kind, int]:
        """How many findings there are of each kind that was found."""
        found = Counter(finding.kind for finding in self.findings)
        return {kind: found[kind] for kind in KINDS if found[kind]}

    def of(self, kind: Kind) -> tuple[Finding, ...]:
        """The findings of one kind."""
        return tuple(finding for finding in self.findings if finding.kind == kind)

    def summary(self) -> Iterator[tuple[Kind, int, Finding]]:
        """Each kind that was found with its count and its worst finding."""
        for kind, count in self.counts().items():
            yield kind, count, self.of(kind)[0]

    def as_json(self) -> dict[str, Any]:
        """Plain values, as report.json and `kopal audit --json` have them."""
        return {
            "photos": self.photos,
            "counts": dict(self.counts()),
            "findings": [finding.as_json() for finding in self.findings],
        }
