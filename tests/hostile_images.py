"""Hostile pictures, made from sound ones by chance: cut, with bits flipped, headers that lie, tails of zeros, splices.

The same seed gives the same files on every machine. Bombs, which are made for one purpose each, are in `image_bombs`.
"""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

from hostile_samples import all_samples

LIES = (0, 1, 2, 3, 7, 8, 127, 128, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


@dataclass(frozen=True)
class Hostile:
    """A file that may be anything: `kind` is the sound file it came from, `way` what was done to it."""

    kind: str
    way: str
    data: bytes

    @property
    def format(self) -> str:
        return self.kind.split()[0].upper()


@cache
def sound() -> dict[str, bytes]:
    return all_samples()


def cut(data: bytes, dice: random.Random) -> bytes:
    return data[: dice.randrange(1, len(data))]


def zeros(data: bytes, dice: random.Random) -> bytes:
    """As a download leaves it that was given its length at the start: a cut, and zeros for the rest."""
    at = dice.randrange(1, len(data))
    return data[:at] + bytes(len(data) - at)


def flips(data: bytes, dice: random.Random) -> bytes:
    damaged = bytearray(data)
    reach = dice.choice([len(data), min(len(data), 200)])
    for _ in range(dice.choice([1, 1, 2, 4, 16])):
        damaged[dice.randrange(reach)] ^= 1 << dice.randrange(8)
    return bytes(damaged)


def splice(data: bytes, dice: random.Random) -> bytes:
    """The start of one file and the end of another of any format."""
    other = sound()[dice.choice(sorted(sound()))]
    return data[: dice.randrange(2, len(data))] + other[dice.randrange(len(other)) :]


def repeat(data: bytes, dice: random.Random) -> bytes:
    """A piece of the file many times over."""
    at = dice.randrange(len(data))
    piece = data[at : at + dice.choice([1, 4, 12, 100])]
    return data[:at] + piece * dice.choice([2, 100, 5000]) + data[at:]


def lie(data: bytes, dice: random.Random) -> bytes:
    """Numbers of the header that are not so: mostly in one of the places where the format keeps one."""
    damaged = bytearray(data)
    for _ in range(dice.choice([1, 1, 2, 3])):
        size = dice.choice([1, 2, 4])
        at = dice.choice(_places(data)) if dice.random() < 0.8 else dice.randrange(min(len(data), 400))
        value = dice.choice(LIES) & ((1 << 8 * size) - 1)
        damaged[at : at + size] = value.to_bytes(size, dice.choice(["little", "big"]))
    return _with_checksums(bytes(damaged))


def _places(data: bytes) -> list[int]:
    """Where numbers stand that decide what is read next: sizes, lengths, offsets, depths."""
    if data[:2] == b"\xff\xd8":
        marks = [at for at in range(len(data) - 9) if data[at] == 0xFF and data[at + 1] >= 0xC0][:200]
        return [at + step for at in marks for step in (1, 2, 3, 4, 5, 6, 7, 8, 9)]
    if data[:4] == b"\x89PNG":
        return [*range(8, 33), *(at + step for at in _chunks(data) for step in (0, 2, 4, 8))]
    if data[:2] in (b"II", b"MM"):
        order = "<" if data[:2] == b"II" else ">"
        at = struct.unpack(f"{order}I", data[4:8])[0] if 43 not in data[2:4] else 16
        return [4, *range(at, min(len(data), at + 2 + 12 * 16))]
    return [*range(4, 60)]


def _chunks(data: bytes) -> Iterator[int]:
    at = 8
    while at + 12 <= len(data):
        yield at
        at += 12 + int.from_bytes(data[at : at + 4], "big")


def _with_checksums(data: bytes) -> bytes:
    """A PNG with its checksums made good again, so that the decoder gets as far as what is wrong."""
    if data[:4] != b"\x89PNG":
        return data
    mended = bytearray(data)
    for at in _chunks(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        mended[end : end + 4] = struct.pack(">I", zlib.crc32(data[at + 4 : end]))
    return bytes(mended[: len(data)])


WAYS: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "cut": cut,
    "flips": flips,
    "lies": lie,
    "zeros": zeros,
    "splice": splice,
    "repeat": repeat,
}


def hostile(seed: int, count: int) -> Iterator[Hostile]:
    """`count` files in an order that visits every kind and way in turn."""
    kinds, ways = sorted(sound()), list(WAYS)
    for number in range(count):
        dice = random.Random(f"{seed} {number}")
        kind, way = kinds[number % len(kinds)], ways[number // len(kinds) % len(ways)]
        yield Hostile(kind, way, WAYS[way](sound()[kind], dice))


def mutated(files: dict[str, bytes], seed: int, each: int) -> Iterator[Hostile]:
    """Files from elsewhere, as they are and `each` times changed."""
    for name, data in files.items():
        yield Hostile(name, "as it is", data)
        if len(data) < 3:
            continue
        for number in range(each):
            dice = random.Random(f"{seed} {name} {number}")
            way = list(WAYS)[number % len(WAYS)]
            yield Hostile(name, way, WAYS[way](data, dice))
