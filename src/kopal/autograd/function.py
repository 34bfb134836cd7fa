"""A function as a node: the forward line, and beside it the chain rule.

    class Sigmoid(Function):
        @staticmethod
        def forward(x):
            z = 1 / (1 + np.exp(-x))
            return z, z

        @staticmethod
        def backward(dz, cache):
            z = cache
            return dz * z * (1 - z)

    y = apply(Sigmoid, x)          # x is a Tensor; y.backward() finds its way through both lines

That is all a function of one's own needs. `forward` takes plain arrays (and options by name) and returns the output
with whatever `backward` will want to see again. `backward` takes dL/dz and returns dL/dx, in x's shape; for several
inputs a tuple, None where there is nothing to say. An entry of the tuple may also be a function without arguments: it
is called only if somebody wants that gradient, so a frozen weight or the photo itself costs nothing.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]


class Function:
    """A differentiable function of arrays. Subclasses bring both static methods; there are no instances."""

    @staticmethod
    def forward(*arrays: Any, **options: Any) -> tuple[Any, Any]:
        """Arrays → (output, cache)."""
        raise NotImplementedError("a Function needs a static forward(*arrays) -> (z, cache)")

    @staticmethod
    def backward(dz: Any, cache: Any) -> Any:
        """Gradient with respect to the output → gradient with respect to each input."""
        raise NotImplementedError("a Function needs a static backward(dz, cache) -> dx")
