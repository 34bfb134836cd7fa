"""Many at once, in order, never far ahead of the reader, and never behind their backs after the end."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kopal.parallel import chunks, cores, ordered

# The same examples on every run, and no clock: a busy machine is no failure.
EXAMPLES = settings(deadline=None, derandomize=True)


@pytest.mark.parametrize("workers", [1, 2, 7, None])
def test_results_come_in_the_order_of_the_items(workers: int | None) -> None:
    dice = random.Random(0)
    waits = [dice.random() / 500 for _ in range(100)]

    def work(item: tuple[int, float]) -> int:
        time.sleep(item[1])
        return item[0]

    assert list(ordered(work, enumerate(waits), workers)) == list(range(100))
    assert list(ordered(work, [], workers)) == []


def test_the_source_is_read_only_a_bounded_number_ahead() -> None:
    taken = 0

    def source() -> Iterator[int]:
        nonlocal taken
        while True:
            taken += 1
            yield taken

    for given_back, item in enumerate(ordered(lambda item: item, source(), workers=3), 1):
        assert item == given_back
        assert taken <= given_back + 12
        if given_back == 50:
            break


def test_work_is_really_done_at_once() -> None:
    together = threading.Barrier(3, timeout=10)
    assert len(list(ordered(lambda _: together.wait(), range(3), workers=3))) == 3


def test_an_error_of_the_work_reaches_the_reader_in_its_place() -> None:
    def work(item: int) -> int:
        return 10 // (5 - item)

    results = ordered(work, range(100), workers=2)
    assert [next(results) for _ in range(5)] == [2, 2, 3, 5, 10]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert list(results) == []


def test_an_error_of_the_source_reaches_the_reader() -> None:
    def source() -> Iterator[int]:
        yield from range(3)
        raise KeyError("source")

    with pytest.raises(KeyError, match="source"):
        list(ordered(lambda item: item, source(), workers=1))


def test_a_reader_that_stops_early_stops_the_work() -> None:
    begun: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        time.sleep(0.002)
        return item

    before = threading.active_count()
    results = ordered(work, iter(range(10_000)), workers=2)
    next(results)
    results.close()
    count = len(begun)
    assert count <= 10
    assert threading.active_count() == before
    time.sleep(0.02)
    assert len(begun) == count


def test_an_error_stops_the_rest() -> None:
    begun: list[int] = []

    def work(item: int) -> None:
        begun.append(item)
        raise ValueError(item)

    with pytest.raises(ValueError, match="0"):
        list(ordered(work, iter(range(10_000)), workers=2))
    assert len(begun) <= 10


def test_nothing_is_begun_before_the_first_result_is_asked_for() -> None:
    begun: list[int] = []
    ordered(begun.append, range(5))
    assert begun == []


@EXAMPLES
@given(st.lists(st.integers(), max_size=40), st.integers(1, 9))
def test_chunks_are_the_items_in_pieces(items: list[int], size: int) -> None:
    pieces = list(chunks(iter(items), size))
    assert [item for piece in pieces for item in piece] == items
    assert all(len(piece) == size for piece in pieces[:-1])
    assert all(pieces)


def test_a_process_has_at_least_one_core() -> None:
    assert cores() >= 1
