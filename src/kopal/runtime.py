"""ONNX Runtime as kopal runs it: a session on one thread, and images in pieces that suit the processor's cache."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from kopal.arrays import Pixels
from kopal.errors import ModelFileError
from kopal.graph_demands import images_at_once
from kopal.images import Geometry

TRAIN_ANEW = "a sound model", "copy the file again, or train anew with kopal train"


def run_session(runner: onnxruntime.InferenceSession, pixels: Pixels, geometry: Geometry) -> list[NDArray[Any]]:
    """Pixels (N, H, W, C), N > 0 → each output of the graph for all of them, run in pieces that suit the cache."""
    pieces = [
        runner.run(None, {"pixels": np.ascontiguousarray(piece)})
        for piece in chunks_of(pixels, images_per_run(geometry))
    ]
    return [np.concatenate(output) for output in zip(*pieces, strict=True)]


def images_per_run(geometry: Geometry) -> int:
    """How many images of a geometry the net is given at once."""
    return images_at_once(geometry.height, geometry.width)


def chunks_of(pixels: Pixels, size: int) -> Iterator[Pixels]:
    """Views of `size` images each; the last may be shorter."""
    return (pixels[at : at + size] for at in range(0, len(pixels), size))


def session(model: bytes) -> onnxruntime.InferenceSession:
    """ONNX Runtime on one thread: kopal runs several batches side by side instead, which fills the cores better."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors share no public base
        raise ModelFileError(f"ONNX Runtime refuses the graph: {brief(error)}", *TRAIN_ANEW) from error


def brief(error: Exception) -> str:
    """What ONNX Runtime says, without its stack."""
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
