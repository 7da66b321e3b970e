"""Two small stores that keep every law: of bytes in a dict, and of items in a dict.

The broken ones are made of them, each by one change.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from itertools import count
from typing import TypeVar, cast

from attrs import field, frozen

from polystore import (
    AlreadyExists,
    Backend,
    ByteStore,
    Context,
    Encoded,
    Failure,
    FileFormat,
    IfExists,
    Item,
    Key,
    LockTimeout,
    NotADirectory,
    NotAFile,
    NotFound,
    Outcome,
    Page,
    Payload,
    Reach,
    Readable,
    Saved,
    SaveOptions,
    Stat,
    StorageError,
    Store,
    Success,
    UnsupportedPayload,
    is_successful,
)
from polystore.frameworks.handover import read_whole

V = TypeVar("V")

_numbers = count()


@frozen
class DictConfig(Store[Payload, Payload]):
    """Bytes in a dict, by the name of the store."""

    name: str


@frozen
class ItemsConfig(Store[Payload, Payload]):
    """Items in a dict, by the name of the store."""

    name: str


def new_dict() -> DictConfig:
    return DictConfig(f"dict {next(_numbers)}")


def new_items() -> ItemsConfig:
    return ItemsConfig(f"items {next(_numbers)}")


@frozen(eq=False)
class Locks:
    """Which keys are locked, and by nobody else."""

    held: set[str] = field(factory=set[str])
    changed: threading.Condition = field(factory=threading.Condition)


@frozen(eq=False)
class Files:
    """The handle of bytes: what is there, a lock over it, and the locks of keys."""

    content: dict[str, bytes] = field(factory=dict[str, bytes])
    guard: threading.RLock = field(factory=threading.RLock)
    locks: Locks = field(factory=Locks)


@frozen(eq=False)
class Items:
    """The handle of items."""

    config: ItemsConfig
    content: dict[str, Item[Payload]] = field(factory=dict[str, Item[Payload]])
    guard: threading.RLock = field(factory=threading.RLock)


def missing(keys: Iterable[str], key: str) -> StorageError:
    if any(other.startswith(f"{key}/") for other in keys):
        return NotAFile(key, None, f"{key!r} is a folder.", "Load what is in it.")
    return NotFound(key, None, f"Nothing is stored under {key!r}.", "List the keys.")


def in_the_way(keys: Iterable[str], key: str) -> StorageError | None:
    advice = "Choose another key."
    for other in keys:
        if key.startswith(f"{other}/"):
            return NotADirectory(key, None, f"{other!r} is a file.", advice)
        if other.startswith(f"{key}/"):
            return NotAFile(key, None, f"{key!r} is a folder.", advice)
    return None


def exists_already(key: str) -> AlreadyExists:
    return AlreadyExists(key, None, f"{key!r} exists already.", "Save with if_exists='replace'.")


def stored(content: dict[str, V], key: str, value: V, if_exists: IfExists) -> Outcome[bool]:
    problem = in_the_way(content, key)
    if problem is not None:
        return Failure(problem)
    if key in content and if_exists == "skip":
        return Success(False)
    if key in content and if_exists == "fail":
        return Failure(exists_already(key))
    content[key] = value
    return Success(True)


def keys_below(content: Iterable[str], folder: str) -> Iterator[Outcome[Page]]:
    below = f"{folder}/" if folder else ""
    found = tuple(Key(key) for key in content if key.startswith(below))
    if folder in content:
        yield Failure(NotADirectory(folder, None, f"{folder!r} is a file.", "List its folder."))
    elif folder and not found:
        yield Failure(NotFound(folder, None, f"There is no folder {folder!r}.", "List the keys."))
    else:
        yield Success(found)


def status(content: dict[str, V], key: str, nbytes: Callable[[V], int | None]) -> Outcome[Stat]:
    if key in content:
        return Success(Stat("file", nbytes(content[key]), None))
    error = missing(content, key)
    return Success(Stat("folder", None, None)) if isinstance(error, NotAFile) else Failure(error)


def removed(content: dict[str, V], key: str) -> Outcome[None]:
    if key not in content:
        return Failure(missing(content, key))
    del content[key]
    return Success(None)


def open_files(_config: DictConfig, /) -> Outcome[Files]:
    return Success(Files())


def close_files(files: Files, /) -> None:
    files.content.clear()


def readable(data: bytes) -> Readable:
    def read_into(offset: int, buffer: memoryview, /) -> int:
        part = data[offset : offset + len(buffer)]
        buffer[: len(part)] = part
        return len(part)

    return Readable(len(data), read_into, lambda: None)


def get(files: Files, key: Key, /) -> Outcome[Readable]:
    with files.guard:
        if key not in files.content:
            return Failure(missing(files.content, key))
        return Success(readable(files.content[key]))


def joined(encoded: Encoded) -> bytes:
    return b"".join(bytes(memoryview(buffer)) for buffer in encoded.buffers)


def put(files: Files, key: Key, encoded: Encoded, if_exists: IfExists, /) -> Outcome[bool]:
    try:
        data = joined(encoded)
    except OSError as error:
        return Failure(UnsupportedPayload(key, None, f"No content: {error}.", "Try again."))
    with files.guard:
        return stored(files.content, key, data, if_exists)


def stat(files: Files, key: Key, /) -> Outcome[Stat]:
    with files.guard:
        return status(files.content, key, len)


def list_(files: Files, folder: str, /) -> Iterator[Outcome[Page]]:
    with files.guard:
        pages = tuple(keys_below(tuple(files.content), folder))
    yield from pages


def delete(files: Files, key: Key, /) -> Outcome[None]:
    with files.guard:
        return removed(files.content, key)


@frozen(eq=False)
class Held(AbstractContextManager[None]):
    """A lock that is held until the end of its block."""

    locks: Locks
    key: str

    def __exit__(self, *_exception: object) -> None:
        with self.locks.changed:
            self.locks.held.discard(self.key)
            self.locks.changed.notify_all()


def lock(files: Files, key: Key, seconds: float, /) -> Outcome[AbstractContextManager[None]]:
    locks = files.locks
    with locks.changed:
        if not locks.changed.wait_for(lambda: key not in locks.held, seconds):
            return Failure(LockTimeout(key, None, f"{key!r} is locked.", "Wait longer."))
        locks.held.add(key)
    return Success(Held(locks, key))


DICT: ByteStore[DictConfig, Files] = ByteStore(
    name="plain dict",
    config=DictConfig,
    reach=Reach.PROCESS,
    open=open_files,
    close=close_files,
    get=get,
    put=put,
    stat=stat,
    list=list_,
    delete=delete,
    lock=lock,
)


def open_items(config: ItemsConfig, _context: Context, /) -> Outcome[Items]:
    return Success(Items(config))


def close_items(items: Items, /) -> None:
    items.content.clear()


def load(items: Items, key: Key, _format: FileFormat[object] | None, /) -> Outcome[Item[Payload]]:
    if key not in items.content:
        return Failure(missing(items.content, key))
    return Success(copy.deepcopy(items.content[key]))


def whole(item: Item[Payload]) -> Outcome[Item[Payload]]:
    """Give a copy of an item, with a lazy array read."""
    read = read_whole(item.payload)
    if not is_successful(read):
        return Failure(read.failure())
    found = Item(item.key, cast("Payload", read.unwrap()), item.metadata)
    try:
        return Success(copy.deepcopy(found))
    except Exception as error:  # noqa: BLE001 - a payload's own code may raise anything
        return Failure(UnsupportedPayload(item.key, None, f"No copy: {error}.", "Copy it first."))


def save(items: Items, key: Key, item: Item[Payload], how: SaveOptions, /) -> Outcome[Saved]:
    if how.options is not None:
        return Failure(UnsupportedPayload(key, None, "There are no options.", "Leave them out."))
    copied = whole(item)
    if not is_successful(copied):
        return Failure(copied.failure())
    with items.guard:
        written = stored(items.content, key, copied.unwrap(), how.if_exists)
    return written.map(
        lambda it: Saved(key, items.config, "written" if it else "skipped", 7 if it else 0)
    )


def stat_item(items: Items, key: Key, /) -> Outcome[Stat]:
    with items.guard:
        return status(items.content, key, lambda _: None)


def list_items(items: Items, folder: str, /) -> Iterator[Outcome[Page]]:
    with items.guard:
        pages = tuple(keys_below(tuple(items.content), folder))
    yield from pages


def delete_item(items: Items, key: Key, /) -> Outcome[None]:
    with items.guard:
        return removed(items.content, key)


ITEMS: Backend[ItemsConfig, Items] = Backend(
    name="plain items",
    config=ItemsConfig,
    reach=Reach.PROCESS,
    open=open_items,
    close=close_items,
    load=load,
    save=save,
    stat=stat_item,
    list=list_items,
    delete=delete_item,
)
