"""Stores that keep every law in their own way: of one image kind, written once, folding case."""

from __future__ import annotations

from collections.abc import Callable

from attrs import evolve
from broken_locks import unwrap
from plain_stores import (
    DICT,
    ITEMS,
    DictConfig,
    Files,
    Items,
    ItemsConfig,
    delete_item,
    exists_already,
    load,
    put,
    save,
    stat_item,
)

from polystore import (
    Backend,
    ByteStore,
    Encoded,
    Failure,
    FileFormat,
    IfExists,
    Item,
    Key,
    LazyArray,
    MemoryConfig,
    Outcome,
    Payload,
    Rois,
    Saved,
    SaveOptions,
    Stat,
    UnsupportedOperation,
    UnsupportedPayload,
    is_host_array,
)
from polystore.backends.memory import MEMORY, Memory

__all__ = ["ODD_ITEMS", "WRITTEN_ONCE_BYTES", "WRITTEN_ONCE_IN_MEMORY"]


def written_once(key: str) -> UnsupportedOperation:
    return UnsupportedOperation(key, None, f"{key!r} is written once.", "Take another key.")


def _put_once(files: Files, key: Key, encoded: Encoded, if_exists: IfExists, /) -> Outcome[bool]:
    if if_exists == "replace" and key in files.content:
        return Failure(written_once(key))
    return put(files, key, encoded, if_exists)


WRITTEN_ONCE_BYTES: ByteStore[DictConfig, Files] = evolve(DICT, put=_put_once)


def _save_once(items: Items, key: Key, item: Item[Payload], how: SaveOptions, /) -> Outcome[Saved]:
    if how.if_exists == "replace" and key in items.content:
        return Failure(written_once(key))
    return save(items, key, item, how)


def _is_file(memory: Memory, key: Key) -> bool:
    return unwrap(MEMORY.stat)(memory, key).map(lambda it: it.kind == "file").value_or(False)


def _save_once_beside_folders(
    memory: Memory, key: Key, item: Item[Payload], how: SaveOptions, /
) -> Outcome[Saved]:
    if how.if_exists == "replace" and _is_file(memory, key):
        return Failure(written_once(key))
    return unwrap(MEMORY.save)(memory, key, item, how)


def _move_once(memory: Memory, old: Key, new: Key, if_exists: IfExists, /) -> Outcome[bool]:
    if if_exists == "replace" and old != new and _is_file(memory, new) and _is_file(memory, old):
        return Failure(written_once(new))
    return unwrap(MEMORY.move)(memory, old, new, if_exists)


WRITTEN_ONCE_IN_MEMORY: Backend[MemoryConfig, Memory] = evolve(
    MEMORY, save=_save_once_beside_folders, move=_move_once
)


def _taking(takes: Callable[[object], bool]) -> Backend[ItemsConfig, Items]:
    """Give the store that takes some payloads, and refuses all others."""

    def chosen(items: Items, key: Key, item: Item[Payload], how: SaveOptions, /) -> Outcome[Saved]:
        if not takes(item.payload):
            return Failure(UnsupportedPayload(key, None, "It is of another kind.", "Convert it."))
        return save(items, key, item, how)

    return evolve(ITEMS, save=chosen)


def _images(dtype: str, axes: int) -> Backend[ItemsConfig, Items]:
    def taken(payload: object) -> bool:
        if isinstance(payload, LazyArray):
            return payload.spec.dtype == dtype and len(payload.spec.shape) == axes
        return is_host_array(payload) and payload.dtype.str == dtype and payload.ndim == axes

    return _taking(taken)


def _spelt(items: Items, key: Key) -> Key:
    """Give a key as it was saved, in whatever case."""
    return next((Key(it) for it in tuple(items.content) if it.lower() == key.lower()), key)


def _load_folded(
    items: Items, key: Key, format: FileFormat[object] | None, /
) -> Outcome[Item[Payload]]:
    loaded = load(items, _spelt(items, key), format)
    return loaded.map(lambda item: evolve(item, key=key)).alt(lambda it: evolve(it, key=key))


def _save_folded(
    items: Items, key: Key, item: Item[Payload], how: SaveOptions, /
) -> Outcome[Saved]:
    if _spelt(items, key) != key:
        return Failure(exists_already(key))
    return save(items, key, item, how)


def _stat_folded(items: Items, key: Key, /) -> Outcome[Stat]:
    return stat_item(items, _spelt(items, key)).alt(lambda it: evolve(it, key=key))


def _delete_folded(items: Items, key: Key, /) -> Outcome[None]:
    return delete_item(items, _spelt(items, key)).alt(lambda it: evolve(it, key=key))


ODD_ITEMS: dict[str, Backend[ItemsConfig, Items]] = {
    "keys are written once": evolve(ITEMS, save=_save_once),
    "planes of uint16": _images("<u2", 2),
    "stacks of float32": _images("<f4", 3),
    "traces of float32": _images("<f4", 1),
    "regions": _taking(lambda payload: isinstance(payload, Rois)),
    "case is folded": evolve(
        ITEMS, load=_load_folded, save=_save_folded, stat=_stat_folded, delete=_delete_folded
    ),
}
