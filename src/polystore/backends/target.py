"""A key of an opened store: what a step, or a file operation, is done to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePath

from attrs import evolve, frozen

from polystore.core.errors import StorageError
from polystore.core.key import Key, KeyLike, parse_key
from polystore.core.outcome import Failure, Outcome, Success, is_successful
from polystore.core.records import Backend, Opened

__all__ = ["ROOT", "Target", "folder_target", "key_target", "located", "without_slash"]

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


def key_target(
    config: object, key: KeyLike, open: Callable[[object], Outcome[Opened]]
) -> Outcome[Target]:
    """Open a store and parse a key of it: `InvalidKey`, or what the opening says."""
    opened = open(config)
    if not is_successful(opened):
        return Failure(opened.failure())
    backend = opened.unwrap().backend
    parsed = parse_key(key, _root_of(backend, config), backend.reserved)
    if not is_successful(parsed):
        return Failure(evolve(parsed.failure(), config=config))
    return Success(Target(config, backend, opened.unwrap().handle, parsed.unwrap()))


def folder_target(
    config: object, folder: KeyLike, open: Callable[[object], Outcome[Opened]]
) -> Outcome[Target]:
    """Open a store and parse the key of a folder in it, or of its root.

    `""`, `"."` and the absolute root are its root. One slash at its end is as none: that is how a
    shell completes the name of a folder.
    """
    opened = open(config)
    if not is_successful(opened):
        return Failure(opened.failure())
    backend, handle = opened.unwrap().backend, opened.unwrap().handle
    if _is_root(folder, _root_of(backend, config)):
        return Success(Target(config, backend, handle, ROOT))
    return key_target(config, without_slash(folder), open)


def without_slash(folder: KeyLike) -> KeyLike:
    """Give a folder without the one slash at its end; `"/"` alone stays, and is no key.

    >>> without_slash("plate/"), without_slash("/")
    ('plate', '/')
    """
    return (str.removesuffix(folder, "/") or folder) if isinstance(folder, str) else folder


def _is_root(folder: object, root: str | None) -> bool:
    if not isinstance(folder, (str, PurePath)):
        return False
    text = str(folder)
    return text in {"", ".", "./"} or (root is not None and text.rstrip("/") == root.rstrip("/"))


def _root_of(backend: Backend[object, object], config: object) -> str | None:
    return backend.root(config) if backend.root is not None else None


def located(error: StorageError, key: str, config: object) -> StorageError:
    """Give the error with the key and the config that it lacks: codecs know neither."""
    if error.key and error.config is not None:
        return error
    return evolve(
        error, key=error.key or key, config=config if error.config is None else error.config
    )
