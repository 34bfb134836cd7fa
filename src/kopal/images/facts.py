"""What a file says of its picture before a pixel is decoded: size, mode, format, camera, day."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import ImageFile

_MAKE, _MODEL, _CHANGED, _EXIF, _TAKEN = 0x010F, 0x0110, 0x0132, 0x8769, 0x9003
_ON_ITS_SIDE = (5, 6, 7, 8)
_ORIENTATION = 0x0112


@dataclass(frozen=True)
class Facts:
    """A file's own account: the upright picture's size in pixels, Pillow's mode, the format, EXIF camera and day.

    `day` is YYYY:MM:DD as EXIF writes it; it and `camera` are empty where the file does not say.
    """

    width: int
    height: int
    mode: str
    format: str
    camera: str
    day: str


def facts(image: ImageFile.ImageFile, size: tuple[int, int], mode: str) -> Facts:
    """The facts of an opened image; `size` and `mode` as they were before a reduced decoding changed them."""
    camera = day = ""
    width, height = size
    try:
        exif = image.getexif()
        if exif:
            camera = " ".join(filter(None, (_words(exif.get(tag)) for tag in (_MAKE, _MODEL))))
            day = _words(exif.get_ifd(_EXIF).get(_TAKEN) or exif.get(_CHANGED))[:10]
            if exif.get(_ORIENTATION) in _ON_ITS_SIDE:
                width, height = height, width
    except Exception:  # damaged EXIF counts as none, as in `decode`
        camera = day = ""
    return Facts(width, height, mode, image.format or "", camera, day)


def _words(value: object) -> str:
    """A tag's text, printable; whatever else stands there says nothing."""
    if not isinstance(value, str):
        return ""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in value).split())
