"""What every benchmark says first: the machine, the versions, and how often it measured."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version

from kopal.parallel import cores


def print_header(claim: str) -> None:
    """The claim under test and where it is tested."""
    packages = " ".join(f"{name} {version(name)}" for name in ("kopal", "numpy", "pillow", "onnxruntime"))
    print(claim)
    print(f"{cores()} cores, {platform.platform()}, Python {platform.python_version()}, {packages}\n")


def median_seconds(work: Callable[[], object], repeats: int = 5) -> float:
    """The median of some runs after one that does not count."""
    work()
    return statistics.median(once(work) for _ in range(repeats))


def once(work: Callable[[], object]) -> float:
    """Seconds of one run."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
