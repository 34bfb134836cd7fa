"""Several photos in one request: multipart/form-data (RFC 7578) → names and bytes. Nothing touches the disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from kopal.serve.exchange import Refusal

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

LONGEST_NAME = 255


@dataclass(frozen=True)
class Part:
    """A photo as it was sent: what the client calls it, for the answer only, and its bytes."""

    name: str
    data: bytes


def split_parts(body: bytes, content_type: str, most: int) -> list[Part]:
    """The files of a form, in order; other fields are passed over. Raises `Refusal` 400 or 413."""
    boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
    reader = _Reader(most)
    try:
        if not boundary:
            raise Refusal(400, "the multipart body's boundary is not said")
        parser = MultipartParser(boundary, reader.callbacks())
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise Refusal(400, "the multipart body cannot be taken apart") from error
    if not reader.ended or not reader.parts:
        raise Refusal(400, "the multipart body holds no file, or breaks off")
    return reader.parts


class _Reader:
    """Collects what the parser calls out."""

    def __init__(self, most: int) -> None:
        self.parts: list[Part] = []
        self.ended = False
        self._most = most
        self._fields = 0
        self._header = b""
        self._value = b""
        self._disposition = b""
        self._data: list[bytes] = []

    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_part_data": self._part_data,
            "on_part_end": self._part_end,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        self._disposition, self._data = b"", []
        self._fields += 1
        if self._fields > 2 * self._most:
            raise Refusal(413, f"the form has more than {2 * self._most} fields")

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header, self._value = b"", b""

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        self._data.append(data[start:end])

    def _part_end(self) -> None:
        name = parse_options_header(self._disposition)[1].get(b"filename")
        if name is None:
            return
        if len(self.parts) == self._most:
            raise Refusal(413, f"more than {self._most} photos in one request")
        self.parts.append(Part(name.decode("utf-8", "replace")[:LONGEST_NAME], b"".join(self._data)))

    def _end(self) -> None:
        self.ended = True
