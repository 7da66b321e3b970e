"""Batches: in order, bounded, complete, whatever becomes of an item, a worker or the executor."""

from __future__ import annotations

import itertools
import os
import pickle
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batches import Inline, Pickling, close, halved, kind, pipeline_of
from polystore import (
    DiskConfig,
    Item,
    Outcome,
    Report,
    Saved,
    Success,
    Unavailable,
    collect,
    compose,
    is_successful,
    load,
    save,
)

A = TypeVar("A")
B = TypeVar("B")


@given(
    st.lists(st.integers(), max_size=20),
    st.sampled_from(("caller", "default", "threads", "own threads", "inline", "pickling")),
    st.integers(1, 4),
)
def test_a_batch_is_its_items_one_by_one(keys: list[int], where: str, workers: int) -> None:
    pipeline = pipeline_of(halved)
    wanted = [(key, pipeline(key)) for key in keys]
    if where == "threads":
        with ThreadPoolExecutor(workers) as executor:
            assert list(pipeline.map(keys, executor)) == wanted
            assert executor.submit(int, 3).result() == 3  # it is the caller's, and still open
    elif where == "own threads":
        assert list(pipeline.map(iter(keys), max_workers=workers)) == wanted
    elif where == "default":
        assert list(pipeline.map(iter(keys * 20))) == wanted * 20  # enough to try both ways
    elif where == "caller":
        assert list(pipeline.map(keys, max_workers=1)) == wanted
    else:
        one_by_one: Executor = Inline() if where == "inline" else Pickling()
        assert list(pipeline.map(keys, one_by_one, workers)) == wanted
    report = collect(pipeline.map(keys))
    assert list(report.values) == [it.unwrap() for _, it in wanted if is_successful(it)]
    assert list(report.errors) == [it.failure() for _, it in wanted if not is_successful(it)]
    assert list(report.failed) == [key for key, it in wanted if not is_successful(it)]


def test_a_report_says_what_was_written_and_what_was_there(tmp_path: Path) -> None:
    disk = DiskConfig(root=tmp_path)
    keep = compose(save(disk, if_exists="skip"))
    items = [Item(f"{i}.npy", np.arange(i)) for i in range(3)]
    first: Report[Saved] = collect(keep.map(items[:2]))
    second: Report[Saved] = collect(keep.map([*items, Item("../x.npy", np.arange(1))]))
    assert [saved.key for saved in first.saved] == ["0.npy", "1.npy"]
    assert [saved.key for saved in second.saved] == ["2.npy"]
    assert [saved.key for saved in second.skipped] == ["0.npy", "1.npy"]
    assert [type(error).__name__ for error in second.errors] == ["InvalidKey"]
    assert pickle.loads(pickle.dumps(first)) == first


# Bounded.


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("own", [True, False])
def test_a_million_keys_are_not_a_million_futures(workers: int, own: bool) -> None:
    drawn = itertools.count()
    keys = (next(drawn) * 2 for _ in range(10**6))
    with ThreadPoolExecutor(workers) as executor:
        if own:
            results = pipeline_of(halved).map(keys, executor)
        else:
            results = pipeline_of(halved).map(keys, max_workers=workers)
        for given_back, (key, outcome) in zip(range(500), results, strict=False):
            assert (key, outcome) == (2 * given_back, Success(given_back))
        ahead = next(drawn) - 500
        assert ahead <= 2 * workers
        close(results)


def test_a_million_keys_are_not_drawn_at_once_either_way() -> None:
    drawn = itertools.count()
    keys = (next(drawn) * 2 for _ in range(10**6))
    results = pipeline_of(halved).map(keys)
    for given_back in range(500):
        assert next(results) == (2 * given_back, Success(given_back))
    assert next(drawn) - 500 <= 2 * (os.cpu_count() or 1)
    close(results)


def test_nothing_runs_before_it_is_asked_for() -> None:
    def never() -> Iterator[int]:
        raise AssertionError("asked for a key")
        yield 0

    pipeline_of(halved).map(never())


def test_a_slow_first_item_lets_no_more_than_the_bound_run_ahead() -> None:
    last_of_the_bound = threading.Event()
    drawn = itertools.count()

    def waits(value: int) -> Outcome[int]:
        if value == 0:
            last_of_the_bound.wait()
        elif value == 3:
            last_of_the_bound.set()
        return Success(value)

    keys = (next(drawn) for _ in range(1000))
    results = pipeline_of(waits).map(keys, max_workers=2)
    assert next(results) == (0, Success(0))
    assert next(drawn) == 4


# What goes wrong.


@pytest.mark.parametrize("workers", [None, 1, 2])
def test_what_the_keys_raise_is_raised_after_all_outcomes(workers: int | None) -> None:
    def keys() -> Iterator[int]:
        yield from (0, 2, 4, 6, 8)
        raise ConnectionError("the server with the names is gone")

    results = pipeline_of(halved).map(keys(), max_workers=workers)
    for key in (0, 2, 4, 6, 8):
        assert next(results) == (key, Success(key // 2))
    with pytest.raises(ConnectionError):
        next(results)


def test_keys_that_are_none_raise(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        list(compose(load(DiskConfig(root=tmp_path))).map(cast("Iterable[str]", 3)))


@pytest.mark.parametrize("workers", [0, -1])
@pytest.mark.parametrize("own", [True, False])
def test_no_workers_are_refused_at_once(workers: int, own: bool) -> None:
    with ThreadPoolExecutor(1) as executor, pytest.raises(ValueError, match="at least one worker"):
        pipeline_of(halved).map([1], executor if own else None, workers)


def test_a_closed_executor_gives_every_key_an_error() -> None:
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    outcomes = list(pipeline_of(halved).map(range(50), executor))
    assert [key for key, _ in outcomes] == list(range(50))
    for _, outcome in outcomes:
        assert isinstance(outcome.failure(), Unavailable)
        assert "takes no work" in outcome.failure().message


def test_an_executor_that_is_closed_in_the_middle_loses_no_key() -> None:
    executor = ThreadPoolExecutor(2)
    keys = range(0, 100, 2)
    seen: list[tuple[int, str]] = []
    for key, outcome in pipeline_of(halved).map(keys, executor):
        seen.append((key, kind(outcome)))
        if key == 20:
            executor.shutdown(wait=True, cancel_futures=True)
    assert [key for key, _ in seen] == list(keys)
    assert {what for key, what in seen if key <= 20} == {""}
    assert seen[-1][1] == "Unavailable"


class Waiting(Executor):
    """An executor that begins what it is given when it is told to."""

    def __init__(self) -> None:
        self.futures: list[Future[object]] = []

    def submit(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, fn: Callable[..., B], /, *args: object, **kwargs: object
    ) -> Future[B]:
        future: Future[B] = Future()
        self.futures.append(cast("Future[object]", future))
        if len(self.futures) == 1:
            future.set_result(fn(*args, **kwargs))
        return future


def test_dropping_the_batch_cancels_what_has_not_begun_and_waits_for_the_rest() -> None:
    executor, closed = Waiting(), threading.Event()

    def keys() -> Iterator[int]:
        try:
            yield from itertools.count(step=2)
        finally:
            closed.set()

    results = pipeline_of(halved).map(keys(), executor, 2)
    assert next(results) == (0, Success(0))
    _, begun, *not_begun = executor.futures
    assert len(not_begun) == 2
    begun.set_running_or_notify_cancel()

    def finishes() -> None:
        closed.wait()
        begun.set_result(Success(1))

    finisher = threading.Thread(target=finishes)
    finisher.start()
    close(results)
    assert begun.done()
    assert all(future.cancelled() for future in not_begun)
    finisher.join()


@pytest.mark.parametrize(("workers", "after"), [(2, 1), (None, 1), (None, 100)])
def test_dropping_the_batch_leaves_no_threads(workers: int | None, after: int) -> None:
    results = pipeline_of(halved).map(itertools.count(step=2), max_workers=workers)
    assert [next(results) for _ in range(after)][-1] == (2 * after - 2, Success(after - 1))
    del results
    assert not [thread for thread in threading.enumerate() if "polystore" in thread.name]


@pytest.mark.parametrize("raised", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize(("workers", "at"), [(1, 3), (2, 3), (None, 3), (None, 10), (None, 300)])
def test_what_stops_the_program_stops_the_batch(
    raised: type[BaseException], workers: int | None, at: int
) -> None:
    def stops(value: int) -> Outcome[int]:
        if value == at:
            raise raised
        return Success(value)

    seen: list[object] = []
    with pytest.raises(raised):
        seen.extend(pipeline_of(stops).map(itertools.count(), max_workers=workers))


# Nested batches.


@pytest.mark.parametrize("how", ["the same executor", "no executor", "another executor"])
def test_a_batch_within_an_item_of_a_batch_ends(how: str) -> None:
    with ThreadPoolExecutor(1) as outer, ThreadPoolExecutor(1) as another:
        inner = {"the same executor": outer, "no executor": None, "another executor": another}[how]

        def sums(value: int) -> Outcome[int]:
            return Success(sum(collect(pipeline_of(halved).map([value, value + 2], inner)).values))

        report = collect(pipeline_of(sums).map([0, 2, 4], outer))
    assert report.values == (1, 3, 5)


def test_a_batch_within_a_batch_makes_no_more_threads() -> None:
    def where(_value: int) -> Outcome[str]:
        return Success(threading.current_thread().name)

    def names(value: int) -> Outcome[set[str]]:
        inner = collect(pipeline_of(where).map(range(5)))
        assert threading.current_thread().name in inner.values
        return Success(set(inner.values))

    for workers, count in ((2, 3), (None, 100)):
        for found in collect(pipeline_of(names).map(range(count), max_workers=workers)).values:
            assert len(found) == 1


# Progress.


@pytest.mark.parametrize("sized", [True, False])
def test_progress_goes_to_the_standard_error(
    capfd: pytest.CaptureFixture[str], sized: bool
) -> None:
    keys = [0, 2, 4] if sized else iter([0, 2, 4])
    report = collect(pipeline_of(halved).map(keys, progress=True))
    assert report.values == (0, 1, 2)
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "polystore" in captured.err


def test_progress_within_progress_ends() -> None:
    def sums(value: int) -> Outcome[int]:
        inner = pipeline_of(halved).map([value, value], progress=True)
        return Success(sum(collect(inner).values))

    assert collect(pipeline_of(sums).map([0, 2], max_workers=2, progress=True)).values == (0, 2)
