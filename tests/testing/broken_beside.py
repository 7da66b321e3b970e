"""Stores that each break a law which the other broken ones leave whole."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
from attrs import evolve, field, frozen
from broken_files import SAYS_IT_PUT, putting, under
from broken_listings import listing
from broken_locks import EXCLUDES_NOBODY, FORGETS_WHEN_CLOSED, unwrap
from broken_stores import LEAVES_WHAT_IT_BEGAN, REPLACES_NOTHING, Broken, saving
from plain_stores import (
    DICT,
    ITEMS,
    DictConfig,
    Files,
    Items,
    exists_already,
    get,
    joined,
    keys_below,
    new_dict,
    new_items,
    put,
    save,
    whole,
)
from store_makers import new_memory

from polystore import (
    Child,
    Encoded,
    Failure,
    IfExists,
    Item,
    Key,
    LazyArray,
    Outcome,
    Page,
    Payload,
    Readable,
    Saved,
    SaveOptions,
    Success,
    is_successful,
)
from polystore.backends.memory import MEMORY, Memory

__all__ = ["BROKEN_BESIDE"]

KEEPS_ALL_UNDER_ONE_KEY = under(lambda _key: "one")


def _save_zeros(items: Items, key: Key, item: Item[Payload], how: SaveOptions, /) -> Outcome[Saved]:
    """Take the shape of a lazy array for its content."""
    if not isinstance(item.payload, LazyArray):
        return save(items, key, item, how)
    spec = item.payload.spec
    return save(items, key, Item(key, np.zeros(spec.shape, spec.dtype), item.metadata), how)


SAVES_ZEROS_FOR_LAZY_ARRAYS = saving(_save_zeros)


def _put_unguarded(files: Files, key: Key, encoded: Encoded, how: IfExists, /) -> Outcome[bool]:
    """Look whether the key is free, with all bytes at hand, and take it in the next step."""
    data = joined(encoded)
    if key in files.content:
        return put(files, key, Encoded((data,), len(data)), how)
    files.content[key] = data
    return Success(True)


CHECKS_THEN_PUTS = putting(_put_unguarded)


def _save_unguarded(
    items: Items, key: Key, item: Item[Payload], how: SaveOptions, /
) -> Outcome[Saved]:
    copied = whole(item)
    if not is_successful(copied):
        return Failure(copied.failure())
    if key in items.content and how.if_exists == "fail":
        return Failure(exists_already(key))
    items.content[key] = copied.unwrap()
    return Success(Saved(key, items.config, "written", 7))


CHECKS_THEN_SAVES = saving(_save_unguarded)


@frozen(eq=False)
class TornFiles(Files):
    """A handle that knows when somebody has looked."""

    looked: threading.Event = field(factory=threading.Event)


def _open_torn(_config: DictConfig, /) -> Outcome[Files]:
    return Success(TornFiles())


def _put_torn(files: Files, key: Key, encoded: Encoded, how: IfExists, /) -> Outcome[bool]:
    """Put half of the bytes, and the rest when somebody has looked."""
    data = joined(encoded)
    half = data[: len(data) // 2]
    begun = put(files, key, Encoded((half,), len(half)), how)
    beside = threading.current_thread() is not threading.main_thread()
    if is_successful(begun) and begun.unwrap():
        if isinstance(files, TornFiles) and beside:
            files.looked.clear()
            files.looked.wait(0.5)  # nobody may be looking yet
        files.content[key] = data
    return begun


def _get_torn(files: Files, key: Key, /) -> Outcome[Readable]:
    found = get(files, key)
    if isinstance(files, TornFiles):
        files.looked.set()
    return found


TEARS_BESIDE_A_READER = evolve(DICT, open=_open_torn, put=_put_torn, get=_get_torn)


def _move_into_itself(memory: Memory, old: Key, new: Key, how: IfExists, /) -> Outcome[bool]:
    if new.startswith(f"{old}/"):
        return Success(True)
    return unwrap(MEMORY.move)(memory, old, new, how)


MOVES_FOLDERS_INTO_THEMSELVES = evolve(MEMORY, move=_move_into_itself)


def _list_bare(items: Items, folder: str, /) -> Iterator[Outcome[Page]]:
    """Give each key as a page."""
    for page in keys_below(tuple(items.content), folder):
        if is_successful(page):
            for key in page.unwrap():
                yield Success(key)  # type: ignore[arg-type]  # pyright: ignore[reportReturnType]


LISTS_KEYS_FOR_PAGES = evolve(ITEMS, list=_list_bare)
LISTS_LISTS = listing(lambda _items, _folder, keys: list(keys))  # type: ignore[arg-type,return-value]  # pyright: ignore[reportArgumentType]


def _children_bare(memory: Memory, folder: str, /) -> Iterator[Outcome[tuple[Child, ...]]]:
    """Show names only."""
    for page in unwrap(MEMORY.children)(memory, folder):
        yield page.map(lambda found: tuple(it.key for it in found))  # type: ignore[misc]  # pyright: ignore[reportReturnType]


SHOWS_NAMES = evolve(MEMORY, children=_children_bare)

PAGE = "a page of a listing is a tuple of keys"
MANY = 'of many writers at once, one wins under "fail"'

BROKEN_BESIDE: dict[str, Broken] = {
    "lists keys for pages": Broken(LISTS_KEYS_FOR_PAGES, new_items, PAGE, "Success(('a.npy',))"),
    "lists lists": Broken(LISTS_LISTS, new_items, PAGE, "tuple of keys"),
    "shows names": Broken(
        SHOWS_NAMES, new_memory, "a page of children is a tuple of Child", "'a.npy' in it"
    ),
    "keeps all under one key": Broken(
        KEEPS_ALL_UNDER_ONE_KEY, new_dict, "every key keeps its own content"
    ),
    "replaces nothing": Broken(REPLACES_NOTHING, new_items, "the last save holds"),
    "forgets at each opening": Broken(
        FORGETS_WHEN_CLOSED,
        new_dict,
        "two handles of one store see each other's saves",
        "NotFound",
    ),
    "saves zeros for lazy arrays": Broken(
        SAVES_ZEROS_FOR_LAZY_ARRAYS, new_items, "a lazy array is saved as what it reads", "element"
    ),
    "checks, then puts": Broken(CHECKS_THEN_PUTS, new_dict, MANY, "[1, 2] won"),
    "checks, then saves": Broken(CHECKS_THEN_SAVES, new_items, MANY, "[1, 2] won"),
    "tears beside a reader": Broken(
        TEARS_BESIDE_A_READER,
        new_dict,
        "a reader beside a writer sees the old or the new, never a mixture",
    ),
    "shows what it began": Broken(
        LEAVES_WHAT_IT_BEGAN, new_items, "a save that is under way is not seen"
    ),
    "excludes nobody": Broken(EXCLUDES_NOBODY, new_dict, "no step is lost under a lock", "counted"),
    "moves folders into themselves": Broken(
        MOVES_FOLDERS_INTO_THEMSELVES,
        new_memory,
        "a folder is moved with all that is below it, and never into itself",
        "InvalidKey",
    ),
    "says that it put": Broken(
        SAYS_IT_PUT, new_dict, "if_exists decides what becomes of bytes that were there", "skip"
    ),
}
