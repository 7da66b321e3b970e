"""Work under the lock of a key."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Never, TypeAlias, TypeVar, cast, overload

from polystore.backends.target import Target
from polystore.boundary import called
from polystore.core.errors import InvalidSpec, NotFound, UnsupportedPayload
from polystore.core.item import Item, Saved
from polystore.core.key import KeyLike
from polystore.core.outcome import (
    Failure,
    Outcome,
    Success,
    and_then,
    is_outcome,
    is_successful,
)
from polystore.core.records import FileFormat, Sink, Source, Store
from polystore.dispatch import Dispatcher, default_dispatcher
from polystore.files.target import on_key, unchangeable
from polystore.steps.apply import Apply
from polystore.steps.load import Load
from polystore.steps.save import Save

if TYPE_CHECKING:
    from polystore.core.payload import Payload

__all__ = ["LOCK_TIMEOUT_S", "Change", "locked", "update"]

T = TypeVar("T")
L = TypeVar("L")
S = TypeVar("S")

Change: TypeAlias = Callable[[T | None], T]
"""A function from what is stored, `None` for nothing, to what is stored instead."""

LOCK_TIMEOUT_S = 10.0
"""Seconds that `locked` and `update` wait for a lock unless told otherwise."""


def locked(
    store: Sink[Never],
    key: KeyLike,
    fn: Callable[[], Outcome[T]],
    timeout: float = LOCK_TIMEOUT_S,
    *,
    dispatcher: Dispatcher | None = None,
) -> Outcome[T]:
    """Run a function while holding the lock of a key, and give its outcome.

    The lock holds against every other `locked` and `update` of the key, in any thread and any
    process that the store reaches, and against nothing else: a plain save does not ask for it. It
    is let go of in every case, also when the process dies. The key need not exist. It is not to be
    taken again by the function that runs under it: that waits for itself, and times out.

    `LockTimeout` if it cannot be had within `timeout` seconds; the function has then not run. What
    the function gives is given, a failure too; what it raises is `FunctionFailed`.

    >>> from polystore import MemoryConfig, exists
    >>> memory = MemoryConfig(name="doctest-locked")
    >>> locked(memory, "plate", lambda: exists(memory, "plate/a.json"))
    <Success: False>
    """
    return on_key(store, key, dispatcher, lambda target: _held(target, fn, timeout))


@overload
def update(
    store: Store[L, S],
    key: KeyLike,
    fn: Callable[[L | None], S],
    timeout: float = LOCK_TIMEOUT_S,
    *,
    dispatcher: Dispatcher | None = None,
) -> Outcome[Saved]: ...
@overload
def update(
    store: Store[Payload, Payload],
    key: KeyLike,
    fn: Change[T],
    timeout: float = LOCK_TIMEOUT_S,
    *,
    format: FileFormat[T],
    dispatcher: Dispatcher | None = None,
) -> Outcome[Saved]: ...
def update(  # noqa: PLR0913 - what is updated, by what, and how
    store: Store[L, S],
    key: KeyLike,
    fn: Change[T] | Callable[[L | None], S],
    timeout: float = LOCK_TIMEOUT_S,
    *,
    format: FileFormat[T] | None = None,
    dispatcher: Dispatcher | None = None,
) -> Outcome[Saved]:
    """Replace what is under a key by what a function makes of it, under the key's lock.

    The function is given the payload, or `None` where nothing is stored, and gives the new one,
    which is saved whole: of any number of updates at once, in threads and processes, none is lost.
    Metadata and history stay, but for the axes where their number changes, as in `apply`. Where a
    link is, a file replaces it: update the key that it leads to. `format` is as in `load`: it says
    what the file is, and to a type checker what the function is given.

    If the function raises, it is `FunctionFailed`, and what was stored is as it was; likewise if
    the new payload cannot be saved, if what is there cannot be loaded, and on `LockTimeout`. A
    function that gives `None` is `UnsupportedPayload`: also one that changes the payload in place
    gives it back, and to delete what is there, there is `delete`.

    >>> from polystore import JSON, DiskConfig, Json, load
    >>> import tempfile
    >>> disk = DiskConfig(root=tempfile.mkdtemp())
    >>> def one_more(count: Json) -> Json:
    ...     return count + 1 if isinstance(count, int) else 1
    >>> done = [update(disk, "count.json", one_more, format=JSON) for _ in range(3)]
    >>> load(disk)("count.json").map(lambda item: item.payload)
    <Success: 3>
    """
    used = dispatcher or default_dispatcher()

    def updated(target: Target) -> Outcome[Saved]:
        load = Load[object](cast("Source[Payload]", store), format)
        return _held(target, lambda: _replaced(used, load, target, fn), timeout)

    return on_key(store, key, used, updated)


def _held(target: Target, fn: Callable[[], Outcome[T]], timeout: float) -> Outcome[T]:
    lock = target.backend.lock
    if lock is None:
        return Failure(unchangeable(target, "lock a key"))
    if not isinstance(cast("object", timeout), (int, float)) or not timeout >= 0:
        return Failure(_no_timeout(timeout))
    if not callable(cast("object", fn)):
        return Failure(_no_function(fn))
    held = lock(target.handle, target.key, min(timeout, threading.TIMEOUT_MAX))
    if not is_successful(held):
        return Failure(held.failure())
    with held.unwrap():
        outcome = called(lambda _: fn(), None, target.key, fn)
    if not is_successful(outcome):
        return Failure(outcome.failure())
    given = outcome.unwrap()
    return Failure(_no_outcome(given)) if _is_other(given) else given


def _is_other(given: object) -> bool:
    """Whether a function gave no outcome, whatever its type says."""
    return not is_outcome(given)


def _replaced(
    dispatcher: Dispatcher, load: Load[object], target: Target, fn: Callable[..., object]
) -> Outcome[Saved]:
    sink = cast("Sink[object]", target.config)
    loaded = dispatcher.run(load, target.key)
    if not is_successful(loaded) and isinstance(loaded.failure(), NotFound):
        loaded = Success(Item(target.key, None))
    applied = and_then(loaded, lambda item: dispatcher.run(Apply(fn), item))
    new = and_then(applied, _something)
    return and_then(new, lambda item: dispatcher.run(Save(sink, "replace"), item))


def _something(item: Item[object]) -> Outcome[Item[object]]:
    if item.payload is not None:
        return Success(item)
    message = "The function gave None."
    advice = "Return the new payload, also where you change it in place; to delete it, use delete."
    return Failure(UnsupportedPayload("", None, message, advice))


def _no_timeout(given: object) -> InvalidSpec:
    message = f"The timeout is {given!r}, and must be a number of seconds."
    return InvalidSpec("", None, message, "Give 0 to try once, or a positive number.", "timeout")


def _no_function(given: object) -> InvalidSpec:
    message = f"{given!r} was given to run under the lock, and is no function."
    return InvalidSpec("", None, message, "Give a function without arguments.", "fn")


def _no_outcome(given: object) -> UnsupportedPayload:
    return UnsupportedPayload(
        "",
        None,
        f"The function gave no outcome, but a value of type {type(given).__name__}.",
        "Give Success(value) or Failure(error); use update for a function of the payload.",
    )
