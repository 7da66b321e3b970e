"""Folders that are but parts of keys: such a folder is there where a key lies below it."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TypeVar

from polystore.backends.refusals import no_folder
from polystore.core.errors import NotADirectory, NotAFile, NotFound, StorageError
from polystore.core.key import Key
from polystore.core.outcome import Failure, Outcome, is_successful
from polystore.core.records import Backend

__all__ = ["with_reason"]

T = TypeVar("T")


def with_reason(
    backend: Backend[object, object],
    handle: object,
    folder: str,
    pages: Iterator[Outcome[tuple[T, ...]]],
) -> Iterator[Outcome[tuple[T, ...]]]:
    """Give what a store lists in a folder; where that is nothing, last, why there is no folder.

    `NotADirectory` if an item stands there or above, else what the store's `stat` says. Nothing is
    asked of the root, and of a store that has folders of its own (`children`): its may be empty.
    """
    empty = True
    try:
        for page in pages:
            empty = empty and is_successful(page) and not page.unwrap()
            yield page
    finally:
        if isinstance(pages, Generator):
            pages.close()
    problem = _no_folder(backend, handle, folder) if empty and folder else None
    if problem is not None:
        yield Failure(problem)


def _no_folder(
    backend: Backend[object, object], handle: object, folder: str
) -> StorageError | None:
    if backend.children is not None or backend.stat is None:
        return None
    found = backend.stat(handle, Key(folder))
    if is_successful(found):
        is_folder = found.unwrap().kind == "folder"
        return None if is_folder else no_folder(folder, None, folder)
    error = found.failure()
    if isinstance(error, NotAFile):  # a store may call a folder so
        return None
    if not isinstance(error, (NotFound, NotADirectory)):
        return error
    above = folder.rpartition("/")[0]
    while above:
        stands = backend.stat(handle, Key(above))
        if is_successful(stands) and stands.unwrap().kind != "folder":
            return no_folder(folder, None, above)
        above = above.rpartition("/")[0]
    return error
