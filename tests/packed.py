"""Archives that the tests pack themselves, of every kind."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

from kopal.datasets import Dataset
from kopal.errors import UnreadableImage

KINDS = ("stored.zip", "deflated.zip", "gnu.tar", "pax.tar", "gnu.tar.gz", "pax.tgz")
FORMATS = {"gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}
Content = bytes | tarfile.TarInfo | None


def pack(path: Path, content: dict[str, Content]) -> Path:
    """An archive of the kind that its name says; None is a folder."""
    how, _, suffix = path.name.partition(".")
    if suffix == "zip":
        method = zipfile.ZIP_DEFLATED if how == "deflated" else zipfile.ZIP_STORED
        with zipfile.ZipFile(path, "w", method) as archive:
            for name, data in content.items():
                archive.writestr(zipfile.ZipInfo(name + "/") if data is None else name, data or b"")
        return path
    with tarfile.open(path, "w" if suffix == "tar" else "w:gz", format=FORMATS[how]) as archive:
        for name, data in content.items():
            info = data if isinstance(data, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.name = name
            if data is None:
                info.type = tarfile.DIRTYPE
            info.size = len(data) if isinstance(data, bytes) else 0
            archive.addfile(info, io.BytesIO(data) if isinstance(data, bytes) else None)
    return path


def files(*names: str) -> dict[str, Content]:
    return {name.rstrip("/"): None if name.endswith("/") else name.encode() for name in names}


def refused(dataset: Dataset) -> dict[str, str]:
    """The photos that cannot be read: last piece of the name → kind."""
    kinds = {}
    for index, name in enumerate(dataset.names):
        try:
            dataset.read(index)
        except UnreadableImage as error:
            assert error.happened
            kinds[name.rpartition("/")[2]] = error.kind
    return kinds
