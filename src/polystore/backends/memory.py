"""Memory: items in this process, by the name of the store. What is saved is a snapshot."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import cast

from attrs import evolve, field, frozen

from polystore.backends.oserrors import exists_already
from polystore.configs import MemoryConfig
from polystore.core.errors import (
    NotADirectory,
    NotAFile,
    StorageError,
    UnsupportedOperation,
    UnsupportedPayload,
    not_found,
)
from polystore.core.item import Item, Saved
from polystore.core.key import Key, near_keys
from polystore.core.outcome import Failure, Outcome, Success, and_then, catch, guard, is_successful
from polystore.core.payload import (
    HostArray,
    Payload,
    aligned_empty,
    bytes_of,
    is_host_array,
    nbytes_of,
)
from polystore.core.records import (
    Backend,
    Context,
    FileFormat,
    Page,
    Reach,
    SaveOptions,
    Stat,
    Transfer,
)
from polystore.frameworks.handover import read_whole
from polystore.frameworks.tensorflow import TENSORFLOW

__all__ = ["MEMORY", "Memory"]


@frozen(eq=False)
class Memory:
    """The handle: what is stored, and a lock over changes of it.

    `folders` counts the items below each folder: asking whether a key is one must not take longer
    the more there is.
    """

    config: MemoryConfig
    items: dict[Key, Item[Payload]] = field(factory=dict[Key, Item[Payload]])
    folders: dict[str, int] = field(factory=dict[str, int])
    lock: threading.Lock = field(factory=threading.Lock)


def _open(config: MemoryConfig, _context: Context, /) -> Outcome[Memory]:
    return Success(Memory(config))


def _close(memory: Memory, /) -> None:
    with memory.lock:
        memory.items.clear()
        memory.folders.clear()


def _folders_of(key: str) -> Iterator[str]:
    """Give the folders that a key is in, the outermost first."""
    parts = key.split("/")
    return ("/".join(parts[:depth]) for depth in range(1, len(parts)))


def _copied(item: Item[Payload]) -> Outcome[Item[Payload]]:
    """Copy all that can change, so that a later change on either side does not reach the other."""

    def cannot(error: Exception) -> StorageError:
        kind = type(item.payload).__name__
        return UnsupportedPayload(
            item.key,
            None,
            f"This {kind} cannot be copied: {type(error).__name__}: {error}.",
            "Detach or materialise it first.",
        )

    def copied() -> Outcome[Item[Payload]]:
        metadata = item.metadata
        if metadata.attributes:
            metadata = evolve(metadata, attributes=copy.deepcopy(dict(metadata.attributes)))
        payload = _payload_copied(item.payload)
        return payload.map(lambda it: Item(item.key, it, metadata, item.history))

    # Copying runs code of the payload's own (`__deepcopy__`), which may raise anything.
    return and_then(guard(copied, catch(Exception, cannot)), lambda it: it)


def _payload_copied(payload: Payload) -> Outcome[Payload]:
    if is_host_array(payload) and _is_plain(payload):
        return Success(_array_copied(payload))
    if TENSORFLOW.owns(payload):
        return _tensor_copied(payload)
    if isinstance(payload, Mapping):
        values = cast("Mapping[str, Payload]", payload)
        if any(map(TENSORFLOW.owns, values.values())):
            return _values_copied(values)
    return Success(copy.deepcopy(payload))


def _values_copied(values: Mapping[str, Payload]) -> Outcome[Payload]:
    copied: dict[str, Payload] = {}
    for name, value in values.items():
        one = _payload_copied(value)
        if not is_successful(one):
            return Failure(one.failure())
        copied[name] = one.unwrap()
    return Success(cast("Payload", copied))


def _tensor_copied(tensor: object) -> Outcome[Payload]:
    """Copy a `tf.Tensor`: its `__deepcopy__` shares what may be a NumPy array's memory."""
    place = cast("Callable[[object, Transfer], Outcome[Payload]]", TENSORFLOW.place)
    return place(tensor, Transfer(copy=True))


def _is_plain(array: HostArray) -> bool:
    """Whether the elements, in one of the two orders, are all there is to the array."""
    import numpy as np

    contiguous = array.flags.c_contiguous or array.flags.f_contiguous
    return type(array) is np.ndarray and contiguous and not array.dtype.hasobject


def _array_copied(array: HostArray) -> HostArray:
    """Copy an array into aligned memory, which JAX can share, in the order that it has."""
    if array.flags.c_contiguous:
        fresh = aligned_empty(array.shape, array.dtype)
        if array.nbytes:
            bytes_of(fresh)[:] = bytes_of(array)
        return fresh
    return _array_copied(array.T).T


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
    with memory.lock:
        inside = memory.folders.get(key, 0)
        siblings = [] if inside else near_keys(key, memory.items)
    if inside:
        return NotAFile(
            key,
            memory.config,
            f"{key!r} is a folder of {inside} items.",
            "Load them one by one: pipeline.map(list_files(store, folder=...).unwrap()).",
        )
    return not_found(key, memory.config, siblings)


def _save(memory: Memory, key: Key, item: Item[Payload], how: SaveOptions, /) -> Outcome[Saved]:
    if how.options is not None:
        return Failure(
            UnsupportedPayload(
                key,
                memory.config,
                f"A memory store takes no {type(how.options).__name__}: it holds no files.",
                "Leave the options out: save(store).",
            )
        )
    # A lazy array would go on reading what it was made of, which may change.
    whole = read_whole(item.payload).map(lambda it: cast("Payload", it))
    copied = and_then(whole, lambda it: _copied(Item(key, it, item.metadata, item.history)))
    return and_then(copied, lambda it: _stored(memory, key, it, how))


def _stored(memory: Memory, key: Key, item: Item[Payload], how: SaveOptions) -> Outcome[Saved]:
    with memory.lock:
        problem = _conflict(memory, key)
        if problem is not None:
            return Failure(problem)
        if key in memory.items and how.if_exists != "replace":
            if how.if_exists == "skip":
                return Success(Saved(key, memory.config, "skipped", 0))
            return Failure(exists_already(key, memory.config))
        if key not in memory.items:
            for folder in _folders_of(key):
                memory.folders[folder] = memory.folders.get(folder, 0) + 1
        memory.items[key] = item
    return Success(Saved(key, memory.config, "written", nbytes_of(item.payload) or 0))


def _conflict(memory: Memory, key: Key) -> StorageError | None:
    """Say why the key cannot stand beside those there are: one would be a folder of the other."""
    advice = "Choose a key that is neither a folder of another key nor below one."
    for folder in _folders_of(key):
        if folder in memory.items:
            return NotADirectory(
                key, memory.config, f"{folder!r} is an item, not a folder.", advice
            )
    if key in memory.folders:
        return NotAFile(key, memory.config, f"{key!r} is a folder.", advice)
    return None


def _stat(memory: Memory, key: Key, /) -> Outcome[Stat]:
    item = memory.items.get(key)
    if item is not None:
        return Success(Stat("file", nbytes_of(item.payload), None))
    if key in memory.folders:
        return Success(Stat("folder", None, None))
    return Failure(_absent(memory, key))


def _list(memory: Memory, folder: str, /) -> Iterator[Outcome[Page]]:
    if folder in memory.items:
        yield Failure(
            NotADirectory(
                folder,
                memory.config,
                f"{folder!r} is an item, not a folder.",
                "Load it, or list the folder that it is in.",
            )
        )
        return
    if folder and folder not in memory.folders:
        yield Failure(_absent(memory, Key(folder)))
        return
    prefix = f"{folder}/" if folder else ""
    with memory.lock:
        found = tuple(key for key in memory.items if key.startswith(prefix))
    yield Success(found)


def _delete(memory: Memory, key: Key, /) -> Outcome[None]:
    with memory.lock:
        found = memory.items.pop(key, None) is not None
        for folder in _folders_of(key) if found else ():
            left = memory.folders.pop(folder) - 1
            if left:
                memory.folders[folder] = left
    return Success(None) if found else Failure(_absent(memory, key))


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
