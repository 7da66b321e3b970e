"""In which regions a lazy array is read to be written: whole chunks, and hardly a block twice."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from polystore.backends.zarr.elements.grid import Grid, covered, overlap
from polystore.core.region import Box, whole

__all__ = ["UNIT_BYTES", "unit_boxes", "unit_shape"]

UNIT_BYTES = 32 * 2**20
"""About how much is read at once: enough for two cores to encode while the next is read."""

_COVERED_BYTES = 64 * 2**20
"""The most that a region is enlarged to, for a block of the source to be read but once."""

_SMALL_BYTES = 4 * 2**20
_UNITS = 8  # of a small array, so that reading overlaps with encoding there, too

_OPEN_MAX = 128  # files that grow at the same time: a process may often have but 1024 open


def unit_shape(grid: Grid, blocks: Sequence[int], itemsize: int) -> tuple[int, ...]:
    """Give the shape of the regions in which to read: a multiple of the chunks.

    It covers a block of the source on each axis as far as that takes at most 64 MiB, and is
    enlarged to about 32 MiB. A source in strips as wide as the image is read in bands as wide.

    >>> unit_shape(Grid((9, 8000, 9000), (1, 1024, 1024), (1, 1024, 1024)), (1, 16, 9000), 2)
    (1, 1024, 9216)
    """
    counts = [-(-length // step) for length, step in zip(grid.shape, grid.chunk, strict=True)]
    taken = [1] * len(counts)

    def room(axis: int, most: int) -> int:
        """Give how many chunks there may be along an axis."""
        others = (n * step for n, step in zip(taken, grid.chunk, strict=True))
        sizes = [min(a, b) for a, b in zip(others, grid.shape, strict=True)]
        sizes[axis] = grid.chunk[axis]
        return max(1, most // max(1, math.prod(sizes) * itemsize))

    backwards = range(len(counts) - 1, -1, -1)
    for axis in backwards:
        wanted = -(-min(blocks[axis], grid.shape[axis]) // grid.chunk[axis])
        taken[axis] = max(1, min(wanted, room(axis, _COVERED_BYTES)))
    total = math.prod(grid.shape) * itemsize
    most = min(UNIT_BYTES, max(_SMALL_BYTES, total // _UNITS))
    for axis in backwards:
        fits = max(taken[axis], min(counts[axis], room(axis, most)))
        if fits < counts[axis]:  # end where a block does, if that is not far
            period = math.lcm(max(1, blocks[axis]), grid.chunk[axis]) // grid.chunk[axis]
            fits -= fits % period if period <= fits else 0
            taken[axis] = max(taken[axis], fits)
            break
        taken[axis] = max(1, counts[axis])
    return tuple(n * step for n, step in zip(taken, grid.chunk, strict=True))


def unit_boxes(grid: Grid, unit: tuple[int, ...]) -> Iterator[Box]:
    """Give the regions of that shape, which together are the array, in an order for the writer.

    That is the order of their elements, unless too many files would grow at the same time: then it
    is file by file.

    >>> list(unit_boxes(Grid((5,), (2,), (1,)), (3,)))
    [(range(0, 3),), (range(3, 5),)]
    """
    everything = whole(grid.shape)
    if _open_files(grid, unit) <= _OPEN_MAX:
        yield from _cut(everything, unit)
        return
    for place in grid.files_in(everything):
        yield from _cut(grid.box(place), unit)


def _cut(box: Box, unit: tuple[int, ...]) -> Iterator[Box]:
    for cell in covered(box, unit):
        part = tuple(range(n * step, (n + 1) * step) for n, step in zip(cell, unit, strict=True))
        yield overlap(part, box)


def _open_files(grid: Grid, unit: tuple[int, ...]) -> int:
    """Give how many files grow at the same time, about, if the units come in their order."""
    for axis, (step, file) in enumerate(zip(unit, grid.file, strict=True)):
        if step < min(file, grid.shape[axis]):
            return math.prod(grid.files[axis + 1 :])
    return 1
