"""Items that exist under other keys, whole or in part: to be read only.

An array is read as far as its index takes it, where its store and format read region by region, and
whole elsewhere. What an item comes from is looked up when it is read, and may change until then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import TypeVar

from attrs import evolve, frozen

from polystore.backends.lacking import lacking
from polystore.backends.virtual.cutting import cut_array, cut_lazily, cut_metadata, cut_of
from polystore.backends.virtual.items import (
    Virtual,
    absent,
    endless,
    item_at,
    missing_folder,
    open_items,
    parts,
)
from polystore.configs import VirtualConfig, VirtualItem
from polystore.core.errors import NotAFile, StorageError, UnsupportedOperation, UnsupportedPayload
from polystore.core.item import Item
from polystore.core.key import Key, parse_key
from polystore.core.outcome import Failure, Outcome, Success, and_then, is_successful
from polystore.core.payload import LazyArray, Payload, is_host_array
from polystore.core.records import Backend, Child, FileFormat, Opened, Page, Reach, Stat

__all__ = ["VIRTUAL", "Virtual"]

T = TypeVar("T")


_followed_around: ContextVar[frozenset[tuple[VirtualConfig, str]]] = ContextVar(
    "followed", default=frozenset()
)
"""The virtual keys that are being followed to where they come from: more than one in stores of
virtual items that come from virtual items."""


@frozen
class _Origin:
    """Where an item comes from: an opened store, a key in it, and the index."""

    opened: Opened
    key: Key
    item: VirtualItem
    where: str


def _origin(virtual: Virtual, key: Key) -> Outcome[_Origin]:
    found = item_at(virtual, key)
    if not is_successful(found):
        return Failure(found.failure())
    item = found.unwrap()
    if item is None:
        return Failure(absent(virtual, key))
    opened = virtual.context.open(item.place.store)
    if not is_successful(opened):
        return Failure(opened.failure())
    backend = opened.unwrap().backend
    root = None if backend.root is None else backend.root(item.place.store)
    parsed = parse_key(item.place.key, root, backend.reserved)
    where = f"virtual.items[{key!r}].index"
    return parsed.map(lambda it: _Origin(opened.unwrap(), it, item, where))


def _told(virtual: Virtual, key: Key, outcome: Outcome[T]) -> Outcome[T]:
    """Give an outcome whose error is about the virtual key, and says where it comes from."""

    def told(error: StorageError) -> StorageError:
        if error.config == virtual.config or not error.key or error.key == key:
            return evolve(error, key=key, config=virtual.config)
        message = f"{key!r} comes from {error.key!r} of another store. {error.message}"
        return evolve(error, key=key, config=virtual.config, message=message)

    return outcome.alt(told)


def _followed(virtual: Virtual, key: Key, read: Callable[[_Origin], Outcome[T]]) -> Outcome[T]:
    """Read what a key comes from; `InvalidSpec` if the way there leads back to it, or is endless.

    It cannot be seen where the store opens: a function may lead anywhere, and so may a store
    between.
    """
    around = _followed_around.get()
    if (virtual.config, key) in around:
        return Failure(endless(virtual, key))
    token = _followed_around.set(around | {(virtual.config, key)})
    try:
        return _told(virtual, key, and_then(_origin(virtual, key), read))
    except RecursionError:
        if not around:  # no way leads here: it is of the store that is read
            raise
        return Failure(endless(virtual, key))
    finally:
        _followed_around.reset(token)


def _load(
    virtual: Virtual, key: Key, format: FileFormat[object] | None, /
) -> Outcome[Item[Payload]]:
    def loaded(origin: _Origin) -> Outcome[Item[Payload]]:
        in_part = _in_part(virtual, key, origin, format) if origin.item.index else None
        return _whole(virtual, key, origin, format) if in_part is None else in_part

    return _followed(virtual, key, loaded)


def _in_part(
    virtual: Virtual, key: Key, origin: _Origin, format: FileFormat[object] | None
) -> Outcome[Item[Payload]] | None:
    """Read no more than the index takes; `None` where only the whole can be read."""
    lazily = _lazily(key, origin, format)
    if not is_successful(lazily):
        return (
            None
            if isinstance(lazily.failure(), UnsupportedOperation)
            else Failure(lazily.failure())
        )
    item = lazily.unwrap()
    region = tuple(slice(0, length) for length in item.payload.spec.shape)
    array = item.payload.read(region)
    return array.map(lambda it: Item(key, it, item.metadata, item.history))


def _whole(
    virtual: Virtual, key: Key, origin: _Origin, format: FileFormat[object] | None
) -> Outcome[Item[Payload]]:
    backend, handle = origin.opened.backend, origin.opened.handle
    if backend.load is None:
        return Failure(lacking(backend.name, "load from", "", None))
    loaded = and_then(backend.load(handle, origin.key, format), virtual.context.to_host)

    def cut(item: Item[Payload]) -> Outcome[Item[Payload]]:
        array = item.payload
        if not is_host_array(array):
            return Failure(_no_array(array))
        found = cut_of(origin.item.index, array.shape, origin.where)
        return found.map(
            lambda it: Item(
                key,
                cut_array(array, it),
                cut_metadata(item.metadata, it, array.shape),
                item.history,
            )
        )

    return and_then(loaded, cut)


def _no_array(payload: object) -> UnsupportedPayload:
    message = f"It is a {type(payload).__name__}, and a virtual store gives arrays alone."
    return UnsupportedPayload("", None, message, "Load it from the store that it is in.")


def _lazily(
    key: Key, origin: _Origin, format: FileFormat[object] | None
) -> Outcome[Item[LazyArray]]:
    backend, handle = origin.opened.backend, origin.opened.handle
    if backend.load_lazy is None:
        return Failure(lacking(backend.name, "load lazily from", "", None))

    def cut(item: Item[LazyArray]) -> Outcome[Item[LazyArray]]:
        shape = item.payload.spec.shape
        found = cut_of(origin.item.index, shape, origin.where)
        return found.map(
            lambda it: Item(
                key,
                cut_lazily(item.payload, it),
                cut_metadata(item.metadata, it, shape),
                item.history,
            )
        )

    return and_then(backend.load_lazy(handle, origin.key, format), cut)


def _load_lazy(
    virtual: Virtual, key: Key, format: FileFormat[object] | None, /
) -> Outcome[Item[LazyArray]]:
    return _followed(virtual, key, lambda it: _lazily(key, it, format))


def _stat(virtual: Virtual, key: Key, /) -> Outcome[Stat]:
    found = item_at(virtual, key)
    if is_successful(found) and found.unwrap() is None and key in virtual.folders:
        return Success(Stat("folder", None, None))
    return _followed(virtual, key, _stat_of)


def _stat_of(origin: _Origin) -> Outcome[Stat]:
    """Say what is known of an item; how many bytes a part takes is not."""
    backend, handle = origin.opened.backend, origin.opened.handle
    if backend.stat is None:
        return Success(Stat("file", None, None))
    found = backend.stat(handle, origin.key)
    if is_successful(found) and found.unwrap().kind == "folder":
        message = f"{origin.key!r} is a folder, and no item."
        return Failure(NotAFile(origin.key, None, message, "Name the items in it one by one."))
    nbytes = found.map(lambda it: None if origin.item.index else it.nbytes)
    return found.map(lambda it: Stat(it.kind, nbytes.unwrap(), it.modified_ns))


def _list(virtual: Virtual, folder: str, /) -> Iterator[Outcome[Page]]:
    if folder not in virtual.folders:
        yield Failure(missing_folder(virtual, folder))
        return
    waiting = [folder]
    while waiting:
        inside = virtual.folders[waiting.pop()].values()
        waiting.extend(child.key for child in inside if child.kind == "folder")
        yield Success(tuple(child.key for child in inside if child.kind == "file"))


def _children(virtual: Virtual, folder: str, /) -> Iterator[Outcome[tuple[Child, ...]]]:
    if folder in virtual.folders:
        yield Success(tuple(virtual.folders[folder].values()))
    else:
        yield Failure(missing_folder(virtual, folder))


def _close(_virtual: Virtual, /) -> None:
    return None


VIRTUAL: Backend[VirtualConfig, Virtual] = Backend(
    name="virtual",
    config=VirtualConfig,
    reach=Reach.NETWORK,
    open=open_items,
    close=_close,
    load=_load,
    load_lazy=_load_lazy,
    parts=parts,
    stat=_stat,
    list=_list,
    children=_children,
)
"""The record of virtual stores. It reaches as far as the stores that its items come from."""
