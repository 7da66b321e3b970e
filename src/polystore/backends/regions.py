"""A part of an item: read from whatever store, and written where the store can."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeAlias, cast

from polystore.backends.lacking import lacking
from polystore.backends.target import Target
from polystore.backends.virtual.cutting import Cut, cut_array, cut_lazily, cut_metadata
from polystore.core.errors import Unavailable, UnsupportedOperation, UnsupportedPayload
from polystore.core.item import Item, Saved
from polystore.core.outcome import Failure, Outcome, and_then, is_successful
from polystore.core.payload import LazyArray, Payload, is_host_array
from polystore.core.records import FileFormat
from polystore.core.region import Bounds, box_of, region_in

__all__ = ["lazy_part", "loaded_part", "saved_part"]

TURNS_MAX = 20
"""How often a region is read again because its array was changed meanwhile."""

_ToHost: TypeAlias = Callable[[Item[Payload]], Outcome[Item[Payload]]]


def lazy_part(item: Item[LazyArray], bounds: Bounds) -> Outcome[Item[LazyArray]]:
    """Give the part of a lazy array, which stays lazy; `InvalidSpec` for too many bounds."""
    array, shape = item.payload, item.payload.spec.shape
    return _cut(bounds, shape).map(
        lambda cut: Item(
            item.key,
            cut_lazily(array, cut),
            cut_metadata(item.metadata, cut, shape),
            item.history,
        )
    )


def loaded_part(
    source: Target, format: FileFormat[object] | None, bounds: Bounds, to_host: _ToHost
) -> Outcome[Item[Payload]]:
    """Give a part of what is stored, as a host array; the whole is read only where it has to be."""
    backend = source.backend
    lazily = backend.load_lazy
    if lazily is not None:
        item = lazily(source.handle, source.key, format)
        if is_successful(item) or not isinstance(item.failure(), UnsupportedOperation):
            anew = partial(lazily, source.handle, source.key, format)
            return _read_in_turns(source, bounds, item, anew)
    if backend.load is None:
        return Failure(lacking(backend.name, "load from", source.key, source.config))
    whole = backend.load(source.handle, source.key, format)
    return and_then(and_then(whole, to_host), lambda it: _part(it, bounds))


def _read_in_turns(
    source: Target,
    bounds: Bounds,
    item: Outcome[Item[LazyArray]],
    anew: Callable[[], Outcome[Item[LazyArray]]],
) -> Outcome[Item[Payload]]:
    """Read a part of what is opened lazily; again where it was changed in between, as `load` does.

    What was opened and then is `Unavailable` may have been changed: that is tried once more, and
    again for as long as what is stored is another one than the time before.
    """
    stat, before = source.backend.stat, None
    part = and_then(and_then(item, lambda it: lazy_part(it, bounds)), _read)
    for _ in range(TURNS_MAX):
        if is_successful(part) or not is_successful(item) or stat is None:
            break
        now = stat(source.handle, source.key)
        if not isinstance(part.failure(), Unavailable) or now == before:
            break
        before, item = now, anew()
        part = and_then(and_then(item, lambda it: lazy_part(it, bounds)), _read)
    return part


def _read(item: Item[LazyArray]) -> Outcome[Item[Payload]]:
    array = item.payload
    read = array.read(tuple(slice(0, length) for length in array.spec.shape))
    return read.map(lambda it: Item(item.key, it, item.metadata, item.history))


def _part(item: Item[Payload], bounds: Bounds) -> Outcome[Item[Payload]]:
    array = item.payload
    if not is_host_array(array):
        message = f"{item.key!r} holds a {type(array).__name__}, and only arrays have regions."
        return Failure(UnsupportedPayload("", None, message, "Load it whole, without a region."))
    return _cut(bounds, array.shape).map(
        lambda cut: Item(
            item.key,
            cut_array(array, cut),
            cut_metadata(item.metadata, cut, array.shape),
            item.history,
        )
    )


def _cut(bounds: Bounds, shape: tuple[int, ...]) -> Outcome[Cut]:
    region = region_in(bounds, len(shape), "load.region")
    box = and_then(region, lambda it: box_of(it, shape))
    return box.map(lambda it: Cut(it, tuple(range(len(shape)))))


def saved_part(sink: Target, item: Item[Payload], bounds: Bounds) -> Outcome[Saved]:
    """Write an item's array into a part of the array that is under its key.

    `UnsupportedOperation` where the store has no such function, `UnsupportedPayload` for what is no
    array, `InvalidSpec` for bounds of more axes than it has.
    """
    save_region = sink.backend.save_region
    if save_region is None:
        what = "save a region to"
        return Failure(lacking(sink.backend.name, what, sink.key, sink.config))
    array = item.payload
    shape = array.spec.shape if isinstance(array, LazyArray) else getattr(array, "shape", None)
    if not isinstance(shape, tuple):
        message = f"The item holds a {type(array).__name__}, and a region holds an array."
        advice = "Save an array that is as large as the region."
        return Failure(UnsupportedPayload("", None, message, advice))
    axes = len(cast("tuple[int, ...]", shape))
    region = region_in(bounds, axes, "save.region")
    return and_then(region, lambda it: save_region(sink.handle, sink.key, item, it))
