"""Work on many chunks at once, results in order, a bounded number in flight.

Photos are decoded by Pillow and multiplied by ONNX Runtime; both let go of Python's lock, so threads fill the cores.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

MAX_WORKERS = 16


def cores() -> int:
    """How many processors this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1


def ordered(work: Callable[[T], R], items: Iterable[T], workers: int | None = None, ahead: int = 4) -> Iterator[R]:
    """work(item) for each item, in the order of the items, at most `ahead` items per worker ahead of the reader.

    When the reader stops early, or work raises, what has not begun is dropped and what has is waited for.
    """
    workers = workers or min(cores(), MAX_WORKERS)
    pending: deque[Future[R]] = deque()
    source = iter(items)
    with ThreadPoolExecutor(workers, thread_name_prefix="kopal") as pool:
        try:
            for item in islice(source, ahead * workers):
                pending.append(pool.submit(work, item))
            while pending:
                yield pending.popleft().result()
                for item in islice(source, 1):
                    pending.append(pool.submit(work, item))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """[a, b, c, d, e] in chunks of 2 → [a, b], [c, d], [e]."""
    source = iter(items)
    while chunk := list(islice(source, size)):
        yield chunk
