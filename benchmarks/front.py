"""Claim: a graph that takes uint8 (N, H, W, C) is not slower than one that is handed finished float (N, C, H, W).

    python benchmarks/front.py

The float graph's input is made by NumPy outside the clock, which favours it. Runs in turn, medians of 9.
"""

from __future__ import annotations

import statistics

import numpy as np
import onnxruntime
from onnx import ModelProto, TensorProto, helper

from header import once, print_header
from kopal.backends.onnx_backend import feature_model
from kopal.classifier import BATCH
from kopal.fit.backbones import embedded_backbone
from kopal.runtime import session


def main() -> None:
    print_header(__doc__.splitlines()[0])
    backbone = embedded_backbone("efficientnet-lite0")
    model = feature_model(backbone.net, backbone.weights)
    ours, bare = session(model.SerializeToString()), session(without_front(model).SerializeToString())
    pixels = np.random.default_rng(0).integers(0, 256, (BATCH, *backbone.geometry.shape), dtype=np.uint8)
    floats = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1)
    difference = np.abs(run(ours, pixels) - run(bare, floats)).max()
    times: dict[str, list[float]] = {"uint8 front": [], "float NCHW": []}
    for _ in range(9):
        times["uint8 front"].append(once(lambda: [run(ours, pixels) for _ in range(8)]))
        times["float NCHW"].append(once(lambda: [run(bare, floats) for _ in range(8)]))
    for name, found in times.items():
        print(f"  {name:12} {8 * BATCH / statistics.median(found):5.0f} images/s on one thread")
    ratio = statistics.median(times["float NCHW"]) / statistics.median(times["uint8 front"])
    print(f"  speed of the uint8 front over float: {ratio:.3f}; largest difference of a feature {difference:.1e}")


def run(model: onnxruntime.InferenceSession, values: np.ndarray) -> np.ndarray:
    return model.run(None, {model.get_inputs()[0].name: values})[0]


def without_front(model: ModelProto) -> ModelProto:
    bare = ModelProto()
    bare.CopyFrom(model)
    graph = bare.graph
    first = next(index for index, node in enumerate(graph.node) if node.op_type == "Conv")
    graph.node[first].input[0] = "floats"
    del graph.node[:first]
    _, height, width, channels = (side.dim_value for side in graph.input[0].type.tensor_type.shape.dim)
    del graph.input[:]
    graph.input.append(helper.make_tensor_value_info("floats", TensorProto.FLOAT, ["N", channels, height, width]))
    return bare


if __name__ == "__main__":
    main()
