"""The worker process that decodes photos: whatever a file does to its decoder, the server goes on.

    python -m kopal.serve.decoder GEOMETRY     geometry as JSON

Standard input: length (4 bytes, little-endian), then that many bytes of a photo. Standard output: first one byte, "here
I am"; then for each photo a status byte and a length (4 bytes), followed by pixels (H, W, C) uint8, or by a reason in
UTF-8: kind, line feed, words. The worker ends with its input.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import struct
import sys
import warnings
from typing import BinaryIO

from kopal import images
from kopal.errors import UnreadableImage

if sys.platform != "win32":
    import resource

HERE = b"K"
REQUEST = struct.Struct("<I")
REPLY = struct.Struct("<BI")
PIXELS, UNREADABLE = 0, 1

MOST_MEMORY = 2 << 30
"""Bytes of address space: 50 million pixels with transparency take three pictures of 200 MB."""


def main() -> None:
    """Serve until standard input ends."""
    # Whoever stops the server stops the whole group of processes; photos that were accepted are still decoded then.
    for name in ("SIGINT", "SIGTERM", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    source = sys.stdin.buffer
    # A library that prints would break the protocol: the answers get a descriptor that nobody knows.
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    _limit_memory()
    serve(source, sink, sys.argv[1])


def serve(source: BinaryIO, sink: BinaryIO, geometry_json: str) -> None:
    """Answer every photo from `source` on `sink`."""
    warnings.simplefilter("ignore")
    geometry = images.Geometry(**json.loads(geometry_json))
    sink.write(HERE)
    sink.flush()
    while head := source.read(REQUEST.size):
        photo = source.read(*REQUEST.unpack(head))
        try:
            status, answer = PIXELS, images.read(photo, geometry).tobytes()
        except UnreadableImage as error:
            status, answer = UNREADABLE, f"{error.kind}\n{error.happened}".encode("utf-8", "replace")
        del photo
        sink.write(REPLY.pack(status, len(answer)))
        sink.write(answer)
        sink.flush()


def _limit_memory() -> None:
    if sys.platform != "win32":
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        most = MOST_MEMORY if hard == resource.RLIM_INFINITY else min(MOST_MEMORY, hard)
        # macOS knows the limit and refuses to set it.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_AS, (most, hard))


if __name__ == "__main__":
    main()
