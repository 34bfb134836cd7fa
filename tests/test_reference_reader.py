"""The page that shows how to do without kopal gives the same pixels as kopal."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kopal import images
from kopal.images import Geometry
from photo_bytes import encode, photo, samples

PAGE = Path(__file__).parents[1] / "docs" / "reference_reader.py"
SPEC = importlib.util.spec_from_file_location("reference_reader", PAGE)
assert SPEC is not None and SPEC.loader is not None
REFERENCE = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(REFERENCE)


def _photos() -> dict[str, bytes]:
    exif = Image.Exif()
    exif[0x0112] = 6
    veiled = photo().convert("RGBA")
    veiled.putalpha(photo().convert("L"))
    return {
        **samples(),
        "large": encode(photo(1600, 1200), "JPEG"),
        "small": encode(photo(40, 30), "JPEG"),
        "turned": encode(photo(900, 700), "JPEG", exif=exif),
        "turned png": encode(photo(90, 70), "PNG", exif=exif),
        "transparent": encode(veiled, "PNG"),
        "transparent grey": encode(veiled.convert("LA"), "PNG"),
        "two pictures": encode(photo(300, 200), "MPO", save_all=True, append_images=[photo()]),
    }


@pytest.mark.parametrize("name", _photos())
@pytest.mark.parametrize(
    "geometry",
    [Geometry(224, 224), Geometry(64, 96, 3, 0.875, "bilinear"), Geometry(28, 28, 1), Geometry(120, 160)],
    ids=lambda geometry: f"{geometry.width}x{geometry.height}x{geometry.channels}",
)
def test_pixels_made_without_kopal_are_equal(name: str, geometry: Geometry) -> None:
    data = _photos()[name]
    assert np.array_equal(REFERENCE.read(io.BytesIO(data), geometry.as_json()), images.read(data, geometry))


def test_the_page_does_without_kopal_and_is_short() -> None:
    code = PAGE.read_text("utf-8")
    assert "import kopal" not in code
    assert "from kopal" not in code
    assert len(code.splitlines()) <= 40
