"""How an array is cut into files, and each file into chunks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from attrs import frozen

from polystore.core.region import Box

__all__ = ["Grid", "Place", "covered", "inside", "overlap"]

Place: TypeAlias = tuple[int, ...]
"""Which file of an array, or which chunk of a file: one number for each axis."""


@frozen
class Grid:
    """An array of `shape` in files of the shape `file`, and each in chunks of the shape `chunk`.

    Without shards, `file` and `chunk` are the same. `file` is a multiple of `chunk`; the last file
    of an axis may reach beyond the array, and so may its chunks.

    >>> grid = Grid((5, 100), (2, 64), (1, 32))
    >>> grid.files, grid.chunks_of_file
    ((3, 2), (2, 2))
    >>> grid.box((2, 1))
    (range(4, 5), range(64, 100))
    """

    shape: tuple[int, ...]
    file: tuple[int, ...]
    chunk: tuple[int, ...]

    @property
    def files(self) -> tuple[int, ...]:
        """How many files there are along each axis."""
        return tuple(-(-length // step) for length, step in zip(self.shape, self.file, strict=True))

    @property
    def chunks_of_file(self) -> tuple[int, ...]:
        """How many chunks a file has along each axis."""
        return tuple(a // b for a, b in zip(self.file, self.chunk, strict=True))

    @property
    def file_count(self) -> int:
        """How many files there are."""
        return math.prod(self.files)

    @property
    def is_sharded(self) -> bool:
        """Whether a file may hold more than one chunk."""
        return self.file != self.chunk

    def box(self, place: Place) -> Box:
        """Give the part of the array that is in a file."""
        sizes = zip(place, self.file, self.shape, strict=True)
        return tuple(range(n * step, min((n + 1) * step, length)) for n, step, length in sizes)

    def chunk_box(self, place: Place, chunk: Place) -> Box:
        """Give the part of the array that is in a chunk of a file; empty beyond the array.

        >>> Grid((5, 100), (2, 64), (1, 32)).chunk_box((2, 1), (0, 1))
        (range(4, 5), range(96, 100))
        """
        sizes = zip(place, chunk, self.file, self.chunk, self.shape, strict=True)
        starts = ((n * file + m * step, step, length) for n, m, file, step, length in sizes)
        return tuple(range(a, max(a, min(a + step, length))) for a, step, length in starts)

    def files_in(self, box: Box) -> Iterator[Place]:
        """Give the files that a part of the array is in.

        >>> list(Grid((5, 100), (2, 64), (1, 32)).files_in((range(3, 5), range(0, 10))))
        [(1, 0), (2, 0)]
        """
        return covered(box, self.file)

    def chunks_in(self, place: Place, box: Box) -> Iterator[Place]:
        """Give the chunks of a file that a part of the array is in.

        >>> list(Grid((5, 100), (2, 64), (1, 32)).chunks_in((1, 0), (range(3, 5), range(0, 40))))
        [(1, 0), (1, 1)]
        """
        here = overlap(self.box(place), box)
        origin = (n * step for n, step in zip(place, self.file, strict=True))
        return covered(inside(here, tuple(origin)), self.chunk)


def covered(box: Box, steps: Sequence[int]) -> Iterator[Place]:
    """Give the cells of a regular grid that a box touches; none if it is empty."""
    if not all(box):
        return iter(())
    spans = zip(box, steps, strict=True)
    return _counted(tuple(range(a.start // step, -(-a.stop // step)) for a, step in spans))


def _counted(spans: Box) -> Iterator[Place]:
    """Give what `itertools.product` gives, which first makes tuples of all of its ranges."""
    if not spans:
        yield ()
        return
    for place in _counted(spans[:-1]):
        for number in spans[-1]:
            yield (*place, number)


def overlap(one: Box, other: Box) -> Box:
    """Give what two boxes have in common.

    >>> overlap((range(0, 4),), (range(3, 9),))
    (range(3, 4),)
    """
    starts = [max(a.start, b.start) for a, b in zip(one, other, strict=True)]
    stops = [min(a.stop, b.stop) for a, b in zip(one, other, strict=True)]
    return tuple(range(a, max(a, b)) for a, b in zip(starts, stops, strict=True))


def inside(box: Box, origin: Sequence[int]) -> Box:
    """Give a box as seen from a point that lies before it.

    >>> inside((range(5, 7),), (4,))
    (range(1, 3),)
    """
    return tuple(range(a.start - o, a.stop - o) for a, o in zip(box, origin, strict=True))
