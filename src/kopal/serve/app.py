"""The ASGI application: guard, route, answer, and one record of every exchange."""

from __future__ import annotations

import re
import secrets
import time
from dataclasses import dataclass
from typing import final

from kopal.files import shown
from kopal.log import Log, Note
from kopal.serve.exchange import Answer, Gone, Headers, Receive, Refusal, Request, Scope, Send, Trace, refused
from kopal.serve.guard import Guard
from kopal.serve.measures import Measures
from kopal.serve.routes import find, routes
from kopal.serve.service import Service

CLIENT_LEFT = 499
"""What log and metrics call an exchange whose client left before the answer; no client ever sees it."""

HEADERS = tuple(
    (name.lower().encode(), value.encode())
    for name, value in {
        "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }.items()
)

_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True)
class Served:
    """One exchange for the log. `path` is printable; no photo's name or content is in it."""

    id: str
    client: str
    method: str
    path: str
    status: int
    seconds: float
    bytes: int
    photos: int


@final
class App:
    """The server's answers to everything."""

    def __init__(self, service: Service, log: Log) -> None:
        self._service = service
        self._log = log
        self._guard = Guard.of(service.settings)
        self._measures = Measures(service)
        self._table = routes(service, self._measures)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One exchange."""
        if scope["type"] != "http":
            return
        started = time.perf_counter()
        headers = Headers(scope["headers"])
        trace = Trace(_request_id(headers))
        status = CLIENT_LEFT
        try:
            answer = await self._answer(scope, headers, receive, trace)
            status = answer.status
            await self._send(answer, trace, send)
        except Gone:
            pass
        finally:
            self._record(scope, trace, status, time.perf_counter() - started)

    async def _answer(self, scope: Scope, headers: Headers, receive: Receive, trace: Trace) -> Answer:
        method, path = scope["method"], scope["path"]
        try:
            self._guard.check(method, headers)
            route = find(self._table, method, path)
            trace.route = path
            if not route.open:
                self._guard.check_token(headers)
            return await route.handler(Request(method, path, scope["query_string"], headers, receive, trace))
        except Refusal as refusal:
            return refused(refusal)
        except Gone:
            raise
        except Exception as error:  # a bug must not end the server, nor tell strangers what it looks like inside
            self._log(Note(f"error in request {trace.id}: {type(error).__name__}: {error}"))
            return refused(Refusal(500, f"something went wrong here; the log says more under {trace.id}"))

    async def _send(self, answer: Answer, trace: Trace, send: Send) -> None:
        headers = [
            *HEADERS,
            (b"content-type", answer.kind.encode()),
            (b"content-length", str(len(answer.body)).encode()),
            (b"x-request-id", trace.id.encode()),
            *((name.lower().encode(), value.encode("latin-1")) for name, value in answer.headers),
        ]
        if self._service.draining:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    def _record(self, scope: Scope, trace: Trace, status: int, seconds: float) -> None:
        self._measures.count(trace.route, status, seconds)
        client = scope.get("client") or ("",)
        path = shown(scope["path"][:200])
        self._log(Served(trace.id, client[0], scope["method"], path, status, seconds, trace.bytes, trace.photos))


def _request_id(headers: Headers) -> str:
    """The client's own id where it is harmless, else a new one."""
    given = headers.all("x-request-id")
    return given[0] if len(given) == 1 and _ID.fullmatch(given[0]) else secrets.token_hex(8)
