"""Photos that the tests make, of many scales like real ones, and every kind of copy that an audit is to find."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance, ImageOps


def scene(seed: int, size: tuple[int, int] = (240, 180)) -> Image.Image:
    """A photo of nothing: a few scales of smooth colour, each finer one weaker."""
    rng = np.random.default_rng(seed)
    total = np.zeros((size[1], size[0], 3))
    for cells, strength in ((3, 1.0), (6, 0.6), (12, 0.4), (24, 0.25), (48, 0.15), (120, 0.1)):
        coarse = rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
        total += strength * np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC), float)
    total = (total - total.mean()) / total.std() * 55 + 120
    return Image.fromarray(total.clip(0, 255).astype(np.uint8))


def saved(image: Image.Image, quality: int = 92) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def cropped(image: Image.Image, seed: int, share: float = 0.9) -> Image.Image:
    """A window with this share of either side, somewhere."""
    rng = np.random.default_rng(seed)
    width, height = (round(side * share) for side in image.size)
    left, top = int(rng.integers(0, image.width - width + 1)), int(rng.integers(0, image.height - height + 1))
    return image.crop((left, top, left + width, top + height))


COPIES: dict[str, Callable[[Image.Image, int], bytes]] = {
    "resized": lambda image, seed: saved(image.resize((image.width * 5 // 8, image.height * 5 // 8))),
    "quality 40": lambda image, seed: saved(image, 40),
    "cropped": lambda image, seed: saved(cropped(image, seed)),
    "mirrored": lambda image, seed: saved(ImageOps.mirror(image)),
    "brighter": lambda image, seed: saved(ImageEnhance.Brightness(image).enhance(1.3)),
    "darker": lambda image, seed: saved(ImageEnhance.Brightness(image).enhance(0.7)),
    "less colour": lambda image, seed: saved(ImageEnhance.Color(image).enhance(0.3)),
}
