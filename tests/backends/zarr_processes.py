"""Processes that save, load and are stopped, for the tests of the Zarr store.

A process is stopped at an exact place by an audit hook of Python's own, which is called before each
operation on files: at the n-th it kills the process, or raises.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path

import numpy as np
from zarr_access import delete, put

from polystore import NotFound, ZarrConfig, is_successful, load
from polystore.core.outcome import Outcome
from polystore.core.payload import HostArray
from polystore.core.records import IfExists

SHAPE = (8, 16)

CHUNKS = (2, 16)
"""An array of 512 bytes then has four chunks, each in a file of its own."""

SPAWN = multiprocessing.get_context("spawn")
"""A process that forks must not be the tests' own, which may have any threads."""


def store_at(root: Path, chunks: tuple[int, ...] = CHUNKS) -> ZarrConfig:
    return ZarrConfig(root=root, chunks=chunks, shards=())


def full(value: int) -> HostArray:
    return np.full(SHAPE, value, "u4")


def put_value(
    store: ZarrConfig, key: str, value: int, if_exists: IfExists = "fail"
) -> Outcome[str]:
    """Save an array that has one value everywhere."""
    return put(store, key, full(value), if_exists)


def value_at(store: ZarrConfig, key: str) -> int | None:
    """Give the one value that all elements have; `None` if nothing is stored."""
    loaded = load(store)(key)
    if not is_successful(loaded):
        assert isinstance(loaded.failure(), NotFound), loaded
        return None
    array = loaded.unwrap().payload
    assert array.shape == SHAPE
    values: set[int] = set(array.ravel().tolist())
    assert len(values) == 1, f"a mixture of {values}"
    return values.pop()


def warm_up(store: ZarrConfig) -> None:
    """Save, replace, load and delete once, so that forked children import nothing."""
    put_value(store, "a", 1).unwrap()
    put_value(store, "a", 2, "replace").unwrap()
    assert value_at(store, "a") == 2
    delete(store, "a").unwrap()


def at_operation(number: int, act: Callable[[], None]) -> None:
    """Call `act` before the n-th operation on files from now on, once, in whichever thread."""
    operations = count(1)

    def hook(event: str, _arguments: object) -> None:
        on_files = event == "open" or event.startswith(("os.", "fcntl.", "shutil."))
        if on_files and next(operations) == number:
            act()

    sys.addaudithook(hook)


def start_fork(action: Callable[[], None]) -> int:
    """Start `action` in a forked child; give its process number."""
    pid = os.fork()
    if pid == 0:
        try:
            action()
            os._exit(0)
        finally:
            os._exit(1)
    return pid


def wait_for(pid: int) -> int:
    """Give the exit status of a child, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def in_fork(action: Callable[[], None]) -> int:
    return wait_for(start_fork(action))


def stopped_ever_later(
    base: Path,
    prepare: Callable[[ZarrConfig], None],
    act: Callable[[ZarrConfig], None],
    stop: Callable[[], None],
) -> None:
    """Act in children that are stopped ever later, each on a store of its own, until one is not."""
    warm_up(store_at(base.with_name("warm")))
    for number in count(1):
        store = store_at(base / str(number))

        def stopped(store: ZarrConfig = store, number: int = number) -> None:
            prepare(store)
            at_operation(number, stop)
            act(store)

        if in_fork(stopped) == 0:
            return


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def interrupt() -> None:
    """Raise what comes there: Ctrl-C in the main thread only."""
    main = threading.current_thread() is threading.main_thread()
    raise KeyboardInterrupt if main else RuntimeError


def stores_in(base: Path) -> list[ZarrConfig]:
    """Give the stores that were acted on, in the order in which they were."""
    return [store_at(base / str(number + 1)) for number in range(len(list(base.iterdir())))]


def run(target: Callable[..., None], *arguments: object) -> None:
    """Run a function in a process of its own, to its end."""
    process = SPAWN.Process(target=target, args=arguments)
    process.start()
    process.join()
    assert process.exitcode == 0
