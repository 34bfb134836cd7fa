"""An array that remembers how it was computed. Arithmetic on tensors builds the graph; `backward` walks it back."""

from __future__ import annotations

from typing import Any, TypeAlias, final

import numpy as np

from kopal.autograd import arithmetic, elementwise, reductions, shaping
from kopal.autograd.errors import AutogradError, ShapeMismatch
from kopal.autograd.function import Array, Function
from kopal.autograd.graph import Node, is_recording, walk_back
from kopal.autograd.reductions import Axis


@final
class Tensor:
    """A NumPy array of floats and, where gradients are wanted, the node that it came from.

    `Tensor(3.0, wants_gradient=True)` is a leaf: after `backward()` of something that depends on it, `gradient` holds
    the derivative, summed over all paths and all calls since `clear_gradient()`. Numbers and lists become float64;
    arrays keep their type, and so does everything computed from them.
    """

    __slots__ = ("array", "node")
    # NumPy then leaves array * tensor to the tensor.
    __array_ufunc__ = None

    array: Array
    node: Node | None

    def __init__(self, value: Any, wants_gradient: bool = False) -> None:
        array = np.asarray(value)
        if array.dtype.kind != "f":
            if isinstance(value, np.ndarray | np.generic) or array.dtype.kind not in "iu":
                raise AutogradError(
                    f"a tensor of {array.dtype}", "an array of floats", "array.astype(np.float32) makes it one"
                )
            array = array.astype(np.float64)
        self.array = array
        self.node = Node(None, None, [], array, kept=True) if wants_gradient else None

    def __repr__(self) -> str:
        made = f", {self.node.function.__name__}" if self.node and self.node.function else ""
        return f"Tensor({self.array}{made})"

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return self.array.shape

    @property
    def ndim(self) -> int:
        """How many axes the array has."""
        return self.array.ndim

    @property
    def size(self) -> int:
        """How many numbers the array holds."""
        return self.array.size

    @property
    def dtype(self) -> np.dtype[Any]:
        """The array's type."""
        return self.array.dtype

    @property
    def wants_gradient(self) -> bool:
        """Whether `backward` would do anything."""
        return self.node is not None

    @property
    def gradient(self) -> Array | None:
        """dL/d(this), of this shape, once `backward` has come by a leaf or a tensor with `keep_gradient`; else None."""
        return self.node.gradient if self.node and self.node.kept else None

    @gradient.setter
    def gradient(self, value: Array | None) -> None:
        if self.node is None or not self.node.kept:
            raise AutogradError("a gradient for a tensor that keeps none", "a leaf made with wants_gradient=True")
        if value is not None and value.shape != self.array.shape:
            raise ShapeMismatch(f"a gradient of shape {value.shape} for a tensor of shape {self.array.shape}")
        self.node.gradient = value

    def clear_gradient(self) -> None:
        """Forget the gradient; the next `backward` starts from nothing."""
        if self.node is not None:
            self.node.gradient = None

    def keep_gradient(self) -> Tensor:
        """Let `gradient` be read here too, in the middle of a computation."""
        if self.node is not None:
            self.node.kept = True
        return self

    def detach(self) -> Tensor:
        """The same array, without its past."""
        return Tensor(self.array)

    def item(self) -> float:
        """The number of a tensor that holds just one."""
        return float(self.array.item())

    def backward(self, gradient: Array | None = None) -> None:
        """Fill in `gradient` of every leaf that this was computed from: the derivatives of this number.

        For an output that is not one number give dL/d(output), in its shape. A graph can be walked once.
        """
        if self.node is None:
            raise AutogradError(
                "backward from a tensor that depends on no leaf with wants_gradient=True",
                "a result of computing with such tensors",
                "make the parameters with Tensor(..., wants_gradient=True), outside no_grad()",
            )
        if gradient is None:
            if self.array.size != 1:
                raise ShapeMismatch(
                    f"backward from a tensor of shape {self.shape}", "one number, such as a loss", ".mean() or .sum()"
                )
            gradient = np.ones_like(self.array)
        elif gradient.shape != self.shape:
            raise ShapeMismatch(f"backward with a gradient of shape {gradient.shape}", f"the shape {self.shape}")
        else:
            gradient = np.array(gradient, self.array.dtype)
        walk_back(self.node, gradient)

    def __add__(self, other: Operand) -> Tensor:
        return apply(arithmetic.Add, self, other if type(other) is Tensor else _constant(other, self))

    __radd__ = __add__

    def __sub__(self, other: Operand) -> Tensor:
        return apply(arithmetic.Subtract, self, other if type(other) is Tensor else _constant(other, self))

    def __rsub__(self, other: Operand) -> Tensor:
        return apply(arithmetic.Subtract, other if type(other) is Tensor else _constant(other, self), self)

    def __mul__(self, other: Operand) -> Tensor:
        return apply(arithmetic.Multiply, self, other if type(other) is Tensor else _constant(other, self))

    __rmul__ = __mul__

    def __truediv__(self, other: Operand) -> Tensor:
        return apply(arithmetic.Divide, self, other if type(other) is Tensor else _constant(other, self))

    def __rtruediv__(self, other: Operand) -> Tensor:
        return apply(arithmetic.Divide, other if type(other) is Tensor else _constant(other, self), self)

    def __pow__(self, other: Operand) -> Tensor:
        return apply(arithmetic.Power, self, other if type(other) is Tensor else _constant(other, self))

    def __rpow__(self, other: Operand) -> Tensor:
        return apply(arithmetic.Power, other if type(other) is Tensor else _constant(other, self), self)

    def __neg__(self) -> Tensor:
        return apply(arithmetic.Negate, self)

    def __matmul__(self, other: Operand) -> Tensor:
        return apply(arithmetic.MatMul, self, other if type(other) is Tensor else _constant(other, self))

    def __rmatmul__(self, other: Operand) -> Tensor:
        return apply(arithmetic.MatMul, other if type(other) is Tensor else _constant(other, self), self)

    def __getitem__(self, key: Any) -> Tensor:
        return apply(shaping.Index, self, key=key)

    def __len__(self) -> int:
        return len(self.array)

    def sum(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Σ over all axes or some."""
        return apply(reductions.Sum, self, axis=axis, keepdims=keepdims)

    def mean(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """The mean over all axes or some."""
        return apply(reductions.Mean, self, axis=axis, keepdims=keepdims)

    def max(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """The largest over all axes or some; equals share the gradient."""
        return apply(reductions.Max, self, axis=axis, keepdims=keepdims)

    def reshape(self, *shape: int) -> Tensor:
        """The same numbers in another shape; one side may be -1."""
        return apply(shaping.Reshape, self, shape=shape)

    def transpose(self, *axes: int) -> Tensor:
        """The axes in another order; without arguments, reversed."""
        return apply(shaping.Transpose, self, axes=axes or None)

    def exp(self) -> Tensor:
        """e^x."""
        return apply(elementwise.Exp, self)

    def log(self) -> Tensor:
        """The natural logarithm."""
        return apply(elementwise.Log, self)

    def sqrt(self) -> Tensor:
        """√x."""
        return apply(elementwise.Sqrt, self)


# The constructor's checks are for what comes from outside; what a function returns is known to be sound.
_blank = Tensor.__new__

Operand: TypeAlias = Tensor | Array | float
"""What may stand on the other side of an operator; arrays and numbers are constants."""


def apply(function: type[Function], *inputs: Tensor | Array | None, **options: Any) -> Tensor:
    """Call a Function on tensors and record it: this is how a function of one's own joins the others.

    Plain arrays among the inputs are constants; an input may be None where the function says so.
    """
    arrays = [value.array if type(value) is Tensor else value for value in inputs]
    parents = [value.node if type(value) is Tensor else None for value in inputs]
    try:
        z, cache = function.forward(*arrays, **options)
    except ValueError as error:
        raise _named(error, function, arrays) from error
    if type(z) is not np.ndarray:
        z = np.asarray(z)
    tensor = _blank(Tensor)
    tensor.array = z
    tensor.node = Node(function, cache, parents, z) if any(parents) and is_recording() else None
    return tensor


def concat(tensors: list[Tensor], axis: int = 0) -> Tensor:
    """Tensors one after the other along an axis."""
    return apply(shaping.Concat, *tensors, axis=axis)


def _named(error: ValueError, function: type[Function], arrays: list[Array | None]) -> AutogradError:
    # NumPy says which shapes did not fit, but not in which operation of the net.
    if isinstance(error, AutogradError):
        return error
    shapes = ", ".join(str(np.shape(array)) for array in arrays if array is not None)
    return ShapeMismatch(f"{function.__name__} of shapes {shapes}: {error}", "shapes that fit each other")


def _constant(other: Operand, tensor: Tensor) -> Array:
    # A bare number takes the tensor's type: 2.0 · float32 must stay float32 also where both are single numbers.
    return other if isinstance(other, np.ndarray) else np.array(other, tensor.array.dtype)
