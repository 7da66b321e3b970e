"""Stores of items, each broken in one way, with the law that must catch it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import cast

import numpy as np
from attrs import evolve, frozen
from plain_stores import (
    ITEMS,
    Items,
    ItemsConfig,
    in_the_way,
    load,
    missing,
    new_items,
    save,
    stored,
    whole,
)

from polystore import (
    ArraySpec,
    Backend,
    Failure,
    FileFormat,
    HostArray,
    Item,
    Key,
    LazyArray,
    Outcome,
    Payload,
    Region,
    Saved,
    SaveOptions,
    Success,
    UnsupportedPayload,
    is_host_array,
    is_successful,
)
from polystore.core.registry import Record
from polystore.testing.law import Make

__all__ = ["BROKEN_ITEMS", "Broken"]


@frozen
class Broken:
    """A record that is broken, a maker for it, and the law that says how.

    `seen` is a word of what the law must have seen: it is caught for its own fault.
    """

    record: Record
    make: Make
    law: str
    seen: str = ""


Loads = Callable[[Items, Key, FileFormat[object] | None], Outcome[Item[Payload]]]
Saves = Callable[[Items, Key, Item[Payload], SaveOptions], Outcome[Saved]]


def loading(change: Callable[[Item[Payload]], Item[Payload]]) -> Backend[ItemsConfig, Items]:
    """Give the store that changes what it loads."""

    def changed(
        items: Items, key: Key, format: FileFormat[object] | None, /
    ) -> Outcome[Item[Payload]]:
        return load(items, key, format).map(change)

    return evolve(ITEMS, load=changed)


def on_arrays(change: Callable[[HostArray], HostArray]) -> Backend[ItemsConfig, Items]:
    """Give the store that changes the arrays that it loads."""

    def changed(item: Item[Payload]) -> Item[Payload]:
        if not is_host_array(item.payload):
            return item
        return Item(item.key, cast("Payload", change(item.payload)), item.metadata)

    return loading(changed)


def loading_lazily(
    change: Callable[[Region], Region], *, live: bool = False
) -> Backend[ItemsConfig, Items]:
    """Give the store whose lazy arrays read another region, or what is there by then."""

    def lazily(
        items: Items, key: Key, _format: FileFormat[object] | None, /
    ) -> Outcome[Item[LazyArray]]:
        found = items.content[key].payload
        if not is_host_array(found):
            return Failure(UnsupportedPayload(key, None, "It is no array.", "Load it whole."))
        spec = ArraySpec(found.shape, found.dtype.str, (), found.shape)

        def read(region: Region) -> Outcome[HostArray]:
            now = items.content[key].payload if live else found
            return Success(np.asarray(now)[change(region)].copy())

        return Success(Item(key, LazyArray(spec, read)))

    return evolve(ITEMS, load_lazy=lazily)


def saving(save: Saves) -> Backend[ItemsConfig, Items]:
    return evolve(ITEMS, save=save)


def said(change: Callable[[Saved], Saved]) -> Backend[ItemsConfig, Items]:
    """Give the store that says something else of what it saved."""

    def changed(items: Items, key: Key, item: Item[Payload], how: SaveOptions, /) -> Outcome[Saved]:
        return save(items, key, item, how).map(change)

    return saving(changed)


def with_mode(mode: str, other: SaveOptions) -> Backend[ItemsConfig, Items]:
    """Give the store that takes one `if_exists` for another."""

    def changed(items: Items, key: Key, item: Item[Payload], how: SaveOptions, /) -> Outcome[Saved]:
        return save(items, key, item, other if how.if_exists == mode else how)

    return saving(changed)


SAME = "what is saved comes back, bit for bit, or is refused and leaves nothing"
DTYPES = "every dtype comes back, bit for bit, or is refused"

WIDENS_FLOAT16 = on_arrays(lambda a: a.astype("f4") if a.dtype == np.float16 else a)
LOSES_NEGATIVE_ZERO = on_arrays(
    lambda a: np.where(a == 0, np.float32(0), a) if a.dtype == np.float32 else a
)
QUIETS_NANS = on_arrays(
    lambda a: np.where(np.isnan(a), np.float32("nan"), a) if a.dtype == np.float32 else a
)
SWAPS_BYTES = on_arrays(lambda a: a.astype(a.dtype.newbyteorder("=")) if a.dtype.kind == "i" else a)
SQUEEZES = on_arrays(lambda a: a.reshape(1) if a.ndim == 0 else a)
TRANSPOSES = on_arrays(lambda a: a.T if a.flags.f_contiguous else a)
TRUNCATES = on_arrays(lambda a: a[: 2**20] if a.ndim == 1 else a)
READS_FROM_THE_FIRST_ROW = loading_lazily(lambda region: (slice(0, region[0].stop), *region[1:]))
READS_WHAT_IS_THERE_BY_THEN = loading_lazily(lambda region: region, live=True)
FORGETS_METADATA = loading(lambda item: Item(item.key, item.payload))
SAYS_WRITTEN = said(lambda saved: evolve(saved, status="written"))
NAMES_ANOTHER_KEY = said(lambda saved: evolve(saved, key=saved.key.upper()))
NAMES_ANOTHER_STORE = said(lambda saved: evolve(saved, config=new_items()))
SAYS_DROPPED = said(lambda saved: evolve(saved, dropped=("axes",)))
OVERWRITES = with_mode("fail", SaveOptions("replace"))
SKIPS_NOTHING = with_mode("skip", SaveOptions("replace"))
REPLACES_NOTHING = with_mode("replace", SaveOptions("skip"))


def _save_as_given(
    items: Items, key: Key, item: Item[Payload], how: SaveOptions, /
) -> Outcome[Saved]:
    saved = save(items, key, item, how)
    if is_successful(saved) and saved.unwrap().status == "written":
        items.content[key] = item
    return saved


ALIASES_SAVED = saving(_save_as_given)


def _save_attributes_as_given(
    items: Items, key: Key, item: Item[Payload], how: SaveOptions, /
) -> Outcome[Saved]:
    saved = save(items, key, item, how)
    if is_successful(saved) and saved.unwrap().status == "written":
        items.content[key] = Item(key, items.content[key].payload, item.metadata)
    return saved


ALIASES_ATTRIBUTES = saving(_save_attributes_as_given)


def _load_as_stored(
    items: Items, key: Key, format: FileFormat[object] | None, /
) -> Outcome[Item[Payload]]:
    return load(items, key, format).map(lambda _: items.content[key])


ALIASES_LOADED = evolve(ITEMS, load=_load_as_stored)


def _load_reversed_again(
    items: Items, key: Key, format: FileFormat[object] | None, /
) -> Outcome[Item[Payload]]:
    """Reverse, with each load, what is stored."""
    loaded = load(items, key, format)
    found = items.content.get(key)
    if found is not None and is_host_array(found.payload):
        found.payload[...] = found.payload[::-1].copy()
    return loaded


REVERSES_WITH_EACH_LOAD = evolve(ITEMS, load=_load_reversed_again)


def _load_out_of_turn(
    items: Items, key: Key, format: FileFormat[object] | None, /
) -> Outcome[Item[Payload]]:
    """Fail in other threads than the one that saved first."""
    import threading

    if threading.current_thread() is not threading.main_thread():
        return Failure(missing((), key))
    return load(items, key, format)


FAILS_IN_OTHER_THREADS = evolve(ITEMS, load=_load_out_of_turn)


def _load_raising(
    items: Items, key: Key, _format: FileFormat[object] | None, /
) -> Outcome[Item[Payload]]:
    return Success(copy.deepcopy(items.content[key]))


RAISES = evolve(ITEMS, load=_load_raising)


def _load_namelessly(
    items: Items, key: Key, format: FileFormat[object] | None, /
) -> Outcome[Item[Payload]]:
    return load(items, key, format).alt(lambda error: evolve(error, key=""))


NAMES_NO_KEY = evolve(ITEMS, load=_load_namelessly)


def _load_without_advice(
    items: Items, key: Key, format: FileFormat[object] | None, /
) -> Outcome[Item[Payload]]:
    return load(items, key, format).alt(lambda error: evolve(error, advice=""))


GIVES_NO_ADVICE = evolve(ITEMS, load=_load_without_advice)


def _load_by_last_part(
    items: Items, key: Key, format: FileFormat[object] | None, /
) -> Outcome[Item[Payload]]:
    name = key.rpartition("/")[2]
    found = next((it for it in items.content if it.rpartition("/")[2] == name), key)
    return load(items, Key(found), format)


LOADS_ANOTHER = evolve(ITEMS, load=_load_by_last_part)


def _save_beside_folder(
    items: Items, key: Key, item: Item[Payload], how: SaveOptions, /
) -> Outcome[Saved]:
    copied = whole(item)
    if in_the_way(items.content, key) is None or not is_successful(copied):
        return save(items, key, item, how)
    items.content[key] = copied.unwrap()
    return Success(Saved(key, items.config, "written", 7))


IS_BOTH = saving(_save_beside_folder)


def _save_json(items: Items, key: Key, item: Item[Payload], how: SaveOptions, /) -> Outcome[Saved]:
    import json

    if not is_host_array(item.payload):
        json.dumps(item.payload)
    return save(items, key, item, how)


RAISES_ON_ODD_PAYLOADS = saving(_save_json)


def _save_whatever_options(
    items: Items, key: Key, item: Item[Payload], how: SaveOptions, /
) -> Outcome[Saved]:
    return save(items, key, item, SaveOptions(how.if_exists))


TAKES_ANY_OPTIONS = saving(_save_whatever_options)


def _save_nothing(
    items: Items, key: Key, item: Item[Payload], _how: SaveOptions, /
) -> Outcome[Saved]:
    message = f"A {type(item.payload).__name__} cannot be saved here."
    return Failure(UnsupportedPayload(key, items.config, message, "Save it elsewhere."))


TAKES_NOTHING = saving(_save_nothing)


def _save_rows(items: Items, key: Key, item: Item[Payload], how: SaveOptions, /) -> Outcome[Saved]:
    """Put something under the key before the payload is read."""
    if isinstance(item.payload, LazyArray) and how.if_exists != "fail":
        items.content[key] = Item(key, {"begun": True})
    return save(items, key, item, how)


LEAVES_WHAT_IT_BEGAN = saving(_save_rows)


def _checks_first(
    items: Items, key: Key, item: Item[Payload], how: SaveOptions, /
) -> Outcome[Saved]:
    """Look whether the key is free before the payload is read, and not after."""
    free = key not in items.content
    copied = whole(item)
    if not free or not is_successful(copied):
        return save(items, key, item, how)
    with items.guard:
        return stored(items.content, key, copied.unwrap(), "replace").map(
            lambda _: Saved(key, items.config, "written", 7)
        )


CHECKS_TOO_EARLY = saving(_checks_first)


def _items(record: Backend[ItemsConfig, Items], law: str, seen: str = "") -> Broken:
    return Broken(record, new_items, law, seen)


BROKEN_ITEMS: dict[str, Broken] = {
    "widens float16": _items(WIDENS_FLOAT16, DTYPES, "dtype"),
    "loses -0.0": _items(LOSES_NEGATIVE_ZERO, DTYPES, "element"),
    "loses what NaNs carry": _items(QUIETS_NANS, DTYPES, "element"),
    "changes the byte order": _items(SWAPS_BYTES, DTYPES, "dtype"),
    "gives 0-d arrays an axis": _items(SQUEEZES, SAME, "shape"),
    "transposes arrays in Fortran order": _items(TRANSPOSES, SAME),
    "truncates large arrays": _items(TRUNCATES, "large content comes back whole", "shape"),
    "forgets the metadata without a word": _items(
        FORGETS_METADATA, "metadata comes back, or Saved.dropped names it", "does not name it"
    ),
    "says dropped of what was not there": _items(
        SAYS_DROPPED, "metadata comes back, or Saved.dropped names it", "dropped"
    ),
    "says written when it skipped": _items(SAYS_WRITTEN, "a skipped save changes nothing"),
    "says another key": _items(NAMES_ANOTHER_KEY, "Saved says what was done", "key"),
    "says another store": _items(NAMES_ANOTHER_STORE, "Saved says what was done", "config"),
    "overwrites under fail": _items(
        OVERWRITES, "if_exists decides what becomes of what was there", "AlreadyExists"
    ),
    "overwrites under skip": _items(SKIPS_NOTHING, "a skipped save changes nothing"),
    "replaces nothing": _items(
        REPLACES_NOTHING, "if_exists decides what becomes of what was there", "skipped"
    ),
    "keeps the array that was saved": _items(
        ALIASES_SAVED, "a later change to what was saved does not reach the store", "element"
    ),
    "keeps the attributes that were saved": _items(
        ALIASES_ATTRIBUTES, "a later change to what was saved does not reach the store", "attrib"
    ),
    "gives out the array that it keeps": _items(
        ALIASES_LOADED, "a later change to what was loaded does not reach the store", "element"
    ),
    "reads lazily from the first row on": _items(
        READS_FROM_THE_FIRST_ROW,
        "what is read lazily is what is loaded, also when it is replaced",
        "shape",
    ),
    "reads lazily what is there by then": _items(
        READS_WHAT_IS_THERE_BY_THEN,
        "what is read lazily is what is loaded, also when it is replaced",
        "after it was replaced",
    ),
    "changes what it keeps with each load": _items(
        REVERSES_WITH_EACH_LOAD, "what is listed loads, the same each time", "twice"
    ),
    "loads in one thread only": _items(
        FAILS_IN_OTHER_THREADS, "a batch is its items one by one", "in a batch"
    ),
    "raises instead of failing": _items(
        RAISES, "what is missing is an error that names the key", "KeyError"
    ),
    "names no key in an error": _items(
        NAMES_NO_KEY, "what is missing is an error that names the key", "names ''"
    ),
    "gives no advice": _items(
        GIVES_NO_ADVICE, "what is missing is an error that names the key", "advice"
    ),
    "loads another key's item": _items(LOADS_ANOTHER, "a store does what a dict does"),
    "keeps a file beside a folder of its name": _items(
        IS_BOTH, "a key is a file or a folder, never both"
    ),
    "raises on odd payloads": _items(
        RAISES_ON_ODD_PAYLOADS, "a store takes any payload, or refuses it by a typed error"
    ),
    "takes any options": _items(
        TAKES_ANY_OPTIONS, "options that a store does not know are refused"
    ),
    "takes nothing": _items(TAKES_NOTHING, "a store holds something", "no payload of any kind"),
    "leaves what it began": _items(
        LEAVES_WHAT_IT_BEGAN, "a save that fails half-way leaves what was there"
    ),
    "checks too early": _items(
        CHECKS_TOO_EARLY, "of two writers, one in the midst of the other, one wins", "won"
    ),
}
