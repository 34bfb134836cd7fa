"""A zip or tar archive of a class folder as a labelled set: read in place, nothing is unpacked under a name.

So no name in an archive can lead anywhere: names that try are left aside, and said.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kopal.datasets.dataset import Dataset
from kopal.datasets.gunzip import gunzipped
from kopal.datasets.layout import labelled
from kopal.datasets.members import Member, OpenFile, Refused, check_count
from kopal.datasets.metadata import FILE, with_metadata
from kopal.datasets.reading import Reading
from kopal.datasets.tar_members import is_tar, tar_members
from kopal.datasets.tree import Entry, entries, walk
from kopal.datasets.zip_members import zip_members
from kopal.errors import DataError, KopalError, UnreadableImage, UsageError
from kopal.files import shown

SUFFIXES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".tbz2", ".xz", ".txz", ".zst", ".7z", ".rar")
LONGEST_NAME, DEEPEST = 4096, 64
_DRIVE = re.compile("[A-Za-z]:")


@dataclass(frozen=True)
class ArchiveSource:
    """Photos in an archive; a name is the archive's path with the path inside it: photos.zip/cat/1.jpg."""

    members: Mapping[str, Member]

    def read(self, name: str) -> bytes:
        """The member's content, whatever thread asks. Raises `UnreadableImage`."""
        if name not in self.members:
            raise UnreadableImage("missing", "no such file in the archive")
        return self.members[name].read()


@dataclass(frozen=True)
class ArchiveTree:
    """The folders of an archive: the path of each, and what stands in it by name, true for a folder."""

    root: str
    inside: dict[str, dict[str, bool]] = field(default_factory=dict)

    def entries(self, folder: str) -> list[Entry]:
        """All that stands in a folder."""
        return [Entry(name, f"{folder}/{name}", is_folder) for name, is_folder in self.inside[folder].items()]

    def identity(self, folder: str) -> str:
        """The path: links are not followed, so every folder has one."""
        return folder

    def add(self, path: str, is_folder: bool) -> bool:
        """Put a file or folder and the folders above it into place; whether it was new. A folder beats a file."""
        if path == self.root:
            self.inside.setdefault(path, {})
            return True
        parent, _, name = path.rpartition("/")
        has_place = parent in self.inside or self.add(parent, True)
        known = self.inside[parent].get(name)
        self.inside[parent][name] = bool(known) or is_folder
        if is_folder:
            self.inside.setdefault(path, {})
        return has_place and (known is None or (known and is_folder))


def is_archive(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a file that is an archive by its content, or at least by its name."""
    if not os.path.isfile(path):
        return False
    return os.fspath(path).lower().endswith(SUFFIXES) or _kind(_open(path)) is not None


def from_archive(path: str | os.PathLike[str], reading: Reading = Reading()) -> Dataset:  # noqa: B008 - frozen
    """The labelled photos in an archive, as the folder unpacked would give them; a single top folder is entered.

    Raises `UsageError` (cannot be opened), `DataError` (damaged, a bomb, nothing to learn) and `OutputError` (no space
    to unpack a .tar.gz).
    """
    tree, source, notes = _listed(path)
    root = _top(tree, notes)
    title = re.sub(r"\.tar$", "", Path(path).stem, flags=re.IGNORECASE)
    found = with_metadata(tree, root, title, source, notes, reading)
    return found or labelled(tree, root, title, source, notes, reading)


@dataclass(frozen=True)
class Packed:
    """A photo in an archive, to be answered: its path is the archive's with the one inside."""

    path: str
    source: ArchiveSource

    def __fspath__(self) -> str:
        return self.path

    def read(self) -> bytes:
        """Its content. Raises `UnreadableImage`."""
        return self.source.read(self.path)


def packed_photos(path: str | os.PathLike[str]) -> Iterator[Packed]:
    """Every file in an archive, whatever folder it is in. Raises as `from_archive`."""
    tree, source, _ = _listed(path)
    for name in walk(tree, tree.root):
        yield Packed(name, source)


def unreadable(path: str, error: KopalError) -> Packed:
    """In place of the photos in what cannot be opened: one that cannot be read, for the error's reason."""
    return Packed(path, ArchiveSource({path: Refused("damaged", error.happened)}))


def _listed(path: str | os.PathLike[str]) -> tuple[ArchiveTree, ArchiveSource, list[str]]:
    archive = _open(path)
    kind = _kind(archive)
    notes: list[str] = []
    if kind is None:
        raise DataError(
            f"{shown(path)} is no zip, tar or gzipped tar by its content",
            "photos as .zip, .tar or .tar.gz",
            "unpack it and name the folder; if it was meant to be one of these, copy or download it again",
        )
    if kind == "gzip":
        archive = gunzipped(archive, notes)
    listed = zip_members(archive, notes) if kind == "zip" else tar_members(archive)
    return *_placed(str(Path(path)), listed, notes), notes


def _open(path: str | os.PathLike[str]) -> OpenFile:
    try:
        return OpenFile(os.fspath(path), open(path, "rb"))
    except OSError as error:
        raise UsageError(
            f"cannot open {shown(path)}: {(error.strerror or '').lower()}", "an archive that may be read"
        ) from error


def _kind(archive: OpenFile) -> str | None:
    start = archive.read(0, 512)
    if start.startswith((b"PK\3\4", b"PK\5\6", b"PK\7\b")):
        return "zip"
    if start.startswith(b"\x1f\x8b"):
        return "gzip"
    return "tar" if is_tar(start) else None


def _placed(
    root: str, listed: Iterable[tuple[str, Member | None]], notes: list[str]
) -> tuple[ArchiveTree, ArchiveSource]:
    tree = ArchiveTree(root, {root: {}})
    members: dict[str, Member] = {}
    outside: list[str] = []
    twice: list[str] = []
    for name, member in listed:
        inner = inner_path(name)
        if inner is None:
            outside.append(name)
            continue
        place = f"{root}/{inner}" if inner else root
        if not tree.add(place, member is None):
            twice.append(name)
        if member is not None:
            members[place] = member
        check_count(len(tree.inside), root)
    if outside:
        notes.append(f"left aside for names that lead out of the archive or too deep into it: {_examples(outside)}")
    if twice:
        notes.append(f"more than once in the archive, and the last one counts: {_examples(twice)}")
    return tree, ArchiveSource(members)


def inner_path(name: str) -> str | None:
    r"""A stored name as a path below the top: .\cat\1.jpg → cat/1.jpg; None for one that leads out or too deep."""
    pieces = [piece for piece in name.replace("\\", "/").split("/") if piece not in ("", ".")]
    if name.startswith(("/", "\\")) or "\0" in name or ".." in pieces:
        return None
    if len(name) > LONGEST_NAME or len(pieces) > DEEPEST or (pieces and _DRIVE.match(pieces[0])):
        return None
    return "/".join(pieces)


def _top(tree: ArchiveTree, notes: list[str]) -> str:
    """The folder that holds the classes: as long as there is a single folder and it holds folders, the one below."""
    root = tree.root
    while True:
        found = entries(tree, root)
        folders = [entry for entry in found if entry.is_folder]
        if len(folders) != 1 or any(entry.name == FILE for entry in found):
            return root
        if not any(entry.is_folder or entry.name == FILE for entry in entries(tree, folders[0].path)):
            return root
        if beside := [entry.name for entry in found if not entry.is_folder]:
            notes.append(f"left aside beside the folder {shown(folders[0].name)}: {_examples(beside)}")
        root = folders[0].path


def _examples(names: list[str]) -> str:
    return ", ".join(shown(name[:100]) for name in names[:3]) + (f" and {len(names) - 3} more" if names[3:] else "")
