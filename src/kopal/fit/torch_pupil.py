"""A pupil of PyTorch: which device, which numbers, which order in memory, and a learner that uses them."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kopal.arrays import keep_heap
from kopal.errors import UsageError
from kopal.fit.learner import Learner
from kopal.fit.speed import Choice, choose, remembered
from kopal.fit.stepping import Stepping
from kopal.fit.torch_learner import TorchLearner
from kopal.fit.world import ALONE, World
from kopal.nets.net import Net
from kopal.parallel import cores
from kopal.recipes import Recipe

Weights = Mapping[str, NDArray[Any]]


def ready(
    recipe: Recipe, net: Net, weights: Weights, how: Stepping, world: World, speeds: Path | None
) -> tuple[Callable[[], Learner], str]:
    """What makes a learner of that net, each time the same, and in words what will compute."""
    keep_heap()
    use_threads(world)

    def learner(choice: Choice, processes: World) -> TorchLearner:
        return TorchLearner(net, weights, how, recipe.seed, choice, processes)

    def a_step(choice: Choice) -> Callable[[], object]:
        own, pixels = learner(choice, ALONE), np.zeros((recipe.batch, *net.image), np.uint8)
        return lambda: own.learn(pixels, np.zeros(recipe.batch, np.int64), 1e-4, recipe.batch)

    possible = candidates(recipe.device, recipe.amp)
    machine = f"{cores()} x {platform.machine()}, PyTorch {torch.__version__}"
    key = f"{net.name} {net.image}, {recipe.optimiser} on batches of {recipe.batch}, {machine}"
    choice = possible[0] if len(possible) == 1 else remembered(speeds, key, lambda: choose(possible, a_step))
    return lambda: learner(choice, world), f"PyTorch on {choice.in_words()}"


def use_threads(world: World) -> None:
    """Each process on this machine takes its share of the cores."""
    torch.set_num_threads(max(1, cores() // world.size))


def candidates(device: str, amp: str) -> list[Choice]:
    """The ways of computing that may be tried. Raises `UsageError` for a device that is not there."""
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
    return [Choice(device, bfloat16, last) for bfloat16 in narrow for last in (True, False)]


def _has_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 itself; elsewhere PyTorch computes in float32 and rounds."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_device_supported())  # noqa: SLF001 - PyTorch has no other word for it
