"""Which of several processes of one command speaks: the first of all tells, the first of each machine complains."""

from __future__ import annotations

import os


def several() -> bool:
    """Whether a launcher, such as torchrun, started this process as one of several."""
    return _number("WORLD_SIZE", 1) > 1


def tells() -> bool:
    """Whether this process prints results and writes files."""
    return not several() or not _number("RANK")


def complains() -> bool:
    """Whether this process says what all of them, or all on this machine, find wrong."""
    return not several() or not _number("LOCAL_RANK")


def _number(variable: str, unsaid: int = 0) -> int:
    value = os.environ.get(variable, "")
    return int(value) if value.isdecimal() else unsaid
