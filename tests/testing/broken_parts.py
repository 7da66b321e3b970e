"""A plain store that can also do with parts, copies and histories, and broken ones of it."""

from __future__ import annotations

import copy as python
import threading
from collections.abc import Callable
from typing import cast

import numpy as np
from attrs import evolve
from broken_stores import Broken
from plain_stores import ITEMS, Items, ItemsConfig, load, missing, new_items, stored, whole

from polystore import (
    ArraySpec,
    Backend,
    Event,
    Failure,
    FileFormat,
    HostArray,
    IfExists,
    Item,
    Key,
    LazyArray,
    Lossy,
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
from polystore.core.region import box_of, lengths

__all__ = ["BROKEN_PARTS", "PARTS"]

SavesRegion = Callable[[Items, Key, Item[Payload], Region], Outcome[Saved]]


def save(items: Items, key: Key, item: Item[Payload], how: SaveOptions, /) -> Outcome[Saved]:
    """Save with the history, which a plain store forgets."""
    copied = whole(item)
    if not is_successful(copied) or how.options is not None:
        refused = UnsupportedPayload(key, None, "It is not taken.", "Save something else.")
        return Failure(refused if is_successful(copied) else copied.failure())
    it = copied.unwrap()
    with items.guard:
        kept = Item(it.key, it.payload, it.metadata, item.history)
        written = stored(items.content, key, kept, how.if_exists)
    return written.map(
        lambda it: Saved(key, items.config, "written" if it else "skipped", 7 if it else 0)
    )


def lazily(
    items: Items, key: Key, _format: FileFormat[object] | None, /
) -> Outcome[Item[LazyArray]]:
    found = load(items, key, None)
    if not is_successful(found):
        return Failure(found.failure())
    array = found.unwrap().payload
    if not is_host_array(array):
        return Failure(UnsupportedPayload(key, None, "It is no array.", "Load it whole."))
    spec = ArraySpec(array.shape, array.dtype.str, (), array.shape)

    def read(region: Region) -> Outcome[HostArray]:
        return box_of(region, spec.shape).map(lambda _: np.array(array[region]))

    return Success(evolve_payload(found.unwrap(), LazyArray(spec, read)))


def evolve_payload(item: Item[Payload], payload: LazyArray) -> Item[LazyArray]:
    return Item(item.key, payload, item.metadata, item.history)


def refusal(found: HostArray, part: HostArray, region: Region) -> Outcome[None]:
    box = box_of(region, found.shape)
    if not is_successful(box) or lengths(box.unwrap()) != part.shape:
        words = "The region has another shape."
        return Failure(UnsupportedPayload("", None, words, "Save an array as large as it."))
    if part.dtype != found.dtype:
        return Failure(Lossy("", None, "It has another dtype.", "Convert it first."))
    return Success(None)


def assigned(array: HostArray, region: Region, part: HostArray) -> HostArray:
    changed = array.copy()
    changed[region] = part
    return changed


def save_region(items: Items, key: Key, item: Item[Payload], region: Region, /) -> Outcome[Saved]:
    return _saving(assigned)(items, key, item, region)


def _saving(assign: Callable[[HostArray, Region, HostArray], HostArray]) -> SavesRegion:
    """Give the function that saves a part by what `assign` makes of the array."""

    def saved(items: Items, key: Key, item: Item[Payload], region: Region, /) -> Outcome[Saved]:
        with items.guard:
            if key not in items.content:
                return Failure(missing(items.content, key))
            old, part = items.content[key], item.payload
            if not (is_host_array(old.payload) and is_host_array(part)):
                return Failure(UnsupportedPayload(key, None, "It is no array.", "Save one."))
            fits = refusal(old.payload, part, region)
            if not is_successful(fits):
                return Failure(fits.failure())
            new = cast("Payload", assign(old.payload, region, part))
            items.content[key] = Item(old.key, new, old.metadata, old.history)
            return Success(Saved(key, items.config, "written", part.nbytes))

    return saved


def copy(items: Items, key: Key, to: Items, new_key: Key, if_exists: IfExists, /) -> Outcome[bool]:
    with items.guard:
        if key not in items.content:
            return Failure(missing(items.content, key))
        it = python.deepcopy(items.content[key])
        copied = Item(str(new_key), it.payload, it.metadata, it.history)
        return stored(to.content, new_key, copied, if_exists)


def _steps(history: tuple[Event, ...]) -> list[tuple[str, object]]:
    made = [it for it in history if type(it.step).__name__ != "Save"]
    return [(event.key, event.step) for event in made]


def made_by(items: Items, key: Key, history: tuple[Event, ...], /) -> Outcome[bool]:
    if key not in items.content:
        return Failure(missing(items.content, key))
    noted, asked = _steps(items.content[key].history), _steps(history)
    return Success(not noted or not asked or noted[-len(asked) :] == asked)


PARTS: Backend[ItemsConfig, Items] = evolve(
    ITEMS,
    save=save,
    load_lazy=lazily,
    save_region=save_region,
    copy=copy,
    made_by=made_by,
)


# Broken ones.


def _row_further(
    items: Items, key: Key, format: FileFormat[object] | None, /
) -> Outcome[Item[LazyArray]]:
    def further(item: Item[LazyArray]) -> Item[LazyArray]:
        inner = item.payload

        def read(region: Region) -> Outcome[HostArray]:
            first = slice(max(region[0].start - 1, 0), max(region[0].stop - 1, 0))
            whole = tuple(slice(0, length) for length in inner.spec.shape)
            return inner.read(region if region == whole else (first, *region[1:]))

        return Item(item.key, LazyArray(inner.spec, read), item.metadata, item.history)

    return lazily(items, key, format).map(further)


READS_A_ROW_FURTHER = evolve(PARTS, load_lazy=_row_further)


def _live(items: Items, key: Key, format: FileFormat[object] | None, /) -> Outcome[Item[LazyArray]]:
    def now(item: Item[LazyArray]) -> Item[LazyArray]:
        inner = item.payload

        def read(region: Region) -> Outcome[HostArray]:
            again = lazily(items, key, format)
            if not is_successful(again):
                return Success(np.zeros_like(inner.read(region).unwrap()))
            return again.unwrap().payload.read(region)

        return Item(item.key, LazyArray(inner.spec, read), item.metadata, item.history)

    return lazily(items, key, format).map(now)


READS_ZEROS_OF_WHAT_IS_GONE = evolve(PARTS, load_lazy=_live)


def _with_zeros_around(array: HostArray, region: Region, part: HostArray) -> HostArray:
    return assigned(np.zeros_like(array), region, part)


FORGETS_THE_REST = evolve(PARTS, save_region=_saving(_with_zeros_around))


def _casting(items: Items, key: Key, item: Item[Payload], region: Region, /) -> Outcome[Saved]:
    found, part = items.content.get(key), item.payload
    if found is not None and is_host_array(found.payload) and is_host_array(part):
        cast_part = cast("Payload", part.astype(found.payload.dtype))
        return save_region(items, key, Item(item.key, cast_part), region)
    return save_region(items, key, item, region)


CASTS_A_PART = evolve(PARTS, save_region=_casting)

_pause = threading.Event()


def _row_by_row(items: Items, key: Key, item: Item[Payload], region: Region, /) -> Outcome[Saved]:
    """Show each row as soon as it is written."""
    part = item.payload
    for number in range(region[0].start, region[0].stop):
        rows = (slice(number, number + 1), *region[1:])
        if is_host_array(part):
            row = cast("Payload", part[number - region[0].start][None])
            save_region(items, key, Item(item.key, row), rows)
            _pause.wait(0.001)
    return save_region(items, key, item, region)


TEARS_A_PART = evolve(PARTS, save_region=_row_by_row)


def _copy_plainly(
    items: Items, key: Key, to: Items, new_key: Key, if_exists: IfExists, /
) -> Outcome[bool]:
    def plain(item: Item[Payload]) -> Item[Payload]:
        return Item(item.key, item.payload)

    done = copy(items, key, to, new_key, if_exists)
    if done.value_or(False):
        to.content[new_key] = plain(to.content[new_key])
    return done


COPIES_NO_METADATA = evolve(PARTS, copy=_copy_plainly)


def _copy_over(
    items: Items, key: Key, to: Items, new_key: Key, _if_exists: IfExists, /
) -> Outcome[bool]:
    return copy(items, key, to, new_key, "replace")


COPIES_OVER_WHAT_IS_THERE = evolve(PARTS, copy=_copy_over)


def _made_by_any(items: Items, key: Key, _history: tuple[Event, ...], /) -> Outcome[bool]:
    return made_by(items, key, ())


TAKES_ANY_HISTORY = evolve(PARTS, made_by=_made_by_any)


def _parts(record: Backend[ItemsConfig, Items], law: str, seen: str = "") -> Broken:
    return Broken(record, new_items, law, seen)


COPIED = "a copy as it is stored is the item"

BROKEN_PARTS: dict[str, Broken] = {
    "reads a row further": _parts(
        READS_A_ROW_FURTHER, "a part of an array is the slice of the whole", "is not the slice"
    ),
    "reads zeros of what is gone": _parts(
        READS_ZEROS_OF_WHAT_IS_GONE, "a lazy array reads what was there when it was made", "after"
    ),
    "forgets the rest": _parts(
        FORGETS_THE_REST, "what is saved to a part is assigned to it, and the rest stays", "came"
    ),
    "casts a part": _parts(
        CASTS_A_PART, "what does not fit a part is refused and changes nothing", "another dtype"
    ),
    "tears a part": _parts(
        TEARS_A_PART, "a reader beside the save of a part sees the old or the new", "neither"
    ),
    "copies no metadata": _parts(COPIES_NO_METADATA, COPIED, "metadata"),
    "copies over what is there": _parts(COPIES_OVER_WHAT_IS_THERE, COPIED, "AlreadyExists"),
    "takes any history": _parts(
        TAKES_ANY_HISTORY, "a store that notes how an item was made knows it", "other steps"
    ),
}
