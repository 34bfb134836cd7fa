"""POST /v1/predict: one photo as the body, or several as a form; names and probabilities as JSON.

A photo is recognised by its content, as everywhere in kopal. No request can name a file or an address to be read.
"""

from __future__ import annotations

from typing import Any, TypeVar, final

from kopal.errors import UnreadableImage
from kopal.serve.body import Bodies
from kopal.serve.exchange import Answer, Refusal, Request, json_answer
from kopal.serve.line import Photo
from kopal.serve.parts import split_parts
from kopal.serve.service import Service

TOP = 5

T = TypeVar("T")


@final
class Predict:
    """Answers for photos."""

    def __init__(self, service: Service, bodies: Bodies) -> None:
        self._service = service
        self._bodies = bodies

    async def __call__(self, request: Request) -> Answer:
        """The answer to a request. Raises `Refusal` and `Gone`."""
        top = self._top(request)
        content_type, kind = content_types(request)
        many = kind == "multipart/form-data"
        if not (many or is_photo(kind)):
            raise Refusal(
                415, "the Content-Type must be image/jpeg or another picture's, or multipart/form-data for several"
            )
        self._service.admit()
        async with self._bodies.reading(request.headers, request.receive) as body:
            request.trace.bytes = len(body)
            if many:
                return await self._many(request, content_type, body, top)
            return await self._one(request, body, top)

    async def _one(self, request: Request, body: bytes, top: int) -> Answer:
        request.trace.photos = 1
        (answer,) = await self._service.answered([Photo(body, top)], request.receive)
        return json_answer(readable(answer).as_json(top) | self._model())

    async def _many(self, request: Request, content_type: str, body: bytes, top: int) -> Answer:
        settings = self._service.settings
        parts = split_parts(body, content_type, min(settings.max_photos, settings.queue))
        request.trace.photos = len(parts)
        answers = await self._service.answered([Photo(part.data, top) for part in parts], request.receive)
        rows = [
            {"name": part.name}
            | ({"unreadable": answer.happened} if isinstance(answer, UnreadableImage) else _sound(answer).as_json(top))
            for part, answer in zip(parts, answers, strict=True)
        ]
        return json_answer({"photos": rows} | self._model())

    def _model(self) -> dict[str, Any]:
        return {"model": self._service.settings.name, "digest": self._service.digest}

    def _top(self, request: Request) -> int:
        text = request.query("top").get("top", str(TOP))
        if not (text.isascii() and text.isdigit() and len(text) <= 9 and int(text) > 0):
            raise Refusal(400, "top is a whole number above 0")
        return min(int(text), len(self._service.classifier.classes))


def content_types(request: Request) -> tuple[str, str]:
    """The Content-Type as it was sent, and the kind alone, in lower case."""
    text = request.headers.one("content-type") or ""
    return text, text.partition(";")[0].strip().lower()


def is_photo(kind: str) -> bool:
    """Whether a Content-Type is one that a photo may be sent under; what it says of the format does not matter."""
    return kind == "application/octet-stream" or (kind.startswith("image/") and len(kind) > 6)


def readable(answer: T | Exception) -> T:
    """The answer to a photo that was the whole request. Raises `Refusal` 422, and whatever else went wrong."""
    if isinstance(answer, UnreadableImage):
        raise Refusal(422, f"not a readable photo: {answer.happened}")
    return _sound(answer)


def _sound(answer: T | Exception) -> T:
    if isinstance(answer, Exception):
        raise answer
    return answer
