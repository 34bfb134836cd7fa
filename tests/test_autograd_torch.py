"""The second oracle: PyTorch, operation by operation, on shapes that hypothesis makes up, of size 0 and 1 too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kopal import autograd as ag
from kopal.autograd import Tensor

torch = pytest.importorskip("torch", reason="torch is the oracle here")
F: Any = torch.nn.functional

quick = settings(max_examples=25, deadline=None)
sides = st.integers(0, 4)
positive = st.integers(1, 4)
shapes = st.lists(sides, max_size=4).map(tuple)
seeds = st.integers(0, 2**32 - 1)


def numbers(seed: int, *shape: int, low: float = -2, high: float = 2) -> Any:
    return np.random.default_rng(seed).uniform(low, high, shape).astype(np.float32)


def agree(ours: Callable[..., Tensor], theirs: Callable[..., Any], arrays: Sequence[Any]) -> None:
    """The same values and the same gradients for a random gradient of the output, to 1e-4 of the largest."""
    mine = [Tensor(array, wants_gradient=True) for array in arrays]
    other = [torch.tensor(array, requires_grad=True) for array in arrays]
    z, expected = ours(*mine), theirs(*other)
    assert z.shape == tuple(expected.shape) and z.dtype == np.float32
    close(z.array, expected)
    if not expected.requires_grad:
        return
    dz = numbers(1, *z.shape)
    z.backward(dz)
    expected.backward(torch.tensor(dz))
    for tensor, oracle in zip(mine, other, strict=True):
        if oracle.grad is None:
            assert tensor.gradient is None
        else:
            assert tensor.gradient is not None and tensor.gradient.dtype == np.float32
            close(tensor.gradient, oracle.grad)


def close(ours: Any, theirs: Any) -> None:
    theirs = theirs.detach().numpy()
    assert ours.shape == theirs.shape
    if ours.size:
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4 * max(1, float(np.abs(theirs).max())))


def test_agree_fails_on_a_wrong_value_and_on_a_wrong_gradient() -> None:
    x = numbers(0, 3)
    agree(lambda a: a * a, lambda a: a * a, [x])
    with pytest.raises(AssertionError):
        agree(lambda a: a * 1.01, lambda a: a * 1, [x])
    with pytest.raises(AssertionError):
        agree(lambda a: a * a.detach(), lambda a: a * a, [x])


ELEMENTWISE: dict[str, tuple[Any, Any, float]] = {
    "exp": (Tensor.exp, lambda x: x.exp(), -2),
    "log": (Tensor.log, lambda x: x.log(), 0.2),
    "sqrt": (Tensor.sqrt, lambda x: x.sqrt(), 0.2),
    "tanh": (ag.tanh, lambda x: x.tanh(), -2),
    "sigmoid": (ag.sigmoid, lambda x: x.sigmoid(), -9),
    "relu": (ag.relu, lambda x: x.relu(), -2),
    "relu6": (lambda x: ag.relu6(x * 5), lambda x: F.relu6(x * 5), -2),
    "silu": (ag.silu, F.silu, -9),
    "negate": (lambda x: -x, lambda x: -x, -2),
    "arithmetic with numbers": (lambda x: (2 - x) * 3 / 4 + 1 / (x + 5), lambda x: (2 - x) * 3 / 4 + 1 / (x + 5), -2),
    "power": (lambda x: x**3, lambda x: x**3, -2),
}


@pytest.mark.parametrize("name", ELEMENTWISE)
@quick
@given(shape=shapes, seed=seeds)
def test_functions_of_one_number_equal_torch(name: str, shape: tuple[int, ...], seed: int) -> None:
    ours, theirs, low = ELEMENTWISE[name]
    agree(ours, theirs, [numbers(seed, *shape, low=low)])


BINARY: dict[str, Any] = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "divide": lambda a, b: a / b,
    "power": lambda a, b: a**b,
}


@pytest.mark.parametrize("name", BINARY)
@quick
@given(shape=shapes, data=st.data(), seed=seeds)
def test_arithmetic_broadcasts_as_in_torch(name: str, shape: tuple[int, ...], data: Any, seed: int) -> None:
    def stretched() -> tuple[int, ...]:
        kept = [side if data.draw(st.booleans()) else 1 for side in shape]
        return tuple(kept[data.draw(st.integers(0, len(kept))) :])

    agree(BINARY[name], BINARY[name], [numbers(seed, *stretched(), low=0.5), numbers(seed + 1, *stretched(), low=0.5)])


@quick
@given(m=sides, n=sides, k=sides, stack=st.lists(positive, max_size=2), one=st.booleans(), seed=seeds)
def test_matmul_equals_torch(m: int, n: int, k: int, stack: list[int], one: bool, seed: int) -> None:
    second = (*([1] * len(stack) if one else stack), k, n)
    agree(lambda a, b: a @ b, lambda a, b: a @ b, [numbers(seed, *stack, m, k), numbers(seed, *second)])
    agree(lambda a, b: a @ b, lambda a, b: a @ b, [numbers(seed, k), numbers(seed, *second)])
    agree(lambda a, b: a @ b, lambda a, b: a @ b, [numbers(seed, *stack, m, k), numbers(seed, k)])


@quick
@given(shape=st.lists(positive, min_size=1, max_size=4), data=st.data(), keep=st.booleans(), seed=seeds)
def test_reductions_equal_torch(shape: list[int], data: Any, keep: bool, seed: int) -> None:
    axis = tuple(data.draw(st.sets(st.integers(0, len(shape) - 1), min_size=1)))
    x = [numbers(seed, *shape)]
    agree(lambda a: a.sum(axis, keep), lambda a: a.sum(axis, keep), x)
    agree(lambda a: a.mean(axis, keep), lambda a: a.mean(axis, keep), x)
    agree(lambda a: a.max(axis, keep), lambda a: a.amax(axis, keep), x)
    agree(lambda a: a.max(), lambda a: a.max(), x)


@quick
@given(shape=shapes, seed=seeds)
def test_sums_of_nothing_are_zero_as_in_torch(shape: tuple[int, ...], seed: int) -> None:
    agree(lambda a: a.sum(), lambda a: a.sum(), [numbers(seed, *shape)])


@quick
@given(shape=st.tuples(sides, sides, sides), seed=seeds)
def test_reshaping_indexing_and_joining_equal_torch(shape: tuple[int, ...], seed: int) -> None:
    x = [numbers(seed, *shape)]
    agree(lambda a: a.transpose(2, 0, 1), lambda a: a.permute(2, 0, 1), x)
    agree(lambda a: a.reshape(shape[0] * shape[1], shape[2]), lambda a: a.reshape(shape[0] * shape[1], shape[2]), x)
    agree(lambda a: a[1:, None, ..., ::2], lambda a: a[1:, None, ..., ::2], x)
    agree(lambda a: ag.concat([a, a * 2], axis=1), lambda a: torch.cat([a, a * 2], 1), x)
    if shape[0]:
        chosen = np.random.default_rng(seed).integers(0, shape[0], 5)
        agree(lambda a: a[chosen], lambda a: a[torch.tensor(chosen)], x)


@quick
@given(shape=st.lists(positive, min_size=1, max_size=3), data=st.data(), seed=seeds)
def test_softmax_equals_torch(shape: list[int], data: Any, seed: int) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    x = [numbers(seed, *shape, low=-40, high=40)]
    agree(lambda a: ag.softmax(a, axis), lambda a: F.softmax(a, axis), x)
    agree(lambda a: ag.log_softmax(a, axis), lambda a: F.log_softmax(a, axis), x)


@quick
@given(n=positive, k=positive, seed=seeds)
def test_cross_entropy_equals_torch_for_labels_and_for_distributions(n: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels, p = rng.integers(0, k, n), rng.dirichlet(np.ones(k), n).astype(np.float32)
    x = [numbers(seed, n, k, low=-40, high=40)]
    agree(lambda s: ag.cross_entropy(s, labels), lambda s: F.cross_entropy(s, torch.tensor(labels)), x)
    agree(lambda s: ag.cross_entropy(s, p), lambda s: F.cross_entropy(s, torch.tensor(p)), x)


@quick
@given(n=sides, d=sides, k=sides, seed=seeds)
def test_linear_equals_torch(n: int, d: int, k: int, seed: int) -> None:
    agree(ag.linear, F.linear, [numbers(seed, n, d), numbers(seed, k, d), numbers(seed, k)])


@settings(max_examples=80, deadline=None)
@given(
    n=st.integers(0, 3),
    groups=st.integers(1, 3),
    channels=st.integers(1, 2),
    out=st.integers(1, 2),
    image=st.tuples(st.integers(1, 8), st.integers(1, 8)),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    padding=st.tuples(*[st.integers(0, 2)] * 4),
    bias=st.booleans(),
    seed=seeds,
)
def test_conv2d_equals_torch(
    n: int, groups: int, channels: int, out: int, image: Any, kernel: Any, stride: Any, dilation: Any, padding: Any,
    bias: bool, seed: int,
) -> None:  # fmt: skip
    top, left, bottom, right = padding
    assume(dilation[0] * (kernel[0] - 1) < image[0] + top + bottom)
    assume(dilation[1] * (kernel[1] - 1) < image[1] + left + right)
    arrays = [numbers(seed, n, groups * channels, *image), numbers(seed, groups * out, channels, *kernel)]

    def theirs(x: Any, w: Any, b: Any = None) -> Any:
        return F.conv2d(F.pad(x, (left, right, top, bottom)), w, b, stride, 0, dilation, groups)

    agree(
        lambda x, w, b=None: ag.conv2d(x, w, b, stride, padding, groups, dilation),
        theirs,
        [*arrays, numbers(seed, groups * out)] if bias else arrays,
    )


pools = given(
    n=st.integers(0, 2),
    image=st.tuples(st.integers(1, 8), st.integers(1, 8)),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    pad=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    flag=st.booleans(),
    seed=seeds,
)


def fits(image: Any, kernel: Any, pad: Any) -> bool:
    return all(2 * pad[a] <= kernel[a] <= image[a] + 2 * pad[a] for a in (0, 1))


@settings(max_examples=80, deadline=None)
@pools
def test_max_pooling_equals_torch(
    n: int, image: Any, kernel: Any, stride: Any, pad: Any, flag: bool, seed: int
) -> None:
    assume(fits(image, kernel, pad))
    # Whole numbers: ties are many, and the first must win.
    x = np.round(numbers(seed, n, 2, *image))
    agree(
        lambda a: ag.max_pool2d(a, kernel, stride, (*pad, *pad), ceil=flag),
        lambda a: F.max_pool2d(a, kernel, stride, pad, ceil_mode=flag),
        [x],
    )


@settings(max_examples=80, deadline=None)
@pools
def test_average_pooling_equals_torch(
    n: int, image: Any, kernel: Any, stride: Any, pad: Any, flag: bool, seed: int
) -> None:
    assume(fits(image, kernel, pad))
    agree(
        lambda a: ag.avg_pool2d(a, kernel, stride, (*pad, *pad), count_include_pad=flag),
        lambda a: F.avg_pool2d(a, kernel, stride, pad, count_include_pad=flag),
        [numbers(seed, n, 2, *image)],
    )
    agree(ag.global_avg_pool, lambda a: F.adaptive_avg_pool2d(a, 1), [numbers(seed, n, 2, *image)])


@quick
@given(n=positive, c=positive, image=st.sampled_from([(), (1, 1), (3, 2)]), training=st.booleans(), seed=seeds)
def test_batch_norm_and_its_running_statistics_equal_torch(
    n: int, c: int, image: tuple[int, ...], training: bool, seed: int
) -> None:
    assume(not training or n * int(np.prod(image)) > 1)
    mean, var = numbers(seed + 1, c), numbers(seed + 2, c, low=0.5)
    their_mean, their_var = torch.tensor(mean), torch.tensor(var)
    # Two values that happen to be equal have no variance to speak of: keep them apart.
    x = numbers(seed, n, c, *image) + 10 * np.arange(n, dtype=np.float32).reshape(-1, *[1] * (1 + len(image)))
    agree(
        lambda a, w, b: ag.batch_norm(a, w, b, mean, var, training, epsilon=1e-3, momentum=0.2),
        lambda a, w, b: F.batch_norm(a, their_mean, their_var, w, b, training, 0.2, 1e-3),
        [x, numbers(seed, c), numbers(seed, c)],
    )
    close(mean, their_mean)
    close(var, their_var)


@quick
@given(n=positive, c=st.integers(1, 8), size=st.sampled_from([1, 3, 5]), seed=seeds)
def test_local_response_norm_equals_torch(n: int, c: int, size: int, seed: int) -> None:
    agree(
        lambda x: ag.local_response_norm(x, size, 0.5, 0.75, 2.0),
        lambda x: F.local_response_norm(x, size, 0.5, 0.75, 2.0),
        [numbers(seed, n, c, 3, 2)],
    )


def test_a_small_net_has_the_gradients_that_torch_finds() -> None:
    labels = np.array([0, 2, 1, 1])
    arrays = [numbers(1, 4, 1, 12, 12), numbers(2, 6, 1, 3, 3), numbers(3, 6), numbers(4, 3, 150)]

    def ours(x: Tensor, w: Tensor, b: Tensor, v: Tensor) -> Tensor:
        hidden = ag.max_pool2d(ag.relu(ag.conv2d(x, w, b)), (2, 2))
        return ag.cross_entropy(ag.linear(hidden.reshape(4, 150), v), labels)

    def theirs(x: Any, w: Any, b: Any, v: Any) -> Any:
        hidden = F.max_pool2d(F.relu(F.conv2d(x, w, b)), 2)
        return F.cross_entropy(F.linear(hidden.reshape(4, 150), v), torch.tensor(labels))

    agree(ours, theirs, arrays)
