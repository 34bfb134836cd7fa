"""What the launcher of several processes says of this one, and so who speaks: one tells, one a machine complains."""

from __future__ import annotations

import os

RESTARTED = "KOPAL_RESTARTED"
"""The variable by which `kopal train --nproc` says what PyTorch's launcher says by TORCHELASTIC_RESTART_COUNT."""


def processes() -> int:
    """As one of how many a launcher, such as torchrun, started this process; 1 where none did."""
    return max(1, _number("WORLD_SIZE", 1))


def several() -> bool:
    """Whether there are others."""
    return processes() > 1


def tells() -> bool:
    """Whether this process prints results and writes files."""
    return not several() or not _number("RANK")


def complains() -> bool:
    """Whether this process says what all of them, or all on this machine, find wrong."""
    return not several() or not _number("LOCAL_RANK")


def restarted() -> bool:
    """Whether the launcher started the processes before, and one of them died."""
    return bool(_number(RESTARTED) or _number("TORCHELASTIC_RESTART_COUNT"))


def _number(variable: str, unsaid: int = 0) -> int:
    value = os.environ.get(variable, "")
    return int(value) if value.isdecimal() else unsaid
