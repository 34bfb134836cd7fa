"""A torch module as a leaf: run on weights from outside, so that the module itself never changes."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from kopal.errors import UsageError
from kopal.nets.layers import TorchModule


def require_torch() -> Any:
    """The package torch, which is not needed before this is called. Raises `UsageError` where it is missing."""
    try:
        return import_module("torch")
    except ImportError as error:
        raise UsageError("torch is not installed", "PyTorch, which this needs", "pip install 'kopal[torch]'") from error


def run_module(layer: TorchModule, path: str, weights: Mapping[str, Any], x: Any, training: bool) -> Any:
    """Float images (N, C, H, W) → what the module makes of them with `weights`, tensors by full name.

    Training moves running statistics in place, in `weights`. A batch norm whose own weight wants no gradient is frozen:
    it uses its statistics and leaves them, as on the NumPy engine. Whole-number buffers are lent to the module as
    copies. Nets of the same leaf must not run in two threads at once: the module's mode is its own.
    """
    torch = require_torch()
    module = layer.structure
    lent = {name: weights[f"{path}.{name}"] for name, _ in (*layer.learned, *layer.fixed)}
    lent |= {name: tensor.clone() for name, tensor in module.named_buffers() if name not in lent}
    set_mode(module, training)
    if training:
        for name, part in module.named_modules():
            own = lent.get(f"{name}.weight" if name else "weight")
            if hasattr(part, "running_mean") and own is not None and not own.requires_grad:
                part.eval()
    return torch.func.functional_call(module, lent, (x,))


def set_mode(module: Any, training: bool) -> None:
    """Training or evaluation, in either case anew: some nets keep what they computed from weights until they train."""
    module.train()
    if not training:
        module.eval()
