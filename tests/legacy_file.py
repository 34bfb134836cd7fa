"""Weights files as PyTorch wrote them before 1.6, sound or hostile, made without PyTorch."""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict

import numpy as np

from kopal.nets.torch_file import MAGIC, VERSION


class Named:
    """Pickles as the global `module.name`, called with `arguments` where they are given."""

    def __init__(self, module: str, name: str, arguments: tuple | None = None) -> None:
        self.module, self.name, self.arguments = module, name, arguments


class Reference:
    def __init__(self, *parts: object) -> None:
        self.parts = parts


class Writer(pickle._Pickler):
    """Writes what PyTorch wrote before 1.6, without PyTorch."""

    def save(self, value: object, save_persistent_id: bool = True) -> None:
        if isinstance(value, Named):
            self.write(pickle.GLOBAL + f"{value.module}\n{value.name}\n".encode())
            if value.arguments is not None:
                super().save(value.arguments)
                self.write(pickle.REDUCE)
        else:
            super().save(value, save_persistent_id)

    def persistent_id(self, value: object) -> object:
        return value.parts if isinstance(value, Reference) else None


def dump(*values: object, protocol: int = 2) -> bytes:
    file = io.BytesIO()
    for value in values:
        Writer(file, protocol).dump(value)
    return file.getvalue()


def tensor(
    offset: object, shape: object, stride: object, key: str = "0", kind: str = "FloatStorage", count: int = 12
) -> Named:
    storage = Reference("storage", Named("torch", kind), key, "cpu", count, None)
    parts = (storage, offset, shape, stride, False, Named("collections", "OrderedDict", ()))
    return Named("torch._utils", "_rebuild_tensor_v2", parts)


def legacy(
    tensors: object, numbers: np.ndarray | None = None, count: int | None = None, keys: object = ("0",)
) -> bytes:
    numbers = np.arange(12, dtype=np.float32) if numbers is None else numbers
    machine = {"protocol_version": VERSION, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    start = dump(MAGIC, VERSION, machine, tensors, list(keys) if isinstance(keys, tuple) else keys)
    count = len(numbers) if count is None else count
    return start + count.to_bytes(8, "little") + numbers.tobytes()


SMALL = legacy(OrderedDict(weight=tensor(0, (3, 4), (4, 1)), turned=tensor(0, (4, 3), (1, 4)), one=tensor(5, (), ())))
