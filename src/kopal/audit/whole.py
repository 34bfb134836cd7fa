"""All that can be said of photos as a set before anything is fitted: findings, and groups that no split separates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from kopal.arrays import Features
from kopal.audit.balance import balance_findings
from kopal.audit.copies import twin_findings
from kopal.audit.finding import LEAVE_OUT, Audit, Finding, Kind
from kopal.audit.quality import quality_findings
from kopal.audit.shortcuts import shortcut_findings
from kopal.audit.twins import find_twins
from kopal.datasets import Labelled
from kopal.ledger import LedgerRow
from kopal.looks import LOOK, Looks
from kopal.splits import together


class Looked(Labelled, Protocol):
    """Photos whose looks are known."""

    @property
    def looks(self) -> Looks | None:
        """(N,) of `LOOK`; None where nobody asked for them."""
        ...


def audit(
    photos: Looked, ledger: Iterable[LedgerRow] = (), features: Features | None = None
) -> tuple[Audit, NDArray[np.int64]]:
    """Photos, what could not be read, and features (N, D) if there are any → findings, and the group of each photo.

    A group holds what the photos' own groups hold, and all copies. Photos without looks have no copies but equal files.
    """
    ledger = tuple(ledger)
    looks = photos.looks if photos.looks is not None else np.zeros(len(photos.digests), LOOK)
    twins = find_twins(photos.digests, looks, features if photos.looks is not None else None)
    found = [*unreadable_findings(ledger), *twin_findings(photos, twins), *balance_findings(photos)]
    if photos.looks is not None:
        found += [*quality_findings(photos.names, looks), *shortcut_findings(photos, looks)]
    groups = together(photos.groups.tolist(), twins.groups.tolist())
    return Audit(len(photos.digests)).plus(found), groups


def unreadable_findings(ledger: Iterable[LedgerRow]) -> Iterator[Finding]:
    """A finding for each file that could not be read, the truncated ones apart."""
    for row in ledger:
        kind: Kind = "truncated" if row.kind == "truncated" else "unreadable"
        yield Finding(kind, row.path, (), 1.0, row.reason, LEAVE_OUT)
