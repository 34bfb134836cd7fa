"""Several ONNX graphs written into one, in which what they have in common stands once and is computed once.

The walk numbers values as a compiler does: two constants of the same bytes are one value, and so are the results of
two nodes with the same operator, attributes and inputs. So equal fronts, and equal nets below different heads, merge.
"""

from __future__ import annotations

import hashlib

import onnx

from kopal.backends.onnx_graph import OPSET, Graph
from kopal.errors import ModelFileError

_AS_KOPAL_WRITES = "a graph as this version of kopal writes it", "train that model anew"


class Merge:
    """A graph that takes in others: `graph` is what came of it, to be gone on with."""

    def __init__(self) -> None:
        self.graph = Graph()
        self._made: dict[bytes, tuple[str, ...]] = {}

    def take(self, model: onnx.ModelProto, output: str, prefix: str) -> str:
        """Write what `output` of a model needs → its name here. New names get the prefix, `pixels` stay `pixels`.

        Every operator is taken to be a function of its inputs, as those on kopal's list are. Raises `ModelFileError`.
        """
        opsets = sorted({opset.version for opset in model.opset_import})
        if opsets != [OPSET]:
            raise ModelFileError(f"the graph speaks version {opsets} of ONNX, not {OPSET}", *_AS_KOPAL_WRITES)
        nodes = needed(model.graph, output)
        used = {output, *(name for node in nodes for name in node.input)}
        names = {"": "", "pixels": "pixels"}  # an optional input that is left out has no name
        for tensor in model.graph.initializer:
            if tensor.name in used:
                names[tensor.name] = self._constant(tensor, prefix)
        for node in nodes:
            if not names.keys() >= {*node.input}:
                raise ModelFileError(f"node {node.name!r} stands before its inputs", *_AS_KOPAL_WRITES)
            names |= zip(node.output, self._node(node, names, prefix), strict=True)
        return names[output]

    def _constant(self, tensor: onnx.TensorProto, prefix: str) -> str:
        written = onnx.TensorProto()
        written.CopyFrom(tensor)
        written.name = written.doc_string = ""
        key = _key(written)
        if key not in self._made:
            written.name = prefix + tensor.name
            self.graph.constants[written.name] = written
            self._made[key] = (written.name,)
        return self._made[key][0]

    def _node(self, node: onnx.NodeProto, names: dict[str, str], prefix: str) -> tuple[str, ...]:
        written = onnx.NodeProto()
        written.CopyFrom(node)
        written.input[:] = [names[name] for name in node.input]
        written.output[:] = ["any" if name else "" for name in node.output]
        written.name = written.doc_string = ""
        key = _key(written)
        if key not in self._made:
            written.name = prefix + node.name
            written.output[:] = [prefix + name if name else "" for name in node.output]
            self.graph.nodes.append(written)
            self._made[key] = tuple(written.output)
        return self._made[key]


def needed(graph: onnx.GraphProto, output: str) -> list[onnx.NodeProto]:
    """The nodes on the way to an output, in their order."""
    wanted = {output}
    kept = []
    for node in reversed(graph.node):
        if wanted & {*node.output}:
            wanted |= {*node.input} - {""}
            kept.append(node)
    return kept[::-1]


def _key(content: onnx.TensorProto | onnx.NodeProto) -> bytes:
    kind = type(content).__name__.encode()
    return hashlib.sha256(kind + content.SerializeToString(deterministic=True)).digest()
