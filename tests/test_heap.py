"""What a training step frees stays with the process until it is given back, where the C library is glibc."""

from __future__ import annotations

import ctypes
import mmap
import platform
import subprocess
import sys

import pytest

from kopal.heap import give_back, keep_heap

FAULTS = """
import resource, sys
import numpy as np
from kopal.heap import keep_heap

if sys.argv[1] == "kept":
    keep_heap()
for _ in range(20):
    np.ones(48 << 20, np.uint8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


RESIDENT = """
from pathlib import Path
import numpy as np
from kopal.heap import give_back, keep_heap

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1])

keep_heap()
blocks = [np.ones(48 << 20, np.uint8) for _ in range(4)]
del blocks[:3]  # what lies above is still in use
full = resident()
give_back()
print(full - resident())
"""
GLIBC = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries keep what they like")


@GLIBC
def test_memory_that_is_freed_is_used_again() -> None:
    kept, given_back = (
        int(subprocess.run([sys.executable, "-c", FAULTS, how], check=True, capture_output=True, text=True).stdout)
        for how in ("kept", "given back")
    )
    assert kept < given_back / 3


@GLIBC
def test_what_is_free_is_given_back_when_the_steps_are_over() -> None:
    given = subprocess.run([sys.executable, "-c", RESIDENT], check=True, capture_output=True, text=True).stdout
    assert int(given) * mmap.PAGESIZE > 100 << 20


def test_elsewhere_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    keep_heap()
    give_back()
    monkeypatch.setattr(sys, "platform", "win32")
    keep_heap()
    give_back()
