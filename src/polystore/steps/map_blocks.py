"""`map_blocks`: a function of blocks over a lazy array, which stays lazy."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from attrs import frozen

from polystore.core.payload import HostArray

if TYPE_CHECKING:
    from polystore.core.item import Item
    from polystore.core.outcome import Outcome
    from polystore.core.payload import LazyArray

__all__ = ["MapBlocks", "map_blocks"]


@frozen
class MapBlocks:
    """Apply `function` to a lazy array, block by block. Made by `map_blocks`."""

    function: Callable[[HostArray], HostArray]
    halo: int | tuple[int, ...] = 0
    dtype: str | None = None

    def __call__(self, item: Item[LazyArray], /) -> Outcome[Item[LazyArray]]:
        """Give the item with an array that applies the function where it is read."""
        from polystore.dispatch import default_dispatcher

        return default_dispatcher().run(self, item)


def map_blocks(
    function: Callable[[HostArray], HostArray],
    halo: int | tuple[int, ...] = 0,
    dtype: str | None = None,
) -> MapBlocks:
    """Give the step that applies a function to a lazy array, block by block.

    >>> map_blocks(abs, halo=8).halo
    8
    """
    return MapBlocks(function, halo, dtype)
