"""The server's side of a decoder process: start it, hand it a photo, end it when it takes too long, start it again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import IO, TypeVar, final

import numpy as np

from kopal.arrays import Pixels
from kopal.errors import ServeError, UnreadableImage
from kopal.images import Geometry
from kopal.serve.decoder import HERE, PIXELS, REPLY, REQUEST

START_SECONDS = 30.0
ATTEMPTS = 3

R = TypeVar("R")


@final
class Decoder:
    """One decoder process, used by one thread; `end_if_late` may be called by any other."""

    def __init__(self, geometry: Geometry, seconds: float) -> None:
        self._geometry = geometry
        self._seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._until = float("inf")
        self._late = False
        self._closed = False
        self.deaths = 0

    def start(self) -> None:
        """Have a living process. Raises `ServeError`."""
        for attempt in range(ATTEMPTS):
            if self._process is not None:
                return
            try:
                self._start()
            except ServeError:
                # A signal to the whole group ends a process that has not come to ignore it yet.
                if attempt == ATTEMPTS - 1:
                    raise

    def _start(self) -> None:
        command = [sys.executable, "-P", "-m", "kopal.serve.decoder", json.dumps(self._geometry.as_json())]
        # One thread decodes; NumPy's pools would only cost memory.
        threads = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL", "VECLIB")}
        try:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, **threads},
                # Ctrl-C in a terminal goes to every process of the group; this one ends with its input.
                start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
        except OSError as error:
            raise ServeError(f"the decoder cannot be started: {error.strerror or error}") from error
        self._process = process
        if self._closed:
            self._bury()
            raise ServeError("the server is ending")
        hello = self._within(START_SECONDS, lambda: _stream(process.stdout).read(1))
        if hello != HERE:
            self._bury()
            raise ServeError(
                f"the decoder ended before it began, with code {process.returncode}",
                fix=f'{sys.executable} -P -m kopal.serve.decoder \'{{"height":8,"width":8}}\' shows why',
            )

    def read(self, photo: bytes) -> Pixels:
        """A photo's bytes → pixels (H, W, C), as `images.read` gives them. Raises `UnreadableImage`, `ServeError`.

        A photo that the process does not survive, or takes too long over, is unreadable; the next gets a new process.
        """
        if self._process is not None and self._process.poll() is not None:
            self._bury()  # it died while it had nothing to do: no photo is to blame
        self.start()
        status, answer = self._within(self._seconds, lambda: self._ask(photo)) or (None, b"")
        if status == PIXELS and len(answer) == int(np.prod(self._geometry.shape)):
            return np.frombuffer(answer, np.uint8).reshape(self._geometry.shape)
        if status is None or status == PIXELS:
            late = self._late
            self._bury()
            self.deaths += 1
            raise (
                UnreadableImage("too-slow", f"not decoded within {self._seconds:g} seconds")
                if late
                else UnreadableImage("damaged", "the decoder did not survive it")
            )
        kind, _, reason = answer.decode("utf-8", "replace").partition("\n")
        raise UnreadableImage(kind, reason)

    def end_if_late(self, now: float) -> None:
        """Kill the process if it has had longer than allowed for what it is at."""
        with self._lock:
            if now > self._until and self._process is not None:
                self._late = True
                self._process.kill()

    def close(self) -> None:
        """End the process; none is started any more."""
        self._closed = True
        self._bury()

    @property
    def pid(self) -> int | None:
        """The living process's number."""
        process = self._process
        return None if process is None else process.pid

    def _ask(self, photo: bytes) -> tuple[int, bytes] | None:
        process = self._process
        if process is None:
            return None
        try:
            sink, source = _stream(process.stdin), _stream(process.stdout)
            sink.write(REQUEST.pack(len(photo)))
            sink.write(photo)
            sink.flush()
            head = source.read(REPLY.size)
            if len(head) < REPLY.size:
                return None
            status, size = REPLY.unpack(head)
            answer = source.read(size)
        except OSError:
            return None
        return (status, answer) if len(answer) == size else None

    def _within(self, seconds: float, work: Callable[[], R]) -> R:
        """The work's result; while it lasts, `end_if_late` may end the process and with it the work."""
        with self._lock:
            self._late, self._until = False, time.monotonic() + seconds
        try:
            return work()
        finally:
            with self._lock:
                self._until = float("inf")

    def _bury(self) -> None:
        with self._lock:
            process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        for stream in (process.stdin, process.stdout):
            try:
                _stream(stream).close()
            except OSError:  # what was left to be written has no reader
                continue
        process.wait()


def _stream(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise ServeError("a decoder without pipes")
    return stream
