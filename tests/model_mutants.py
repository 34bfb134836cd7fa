"""Model files that are changed by chance, most of them under a good seal: the same seed gives the same files."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

import attacks
from kopal.backends.onnx_backend import classifier_model
from kopal.classifier import Classifier
from kopal.images import Geometry
from kopal.model_file import Card, _seal_entry
from kopal.nets.describe import output_shape, parameter_shapes
from kopal.nets.heads import KernelMachine, Neighbours, Trees
from kopal.nets.layers import (
    Activation,
    AvgPool,
    Concat,
    Conv,
    Flatten,
    GlobalAvgPool,
    Layer,
    Linear,
    LocalResponseNorm,
    MaxPool,
    Residual,
    SqueezeExcite,
    chain,
)
from kopal.nets.net import Net
from model_blowups import BLOWUPS
from model_mutations import STRUCTURE


@dataclass(frozen=True)
class Mutant:
    way: str
    data: bytes


MUTATIONS = (*STRUCTURE, *BLOWUPS)


@cache
def sound() -> tuple[bytes, ...]:
    """Files that are accepted as they are: a linear net, one with every kind of layer, and the heads that are none."""
    heads = (Neighbours(3, 20, 4, 0.1), Trees(3, 4, 3, 4), KernelMachine(3, 6, 0.1))
    flat = (chain(flat=Flatten(), head=head) for head in heads)
    nets = (Net("made", (6, 5, 3), body) for body in flat)
    return tuple(
        attacks.file_of(made) for made in (attacks.sound(), classifier(convolutional()), *map(classifier, nets))
    )


def convolutional() -> Net:
    inner = chain(conv=Conv(8, (3, 3), padding=(1, 1, 1, 1), groups=2), act=Activation("relu6"))
    gate = chain(mean=GlobalAvgPool(), conv=Conv(8, (1, 1)), act=Activation("sigmoid"))
    branches: tuple[tuple[str, Layer], ...] = (("one", Conv(4, (1, 1))), ("two", AvgPool((3, 3), (1, 1), (1, 1, 1, 1))))
    body = chain(
        stem=Conv(8, (3, 3), stride=(2, 2), padding=(1, 1, 1, 1)),
        norm=LocalResponseNorm(3),
        block=Residual(inner),
        squeeze=SqueezeExcite(gate),
        pool=MaxPool((2, 2), (1, 1), ceil=True),
        both=Concat(branches),
        mean=GlobalAvgPool(),
        flat=Flatten(),
        head=Linear(3),
    )
    return Net("made", (12, 10, 3), body)


def classifier(net: Net) -> Classifier:
    """A net with weights by chance, as a file."""
    rng = np.random.default_rng(0)
    weights = {
        name: rng.integers(0, 90, shape) if name.endswith(".features") else rng.normal(size=shape).astype(np.float32)
        for name, shape in parameter_shapes(net).items()
    }
    (classes,) = output_shape(net)
    card = Card(net.name, attacks.CLASSES, Geometry(*net.image), 1.5, provenance={"made": "by a test"})
    return Classifier.build(classifier_model(net, weights, 1.5, classes), card)


def surgery(data: bytes, dice: random.Random) -> bytes:
    """Bytes behind a good seal: flipped, cut, doubled, or no longer UTF-8."""
    body = bytearray(data[: -len(_seal_entry(b""))])
    match dice.randrange(5):
        case 0:
            for _ in range(dice.choice([1, 2, 8])):
                body[dice.randrange(len(body))] ^= 1 << dice.randrange(8)
        case 1:
            del body[dice.randrange(len(body)) :]
        case 2:
            at = dice.randrange(len(body))
            body[at:at] = body[at : at + dice.choice([1, 10, 100])] * dice.choice([1, 3, 1000])
        case 3:
            body += deep(dice.choice([30, 1000, 20_000]))
        case _:
            at = body.find(dice.choice([b"head", b"scores", b"pixels", b"Gemm", b"kopal"]))
            body[max(at, 0) : max(at, 0) + 2] = b"\xff\xfe"
    return bytes(body) + _seal_entry(bytes(body))


def deep(levels: int) -> bytes:
    """A field of a model: its graph has a node that has a graph that has a node …, which no parser should follow."""
    inner = b""
    for _ in range(levels):
        for field in (6, 5, 1):  # a node's attribute, a graph in it, a node in that
            inner = bytes([field << 3 | 2]) + _length(len(inner)) + inner
    return bytes([7 << 3 | 2]) + _length(len(inner)) + inner


def _length(number: int) -> bytes:
    low, high = number & 127, number >> 7
    return bytes([low | 128]) + _length(high) if high else bytes([low])


def broken_seal(data: bytes, dice: random.Random) -> bytes:
    damaged = bytearray(data)
    damaged[dice.randrange(len(damaged))] ^= 1 << dice.randrange(8)
    return bytes(damaged[: dice.randrange(len(damaged))] if dice.random() < 0.5 else damaged)


def mutants(seed: int, count: int) -> Iterator[Mutant]:
    """`count` files: three quarters changed in one to three structured ways, the others in their bytes."""
    for index in range(count):
        dice = random.Random(f"{seed} {index}")
        data = sound()[index % len(sound())]
        if index % 8 == 7:
            yield Mutant("broken seal", broken_seal(data, dice))
            continue
        if index % 8 == 6:
            yield Mutant("surgery", surgery(data, dice))
            continue
        model = attacks.parsed(data)
        chosen = [MUTATIONS[index // 8 % len(MUTATIONS)], *dice.sample(MUTATIONS, dice.choice([0, 0, 1, 2]))]
        done = []
        for mutation in chosen:
            try:
                mutation(model, dice)
                done.append(mutation.__name__)
            except (IndexError, ValueError, TypeError):
                pass  # an earlier change left nothing to change
        yield Mutant("+".join(done), attacks.sealed(model))
