"""What a file operation is done to: a key of an opened store. Every one of them begins here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePath
from typing import TYPE_CHECKING, TypeVar

from polystore.backends.target import Target, folder_target, located
from polystore.boundary import guarded
from polystore.core.errors import ReadOnly, StorageError, UnsupportedOperation
from polystore.core.outcome import Failure, Outcome, is_successful
from polystore.dispatch import Dispatcher, default_dispatcher

if TYPE_CHECKING:
    from polystore.core.key import KeyLike

__all__ = ["located", "on_folder", "on_key", "text_of", "unchangeable", "unsupported"]

T = TypeVar("T")


def on_key(
    store: object, key: KeyLike, dispatcher: Dispatcher | None, act: Callable[[Target], Outcome[T]]
) -> Outcome[T]:
    """Do something to a key of a store; whatever fails on the way names both."""

    def done() -> Outcome[T]:
        target = (dispatcher or default_dispatcher()).target(store, key)
        return act(target.unwrap()) if is_successful(target) else Failure(target.failure())

    outcome = guarded(done, "")
    return outcome if is_successful(outcome) else _placed(outcome, key, store)


def on_folder(
    store: object,
    folder: KeyLike,
    dispatcher: Dispatcher | None,
    act: Callable[[Target], Outcome[T]],
) -> Outcome[T]:
    """Do something to a folder of a store; `""`, `"."` and the absolute root are its root.

    One slash at its end is as none: that is how a shell completes the name of a folder.
    """

    def done() -> Outcome[T]:
        target = folder_target(store, folder, (dispatcher or default_dispatcher()).open)
        return act(target.unwrap()) if is_successful(target) else Failure(target.failure())

    outcome = guarded(done, "")
    return outcome if is_successful(outcome) else _placed(outcome, folder, store)


def text_of(key: object) -> str:
    """Give the text of a key for an error's sake; of what is no text and no path, nothing."""
    return str(key) if type(key) is str or isinstance(key, PurePath) else ""


def _placed(outcome: Outcome[T], key: object, config: object) -> Outcome[T]:
    return Failure(located(outcome.failure(), text_of(key), config))


def unsupported(target: Target, what: str) -> StorageError:
    """Give the error for what the record of the store has no function for."""
    return UnsupportedOperation(
        target.key,
        target.config,
        f"A {target.backend.name} store cannot {what}.",
        "Use a store that can: its record has the function for it.",
    )


def unchangeable(target: Target, what: str) -> StorageError:
    """Give the error for a change that the store has no function for: `ReadOnly` if for none."""
    backend = target.backend
    readable = backend.load is not None or backend.get is not None
    if backend.save is None and backend.put is None and readable:
        return ReadOnly(
            target.key,
            target.config,
            f"A {backend.name} store can only be read: it cannot {what}.",
            "Do it to the store that is behind it, or copy to one that can be changed.",
        )
    return unsupported(target, what)
