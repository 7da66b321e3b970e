"""Batches: a pipeline over many keys, in order, a bounded number in flight; and their report."""

from __future__ import annotations

import os
import pickle
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sized
from concurrent.futures import (
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ThreadPoolExecutor,
    wait,
)
from contextlib import contextmanager
from typing import Generic, TypeVar

from attrs import frozen

from polystore.core.errors import StorageError, Unavailable, Unexpected, UnsupportedPayload
from polystore.core.item import Saved
from polystore.core.outcome import Failure, Outcome, is_successful
from polystore.core.records import Reach
from polystore.dispatch import Dispatcher, default_dispatcher
from polystore.steps.compose import Pipeline
from polystore.steps.load import Load
from polystore.steps.save import Save

__all__ = ["Report", "collect", "map_keys"]

A = TypeVar("A")
B = TypeVar("B")
T_co = TypeVar("T_co", covariant=True)


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


def map_keys(
    dispatcher: Dispatcher,
    pipeline: Pipeline[A, B],
    keys: Iterable[A],
    executor: Executor | None = None,
    max_workers: int | None = None,
    progress: bool = False,
) -> Iterator[tuple[A, Outcome[B]]]:
    """Run a pipeline over keys on a dispatcher: what `Pipeline.map` does on the default one.

    >>> from polystore import MemoryConfig, compose, default_dispatcher, load
    >>> pipeline = compose(load(MemoryConfig(name="doctest-map")))
    >>> [key for key, _ in map_keys(default_dispatcher(), pipeline, ["b", "a"])]
    ['b', 'a']
    """
    total = len(keys) if isinstance(keys, Sized) else None
    results = _results(dispatcher, pipeline, keys, executor, max_workers)
    with _progress_bar(progress, total) as advance:
        for result in results:
            yield result
            advance()


def _results(
    dispatcher: Dispatcher,
    pipeline: Pipeline[A, B],
    keys: Iterable[A],
    executor: Executor | None,
    max_workers: int | None,
) -> Iterator[tuple[A, Outcome[B]]]:
    if executor is None and max_workers == 1:
        return ((key, dispatcher.run(pipeline, key)) for key in keys)
    workers = max_workers or os.cpu_count() or 1
    task = _Task(dispatcher, pipeline, os.getpid())
    if executor is not None:
        return _in_flight(task, keys, executor, workers)
    return _on_threads(task, keys, workers)


def _on_threads(
    task: _Task[A, B], keys: Iterable[A], workers: int
) -> Iterator[tuple[A, Outcome[B]]]:
    with ThreadPoolExecutor(workers, "polystore") as executor:
        yield from _in_flight(task, keys, executor, workers)


@frozen
class _Task(Generic[A, B]):
    """A pipeline to be run on a key, in whatever process an executor chooses."""

    dispatcher: Dispatcher
    pipeline: Pipeline[A, B]
    home: int

    def __call__(self, key: A) -> Outcome[B]:
        if os.getpid() == self.home:
            return self.dispatcher.run(self.pipeline, key)
        for config in _configs(self.pipeline):
            backend = self.dispatcher.backend(config)
            if is_successful(backend) and backend.unwrap().reach is Reach.PROCESS:
                return Failure(_out_of_reach(key, config, backend.unwrap().name))
        try:
            return self.dispatcher.run(self.pipeline, key)
        finally:
            # The default dispatcher lives as long as the worker; another came with this task.
            if self.dispatcher is not default_dispatcher():
                self.dispatcher.pool.close()


def _configs(pipeline: Pipeline[A, B]) -> Iterator[object]:
    for step in pipeline.steps:
        if isinstance(step, Load):
            yield step.source
        elif isinstance(step, Save):
            yield step.sink


def _in_flight(
    task: _Task[A, B], keys: Iterable[A], executor: Executor, workers: int
) -> Iterator[tuple[A, Outcome[B]]]:
    """Give results in order, with twice as many keys in flight as there are workers."""
    pending: deque[tuple[A, Future[Outcome[B]]]] = deque()
    upcoming = iter(keys)
    broken: list[Exception] = []
    try:
        while True:
            while len(pending) < 2 * workers and not broken:
                try:
                    key = next(upcoming)
                except StopIteration:
                    break
                except (
                    Exception
                ) as exception:  # the caller's iterable: raised when all else is given
                    broken.append(exception)
                    break
                pending.append((key, _submitted(executor, task, key)))
            if not pending:
                break
            key, future = pending.popleft()
            yield key, _result(future, key)
        if broken:
            raise broken[0]
    finally:
        running = [future for _, future in pending if not future.cancel()]
        wait(running)


def _submitted(executor: Executor, task: _Task[A, B], key: A) -> Future[Outcome[B]]:
    try:
        return executor.submit(task, key)
    except Exception as exception:  # a broken or closed executor: the key's outcome says so
        future: Future[Outcome[B]] = Future()
        future.set_exception(exception)
        return future


def _result(future: Future[Outcome[B]], key: object) -> Outcome[B]:
    try:
        return future.result()
    except (BrokenExecutor, CancelledError) as exception:
        return Failure(
            Unavailable(
                str(key),
                None,
                f"The worker that had {str(key)!r} is gone: {exception or 'cancelled'}.",
                "Run the failed keys again: what was saved is whole, the rest is not there.",
            )
        )
    except Exception as exception:  # what the executor raised: the item did not run
        return Failure(_not_sent(exception, key))


def _not_sent(exception: Exception, key: object) -> StorageError:
    reason = f"{type(exception).__name__}: {exception}"
    if isinstance(exception, pickle.PicklingError) or "pickle" in str(exception):
        return UnsupportedPayload(
            str(key),
            None,
            f"The pipeline, the key or its result cannot be sent to another process: {reason}.",
            "Use importable functions (no lambdas) and payloads that pickle, or threads.",
        )
    return Unexpected(
        str(key),
        None,
        f"The executor failed: {reason}.",
        "Please report it as a bug, with the error's traceback.",
        "".join(traceback.format_exception(exception)),
    )


def _out_of_reach(key: object, config: object, name: str) -> Unavailable:
    return Unavailable(
        str(key),
        config,
        f"A {name} store is seen by its own process only, and this batch runs in others.",
        "Use threads, or a store on disk.",
    )


@contextmanager
def _progress_bar(wanted: bool, total: int | None) -> Iterator[Callable[[], None]]:
    """Give the function that counts one item as done."""
    if not wanted:
        yield lambda: None
        return
    try:
        from rich.progress import Progress
    except ImportError:
        warnings.warn("No progress bar: pip install 'polystore[cli]'", stacklevel=4)
        yield lambda: None
        return
    with Progress() as bar:
        job = bar.add_task("polystore", total=total)
        yield lambda: bar.advance(job)
