"""Where a key is: asked of one store of the routes after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from attrs import evolve, frozen

from polystore.backends.keyfolders import with_reason
from polystore.backends.lacking import lacking
from polystore.backends.route.parts import Part, Routes, can_hold
from polystore.core.errors import (
    NotADirectory,
    NotAFile,
    NotFound,
    StorageError,
    UnsupportedOperation,
)
from polystore.core.item import Item
from polystore.core.key import Key
from polystore.core.outcome import Failure, Outcome, Success, is_successful
from polystore.core.payload import LazyArray, Payload
from polystore.core.records import Child, FileFormat, Page, Readable, Stat

__all__ = [
    "Held",
    "children",
    "get",
    "held",
    "list_keys",
    "load",
    "load_lazy",
    "owned",
    "stand_in",
    "stat",
]

T = TypeVar("T")

_ABSENT = (NotFound, NotADirectory, NotAFile)
_NOT_THERE = (*_ABSENT, UnsupportedOperation)


@frozen
class Held:
    """A store of the routes, and what stands under a key in it."""

    part: Part
    stat: Stat

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder; a file, an array, a link are an item."""
        return self.stat.kind == "folder"


def owned(routes: Routes, outcome: Outcome[T]) -> Outcome[T]:
    """Give an outcome of one of the stores, its error about the routes' config."""
    return outcome.alt(lambda error: evolve(error, config=routes.config))


def stand_in(part: Part, key: Key) -> Outcome[Stat | None]:
    """Say what stands under a key in one store; `None` for nothing."""
    if part.backend.stat is None:
        return Failure(lacking(part.backend.name, "ask what stands in", key, None))
    found = part.backend.stat(part.handle, key)
    if not is_successful(found) and isinstance(found.failure(), (NotFound, NotADirectory)):
        return Success(None)
    return found.map(lambda it: it)


def held(routes: Routes, key: Key) -> Outcome[tuple[Held, ...]]:
    """Give the stores in which something stands under a key, in the order of the routes.

    Of a store whose routes do not take the key's suffix, a folder counts, and nothing else.
    """
    found: list[Held] = []
    for part in routes.parts:
        stands = stand_in(part, key) if _may_have(part, key) else Success(None)
        if not is_successful(stands):
            return Failure(stands.failure())
        stat = stands.unwrap()
        if stat is not None and (stat.kind == "folder" or can_hold(part, key)):
            found.append(Held(part, stat))
    return Success(tuple(found))


def _may_have(part: Part, key: str) -> bool:
    return part.backend.reserved.isdisjoint(key.split("/"))


def stat(routes: Routes, key: Key, /) -> Outcome[Stat]:
    """Say what stands under a key: an item before a folder, and of two the first."""
    found = held(routes, key)
    if not is_successful(found):
        return owned(routes, Failure(found.failure()))
    if not found.unwrap():
        return owned(routes, _absent(routes, key))
    return Success(min(found.unwrap(), key=lambda it: it.is_folder).stat)


def _absent(routes: Routes, key: Key) -> Outcome[Stat]:
    """Give the error of the store that has most to say of a key that is nowhere."""
    errors: list[StorageError] = []
    for part in routes.parts:
        if part.backend.stat is not None and can_hold(part, key):
            found = part.backend.stat(part.handle, key)
            if is_successful(found):  # it came meanwhile
                return found
            errors.append(found.failure())
    return Failure(_telling(errors, key))


def _telling(errors: list[StorageError], key: str) -> StorageError:
    """Give the error that says most: one of no absence, a folder, a near name, or just the first.

    That the folder of one store does not exist says nothing of a key that another may hold.
    """
    ranks: tuple[Callable[[StorageError], bool], ...] = (
        lambda error: not isinstance(error, _ABSENT),
        lambda error: isinstance(error, NotAFile),
        lambda error: error.advice.startswith("Did you mean"),
        lambda error: repr(key) in error.message,
        lambda _error: True,
    )
    told = (error for rank in ranks for error in errors if rank(error))
    return next(told, _nowhere(key))


def _nowhere(key: str) -> NotFound:
    message = f"Nothing is stored under {key!r}, and no route takes its suffix."
    return NotFound(key, None, message, "See list_files(store) for the keys there are.")


def load(routes: Routes, key: Key, format: FileFormat[object] | None, /) -> Outcome[Item[Payload]]:
    """Load from the first store that holds the key."""

    def of(part: Part) -> Outcome[Item[Payload]]:
        if part.backend.load is None:
            return Failure(_unread(part, key, "load from"))
        return part.backend.load(part.handle, key, format)

    return owned(routes, _first(routes, key, of))


def load_lazy(
    routes: Routes, key: Key, format: FileFormat[object] | None, /
) -> Outcome[Item[LazyArray]]:
    """Load lazily from the first store that holds the key."""

    def of(part: Part) -> Outcome[Item[LazyArray]]:
        if part.backend.load_lazy is None:
            return Failure(_unread(part, key, "load lazily from"))
        return part.backend.load_lazy(part.handle, key, format)

    return owned(routes, _first(routes, key, of))


def get(routes: Routes, key: Key, /) -> Outcome[Readable]:
    """Give the bytes of the file under a key, from the first store that holds the key."""

    def of(part: Part) -> Outcome[Readable]:
        if part.backend.get is None:
            return Failure(_unread(part, key, "get bytes from"))
        return part.backend.get(part.handle, key)

    return owned(routes, _first(routes, key, of))


def _unread(part: Part, key: str, what: str) -> UnsupportedOperation:
    advice = "Load it whole, or copy it to another store."
    return lacking(part.backend.name, what, key, None, advice)


def _first(routes: Routes, key: Key, read: Callable[[Part], Outcome[T]]) -> Outcome[T]:
    """Read from the first store that holds the key; the last one is not asked before.

    What is found nowhere is looked for again: it may just have gone from a later store to an
    earlier one, where it is whole before it leaves.
    """
    able = [part for part in routes.parts if can_hold(part, key)]
    for part in able[:-1]:
        stands = stand_in(part, key)
        if not is_successful(stands):
            return Failure(stands.failure())
        found = stands.unwrap()
        if found is not None and found.kind != "folder":
            return read(part)
    last = read(able[-1]) if able else Failure(_nowhere(key))
    if is_successful(last) or len(able) < 2 or not isinstance(last.failure(), _NOT_THERE):
        return last
    again = held(routes, key).map(lambda it: [each.part for each in it if not each.is_folder])
    if is_successful(again) and again.unwrap():
        return read(again.unwrap()[0])
    errors = [outcome.failure() for outcome in map(read, able) if not is_successful(outcome)]
    return Failure(_telling([it for it in errors if isinstance(it, _ABSENT)] or errors, key))


def list_keys(routes: Routes, folder: str, /) -> Iterator[Outcome[Page]]:
    """Give the keys of all stores below a folder, lazily, each once, in no order."""

    def pages(part: Part) -> Iterator[Outcome[Page]]:
        if part.backend.list is None:
            return iter((Failure(_unread(part, folder, "list")),))
        return part.backend.list(part.handle, folder)

    def shown(part: Part, key: Key) -> bool:
        return can_hold(part, key)

    return _merged(routes, folder, pages, _Keyed(shown, lambda key: key))


def children(routes: Routes, folder: str, /) -> Iterator[Outcome[tuple[Child, ...]]]:
    """Give what stands directly in a folder in any of the stores, lazily, each key once."""

    def some(part: Part) -> Iterator[Outcome[tuple[Child, ...]]]:
        if part.backend.children is not None:
            return part.backend.children(part.handle, folder)
        if part.backend.list is None:
            return iter((Failure(_unread(part, folder, "list")),))
        return (
            page.map(lambda it: _children_in(folder, it))
            for page in part.backend.list(part.handle, folder)
        )

    def shown(part: Part, child: Child) -> bool:
        return child.kind == "folder" or can_hold(part, child.key)

    return _merged(routes, folder, some, _Keyed(shown, lambda child: child.key))


def _children_in(folder: str, page: Page) -> tuple[Child, ...]:
    """Give what stands directly in a folder, of a page of the keys below it."""
    start = len(folder) + 1 if folder else 0
    found: dict[str, Child] = {}
    for key in page:
        name, slash, _ = key[start:].partition("/")
        path = Key(key[:start] + name)
        found[path] = Child(path, "folder" if slash else "file")
    return tuple(found.values())


@frozen
class _Keyed(Generic[T]):
    """Whether a thing in a store can be seen, and its key."""

    shown: Callable[[Part, T], bool]
    key_of: Callable[[T], Key]


def _merged(
    routes: Routes,
    folder: str,
    pages: Callable[[Part], Iterator[Outcome[tuple[T, ...]]]],
    keyed: _Keyed[T],
) -> Iterator[Outcome[tuple[T, ...]]]:
    """Give what each store gives, each key once; a folder is missing only if it is so in all."""
    seen: set[Key] = set()
    missing: list[StorageError] = []
    able = [part for part in routes.parts if _may_have(part, folder)]
    for part in able:
        for page in with_reason(part.backend, part.handle, folder, pages(part)):
            if is_successful(page):
                fresh = {keyed.key_of(it): it for it in page.unwrap() if keyed.shown(part, it)}
                yield Success(tuple(it for key, it in fresh.items() if key not in seen))
                seen.update(fresh)
            elif _is_missing(page.failure(), part, folder):
                missing.append(page.failure())
            else:
                yield owned(routes, page)
    if len(missing) == len(able):
        yield owned(routes, Failure(_telling(missing, folder)))


def _is_missing(error: StorageError, part: Part, folder: str) -> bool:
    """Whether a store has no such folder, or an item in its place that is not to be seen."""
    hidden = isinstance(error, NotADirectory) and not can_hold(part, folder)
    return hidden or (isinstance(error, NotFound) and error.key in ("", folder))
