"""What stands behind the door: a classifier, the line and the lanes, and whether they are ready."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any, final

from kopal.classifier import Classifier
from kopal.serve.exchange import Gone, Receive, Refusal
from kopal.serve.lanes import Lanes
from kopal.serve.line import Job, Line
from kopal.serve.settings import Settings
from kopal.trust.promise import Promise


@final
class Service:
    """A model that was read once: whatever happens to its file later does not matter here."""

    def __init__(self, classifier: Classifier, settings: Settings) -> None:
        self.classifier = classifier
        self.settings = settings
        self.digest = classifier.digest
        self.line = Line(settings.queue)
        self.lanes = Lanes(classifier, self.line, settings)
        self._warm = False
        self.draining = False

    def warm_up(self) -> None:
        """Become ready: the golden outputs agree, the promises can be read, and every lane has decoded a photo right.

        Raises `ModelFileError` and `ServeError`.
        """
        self.lanes.start()
        self.classifier.verify()
        Promise.of_card(self.classifier.card.thresholds, len(self.classifier.classes))
        self._warm = True

    @property
    def ready(self) -> bool:
        """Whether new work should be sent here."""
        return self._warm and not self.draining

    def admit(self) -> None:
        """Raises `Refusal` 503 where a request would find no place, before its body is read."""
        if not self._warm:
            raise Refusal(503, "the server is warming up", ("Retry-After", "1"))
        if len(self.line) >= self.line.places:
            raise self._full()

    async def answered(self, jobs: Sequence[Job], receive: Receive) -> list[Any]:
        """Each job's answer or exception, in the order of the jobs. The request's body must have been received.

        Raises `Refusal` 503 (no place) or 504 (past the deadline), and `Gone` when the client leaves; either way the
        places are free again.
        """
        self.admit()
        if not self.line.join(jobs):
            raise self._full()
        answers: list[Future[Any]] = [job.answer for job in jobs]
        futures = [asyncio.wrap_future(answer) for answer in answers]
        leaving = asyncio.ensure_future(_left(receive))
        try:
            until = asyncio.get_running_loop().time() + self.settings.deadline
            for future in futures:
                left = until - asyncio.get_running_loop().time()
                either: set[asyncio.Future[Any]] = {future, leaving}
                await asyncio.wait(either, timeout=left, return_when=asyncio.FIRST_COMPLETED)
                if not future.done():
                    raise Gone if leaving.done() else self._late()
            return [future.exception() or future.result() for future in futures]
        finally:
            leaving.cancel()
            self.line.leave([job for job, future in zip(jobs, futures, strict=True) if not future.done()])
            for future in futures:
                if not future.cancel():
                    future.exception()  # has been seen, whether or not anybody is left to hear of it

    def _late(self) -> Refusal:
        return Refusal(504, f"no answer within {self.settings.deadline:g} seconds")

    def _full(self) -> Refusal:
        seconds = max(1, math.ceil(len(self.line) * self.lanes.pace))
        return Refusal(503, "too many photos are waiting already", ("Retry-After", str(seconds)))


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
