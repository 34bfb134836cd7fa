"""How to make pixels for a model.onnx without kopal: `read(file, geometry)`, with Pillow and NumPy only.

`geometry` is the dictionary json.loads(metadata["kopal"])["geometry"] of the model's metadata.
A test holds this page to equal pixels; it trusts its files, kopal's own decoder does not.
"""

import math

import numpy as np
from PIL import Image, ImageOps


def read(file, geometry):
    """A photo's path or open file → pixels uint8 (H, W, C)."""
    height, width, crop = geometry["height"], geometry["width"], geometry["crop"]
    image = Image.open(file)
    if image.format in ("JPEG", "MPO") and max(image.size) > 64:
        image.draft(None, (math.ceil(max(height, width) / crop),) * 2)
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):
        image = Image.fromarray(((np.asarray(image).astype(np.uint32) + 128) // 257).astype(np.uint8))
    if image.has_transparency_data:
        grey, image = image.mode in ("L", "LA"), image.convert("RGBA")
        over = Image.new("RGB", image.size, "white")
        over.paste(image.convert("RGB"), mask=image.getchannel("A"))
        image = over.convert("L") if grey else over
    image = image.convert("RGB" if geometry["channels"] == 3 else "L")
    scale = crop * min(image.width / width, image.height / height)
    left, top = (image.width - scale * width) / 2, (image.height - scale * height) / 2
    box = left, top, min(image.width, left + scale * width), min(image.height, top + scale * height)
    if image.size != (width, height) or crop != 1:
        image = image.resize((width, height), Image.Resampling[geometry["filter"].upper()], box=box)
    return np.array(image, np.uint8).reshape(height, width, geometry["channels"])
