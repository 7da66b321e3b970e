"""Batches: a pipeline over many keys, in order, with a bounded number in flight; their report."""

from __future__ import annotations

import os
import sys
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sized
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import PurePath
from time import perf_counter
from typing import Generic, TypeAlias, TypeVar, cast

from attrs import frozen

from polystore.core.errors import InvalidKey, StorageError
from polystore.core.item import Saved
from polystore.core.outcome import Failure, Outcome, is_outcome, is_successful
from polystore.dispatch import Dispatcher
from polystore.pace import Pace, Stint
from polystore.steps.compose import Pipeline
from polystore.task import Pending, Task, executors_around, outcome_of, submitted, task_of

__all__ = ["Report", "collect", "map_keys"]

A = TypeVar("A")
B = TypeVar("B")
T_co = TypeVar("T_co", covariant=True)

Results: TypeAlias = Generator[tuple[A, Outcome[B]], None, None]


@frozen
class Report(Generic[T_co]):
    """What a batch did: the value of each item that succeeded, the error of each that did not.

    `failed` has the keys of the `errors`, in the same order, to be tried again.
    """

    values: tuple[T_co, ...]
    errors: tuple[StorageError, ...]
    failed: tuple[object, ...]

    @property
    def saved(self: Report[Saved]) -> tuple[Saved, ...]:
        """What was written."""
        return tuple(saved for saved in self.values if saved.status == "written")

    @property
    def skipped(self: Report[Saved]) -> tuple[Saved, ...]:
        """What was there already, under `if_exists="skip"`."""
        return tuple(saved for saved in self.values if saved.status == "skipped")


def collect(outcomes: Iterable[tuple[object, Outcome[B]]]) -> Report[B]:
    """Give the report of a batch: runs it to its end, and keeps every value and every error.

    >>> from polystore import Item, MemoryConfig, compose, save
    >>> pipeline = compose(save(MemoryConfig(name="doctest-collect")))
    >>> report = collect(pipeline.map([Item("a.json", 1), Item("../b.json", 2)]))
    >>> [saved.key for saved in report.saved], [type(error).__name__ for error in report.errors]
    (['a.json'], ['InvalidKey'])
    """
    values: list[B] = []
    errors: list[StorageError] = []
    failed: list[object] = []
    for key, outcome in outcomes:
        if is_successful(outcome):
            values.append(outcome.unwrap())
        else:
            errors.append(outcome.failure())
            failed.append(key)
    return Report(tuple(values), tuple(errors), tuple(failed))


def map_keys(  # noqa: PLR0913 - the arguments of Pipeline.map, and what it is run on
    dispatcher: Dispatcher,
    pipeline: Pipeline[A, B],
    keys: Iterable[A],
    executor: Executor | None = None,
    max_workers: int | None = None,
    progress: bool = False,
) -> Iterator[tuple[A, Outcome[B]]]:
    """Run a pipeline over keys on a dispatcher: what `Pipeline.map` does on the default one.

    At most twice as many keys are in flight as there are workers: `max_workers`, or those of the
    executor, or one per core. `ValueError` if `max_workers` is less than one. With neither, items
    run in threads or, where these only wait for each other, in the caller's thread: the batch tries
    both ways on a few items, and goes on the faster way (`Pace`). In a batch that runs within an
    item of another one, all runs in the thread of that item, unless it has an executor of its own.
    The workers of a process pool ignore Ctrl-C from their first task on: it stops the batch here.

    >>> from polystore import MemoryConfig, compose, default_dispatcher, load
    >>> pipeline = compose(load(MemoryConfig(name="doctest-map")))
    >>> [key for key, _ in map_keys(default_dispatcher(), pipeline, ["b", "a"])]
    ['b', 'a']
    """
    if max_workers is not None and max_workers < 1:
        raise ValueError(f"max_workers is {max_workers}: a batch needs at least one worker")
    if isinstance(keys, (str, PurePath)) or is_outcome(keys):
        return iter([(cast("A", keys), Failure(_not_keys(keys)))])
    total = len(keys) if isinstance(keys, Sized) else None
    return _shown(_results(dispatcher, pipeline, keys, executor, max_workers), progress, total)


def _not_keys(keys: object) -> InvalidKey:
    """A text is an iterable of letters, and an outcome of one value: neither is a list of keys."""
    return InvalidKey(
        str(keys)[:200],
        None,
        f"A batch takes many keys, and was given a {type(keys).__name__}.",
        "Call the pipeline itself for one key; unwrap the outcome of list_files first.",
    )


def _shown(results: Results[A, B], progress: bool, total: int | None) -> Results[A, B]:
    with closing(results), _progress_bar(progress, total) as advance:
        for result in results:
            advance()
            yield result


def _results(
    dispatcher: Dispatcher,
    pipeline: Pipeline[A, B],
    keys: Iterable[A],
    executor: Executor | None,
    max_workers: int | None,
) -> Results[A, B]:
    around = executors_around.get()
    # Workers that wait for work of their own pool would wait for ever; and one level of
    # parallelism is as much as the machine has use for.
    inline = max_workers is None and around if executor is None else id(executor) in around
    if inline or (executor is None and max_workers == 1):
        return ((key, dispatcher.run(pipeline, key)) for key in keys)
    if executor is None:
        return _on_threads(dispatcher, pipeline, keys, max_workers)
    task = task_of(dispatcher, pipeline, executor)
    workers = max_workers or _workers_of(executor) or _cores()
    return _in_flight(task, keys, executor, workers)


def _on_threads(
    dispatcher: Dispatcher, pipeline: Pipeline[A, B], keys: Iterable[A], max_workers: int | None
) -> Results[A, B]:
    workers = max_workers or _cores()
    pace = Pace(workers) if max_workers is None else None
    with ThreadPoolExecutor(workers, "polystore") as executor:
        task = task_of(dispatcher, pipeline, executor)
        yield from _in_flight(task, keys, executor, workers, pace)


def _cores() -> int:
    return os.cpu_count() or 1


def _workers_of(executor: Executor) -> int | None:
    """Give the size of the executors of the standard library, and of those made like them."""
    workers = getattr(executor, "_max_workers", None)
    return workers if isinstance(workers, int) and workers > 0 else None


def _in_flight(
    task: Task[A, B],
    keys: Iterable[A],
    executor: Executor,
    workers: int,
    pace: Pace | None = None,
) -> Results[A, B]:
    """Give results in order, with at most twice as many keys in flight as there are workers.

    Without a pace, all items go to the executor.
    """
    pending: deque[tuple[A, Pending[B]]] = deque()
    raised: list[Exception] = []
    stint = Stint()
    try:
        with closing(_drawn(keys, raised)) as upcoming:
            while True:
                began = perf_counter()
                away = pace is None or pace.in_threads
                room = (2 * workers if away else 1) - len(pending)
                for key in islice(upcoming, max(room, 0)):
                    pending.append((key, submitted(executor, task, key) if away else task(key)))
                if not pending:
                    break
                first, future = pending.popleft()
                outcome = outcome_of(future, first)
                if pace is not None and room > 0:  # else it had been handed out before
                    stint = stint.plus(perf_counter() - began)
                    pace, stint = pace.after(stint)
                yield first, outcome
        if raised:
            raise raised[0]
    finally:
        # Also when the caller stops, or Ctrl-C is pressed: what has begun is whole or not there.
        begun: list[Future[object]] = [
            cast("Future[object]", it)
            for _, it in pending
            if isinstance(it, Future) and not (_can_cancel(executor) and it.cancel())
        ]
        wait(begun)


def _can_cancel(executor: Executor) -> bool:
    """Whether futures can be cancelled without harm.

    A process pool of the standard library that breaks with a cancelled future in it never ends
    (Python 3.11), and Ctrl-C may break it. It has begun most of what is in flight anyway.
    """
    process = sys.modules.get("concurrent.futures.process")
    return process is None or not isinstance(executor, process.ProcessPoolExecutor)


def _drawn(keys: Iterable[A], raised: list[Exception]) -> Generator[A, None, None]:
    """Give the keys; what their iterable raises is kept, to be raised after all outcomes."""
    try:
        yield from keys
    except Exception as exception:  # the caller's iterable may raise anything
        raised.append(exception)


@contextmanager
def _progress_bar(wanted: bool, total: int | None) -> Generator[Callable[[], None]]:
    """Give the function that counts one item as done; the bar goes to the standard error."""
    if not wanted:
        yield lambda: None
        return
    try:
        from rich.console import Console
        from rich.progress import Progress
    except ImportError:
        warnings.warn("No progress bar: pip install 'polystore[cli]'", stacklevel=2)
        yield lambda: None
        return
    with Progress(console=Console(stderr=True)) as bar:
        job = bar.add_task("polystore", total=total)
        yield lambda: bar.advance(job)
