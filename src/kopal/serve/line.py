"""The bounded line in which photos wait for a lane: first come, first served, and whoever leaves frees the place."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, final

from kopal.arrays import Pixels
from kopal.attribution import Attribution
from kopal.prediction import Prediction


@dataclass(eq=False)
class Photo:
    """A photo's bytes, to be answered with its best `top` classes."""

    data: bytes
    top: int
    answer: Future[Prediction] = field(default_factory=Future)


@dataclass(eq=False)
class Batch:
    """Finished pixels (N, H, W, C), to be answered with the graph's outputs by name."""

    pixels: Pixels
    answer: Future[dict[str, Any]] = field(default_factory=Future)


@dataclass(eq=False)
class Why:
    """A photo's bytes, to be answered, and with the map of the class at place `label`, or of the one that wins.

    It can take a lane a hundred times as long as a photo, so a lane asks now and then whether it is still `wanted`.
    """

    data: bytes
    label: int | None
    wanted: bool = True
    answer: Future[tuple[Prediction, Attribution]] = field(default_factory=Future)


Job = Photo | Batch | Why


@final
class Line:
    """At most `places` jobs, across threads."""

    def __init__(self, places: int) -> None:
        self.places = places
        self._jobs: deque[Job] = deque()
        self._changed = threading.Condition()
        self._open = True

    def __len__(self) -> int:
        return len(self._jobs)

    def join(self, jobs: Sequence[Job]) -> bool:
        """All of them take places, next to one another, or none does."""
        with self._changed:
            if not self._open or len(self._jobs) + len(jobs) > self.places:
                return False
            self._jobs.extend(jobs)
            self._changed.notify(len(jobs))
            return True

    def leave(self, jobs: Sequence[Job]) -> None:
        """Give up places; of those that have been taken already, long ones are stopped."""
        with self._changed:
            for job in jobs:
                if isinstance(job, Why):
                    job.wanted = False
                if job in self._jobs:
                    self._jobs.remove(job)

    def take(self, most: int, patience: float) -> list[Job]:
        """The first jobs, at least one, once `most` are there or the first has waited `patience` seconds in this call.

        [] when the line is closed and empty. Jobs whose client has left meanwhile are not among them.
        """
        with self._changed:
            while True:
                while not self._jobs:
                    if not self._open:
                        return []
                    self._changed.wait()
                until = time.monotonic() + patience
                while 0 < len(self._jobs) < most and self._open:
                    left = until - time.monotonic()
                    if left <= 0:
                        break
                    self._changed.wait(left)
                taken = self._first(most)
                if self._jobs:
                    # Those who waited for more may have been woken in another lane's stead.
                    self._changed.notify()
                wanted = [job for job in taken if job.answer.set_running_or_notify_cancel()]
                if wanted:
                    return wanted

    def spare(self, most: int) -> list[Photo | Batch]:
        """The first jobs that are soon done, without waiting for any: for a lane that is at a long one."""
        with self._changed:
            taken = [job for job in self._jobs if not isinstance(job, Why)][:most]
            for job in taken:
                self._jobs.remove(job)
        return [job for job in taken if job.answer.set_running_or_notify_cancel()]

    def _first(self, most: int) -> list[Job]:
        taken: list[Job] = []
        while self._jobs and len(taken) < most:
            taken.append(self._jobs.popleft())
            if isinstance(taken[-1], Why):
                break  # who stands behind a long job is better off in another lane
        return taken

    def close(self) -> None:
        """Nothing joins any more; what stands in line is still answered."""
        with self._changed:
            self._open = False
            self._changed.notify_all()
