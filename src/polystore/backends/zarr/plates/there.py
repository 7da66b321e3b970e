"""What is there of a plate, whatever its metadata lists: found out without listing all of it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping

from attrs import frozen

from polystore.backends.zarr.elements.documents import documents_in
from polystore.backends.zarr.elements.meta import Documents
from polystore.backends.zarr.kind import kind_of
from polystore.backends.zarr.plates.metadata import is_name
from polystore.backends.zarr.tree import Files, Seen, ZarrStore, read_node
from polystore.core.errors import NotFound
from polystore.core.key import Key
from polystore.core.outcome import Failure, Outcome, Success, is_successful
from polystore.core.records import Child

__all__ = ["Row", "documents_at", "images_in", "rows_in"]


_SETTLED_NS = 50_000_000
"""For so many nanoseconds after a change another one may leave the same time: kernels stamp by
ticks of 1 to 10 ms."""


@frozen
class Row:
    """A row that is there: `wells` are the folders in it, `None` if they are as they were noted.

    `token` is another one after a folder has come into the row, or gone from it; `None` where that
    is not certain.
    """

    name: str
    token: str | None
    wells: tuple[str, ...] | None


def documents_at(store: ZarrStore, key: str) -> Outcome[Documents | None]:
    """Give the documents of a node; `None` for a folder without, `NotFound` if there is none."""

    def look(files: Files) -> Seen[Documents | None]:
        found = documents_in(files)
        return Seen(found, complete=is_successful(found) and found.unwrap() is not None)

    return read_node(store.tree, key, look)


def images_in(store: ZarrStore, well: str, known: Iterable[str]) -> Outcome[tuple[str, ...]]:
    """Give the names of the images in a well: `known` ones, if they are there, are not opened."""
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


def rows_in(store: ZarrStore, noted: Mapping[str, str]) -> Outcome[tuple[Row, ...]]:
    """Give the rows, and what may be wells in those that have changed since they were noted."""
    rows: list[Row] = []
    for found in _folders(store, ""):
        if not is_successful(found):
            return Failure(found.failure())
        name = found.unwrap()
        token, settled = _token(store, name)
        if token is not None and noted.get(name) == token:
            rows.append(Row(name, token, None))
            continue
        wells: list[str] = []
        for well in _folders(store, name):
            if not is_successful(well):
                return Failure(well.failure())
            wells.append(well.unwrap())
        rows.append(Row(name, token if settled else None, tuple(wells)))
    return Success(tuple(rows))


def _token(store: ZarrStore, row: str) -> tuple[str | None, bool]:
    """Give the token of a row, and whether what comes now would change it, for certain.

    A folder changes with what is in it; a group in a store of objects does not.
    """
    if store.config.store is not None:
        return None, False

    def look(files: Files) -> Seen[tuple[int | None, str | None]]:
        return Seen(Success(files.mark()))

    mark = read_node(store.tree, row, look)
    changed, token = mark.unwrap() if is_successful(mark) else (None, None)
    return token, changed is not None and time.time_ns() - changed > _SETTLED_NS


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
