"""Reads the tensors of an old-style PyTorch weights file (before 1.6) without PyTorch, and without running anything.

Such a file is a row of pickles: a magic number, a version, the machine, the tensors as references, the storages' keys;
then each storage's length and raw numbers. A pickle can name any Python callable, so ours knows four names, stands in
for each with a function of its own, and refuses every other.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kopal.errors import WeightsError

MAGIC = 0x1950A86A20F9469CFC6C
VERSION = 1001


def read_legacy_weights(data: bytes) -> dict[str, NDArray[Any]]:
    """A weights file's bytes → arrays by name, in the file's order. Raises `WeightsError`; never runs foreign code."""
    try:
        return _read(data)
    except WeightsError:
        raise
    except Exception as error:  # a damaged pickle can raise nearly anything; all of it means the same
        raise WeightsError(f"the weights file is damaged: {error}", "an old-style PyTorch file of tensors") from error


def _read(data: bytes) -> dict[str, NDArray[Any]]:
    file = io.BytesIO(data)
    if _load(file) != MAGIC or _load(file) != VERSION:
        raise WeightsError("not an old-style PyTorch weights file", "its magic number at the start")
    machine = _load(file)
    if not machine["little_endian"]:
        raise WeightsError("the weights were saved on a big-endian machine", "little-endian numbers")
    tensors = _load(file)
    if not all(isinstance(name, str) and isinstance(tensor, _Tensor) for name, tensor in tensors.items()):
        raise WeightsError("the weights file holds something that is not a tensor", "tensors by name")
    storages: dict[str, NDArray[Any]] = {}
    kinds = {tensor.storage.key: tensor.storage.kind for tensor in tensors.values()}
    for key in _load(file):
        length = int.from_bytes(file.read(8), "little")
        kind = np.dtype(kinds[key])
        raw = file.read(length * kind.itemsize) if length * kind.itemsize <= len(data) else b""
        storages[key] = np.frombuffer(raw, kind, count=length)
    return {name: tensor.array(storages) for name, tensor in tensors.items()}


def _load(file: io.BytesIO) -> Any:
    """The next pickle, after a look at what it will ask for."""
    start, size = file.tell(), file.getbuffer().nbytes
    for operation, argument, _ in pickletools.genops(file):
        # Python makes room for all memo places up to the one that is named.
        if operation.name.endswith("PUT") and int(argument or 0) > size:
            raise WeightsError("the weights file asks for more memory than it could need", "a plain pickle")
    file.seek(start)
    return _Reader(file).load()


class _Storage(NamedTuple):
    kind: str
    key: str


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    def array(self, storages: dict[str, NDArray[Any]]) -> NDArray[Any]:
        numbers = storages[self.storage.key]
        last = self.offset + sum((side - 1) * step for side, step in zip(self.shape, self.stride, strict=True))
        if min((self.offset, *self.shape, *self.stride)) < 0 or (0 not in self.shape and last >= len(numbers)):
            raise WeightsError("a tensor reaches beyond its storage", "sizes that fit the numbers in the file")
        if math.prod(self.shape) > len(numbers):
            raise WeightsError("a tensor repeats its storage", "a number in the file for each of the tensor's")
        steps = [step * numbers.itemsize for step in self.stride]
        view = np.lib.stride_tricks.as_strided(numbers[self.offset :], self.shape, steps, writeable=False)
        return np.ascontiguousarray(view).reshape(self.shape)


def _rebuild(storage: _Storage, offset: int, shape: tuple[int, ...], stride: tuple[int, ...], *rest: object) -> _Tensor:
    return _Tensor(_Storage(*storage), int(offset), tuple(shape), tuple(stride))


_KNOWN: dict[tuple[str, str], Callable[..., Any] | str] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild,
    ("torch", "FloatStorage"): "<f4",
    ("torch", "LongStorage"): "<i8",
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _KNOWN:
            raise WeightsError(f"the weights file asks for {module}.{name}", "tensors and nothing else")
        known = _KNOWN[module, name]
        # A pickle may set attributes of what it is given, so it is never given the function itself.
        return partial(known) if known is _rebuild else known

    def persistent_load(self, reference: Any) -> _Storage:
        tag, kind, key, _place, _length, view = reference
        if tag != "storage" or kind not in ("<f4", "<i8") or view is not None:
            raise WeightsError("the weights file refers to something that is not a plain storage", "tensors only")
        return _Storage(kind, str(key))
