"""How an image is cut into tiles that are read, halved and written one by one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from attrs import frozen

from polystore.backends.zarr.elements.grid import Grid, covered, overlap
from polystore.core.region import Box, whole

__all__ = ["TILE_BYTES", "Tiling", "next_tiling"]

TILE_BYTES = 48 * 2**20
"""The most that a tile takes, unless four chunks take more. Two threads hold one each, with its
smaller resolutions and what a decoder needs: below 300 MB together."""

_ENOUGH = 8 * 2**20
"""Bytes of small planes that are read together: more gains nothing."""

_PARTS = 4
"""Into how many tiles an image is cut at least where it can be, so that all cores have work."""

_LEAST = 2 * 2**20
"""Bytes of a tile below which it is not worth cutting an image into more of them."""


@frozen
class Tiling:
    """The tiles of level `first`, of which all levels to `last` are made.

    `step` is the shape of a tile; those at the ends of the axes may be smaller. Along y and x it is
    so many whole chunks that `last` gets whole chunks too, or all there is.
    """

    shape: tuple[int, ...]
    step: tuple[int, ...]
    first: int
    last: int

    @property
    def count(self) -> int:
        """How many tiles there are."""
        return math.prod(-(-n // step) for n, step in zip(self.shape, self.step, strict=True))

    @property
    def size(self) -> int:
        """How many elements the level has."""
        return math.prod(self.shape)

    def boxes(self) -> Iterator[Box]:
        """Give the tiles, in the order of the elements.

        >>> list(Tiling((3, 4), (2, 4), 0, 0).boxes())
        [(range(0, 2), range(0, 4)), (range(2, 3), range(0, 4))]
        """
        everything = whole(self.shape)
        for cell in covered(everything, self.step):
            tile = (
                range(n * step, (n + 1) * step) for n, step in zip(cell, self.step, strict=True)
            )
            yield overlap(tuple(tile), everything)


def next_tiling(
    grids: Sequence[Grid], first: int, blocks: Sequence[int] | None, itemsize: int
) -> Tiling:
    """Give the tiles of a level, of which as many further levels are made as fit in memory.

    `blocks` is the shape in which the level is read best, if that matters: tiles that cut it would
    have its parts decoded several times.

    >>> grids = [Grid((9, 512, 512), (1, 256, 256), (1, 256, 256))]
    >>> next_tiling(grids, 0, None, 2).step
    (4, 512, 512)
    """
    shape, chunk = grids[first].shape, grids[first].chunk
    room = _room(shape, itemsize)
    lead = tuple(min(step, n) for step, n in zip(chunk[:-2], shape[:-2], strict=True))
    lead = _with_blocks(lead, grids[first], blocks, itemsize)
    each = math.prod(lead) * itemsize
    tile, last = _plane_tile(grids, first, each, room)
    is_cut = blocks is not None and tile[1] < min(blocks[-1], shape[-1])
    if is_cut and chunk[-2] * shape[-1] * each <= TILE_BYTES:
        tile, last = _rows(grids, first, each)
    if tile == shape[-2:]:
        lead = _more_planes(lead, shape, math.prod(tile) * itemsize, room)
    return Tiling(shape, (*lead, *tile), first, last)


def _room(shape: tuple[int, ...], itemsize: int) -> int:
    return min(TILE_BYTES, max(_LEAST, math.prod(shape) * itemsize // _PARTS))


def _with_blocks(
    lead: tuple[int, ...], grid: Grid, blocks: Sequence[int] | None, itemsize: int
) -> tuple[int, ...]:
    """Give how many planes make a tile, so that those which are decoded as one are read as one."""
    if blocks is None:
        return lead
    wanted = list(lead)
    smallest = math.prod(_aligned(grid, 1))
    for axis in reversed(range(len(lead))):
        step, length = lead[axis], grid.shape[axis]
        more = min(-(-blocks[axis] // step) * step, length)
        if math.prod(wanted) // wanted[axis] * more * smallest * itemsize <= TILE_BYTES:
            wanted[axis] = max(step, more)
    return tuple(wanted)


def _plane_tile(
    grids: Sequence[Grid], first: int, each: int, room: int
) -> tuple[tuple[int, int], int]:
    """Give the rows and columns of a tile, as many as fit, and the last level that it makes.

    `each` is the bytes of one pixel of all planes in the tile. The next level is made at least.
    """
    final = len(grids) - 1
    plane = grids[first].shape[-2:]
    halvings = 0
    while _aligned(grids[first], halvings) != plane:
        halvings += 1
    while halvings and math.prod(_aligned(grids[first], halvings)) * each > room:
        halvings -= 1
    tile = _aligned(grids[first], max(halvings, min(1, final - first)))
    return tile, final if tile == plane else min(final, first + max(halvings, 1))


def _aligned(grid: Grid, halvings: int) -> tuple[int, int]:
    rows, columns = (
        min(step << halvings, n) for step, n in zip(grid.chunk[-2:], grid.shape[-2:], strict=True)
    )
    return rows, columns


def _rows(grids: Sequence[Grid], first: int, each: int) -> tuple[tuple[int, int], int]:
    """Give tiles of whole rows, and the last level that they make; maybe none but their own."""
    height, width = grids[first].shape[-2:]
    rows = grids[first].chunk[-2]
    halvings, most = 0, len(grids) - 1 - first
    while halvings < most and (rows << (halvings + 1)) * width * each <= TILE_BYTES:
        halvings += 1
    return (min(rows << halvings, height), width), first + halvings


def _more_planes(
    lead: tuple[int, ...], shape: tuple[int, ...], plane: int, room: int
) -> tuple[int, ...]:
    """Give how many planes make a tile: more of small ones."""
    if not lead:
        return lead
    *outer, inner = lead
    nbytes = math.prod(lead) * plane
    times = max(1, min(room, _ENOUGH) // max(1, nbytes))
    return (*outer, min(inner * times, max(1, shape[len(outer)])))
