"""A copy as it is done: item by item, each lazily, with a bar, until Ctrl-C."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from attrs import evolve

from polystore.batch import map_keys
from polystore.cli.bar import bar
from polystore.cli.lazily import as_lazy, loaded
from polystore.core.errors import Unavailable, UnsupportedPayload
from polystore.core.item import Item
from polystore.core.outcome import Failure, Outcome, Success, and_then, is_successful
from polystore.core.payload import HostArray, LazyArray
from polystore.dispatch import default_dispatcher
from polystore.files.copying import copy, with_labels
from polystore.steps.compose import compose
from polystore.steps.save import Save

if TYPE_CHECKING:
    from polystore.cli.errand import Errand
    from polystore.core.item import Saved
    from polystore.core.payload import Payload, Region
    from polystore.core.records import Sink, Source

__all__ = ["carried"]

STOPPED = "The copy was stopped."


def carried(
    errand: Errand,
    workers: int | None,
    stopping: Callable[[], bool],
    note: Callable[[Outcome[Saved]], None],
) -> None:
    """Copy every item, and note what came of each; those begun are ended when it is to stop."""
    total = len(errand.pairs)

    def one(pair: tuple[str, str]) -> Outcome[Saved]:
        return _item(errand, pair, stopping, _nothing)

    if total == 1:
        with bar("copying", 1000) as advance:
            note(_item(errand, errand.pairs[0], stopping, advance))
        return
    results = map_keys(default_dispatcher(), compose(one), errand.pairs, None, workers)
    with bar("copying", total) as advance:
        for _, outcome in results:  # once stopping, the rest are refused in no time
            if not (stopping() and _is_stopped(outcome)):
                note(outcome)
            advance(1)


def _nothing(_done: int) -> None:
    """Count for nobody: one item of many is one step."""


def _item(
    errand: Errand,
    pair: tuple[str, str],
    stopping: Callable[[], bool],
    advance: Callable[[int], None],
) -> Outcome[Saved]:
    if stopping():
        return Failure(_stopped(pair[0]))
    source, sink = cast("Source[Payload]", errand.source), cast("Sink[Payload]", errand.target)
    if errand.as_stored:
        return copy(source, pair[0], pair[1], to=sink, if_exists=errand.wish.if_exists)

    def saved(item: Item[object]) -> Outcome[Saved]:
        watched = _watched(item.payload, stopping, advance)
        renamed = Item(pair[1], cast("Payload", watched), item.metadata, item.history)
        done = Save(sink, errand.wish.if_exists)(renamed)
        return and_then(done, lambda it: _labeled(source, pair[0], it))

    item = and_then(_found(errand, pair[0]), lambda it: _with_axes(it, errand.wish.axes))
    return and_then(item, saved)


def _labeled(source: Source[Payload], key: str, saved: Saved) -> Outcome[Saved]:
    """Copy the labels of an image too, as a copy of what is stored does."""
    run = default_dispatcher()
    target = run.target(source, key)
    return and_then(target, lambda it: with_labels(it, saved, run))


def _found(errand: Errand, key: str) -> Outcome[Item[object]]:
    """Give an item of the source, or a field of a plate out of its files."""
    source = cast("Source[Payload]", errand.source)
    field = errand.fields.get(key)
    if field is None:
        return loaded(source, key)
    from polystore.backends.zarr.plates.grouping import stacked

    def plane(file: str) -> Outcome[Item[LazyArray]]:
        return and_then(loaded(source, file), _as_plane)

    return cast("Outcome[Item[object]]", stacked(field, plane))


def _as_plane(item: Item[object]) -> Outcome[Item[LazyArray]]:
    array = as_lazy(item.payload)
    if array is None:
        message = f"{item.key!r} holds a {type(item.payload).__name__}, and no plane of an image."
        return Failure(UnsupportedPayload(item.key, None, message, "Leave it out of the template."))
    return Success(Item(item.key, array, item.metadata, item.history))


def _with_axes(item: Item[object], axes: tuple[str, ...]) -> Outcome[Item[object]]:
    """Give the item with the axes that it is said to have."""
    if not axes:
        return Success(item)
    array = as_lazy(item.payload)
    if array is None:
        return Success(item)
    count = len(array.spec.shape)
    named = evolve(array, spec=evolve(array.spec, axes=axes))
    if count != len(axes):
        message = f"The image has {count} axes, and --axes names {len(axes)}: {','.join(axes)}."
        return Failure(UnsupportedPayload(item.key, None, message, "Name as many as there are."))
    old = item.metadata
    lengths_fit = len(old.axes) == count
    metadata = evolve(
        old,
        axes=axes,
        scale=old.scale if lengths_fit else (),
        unit=old.unit if lengths_fit else (),
    )
    return Success(Item(item.key, cast("object", named), metadata, item.history))


def _watched(
    payload: object, stopping: Callable[[], bool], advance: Callable[[int], None]
) -> object:
    """Give a lazy array that counts what is read of it, in thousandths, and stops when asked to."""
    if not isinstance(payload, LazyArray):
        return payload
    total = math.prod(payload.spec.shape) or 1
    seen, said = 0, 0

    def read(region: Region) -> Outcome[HostArray]:
        nonlocal seen, said
        if stopping():
            return Failure(_stopped(""))
        part = payload.read(region)
        if is_successful(part):  # several threads may lose a little here: it is a bar
            seen += part.unwrap().size  # and what is read twice counts twice
            step = min(1000, seen * 1000 // total) - said
            said += step
            advance(step)
        return part

    return LazyArray(payload.spec, read)


def _is_stopped(outcome: Outcome[Saved]) -> bool:
    """Whether an item was not begun, or given up, because the copy was stopped."""
    return not is_successful(outcome) and outcome.failure().message == STOPPED


def _stopped(key: str) -> Unavailable:
    return Unavailable(key, None, STOPPED, "Run it again with --if-exists skip.")
