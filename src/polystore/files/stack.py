"""Many files as one lazy array."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polystore.core.item import Item
from polystore.core.outcome import Outcome
from polystore.core.payload import LazyArray
from polystore.core.records import Source

if TYPE_CHECKING:
    from polystore.dispatch import Dispatcher

__all__ = ["load_stack"]


def load_stack(
    store: Source[object],
    *,
    folder: str = "",
    pattern: str | None = None,
    axis: str = "z",
    dispatcher: Dispatcher | None = None,
) -> Outcome[Item[LazyArray]]:
    """Give many files, in natural order, as one lazy array with a new first axis."""
    raise NotImplementedError
