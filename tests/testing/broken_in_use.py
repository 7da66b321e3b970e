"""Stores that are broken where several keys, handles, threads or versions are in use at once."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from itertools import count

from attrs import evolve
from broken_locks import unwrap
from broken_stores import Broken, loading
from plain_stores import (
    DICT,
    ITEMS,
    DictConfig,
    Files,
    Items,
    close_files,
    joined,
    list_,
    load,
    lock,
    missing,
    new_dict,
    new_items,
    put,
    save,
    stat,
    whole,
)
from store_makers import new_memory

from polystore import (
    AlreadyExists,
    Encoded,
    Failure,
    FileFormat,
    IfExists,
    Item,
    Key,
    Outcome,
    Page,
    Payload,
    Saved,
    SaveOptions,
    Stat,
    Success,
    is_host_array,
    is_successful,
)
from polystore.backends.memory import MEMORY, Memory

__all__ = ["BROKEN_IN_USE"]

Locked = AbstractContextManager[None]

_pairs = threading.Barrier(2)


def _meet() -> None:
    """Wait until another thread is here too, if one comes."""
    try:
        _pairs.wait(0.1)
    except threading.BrokenBarrierError:
        _pairs.reset()


def _put_all(files: Files, key: Key, encoded: Encoded, if_exists: IfExists, /) -> Outcome[bool]:
    """Write all that there is once more, with one key changed: of two at once, one is lost."""
    at_work = Files(dict(files.content))
    written = put(at_work, key, encoded, if_exists)
    _meet()
    if is_successful(written):
        with files.guard:
            files.content.clear()
            files.content.update(at_work.content)
    return written


LOSES_OTHER_KEYS = evolve(DICT, put=_put_all)


def _delete_tree(items: Items, key: Key, /) -> Outcome[None]:
    gone = [it for it in items.content if it == key or it.startswith(f"{key}/")]
    for each in gone:
        del items.content[each]
    return Success(None) if gone else Failure(missing(items.content, key))


DELETES_FOLDERS = evolve(ITEMS, delete=_delete_tree, list=None)
DELETES_FOLDERS_UNASKED = evolve(ITEMS, delete=_delete_tree, stat=None)


def _load_shared(
    items: Items, key: Key, format: FileFormat[object] | None, /
) -> Outcome[Item[Payload]]:
    if key not in items.content:
        return load(items, key, format)
    return Success(items.content[key])


def _save_in_place(
    items: Items, key: Key, item: Item[Payload], how: SaveOptions, /
) -> Outcome[Saved]:
    """Write into the array that is there, and was given out read-only."""
    copied, old = whole(item), items.content.get(key)
    if how.if_exists == "replace" and old is not None and is_successful(copied):
        into, new = old.payload, copied.unwrap().payload
        if is_host_array(into) and is_host_array(new) and into.shape == new.shape:
            into.flags.writeable = True
            into[...] = new
            into.flags.writeable = False
            return Success(Saved(key, items.config, "written", 7))
    saved = save(items, key, item, how)
    kept = items.content.get(key)
    if kept is not None and is_host_array(kept.payload):
        kept.payload.flags.writeable = False
    return saved


WRITES_INTO_WHAT_WAS_LOADED = evolve(ITEMS, load=_load_shared, save=_save_in_place)

_owners: dict[tuple[int, str], int] = {}


@contextmanager
def _owned(files: Files, key: str, held: Locked) -> Generator[None]:
    _owners[id(files), key] = threading.get_ident()
    with held:
        yield
        _owners.pop((id(files), key), None)


@contextmanager
def _again() -> Generator[None]:
    yield


def _lock_again(files: Files, key: Key, seconds: float, /) -> Outcome[Locked]:
    if _owners.get((id(files), key)) == threading.get_ident():
        return Success(_again())
    return lock(files, key, seconds).map(lambda held: _owned(files, key, held))


IS_LOCKED_TWICE = evolve(DICT, lock=_lock_again)


def _put_locked(files: Files, key: Key, encoded: Encoded, if_exists: IfExists, /) -> Outcome[bool]:
    data = joined(encoded)
    held = lock(files, key, 5.0)
    if not is_successful(held):
        return Failure(held.failure())
    with held.unwrap():
        return put(files, key, Encoded((data,), len(data)), if_exists)


LOCKS_ITS_SAVES = evolve(DICT, put=_put_locked)


@cache
def _opened(_config: DictConfig) -> Files:
    return Files()


def _open_shared(config: DictConfig, /) -> Outcome[Files]:
    return Success(_opened(config))


CLOSES_FOR_ALL = evolve(DICT, open=_open_shared, close=close_files)


def _stat_in_seconds(files: Files, key: Key, /) -> Outcome[Stat]:
    return stat(files, key).map(lambda found: evolve(found, modified_ns=1_700_000_000))


SAYS_SECONDS = evolve(DICT, stat=_stat_in_seconds)

_down = count(1_700_000_000 * 10**9, -1)


def _stat_backwards(files: Files, key: Key, /) -> Outcome[Stat]:
    return stat(files, key).map(lambda found: evolve(found, modified_ns=next(_down)))


GROWS_YOUNGER = evolve(DICT, stat=_stat_backwards)


def _list_for_ever(files: Files, folder: str, /) -> Iterator[Outcome[Page]]:
    while True:
        yield from list_(files, folder)


LISTS_FOR_EVER = evolve(DICT, list=_list_for_ever)


def _look_and_move(memory: Memory, old: Key, new: Key, if_exists: IfExists, /) -> Outcome[bool]:
    """Look whether something is in the way, and only then move."""
    if is_successful(unwrap(MEMORY.stat)(memory, new)) and if_exists == "fail":
        return Failure(AlreadyExists(new, None, f"{new!r} exists.", "Take another key."))
    _meet()
    return unwrap(MEMORY.move)(memory, old, new, "replace")


LOOKS_AND_MOVES = evolve(MEMORY, move=_look_and_move)

BROKEN_IN_USE = {
    "loses what is saved beside it": Broken(
        LOSES_OTHER_KEYS,
        new_dict,
        "of many writers at once under keys of their own, all are kept",
        "NotFound",
    ),
    "deletes folders, and does not list": Broken(
        DELETES_FOLDERS, new_items, "a delete takes no folder that has something in it", "gave None"
    ),
    "deletes folders, and has no stat": Broken(
        DELETES_FOLDERS_UNASKED,
        new_items,
        "a delete takes no folder that has something in it",
        "gave None",
    ),
    "writes into what was loaded": Broken(
        WRITES_INTO_WHAT_WAS_LOADED,
        new_items,
        "what was loaded stays as it is when its key is replaced",
        "changed when it was replaced",
    ),
    "locks twice in one thread": Broken(
        IS_LOCKED_TWICE,
        new_dict,
        "a lock excludes others, and nobody waits longer than told",
        "again, in the thread",
    ),
    "takes the lock to save": Broken(
        LOCKS_ITS_SAVES,
        new_dict,
        "a lock excludes others, and nobody waits longer than told",
        "did not end",
    ),
    "closes for all": Broken(
        CLOSES_FOR_ALL, new_dict, "closing a handle leaves the others open", "NotFound"
    ),
    "loads under another key": Broken(
        loading(lambda item: evolve(item, key="x")),
        new_items,
        "a store holds something",
        "whose key is 'x'",
    ),
    "says seconds": Broken(
        SAYS_SECONDS,
        new_dict,
        "modified_ns is a time, and is not smaller after a replace",
        "since 1970",
    ),
    "grows younger": Broken(
        GROWS_YOUNGER,
        new_dict,
        "modified_ns is a time, and is not smaller after a replace",
        "after a replace",
    ),
    "lists for ever": Broken(
        LISTS_FOR_EVER, new_dict, "what is listed is a key, and a file", "does not end"
    ),
    "lists for ever, and is asked first for pages": Broken(
        LISTS_FOR_EVER, new_dict, "a page of a listing is a tuple of keys", "does not end"
    ),
    "looks, and then moves": Broken(
        LOOKS_AND_MOVES,
        new_memory,
        "of two moves at once to one key, one wins, and nothing is lost",
        "won",
    ),
}
