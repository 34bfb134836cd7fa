"""A net that learns in PyTorch: forward, loss, backward, step, on whatever device and in as many processes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, final

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F  # noqa: N812 - everybody's name for it
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from kopal.arrays import Pixels, Scores
from kopal.backends.torch_backend import TorchNet, forward
from kopal.errors import UsageError
from kopal.fit.freedom import Freedom
from kopal.fit.learner import Targets
from kopal.fit.speed import Choice
from kopal.fit.stepping import Stepping
from kopal.fit.world import ALONE, World
from kopal.nets.describe import describe
from kopal.nets.layers import Dropout, TorchModule
from kopal.nets.net import Net

Array = NDArray[Any]


@final
class TorchLearner:
    """A net under way in PyTorch. What a step does depends on the state and on `seed`, never on a hidden generator.

    `free` says what of it learns, and how fast; without it everything does.
    """

    def __init__(
        self,
        net: Net,
        weights: Mapping[str, Array],
        stepping: Stepping = Stepping(),  # noqa: B008 - frozen
        seed: int = 0,
        choice: Choice = Choice(),  # noqa: B008 - frozen
        world: World = ALONE,
        free: Freedom | None = None,
    ) -> None:
        self._stepping, self._seed, self._choice, self._world = stepping, seed, choice, world
        self._device = torch.device(choice.device)
        self._drops = any(isinstance(row.layer, (Dropout, TorchModule)) for row in describe(net))
        self._net = TorchNet(net, weights, choice.channels_last).to(self._device).train()
        self._tensors = self._net.tensors()
        self._free = free
        self._model: torch.nn.Module = self._net
        if world.size > 1:
            self._model = DistributedDataParallel(self._net, find_unused_parameters=_has_idle_weights(net, weights))
        self._optimiser = _optimiser(self._tensors, stepping, self._device, free)
        self._average = {name: tensor.detach().clone() for name, tensor in self._tensors.items()}
        if not stepping.average:
            self._average.clear()
        self._steps = 0
        self._admit()

    def learn(self, pixels: Pixels, targets: Targets, rate: float, of: int = 0) -> float:
        """One step on pixels (n, H, W, C) and labels (n,) or distributions (n, K); see `Learner`."""
        for group in self._optimiser.param_groups:
            group["lr"] = rate * group["factor"]
        of = of or len(pixels)
        with _room_for(pixels, self._device):
            with self._draws(), self._autocast():
                scores = self._model(self._sent(pixels))
            loss = F.cross_entropy(
                scores, self._sent(targets), reduction="sum", label_smoothing=self._stepping.smoothing
            )
            # Processes average their gradients: each scales its share of the mean up before.
            torch.autograd.backward(loss, torch.full_like(loss, self._world.size / of))
        if self._stepping.clip:
            torch.nn.utils.clip_grad_norm_(self._net.parameters(), self._stepping.clip)
        self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)
        if self._world.size > 1:
            self._agree()
        self._steps += 1
        self._admit()
        if self._average:
            self._follow(1 - self._stepping.kept(self._steps))
        return loss.item() / of

    def scores(self, pixels: Pixels) -> Scores:
        """Pixels (N, H, W, C) → scores (N, K), of the running average where there is one."""
        with _room_for(pixels, self._device), torch.inference_mode(), self._autocast():
            scores = forward(self._net.net, self._answering(), self._sent(pixels), self._choice.channels_last)
        found: Scores = scores.cpu().numpy()
        return found

    def weights(self) -> dict[str, Array]:
        """A copy of all weights, of the running average where there is one."""
        return {name: _array(tensor) for name, tensor in self._answering().items()}

    def state(self) -> dict[str, Array]:
        """Weights, the optimiser's memory and the running average, by name."""
        state = {f"weights.{name}": _array(tensor) for name, tensor in self._tensors.items()}
        state |= {f"average.{name}": _array(tensor) for name, tensor in self._average.items()}
        for name, tensor in self._tensors.items():
            for key, memory in self._optimiser.state.get(tensor, {}).items():
                if memory is not None:
                    state[f"optimiser.{key}.{name}"] = _array(memory)
        return state | {"steps": np.array(self._steps)}

    def restore(self, state: Mapping[str, Array]) -> None:
        """The way back from `state`."""
        self._optimiser.state.clear()
        with torch.no_grad():
            for prefix, tensors in (("weights", self._tensors), ("average", self._average)):
                for name, tensor in tensors.items():
                    tensor.copy_(torch.from_numpy(state[f"{prefix}.{name}"]))
            # A learner that has not made a step remembers nothing: the way back forgets what came since.
            self._optimiser.state.clear()
            for key in {full.split(".")[1] for full in state if full.startswith("optimiser.")}:
                for name, tensor in self._tensors.items():
                    if (memory := state.get(f"optimiser.{key}.{name}")) is not None:
                        self._optimiser.state[tensor][key] = self._like(tensor, memory)
        self._steps = int(state["steps"])
        self._admit()

    def _admit(self) -> None:
        """Only what is free to learn wants a gradient: the way back ends at the lowest of it."""
        if self._free is None:
            return
        for name, parameter in self._tensors.items():
            if isinstance(parameter, torch.nn.Parameter):
                parameter.requires_grad_(self._free.learns(name, self._steps))

    def _agree(self) -> None:
        """Batch norm's running statistics become the mean of all processes': what validates is then one net."""
        own = [tensor for tensor in self._tensors.values() if not tensor.requires_grad]
        if own:
            mean = torch.cat([tensor.flatten() for tensor in own])
            dist.all_reduce(mean)
            mean /= self._world.size
            for tensor, part in zip(own, torch.split(mean, [tensor.numel() for tensor in own]), strict=True):
                tensor.copy_(part.view_as(tensor))

    def _answering(self) -> Mapping[str, Tensor]:
        return self._average or self._tensors

    def _follow(self, share: float) -> None:
        mean, now = list(self._average.values()), [tensor.detach() for tensor in self._tensors.values()]
        torch._foreach_lerp_(mean, now, share)

    def _like(self, weight: Tensor, memory: Array) -> Tensor:
        """What the optimiser remembers of a weight, in memory as the weight lies; or its count of steps, one number."""
        if memory.shape == tuple(weight.shape):
            return torch.empty_like(weight, requires_grad=False).copy_(torch.from_numpy(memory))
        # Fused steps are counted where the weights are, others on the CPU.
        return torch.tensor(memory, device=self._device if self._optimiser.param_groups[0]["fused"] else "cpu")

    @contextmanager
    def _draws(self) -> Iterator[None]:
        """Dropout draws from a generator of this step alone, so that a resumed training drops what it would have.

        So does whatever a torch module from elsewhere does at random.
        """
        if not self._drops:
            # To seed costs a tenth of a millisecond, a small net's step one.
            yield
            return
        seed = np.random.SeedSequence([self._seed, self._steps, self._world.rank])
        with torch.random.fork_rng([self._device] if self._device.type == "cuda" else []):
            torch.manual_seed(int(seed.generate_state(1)[0]))
            yield

    def _autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast(self._device.type, torch.bfloat16) if self._choice.bfloat16 else nullcontext()

    def _sent(self, array: Array) -> Tensor:
        # PyTorch warns of memory that it may not write to, though nothing here would.
        kind = array.dtype if array.dtype == np.uint8 else np.float32 if array.dtype.kind == "f" else np.int64
        return torch.from_numpy(np.require(array, kind, ["C", "W"])).to(self._device)


@contextmanager
def _room_for(pixels: Pixels, device: torch.device) -> Iterator[None]:
    """Around what computes: PyTorch's words for too little memory become `UsageError`."""
    try:
        yield
    except RuntimeError as error:
        if not re.search("tried to allocate|out of memory", str(error), re.IGNORECASE):
            raise
        count, height, width = pixels.shape[:3]
        raise UsageError(
            f"out of memory on {device.type} with {count} photos of {height} x {width} at once",
            "room for all that a step keeps until its way back",
            f"say --batch {max(1, count // 2)}, a smaller --image-size, or let fewer stages learn with --tune last:N",
        ) from error


def _has_idle_weights(net: Net, weights: Mapping[str, Array]) -> bool:
    """Whether a module from elsewhere has weights that its scores do not depend on: processes wait for all gradients.

    Tried on a copy, so that no statistics move.
    """
    if not any(isinstance(row.layer, TorchModule) for row in describe(net)):
        return False
    copy = TorchNet(net, weights).train()
    with torch.random.fork_rng([]):
        torch.autograd.backward(copy(torch.zeros((2, *net.image), dtype=torch.uint8)).sum())
    return any(weight.grad is None for weight in copy.parameters())


def _optimiser(
    tensors: Mapping[str, Tensor], stepping: Stepping, device: torch.device, free: Freedom | None
) -> torch.optim.Optimizer:
    """PyTorch's own, over groups: what multiplies decays, biases and norms' scales do not; each rate has its own."""
    learned = {name: tensor for name, tensor in tensors.items() if tensor.requires_grad}
    factors = dict.fromkeys(learned, 1.0) if free is None else free.factors
    kinds: dict[tuple[float, float], list[Tensor]] = {}
    for name, tensor in learned.items():
        if name in factors:
            kinds.setdefault((factors[name], stepping.penalty * (tensor.ndim > 1)), []).append(tensor)
    groups = [{"params": own, "weight_decay": penalty, "factor": factor} for (factor, penalty), own in kinds.items()]
    fused = device.type in ("cpu", "cuda")
    if stepping.optimiser == "sgd":
        return torch.optim.SGD(
            groups, lr=1.0, momentum=stepping.momentum, nesterov=stepping.nesterov, fused=fused or None
        )
    kind = torch.optim.AdamW if stepping.optimiser == "adamw" else torch.optim.Adam
    return kind(groups, lr=1.0, fused=fused or None)


def _array(tensor: Tensor) -> Array:
    return np.array(tensor.detach().cpu().numpy(), order="C")
