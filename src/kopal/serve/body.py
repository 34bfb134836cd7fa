"""Reading a request's body: never more than allowed, whatever the headers claim, and never too much of all at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import final

from kopal.serve.exchange import Gone, Headers, Receive, Refusal


@final
class Bodies:
    """How many bytes of bodies may lie in memory at once. What counts is what has arrived, not what was announced."""

    def __init__(self, all_bodies: int, max_body: int) -> None:
        self._free = all_bodies
        self._max_body = max_body

    @asynccontextmanager
    async def reading(self, headers: Headers, receive: Receive) -> AsyncIterator[bytes]:
        """A request's whole body while the block lasts. Raises `Refusal` 400, 413, 415 or 503, and `Gone`."""
        if headers.one("content-encoding") not in (None, "identity"):
            raise Refusal(415, "the body is compressed: send it as it is")
        if _declared(headers) > self._max_body:
            raise self._too_large()
        pieces: list[bytes] = []
        size = 0
        try:
            async for piece in _pieces(receive):
                size += len(piece)
                self._free -= len(piece)
                pieces.append(piece)
                if size > self._max_body:
                    raise self._too_large()
                if self._free < 0:
                    raise Refusal(503, "too much is being sent at once", ("Retry-After", "2"))
            yield pieces[0] if len(pieces) == 1 else b"".join(pieces)
        finally:
            self._free += size

    def _too_large(self) -> Refusal:
        return Refusal(413, f"the body is larger than {self._max_body} bytes")


def _declared(headers: Headers) -> int:
    text = headers.one("content-length") or "0"
    # Python's int takes more than HTTP does, and gives up on a thousand digits with an error of its own.
    if not (text.isascii() and text.isdigit()):
        raise Refusal(400, "the Content-Length is no number")
    return int(text) if len(text) <= 18 else 10**18


async def _pieces(receive: Receive) -> AsyncIterator[bytes]:
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise Gone
        if piece := message.get("body", b""):
            yield piece
        if not message.get("more_body", False):
            return
