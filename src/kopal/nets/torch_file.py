"""Reads the tensors of an old-style PyTorch weights file (before 1.6) without PyTorch, and without running anything.

Such a file is a row of pickles: a magic number, a version, the machine, the tensors as references, the storages' keys;
then each storage's length and raw numbers. A pickle can name any Python callable, so ours knows four names, stands in
for each with a function of its own, and refuses every other.
"""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from collections.abc import Callable
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
    if _Reader(file).load() != MAGIC or _Reader(file).load() != VERSION:
        raise WeightsError("not an old-style PyTorch weights file", "its magic number at the start")
    machine = _Reader(file).load()
    if not machine["little_endian"]:
        raise WeightsError("the weights were saved on a big-endian machine", "little-endian numbers")
    tensors = _Reader(file).load()
    storages: dict[str, NDArray[Any]] = {}
    kinds = {tensor.storage.key: tensor.storage.kind for tensor in tensors.values()}
    for key in _Reader(file).load():
        length = int.from_bytes(file.read(8), "little")
        kind = np.dtype(kinds[key])
        raw = file.read(length * kind.itemsize) if length * kind.itemsize <= len(data) else b""
        storages[key] = np.frombuffer(raw, kind, count=length)
    return {name: tensor.array(storages) for name, tensor in tensors.items()}


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
        return _KNOWN[module, name]

    def persistent_load(self, reference: Any) -> _Storage:
        tag, kind, key, _place, _length, view = reference
        if tag != "storage" or kind not in ("<f4", "<i8") or view is not None:
            raise WeightsError("the weights file refers to something that is not a plain storage", "tensors only")
        return _Storage(kind, str(key))
