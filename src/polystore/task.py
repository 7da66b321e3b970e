"""A pipeline as a task: for an executor of this process, or sent to another one."""

from __future__ import annotations

import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from contextvars import ContextVar
from functools import cache
from typing import Generic, TypeAlias, TypeVar, cast

from attrs import frozen

from polystore.core.errors import StorageError, Unavailable, UnsupportedPayload
from polystore.core.item import Item
from polystore.core.outcome import Failure, Outcome, is_successful
from polystore.core.records import Reach
from polystore.dispatch import Dispatcher, default_dispatcher
from polystore.steps.compose import Pipeline
from polystore.steps.load import Load
from polystore.steps.save import Save

__all__ = ["Pending", "Task", "executors_around", "outcome_of", "submitted", "task_of"]

A = TypeVar("A")
B = TypeVar("B")
T = TypeVar("T")

executors_around: ContextVar[frozenset[int]] = ContextVar("executors", default=frozenset())
"""The executors in whose workers this code runs, by `id`: more than one in nested batches."""


@frozen
class Task(Generic[A, B]):
    """A pipeline to be run on a key, in this process, or in another one that it is sent to."""

    dispatcher: Dispatcher
    pipeline: Pipeline[A, B]
    executor: int
    packed: Callable[[], bytes]

    def __call__(self, key: A) -> Outcome[B]:
        """Give the outcome of one key, in this process."""
        token = executors_around.set(executors_around.get() | {self.executor})
        try:
            return self.dispatcher.run(self.pipeline, key)
        finally:
            executors_around.reset(token)

    def __reduce__(self) -> tuple[Callable[[bytes], object], tuple[bytes]]:
        """Arrive in another process as what can fail there without harm."""
        return _Sent, (self.packed(),)


def task_of(dispatcher: Dispatcher, pipeline: Pipeline[A, B], executor: Executor) -> Task[A, B]:
    """Give the task of a batch on an executor; it is pickled at most once, for all the keys."""
    sent = (dispatcher, pipeline, _this_process())
    return Task(dispatcher, pipeline, id(executor), cache(lambda: pickle.dumps(sent)))


@frozen
class _Sent(Generic[A, B]):
    """A task that has come to another process.

    It is unpacked by us, and its result packed, because the standard library's pool breaks, with
    all that is in flight, when that fails.
    """

    packed: bytes

    def __call__(self, key: A) -> bytes:
        try:
            dispatcher, pipeline, home = pickle.loads(self.packed)  # noqa: S301 - our parent's
        except Exception as exception:  # noqa: BLE001 - what unpickling runs may raise anything
            return pickle.dumps(Failure(_not_sent(exception, key)))
        outcome = _run_away_from_home(dispatcher, pipeline, key, home)
        try:
            return pickle.dumps(outcome)
        except Exception as exception:  # noqa: BLE001 - what pickling runs may raise anything
            return pickle.dumps(Failure(_not_sent(exception, key)))


def _run_away_from_home(
    dispatcher: Dispatcher, pipeline: Pipeline[A, B], key: A, home: tuple[bytes, int]
) -> Outcome[B]:
    if home != _this_process():
        _leave_ctrl_c_to_the_parent()
        for config in _configs(pipeline):
            unseen = _unseen_part(dispatcher, config)
            if unseen is not None:
                return Failure(_out_of_reach(key, config, unseen))
    try:
        return dispatcher.run(pipeline, key)
    finally:
        # The default dispatcher lives as long as the worker; another one came with this task.
        if dispatcher is not default_dispatcher():
            dispatcher.pool.close()


def _unseen_part(dispatcher: Dispatcher, config: object) -> str | None:
    """Give the name of a store that only its own process sees, of all that a store is made of."""
    waiting = [config]
    seen: set[object] = set()
    while waiting:
        each = waiting.pop()
        if each in seen:  # virtual items may come from their own store
            continue
        seen.add(each)
        found = dispatcher.backend(each)
        if not is_successful(found):
            continue
        backend = found.unwrap()
        if backend.reach is Reach.PROCESS:
            return backend.name
        if backend.parts is not None:
            waiting.extend(backend.parts(each))
    return None


def _leave_ctrl_c_to_the_parent() -> None:
    """Ignore the interrupt that a terminal sends to every process: the batch's own stops it.

    In a worker of the standard library it can come while a queue's lock is taken, and leave it
    so: then the pool, and who waits for it, wait for ever.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _this_process() -> tuple[bytes, int]:
    """Give what no other process has: forks share the first part, strangers may the second."""
    return _token(), os.getpid()


@cache
def _token() -> bytes:
    return os.urandom(16)


def _configs(pipeline: Pipeline[A, B]) -> Iterator[object]:
    for step in pipeline.steps:
        if isinstance(step, Load):
            yield cast("Load[object]", step).source
        elif isinstance(step, Save):
            yield cast("Save[object]", step).sink


Pending: TypeAlias = "Future[Outcome[B]] | Future[bytes] | Outcome[B]"


def submitted(executor: Executor, task: Task[A, B], key: A) -> Pending[B]:
    """Hand a key to an executor; give its future, or why the executor does not take it."""
    try:
        return _uninterrupted(lambda: executor.submit(task, key))
    except Exception as exception:  # noqa: BLE001 - broken or closed: the key's outcome says so
        if _is_about_pickling(exception):
            return Failure(_not_sent(exception, key))
        return Failure(_gone(key, f"The executor takes no work: {exception}."))


def _uninterrupted(action: Callable[[], T]) -> T:
    """Run an action, and let a Ctrl-C that comes meanwhile wait for its end.

    The executors of the standard library that are interrupted while they take a task can miscount
    what they have, and never end.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is None:  # `None`: not Python's to restore
        return action()
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _frame: came.append(number))
    try:
        return action()
    finally:
        signal.signal(signal.SIGINT, before)
        if came:
            signal.raise_signal(signal.SIGINT)


def outcome_of(pending: Pending[B], key: object) -> Outcome[B]:
    """Give what became of a key. What a worker sends back is unpacked here."""
    if not isinstance(pending, Future):
        return pending
    try:
        result = pending.result()
        if not isinstance(result, bytes):
            return result
        return cast("Outcome[B]", pickle.loads(result))  # noqa: S301 - our worker's
    except (BrokenExecutor, CancelledError) as exception:
        return Failure(_gone(key, f"The worker that had it is gone: {exception or 'cancelled'}."))
    except Exception as exception:  # noqa: BLE001 - of pickling, or of the executor itself
        return Failure(_not_sent(exception, key))


def _is_about_pickling(exception: Exception) -> bool:
    """Whether something could not be sent; pickle says so in exceptions of three classes."""
    return isinstance(exception, pickle.PicklingError) or "pickle" in str(exception)


def _gone(key: object, what: str) -> Unavailable:
    return Unavailable(
        _name(key),
        None,
        f"{_name(key)!r} has no outcome. {what}",
        "Run the failed keys again: what was saved is whole, the rest is not there.",
    )


def _not_sent(exception: Exception, key: object) -> StorageError:
    return UnsupportedPayload(
        _name(key),
        None,
        "The pipeline, the key or its result cannot be sent to another process: "
        f"{type(exception).__name__}: {exception}.",
        "Use importable functions (no lambdas) and payloads that pickle, or threads.",
    )


def _out_of_reach(key: object, config: object, name: str) -> Unavailable:
    return Unavailable(
        _name(key),
        config,
        f"A {name} store is seen by its own process only, and this batch runs in others.",
        "Use threads, or a store on disk.",
    )


def _name(key: object) -> str:
    return cast("Item[object]", key).key if isinstance(key, Item) else str(key)
