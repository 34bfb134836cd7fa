"""Several processes that train one net, on one machine or on many: PyTorch's own DistributedDataParallel.

Each process takes its share of every batch and of the validation photos, gradients are averaged, and all of them come
to the same decisions from the same numbers. `torchrun`, or `kopal train --nproc`, starts them and says by environment
variables who is who.
"""

from __future__ import annotations

import gc
import hashlib
import os
import platform
from datetime import timedelta
from typing import cast, final

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from kopal.arrays import Scores
from kopal.errors import TogetherError
from kopal.fit.world import World

PATIENCE, MEETING = timedelta(minutes=2), timedelta(minutes=30)
"""How long a process waits for the others: while they train, and before, when another machine may still read photos."""


@final
class Processes:
    """All processes of the group that this one has joined."""

    def __init__(self, device: torch.device) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self.here = int(os.environ.get("LOCAL_WORLD_SIZE", self.size))
        self._device = device
        self._meeting = cast("dist.ProcessGroup", dist.new_group(timeout=MEETING))
        self.launch = self._launchers()

    def sums(self, *values: float) -> tuple[float, ...]:
        """Each value, added up over the processes."""
        total = torch.tensor(values, dtype=torch.float64, device=self._device)
        dist.all_reduce(total)
        return tuple(total.tolist())

    def interleaved(self, scores: Scores) -> Scores:
        """Rows rank, rank + size, … of each process → all rows in order."""
        (count,) = self.sums(len(scores))
        longest = -(-int(count) // self.size)
        own = torch.zeros((longest, scores.shape[1]), device=self._device)
        own[: len(scores)] = torch.from_numpy(scores)
        pieces = [torch.empty_like(own) for _ in range(self.size)]
        dist.all_gather(pieces, own)
        found: Scores = torch.stack(pieces, dim=1).flatten(0, 1)[: int(count)].cpu().numpy()
        return found

    def from_first(self, data: bytes) -> bytes:
        """The bytes that process 0 has: no objects, so that nothing is unpickled. All meet here, with patience."""
        size = torch.tensor(len(data), device=self._device)
        dist.broadcast(size, 0, group=self._meeting)
        held: Tensor = torch.empty(int(size), dtype=torch.uint8, device=self._device)
        if not self.rank and data:
            held.copy_(torch.from_numpy(np.frombuffer(data, np.uint8).copy()))
        dist.broadcast(held, 0, group=self._meeting)
        return held.cpu().numpy().tobytes()

    def _launchers(self) -> str:
        """The launchers of all machines: after a failure some machine may be gone, and the first process elsewhere."""
        name = f"{platform.node()} {os.getppid()} {os.environ.get('TORCHELASTIC_RUN_ID', '')}"
        own = torch.tensor(int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big"), device=self._device)
        all_own = [torch.empty_like(own) for _ in range(self.size)]
        dist.all_gather(all_own, own)
        return " ".join(sorted({f"{int(number):x}" for number in all_own}))


def joined(device: str) -> World:
    """A member of the group that the environment names. Raises `TogetherError` where the others do not come."""
    on_cuda = device in ("auto", "cuda") and torch.cuda.is_available()
    own = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if on_cuda else torch.device("cpu")
    if on_cuda:
        torch.cuda.set_device(own)
    try:
        dist.init_process_group("nccl" if on_cuda else "gloo", timeout=PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise TogetherError(
            f"the processes of this training did not find each other: {str(error).splitlines()[0]}",
            "all of them, started by torchrun, within two minutes",
            "start them with torchrun, or with kopal train --nproc",
        ) from error
    return Processes(own)


def lost(error: RuntimeError) -> bool:
    """Whether an error of PyTorch's says that another process is gone: there is no class of its own for that."""
    words = str(error)
    return isinstance(error, dist.DistError) or any(sign in words for sign in ("gloo", "Connection closed", "NCCL"))


def left() -> None:
    """Leave the group, so that the others are not kept waiting for this process."""
    if dist.is_initialized():
        # What trained holds the group, in circles: its threads must end before Python does, or they abort it.
        gc.collect()
        dist.destroy_process_group()
