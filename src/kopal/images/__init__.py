"""From a photo to uint8 pixels: the only decoder of kopal, the same code in train, predict and serve.

A file is recognised by its content, never by its name. It becomes pixels, or `UnreadableImage` with the reason:
nothing is substituted and nothing on disk is edited.
"""

from kopal.images.decode import FULL_SIDE, MAX_BYTES, decode, examine, fit, longest_side, read, read_bytes
from kopal.images.facts import Facts
from kopal.images.fault import MAX_PIXELS
from kopal.images.geometry import Geometry

__all__ = [
    "FULL_SIDE",
    "MAX_BYTES",
    "MAX_PIXELS",
    "Facts",
    "Geometry",
    "decode",
    "examine",
    "fit",
    "longest_side",
    "read",
    "read_bytes",
]
