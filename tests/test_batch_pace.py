"""Which way a batch runs its items: the faster one, whatever they take, and soon after changes."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Iterator

import pytest
from attrs import frozen
from hypothesis import example, given
from hypothesis import strategies as st

from batches import close, pipeline_of
from polystore import Outcome, Success
from polystore.pace import LONG, WORTH, Pace, Stint


@frozen
class Costs:
    """What one item takes, in threads (by the item, of many at once) and in the caller's thread."""

    in_threads: float
    here: float

    @property
    def least(self) -> float:
        return min(self.in_threads, self.here)


def spent(workers: int, items: Iterable[Costs]) -> Iterator[float]:
    """Give what a batch spends on each of the items."""
    pace, stint = Pace(workers), Stint()
    for costs in items:
        seconds = costs.in_threads if pace.in_threads else costs.here
        yield seconds
        pace, stint = pace.after(stint.plus(seconds))


def slowed(here: float, times: float) -> Costs:
    return Costs(here * times, here)


ALL_COSTS = st.builds(slowed, st.floats(1e-5, 10.0), st.floats(1 / 64, 5.0))
"""Any costs, where threads make an item at most five times slower."""

WORKERS = st.sampled_from((1, 2, 4, 16))


@given(WORKERS, ALL_COSTS)
@example(2, Costs(350e-6, 150e-6))  # small files
@example(2, Costs(3e-3, 5.5e-3))  # images that are deflated
def test_a_batch_takes_as_long_as_the_faster_way(workers: int, costs: Costs) -> None:
    total = sum(spent(workers, itertools.repeat(costs, 10_000)))
    if costs.in_threads > LONG:
        assert total == pytest.approx(10_000 * costs.in_threads)
    else:
        assert total <= 10_000 * costs.least * WORTH * (1.05 + 0.02 * workers)


@given(WORKERS, st.floats(1 / WORTH + 1e-3, 1.0))
def test_threads_that_gain_little_are_left(workers: int, gain: float) -> None:
    costs = Costs(1e-3 * gain, 1e-3)
    away = sum(it != 1e-3 for it in spent(workers, itertools.repeat(costs, 10_000)))
    assert gain == 1.0 or away <= 60 * workers


@given(WORKERS, st.integers(0, 3000), st.floats(0.01, 10.0))
def test_items_that_become_long_soon_go_to_threads(
    workers: int, before: int, seconds: float
) -> None:
    quick, long = Costs(350e-6, 150e-6), Costs(seconds / workers, seconds)
    if long.in_threads <= LONG:
        return
    items = itertools.chain(itertools.repeat(quick, before), itertools.repeat(long, 1000))
    late = [it for it in itertools.islice(spent(workers, items), before, None) if it == seconds]
    assert workers == 1 or len(late) <= 1 + before * 500e-6 / seconds


@given(WORKERS, st.lists(st.floats(1e-3, 1.0), max_size=5), st.floats(0.0, 1.0))
def test_a_pause_does_not_send_small_items_to_threads_for_long(
    workers: int, pauses: list[float], where: float
) -> None:
    quick = Costs(350e-6, 150e-6)
    items = [quick] * 10_000
    for i, pause in enumerate(pauses):  # of the machine: it would be so either way
        items[int(where * 2000) + 1500 * i] = Costs(pause, pause)
    total = sum(spent(workers, items)) - sum(pauses)
    assert total <= 10_000 * quick.least * WORTH * (1.05 + 0.02 * workers)


def test_what_threads_only_slow_down_comes_to_the_caller() -> None:
    def where(_value: int) -> Outcome[str]:
        return Success(threading.current_thread().name)

    results = pipeline_of(where).map(itertools.repeat(0))
    caller = Success(threading.current_thread().name)
    assert (0, caller) in results
    close(results)


def test_so_many_workers_are_so_many_threads() -> None:
    barrier = threading.Barrier(3)

    def meets(value: int) -> Outcome[int]:
        barrier.wait(timeout=60)
        return Success(value)

    results = pipeline_of(meets).map(range(300), max_workers=3)
    assert list(results) == [(i, Success(i)) for i in range(300)]
