"""What is wrong with the photos as a set: copies, leaks, conflicts, shortcuts, bad files. Nothing is ever removed."""

from __future__ import annotations

from kopal.audit.copies import check_different, groups_of_several
from kopal.audit.finding import KINDS, MEANING, Audit, Finding, Kind
from kopal.audit.marks import count_marked, marked_photos, marks
from kopal.audit.suspicious import suspicious_findings
from kopal.audit.twins import Twins, find_twins
from kopal.audit.whole import Looked, audit

__all__ = [
    "KINDS",
    "MEANING",
    "Audit",
    "Finding",
    "Kind",
    "Looked",
    "Twins",
    "audit",
    "check_different",
    "count_marked",
    "find_twins",
    "groups_of_several",
    "marked_photos",
    "marks",
    "suspicious_findings",
]
