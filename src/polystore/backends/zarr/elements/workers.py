"""The work of one read or write on all cores: one level of parallelism at a time."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice

__all__ = ["SMALL", "run_all"]

SMALL = 2**20
"""Bytes of elements below which threads cost more than they save."""


WAITING = 16
"""Threads for tasks that wait for others most of the time, whatever the number of cores."""


def run_all(tasks: Iterable[Callable[[], object]], nbytes: int, waits: bool = False) -> None:
    """Run tasks, in threads where they are worth it; raises what the first one to fail raised.

    `nbytes` is how much the tasks work on. Fewer than `SMALL` are run in the caller's thread, and
    so is all that comes from another thread than the main one, or from a process of a pool: those
    who made these have already given the cores their work. Tasks that wait for a server most of
    the time (`waits`) are run in many threads in any case. Tasks are taken from the iterable as
    they are needed, by one thread at a time; after a failure, no more are begun, and it is raised
    when none is under way any more.

    >>> done = []
    >>> run_all([lambda: done.append(1), lambda: done.append(2)], 0)
    >>> done
    [1, 2]
    """
    cores = 1 if nbytes < SMALL or not _is_alone() else os.cpu_count() or 1
    workers = WAITING if waits else cores
    upcoming = iter(tasks)
    first = list(islice(upcoming, workers))
    if len(first) > 1:
        _in_threads(chain(first, upcoming), len(first))
        return
    for task in chain(first, upcoming):
        task()


def _is_alone() -> bool:
    if threading.current_thread() is not threading.main_thread():
        return False
    processes = sys.modules.get("multiprocessing.process")
    return processes is None or processes.parent_process() is None


def _in_threads(tasks: Iterator[Callable[[], object]], workers: int) -> None:
    lock = threading.Lock()
    failures: list[BaseException] = []

    def taken() -> Callable[[], object] | None:
        with lock:
            return None if failures else next(tasks, None)

    def work() -> None:
        try:
            for task in iter(taken, None):
                task()
        except BaseException as failure:  # noqa: BLE001 - raised in the caller's thread
            failures.append(failure)

    threads = [threading.Thread(target=work, name="polystore-zarr") for _ in range(workers)]
    try:
        for thread in threads:
            thread.start()
        _wait_for(threads)
    except BaseException as interrupt:  # Ctrl-C: nothing may be read or written behind it
        failures.append(interrupt)
        _wait_for(threads)
        raise
    if failures:
        raise failures[0]


def _wait_for(threads: Iterable[threading.Thread]) -> None:
    for thread in threads:
        if thread.ident is not None:
            thread.join()
