"""What is in a folder and below it, page by page, without leaving the root."""

from __future__ import annotations

import errno
import os
import stat
from itertools import islice
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

from attrs import evolve

from polystore.backends.beneath import LOOK, open_beneath, open_folder, open_key
from polystore.backends.disk.status import BROKEN
from polystore.backends.whole import sweep
from polystore.core.key import HIDDEN_PREFIX, Key, are_plain, parse_key
from polystore.core.outcome import Failure, Outcome, Success, is_successful
from polystore.core.records import Child

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from polystore.configs import DiskConfig
    from polystore.core.errors import StorageError
    from polystore.core.records import Page

__all__ = ["PAGE_MAX", "Explain", "children", "pages"]

Explain: TypeAlias = "Callable[[OSError, str], StorageError]"

_Found: TypeAlias = "tuple[list[Key], list[os.DirEntry[str]]]"

PAGE_MAX = 4096
"""Keys in one page: a folder of a million files is not held at once."""

# What a folder says that was removed, or replaced by a file or a link, since it was seen.
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)

_FOLDER = os.O_RDONLY | os.O_DIRECTORY


def pages(config: DiskConfig, folder: str, explained: Explain) -> Iterator[Outcome[Page]]:
    """Give every key below a folder of a disk store (`""` for all of it), in no order.

    `explained` gives the error for what the system says of a folder.

    - Files are keys, and so are links to files, and broken ones: those that lead nowhere, in a
      circle, or out of the root. Loading one says which. Links to folders are not entered, but the
      folder that is asked for may be one. Pipes, sockets and devices are left out.
    - A name that is no key (a backslash, no UTF-8) is a failure of its own, after the keys beside
      it.
    - A folder that cannot be read is a failure; the others follow.
    - Hidden files are left out, and swept if a killed writer left them.
    """
    try:
        top = open_folder(config.root, folder, config.links_to)
    except OSError as error:
        yield Failure(explained(error, folder))
        return
    prefix = f"{folder}/" if folder else ""
    waiting = [""]
    try:
        while waiting:
            below = waiting.pop()
            try:
                fd = _opened(top, below)
                if fd is None:
                    continue
                try:
                    yield from _pages_of(config, fd, prefix + below, waiting, len(prefix))
                finally:
                    os.close(fd)
            except OSError as error:
                yield Failure(explained(error, prefix + below.rstrip("/")))
    finally:
        os.close(top)


def _opened(top: int, below: str) -> int | None:
    """Give a descriptor of a folder below the one that is listed; `None` if it is gone."""
    if not below:
        return os.dup(top)
    try:
        return open_beneath(top, below[:-1], _FOLDER | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno not in _GONE:
            raise
        return None


def _pages_of(
    config: DiskConfig, fd: int, prefix: str, waiting: list[str], top: int
) -> Iterator[Outcome[Page]]:
    """Give the keys in one folder, and put the folders in it on the list of those to come."""
    odd: list[StorageError] = []
    for named, entries in _found_in(fd, prefix, odd):
        # Most folders hold nothing but files: they take one pass.
        keys = [
            key
            for key, entry in zip(named, entries, strict=True)
            if entry.is_file(follow_symlinks=False)
        ]
        if len(keys) < len(named):
            for key, entry in zip(named, entries, strict=True):
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(f"{key[top:]}/")
                elif entry.is_symlink() and _is_link_to_file(config, key):
                    keys.append(key)
        yield Success(tuple(keys))
    yield from (Failure(evolve(error, config=config)) for error in odd)


def _found_in(fd: int, prefix: str, odd: list[StorageError]) -> Iterator[_Found]:
    """Give the keys and the entries in a folder, some at a time; names that are none go to `odd`.

    They are two lists: a pair for each of many entries would keep Python's collector busy.
    """
    with os.scandir(fd) as scanned:
        while batch := list(islice(scanned, PAGE_MAX)):
            names = [entry.name for entry in batch]
            if are_plain(names):
                yield cast("list[Key]", [prefix + name for name in names]), batch
            else:
                yield _named(fd, prefix, batch, odd)


def _named(fd: int, prefix: str, batch: list[os.DirEntry[str]], odd: list[StorageError]) -> _Found:
    keys: list[Key] = []
    entries: list[os.DirEntry[str]] = []
    for entry in batch:
        if entry.name.startswith(HIDDEN_PREFIX):
            sweep(fd, entry.name)
            continue
        key = parse_key(prefix + entry.name)
        if is_successful(key) or _kind(entry) == "other":
            keys.append(key.value_or(Key(prefix + entry.name)))
            entries.append(entry)
        else:
            odd.append(_renamed_please(key.failure()))
    return keys, entries


def _is_link_to_file(config: DiskConfig, key: Key) -> bool:
    """Whether a link leads to a file, or nowhere that it may: only a load can say why.

    Raises `OSError` where that cannot be told.
    """
    try:
        fd = open_key(config.root, key, LOOK, config.links_to)
    except OSError as error:
        if error.errno not in (*BROKEN, errno.EACCES):
            raise
        return True
    try:
        return stat.S_ISREG(os.fstat(fd).st_mode)
    finally:
        os.close(fd)


def _renamed_please(error: StorageError) -> StorageError:
    return evolve(error, advice="Rename it, or move it out of the folder; the others are keys.")


def children(
    config: DiskConfig, folder: str, explained: Explain
) -> Iterator[Outcome[tuple[Child, ...]]]:
    """Give what stands directly in a folder of a disk store, in no order; links are not followed.

    Pipes, sockets and devices are `"other"`. What is a failure is as in `pages`.
    """
    odd: list[StorageError] = []
    try:
        fd = open_folder(config.root, folder, config.links_to)
        try:
            for named, entries in _found_in(fd, f"{folder}/" if folder else "", odd):
                yield Success(tuple(map(_child, named, entries)))
        finally:
            os.close(fd)
    except OSError as error:
        yield Failure(explained(error, folder))
    yield from (Failure(evolve(error, config=config)) for error in odd)


def _child(key: Key, entry: os.DirEntry[str]) -> Child:
    kind = _kind(entry)
    return Child(key, kind, own=kind != "other")


def _kind(entry: os.DirEntry[str]) -> Literal["file", "folder", "link", "other"]:
    if entry.is_file(follow_symlinks=False):
        return "file"
    if entry.is_dir(follow_symlinks=False):
        return "folder"
    return "link" if entry.is_symlink() else "other"
