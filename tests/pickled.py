"""Files of the pickle family, each of which would make a folder if anything unpickled it: what others call a model."""

from __future__ import annotations

import io
import os
import pickle
import tarfile
import zipfile

import numpy as np


class Bomb:
    """Unpickled, it makes a folder."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (self.folder,)


def pickled(folder: str) -> dict[str, bytes]:
    """By name: plain pickles of every protocol, and what torch, NumPy, joblib and tar make of one."""
    bomb = Bomb(folder)
    plain = {f"pickle {number}": pickle.dumps(bomb, number) for number in range(pickle.HIGHEST_PROTOCOL + 1)}
    objects = np.empty(1, object)
    objects[0] = bomb
    npy, npz = io.BytesIO(), io.BytesIO()
    np.save(npy, objects)
    np.savez(npz, objects)
    script = f"import os; os.mkdir({folder!r})\n".encode()
    return {
        **plain,
        "torch": _zip({"archive/data.pkl": plain["pickle 2"], "archive/version": b"3\n"}),
        "torch of old": pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2) + plain["pickle 2"],
        "npy": npy.getvalue(),
        "npz": npz.getvalue(),
        "joblib": _joblib(bomb),
        "tar": _tar({"model.pkl": plain["pickle 4"], "model.onnx": b""}),
        "script": b"#!/usr/bin/env python3\n" + script,
        "keras": _zip({"config.json": b'{"class_name": "Lambda"}', "model.weights.h5": b"\x89HDF\r\n\x1a\n"}),
    }


def _zip(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        for name, data in members.items():
            packed.writestr(name, data)
    return file.getvalue()


def _tar(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as packed:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            packed.addfile(entry, io.BytesIO(data))
    return file.getvalue()


def _joblib(bomb: Bomb) -> bytes:
    import joblib  # scikit-learn brings it

    file = io.BytesIO()
    joblib.dump(bomb, file, compress=3)
    return file.getvalue()
