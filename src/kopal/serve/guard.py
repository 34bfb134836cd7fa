"""Who is answered: pure functions of a request's headers.

A page on any web site can make its visitor's browser ask a server on the visitor's own machine. What such a page cannot
do is forge the headers Host, Origin and Sec-Fetch-Site (Fetch standard, forbidden request-headers), so these decide:

- Host must be one of our names. A foreign name that resolves to our address is DNS rebinding.
- Whatever is not GET or HEAD must come from our own page, or from a program, which sends neither Origin nor
  Sec-Fetch-Site. `Origin: null` is a sandboxed frame or a local file, and is refused.
- No CORS header is ever sent, so no foreign page can read an answer.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import socket
from dataclasses import dataclass
from typing import Final

from kopal.serve.exchange import Headers, Refusal
from kopal.serve.settings import Settings

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::([0-9]{1,5}))?")
_ORIGIN = re.compile(r"(https?)://(.{1,300})", re.IGNORECASE)

SAFE: Final = frozenset({"GET", "HEAD"})


@dataclass(frozen=True)
class Guard:
    """The names that are ours, whether any address in figures is, and the token's digest (empty: none is asked)."""

    names: frozenset[str]
    any_address: bool
    token: bytes

    @staticmethod
    def of(settings: Settings) -> Guard:
        """The guard of a server. Where others reach it, its own name and all addresses in figures are ours too:
        behind a figure stands no name that could have been rebound.
        """
        names = {"localhost", settings.host.lower().strip("[]"), *(name.lower() for name in settings.allow_hosts)}
        if settings.public:
            names.add(socket.gethostname().lower())
        return Guard(frozenset(names), settings.public, _digest(settings.token) if settings.token else b"")

    def check(self, method: str, headers: Headers) -> None:
        """Raises `Refusal` 400 (malformed), 403 (another site's page) or 421 (another host's name)."""
        host = headers.one("host")
        name, port = _split(host or "")
        if not self._ours(name):
            raise Refusal(421, "the Host header names another machine; --allow-host NAME adds a name of this one")
        if headers.all("transfer-encoding") and headers.all("content-length"):
            raise Refusal(400, "a length and a transfer encoding contradict each other")
        if method in SAFE:
            return
        if headers.one("sec-fetch-site") not in (None, "same-origin", "none"):
            raise Refusal(403, "requests from other sites' pages are not answered")
        origin = headers.one("origin")
        if origin is not None and not _same(origin, name, port):
            raise Refusal(403, "requests from other sites' pages are not answered")

    def check_token(self, headers: Headers) -> None:
        """Raises `Refusal` 401 unless the request carries the token; how much of it is right does not show in time."""
        if not self.token:
            return
        scheme, _, given = (headers.one("authorization") or "").partition(" ")
        right = hmac.compare_digest(_digest(given.strip()), self.token)
        if scheme.lower() != "bearer" or not right:
            raise Refusal(401, "a token is needed: Authorization: Bearer TOKEN", ("WWW-Authenticate", "Bearer"))

    def _ours(self, name: str) -> bool:
        if name in self.names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return self.any_address or address.is_loopback


def _split(host: str) -> tuple[str, str]:
    """A Host header → name in lower case, port or ''. Raises `Refusal`."""
    parts = _HOST.fullmatch(host)
    if parts is None:
        raise Refusal(400, "the Host header is missing or malformed")
    return parts[1].lower().strip("[]"), parts[2] or ""


def _same(origin: str, name: str, port: str) -> bool:
    parts = _ORIGIN.fullmatch(origin)
    if parts is None:
        return False
    try:
        origin_name, origin_port = _split(parts[2])
    except Refusal:
        return False
    usual = "443" if parts[1].lower() == "https" else "80"
    return (origin_name, origin_port or usual) == (name, port or usual)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("latin-1", "replace")).digest()
