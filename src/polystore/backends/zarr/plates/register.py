"""What a plate and its wells list, kept true while many write: never a field that is not there.

A field is built first and listed then, and is taken from the lists before it is deleted. So that no
two do that at a time, they hold one lock of the plate. Who lists looks at what is there: what a
writer that was killed had built and not listed is listed by the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import PurePath
from typing import TypeVar

from attrs import evolve

from polystore.backends.zarr.elements.documents import documents_in
from polystore.backends.zarr.elements.meta import Documents
from polystore.backends.zarr.kind import kind_of
from polystore.backends.zarr.plates.metadata import (
    Attributes,
    Plate,
    Well,
    is_name,
    plate_in,
    well_in,
    with_plate,
    with_well,
)
from polystore.backends.zarr.tree import Files, Seen, ZarrStore, read_node
from polystore.core.errors import NotFound
from polystore.core.key import Key
from polystore.core.outcome import Failure, Outcome, Success, and_then, is_successful
from polystore.core.records import Child

__all__ = ["alone_in", "documents_at", "listed", "plate_at", "unlisted"]

T = TypeVar("T")

_LOCK = Key("zarr.json")
"""The key of the lock: no user's, for the name is reserved."""

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


def listed(store: ZarrStore, key: str) -> Outcome[None]:
    """Have a field listed that was built: by its well, and by the plate."""
    well, _, name = key.rpartition("/")
    plate, fields = plate_at(store), _well_at(store, well)
    for found in (plate, fields):
        if not is_successful(found):
            return Failure(found.failure())
    known, own = plate.unwrap(), fields.unwrap().fields
    if well in known.wells and name in own and (known.field_count or 0) >= len(own):
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


def documents_at(store: ZarrStore, key: str) -> Outcome[Documents | None]:
    """Give the documents of a node; `None` for a folder without, `NotFound` if there is none."""

    def look(files: Files) -> Seen[Documents | None]:
        found = documents_in(files)
        return Seen(found, complete=is_successful(found) and found.unwrap() is not None)

    return read_node(store.tree, key, look)


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
    plate = plate_at(store)
    if not is_successful(plate):
        return Failure(plate.failure())
    there = _wells(store)
    if not is_successful(there):
        return Failure(there.failure())
    fields: dict[str, int] = {}
    for each in {well, *there.unwrap()} - ({*plate.unwrap().wells} - {well}):
        count = _fields_listed(store, each)
        if not is_successful(count):
            return Failure(count.failure())
        if count.unwrap():
            fields[each] = count.unwrap()

    def with_all(attributes: Attributes) -> Outcome[dict[str, object]]:
        found = plate_in(attributes).map(lambda it: it or _new_plate(store))
        gone = {*plate.unwrap().wells} - {*there.unwrap()}
        whole = found.map(
            lambda it: it.without(gone).grown(fields, max(fields.values(), default=0))
        )
        return whole.map(lambda it: with_plate(attributes, it, store.config.ome.version))

    return _amended(store, "", with_all)


def _fields_listed(store: ZarrStore, well: str) -> Outcome[int]:
    """Have a well list the fields that are there, and give how many they are."""
    count = 0

    def with_all(attributes: Attributes) -> Outcome[dict[str, object]]:
        nonlocal count
        found = well_in(attributes).map(lambda it: it or Well())
        if not is_successful(found):
            return Failure(found.failure())
        names = _images(store, well, found.unwrap().fields)
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
    """Have the plate know that a well has but so many fields left: without any it is not listed."""
    plate = plate_at(store)
    if not is_successful(plate):
        return Failure(plate.failure())
    most = _most_fields(store, plate.unwrap(), well, fields)

    def without(attributes: Attributes) -> Outcome[dict[str, object]]:
        found = plate_in(attributes).map(lambda it: it or Plate())
        left = found.map(lambda it: it if fields else it.without([well]))
        whole = left.map(lambda it: evolve(it, field_count=most))
        return whole.map(lambda it: with_plate(attributes, it, store.config.ome.version))

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


def _images(store: ZarrStore, well: str, known: Iterable[str]) -> Outcome[tuple[str, ...]]:
    """Give the names of the images in a well; what is listed is one, if it is there."""
    there: list[str] = []
    for child in _children(store, well):
        if not is_successful(child):
            return Failure(child.failure())
        key = child.unwrap().key
        name = key.rpartition("/")[2]
        if child.unwrap().kind != "file" or not is_name(name):
            continue
        if name in known or _is_image(store, key):
            there.append(name)
    return Success(tuple(there))


def _is_image(store: ZarrStore, key: str) -> bool:
    documents = documents_at(store, key)
    found = documents.unwrap() if is_successful(documents) else None
    return found is not None and kind_of(found) == "image"


def _wells(store: ZarrStore) -> Outcome[tuple[str, ...]]:
    """Give the folders that may be wells: two levels are listed, and no more."""
    wells: list[str] = []
    for row in _folders(store, ""):
        if not is_successful(row):
            return Failure(row.failure())
        for well in _folders(store, row.unwrap()):
            if not is_successful(well):
                return Failure(well.failure())
            wells.append(well.unwrap())
    return Success(tuple(wells))


def _folders(store: ZarrStore, folder: str) -> Iterator[Outcome[str]]:
    for child in _children(store, folder):
        if not is_successful(child):
            yield Failure(child.failure())
        elif child.unwrap().kind == "folder" and is_name(child.unwrap().key.rpartition("/")[2]):
            yield child.map(lambda it: str(it.key))


def _children(store: ZarrStore, folder: str) -> Iterator[Outcome[Child]]:
    pages = _by_keys(store, folder) if store.tree.children is None else store.tree.children(folder)
    for page in pages:
        if is_successful(page):
            yield from map(Success, page.unwrap())
        elif not isinstance(page.failure(), NotFound):  # removed meanwhile
            yield Failure(page.failure())


def _by_keys(store: ZarrStore, folder: str) -> Iterator[Outcome[tuple[Child, ...]]]:
    """Give what stands in a folder by the keys below it, where folders are but parts of keys."""
    seen: set[str] = set()
    above = f"{folder}/" if folder else ""
    for page in store.tree.list(folder):
        for key in page.value_or(()):
            name, slash, _ = key.removeprefix(above).partition("/")
            if name not in seen:
                seen.add(name)
                yield Success((Child(Key(above + name), "folder" if slash else "file"),))
        if not is_successful(page):
            yield Failure(page.failure())
