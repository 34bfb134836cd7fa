"""How any image becomes an array of one fixed shape."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from PIL import Image

from kopal.errors import UsageError

MAX_SIDE = 4096

FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


@dataclass(frozen=True)
class Geometry:
    """How any image becomes (height, width, channels) uint8: centre crop, then one resize.

    `crop` is the share of the picture that is kept: the largest centred box of the target's aspect ratio, times
    `crop`. `filter` is Pillow's resampling filter, with its antialiasing. `channels` is 3 (RGB) or 1 (grey).
    """

    height: int
    width: int
    channels: int = 3
    crop: float = 1.0
    filter: str = "bicubic"

    def __post_init__(self) -> None:
        if not (0 < self.height <= MAX_SIDE and 0 < self.width <= MAX_SIDE):
            raise UsageError(f"image size {self.width} x {self.height}", f"sides of 1 to {MAX_SIDE} pixels")
        if self.channels not in (1, 3):
            raise UsageError(f"{self.channels} channels", "1 (grey) or 3 (RGB)")
        if not 0 < self.crop <= 1:
            raise UsageError(f"crop {self.crop}", "a share above 0 and up to 1")
        if self.filter not in FILTERS:
            raise UsageError(f"resampling filter {self.filter!r}", " or ".join(FILTERS))

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C)."""
        return self.height, self.width, self.channels

    def box(self, width: int, height: int) -> tuple[float, float, float, float]:
        """The part of a width x height image that is kept: (left, top, right, bottom) in its pixels, fractional."""
        scale = min(width / self.width, height / self.height) * self.crop
        kept_width, kept_height = self.width * scale, self.height * scale
        left, top = max(0.0, (width - kept_width) / 2), max(0.0, (height - kept_height) / 2)
        return left, top, min(width, left + kept_width), min(height, top + kept_height)

    def as_json(self) -> dict[str, Any]:
        """Plain values for metadata; `Geometry(**value)` is the way back."""
        return asdict(self)
