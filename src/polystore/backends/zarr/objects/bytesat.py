"""The bytes of a Zarr store that is in a store of bytes: under which keys, read and written.

What the store refuses is raised as `StoreError`, an `OSError` that carries the typed error, and
becomes that error again in `guarded`.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from attrs import evolve, frozen

from polystore.backends.lacking import lacking
from polystore.backends.oserrors import from_os
from polystore.configs import ZarrConfig
from polystore.core.errors import (
    AlreadyExists,
    InvalidKey,
    NotADirectory,
    NotAFile,
    NotFound,
    StorageError,
)
from polystore.core.key import HIDDEN_PREFIX, Key
from polystore.core.outcome import Failure, Outcome, and_then, catch, guard, is_successful
from polystore.core.records import Buffer, Encoded, IfExists, Opened, Readable, Stat

__all__ = ["AT_ONCE", "Bytes", "StoreError", "guarded", "is_hidden"]

T = TypeVar("T")

AT_ONCE = 8
"""Requests at the same time: a server takes far longer to answer than to do it."""

_NO_FILE = (NotFound, NotAFile, NotADirectory, InvalidKey)
"""What a store says of a key under which no file is, or can be."""

_IN_THE_WAY = (
    (NotAFile, errno.EISDIR),
    (NotADirectory, errno.ENOTDIR),
    (InvalidKey, errno.EXDEV),
)
"""What it says of a key under which something else is, as the system does."""


class StoreError(OSError):
    """What a store of bytes, or we, have to say: `error` is the typed error."""

    def __init__(self, error: StorageError) -> None:
        super().__init__(errno.EIO, str(error.message))
        self.error = error


def guarded(action: Callable[[], Outcome[T]], key: str, config: ZarrConfig) -> Outcome[T]:
    """Give the outcome of an action; errors name the key and the config of the Zarr store."""

    def becomes(error: OSError) -> StorageError:
        return error.error if isinstance(error, StoreError) else from_os(error, key, config)

    outcome = and_then(guard(action, catch(OSError, becomes)), lambda it: it)
    if is_successful(outcome):
        return outcome
    return Failure(evolve(outcome.failure(), key=key, config=config))


def is_hidden(path: str) -> bool:
    """Whether a path is one of ours: a claim, not a part of a node."""
    return f"/{path}".find(f"/{HIDDEN_PREFIX}") >= 0


@frozen
class Bytes:
    """The objects of a Zarr store, by their paths below its root; all of it raises `StoreError`."""

    config: ZarrConfig
    opened: Opened

    def key_of(self, path: str) -> Key:
        """Give the key of an object in the store of bytes."""
        root = self.config.root.strip("/")
        return Key("/".join(part for part in (root, path) if part))

    def open(self, path: str) -> Readable | None:
        """Give an object to be read; `None` where there is none."""
        found = self._got(path)
        if is_successful(found):
            return found.unwrap()
        _refuse_all_but_absence(found.failure())
        return None

    def _got(self, path: str) -> Outcome[Readable]:
        get = self.opened.backend.get
        if get is None:
            raise self._lacks("load from", path)
        return get(self.opened.handle, self.key_of(path))

    def open_chunk(self, path: str) -> Readable | None:
        """Give an object to be read; `OSError` where something else is in its place."""
        found = self._got(path)
        if is_successful(found):
            return found.unwrap()
        error = found.failure()
        for kind, number in _IN_THE_WAY:
            if isinstance(error, kind):
                raise OSError(number, os.strerror(number), path)
        _refuse_all_but_absence(error)
        return None

    def read(self, path: str, longest: int | None = None) -> bytes | None:
        """Give what is in an object, or its start; `None` where there is none."""
        source = self.open(path)
        if source is None:
            return None
        try:
            content = bytearray(source.size if longest is None else min(source.size, longest))
            count = source.read_into(0, memoryview(content)) if content else 0
            return bytes(content[:count])
        finally:
            source.close()

    def put(self, path: str, buffers: Sequence[Buffer], if_exists: IfExists) -> bool:
        """Write an object in one step; `False` if it was there and is not to be replaced."""
        put = self.opened.backend.put
        if put is None:
            raise self._lacks("save to", path)
        nbytes = sum(memoryview(buffer).nbytes for buffer in buffers)
        done = put(
            self.opened.handle, self.key_of(path), Encoded(tuple(buffers), nbytes), if_exists
        )
        if is_successful(done):
            return done.unwrap()
        if isinstance(done.failure(), AlreadyExists):
            return False
        raise StoreError(done.failure())

    def stat(self, path: str) -> Stat | None:
        """Say what is known of an object; `None` where there is none."""
        stat = self.opened.backend.stat
        if stat is None:
            raise self._lacks("ask", path)
        found = stat(self.opened.handle, self.key_of(path))
        if is_successful(found):
            return found.unwrap() if found.unwrap().kind == "file" else None
        _refuse_all_but_absence(found.failure())
        return None

    def names(self, path: str) -> Iterator[str]:
        """Give the paths of all objects below a path, from there; none of the hidden ones."""
        listing = self.opened.backend.list
        if listing is None:
            raise self._lacks("list", path)
        folder = self.key_of(path)
        below = len(folder) + 1 if folder else 0
        for page in listing(self.opened.handle, folder):
            if not is_successful(page):
                _refuse_all_but_absence(page.failure())
                return
            for name in page.unwrap():
                if not is_hidden(name[below:]):
                    yield name[below:]

    def is_empty(self, path: str) -> bool:
        """Whether there is no object below a path."""
        return next(self.names(path), None) is None

    def delete(self, path: str) -> None:
        """Delete an object; fine if it is gone."""
        delete = self.opened.backend.delete
        if delete is None:
            raise self._lacks("delete from", path)
        done = delete(self.opened.handle, self.key_of(path))
        if not is_successful(done):
            _refuse_all_but_absence(done.failure())

    def delete_all(self, paths: Iterable[str]) -> None:
        """Delete some objects, several at once; fine if they are gone."""
        names = list(paths)
        if len(names) < 2:
            for name in names:
                self.delete(name)
            return
        with ThreadPoolExecutor(min(len(names), AT_ONCE)) as threads:
            for _ in threads.map(self.delete, names):
                pass

    def _lacks(self, what: str, path: str) -> StoreError:
        advice = "Keep the Zarr store in a store of bytes that can, or in a folder."
        name = self.opened.backend.name
        return StoreError(lacking(name, what, path, self.config, advice))


def _refuse_all_but_absence(error: StorageError) -> None:
    if not isinstance(error, _NO_FILE):
        raise StoreError(error)
