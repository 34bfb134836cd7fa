"""Claim: our training loop costs under 3 % over the bare steps, and an epoch is faster than a plain PyTorch loop's.

    python benchmarks/training.py overhead [--repeats 3]
    python benchmarks/training.py epoch --net resnet18 --side 32 [--photos 50000] [--batch 128] [--repeats 3]
    python benchmarks/training.py epoch --net efficientnet-b0 --side 96 --photos 5000
    python benchmarks/training.py garment [--photos 60000] [--repeats 3]

overhead: a step of `fit/loop.py` on uint8 photos in memory, no augmentation, against forward, backward and step of the
same net and optimiser; in one process, in turn. epoch: ours, computed as `fit/speed.py` finds best here, against
torchvision's net in float32, torch.optim.SGD, a Dataset that turns each of the same photos into a PIL image, ToTensor,
Normalize, and a DataLoader with two workers. garment: ours at batch 64 against the lecture's loop, batch 4, on
FashionMNIST where this machine has it. epoch and garment run each side in a process of its own, in turn; seconds are of
the training alone, after a warm-up on two batches. Memory is of a second epoch, looked at ten times a second: the
process, and with its workers, each page that several share counted in equal parts (Linux's PSS).
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from header import print_header
from kopal.backends.torch_backend import TorchNet
from kopal.datasets.dataset import Dataset
from kopal.datasets.named import ArraySource, fashion_mnist, fashion_mnist_folder
from kopal.fit.engine import start
from kopal.fit.learner import Learner, Photographs
from kopal.fit.loop import Lesson, Place, steps
from kopal.fit.normalise import Normalisation
from kopal.fit.pupil import pupil
from kopal.fit.torch_learner import TorchLearner
from kopal.fit.world import ALONE
from kopal.nets.registry import build
from kopal.recipes import recipe
from kopal.stopping import MaxSteps

RATE, MOMENTUM = 0.001, 0.9
OVERHEAD = {"garment": ("garment", 28, 64, 60), "resnet18": ("resnet18", 32, 128, 4)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["overhead", "epoch", "garment"])
    parser.add_argument("--net", default="resnet18")
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--photos", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--run", choices=["kopal", "torch"], help="measure one side, print JSON")
    options = parser.parse_args()
    if options.run:
        print(json.dumps(SIDES[options.run](*work(options))))
        return
    print_header(__doc__.splitlines()[0])
    print(f"PyTorch {torch.__version__}, n = {options.repeats}, medians (least to most)")
    if options.what == "overhead":
        overhead(options.repeats)
    else:
        sides(options.repeats)


def overhead(repeats: int) -> None:
    for title, (name, side, batch, count) in OVERHEAD.items():
        net = build(name, 10, (side, side, 1 if name == "garment" else 3))
        photographs = made(count * batch, net.image)
        weights = start(net, np.random.default_rng(0), "he")
        # The same number of threads that the library would take.
        pupil(recipe(net=name, engine="torch", device="cpu", batch=batch, amp="off"), net.image, 10, SAME, ALONE, None)
        learner, module = TorchLearner(net, weights), TorchNet(net, weights).train()
        optimiser = torch.optim.SGD(module.parameters(), RATE, MOMENTUM, fused=True)
        batches = [
            (
                torch.from_numpy(photographs.pixels[at : at + batch]),
                torch.from_numpy(photographs.labels[at : at + batch]),
            )
            for at in range(0, len(photographs), batch)
        ]

        def bare(batches: Any = batches, module: Any = module, optimiser: Any = optimiser) -> float:
            started = perf_counter()
            for pixels, labels in batches:
                loss = nn.functional.cross_entropy(module(pixels), labels)
                loss.backward()
                optimiser.step()
                optimiser.zero_grad(set_to_none=True)
                loss.item()
            return perf_counter() - started

        def ours(learner: Learner = learner, photographs: Photographs = photographs, batch: int = batch) -> float:
            return epoch_seconds(learner, photographs, batch)

        times = in_turn({"loop": ours, "bare": bare}, repeats)
        print(f"\n{title}, {side} x {side}, batch {batch}, {count} steps a repeat, {torch.get_num_threads()} threads")
        for side_of, found in times.items():
            print(f"  {side_of:5} {spread([1000 * seconds / count for seconds in found])} ms a step")
        ratios = [loop / least for loop, least in zip(times["loop"], times["bare"], strict=True)]
        print(f"  loop / bare {spread(ratios, 3)}")


def sides(repeats: int) -> None:
    found: dict[str, list[dict[str, Any]]] = {"kopal": [], "torch": []}
    for _ in range(repeats):
        for side, results in found.items():
            command = [sys.executable, __file__, *sys.argv[1:], "--run", side]
            out = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
            results.append(json.loads(out))
    print(f"\n{found['kopal'][0]['photos']} photos, {found['kopal'][0]['of']}")
    for side, results in found.items():
        seconds, rates = ([result[key] for result in results] for key in ("seconds", "rate"))
        alone, together = (max(result["memory"][place] for result in results) for place in (0, 1))
        print(f"  {side} ({'; or '.join(sorted({result['how'] for result in results}))})")
        print(f"    {spread(seconds)} s, {spread(rates, 0)} images/s, {alone:.0f} MB, {together:.0f} MB with workers")
    ratios = [ours["rate"] / theirs["rate"] for ours, theirs in zip(found["kopal"], found["torch"], strict=True)]
    print(f"  images/s of kopal over torch {spread(ratios)}")


def work(options: argparse.Namespace) -> tuple[str, Photographs, str, int, int]:
    """Net, photos, what they are, our batch, their batch."""
    if options.what == "epoch":
        photographs = made(options.photos or 50_000, (options.side, options.side, 3))
        return options.net, photographs, "random numbers", options.batch, options.batch
    if fashion_mnist_folder() is None:
        return "garment", made(options.photos or 60_000, (28, 28, 1)), "random numbers", 64, 4
    photographs = in_memory(fashion_mnist())
    count = options.photos or 60_000
    return "garment", Photographs(photographs.pixels[:count], photographs.labels[:count]), "FashionMNIST", 64, 4


def made(count: int, image: tuple[int, int, int]) -> Photographs:
    rng = np.random.default_rng(0)
    return Photographs(rng.integers(0, 256, (count, *image), dtype=np.uint8), rng.integers(0, 10, count))


def in_memory(dataset: Dataset) -> Photographs:
    """The training photos of a named set, as (N, H, W, 1)."""
    assert isinstance(dataset.source, ArraySource)
    train = np.array(dataset.parts) == "train"
    return Photographs(dataset.source.pixels[train][..., None], np.array(dataset.labels, np.int64)[train])


def with_kopal(name: str, photographs: Photographs, of: str, batch: int, their_batch: int) -> dict[str, Any]:
    own = recipe(net=name, engine="torch", device="cpu", batch=batch, rate=RATE, momentum=MOMENTUM)
    ready = pupil(own, photographs.pixels.shape[1:], 10, SAME, ALONE, None)
    epoch_seconds(ready.make(), first(photographs, 2 * batch), batch)
    return measured(
        lambda: epoch_seconds(ready.make(), photographs, batch), photographs, of, f"{ready.how}, batch {batch}"
    )


def with_torch(name: str, photographs: Photographs, of: str, our_batch: int, batch: int) -> dict[str, Any]:
    from torchvision import transforms

    channels = photographs.pixels.shape[3]
    module = their_net(name).train()
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,) * channels, (0.5,) * channels)])
    optimiser = torch.optim.SGD(module.parameters(), lr=RATE, momentum=MOMENTUM)
    criterion = nn.CrossEntropyLoss()

    def epoch(some: Photographs) -> float:
        loader = torch.utils.data.DataLoader(AsPictures(some, transform), batch, shuffle=True, num_workers=2)
        started = perf_counter()
        for images, labels in loader:
            optimiser.zero_grad()
            loss = criterion(module(images), labels)
            loss.backward()
            optimiser.step()
            loss.item()
        return perf_counter() - started

    epoch(first(photographs, 2 * batch))
    how = (
        f"{type(module).__name__}, float32, DataLoader with 2 workers, batch {batch}, {torch.get_num_threads()} threads"
    )
    return measured(lambda: epoch(photographs), photographs, of, how)


class AsPictures(torch.utils.data.Dataset):
    """Photos one by one through PIL, as torchvision's own data sets give them."""

    def __init__(self, photographs: Photographs, transform: Callable[[Image.Image], torch.Tensor]) -> None:
        self.photographs, self.transform = photographs, transform

    def __len__(self) -> int:
        return len(self.photographs)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        pixels = self.photographs.pixels[index]
        picture = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
        return self.transform(picture), int(self.photographs.labels[index])


def their_net(name: str) -> nn.Module:
    if name == "garment":
        return nn.Sequential(
            *(nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Linear(256, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)),
        )
    from torchvision import models

    return models.get_model(name.replace("-", "_"), weights=None, num_classes=10)


def epoch_seconds(learner: Learner, photographs: Photographs, batch: int) -> float:
    """One epoch of the training loop, up to the validation."""
    lesson = Lesson(batch, lambda done, losses: RATE, MaxSteps(1))
    started = perf_counter()
    for _ in whole_epoch(steps(learner, photographs, first(photographs, 2), lesson), len(photographs)):
        pass
    return perf_counter() - started


def whole_epoch(places: Iterator[Place], photos: int) -> Iterator[Place]:
    for place in places:
        yield place
        # A last batch of one is left out.
        if place.photos >= photos - 1:
            return


def measured(epoch: Callable[[], float], photographs: Photographs, of: str, how: str) -> dict[str, Any]:
    seconds = epoch()
    alone, together, over = [0.0], [0.0], threading.Event()

    def look() -> None:
        while not over.wait(0.1):
            own, *workers = map(megabytes, processes(os.getpid()))
            alone.append(own)
            together.append(own + sum(workers))

    watcher = threading.Thread(target=look)
    watcher.start()
    epoch()
    over.set()
    watcher.join()
    count, memory = len(photographs), (max(alone), max(together))
    return {"seconds": seconds, "rate": count / seconds, "memory": memory, "photos": count, "of": of, "how": how}


def processes(parent: int) -> Iterator[int]:
    """A process and all that it started."""
    yield parent
    for children in Path(f"/proc/{parent}/task").glob("*/children"):
        for child in children.read_text().split():
            yield from processes(int(child))


def megabytes(process: int) -> float:
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has ended
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def first(photographs: Photographs, count: int) -> Photographs:
    return Photographs(photographs.pixels[:count], photographs.labels[:count])


def in_turn(works: dict[str, Callable[[], float]], repeats: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in works}
    # The first turn warms up.
    for turn, (name, run) in itertools.product(range(repeats + 1), works.items()):
        seconds = run()
        if turn:
            times[name].append(seconds)
    return times


def spread(values: list[float], digits: int = 2) -> str:
    low, high = min(values), max(values)
    return f"{statistics.median(values):,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})"


SAME = Normalisation(np.array([127.5], np.float32), np.array([127.5], np.float32))
SIDES = {"kopal": with_kopal, "torch": with_torch}

if __name__ == "__main__":
    main()
