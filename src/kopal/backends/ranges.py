"""How large the numbers behind each layer get on some images: what a table of activation ranges is made of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime
from PIL import Image
from sklearn.datasets import load_sample_images

from kopal.arrays import Pixels
from kopal.backends.onnx_backend import feature_model
from kopal.images import Geometry
from kopal.nets.fold import Weights
from kopal.nets.net import Net
from kopal.nets.quantise import Range, places

CROPS = 64
SMALLEST, LARGEST = 160, 427
"""Sides of the squares that are cut from the photos, in pixels: the larger is all of their height."""


def calibration_pixels(geometry: Geometry, seed: int = 0) -> Pixels:
    """Crops of the two photos that come with scikit-learn, (64, H, W, 3) uint8: the same on every machine.

    Squares of any size and place, every other one in the mirror.
    """
    photos = load_sample_images().images
    rng = np.random.default_rng(seed)
    crops = []
    for number in range(CROPS):
        photo = photos[number % len(photos)]
        side = int(rng.integers(SMALLEST, LARGEST + 1))
        top, left = (int(rng.integers(0, size - side + 1)) for size in photo.shape[:2])
        square = photo[top : top + side, left : left + side]
        image = Image.fromarray(square[:, ::-1] if number // 2 % 2 else square)
        crops.append(np.asarray(image.resize((geometry.width, geometry.height), Image.Resampling.BICUBIC)))
    return np.stack(crops)


def measured_ranges(net: Net, weights: Weights, pixels: Pixels) -> dict[str, Range]:
    """A net without a head and images (N, H, W, C) → the lowest and highest number at each place that is rounded."""
    wanted = places(net, weights)
    model = feature_model(net, weights)
    made = {name for node in model.graph.node for name in node.output}
    names = [path if path in made else f"{path}.sum" for path in wanted]
    found = [_extremes(row) for row in zip(*_outputs(model, names, pixels), strict=True)]
    return dict(zip(wanted, found, strict=True))


def _outputs(model: onnx.ModelProto, names: Sequence[str], pixels: Pixels) -> list[list[Range]]:
    """For each image the extremes of each named value."""
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    del shown.graph.output[:]
    shown.graph.output.extend(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(shown.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return [
        [(float(value.min()), float(value.max())) for value in session.run(names, {"pixels": image[None]})]
        for image in pixels
    ]


def _extremes(row: Sequence[Range]) -> Range:
    return min(low for low, _ in row), max(high for _, high in row)
