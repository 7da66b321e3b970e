"""What a file operation is done to: a key of an opened store. Every one of them begins here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePath
from typing import TYPE_CHECKING, TypeVar

from attrs import evolve, frozen

from polystore.boundary import guarded
from polystore.core.errors import ReadOnly, StorageError, UnsupportedOperation
from polystore.core.key import Key, parse_key
from polystore.core.outcome import Failure, Outcome, Success, is_successful
from polystore.core.records import Backend
from polystore.dispatch import Dispatcher, default_dispatcher

if TYPE_CHECKING:
    from polystore.core.key import KeyLike

__all__ = [
    "ROOT",
    "Target",
    "folder_target",
    "key_target",
    "located",
    "on_folder",
    "on_key",
    "text_of",
    "unchangeable",
    "unsupported",
    "without_slash",
]

T = TypeVar("T")

ROOT = Key("")
"""What stands for the root of a store where a folder is meant. No file has this key."""


@frozen
class Target:
    """A key of an opened store; `ROOT` is the store itself, where a folder is meant."""

    config: object
    backend: Backend[object, object]
    handle: object
    key: Key

    def at(self, key: Key) -> Target:
        """Give another key of the same store."""
        return Target(self.config, self.backend, self.handle, key)


def on_key(
    store: object, key: KeyLike, dispatcher: Dispatcher | None, act: Callable[[Target], Outcome[T]]
) -> Outcome[T]:
    """Do something to a key of a store; whatever fails on the way names both."""

    def done() -> Outcome[T]:
        target = key_target(store, key, dispatcher or default_dispatcher())
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
        target = folder_target(store, folder, dispatcher or default_dispatcher())
        return act(target.unwrap()) if is_successful(target) else Failure(target.failure())

    outcome = guarded(done, "")
    return outcome if is_successful(outcome) else _placed(outcome, folder, store)


def key_target(store: object, key: KeyLike, dispatcher: Dispatcher) -> Outcome[Target]:
    """Open a store and parse a key of it: `InvalidKey`, or what the opening says."""
    opened = dispatcher.open(store)
    if not is_successful(opened):
        return Failure(opened.failure())
    backend = opened.unwrap().backend
    parsed = parse_key(key, _root_of(backend, store), backend.reserved)
    if not is_successful(parsed):
        return Failure(parsed.failure())
    return Success(Target(store, backend, opened.unwrap().handle, parsed.unwrap()))


def folder_target(store: object, folder: KeyLike, dispatcher: Dispatcher) -> Outcome[Target]:
    """Open a store and parse the key of a folder in it, or of its root."""
    opened = dispatcher.open(store)
    if not is_successful(opened):
        return Failure(opened.failure())
    backend, handle = opened.unwrap().backend, opened.unwrap().handle
    root = _root_of(backend, store)
    if _is_root(folder, root):
        return Success(Target(store, backend, handle, ROOT))
    parsed = parse_key(without_slash(folder), root, backend.reserved)
    return parsed.map(lambda key: Target(store, backend, handle, key))


def without_slash(folder: KeyLike) -> KeyLike:
    """Give a folder without the one slash at its end; `"/"` alone stays, and is no key."""
    return (str.removesuffix(folder, "/") or folder) if isinstance(folder, str) else folder


def _is_root(folder: object, root: str | None) -> bool:
    if not isinstance(folder, (str, PurePath)):
        return False
    text = str(folder)
    return text in {"", ".", "./"} or (root is not None and text.rstrip("/") == root.rstrip("/"))


def _root_of(backend: Backend[object, object], config: object) -> str | None:
    return backend.root(config) if backend.root is not None else None


def text_of(key: object) -> str:
    """Give the text of a key for an error's sake; of what is no text and no path, nothing."""
    return str(key) if type(key) is str or isinstance(key, PurePath) else ""


def _placed(outcome: Outcome[T], key: object, config: object) -> Outcome[T]:
    return Failure(located(outcome.failure(), text_of(key), config))


def located(error: StorageError, key: str, config: object) -> StorageError:
    """Give the error with the key and the config that it lacks."""
    if error.key and error.config is not None:
        return error
    return evolve(
        error, key=error.key or key, config=config if error.config is None else error.config
    )


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
