"""The pool of handles: each opened once, none shared with a fork, all closed."""

from __future__ import annotations

import gc
import os
import pickle
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import cast

import pytest
from attrs import field, frozen

from polystore import (
    Backend,
    BackendNotRegistered,
    Context,
    DiskConfig,
    Dispatcher,
    Failure,
    Item,
    MemoryConfig,
    NotFound,
    Opened,
    Outcome,
    Pipeline,
    Reach,
    Registry,
    Report,
    Saved,
    Success,
    collect,
    compose,
    convert,
    default_dispatcher,
    handles,
    is_successful,
    load,
    rename,
    save,
)
from polystore.builtin import BUILTIN
from polystore.pool import HandlePool


@frozen
class LineConfig:
    """Names a store that counts how often it is opened and closed."""

    name: str


@frozen
class Lines:
    """What happened, in its order."""

    events: list[str] = field(factory=list[str])

    def backend(self, opens: Callable[[str], Outcome[str]] = Success) -> Backend[object, object]:
        def open(config: LineConfig, _context: Context, /) -> Outcome[str]:
            self.events.append(f"open {config.name}")
            return opens(config.name)

        def close(handle: str, /) -> None:
            self.events.append(f"close {handle}")
            if handle.startswith("bad"):
                raise ConnectionError(handle)

        return Backend(name="lines", config=LineConfig, reach=Reach.NETWORK, open=open, close=close)

    def dispatcher(self) -> Dispatcher:
        return Dispatcher(Registry.of(self.backend()).unwrap())


def test_a_config_is_opened_once_by_many_threads() -> None:
    lines = Lines()
    dispatcher = lines.dispatcher()
    start = threading.Barrier(8)

    def opens(_who: int) -> list[Opened]:
        start.wait()
        return [dispatcher.open(LineConfig(str(turn))).unwrap() for turn in range(50)]

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(opens, range(8)))
    assert sorted(lines.events) == sorted(f"open {turn}" for turn in range(50))
    for opened in found:
        assert all(one is other for one, other in zip(opened, found[0], strict=True))


def test_equal_configs_are_one_handle_and_registries_have_their_own() -> None:
    lines = Lines()
    one, other = lines.dispatcher(), lines.dispatcher()
    assert one.open(LineConfig("a")).unwrap() is one.open(LineConfig("a")).unwrap()
    assert one.open(LineConfig("a")).unwrap() is not other.open(LineConfig("a")).unwrap()
    assert lines.events == ["open a", "open a"]


def test_a_failure_is_not_kept() -> None:
    lines = Lines()
    answers: Iterator[Outcome[str]] = iter(
        (Failure(NotFound("", None, "Away.", "Wait.")), Success("a"))
    )
    dispatcher = Dispatcher(Registry.of(lines.backend(lambda _: next(answers))).unwrap())
    assert not is_successful(dispatcher.open(LineConfig("a")))
    assert dispatcher.open(LineConfig("a")).unwrap().handle == "a"
    assert lines.events == ["open a", "open a"]


def test_all_are_closed_the_latest_first_even_if_one_fails() -> None:
    lines = Lines()
    dispatcher = lines.dispatcher()
    for name in ("a", "bad 1", "b", "bad 2", "kept"):
        dispatcher.open(LineConfig(name)).unwrap()
    lines.events.clear()
    with pytest.raises(ConnectionError):
        dispatcher.pool.close(keep=frozenset({LineConfig("kept")}))
    assert lines.events == ["close bad 2", "close b", "close bad 1", "close a"]
    assert dispatcher.pool.configs() == {LineConfig("kept")}
    dispatcher.pool.close()
    dispatcher.pool.close()
    assert lines.events[4:] == ["close kept"]


def test_handles_closes_what_was_opened_in_it() -> None:
    before, within = MemoryConfig(name="before"), MemoryConfig(name="within")
    save(before)(Item("a", 1)).unwrap()

    def leaves_early() -> None:
        with handles():
            save(within)(Item("a", 1)).unwrap()
            assert within in default_dispatcher().pool.configs()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        leaves_early()
    assert is_successful(load(before)("a"))
    assert not is_successful(load(within)("a"))


@pytest.mark.parametrize("config", [[1], {"root": "plate"}, {1}])
def test_what_cannot_be_hashed_is_no_config(config: object) -> None:
    opened = default_dispatcher().open(config)
    assert isinstance(opened.failure(), BackendNotRegistered)
    assert "DiskConfig" in opened.failure().advice


def test_pools_that_are_gone_are_forgotten() -> None:
    before = len(gc.get_objects())
    for _ in range(2000):
        HandlePool()
    gc.collect()
    assert len(gc.get_objects()) < before + 2000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_fork_begins_with_nothing_and_closes_nothing_of_its_parent(
    processes: ForkServerContext,
) -> None:
    # In a fresh process: this one may have threads, and libraries that forbid to fork.
    receiver, sender = processes.Pipe(duplex=False)
    child = processes.Process(target=forks, args=(sender,))
    child.start()
    sender.close()
    found = receiver.recv()
    child.join()
    assert found == (["open b", "close b"], ["open a"])


def forks(pipe: Connection) -> None:
    lines = Lines()
    dispatcher = lines.dispatcher()
    held, release = threading.Event(), threading.Event()

    def holds() -> None:
        def make() -> Outcome[Opened]:
            held.set()
            release.wait()
            return Failure(NotFound("", None, "", ""))

        dispatcher.pool.get(LineConfig("held"), make)

    dispatcher.open(LineConfig("a")).unwrap()
    holder = threading.Thread(target=holds)
    holder.start()
    held.wait()  # the lock of the pool is held by a thread that the child does not have
    reader, writer = os.pipe()
    if os.fork() == 0:
        lines.events.clear()
        dispatcher.open(LineConfig("b")).unwrap()
        dispatcher.pool.close()
        os.write(writer, pickle.dumps(lines.events))
        os._exit(0)
    os.wait()
    release.set()
    holder.join()
    pipe.send((pickle.loads(os.read(reader, 10_000)), lines.events))


def stem(key: str) -> str:
    return key.partition(".")[0]


def test_what_one_sends_elsewhere_pickles(tmp_path: Path) -> None:
    disk = DiskConfig(root=tmp_path)
    pipeline: Pipeline[object, Saved] = cast(
        "Pipeline[object, Saved]",
        compose(load(disk), convert(to="jax"), rename(stem), save(disk, if_exists="skip")),
    )
    outcome = load(disk)("missing.npy")
    report: Report[object] = collect(
        [("a", outcome), ("b", Success(Saved("b", disk, "written", 1)))]
    )
    for value in (disk, pipeline, *pipeline.steps, outcome, outcome.failure(), report):
        assert pickle.loads(pickle.dumps(value)) == value
    assert pickle.loads(pickle.dumps(default_dispatcher())) is default_dispatcher()


def test_a_dispatcher_of_ones_own_pickles_without_its_handles(tmp_path: Path) -> None:
    dispatcher = Dispatcher(Registry.from_entries(BUILTIN).unwrap())
    disk = DiskConfig(root=tmp_path)
    dispatcher.open(disk).unwrap()
    copy: Dispatcher = pickle.loads(pickle.dumps(dispatcher))
    assert copy.pool.configs() == frozenset()
    assert copy.pool is not dispatcher.pool
    assert is_successful(copy.open(disk))
