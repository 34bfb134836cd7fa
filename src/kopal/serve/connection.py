"""One TCP connection: uvicorn's HTTP/1.1 protocol with the deadlines and the cap that it lacks.

A request must have arrived, headers and body, `receive_seconds` after its first byte (the first of a connection: after
connecting), however steadily its bytes trickle. An answer must have been taken as soon after it was given. When
there are too many connections the one that has idled or dawdled longest goes, so that slow clients cannot lock others
out.
"""

from __future__ import annotations

import asyncio
from typing import Any, final

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from kopal.serve.settings import Settings

_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


@final
class Doors(ServerState):
    """All connections of a server. `waiting` are those that the client has to do something on, longest first."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings
        self.waiting: dict[Connection, None] = {}

    def make_room(self) -> None:
        """Close those that keep us waiting longest while there are too many; the newest is the last to go."""
        while len(self.connections) > self.settings.connections and self.waiting:
            longest = next(iter(self.waiting))
            del self.waiting[longest]
            # It ends a little later, and must not be counted until then.
            self.connections.discard(longest)
            longest.abort()


@final
class Connection(H11Protocol):
    """A connection with deadlines."""

    def __init__(
        self,
        config: Config,
        server_state: Doors,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.doors = server_state
        self._receiving: asyncio.TimerHandle | None = None
        self._taking: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected."""
        super().connection_made(transport)
        self._expect_request()
        self.doors.make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended, whoever ended it."""
        self._stop_waiting()
        if self._taking is not None:
            self._taking.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes have arrived: the clock starts at the first of a request and stops at the last."""
        if self._receiving is None:
            self._expect_request()
        super().data_received(data)
        if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
            self._stop_waiting()
        elif self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]:
            # The rest of a request that had been answered early is all here: the next one gets its full time.
            self._stop_waiting()
            self._expect_request()

    def send_400_response(self, msg: str) -> None:
        """What has arrived is no HTTP: say so if an answer has not begun, and let the application know it is over."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.close()

    def on_response_complete(self) -> None:
        """An answer has been given: it must be taken, then the client may ask again."""
        super().on_response_complete()
        if self.transport.is_closing() or self.transport.get_write_buffer_size():
            self._expect_taking()
        if self._receiving is None and self.conn.their_state is h11.IDLE:
            # Idle, which uvicorn's own timer ends; but before that it may have to make room.
            self.doors.waiting[self] = None

    def pause_writing(self) -> None:
        """The client does not take what we send as fast as we send it."""
        super().pause_writing()
        self._expect_taking()

    def resume_writing(self) -> None:
        """It has taken most of it."""
        super().resume_writing()
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None

    def abort(self) -> None:
        """End the connection now."""
        self.transport.abort()

    @property
    def resting(self) -> bool:
        """No request is under way, nor has one begun to arrive."""
        return self._receiving is None and (self.cycle is None or self.cycle.response_complete)

    def _expect_request(self) -> None:
        self.doors.waiting.pop(self, None)
        self.doors.waiting[self] = None
        self._receiving = self.loop.call_later(self.doors.settings.receive_seconds, self._too_slow)

    def _stop_waiting(self) -> None:
        self.doors.waiting.pop(self, None)
        if self._receiving is not None:
            self._receiving.cancel()
            self._receiving = None

    def _too_slow(self) -> None:
        self._receiving = None
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE) and not self.transport.get_write_buffer_size():
            self.transport.write(_TOO_SLOW)
        if self.transport.get_write_buffer_size():
            self.abort()  # close() would wait for a client that does not read
        else:
            self.transport.close()

    def _expect_taking(self) -> None:
        if self._taking is None:
            self._taking = self.loop.call_later(self.doors.settings.receive_seconds, self._not_taken)

    def _not_taken(self) -> None:
        self._taking = None
        if self.transport.is_closing() or self.transport.get_write_buffer_size():
            self.abort()
