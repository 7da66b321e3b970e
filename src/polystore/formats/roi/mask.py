"""Masks as the outlines that ImageJ keeps of them, and back.

A composite selection of ImageJ is a path: lines from corner to corner, which close into loops. The
pixels whose middles are inside of an odd number of loops are selected. The outline of pixels has
its corners where an odd number of the four pixels around is selected; along each row and each
column of corners, the first is joined to the second, the third to the fourth. So the pixels are the
corners, summed up along both axes without carry, and this is exact in both directions.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

from attrs import frozen

from polystore.core.errors import TooLarge
from polystore.core.outcome import Failure, Outcome, Success, is_successful
from polystore.core.rois import Mask
from polystore.formats.refusals import allocated, damaged, over_limit
from polystore.formats.roi.refusals import cannot_say

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from polystore.core.records import Limits

    Edges: TypeAlias = NDArray[np.float64]
    Floats: TypeAlias = NDArray[np.float32]

__all__ = ["EXACT", "FILLED_MAX", "Frame", "Selected", "mask_of", "overfilled", "path_of"]

EXACT = 2**24
"""Pixels. To here, float32 says every integer."""

FILLED_MAX = 2**28
"""Pixels of one mask. A few corners can claim as many as they like, and each takes time."""

_MOVE, _LINE, _CLOSE, _CURVES = 0.0, 1.0, 4.0, (2.0, 3.0)
"""What begins a segment of a path, as in `java.awt.geom.PathIterator`."""

_WORK = 12
"""How many bytes it takes to follow a path, for each of its own."""

_WIDE, _BLOCK = 64, 2**16
"""Pixels. Less wide masks are quicker summed up column by column, so many pixels at a time."""

_CHUNK = 2**20
"""How many crossings of slanted edges and rows are held at once."""

_CROSSING = 16
"""How many bytes each counts for, of those that the limits allow: it costs as much time."""


@frozen
class Frame:
    """The rows and columns of a mask: from `top` and `left` to before `bottom` and `right`."""

    top: int
    left: int
    bottom: int
    right: int

    def holds(self, other: Frame) -> bool:
        """Whether the other lies within."""
        return (
            self.top <= other.top
            and self.left <= other.left
            and self.bottom >= other.bottom
            and self.right >= other.right
        )


def path_of(mask: Mask) -> Floats:
    """Give the outlines of a mask: segments one after the other, x before y.

    >>> path_of(Mask([[True]], top=2, left=5)).tolist()
    [0.0, 5.0, 2.0, 1.0, 6.0, 2.0, 1.0, 6.0, 3.0, 1.0, 5.0, 3.0, 4.0]
    """
    import numpy as np

    height, width = mask.pixels.shape
    corners = np.zeros((height + 1, width + 1), np.bool_)
    for rows in (slice(0, height), slice(1, height + 1)):
        for columns in (slice(0, width), slice(1, width + 1)):
            corners[rows, columns] ^= mask.pixels
    y, x = np.nonzero(corners)
    walk, loops = _walked(y, x)
    first = np.zeros(len(walk), np.bool_)
    first[loops] = True
    starts = 3 * np.arange(len(walk)) + np.cumsum(first) - 1  # of each segment; a loop adds a close
    path = np.full(3 * len(walk) + len(loops), _CLOSE, np.float32)
    path[starts] = np.where(first, _MOVE, _LINE)
    path[starts + 1] = x[walk] + mask.left
    path[starts + 2] = y[walk] + mask.top
    return path


def _walked(y: NDArray[np.intp], x: NDArray[np.intp]) -> tuple[list[int], list[int]]:
    """Give the corners in the order of the loops through them, and where in it each loop begins."""
    import numpy as np

    count = len(y)
    by_column = np.lexsort((y, x))
    partner = np.empty(count, np.intp)  # of each corner in its column; in its row it is the next
    partner[by_column] = by_column[np.arange(count) ^ 1]
    above: list[int] = partner.tolist()
    seen = bytearray(count)
    walk: list[int] = []
    loops: list[int] = []
    for first in range(0, count, 2):
        if not seen[first]:
            loops.append(len(walk))
        at = first
        while not seen[at]:
            beside = at ^ 1
            seen[at] = seen[beside] = 1
            walk += (at, beside)
            at = above[beside]
    return walk, loops


@frozen
class Selected:
    """The pixels that a path selects, and whether the path is their outline, and no other.

    `cost` is what it took of the bytes that the limits allow.
    """

    mask: Mask
    is_outline: bool
    cost: int


def mask_of(path: Floats, frame: Frame, limits: Limits) -> Outcome[Selected]:
    """Give the pixels whose middles are inside of the path, as ImageJ selects them.

    The mask is as large as `frame` if the path is within, and as the path otherwise. What is no
    area, because it has curves or open ends, is `UnsupportedPayload`.
    """
    import numpy as np

    work = _WORK * path.nbytes
    too_large = over_limit(work, limits)
    native = array("f", path.astype(np.float32).tobytes())
    parsed = _edges(native) if too_large is None else Failure(too_large)
    if not is_successful(parsed):
        return Failure(parsed.failure())
    ends = np.frombuffer(parsed.unwrap(), np.float64).reshape(-1, 4)
    if not np.isfinite(ends).all():
        return Failure(damaged("ImageJ region", "a corner of its outline is nowhere"))
    if (np.abs(ends) > EXACT).any():
        return Failure(cannot_say("a composite that lies so far out"))
    x, y = ends[:, 0::2], ends[:, 1::2]
    if not ends.size or x.min() == x.max() or y.min() == y.max():
        return Failure(damaged("ImageJ region", "its outline has no pixel inside"))
    low, high = (np.floor(y.min()), np.floor(x.min())), (np.ceil(y.max()), np.ceil(x.max()))
    tight = Frame(*map(int, (*low, *high)))
    return _filled(ends, frame if frame.holds(tight) else tight, work, limits)


def _filled(edges: Edges, frame: Frame, work: int, limits: Limits) -> Outcome[Selected]:
    import numpy as np

    shape = (frame.bottom - frame.top, frame.right - frame.left)
    edges = edges - [frame.left, frame.top] * 2
    along = (edges[:, 0] == edges[:, 2]) & (edges == np.rint(edges)).all(axis=1)
    across = edges[~along & (edges[:, 1] != edges[:, 3])]
    crossings = int(np.abs(across[:, 1] - across[:, 3]).sum())
    cost = work + math.prod(shape) + _CROSSING * crossings
    too_large = over_limit(cost, limits) or overfilled(math.prod(shape), FILLED_MAX)
    room = allocated(shape, np.dtype(np.uint8)) if too_large is None else Failure(too_large)
    if not is_successful(room):
        return Failure(room.failure())
    pixels = room.unwrap()
    pixels[...] = 0
    for x, y in ((0, 1), (2, 3)):
        _toggle(pixels, edges[along, y], edges[along, x])
    _sum_down(pixels)
    if across.size:
        for rows, columns in _crossed(across):
            _toggle(pixels, rows, columns)
    _sum_right(pixels)
    found = pixels.view(np.bool_)
    found.flags.writeable = False
    return Success(Selected(Mask(found, frame.top, frame.left), not across.size, cost))


def overfilled(pixels: int, most: int) -> TooLarge | None:
    """Give the error for masks of more pixels than are filled for one region, or one archive.

    >>> print(overfilled(9, 8))
    Its masks have 9 pixels, and 8 are the most. Keep such masks as images, in .png or .tif.
    """
    if pixels <= most:
        return None
    message = f"Its masks have {pixels} pixels, and {most} are the most."
    return TooLarge("", None, message, "Keep such masks as images, in .png or .tif.")


def _sum_down(pixels: NDArray[np.uint8]) -> None:
    """Add each row to all below, without carry: twice as many at each step, within some rows."""
    height, width = pixels.shape
    flat, rows = pixels.reshape(-1), max(_BLOCK // width, 1)
    for start in range(0, height, rows):
        block = flat[max(start - 1, 0) * width : (start + rows) * width]
        step = width
        while step < len(block):
            block[step:] ^= block[:-step]
            step *= 2


def _sum_right(pixels: NDArray[np.uint8]) -> None:
    """Add each column to all on its right, without carry."""
    import numpy as np

    height, width = pixels.shape
    if width >= _WIDE:
        np.bitwise_xor.accumulate(pixels, axis=1, out=pixels)
        return
    rows = _BLOCK // width
    for start in range(0, height, rows):
        for before, column in pairwise(pixels[start : start + rows].T):
            np.bitwise_xor(before, column, out=column)


def _toggle(pixels: NDArray[np.uint8], y: NDArray[np.float64], x: NDArray[np.float64]) -> None:
    import numpy as np

    inside = (y < pixels.shape[0]) & (x < pixels.shape[1])
    flat = (y[inside] * pixels.shape[1] + x[inside]).astype(np.int64)
    np.bitwise_xor.at(pixels.reshape(-1), flat, np.uint8(1))


def _crossed(edges: Edges) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Give each row whose middle an edge crosses, and the first pixel right of the crossing."""
    import numpy as np

    down = edges[:, 1] < edges[:, 3]
    x1, y1, x2, y2 = np.where(down[:, None], edges, edges[:, [2, 3, 0, 1]]).T
    first = np.ceil(y1 - 0.5)
    heights = (np.ceil(y2 - 0.5) - first).astype(np.int64)
    ends = np.cumsum(heights)
    for start in range(0, int(ends[-1]), _CHUNK):
        crossing = np.arange(start, min(start + _CHUNK, int(ends[-1])))
        edge = np.searchsorted(ends, crossing, side="right")
        row = first[edge] + crossing - (ends - heights)[edge]
        share = (row + 0.5 - y1[edge]) / (y2 - y1)[edge]
        yield row, np.floor(x1[edge] + share * (x2 - x1)[edge] + 0.5)


def _edges(path: array[float]) -> Outcome[array[float]]:
    """Give the edges of a path, each as the x and y of its two ends."""
    edges = array("d")
    first = last = (math.nan, math.nan)
    at, drawn, count = 0, False, len(path)
    while at < count:
        kind, length = path[at], 1 if path[at] == _CLOSE else 3
        if kind in _CURVES:
            return Failure(cannot_say("a composite with curves"))
        if kind not in (_MOVE, _LINE, _CLOSE) or at + length > count:
            return Failure(damaged("ImageJ region", "its outline is cut, or no outline"))
        if kind == _MOVE and drawn:
            return Failure(cannot_say("a composite with open lines"))
        if kind == _MOVE:
            first = last = (path[at + 1], path[at + 2])
        else:
            point = first if kind == _CLOSE else (path[at + 1], path[at + 2])
            edges.extend((*last, *point))
            last = point
        drawn = kind == _LINE
        at += length
    return Failure(cannot_say("a composite with open lines")) if drawn else Success(edges)
