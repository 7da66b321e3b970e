"""The keys below a folder, page by page, without leaving it."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, Literal, TypeAlias

from attrs import evolve

from polystore.backends.beneath import LOOK, open_beneath, open_root
from polystore.backends.whole import sweep
from polystore.core.key import HIDDEN_PREFIX, Key, parse_key
from polystore.core.outcome import Failure, Outcome, Success, is_successful

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from polystore.core.errors import StorageError
    from polystore.core.records import Page

__all__ = ["Explain", "pages"]

Explain: TypeAlias = "Callable[[OSError, str], StorageError]"

PAGE_MAX = 4096
"""Keys in one page: a folder of a million files is not held at once."""

# What a folder says that was removed, or replaced by a file or a link, since it was seen.
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


def pages(root: str, folder: str, explained: Explain) -> Iterator[Outcome[Page]]:
    """Give every key below a folder of the store at `root` (`""` for all of it), in no order.

    `explained` gives the error for what the system says of a folder.

    - Files are keys. Links to files are, also those that lead out of the root or in a circle:
      loading one says so. Links to folders are not entered; links to nothing, pipes, sockets and
      devices are left out.
    - A name that is no key (a backslash, no UTF-8) is a failure of its own, after the keys beside
      it.
    - A folder that cannot be read is a failure; the others follow.
    - Hidden files are left out, and swept if a killed writer left them.
    """
    try:
        top = open_root(root)
    except OSError as error:
        yield Failure(explained(error, folder))
        return
    waiting = [folder]
    try:
        while waiting:
            current = waiting.pop()
            try:
                yield from _folder_pages(top, current, waiting, asked=current == folder)
            except OSError as error:
                yield Failure(explained(error, current))
    finally:
        os.close(top)


def _folder_pages(
    top: int, folder: str, waiting: list[str], *, asked: bool
) -> Iterator[Outcome[Page]]:
    """Give the keys in one folder, and put the folders in it on the list of those to come."""
    follow = 0 if asked else os.O_NOFOLLOW
    try:
        fd = open_beneath(top, folder or ".", os.O_RDONLY | os.O_DIRECTORY | follow)
    except OSError as error:
        if asked or error.errno not in _GONE:
            raise
        return
    try:
        yield from _pages_of(top, fd, folder, waiting)
    finally:
        os.close(fd)


def _pages_of(top: int, fd: int, folder: str, waiting: list[str]) -> Iterator[Outcome[Page]]:
    below = f"{folder}/" if folder else ""
    keys: list[Key] = []
    odd: list[StorageError] = []
    with os.scandir(fd) as entries:
        for entry in entries:
            kind = _kind(entry, top, below)
            key = parse_key(below + entry.name)
            if kind == "hidden":
                sweep(fd, entry.name)
            elif kind == "other":
                continue
            elif not is_successful(key):
                odd.append(_renamed_please(key.failure()))
            elif kind == "folder":
                waiting.append(key.unwrap())
            else:
                keys.append(key.unwrap())
            if len(keys) == PAGE_MAX:
                yield Success(tuple(keys))
                keys.clear()
    yield Success(tuple(keys))
    yield from map(Failure, odd)


def _kind(
    entry: os.DirEntry[str], top: int, below: str
) -> Literal["hidden", "folder", "file", "other"]:
    if entry.name.startswith(HIDDEN_PREFIX):
        return "hidden"
    if entry.is_dir(follow_symlinks=False):
        return "folder"
    if entry.is_symlink():
        return "file" if _leads_to_file(top, below + entry.name) else "other"
    return "file" if entry.is_file(follow_symlinks=False) else "other"


def _leads_to_file(top: int, path: str) -> bool:
    """Whether a link leads to a file; also where only a load can say why it may not be read."""
    try:
        fd = open_beneath(top, path, LOOK)
    except OSError as error:
        return error.errno not in _GONE[:2]
    try:
        return stat.S_ISREG(os.fstat(fd).st_mode)
    finally:
        os.close(fd)


def _renamed_please(error: StorageError) -> StorageError:
    return evolve(error, advice="Rename it, or move it out of the folder; the others are keys.")
