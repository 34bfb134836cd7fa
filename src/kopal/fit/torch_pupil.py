"""A pupil of PyTorch: which device, which numbers, which order in memory, and a learner that uses them."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kopal.errors import UsageError
from kopal.fit.freedom import Freedom
from kopal.fit.learner import Learner
from kopal.fit.speed import Choice, choose, remembered
from kopal.fit.stepping import Stepping
from kopal.fit.torch_learner import TorchLearner
from kopal.fit.world import ALONE, World
from kopal.heap import keep_heap
from kopal.nets.describe import describe
from kopal.nets.net import Net
from kopal.parallel import cores
from kopal.recipes import Recipe

Weights = Mapping[str, NDArray[Any]]

TOO_LITTLE_TO_SHARE = 2e8
"""Multiply-adds of a batch below which one thread computes. Several gain a third on a quiet machine, and on one that
has other work they wait for each other at every layer: 157 images/s were measured in place of 17 765."""


def ready(
    recipe: Recipe,
    net: Net,
    weights: Weights,
    how: Stepping,
    world: World,
    speeds: Path | None,
    kept: Mapping[str, Any] | None = None,
    free: Freedom | None = None,
) -> tuple[Callable[[], Learner], Choice]:
    """What makes a learner of that net, each time the same, and what will compute: as `kept`, if this machine can."""
    keep_heap()
    work = sum(row.multiply_adds for row in describe(net)) * recipe.batch
    torch.set_num_threads(1 if work < TOO_LITTLE_TO_SHARE else max(1, cores() // world.here))

    def learner(choice: Choice, processes: World) -> TorchLearner:
        return TorchLearner(net, weights, how, recipe.seed, choice, processes, free)

    def a_step(choice: Choice) -> Callable[[], object]:
        own, pixels = learner(choice, ALONE), np.zeros((recipe.batch, *net.image), np.uint8)
        return lambda: own.learn(pixels, np.zeros(recipe.batch, np.int64), 1e-4, recipe.batch)

    possible = candidates(recipe.device, recipe.amp, small=work < TOO_LITTLE_TO_SHARE)
    machine = f"{cores()} x {platform.machine()}, PyTorch {torch.__version__}"
    key = f"{net.name} {net.image}, {recipe.optimiser} on batches of {recipe.batch}, amp {recipe.amp}, {machine}"
    if free:
        key += f", {len(free.factors)} arrays learn"
    choice = Choice(**kept) if kept else possible[0]
    if choice not in possible or (not kept and len(possible) > 1 and not world.rank):
        choice = remembered(speeds, key, lambda: choose(possible, a_step))
    # The first process measures: two that chose by their own clocks might compute different numbers.
    choice = Choice(**json.loads(world.from_first(json.dumps(asdict(choice)).encode())))
    return lambda: learner(choice, world), choice


def candidates(device: str, amp: str, small: bool) -> list[Choice]:
    """The ways of computing that are worth a try: channels last is best for all but small nets.

    Raises `UsageError` for a device that is not there.
    """
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device == "auto":
        device = next(name for name in ("cuda", "mps", "cpu") if there[name])
    if not there[device]:
        raise UsageError(
            f"no device {device} on this machine",
            f"one of: {', '.join(name for name, is_there in there.items() if is_there)}",
            "say --device auto",
        )
    if device != "cpu":
        return [Choice(device, amp == "auto" and device == "cuda" and torch.cuda.is_bf16_supported())]
    narrow = [False, True] if amp == "auto" and _has_bfloat16() else [False]
    return [Choice(device, bfloat16, last) for bfloat16 in narrow for last in ((True, False) if small else (True,))]


def _has_bfloat16() -> bool:
    """Whether PyTorch computes convolutions in bfloat16 on this processor; how fast, is for the clock to say."""
    ask = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return ask is None or bool(ask())
