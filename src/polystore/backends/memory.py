"""Memory: items in this process, by the name of the store. What is saved is a snapshot."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator
from typing import TypeVar

from attrs import field, frozen

from polystore.configs import MemoryConfig
from polystore.core.errors import (
    AlreadyExists,
    NotADirectory,
    NotAFile,
    StorageError,
    UnsupportedOperation,
    UnsupportedPayload,
    not_found,
)
from polystore.core.item import Item, Saved
from polystore.core.key import Key
from polystore.core.outcome import Failure, Outcome, Success, catch, guard, is_successful
from polystore.core.payload import Payload
from polystore.core.records import Backend, Context, FileFormat, Page, Reach, SaveOptions, Stat

__all__ = ["MEMORY", "Memory"]

T = TypeVar("T")


@frozen(eq=False)
class Memory:
    """The handle: what is stored, and a lock over changes of it."""

    config: MemoryConfig
    items: dict[Key, Item[Payload]] = field(factory=dict[Key, Item[Payload]])
    lock: threading.Lock = field(factory=threading.Lock)


def _open(config: MemoryConfig, _context: Context, /) -> Outcome[Memory]:
    return Success(Memory(config))


def _close(memory: Memory, /) -> None:
    memory.items.clear()


def _copied(item: Item[Payload]) -> Outcome[Item[Payload]]:
    """Copy the payload, so that a later change of either side does not reach the other."""

    def cannot(error: Exception) -> StorageError:
        kind = type(item.payload).__name__
        return UnsupportedPayload(
            item.key,
            None,
            f"This {kind} cannot be copied: {error}.",
            "Detach or materialise it first.",
        )

    return guard(
        lambda: Item(item.key, copy.deepcopy(item.payload), item.metadata, item.history),
        catch(TypeError, cannot),
        catch(RuntimeError, cannot),
    )


def _load(memory: Memory, key: Key, format: FileFormat[object] | None, /) -> Outcome[Item[Payload]]:
    if format is not None:
        return Failure(
            UnsupportedOperation(
                key,
                memory.config,
                "A memory store holds no files, and so no formats.",
                "Leave the format out: load(store).",
            )
        )
    item = memory.items.get(key)
    return Failure(_absent(memory, key)) if item is None else _copied(item)


def _absent(memory: Memory, key: Key) -> StorageError:
    inside = [other for other in tuple(memory.items) if other.startswith(key + "/")]
    if inside:
        return NotAFile(
            key,
            memory.config,
            f"{key!r} is a folder of {len(inside)} items.",
            "Load them one by one: pipeline.map(list_files(store).unwrap()).",
        )
    return not_found(key, memory.config, tuple(memory.items))


def _save(memory: Memory, key: Key, item: Item[Payload], how: SaveOptions, /) -> Outcome[Saved]:
    copied = _copied(item)
    if not is_successful(copied):
        return Failure(copied.failure())
    nbytes = getattr(item.payload, "nbytes", 0)
    with memory.lock:
        problem = _conflict(memory, key)
        if problem is not None:
            return Failure(problem)
        if key in memory.items and how.if_exists == "skip":
            return Success(Saved(key, memory.config, "skipped", 0))
        if key in memory.items and how.if_exists == "fail":
            return Failure(
                AlreadyExists(
                    key,
                    memory.config,
                    f"{key!r} exists already.",
                    'Save with if_exists="replace", or with "skip" to keep what is there.',
                )
            )
        memory.items[key] = copied.unwrap()
    return Success(Saved(key, memory.config, "written", nbytes if isinstance(nbytes, int) else 0))


def _conflict(memory: Memory, key: Key) -> StorageError | None:
    """Say why the key cannot stand beside those there are: one would be a folder of the other."""
    advice = "Choose a key that is neither a folder of another key nor below one."
    parts = key.split("/")
    for parent in ("/".join(parts[:depth]) for depth in range(1, len(parts))):
        if parent in memory.items:
            return NotADirectory(
                key, memory.config, f"{parent!r} is an item, not a folder.", advice
            )
    if any(other.startswith(key + "/") for other in memory.items):
        return NotAFile(key, memory.config, f"{key!r} is a folder.", advice)
    return None


def _stat(memory: Memory, key: Key, /) -> Outcome[Stat]:
    item = memory.items.get(key)
    if item is not None:
        nbytes = getattr(item.payload, "nbytes", None)
        return Success(Stat("file", nbytes if isinstance(nbytes, int) else None, None))
    absent = _absent(memory, key)
    return Success(Stat("folder", None, None)) if isinstance(absent, NotAFile) else Failure(absent)


def _list(memory: Memory, folder: str, /) -> Iterator[Outcome[Page]]:
    prefix = f"{folder}/" if folder else ""
    yield Success(tuple(key for key in tuple(memory.items) if key.startswith(prefix)))


def _delete(memory: Memory, key: Key, /) -> Outcome[None]:
    with memory.lock:
        if memory.items.pop(key, None) is None:
            return Failure(_absent(memory, key))
    return Success(None)


MEMORY: Backend[MemoryConfig, Memory] = Backend(
    name="memory",
    config=MemoryConfig,
    reach=Reach.PROCESS,
    open=_open,
    close=_close,
    load=_load,
    save=_save,
    stat=_stat,
    list=_list,
    delete=_delete,
)
"""The record of memory stores."""
