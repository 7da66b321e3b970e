"""Whether two keys, of whatever stores, are one thing: what is copied onto itself may be lost."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from polystore.core.outcome import is_successful
from polystore.dispatch import Dispatcher
from polystore.files.target import Target, key_target

__all__ = ["is_below", "may_be_one", "one_thing", "with_parts"]


def one_thing(one: Target, other: Target) -> bool:
    """Whether two keys are the same name of the same thing, also where their configs differ.

    Stores with a root are compared by the folder that the key is in (links to it are followed, and
    a folder that is mounted twice is one) and the name in it. A link and what it leads to are two.
    """
    if one.key == other.key and one.config == other.config:
        return True
    place = _place(one)
    return place is not None and place == _place(other)


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
    yield target
    parts = target.backend.parts
    for config in parts(target.config) if parts is not None else ():
        part = key_target(config, target.key, dispatcher)
        if is_successful(part):  # what cannot be opened cannot be changed either
            yield from with_parts(part.unwrap(), dispatcher)


def _path(target: Target) -> Path | None:
    root = target.backend.root
    return None if root is None else Path(root(target.config), target.key)


def _place(target: Target) -> tuple[int, int, str] | None:
    """Give what tells where a key is: the system's number of its folder, and the name in it."""
    path = _path(target)
    if path is None:
        return None
    try:
        status = path.parent.stat()
    except OSError:  # no folder, and so nothing in it that could be lost
        return None
    return status.st_dev, status.st_ino, path.name
