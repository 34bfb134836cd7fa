"""Opens hostile files in a process of its own: `python hostile_reader.py pictures|models megabytes`, files on stdin.

So that a crash, a hang and a hunger for memory are findings and not the end of the search. One JSON line for each file:
what came of it, in how many seconds, and the most memory that the process has ever had. While a model is opened every
event that Python tells its auditors is listened to: nothing may be imported, compiled, executed, started or opened.
"""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECONDS = 30
"""After which a file counts as a hang."""

WATCHED = ("exec", "compile", "import", "open", "os.", "subprocess.", "socket.", "ctypes.", "pickle.", "marshal.")
FINDINGS = ("crash", "hang", "exception", "execution")


@dataclass(frozen=True)
class Outcome:
    """`kind` is "read", "refused", the kind of an `UnreadableImage`, or one of FINDINGS, with `words` to it."""

    kind: str
    words: str
    seconds: float
    megabytes: float
    digest: str = ""

    @property
    def finding(self) -> bool:
        return self.kind in FINDINGS or "MemoryError" in self.words


def outcomes(files: Iterable[bytes], what: str, megabytes: int) -> Iterator[Outcome]:
    """What came of each file, in order; after a crash a new process goes on with the next one."""
    child = None
    try:
        for data in files:
            child = child or _start(what, megabytes)
            started = time.perf_counter()
            with contextlib.suppress(BrokenPipeError):
                child.stdin.write(struct.pack("<I", len(data)) + data)
                child.stdin.flush()
            line = child.stdout.readline()
            if line:
                yield Outcome(**json.loads(line))
                continue
            _end(child)
            seconds = time.perf_counter() - started
            kind = "hang" if seconds >= SECONDS else "crash"
            yield Outcome(kind, f"exit code {child.returncode}", seconds, 0)
            child = None
    finally:
        if child:
            _end(child)


def _start(what: str, megabytes: int) -> subprocess.Popen:
    command = [sys.executable, __file__, what, str(megabytes)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def _end(child: subprocess.Popen) -> None:
    with contextlib.suppress(BrokenPipeError):
        child.stdin.close()
    child.stdout.close()
    child.wait()


def peak_megabytes() -> float:
    """The most memory that this process has had, 0 where the system does not tell."""
    try:
        import resource
    except ImportError:  # not on Windows
        return 0.0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def limit_memory(megabytes: int) -> None:
    """At most so much more address space than is taken now, where the system can be told so."""
    try:
        import resource

        with open("/proc/self/statm", encoding="ascii") as file:
            taken = int(file.read().split()[0]) * resource.getpagesize()
    except (ImportError, OSError):
        return
    limit = taken + megabytes * 1_000_000
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def pictures() -> Callable[[bytes], tuple[str, str, str]]:
    from kopal import images
    from kopal.errors import UnreadableImage
    from kopal.images import Geometry

    square = Geometry(64, 64)
    warnings.simplefilter("ignore")

    def read(data: bytes) -> tuple[str, str, str]:
        try:
            pixels = images.read(data, square)
        except UnreadableImage as error:
            return error.kind, error.happened, ""
        if pixels.shape != square.shape or images.longest_side(data) < 1:
            return "exception", f"shape {pixels.shape}", ""
        return "read", "", hashlib.sha256(pixels.tobytes()).hexdigest()

    return read


def models() -> Callable[[bytes], tuple[str, str, str]]:
    import numpy as np

    from kopal.classifier import load
    from kopal.errors import ModelFileError

    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder)
    path = os.path.join(folder, "model.onnx")
    seen: list[str] = []
    watching = [False]

    def listen(event: str, arguments: tuple[Any, ...]) -> None:
        if watching[0] and event.startswith(WATCHED) and not (event == "open" and str(arguments[0]) == path):
            seen.append(f"{event} {str(arguments)[:100]}")

    def answer() -> tuple[str, str]:
        try:
            classifier = load(path)
            pixels = np.zeros((3, *classifier.geometry.shape), np.uint8)
            probabilities = classifier.predict_proba(pixels)
            if probabilities.shape != (3, len(classifier.classes)) or len(classifier.predict(pixels)) != 3:
                return "exception", f"probabilities of shape {probabilities.shape}"
        except ModelFileError as error:
            if not all(0 < len(part) < 2000 for part in (error.happened, error.expected, error.fix)):
                return "exception", f"a message of strange length: {error.happened[:200]}"
            return "refused", error.happened.removeprefix(f"{path}: ")[:200]
        return "read", ""

    def read(data: bytes) -> tuple[str, str, str]:
        Path(path).write_bytes(data)
        watching[0] = True
        try:
            kind, words = answer()
        finally:
            watching[0] = False
        told = "; ".join(seen)
        seen.clear()
        return ("execution", told, "") if told else (kind, words, "")

    import attacks

    sys.addaudithook(listen)
    sound = attacks.file_of(attacks.sound())
    for data in (sound, sound[:-1], attacks.changed(sound, attacks.constant_of_another_shape)):
        read(data)  # what a library imports and opens when it is first used is imported and opened here
    return read


def main(what: str, megabytes: int) -> None:
    read = {"pictures": pictures, "models": models}[what]()
    limit_memory(megabytes)
    while head := sys.stdin.buffer.read(4):
        data = sys.stdin.buffer.read(struct.unpack("<I", head)[0])
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        started = time.perf_counter()
        try:
            kind, words, digest = read(data)
        except BaseException as error:
            kind, words, digest = "exception", f"{type(error).__name__}: {error}", ""
        seconds = time.perf_counter() - started
        faulthandler.cancel_dump_traceback_later()
        told = {"kind": kind, "words": words, "seconds": seconds, "megabytes": peak_megabytes(), "digest": digest}
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
