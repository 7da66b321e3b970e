"""Whether two keys, of whatever stores, are one thing: what is copied onto itself may be lost."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from polystore.backends.target import Target
from polystore.core.outcome import is_successful
from polystore.dispatch import Dispatcher

__all__ = ["is_below", "may_be_one", "one_thing", "with_parts"]

_NO_FOLDER = (errno.ENOENT, errno.ENOTDIR)


def one_thing(one: Target, other: Target) -> bool:
    """Whether two keys are the same name of the same thing, also where their configs differ.

    Stores with a root are compared by the folder that the key is in (links to it are followed, and
    a folder that is mounted twice is one) and the name in it. A link and what it leads to are two.
    """
    if one.key == other.key and one.config == other.config:
        return True
    here, there = _path(one), _path(other)
    if here is None or there is None:
        return False
    try:
        place = _place(here)
        return place is not None and place == _place(there)
    except OSError:  # the system cannot say now, and what is one thing must not be taken for two
        return os.path.realpath(here) == os.path.realpath(there)


def may_be_one(one: Target, other: Target, dispatcher: Dispatcher) -> bool:
    """Whether two keys are one thing, or may be, for one store is a part of the other.

    It asks for the parts of stores that are made of others, and theirs.
    """
    return any(
        one_thing(mine, theirs)
        for mine in with_parts(one, dispatcher)
        for theirs in with_parts(other, dispatcher)
    )


def is_below(inner: Target, outer: Target) -> bool:
    """Whether a folder is another one or lies below it, as far as both have a place on disk."""
    above, below = _path(outer), _path(inner)
    if above is None or below is None:
        return False
    return Path(os.path.realpath(below)).is_relative_to(os.path.realpath(above))


def with_parts(target: Target, dispatcher: Dispatcher) -> Iterator[Target]:
    """Give a key of a store, and the same key of every store that it is made of, and of theirs."""
    waiting, seen = [target], {target.config}
    while waiting:
        each = waiting.pop()
        yield each
        parts = each.backend.parts
        fresh = [it for it in (parts(each.config) if parts is not None else ()) if it not in seen]
        seen.update(fresh)
        for config in fresh:
            part = dispatcher.target(config, each.key)
            if is_successful(part):  # what cannot be opened cannot be changed either
                waiting.append(part.unwrap())


def _path(target: Target) -> Path | None:
    """Give where a key is on disk; `None` for a store without a root, or with none that can be."""
    root = target.backend.root
    folder = None if root is None else root(target.config)
    if folder is None:
        return None
    path = Path(folder, target.key)
    with suppress(UnicodeEncodeError):
        return None if b"\0" in os.fsencode(path) else path
    return None


def _place(path: Path) -> tuple[int, int, str] | None:
    """Give what tells where a key is: the system's number of its folder, and the name in it.

    `None` where there is no folder, and so nothing in it that could be lost. Raises `OSError`.
    """
    try:
        status = path.parent.stat()
    except OSError as error:
        if error.errno in _NO_FOLDER:
            return None
        if error.errno != errno.ENAMETOOLONG:
            raise
        return _place_of_long(path)
    return status.st_dev, status.st_ino, path.name


def _place_of_long(path: Path) -> tuple[int, int, str] | None:
    """Give the same for a path that is too long for one system call: folder by folder."""
    folder = os.open(path.anchor or ".", os.O_PATH | os.O_DIRECTORY)
    try:
        for name in path.parent.relative_to(path.anchor).parts:
            below = os.open(name, os.O_PATH | os.O_DIRECTORY, dir_fd=folder)
            os.close(folder)
            folder = below
        status = os.fstat(folder)
    except OSError as error:
        if error.errno in _NO_FOLDER:
            return None
        raise
    finally:
        os.close(folder)
    return status.st_dev, status.st_ino, path.name
