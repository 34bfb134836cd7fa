"""Claim: our own autograd engine trains small nets at the speed of PyTorch on the CPU, in no more memory.

    python benchmarks/engine.py [--steps 60]

One training step (forward, backward, SGD with momentum) at batch 128, float32, on FashionMNIST's shapes: the lecture's
GarmentClassifier, an MLP 784-256-128-10. Each library runs in a process of its own, twice in turn, on all cores; the
best and the median of the steps count, since other jobs disturb. Memory is the peak of the process over its state
after a warm-up on two images. PyTorch is compared where it is installed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter

import numpy as np

from header import print_header

BATCH = 128


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--run", nargs=2)
    options = parser.parse_args()
    if options.run:
        print(json.dumps(measure(*options.run, options.steps)))
        return
    print_header(__doc__.splitlines()[0])
    libraries = ["kopal", "torch"] if find_spec("torch") else ["kopal"]
    for net in ("garment", "mlp"):
        found: dict[str, list[dict[str, float]]] = {name: [] for name in libraries}
        for _ in range(2):
            for name in libraries:
                command = [sys.executable, __file__, "--steps", str(options.steps), "--run", name, net]
                out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
                found[name].append(json.loads(out))
        best = {name: min(run["best"] for run in runs) for name, runs in found.items()}
        median = {name: min(run["median"] for run in runs) for name, runs in found.items()}
        memory = {name: min(run["memory"] for run in runs) for name, runs in found.items()}
        for name in libraries:
            print(
                f"  {net:8} {name:6} best {best[name] * 1e3:5.2f} ms, median {median[name] * 1e3:5.2f} ms, "
                f"{BATCH / median[name]:8,.0f} images/s, {memory[name]:5.0f} MB"
            )
        if "torch" in libraries:
            print(
                f"  {net:8} throughput kopal / torch: best {best['torch'] / best['kopal']:.2f}, "
                f"median {median['torch'] / median['kopal']:.2f}"
            )


def measure(library: str, net: str, steps: int) -> dict[str, float]:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (BATCH, 28, 28, 1), dtype=np.uint8)
    labels = rng.integers(0, 10, BATCH)
    step = (kopal_step if library == "kopal" else torch_step)(net)
    step(pixels[:2], labels[:2])
    before = peak()
    times = []
    for _ in range(steps):
        started = perf_counter()
        step(pixels, labels)
        times.append(perf_counter() - started)
    return {"best": min(times), "median": float(np.median(times)), "memory": (peak() - before) / 1024}


def peak() -> float:
    """The most memory this process has had, in kB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return float(line.split()[1])
    return 0.0


def kopal_step(name: str) -> object:
    from kopal.fit.engine import EngineLearner, start
    from kopal.nets.registry import build

    net = build(name)
    learner = EngineLearner(net, start(net, np.random.default_rng(0), "he"))
    return lambda pixels, labels: learner.learn(pixels, labels, 0.01)


def torch_step(name: str) -> object:
    import torch
    from torch import nn

    if name == "garment":
        layers = [nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2)]
        layers += [nn.Flatten(), nn.Linear(256, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)]
    else:
        layers = [nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10)]
    net = nn.Sequential(*layers)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)

    def step(pixels: np.ndarray, labels: np.ndarray) -> float:
        images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(net(images), torch.from_numpy(labels))
        loss.backward()
        optimiser.step()
        return loss.item()

    return step


if __name__ == "__main__":
    main()
