"""The files that a browser gets: the page, its style and script, the list of paths. Read once, from the package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import final

from kopal.serve.exchange import Answer, Request, json_answer
from kopal.serve.openapi import document
from kopal.serve.service import Service

HTML, CSS, JAVASCRIPT = "text/html; charset=utf-8", "text/css; charset=utf-8", "text/javascript; charset=utf-8"

FILES = {
    "/": ("page.html", HTML),
    "/page.css": ("page.css", CSS),
    "/page.js": ("page.js", JAVASCRIPT),
    "/why.js": ("why.js", JAVASCRIPT),
    "/docs": ("docs.html", HTML),
    "/docs.js": ("docs.js", JAVASCRIPT),
    "/favicon.svg": ("favicon.svg", "image/svg+xml"),
}


@dataclass(frozen=True)
class Page:
    """One file, as it was when the server started."""

    content: bytes
    kind: str

    async def __call__(self, request: Request) -> Answer:
        """GET it."""
        return Answer(200, self.content, self.kind)


def pages() -> Mapping[str, Page]:
    """Path → page."""
    folder = files("kopal.serve") / "page"
    return {path: Page((folder / name).read_bytes(), kind) for path, (name, kind) in FILES.items()}


@final
class OpenApi:
    """GET /openapi.json."""

    def __init__(self, service: Service) -> None:
        self._answer = json_answer(document(service))

    async def __call__(self, request: Request) -> Answer:
        """The document (OpenAPI 3.1) of this server and its model."""
        return self._answer
