"""The graph itself: what is recorded, how it is walked, what is let go, and what the errors say."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import numpy as np
import pytest

from kopal import autograd as ag
from kopal.autograd import AutogradError, Function, GraphFreed, ShapeMismatch, Tensor, apply, no_grad


def leaf(value: Any) -> Tensor:
    return Tensor(value, wants_gradient=True)


def test_gradients_of_a_shared_tensor_are_summed() -> None:
    x = leaf(3.0)
    (x * x).backward()
    assert x.gradient == 6


def test_gradients_meet_again_after_branches_of_different_length() -> None:
    x = leaf(2.0)
    a = x * 3
    ((a * a + a) * x + a).backward()  # 9x³ + 3x² + 3x
    assert x.gradient == 27 * 4 + 6 * 2 + 3


def test_gradients_of_several_calls_add_up_until_they_are_cleared() -> None:
    x = leaf([1.0, 2.0])
    (x * x).sum().backward()
    (x * 3).sum().backward()
    assert x.gradient.tolist() == [5, 7]
    x.clear_gradient()
    assert x.gradient is None
    x.backward(np.array([1.0, 2.0]))
    x.backward(np.array([1.0, 2.0]))
    assert x.gradient.tolist() == [2, 4]


def test_a_chain_of_twenty_thousand_nodes_is_walked_and_let_go_without_recursion() -> None:
    x = leaf(1.0)
    y = x
    for _ in range(20_000):
        y = y + 1.0
    y.backward()
    assert x.gradient == 1
    y = x
    for _ in range(200_000):
        y = -y
    del y  # a graph that nobody walked


def test_a_graph_of_five_hundred_shared_nodes_counts_every_path() -> None:
    x = leaf(1.0)
    y = x
    for _ in range(500):
        y = y + y
    y.backward()
    assert x.gradient == 2.0**500


def test_a_second_backward_through_a_freed_graph_is_an_error_that_names_the_function() -> None:
    x = leaf(3.0)
    y = x * x
    z = y + 1
    z.backward()
    with pytest.raises(GraphFreed, match="Add a second time"):
        z.backward()
    with pytest.raises(GraphFreed, match="Multiply"):
        (y * 2).backward()
    assert x.gradient == 6


def test_caches_are_let_go_while_the_walk_goes_on() -> None:
    alive: list[int] = []

    class Big:
        pass

    caches: list[weakref.ref[Big]] = []

    class Watched(Function):
        @staticmethod
        def forward(x: Any) -> Any:
            cache = Big()
            caches.append(weakref.ref(cache))
            return x + 0, cache

        @staticmethod
        def backward(dz: Any, cache: Any) -> Any:
            alive.append(sum(ref() is not None for ref in caches))
            return dz

    y = leaf(1.0)
    for _ in range(4):
        y = apply(Watched, y)
    y.backward()
    assert alive == [4, 3, 2, 1]


def test_a_graph_that_nobody_walked_is_freed_without_the_garbage_collector() -> None:
    class Big:
        pass

    caches: list[weakref.ref[Big]] = []

    class Watched(Function):
        @staticmethod
        def forward(x: Any) -> Any:
            cache = Big()
            caches.append(weakref.ref(cache))
            return x + 0, cache

    gc.disable()
    try:
        y = apply(Watched, leaf(1.0)) * 2
        assert caches[0]() is not None
        del y
        assert caches[0]() is None
    finally:
        gc.enable()


def test_nothing_is_recorded_inside_no_grad_and_recording_resumes_after_an_error() -> None:
    x = leaf(3.0)
    with pytest.raises(KeyError), no_grad():
        assert not (x * x).wants_gradient
        raise KeyError
    assert (x * x).wants_gradient


def test_no_grad_in_one_thread_does_not_stop_another() -> None:
    x, seen = leaf(3.0), []
    with no_grad():
        thread = threading.Thread(target=lambda: seen.append((x * x).wants_gradient))
        thread.start()
        thread.join()
    assert seen == [True]


def test_what_depends_on_no_leaf_is_not_recorded() -> None:
    y = Tensor([1.0]) * 2
    assert not y.wants_gradient
    with pytest.raises(AutogradError, match="depends on no leaf"):
        y.backward()


def test_a_detached_tensor_stops_the_gradient() -> None:
    x = leaf(3.0)
    (x * x.detach()).backward()
    assert x.gradient == 3


def test_gradients_in_the_middle_are_read_where_they_are_kept() -> None:
    x = leaf(3.0)
    y = (x * x).keep_gradient()
    z = y * 5
    z.backward()
    assert y.gradient == 5
    assert z.gradient is None


def test_two_gradients_never_share_memory() -> None:
    a, b = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    seed = np.array([1.0, 1.0])
    (a + b).backward(seed)
    assert a.gradient is not None and b.gradient is not None
    a.gradient *= 10
    assert b.gradient.tolist() == seed.tolist() == [1, 1]
    c = leaf([1.0, 2.0])
    c.sum().backward()
    assert c.gradient is not None
    c.gradient *= 2  # not a view of one number stretched over all


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_the_type_of_the_inputs_is_kept_forwards_and_backwards(kind: Any) -> None:
    x = leaf(np.full((2, 3, 6, 6), 0.5, kind))
    w, b = leaf(np.full((4, 3, 3, 3), 0.1, kind)), leaf(np.zeros(4, kind))
    gate, shift = leaf(np.ones(4, kind)), leaf(np.zeros(4, kind))
    y = ag.batch_norm(ag.conv2d(x, w, b), gate, shift, np.zeros(4, kind), np.ones(4, kind), training=False)
    y = ag.local_response_norm(ag.silu(ag.relu6(y * 2.0 + 1)))
    y = ag.avg_pool2d(ag.max_pool2d(y, (2, 2), padding=(1, 1, 1, 1)), (2, 2))
    y = ag.dropout(ag.sigmoid(y).reshape(2, -1), 0.5, np.random.default_rng(0))
    loss = ag.cross_entropy(y, np.array([0, 1])) * 2.0 + (1 - y.mean()) ** 2 / 3
    loss.backward()
    assert loss.dtype == kind
    assert all(t.gradient is not None and t.gradient.dtype == kind for t in (x, w, b, gate, shift))


class Sigmoid(Function):
    """The lecture's example, word for word."""

    @staticmethod
    def forward(x: Any) -> Any:
        z = 1 / (1 + np.exp(-x))
        return z, z

    @staticmethod
    def backward(dz: Any, cache: Any) -> Any:
        z = cache
        return dz * z * (1 - z)


def test_a_function_of_ones_own_plugs_in_checks_and_learns() -> None:
    assert ag.check_gradient(lambda x: apply(Sigmoid, x), [np.linspace(-2, 2, 5)]) < 1e-8
    x, target = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), np.array([[0.0], [0], [0], [1]])
    w = {"w": leaf(np.zeros((2, 1))), "b": leaf(np.zeros(1))}
    optimiser = ag.SGD(w, rate=5)
    for _ in range(200):
        loss = ((apply(Sigmoid, x @ w["w"] + w["b"]) - target) ** 2).mean()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.02


def test_gradients_are_computed_only_for_inputs_that_want_them() -> None:
    asked: list[str] = []

    class Product(Function):
        @staticmethod
        def forward(a: Any, b: Any) -> Any:
            return a * b, (a, b)

        @staticmethod
        def backward(dz: Any, cache: Any) -> Any:
            a, b = cache
            return lambda: asked.append("a") or dz * b, lambda: asked.append("b") or dz * a

    apply(Product, Tensor(2.0), leaf(3.0)).backward()
    assert asked == ["b"]


def test_a_backward_of_the_wrong_shape_is_named() -> None:
    class Careless(Sigmoid):
        @staticmethod
        def backward(dz: Any, cache: Any) -> Any:
            return dz.sum()

    with pytest.raises(ShapeMismatch, match=r"Careless returned a gradient of shape \(\)(.|\n)*\(3,\)"):
        apply(Careless, leaf(np.ones(3))).sum().backward()


def test_a_backward_with_too_few_gradients_is_named() -> None:
    class Short(Function):
        @staticmethod
        def forward(a: Any, b: Any) -> Any:
            return a + b, None

        @staticmethod
        def backward(dz: Any, cache: Any) -> Any:
            return dz

    with pytest.raises(ShapeMismatch, match=r"Short returned 1 gradients(.|\n)*2 inputs"):
        apply(Short, leaf(1.0), leaf(1.0)).backward()


WRONG = {
    "add": (lambda: leaf(np.ones(3)) + np.ones(4), r"Add of shapes \(3,\), \(4,\)"),
    "matmul": (lambda: leaf(np.ones((2, 3))) @ np.ones((4, 5)), r"MatMul of shapes \(2, 3\), \(4, 5\)"),
    "reshape": (lambda: leaf(np.ones(6)).reshape(4), r"Reshape of shapes \(6,\)(.|\n)*\(4,\)"),
    "transpose": (lambda: leaf(np.ones((2, 3))).transpose(0, 0), r"Transpose of shapes \(2, 3\)"),
    "concat": (
        lambda: ag.concat([leaf(np.ones((2, 3))), leaf(np.ones((3, 3)))], 1),
        r"Concat of shapes \(2, 3\), \(3, 3\)",
    ),
    "linear": (lambda: ag.linear(leaf(np.ones((2, 3))), np.ones((4, 5))), r"linear of x \(2, 3\) with weight \(4, 5\)"),
    "linear's bias": (
        lambda: ag.linear(leaf(np.ones((2, 3))), np.ones((4, 3)), np.ones(3)),
        r"\(4, 3\) and bias \(3,\)",
    ),
    "conv2d": (
        lambda: ag.conv2d(leaf(np.ones((2, 3, 8, 8))), np.ones((4, 2, 3, 3))),
        r"conv2d of images \(2, 3, 8, 8\) with weight \(4, 2, 3, 3\)",
    ),
    "conv2d too large": (
        lambda: ag.conv2d(leaf(np.ones((2, 3, 2, 2))), np.ones((4, 3, 3, 3))),
        r"window of 3 over 2 pixels, images \(2, 3, 2, 2\)",
    ),
    "conv2d without step": (
        lambda: ag.conv2d(leaf(np.ones((2, 3, 8, 8))), np.ones((4, 3, 3, 3)), None, (0, 1)),
        "stride",
    ),
    "max pooling": (
        lambda: ag.max_pool2d(leaf(np.ones((2, 3, 4))), (2, 2)),
        r"max_pool2d of an array of shape \(2, 3, 4\)",
    ),
    "max pooling, padding": (lambda: ag.max_pool2d(leaf(np.ones((2, 3, 4, 4))), (2, 2), padding=(2, 0, 0, 0)), "half"),
    "average pooling": (lambda: ag.avg_pool2d(leaf(np.ones((2, 3, 1, 4))), (2, 2)), r"images \(2, 3, 1, 4\)"),
    "global pooling": (lambda: ag.global_avg_pool(leaf(np.ones((2, 3)))), r"\(2, 3\)"),
    "batch norm": (
        lambda: ag.batch_norm(leaf(np.ones((2, 3))), np.ones(4), np.ones(3), np.ones(3), np.ones(3), training=True),
        r"batch_norm of shape \(2, 3\) with weight \(4,\)",
    ),
    "batch norm of one": (
        lambda: ag.batch_norm(leaf(np.ones((1, 3))), *(np.ones(3) for _ in range(4)), training=True),
        r"\(1, 3\): 1 value per channel",
    ),
    "local response norm": (lambda: ag.local_response_norm(leaf(np.ones((2, 3, 4, 4))), 4), "over 4 channels"),
    "cross-entropy": (lambda: ag.cross_entropy(leaf(np.ones((2, 3))), np.zeros(3, int)), r"\(2, 3\)(.|\n)*\(3,\)"),
    "cross-entropy of nothing": (lambda: ag.cross_entropy(leaf(np.ones((0, 3))), np.zeros(0, int)), r"\(0, 3\)"),
    "labels out of range": (
        lambda: ag.cross_entropy(leaf(np.ones((2, 3))), np.array([0, 3])),
        "labels run from 0 to 3",
    ),
    "mean of nothing": (lambda: leaf(np.ones((0, 3))).mean(), r"mean over no values: shape \(0, 3\)"),
    "max of nothing": (lambda: leaf(np.ones((2, 0))).max(axis=1), r"max over no values: shape \(2, 0\)"),
    "softmax of nothing": (lambda: ag.softmax(leaf(np.ones((2, 0)))), "softmax of no scores"),
    "backward from many": (lambda: leaf(np.ones(3)).backward(), r"backward from a tensor of shape \(3,\)"),
    "backward with a wrong gradient": (lambda: leaf(np.ones(3)).backward(np.ones(2)), r"\(2,\)(.|\n)*\(3,\)"),
    "integers": (lambda: Tensor(np.zeros(3, np.uint8)), "a tensor of uint8"),
    "words": (lambda: Tensor("kočka"), "a tensor of"),
    "dropout of everything": (lambda: ag.dropout(leaf(1.0), 1.0, np.random.default_rng()), "rate of 1.0"),
    "unknown activation": (lambda: ag.activation("gelu", leaf(1.0)), "unknown activation 'gelu'(.|\n)*relu, relu6"),
    "gradient of a constant": (lambda: setattr(Tensor(1.0), "gradient", np.ones(())), "keeps none"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_input_is_an_error_that_names_shapes_and_operation(name: str) -> None:
    act, message = WRONG[name]
    with pytest.raises(AutogradError, match=message):
        act()


def test_an_error_is_a_value_error_with_three_parts() -> None:
    error = AutogradError("one", "two", "three")
    assert isinstance(error, ValueError)
    assert str(error) == "one\nexpected: two\nto fix:   three"


def test_extreme_values_neither_overflow_nor_warn() -> None:
    far = np.array([[-1000.0, 0, 1000]], np.float32)
    assert ag.sigmoid(Tensor(far)).array.tolist() == [[0, 0.5, 1]]
    assert np.isfinite(ag.silu(Tensor(far)).array).all()
    assert ag.softmax(Tensor(far)).array.tolist() == [[0, 0, 1]]
    x = leaf(far)
    loss = ag.cross_entropy(x, np.array([0]))
    loss.backward()
    assert loss.item() == 2000 and x.gradient.tolist() == [[-1, 0, 1]]
    assert ag.cross_entropy(Tensor(np.array([[-np.inf, 0.0]])), np.array([1])).item() == 0


def test_a_tensor_shows_its_numbers_and_where_they_came_from() -> None:
    assert repr(leaf(2.0) * 3) == "Tensor(6.0, Multiply)"
    x = Tensor([[1, 2, 3]])
    assert (x.shape, x.ndim, x.size, len(x), x.dtype) == ((1, 3), 2, 3, 1, np.float64)
