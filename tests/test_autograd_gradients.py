"""Every derivative against finite differences, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kopal import autograd as ag
from kopal.autograd import Function, Tensor, WrongGradient, apply, check_gradient


def numbers(*shape: int, low: float = -2, high: float = 2, seed: int = 0) -> Any:
    return np.random.default_rng(seed).uniform(low, high, shape)


def apart(*shape: int) -> Any:
    """Distinct numbers at least 0.1 apart and none near 0: no kink is within reach of a finite difference."""
    count = int(np.prod(shape))
    return (np.random.default_rng(0).permutation(count) - count / 2 + 0.25).reshape(shape) / 4


def statistics() -> tuple[Any, Any]:
    return numbers(3, seed=4), numbers(3, low=0.5, seed=5)


CASES = {
    "add": (lambda a, b: a + b, numbers(3, 4), numbers(3, 4, seed=1)),
    "add, broadcast both ways": (lambda a, b: a + b, numbers(3, 1), numbers(2, 1, 4)),
    "subtract": (lambda a, b: a - b, numbers(3, 4), numbers(4)),
    "subtract from a number": (lambda a: 2 - a, numbers(3)),
    "multiply": (lambda a, b: a * b, numbers(3, 4), numbers(3, 1)),
    "multiply by a channel gate": (lambda a, b: a * b, numbers(2, 3, 4, 4), numbers(2, 3, 1, 1)),
    "divide": (lambda a, b: a / b, numbers(3, 4), numbers(4, low=0.5)),
    "divide a number": (lambda a: 2 / a, numbers(3, low=0.5)),
    "negate": (lambda a: -a, numbers(3)),
    "power": (lambda a: a**3, numbers(3, 4)),
    "power of two tensors": (lambda a, b: a**b, numbers(3, 4, low=0.5), numbers(4)),
    "power of a number": (lambda a: 2**a, numbers(3)),
    "matmul": (lambda a, b: a @ b, numbers(3, 4), numbers(4, 2)),
    "matmul of vectors": (lambda a, b: a @ b, numbers(4), numbers(4, seed=1)),
    "matmul, vector first": (lambda a, b: a @ b, numbers(4), numbers(2, 4, 3)),
    "matmul, vector last": (lambda a, b: a @ b, numbers(2, 3, 4), numbers(4)),
    "matmul of stacks": (lambda a, b: a @ b, numbers(5, 1, 3, 4), numbers(2, 4, 3)),
    "an array times a tensor": (lambda a: numbers(3, 4) @ a * np.ones((3, 2)), numbers(4, 2)),
    "exp": (lambda a: a.exp(), numbers(3)),
    "log": (lambda a: a.log(), numbers(3, low=0.5)),
    "sqrt": (lambda a: a.sqrt(), numbers(3, low=0.5)),
    "tanh": (ag.tanh, numbers(3)),
    "sigmoid": (ag.sigmoid, numbers(3)),
    "relu": (ag.relu, apart(3, 4)),
    "relu6": (ag.relu6, apart(8, 8)),
    "silu": (ag.silu, numbers(3, 4)),
    "sum": (lambda a: a.sum(), numbers(3, 4)),
    "sum over an axis": (lambda a: a.sum(axis=-1), numbers(3, 4)),
    "mean over axes, kept": (lambda a: a.mean(axis=(0, 2), keepdims=True), numbers(3, 4, 2)),
    "mean": (lambda a: a.mean(), numbers(3, 4)),
    "max": (lambda a: a.max(), apart(3, 4)),
    "max over an axis": (lambda a: a.max(axis=1, keepdims=True), apart(3, 4, 2)),
    "max over two axes": (lambda a: a.max(axis=(0, 2)), apart(3, 4, 2)),
    "slicing": (lambda a: a[1:, ::2, None], numbers(3, 4)),
    "indexing by a number": (lambda a: a[1, ..., -1], numbers(3, 4)),
    "indexing with repeats": (lambda a: a[[0, 2, 0]], numbers(3, 4)),
    "indexing by a mask": (lambda a: a[np.array([True, False, True])], numbers(3, 4)),
    "reshape": (lambda a: a.reshape(2, -1), numbers(3, 4)),
    "transpose": (lambda a: a.transpose() * numbers(4, 3), numbers(3, 4)),
    "transpose by axes": (lambda a: a.transpose(2, 0, 1) * numbers(2, 3, 4), numbers(3, 4, 2)),
    "concat": (lambda a, b: ag.concat([a, b, a], axis=1), numbers(2, 3), numbers(2, 1)),
    "softmax": (ag.softmax, numbers(3, 4)),
    "softmax along the first axis": (lambda a: ag.softmax(a, axis=0), numbers(3, 4)),
    "log softmax": (ag.log_softmax, numbers(3, 4)),
    "cross-entropy of labels": (lambda a: ag.cross_entropy(a, np.array([1, 0, 3])), numbers(3, 4)),
    "cross-entropy of distributions": (
        lambda a: ag.cross_entropy(a, np.array([[0.5, 0.5, 0], [0, 1, 0]])),
        numbers(2, 3),
    ),
    "linear": (ag.linear, numbers(5, 4), numbers(3, 4), numbers(3)),
    "dropout": (lambda a: ag.dropout(a, 0.4, np.random.default_rng(0)), numbers(5, 4)),
    "conv2d": (ag.conv2d, numbers(2, 3, 5, 6), numbers(4, 3, 3, 2), numbers(4)),
    "conv2d, all options": (
        lambda x, w, b: ag.conv2d(x, w, b, (2, 1), (1, 0, 2, 1), groups=2, dilation=(1, 2)),
        numbers(2, 4, 6, 7),
        numbers(6, 2, 3, 2),
        numbers(6),
    ),
    "conv2d of one pixel": (ag.conv2d, numbers(2, 3, 4, 5), numbers(4, 3, 1, 1)),
    "conv2d of one pixel, in steps": (
        lambda x, w: ag.conv2d(x, w, None, (2, 2)),
        numbers(2, 3, 4, 5),
        numbers(4, 3, 1, 1),
    ),
    "conv2d of one pixel, padded": (
        lambda x, w: ag.conv2d(x, w, None, (1, 1), (1, 0, 0, 1)),
        numbers(2, 3, 4, 5),
        numbers(4, 3, 1, 1),
    ),
    "conv2d by channel": (
        lambda x, w, b: ag.conv2d(x, w, b, (2, 1), (1, 0, 2, 1), groups=3),
        numbers(2, 3, 6, 5),
        numbers(3, 1, 3, 3),
        numbers(3),
    ),
    "conv2d by channel, twice as many out": (
        lambda x, w: ag.conv2d(x, w, groups=3),
        numbers(2, 3, 4, 5),
        numbers(6, 1, 3, 3),
    ),
    "max pooling": (lambda x: ag.max_pool2d(x, (2, 2)), apart(2, 3, 5, 4)),
    "max pooling that overlaps": (lambda x: ag.max_pool2d(x, (3, 3), (2, 2), (1, 1, 1, 1)), apart(2, 3, 6, 5)),
    "max pooling over the edge": (lambda x: ag.max_pool2d(x, (3, 2), (2, 2), ceil=True), apart(2, 3, 6, 5)),
    "average pooling": (lambda x: ag.avg_pool2d(x, (2, 3), (1, 2), (1, 1, 0, 1)), numbers(2, 3, 5, 6)),
    "average pooling without padding": (
        lambda x: ag.avg_pool2d(x, (3, 3), (2, 2), (1, 1, 1, 1), count_include_pad=False),
        numbers(2, 3, 5, 6),
    ),
    "global average pooling": (ag.global_avg_pool, numbers(2, 3, 4, 5)),
    "batch norm in training": (
        lambda x, w, b: ag.batch_norm(x, w, b, *statistics(), training=True),
        numbers(4, 3, 2, 2),
        numbers(3),
        numbers(3),
    ),
    "batch norm of vectors": (
        lambda x, w, b: ag.batch_norm(x, w, b, *statistics(), training=True),
        numbers(4, 3),
        numbers(3),
        numbers(3),
    ),
    "batch norm afterwards": (
        lambda x, w, b: ag.batch_norm(x, w, b, *statistics(), training=False),
        numbers(4, 3, 2, 2),
        numbers(3),
        numbers(3),
    ),
    "local response norm": (
        lambda x: ag.local_response_norm(x, 5, alpha=0.5, beta=0.75, k=1.0),
        numbers(2, 7, 2, 2),
    ),
    "local response norm wider than the channels": (
        lambda x: ag.local_response_norm(x, 5, alpha=0.5),
        numbers(2, 2, 2, 2),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_gradient_equals_finite_differences(name: str) -> None:
    f, *inputs = CASES[name]
    assert check_gradient(f, inputs) < 1e-6


def test_gradient_of_convolution_in_many_blocks_equals_finite_differences(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kopal.autograd.columns.BUFFER", 700)
    monkeypatch.setattr("kopal.autograd.depthwise.CACHE", 700)
    for name, (f, *inputs) in CASES.items():
        if name.startswith("conv2d"):
            assert check_gradient(f, inputs) < 1e-6


def test_gradient_through_a_small_convolutional_net_equals_finite_differences() -> None:
    def net(x: Tensor, w: Tensor, v: Tensor) -> Tensor:
        x = ag.max_pool2d(ag.tanh(ag.conv2d(x, w)), (2, 2))
        return ag.cross_entropy(ag.linear(x.reshape(2, -1), v), np.array([0, 2]))

    check_gradient(net, [numbers(2, 1, 6, 6), numbers(3, 1, 3, 3), numbers(3, 12)])


class Square(Function):
    @staticmethod
    def forward(x: Any) -> Any:
        return x * x, x

    @staticmethod
    def backward(dz: Any, cache: Any) -> Any:
        return 2 * dz * cache


class WrongSquare(Square):
    @staticmethod
    def backward(dz: Any, cache: Any) -> Any:
        return 2.001 * dz * cache


class ForgetfulProduct(Function):
    @staticmethod
    def forward(a: Any, b: Any) -> Any:
        return a * b, (a, b)

    @staticmethod
    def backward(dz: Any, cache: Any) -> Any:
        return dz * cache[1], None


def test_check_gradient_passes_a_right_derivative() -> None:
    assert check_gradient(lambda x: apply(Square, x), [numbers(3, 4)]) < 1e-8


def test_check_gradient_fails_on_a_derivative_that_is_a_thousandth_off() -> None:
    with pytest.raises(WrongGradient, match=r"input 0, shape \(3, 4\)"):
        check_gradient(lambda x: apply(WrongSquare, x), [numbers(3, 4)])


def test_check_gradient_fails_on_a_missing_derivative_and_names_the_input() -> None:
    with pytest.raises(WrongGradient, match="input 1"):
        check_gradient(lambda a, b: apply(ForgetfulProduct, a, b), [numbers(3), numbers(3, seed=1)])


def test_check_gradient_fails_where_the_result_depends_on_no_tensor() -> None:
    with pytest.raises(WrongGradient):
        check_gradient(lambda x: Tensor(x.array**2 if isinstance(x, Tensor) else x**2), [numbers(3)])


def test_check_gradient_fails_on_a_gradient_that_is_not_a_number() -> None:
    with pytest.raises(WrongGradient):
        check_gradient(lambda x: x * np.nan, [numbers(3)])


def test_check_gradient_leaves_its_inputs_alone() -> None:
    x = numbers(3)
    before = x.copy()
    check_gradient(lambda t: t * t, [x])
    assert (x == before).all()


def test_gradients_where_values_are_equal_are_shared_by_max_and_go_to_the_first_in_pooling() -> None:
    x = Tensor(np.ones((1, 1, 2, 2)), wants_gradient=True)
    x.max().backward()
    assert (x.gradient == 0.25).all()
    x.clear_gradient()
    ag.max_pool2d(x, (2, 2)).backward()
    assert x.gradient.tolist() == [[[[1, 0], [0, 0]]]]
