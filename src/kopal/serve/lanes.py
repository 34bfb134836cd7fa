"""The lanes on which photos become answers: each a thread with a decoder process of its own, one lane a core.

A lane takes what waits in line, has it decoded, runs the net, and answers, each job through its own future, so that
answers cannot be mixed up. While the decoder works the lane waits, and while the net runs the decoder waits: a lane
fills one core, and no two stages compete for it (docs/architecture.md, "the net runs on one photo at a time").

A map by covers takes the net some 170 times. In between its lane answers what else waits, so that a photo never stands
behind a map, and stops where nobody waits for the map any more.
"""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from typing import final

import numpy as np
from PIL import Image

from kopal import images
from kopal.arrays import Pixels, Scores
from kopal.attribution import Attributor
from kopal.classifier import Classifier
from kopal.errors import ServeError, UnreadableImage
from kopal.images import Geometry
from kopal.model_file import golden_pixels
from kopal.runtime import images_per_run
from kopal.serve.decoding import Decoder
from kopal.serve.exchange import Gone
from kopal.serve.line import Batch, Job, Line, Photo, Why
from kopal.serve.settings import Settings

MOST_AT_ONCE = 32
WATCH_SECONDS = 0.1


@final
class Lanes:
    """All lanes of a server, and the watch over their decoders."""

    def __init__(self, classifier: Classifier, line: Line, settings: Settings) -> None:
        most = settings.max_batch or min(MOST_AT_ONCE, images_per_run(classifier.geometry))
        attributor = Attributor(classifier)
        self._lanes = [Lane(classifier, attributor, line, settings, most) for _ in range(settings.lanes)]
        self._line = line
        self._ended = threading.Event()
        self._watch = threading.Thread(target=self._watch_decoders, name="kopal watch", daemon=True)

    def start(self) -> None:
        """Return when every lane has decoded a photo right. Raises `ServeError`."""
        self._watch.start()
        for lane in self._lanes:
            lane.thread.start()
        for lane in self._lanes:
            lane.up.result()

    def stop(self, seconds: float) -> None:
        """Close the line, let the lanes finish what stands in it for so long, and end the decoders."""
        self._line.close()
        until = time.monotonic() + seconds
        for lane in self._lanes:
            if lane.thread.ident is not None:
                lane.thread.join(max(0.0, until - time.monotonic()))
        self._ended.set()
        for lane in self._lanes:
            lane.decoder.close()

    @property
    def batches(self) -> int:
        """How often a lane has run the net."""
        return sum(lane.batches for lane in self._lanes)

    @property
    def photos(self) -> int:
        """How many images the net has answered."""
        return sum(lane.photos for lane in self._lanes)

    @property
    def maps(self) -> int:
        """How many answers have been explained by a map."""
        return sum(lane.maps for lane in self._lanes)

    @property
    def deaths(self) -> int:
        """How many decoders did not survive a photo."""
        return sum(lane.decoder.deaths for lane in self._lanes)

    @property
    def decoders(self) -> list[int]:
        """The process numbers of the living decoders."""
        return [lane.decoder.pid for lane in self._lanes if lane.decoder.pid is not None]

    @property
    def pace(self) -> float:
        """Seconds from one answer to the next when all lanes are busy."""
        return sum(lane.seconds for lane in self._lanes) / len(self._lanes) ** 2

    def _watch_decoders(self) -> None:
        while not self._ended.wait(WATCH_SECONDS):
            for lane in self._lanes:
                lane.decoder.end_if_late(time.monotonic())


@final
class Lane:
    """One thread and its decoder."""

    def __init__(
        self, classifier: Classifier, attributor: Attributor, line: Line, settings: Settings, most: int
    ) -> None:
        self._classifier = classifier
        self._attributor = attributor
        self._line = line
        self._most = most
        self._patience = settings.max_wait_ms / 1000
        self.decoder = Decoder(classifier.geometry, settings.decode_seconds)
        self.thread = threading.Thread(target=self._work, name="kopal lane", daemon=True)
        self.up: Future[None] = Future()
        self.batches = self.photos = self.maps = 0
        self.seconds = 0.0

    def _work(self) -> None:
        try:
            check_decoder(self.decoder, self._classifier.geometry)
        except Exception as error:
            self.up.set_exception(error)
            return
        self.up.set_result(None)
        while jobs := self._line.take(self._most, self._patience):
            started = time.monotonic()
            self._answer(jobs)
            each = (time.monotonic() - started) / len(jobs)
            self.seconds = 0.9 * self.seconds + 0.1 * each if self.seconds else each

    def _answer(self, jobs: Sequence[Job]) -> None:
        self._answer_photos([job for job in jobs if isinstance(job, Photo)])
        for job in jobs:
            if isinstance(job, Batch):
                self._answer_batch(job)
            elif isinstance(job, Why):
                self._explain(job)

    def _answer_photos(self, jobs: Sequence[Photo]) -> None:
        decoded = [(job, pixels) for job in jobs if (pixels := self._decoded(job)) is not None]
        if not decoded:
            return
        pixels = np.stack([image for _, image in decoded])
        try:
            answers = self._classifier.answers(pixels, max(job.top for job in jobs))
        except Exception as error:  # whatever it is, those who wait must hear of it and the lane must go on
            _fail([job for job, _ in decoded], error)
            return
        self.batches += 1
        self.photos += len(decoded)
        for (job, _), answer in zip(decoded, answers, strict=True):
            job.answer.set_result(answer)

    def _answer_batch(self, job: Batch) -> None:
        try:
            outputs = self._classifier.outputs(job.pixels)
        except Exception as error:  # as above
            _fail([job], error)
            return
        self.batches += 1
        self.photos += len(job.pixels)
        job.answer.set_result(outputs)

    def _explain(self, job: Why) -> None:
        pixels = self._decoded(job)
        if pixels is None:
            return
        try:
            (answer,) = self._classifier.answers(pixels[None], 1)
            label = self._classifier.classes.index(answer.label) if job.label is None else job.label
            found = self._attributor.map(pixels, label, lambda pieces: self._scores(job, pieces))
        except Exception as error:  # as above
            _fail([job], error)
            return
        self.batches += 1
        self.photos += 1
        self.maps += 1
        job.answer.set_result((answer, found))

    def _scores(self, job: Why, pieces: Iterator[Pixels]) -> Iterator[Scores]:
        """Piece by piece; the others' turn comes between them."""
        for piece in pieces:
            if not job.wanted:
                raise Gone
            yield self._classifier.scores(piece)
            self._answer(self._line.spare(self._most))

    def _decoded(self, job: Photo | Why) -> Pixels | None:
        try:
            return self.decoder.read(job.data)
        except Exception as error:  # unreadable, or as above
            _fail([job], error)
            return None


def check_decoder(decoder: Decoder, geometry: Geometry) -> None:
    """Raises `ServeError` unless the decoder answers for a photo with the pixels that this process makes of it."""
    decoder.start()
    noise = golden_pixels(geometry)[0]
    file = io.BytesIO()
    Image.fromarray(noise if geometry.channels == 3 else noise[..., 0]).save(file, "PNG")
    try:
        same = np.array_equal(decoder.read(file.getvalue()), images.read(file.getvalue(), geometry))
    except UnreadableImage as error:
        raise ServeError(f"the decoder cannot read a sound photo: {error.happened}") from error
    if not same:
        raise ServeError("the decoder gives other pixels than this process", fix="install kopal anew")


def _fail(jobs: Sequence[Job], error: Exception) -> None:
    for job in jobs:
        job.answer.set_exception(error)
