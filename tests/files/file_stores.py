"""The stores that the file operations are tested on: ours, and one that has the least."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from attrs import field, frozen

from polystore import (
    AlreadyExists,
    ByteStore,
    DiskConfig,
    Dispatcher,
    Encoded,
    Failure,
    IfExists,
    Item,
    Key,
    Load,
    MemoryConfig,
    Outcome,
    Page,
    Payload,
    Reach,
    Readable,
    Save,
    Saved,
    Source,
    Stat,
    Store,
    Success,
    ZarrConfig,
    default_registry,
    is_successful,
)
from polystore.core.errors import not_found

__all__ = [
    "SHELF",
    "Shelf",
    "ShelfConfig",
    "Site",
    "error_of",
    "on_every_store",
    "site_of",
]


@frozen
class ShelfConfig(Store[Payload, Payload]):
    """A byte store in memory whose folders are but parts of keys, as in object storage."""

    name: str = "shelf"


@frozen(eq=False)
class Shelf:
    """The handle: bytes by key."""

    config: ShelfConfig
    files: dict[Key, bytes] = field(factory=dict[Key, bytes])


def readable(content: bytes) -> Readable:
    def read_into(offset: int, buffer: memoryview) -> int:
        part = content[offset : offset + len(buffer)]
        buffer[: len(part)] = part
        return len(part)

    return Readable(len(content), read_into, lambda: None)


def _get(shelf: Shelf, key: Key, /) -> Outcome[Readable]:
    if key not in shelf.files:
        return Failure(not_found(key, shelf.config, shelf.files))
    return Success(readable(shelf.files[key]))


def _put(shelf: Shelf, key: Key, encoded: Encoded, if_exists: IfExists, /) -> Outcome[bool]:
    content = b"".join(bytes(buffer) for buffer in encoded.buffers)
    if key in shelf.files and if_exists == "fail":
        return Failure(AlreadyExists(key, None, "It is there.", "Say if_exists."))
    if key in shelf.files and if_exists == "skip":
        return Success(False)
    shelf.files[key] = content
    return Success(True)


def _stat(shelf: Shelf, key: Key, /) -> Outcome[Stat]:
    return _get(shelf, key).map(lambda content: Stat("file", content.size, None))


def _list(shelf: Shelf, folder: str, /) -> Iterator[Outcome[Page]]:
    for key in tuple(shelf.files):
        if not folder or key.startswith(f"{folder}/"):
            yield Success((key,))


def _delete(shelf: Shelf, key: Key, /) -> Outcome[None]:
    return _get(shelf, key).map(lambda _: shelf.files.pop(key)).map(lambda _: None)


SHELF: ByteStore[ShelfConfig, Shelf] = ByteStore(
    name="shelf",
    config=ShelfConfig,
    reach=Reach.PROCESS,
    open=lambda config: Success(Shelf(config)),
    close=lambda shelf: None,
    get=_get,
    put=_put,
    stat=_stat,
    list=_list,
    delete=_delete,
)


@frozen
class Site:
    """A store, what it is called, and what it is run by."""

    kind: str
    config: Store[Payload, Payload]
    dispatcher: Dispatcher

    def save(self, key: str, value: object = 0, if_exists: IfExists = "fail") -> Outcome[Saved]:
        item: Item[Payload] = Item(key, np.full(3, value))
        return self.dispatcher.run(Save(self.config, if_exists), item)

    def load(self, key: str) -> Outcome[object]:
        """Give the first element of the array under a key."""
        source: Source[Payload] = self.config
        item = self.dispatcher.run(Load[object](source), key)
        return item.map(lambda it: cast("list[int]", it.payload)[0])

    def with_keys(self, *keys: str) -> Site:
        for key in keys:
            self.save(key, len(key)).unwrap()
        return self


def error_of(outcome: Outcome[object]) -> str:
    """Give the name of the error's class, or `""` for a success."""
    return "" if is_successful(outcome) else type(outcome.failure()).__name__


_CONFIGS: dict[str, Callable[[Path], Store[Payload, Payload]]] = {
    "disk": lambda folder: DiskConfig(root=folder / "disk"),
    "memory": lambda folder: MemoryConfig(name=str(folder)),
    "zarr": lambda folder: cast("Store[Payload, Payload]", ZarrConfig(root=folder / "a.zarr")),
    "shelf": lambda folder: ShelfConfig(name=str(folder)),
}


def site_of(kind: str, folder: Path, dispatcher: Dispatcher | None = None) -> Site:
    used = dispatcher or Dispatcher(default_registry().extended(SHELF).unwrap())
    return Site(kind, _CONFIGS[kind](folder), used)


on_every_store = pytest.mark.parametrize("kind", list(_CONFIGS))
"""Every store of ours, and a store that has no folders, links, locks or moves."""
