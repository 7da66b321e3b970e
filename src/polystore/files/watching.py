"""How far the reading of one long array has come: for progress bars."""

from __future__ import annotations

import math
from collections.abc import Callable
from threading import Lock
from typing import TypeAlias

from attrs import evolve

from polystore.boundary import called
from polystore.core.item import Item
from polystore.core.outcome import Failure, Outcome, is_successful
from polystore.core.payload import HostArray, LazyArray, Region

__all__ = ["Progress", "watched"]

Progress: TypeAlias = Callable[[int, int], object]
"""Is told how many elements of an array were read so far, and how many it has."""


def watched(item: Item[LazyArray], report: Progress) -> Item[LazyArray]:
    """Give the item with an array that tells `report` of each read: how many elements, of how many.

    A save of it reads the array part by part, and so tells how far it has come. The calls come one
    at a time, from the threads that read, and their first number never falls; what is read twice
    counts once more, but never beyond all. Watch what is saved: what `map_blocks` gives, and not
    what it is given, of which it reads its halo several times. If `report` raises, the read is
    `FunctionFailed`, and nothing is saved.

    >>> import numpy as np
    >>> from polystore import DiskConfig, load, save
    >>> import tempfile
    >>> disk = DiskConfig(root=tempfile.mkdtemp())
    >>> done = save(disk)(Item("a.npy", np.zeros((4, 3))))
    >>> item = load(disk, lazy=True)("a.npy").unwrap()
    >>> seen = watched(item, lambda read, total: print(f"{read} of {total}"))
    >>> save(disk)(Item("b.npy", seen.payload)).map(lambda saved: saved.status)
    12 of 12
    <Success: written>
    """
    array, total, guard, parts = item.payload, math.prod(item.payload.spec.shape), Lock(), [0]

    def read(region: Region) -> Outcome[HostArray]:
        part = array.read(region)
        if not is_successful(part):
            return part
        with guard:
            parts[0] = min(parts[0] + part.unwrap().size, total)
            told = called(lambda done: report(done, total), parts[0], item.key, report)
        return part if is_successful(told) else Failure(told.failure())

    return Item(item.key, evolve(array, read=read), item.metadata, item.history)
