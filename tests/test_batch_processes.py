"""Batches in other processes: what goes there, what comes back, and Ctrl-C."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import types
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import TypeVar, cast

import numpy as np
import pytest
from attrs import frozen

from batches import halved, kind, pipeline_of
from polystore import (
    DiskConfig,
    Dispatcher,
    HostArray,
    Item,
    MemoryConfig,
    Outcome,
    Payload,
    Place,
    ReadOnlyConfig,
    Registry,
    Route,
    RouteConfig,
    Source,
    StorageError,
    Unavailable,
    UnsupportedPayload,
    VirtualConfig,
    VirtualItem,
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


def made_of(memory: MemoryConfig) -> dict[str, Source[Payload]]:
    routes = RouteConfig((Route(DiskConfig(root="plate"), ("array",)), Route(memory)))
    views = VirtualConfig({"0.npy": VirtualItem(Place(memory, "0.npy"))})
    by_function = VirtualConfig(in_memory, keys=("0.npy",))
    stores: dict[str, Source[Payload]] = {
        "readonly": ReadOnlyConfig(memory),
        "route": routes,
        "virtual": views,
        "function": by_function,
    }
    return {**stores, "deep": ReadOnlyConfig(ReadOnlyConfig(ReadOnlyConfig(routes)))}


def in_memory(key: str) -> VirtualItem:
    return VirtualItem(Place(MemoryConfig(name="unseen"), key))


@pytest.mark.parametrize("store", ["readonly", "route", "virtual", "function", "deep"])
def test_a_store_made_of_memory_is_refused_too(store: str, pool: ProcessPoolExecutor) -> None:
    source = made_of(MemoryConfig(name="unseen"))[store]
    for error in errors_of(compose(load(source)).map(KEYS[:1], pool)):
        assert isinstance(error, Unavailable)
        assert error.config == source
        assert "memory store" in error.message


def test_a_store_made_of_files_goes_along(
    disk: DiskConfig, tmp_path: Path, pool: ProcessPoolExecutor
) -> None:
    views = VirtualConfig({key: VirtualItem(Place(ReadOnlyConfig(disk), key)) for key in KEYS})
    routes = RouteConfig((Route(DiskConfig(root=tmp_path / "sink")),))
    report = collect(compose(load(views), save(routes)).map(KEYS, pool))
    assert [saved.config for saved in report.values] == [routes] * len(KEYS)


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
        future: Future[B] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


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
