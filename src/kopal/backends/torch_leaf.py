"""How a torch module becomes a leaf: it is tried, recorded, and written once in vain before anything is learned."""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import Any

from kopal.backends.aten.walk import write_module
from kopal.backends.onnx_graph import Graph
from kopal.backends.torch_module import require_torch, set_mode
from kopal.errors import UsageError
from kopal.nets.layers import TorchModule

_PATH = "module"
_SAME_ALONE = 1e-4


def as_leaf(name: str, module: Any, classes: int, image: tuple[int, int, int]) -> TorchModule:
    """An nn.Module as a leaf, tried on two images of noise and recorded for export.

    Raises `UsageError` where it does not fit, where an image's scores depend on others, or where export would fail.
    """
    torch = require_torch()
    height, width, channels = image
    module = module.float().cpu()
    set_mode(module, training=False)
    batch = torch.rand(2, channels, height, width, generator=torch.Generator().manual_seed(0)) * 2 - 1
    work = _try(name, module, batch, classes)
    parameters = dict(module.named_parameters())
    buffers = {key: tensor for key, tensor in module.named_buffers() if tensor.is_floating_point()}
    kept = module.state_dict()
    layer = TorchModule(
        name,
        module,
        _record(name, module, batch),
        learned=_shapes({key: tensor for key, tensor in parameters.items() if tensor.requires_grad}),
        fixed=_shapes(
            {key: tensor for key, tensor in parameters.items() if not tensor.requires_grad}
            | {key: tensor for key, tensor in buffers.items() if key in kept}
        ),
        takes=(channels, height, width),
        gives=(classes,),
        multiply_adds=work,
    )
    # Written once in vain: what cannot be exported is refused now, and not after the training.
    weights = {f"{_PATH}.{key}": tensor.detach().numpy() for key, tensor in (*parameters.items(), *buffers.items())}
    write_module(Graph(), layer, _PATH, weights, "image")
    return layer


def _try(name: str, module: Any, batch: Any, classes: int) -> int:
    """Checks what a module makes of two images; returns its multiply-adds for one."""
    torch = require_torch()
    scores = _scores(name, module, batch)
    if not isinstance(scores, torch.Tensor) or tuple(scores.shape) != (2, classes):
        found = f"shape {tuple(scores.shape)}" if isinstance(scores, torch.Tensor) else f"a {type(scores).__name__}"
        raise UsageError(
            f"{name} gives {found} for 2 images", f"scores of shape (2, {classes}): one for each image and class"
        )
    if scores.dtype != torch.float32:
        raise UsageError(f"{name} gives scores of {scores.dtype}", "torch.float32")
    alone = torch.cat([_scores(name, module, batch[:1]), _scores(name, module, batch[1:])])
    if not torch.allclose(alone, scores, rtol=_SAME_ALONE, atol=_SAME_ALONE * float(scores.abs().max())):
        raise UsageError(
            f"{name} gives an image other scores alone than beside another one",
            "evaluation that is free of chance and looks at each image by itself",
            "let dropout and batch norm listen to module.eval()",
        )
    for path, part in module.named_modules():
        if getattr(part, "track_running_stats", False) and part.momentum is None:
            raise UsageError(
                f"{name}: the norm {path!r} averages over all batches that it has seen", "a momentum, such as 0.1"
            )
    # Without gradients wanted: the counter trips over parameters that are handed from one part to another.
    weights = {key: tensor.detach() for key, tensor in module.named_parameters()}
    with torch.no_grad(), import_module("torch.utils.flop_counter").FlopCounterMode(display=False) as counter:
        torch.func.functional_call(module, weights, (batch,))
    return int(counter.get_total_flops()) // (2 * len(batch))


def _scores(name: str, module: Any, images: Any) -> Any:
    count, channels, height, width = images.shape
    try:
        with require_torch().no_grad():
            return module(images)
    except Exception as error:  # whatever a module may raise
        raise UsageError(
            f"{name} cannot take {count} x {height} x {width} x {channels} pixels: {brief(error)}",
            "a module that runs on float images (N, C, H, W) of that size, also on one alone",
            "choose another --image-size, or change the module",
        ) from error


def _record(name: str, module: Any, batch: Any) -> Any:
    torch, export = require_torch(), import_module("torch.export")
    set_mode(module, training=False)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # of torch's own insides
            program = export.export(module, (batch,), dynamic_shapes=({0: export.Dim("N")},))
            return program.run_decompositions({})
    except Exception as error:
        raise UsageError(
            f"torch.export cannot record {name}: {brief(error)}",
            "a module whose course does not depend on the values in an image, nor on the number of images",
            "see pytorch.org/docs/stable/export.html",
        ) from error
    finally:
        set_mode(module, training=False)


def _shapes(tensors: dict[str, Any]) -> tuple[tuple[str, tuple[int, ...]], ...]:
    return tuple((name, tuple(tensor.shape)) for name, tensor in tensors.items())


def brief(error: BaseException) -> str:
    """An error of somebody else's code in one line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__
