"""Batches: in order, bounded, complete, whatever becomes of an item, a worker or the executor."""

from __future__ import annotations

import itertools
import os
import pickle
import signal
import subprocess
import sys
import threading
import types
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import TypeVar, cast

import numpy as np
import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from polystore import (
    DiskConfig,
    Dispatcher,
    Failure,
    HostArray,
    Item,
    MemoryConfig,
    NotFound,
    Outcome,
    Payload,
    Pipeline,
    Registry,
    Report,
    Saved,
    StorageError,
    Success,
    Unavailable,
    UnsupportedPayload,
    apply,
    collect,
    compose,
    default_dispatcher,
    is_successful,
    load,
    map_keys,
    rename,
    save,
)
from polystore.builtin import BUILTIN

A = TypeVar("A")
B = TypeVar("B")


def close(results: Iterator[object]) -> None:
    cast("Generator[object, None, None]", results).close()


def kind(outcome: Outcome[object]) -> str:
    return "" if is_successful(outcome) else type(outcome.failure()).__name__


def pipeline_of(step: Callable[[A], Outcome[B]]) -> Pipeline[A, B]:
    return compose(step)


def halved(value: int) -> Outcome[int]:
    if value % 2:
        return Failure(NotFound(str(value), None, "Odd.", "Even ones."))
    return Success(value // 2)


class Inline(Executor):
    """An executor that runs everything when it is given."""

    def submit(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, fn: Callable[..., B], /, *args: object, **kwargs: object
    ) -> Future[B]:
        future: Future[B] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


class Pickling(Executor):
    """An executor that sends everything to this very process, as other processes get it."""

    def submit(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, fn: Callable[..., B], /, *args: object, **kwargs: object
    ) -> Future[B]:
        sent = pickle.loads(pickle.dumps((fn, args, kwargs)))
        future: Future[B] = Future()
        future.set_result(pickle.loads(pickle.dumps(sent[0](*sent[1], **sent[2]))))
        return future


@given(
    st.lists(st.integers(), max_size=20),
    st.sampled_from(("caller", "threads", "own threads", "inline", "pickling")),
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


def test_dropping_the_batch_leaves_no_threads() -> None:
    results = pipeline_of(halved).map(itertools.count(), max_workers=2)
    assert next(results) == (0, Success(0))
    del results
    assert not [thread for thread in threading.enumerate() if "polystore" in thread.name]


@pytest.mark.parametrize("raised", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("workers", [1, 2])
def test_what_stops_the_program_stops_the_batch(raised: type[BaseException], workers: int) -> None:
    def stops(value: int) -> Outcome[int]:
        if value == 3:
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

    for found in collect(pipeline_of(names).map([1, 2, 3], max_workers=2)).values:
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


# Other processes.


def doubled(array: Payload) -> Payload:
    return cast("Payload", cast("HostArray", array) * 2)


def dies(array: Payload) -> Payload:
    os._exit(3)


def unpicklable(_value: Payload) -> Payload:
    return cast("Payload", threading.Lock())


def rebuilt(home: int) -> Stranger:
    if os.getpid() != home:
        raise RuntimeError("not at home here")
    return Stranger()


@frozen
class Stranger:
    """What can be sent, and not be received."""

    def __reduce__(self) -> tuple[Callable[[int], Stranger], tuple[int]]:
        return rebuilt, (os.getpid(),)


def strange(_value: Payload) -> Payload:
    return cast("Payload", Stranger())


@pytest.fixture(scope="module")
def pool(processes: ForkServerContext) -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(2, mp_context=processes) as executor:
        yield executor


@pytest.fixture
def disk(tmp_path: Path) -> DiskConfig:
    config = DiskConfig(root=tmp_path / "source")
    for i in range(6):
        save(config)(Item(f"{i}.npy", np.arange(i))).unwrap()
    return config


KEYS = [f"{i}.npy" for i in range(6)]


def test_processes_do_what_threads_do(
    disk: DiskConfig, tmp_path: Path, pool: ProcessPoolExecutor
) -> None:
    sink = DiskConfig(root=tmp_path / "sink")
    keys = [*KEYS, "missing.npy", "../bad.npy"]
    pipeline = compose(load(disk), apply(doubled), rename(prefix="run/"), save(sink))
    by_processes = list(pipeline.map(keys, pool))
    assert [key for key, _ in by_processes] == keys
    assert [kind(outcome) for _, outcome in by_processes] == [""] * 6 + ["NotFound", "InvalidKey"]
    for i in range(6):
        assert np.load(tmp_path / f"sink/run/{i}.npy").tolist() == [2 * j for j in range(i)]
    again = list(pipeline.map(keys, max_workers=2))
    assert [kind(outcome) for _, outcome in again[:6]] == ["AlreadyExists"] * 6


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_every_way_to_start_processes_works(
    disk: DiskConfig, method: str, processes: ForkServerContext
) -> None:
    # In a fresh process: this one may have threads, and libraries that forbid to fork.
    receiver, sender = processes.Pipe(duplex=False)
    child = processes.Process(target=batch_in_processes, args=(disk.root, method, sender))
    child.start()
    sender.close()
    found = receiver.recv()
    child.join()
    assert found == [(key, "") for key in KEYS]


def batch_in_processes(root: str, method: str, pipe: Connection) -> None:
    with ProcessPoolExecutor(2, mp_context=get_context(method)) as executor:
        pipeline = compose(load(DiskConfig(root=root)), apply(doubled))
        pipe.send([(key, kind(outcome)) for key, outcome in pipeline.map(KEYS, executor)])


def test_processes_are_not_fed_without_bound(disk: DiskConfig, pool: ProcessPoolExecutor) -> None:
    drawn = itertools.count()
    keys = (f"{next(drawn) % 6}.npy" for _ in range(10**6))
    results = compose(load(disk)).map(keys, pool)
    for _ in range(20):
        assert is_successful(next(results)[1])
    assert next(drawn) - 20 <= 4


def errors_of(outcomes: Iterable[tuple[object, Outcome[object]]]) -> list[StorageError]:
    report = collect(outcomes)
    assert report.values == ()
    return list(report.errors)


def test_a_memory_store_is_refused_where_it_cannot_be_seen(
    disk: DiskConfig, pool: ProcessPoolExecutor
) -> None:
    memory = MemoryConfig(name="unseen")
    into, out_of = compose(load(disk), save(memory)), compose(load(memory))
    for error in errors_of(into.map(KEYS, pool)) + errors_of(out_of.map(KEYS, pool)):
        assert isinstance(error, Unavailable)
        assert error.config == memory
        assert "memory store" in error.message


def test_what_cannot_be_sent_is_a_typed_error(disk: DiskConfig, pool: ProcessPoolExecutor) -> None:
    only_here = types.ModuleType("only_here")
    exec("def function(value): return value", vars(only_here))  # noqa: S102 - of this process only
    sys.modules["only_here"] = only_here
    elsewhere = cast("Callable[[Payload], Payload]", vars(only_here)["function"])
    functions: list[Callable[[Payload], Payload]] = [lambda it: it, elsewhere, unpicklable, strange]
    for function in functions:
        pipeline = compose(load(disk), apply(function))
        for error, key in zip(errors_of(pipeline.map(KEYS, pool)), KEYS, strict=True):
            assert isinstance(error, UnsupportedPayload)
            assert error.key == key
            assert "another process" in error.message
    # and the executor works on
    assert len(collect(compose(load(disk)).map(KEYS, pool)).values) == 6


def test_a_key_that_cannot_be_sent_fails_alone(disk: DiskConfig, pool: ProcessPoolExecutor) -> None:
    lock = cast("Payload", threading.Lock())
    items = [Item("a.npy", np.arange(3)), Item("b.npy", lock), Item("c.npy", np.arange(3))]
    outcomes = [kind(outcome) for _, outcome in compose(save(disk)).map(items, pool)]
    assert outcomes == ["", "UnsupportedPayload", ""]


def test_a_worker_that_dies_loses_no_key(disk: DiskConfig, processes: ForkServerContext) -> None:
    with ProcessPoolExecutor(2, mp_context=processes) as executor:
        pipeline = compose(load(disk), apply(dies))
        errors = errors_of(pipeline.map(KEYS * 5, executor))
        assert len(errors) == 30
        for error in errors:
            assert isinstance(error, Unavailable)
            assert "again" in error.advice


def test_a_dispatcher_of_ones_own_goes_along(disk: DiskConfig, pool: ProcessPoolExecutor) -> None:
    dispatcher = Dispatcher(Registry.from_entries(BUILTIN).unwrap())
    pipeline = compose(load(disk), apply(doubled))
    results = map_keys(dispatcher, pipeline, [KEYS[0], *KEYS], pool)
    assert len(collect(results).values) == 7
    assert dispatcher is not default_dispatcher()


# Ctrl-C.


class Interrupted(Executor):
    """An executor that is interrupted while it takes its first task."""

    def __init__(self) -> None:
        self.began, self.ended = 0, 0

    def submit(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, fn: Callable[..., B], /, *args: object, **kwargs: object
    ) -> Future[B]:
        self.began += 1
        signal.raise_signal(signal.SIGINT)
        self.ended += 1
        return Future()


def test_an_executor_is_not_interrupted_while_it_takes_a_task() -> None:
    executor = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        list(pipeline_of(halved).map(itertools.count(), executor))
    assert (executor.began, executor.ended) == (1, 1)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def ctrl_c_ignored(_value: Payload) -> Payload:
    return signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_the_workers_leave_ctrl_c_to_the_parent(
    disk: DiskConfig, pool: ProcessPoolExecutor
) -> None:
    report = collect(compose(load(disk), apply(ctrl_c_ignored)).map(KEYS, pool))
    assert [item.payload for item in report.values] == [True] * 6
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


INTERRUPTED = """
import itertools, sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
import numpy as np
from polystore import DiskConfig, Item, compose, save

if __name__ == "__main__":
    root, how = sys.argv[1:]
    items = (Item(f"{i}.npy", np.full(200_000, i)) for i in itertools.count())
    executor = None
    if how == "processes":
        executor = ProcessPoolExecutor(2, mp_context=get_context("spawn"))
    for _, outcome in compose(save(DiskConfig(root=root))).map(items, executor, 2):
        outcome.unwrap()
        print("saved", flush=True)
"""


@pytest.mark.parametrize("how", ["threads", "processes"])
def test_ctrl_c_ends_a_batch_and_what_was_saved_is_whole(tmp_path: Path, how: str) -> None:
    script, root = tmp_path / "script.py", tmp_path / "root"
    script.write_text(INTERRUPTED)
    with subprocess.Popen(
        [sys.executable, str(script), str(root), how],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "saved\n"
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to the workers too
        _, errors = process.communicate(timeout=60)
    assert "KeyboardInterrupt" in errors
    assert process.returncode != 0
    saved = sorted(root.iterdir())
    assert saved
    for path in saved:
        assert np.load(path).tolist() == [int(path.stem)] * 200_000
