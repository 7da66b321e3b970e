"""Items as they are read by commands: in parts where that can be, and whole elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polystore.core.errors import UnsupportedOperation
from polystore.core.outcome import Outcome, Success, is_successful
from polystore.core.payload import ArraySpec, LazyArray, is_host_array
from polystore.steps.load import Load

if TYPE_CHECKING:
    from polystore.core.item import Item
    from polystore.core.records import Source

__all__ = ["as_lazy", "loaded"]


def loaded(source: Source[object], key: str) -> Outcome[Item[object]]:
    """Give an item, lazily where it can be read in parts, and whole elsewhere.

    >>> import numpy as np
    >>> from polystore import Item, MemoryConfig, save
    >>> memory = MemoryConfig(name="doctest-loaded")
    >>> save(memory)(Item("a.npy", np.arange(3))).map(lambda saved: saved.key)
    <Success: a.npy>
    >>> loaded(memory, "a.npy").map(lambda item: item.payload)
    <Success: [0 1 2]>
    """
    lazy = Load[object](source, None, lazy=True)(key)
    if is_successful(lazy) or not isinstance(lazy.failure(), UnsupportedOperation):
        return lazy
    return Load[object](source)(key)


def as_lazy(payload: object) -> LazyArray | None:
    """Give an array of either kind as one that is read region by region; `None` for no array.

    >>> import numpy as np
    >>> as_lazy(np.zeros((2, 3))).spec.shape
    (2, 3)
    """
    if not is_host_array(payload):
        return payload if isinstance(payload, LazyArray) else None
    spec = ArraySpec(payload.shape, str(payload.dtype), (), payload.shape)
    return LazyArray(spec, lambda region: Success(payload[region]))
