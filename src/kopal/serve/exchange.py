"""One HTTP exchange as values: a request comes in, an answer goes out, over ASGI (asgi.readthedocs.io, HTTP 2.3)."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

Message: TypeAlias = MutableMapping[str, Any]
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

JSON = "application/json"


class Refusal(Exception):
    """A request that is not answered as it wished: the status, and why, in words for whoever sent it."""

    def __init__(self, status: int, reason: str, *headers: tuple[str, str]) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason
        self.headers = headers


class Gone(Exception):
    """The client has left before it was answered."""


@dataclass(frozen=True)
class Headers:
    """A request's headers, names in lower case."""

    raw: Sequence[tuple[bytes, bytes]]

    def all(self, name: str) -> list[str]:
        """Every value under a name."""
        wanted = name.encode()
        return [value.decode("latin-1") for key, value in self.raw if key == wanted]

    def one(self, name: str) -> str | None:
        """The one value under a name, or None. Raises `Refusal` where there are several."""
        values = self.all(name)
        if len(values) > 1:
            raise Refusal(400, f"the header {name} stands there {len(values)} times")
        return values[0] if values else None


@dataclass
class Trace:
    """What the log and the metrics say of an exchange, filled in as it goes; never a name or content of a photo."""

    id: str
    route: str = "other"
    bytes: int = 0
    photos: int = 0


@dataclass(frozen=True)
class Request:
    """A request that has passed the guard."""

    method: str
    path: str
    query_string: bytes
    headers: Headers
    receive: Receive
    trace: Trace

    def query(self, *known: str) -> dict[str, str]:
        """The query's values by name. Raises `Refusal` for names other than the known, and for repeated ones."""
        try:
            pairs = parse_qsl(
                self.query_string.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=20
            )
        except ValueError as error:
            raise Refusal(400, "the query cannot be read") from error
        values = dict(pairs)
        if len(values) != len(pairs) or not values.keys() <= set(known):
            raise Refusal(400, f"the query may hold {' and '.join(known) or 'nothing'}, once")
        return values


@dataclass(frozen=True)
class Answer:
    """A response: status, content type, headers, body."""

    status: int
    body: bytes
    kind: str = JSON
    headers: tuple[tuple[str, str], ...] = field(default=())


def json_answer(value: Any, status: int = 200, *headers: tuple[str, str]) -> Answer:
    """A value as compact UTF-8 JSON. A lone surrogate in a class name becomes JSON's escape of it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    try:
        body = text.encode()
    except UnicodeEncodeError:
        body = json.dumps(value, separators=(",", ":")).encode()
    return Answer(status, body, headers=headers)


def refused(refusal: Refusal) -> Answer:
    """A refusal as every client can read it: `{"error": "why"}`."""
    return json_answer({"error": refusal.reason}, refusal.status, *refusal.headers)
