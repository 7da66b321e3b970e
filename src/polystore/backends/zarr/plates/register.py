"""What a plate and its wells list, kept true while many write: never a field that is not there.

A field is built first and listed then, and is taken from the lists before it is deleted. Whoever
changes the lists holds the one lock of the plate; who adds to them adds all that is there, also the
fields of a writer that was killed after it had built them, and before it could list them.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import PurePath
from typing import TypeVar, cast

from attrs import evolve

from polystore.backends.zarr.notes import OURS
from polystore.backends.zarr.plates.metadata import (
    Attributes,
    Plate,
    Well,
    plate_in,
    well_in,
    with_plate,
    with_well,
)
from polystore.backends.zarr.plates.there import Row, documents_at, images_in, rows_in
from polystore.backends.zarr.tree import ZarrStore
from polystore.core.errors import NotFound
from polystore.core.key import Key
from polystore.core.outcome import Failure, Outcome, Success, and_then, is_successful

__all__ = ["alone_in", "listed", "plate_at", "unlisted"]

T = TypeVar("T")

_LOCK = Key("zarr.json")
"""The key of the lock: no user's, for the name is reserved."""

_ROWS = "rows"
"""In our notes of the plate: the tokens of rows."""

_SECONDS = 600.0
"""How long to wait for the lock. It is held for milliseconds by each writer before."""


def alone_in(store: ZarrStore, action: Callable[[], Outcome[T]]) -> Outcome[T]:
    """Give the outcome of an action, run while nobody else changes what the plate lists.

    On a store without locks it is run as it is: what it changes, it changes one put at a time.
    """
    free: Outcome[AbstractContextManager[None]] = Success(nullcontext())
    held = free if store.tree.lock is None else store.tree.lock(_LOCK, _SECONDS)
    if not is_successful(held):
        return Failure(held.failure())
    with held.unwrap():
        return action()


def plate_at(store: ZarrStore) -> Outcome[Plate]:
    """Give what the plate lists: nothing, where there is none yet; `Corrupt` if it is damaged."""
    return _at(store, "", plate_in).map(lambda it: it or Plate())


def listed(store: ZarrStore, key: str, before: Plate | None = None) -> Outcome[None]:
    """Have a field listed that was built: by its well, and by the plate.

    `before` is what the plate listed before the field was built, if that was looked at: what is
    listed already takes no lock, and nothing is written.
    """
    well, _, name = key.rpartition("/")
    plate = plate_at(store) if before is None else Success(before)
    if not is_successful(plate):
        return Failure(plate.failure())
    known = plate.unwrap()
    if well in known.wells:
        fields = _well_at(store, well)
        if not is_successful(fields):
            return Failure(fields.failure())
        own = fields.unwrap().fields
        if name in own and (known.field_count or 0) >= len(own):
            return Success(None)
    return alone_in(store, lambda: _listed(store, well))


def unlisted(store: ZarrStore, key: str) -> Outcome[None]:
    """Take a field from the lists of its well and of the plate; to be called in `alone_in`."""
    well, _, name = key.rpartition("/")

    def without(attributes: Attributes) -> Outcome[dict[str, object]]:
        found = well_in(attributes).map(lambda it: it or Well())
        return found.map(lambda it: _with_fields(store, attributes, it, {*it.fields} - {name}))

    left = _well_at(store, well).map(lambda it: {*it.fields} - {name})
    from_plate = and_then(left, lambda it: _lessened(store, well, len(it)))
    return and_then(from_plate, lambda _: _amended(store, well, without))


def _at(
    store: ZarrStore, key: str, read: Callable[[Attributes], Outcome[T | None]]
) -> Outcome[T | None]:
    documents = documents_at(store, key)
    if not is_successful(documents):
        nothing = isinstance(documents.failure(), NotFound)
        return Success(None) if nothing else Failure(documents.failure())
    found = documents.unwrap()
    said = Success(None) if found is None else read(found.attributes)
    return said.alt(lambda error: evolve(error, key=key, config=store.config))


def _well_at(store: ZarrStore, well: str) -> Outcome[Well]:
    return _at(store, well, well_in).map(lambda it: it or Well())


def _listed(store: ZarrStore, well: str) -> Outcome[None]:
    """List all that is there of a well; and in the plate all wells, the fields of new ones too."""
    seen = _at(store, "", _plate_and_rows).map(lambda it: it or ({}, Plate(), {}))
    if not is_successful(seen):
        return Failure(seen.failure())
    before, plate, noted = seen.unwrap()
    known = frozenset(plate.wells)
    rows = rows_in(store, noted)
    if not is_successful(rows):
        return Failure(rows.failure())
    as_noted = {row.name for row in rows.unwrap() if row.wells is None}
    there = {name for row in rows.unwrap() for name in row.wells or ()}
    there |= {name for name in known if name.partition("/")[0] in as_noted}
    fields: dict[str, int] = {}
    for each in {well, *there} - (known - {well}):
        count = _fields_listed(store, each)
        if not is_successful(count):
            return Failure(count.failure())
        if count.unwrap():
            fields[each] = count.unwrap()
    whole = {row.name: row.token for row in rows.unwrap() if _is_listed(row, {*known, *fields})}

    def with_all(attributes: Attributes) -> Outcome[dict[str, object]]:
        same: Outcome[Plate | None] = Success(plate)
        found = same if plate.wells and attributes == before else plate_in(attributes)
        whole_plate = found.map(lambda it: it or _new_plate(store))
        most = max(fields.values(), default=0)
        grown = whole_plate.map(lambda it: it.without(known - there).grown(fields, most))
        words = grown.map(lambda it: with_plate(attributes, it, store.config.ome.version))
        return words.map(lambda it: _with_rows(it, whole))

    return _amended(store, "", with_all)


def _is_listed(row: Row, wells: Container[str]) -> bool:
    """Whether all that may be a well in a row is listed: then it need not be looked at again."""
    return row.token is not None and all(well in wells for well in row.wells or ())


def _plate_and_rows(
    attributes: Attributes,
) -> Outcome[tuple[Attributes, Plate, Mapping[str, str]] | None]:
    """Give what attributes say of the plate, and the rows that are noted, with them."""
    plate = plate_in(attributes).map(lambda it: it or Plate())
    return plate.map(lambda it: (attributes, it, _noted_rows(attributes)))


def _noted_rows(attributes: Attributes) -> dict[str, str]:
    """Give the tokens of the rows of which all is listed, as we noted them."""
    ours = attributes.get(OURS)
    rows = cast("Attributes", ours).get(_ROWS) if isinstance(ours, Mapping) else None
    if not isinstance(rows, Mapping):
        return {}
    tokens = cast("Attributes", rows).items()
    return {name: token for name, token in tokens if isinstance(token, str)}


def _with_rows(attributes: Attributes, rows: Mapping[str, str | None]) -> dict[str, object]:
    ours = attributes.get(OURS)
    others: Attributes = cast("Attributes", ours) if isinstance(ours, Mapping) else {}
    return {**attributes, OURS: {"version": 1, **others, _ROWS: dict(rows)}}


def _fields_listed(store: ZarrStore, well: str) -> Outcome[int]:
    """Have a well list the fields that are there, and give how many they are."""
    count = 0

    def with_all(attributes: Attributes) -> Outcome[dict[str, object]]:
        nonlocal count
        found = well_in(attributes).map(lambda it: it or Well())
        if not is_successful(found):
            return Failure(found.failure())
        names = images_in(store, well, found.unwrap().fields)
        count = len(names.value_or(()))
        return names.map(lambda it: _with_fields(store, attributes, found.unwrap(), it))

    return _amended(store, well, with_all).map(lambda _: count)


def _with_fields(
    store: ZarrStore, attributes: Attributes, well: Well, fields: Iterable[str]
) -> dict[str, object]:
    return with_well(attributes, well.of(fields), store.config.ome.version)


def _new_plate(store: ZarrStore) -> Plate:
    name = PurePath(store.config.root).stem
    return Plate(others={"name": name} if name else {})


def _lessened(store: ZarrStore, well: str, fields: int) -> Outcome[None]:
    """Have the plate know that a well has so few fields left; it lists no well without any."""
    plate = plate_at(store)
    if not is_successful(plate):
        return Failure(plate.failure())
    most = _most_fields(store, plate.unwrap(), well, fields)

    def without(attributes: Attributes) -> Outcome[dict[str, object]]:
        found = plate_in(attributes).map(lambda it: it or Plate())
        left = found.map(lambda it: it if fields else it.without([well]))
        whole = left.map(lambda it: evolve(it, field_count=most))
        words = whole.map(lambda it: with_plate(attributes, it, store.config.ome.version))
        noted = _noted_rows(attributes)
        noted.pop(well.partition("/")[0], None)
        return words.map(lambda it: _with_rows(it, noted))

    return _amended(store, "", without)


def _most_fields(store: ZarrStore, plate: Plate, well: str, fields: int) -> int | None:
    """Give the most fields of a well, when one has so few left; looks until one has as many."""
    if plate.field_count is None or fields >= plate.field_count:
        return plate.field_count
    most = fields
    for each in plate.wells:
        others = _well_at(store, each).map(lambda it: len(it.fields)).value_or(0)
        most = max(most, others if each != well else 0)
        if most >= plate.field_count:
            break
    return most or None


def _amended(
    store: ZarrStore, folder: str, change: Callable[[Attributes], Outcome[dict[str, object]]]
) -> Outcome[None]:
    """Amend the attributes of a group by a change that may fail: then nothing is written."""
    problems: list[Outcome[None]] = []

    def changed(attributes: dict[str, object]) -> dict[str, object]:
        problems.clear()  # a store without locks asks again if another was first
        new = change(attributes)
        if is_successful(new):
            return new.unwrap()
        problems.append(Failure(evolve(new.failure(), key=folder, config=store.config)))
        return attributes

    amended = store.tree.amend(folder, changed)
    return problems[0] if problems else amended
