"""Claim: with kept activations an epoch of fine-tuning is 3x faster than plain PyTorch, and minutes buy accuracy.

    python benchmarks/tune.py FOLDER epoch [--tune last:4] [--photos 512] [--batch 32] [--repeats 3]
    python benchmarks/tune.py FOLDER accuracy [--budgets 1m,3m,12m] [--tune all] [--seed 0]

epoch: EfficientNet-Lite0 on photos of FOLDER. Ours learns from what the frozen stages made of each photo and of its
mirror image, computed as fit/speed.py finds best here; plain PyTorch runs the same net in float32, the same stages
learning, the whole forward each epoch, same photos in memory, same batch and optimiser, in a process of its own
("plain"), since kopal changes how its process keeps memory. In turn; the seconds that computing the activations takes
once are printed beside. accuracy: `kopal.train` with each budget, the validation accuracy of the probe and of what was
kept against the minutes of the whole run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from torch import nn

from header import print_header
from kopal.backends.torch_backend import TorchNet, table
from kopal.datasets import open_dataset
from kopal.features import Backbone
from kopal.fit.backbones import embedded_backbone
from kopal.fit.freedom import depth, freedom
from kopal.fit.ground import Ground, ground
from kopal.fit.learner import Learner, Photographs
from kopal.fit.stepping import stepping
from kopal.fit.torch_pupil import ready
from kopal.fit.world import ALONE
from kopal.log import silent
from kopal.nets.layers import Linear
from kopal.nets.net import Net
from kopal.nets.run import run
from kopal.parallel import cores
from kopal.pipeline import train
from kopal.pixels import read_pixels
from kopal.recipes import Recipe, recipe


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("what", choices=["epoch", "accuracy", "plain"])
    parser.add_argument("--tune", default="")
    parser.add_argument("--photos", type=int, default=512)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--budgets", default="1m,3m,12m")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.what == "plain":
        print(plain_epoch(options))
        return
    print_header(__doc__.splitlines()[0])
    if options.what == "epoch":
        epoch(options)
    else:
        accuracy(options)


def epoch(options: argparse.Namespace) -> None:
    made, backbone, learning, classes = laid_out(options)
    net, weights = with_head(backbone, classes)
    count = depth(made.tune, net)
    started = perf_counter()
    on = ground(made, net, weights, count, learning, learning, classes, backbone.geometry, silent)
    once = (perf_counter() - started) * 2 / 3  # the photos as validation, without mirror images, are a third of it
    make, choice = ready(made, on.net, weights, stepping(made), ALONE, None, None, freedom(net, count))
    learner = make()
    times: dict[str, list[float]] = {"kopal": [], "plain": []}
    for _ in range(options.repeats):
        times["kopal"].append(our_epoch(learner, on, made))
        plain = [sys.executable, *sys.argv[:2], "plain", *sys.argv[3:]]
        times["plain"].append(float(subprocess.run(plain, check=True, capture_output=True, text=True).stdout))
    print(f"{len(learning)} photos, batch {made.batch}, {made.tune}: {count} stages learn, n = {options.repeats}")
    print(f"  kopal: {choice.in_words()}; activations once {once:.1f} s")
    for side, found in times.items():
        print(f"  {side} {statistics.median(found):.2f} s an epoch ({min(found):.2f} to {max(found):.2f})")
    ratios = [plain / ours for plain, ours in zip(times["plain"], times["kopal"], strict=True)]
    print(f"  plain / kopal {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


def laid_out(options: argparse.Namespace) -> tuple[Recipe, Backbone, Photographs, int]:
    """The recipe, the backbone, the photos to learn from, and how many classes they have."""
    made = recipe(tune=options.tune or "last:4", batch=options.batch, device="cpu")
    backbone = embedded_backbone(made.net)
    photos, _ = read_pixels(open_dataset(options.folder), backbone.geometry)
    chosen = np.random.default_rng(0).permutation(len(photos))[: options.photos]
    return made, backbone, Photographs(photos.pixels[chosen], photos.labels[chosen]), len(photos.classes)


def with_head(backbone: Backbone, classes: int) -> tuple[Net, dict[str, np.ndarray]]:
    """The net and its weights, the head at zero."""
    head = {"head.weight": np.zeros((classes, backbone.dimension), np.float32), "head.bias": np.zeros(classes)}
    return backbone.net.then("head", Linear(classes)), {**backbone.weights, **head}


def our_epoch(learner: Learner, on: Ground, made: Recipe) -> float:
    started = perf_counter()
    for mine in batches(len(on.learning), made.batch):
        pixels, targets = on.prepare(on.learning.take(mine), on.learning.labels[mine], mine, 1)
        learner.learn(pixels, targets, made.rate)
    return perf_counter() - started


class PlainNet(TorchNet):
    """The net as torch.nn.functional runs it, contiguous, float32, each norm by itself."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return run(self.net.body, self.tensors(), pixels.permute(0, 3, 1, 2).float().contiguous(), table(training=True))


def plain_epoch(options: argparse.Namespace) -> float:
    """Seconds of an epoch after a warm-up on two batches."""
    made, backbone, learning, classes = laid_out(options)
    net, weights = with_head(backbone, classes)
    learn = freedom(net, depth(made.tune, net)).factors
    torch.set_num_threads(cores())
    module = PlainNet(net, weights, channels_last=False).train()
    for name, tensor in module.tensors().items():
        if isinstance(tensor, nn.Parameter):
            tensor.requires_grad_(name in learn)
    optimiser = torch.optim.AdamW([one for one in module.parameters() if one.requires_grad], lr=made.rate)
    parts = batches(len(learning), made.batch)
    for part in (parts[:2], parts):
        started = perf_counter()
        for mine in part:
            pixels, labels = torch.from_numpy(learning.take(mine)), torch.from_numpy(learning.labels[mine])
            loss = nn.functional.cross_entropy(module(pixels), labels)
            loss.backward()
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            loss.item()
    return perf_counter() - started


def batches(count: int, size: int) -> list[np.ndarray]:
    order = np.random.default_rng(1).permutation(count)
    return [order[at : at + size] for at in range(0, count, size)]


def accuracy(options: argparse.Namespace) -> None:
    made = replace(recipe(tune=options.tune or "all", budget="1m"), seed=options.seed)
    print("  budget   minutes  stages  probe loss, accuracy   kept: epoch, loss, accuracy   test accuracy")
    for said in options.budgets.split(","):
        with tempfile.TemporaryDirectory() as folder:
            trained = train(options.folder, Path(folder) / "run", replace(made, budget=recipe(budget=said).budget))
            report = json.loads((trained.folder / "report.json").read_text(encoding="utf-8"))
        kept = report["kept"]
        print(
            f"  {said:>6}  {trained.seconds / 60:8.2f}  {len(kept['stages']):6}  {kept['probe_loss']:.4f}, "
            f"{kept['probe_accuracy']:.4f}        {kept['epoch']:5}, {kept['loss']:.4f}, {kept['accuracy']:.4f}"
            f"        {report['accuracy']:.4f}"
        )


if __name__ == "__main__":
    main()
