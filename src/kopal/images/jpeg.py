"""A JPEG's segments, walked to its end marker.

Each scan of a progressive JPEG may cost a walk over the whole picture for a handful of bytes, each segment of its
header a turn in Python; both are counted.
"""

from __future__ import annotations

import re

from kopal.images.fault import Fault, asks_too_much, cut

MAX_SCANS = 100
MAX_SEGMENTS = 1000
"""A picture has about ten scans; 32 MB of metadata are 500 segments."""

# In a scan FF is followed by 00 or by a restart marker's number, else it begins the next segment.
_NEXT_SEGMENT = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


def jpeg_fault(data: bytes) -> Fault | None:
    """The picture's segments and scans lead to its end marker; those inside a header's thumbnail do not count."""
    at, scans = 2, 0
    for _ in range(MAX_SEGMENTS):
        found = _NEXT_SEGMENT.search(data, at)
        if found is None:
            return cut("JPEG")
        at = found.end()
        marker = data[at - 1]
        if marker == 0xD9:
            return None
        scans += marker == 0xDA
        if scans > MAX_SCANS:
            return asks_too_much(f"a JPEG of more than {MAX_SCANS} scans")
        if marker not in (0x01, 0xD8):  # those stand alone
            at += int.from_bytes(data[at : at + 2], "big")
    return asks_too_much(f"a JPEG of more than {MAX_SEGMENTS} segments")
