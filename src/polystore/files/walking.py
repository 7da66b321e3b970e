"""What is in a folder of a store, page by page, whatever functions its record has for it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Literal, TypeVar

from attrs import frozen

from polystore.backends.keyfolders import with_reason
from polystore.backends.target import Target, located
from polystore.boundary import guarded
from polystore.core.errors import NotADirectory, NotAFile, NotFound, PermissionDenied, StorageError
from polystore.core.key import Key
from polystore.core.outcome import Failure, Outcome, Success, and_then, is_successful
from polystore.core.records import Child, Page
from polystore.files.target import unsupported

__all__ = ["Below", "Found", "children", "direct_files", "has_listing", "is_own", "pages", "walked"]

T = TypeVar("T")

Found = Literal["file", "folder"]
"""What a child is once its link, if it is one, has been followed; a broken link counts as a file,
because it is listed, moved and deleted like one."""


@frozen
class Below:
    """What is below a folder: `folders` from the top down, `links` to folders, and `files`.

    `others` are not the store's own; some of them are folders or files, too.
    """

    folders: tuple[Key, ...]
    links: tuple[Key, ...]
    files: tuple[Key, ...]
    others: tuple[Key, ...]


def has_listing(target: Target) -> bool:
    """Whether the record of the store has a function that lists."""
    return target.backend.list is not None or target.backend.children is not None


def pages(target: Target) -> Iterator[Outcome[Page]]:
    """Give the keys below a folder as the record lists them; what it raises is a failure.

    A folder that is but a part of keys, and of none, is missing: `NotFound` or `NotADirectory`.
    """
    listing = target.backend.list
    if listing is None:
        yield Failure(unsupported(target, "list its keys"))
        return

    def begin() -> Iterator[Outcome[Page]]:
        found = listing(target.handle, target.key)
        return with_reason(target.backend, target.handle, target.key, found)

    yield from _safely(begin, target)


def children(target: Target) -> Iterator[Outcome[tuple[Child, ...]]]:
    """Give what stands directly in a folder; where folders are but parts of keys, by their keys."""
    record = target.backend.children
    if record is None:
        yield from _derived(target)
        return
    yield from _safely(lambda: record(target.handle, target.key), target)


def direct_files(target: Target) -> Iterator[Outcome[Page]]:
    """Give the files, and the links to files, that stand directly in a folder."""
    for page in _told(target):
        yield page.map(lambda some: tuple(child.key for child, kind in some if kind == "file"))


def _told(target: Target) -> Iterator[Outcome[tuple[tuple[Child, Found | None], ...]]]:
    """Give what stands directly in a folder, each with what it is once its link is followed."""
    for page in children(target):
        yield and_then(page, lambda some: _all_told(target, some))


def _all_told(
    target: Target, some: tuple[Child, ...]
) -> Outcome[tuple[tuple[Child, Found | None], ...]]:
    told: list[tuple[Child, Found | None]] = []
    for child in some:
        kind = _kind(target, child)
        if not is_successful(kind):
            return Failure(kind.failure())
        told.append((child, kind.unwrap()))
    return Success(tuple(told))


def walked(target: Target, *, recursive: bool = True) -> Outcome[Below]:
    """Give all that is below a folder, or directly in it; the first failure is the outcome.

    Links to folders are not entered, so that a circle of them ends.
    """
    folders: list[Key] = []
    links: list[Key] = []
    files: list[Key] = []
    others: list[Key] = []
    waiting = [target]
    for current in waiting:
        for page in _told(current):
            if not is_successful(page):
                if _went(page.failure(), current, target):
                    break
                return Failure(page.failure())
            others.extend(child.key for child, _ in page.unwrap() if not is_own(child))
            for child, kind in page.unwrap():
                if kind == "file":
                    files.append(child.key)
                elif child.kind == "link":
                    links.append(child.key)
                elif kind == "folder":
                    folders.append(child.key)
                    if recursive:
                        waiting.append(target.at(child.key))
    return Success(Below(tuple(folders), tuple(links), tuple(files), tuple(others)))


def is_own(child: Child) -> bool:
    """Whether a child is the store's own, to be deleted by it."""
    return child.own and child.kind != "other"


def _went(error: StorageError, current: Target, top: Target) -> bool:
    """Whether a folder went after it was seen; the one that was asked for has to be there."""
    return current.key != top.key and isinstance(error, (NotFound, NotADirectory))


def _kind(target: Target, child: Child) -> Outcome[Found | None]:
    """Say what a child is; `None` for what is no file of the store, by way of a link or not.

    A link that is gone by now is none, either. What a link leads to that may not be looked at is a
    file: reading it says why. Any other failure to look is one.
    """
    if child.kind == "other":
        return Success(None)
    if child.kind != "link":
        return Success(child.kind)
    status = target.backend.stat
    if status is None:
        return Success("file")
    found = status(target.handle, child.key)
    if is_successful(found):
        return Success("folder" if found.unwrap().kind == "folder" else "file")
    error = found.failure()
    if isinstance(error, (NotFound, NotAFile)):
        return Success(None)
    return Success("file") if isinstance(error, PermissionDenied) else Failure(error)


def _derived(target: Target) -> Iterator[Outcome[tuple[Child, ...]]]:
    """Give the children that the keys below a folder make, each once."""
    start = len(target.key) + 1 if target.key else 0
    known: set[str] = set()
    for page in pages(target):
        if not is_successful(page):
            yield Failure(page.failure())
            continue
        some: list[Child] = []
        for key in page.unwrap():
            end = key.find("/", start)
            if end < 0:
                some.append(Child(key, "file"))
            elif key[:end] not in known:
                known.add(key[:end])
                some.append(Child(Key(key[:end]), "folder"))
        yield Success(tuple(some))


def _safely(begin: Callable[[], Iterator[Outcome[T]]], target: Target) -> Iterator[Outcome[T]]:
    """Give the pages that a record gives; if it raises, a last one that says so."""
    began = guarded(lambda: Success(begin()), target.key)
    if not is_successful(began):
        yield Failure(_placed(began.failure(), target))
        return
    upcoming = began.unwrap()
    try:
        while True:
            page = guarded(lambda: Success(next(upcoming, None)), target.key)
            if not is_successful(page):
                yield Failure(_placed(page.failure(), target))
                return
            given = page.unwrap()
            if given is None:
                return
            yield given.alt(lambda error: _placed(error, target))
    finally:
        if isinstance(upcoming, Generator):
            upcoming.close()


def _placed(error: StorageError, target: Target) -> StorageError:
    return located(error, target.key, target.config)
