"""The samples of a TIFF's series: where they lie, and any box of them."""

from __future__ import annotations

import math

from attrs import evolve, frozen

from polystore.core.payload import HostArray
from polystore.core.region import Box, lengths, whole
from polystore.formats.box import read_box
from polystore.formats.tiff.segments import Paged, fill

__all__ = ["Samples", "blocks_of", "read_samples", "reshaped"]

_BLOCK = 2**22
"""Bytes of a block of rows, where the file has no smaller parts of its own."""


@frozen
class Samples:
    """The samples of a series of a shape: all in one piece from byte `start`, or page by page.

    `tile` is the bytes of a strip or tile that is decoded as a whole; 0 where none is.
    """

    shape: tuple[int, ...]
    start: int | None
    tile: int
    pages: Paged

    @property
    def nbytes(self) -> int:
        """The bytes of all samples."""
        return math.prod(self.shape) * self.pages.dtype.itemsize


def read_samples(samples: Samples, box: Box, array: HostArray) -> None:
    """Read a box of the samples into an array of its size, which is C-ordered and native.

    Raises what `fill` raises.
    """
    import numpy as np

    if array.size == 0:
        return
    pages = samples.pages
    if samples.start is not None:
        read_box(pages.source, samples.start, samples.shape, box, array.reshape(lengths(box)))
        if pages.swap:
            array.byteswap(inplace=True)
        return
    cut = _in_pages(samples.shape, box, pages.shape[1:])
    if cut is None:  # its axes go across its pages: nothing less than all of it is known to suffice
        everything: HostArray = np.empty(samples.shape, array.dtype)
        fill(pages, whole(pages.shape), everything)
        part = everything[tuple(slice(each.start, each.stop) for each in box)]
        array[...] = part.reshape(array.shape)
        return
    numbers, inner = cut
    if len(numbers) < len(pages.pages):
        pages = evolve(pages, pages=[pages.pages[number] for number in numbers])
    fill(pages, (range(len(pages.pages)), *inner), array)


def reshaped(box: Box, shape: tuple[int, ...], other: tuple[int, ...]) -> Box:
    """Give a box of an array of a shape in terms of another that has other axes of length 1.

    >>> reshaped((range(1), range(2, 5)), (1, 9), (9, 1, 1))
    (range(2, 5), range(0, 1), range(0, 1))
    """
    longer = iter([part for part, length in zip(box, shape, strict=True) if length != 1])
    return tuple(range(1) if length == 1 else next(longer) for length in other)


def _in_pages(
    shape: tuple[int, ...], box: Box, page: tuple[int, ...]
) -> tuple[list[int], Box] | None:
    """Give a box as the numbers of the pages and the box of each; `None` if it has no such form."""
    axes = [(length, part) for length, part in zip(shape, box, strict=True) if length != 1]
    inner = [length for length in page if length != 1]
    cut = len(axes) - len(inner)
    if cut < 0 or [length for length, _ in axes[cut:]] != inner:
        return None
    numbers = [0]
    for length, part in axes[:cut]:
        numbers = [number * length + index for number in numbers for index in part]
    parts = iter([part for _, part in axes[cut:]])
    return numbers, tuple(range(1) if length == 1 else next(parts) for length in page)


def blocks_of(samples: Samples, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Give the shape in which the samples are read best, in terms of a shape that they have.

    That is a strip or tile; rows of up to 4 MiB where they lie in one piece.
    """
    page = samples.pages.shape[1:]
    covers = (*samples.pages.segment_shape, page[4])
    if samples.start is not None or samples.pages.key.is_final:
        row = math.prod(page[3:]) * samples.pages.dtype.itemsize
        covers = (1, 1, max(_BLOCK // max(row, 1), 1), *page[3:])
    axes = [length for length in shape if length != 1]
    inner = [(n, cover) for n, cover in zip(page, covers, strict=True) if n != 1]
    cut = len(axes) - len(inner)
    if cut < 0 or axes[cut:] != [length for length, _ in inner]:
        return tuple(max(length, 1) for length in shape)
    blocks = iter([*[1] * cut, *(max(min(cover, length), 1) for length, cover in inner)])
    return tuple(1 if length == 1 else next(blocks) for length in shape)
