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
    """Give the step that applies a function to a lazy array, block by block, when it is read.

    The item that it gives is lazy too, of the same shape: nothing is read before, and no more of
    the array is in memory than the blocks at hand. The blocks are those in which the source reads
    best (`LazyArray.spec.blocks`). Each is read with `halo` elements more on each side (one number,
    or one for each axis; fewer at the edge of the array), and what the function makes of these is
    cut off: a local filter that looks no farther than the halo gives what it would give of the
    whole array. What looks at all of it (a z-score) does not: use `apply` for that.

    The function is given a NumPy array, in memory of its own, and must give one as large, of
    `dtype` (NumPy's name of it; `None`: as the source). It may be called in several threads, and
    more than once for a block. What goes wrong is the outcome of the read, so of the save:
    `FunctionFailed` if it raises, or gives what is not as large, `Lossy` for another dtype; both
    name the block.

    >>> import numpy as np
    >>> from polystore import DiskConfig, Item, compose, load, save
    >>> import tempfile
    >>> disk = DiskConfig(root=tempfile.mkdtemp())
    >>> saved = save(disk)(Item("a.npy", np.arange(6, dtype="u1").reshape(2, 3)))
    >>> inverted = compose(load(disk, lazy=True), map_blocks(np.invert))("a.npy").unwrap()
    >>> inverted.payload.read((slice(0, 1), slice(0, 3)))
    <Success: [[255 254 253]]>
    """
    return MapBlocks(function, halo, dtype)
