"""The contact sheet: every image as a thumbnail, in a numbered grid."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from polystore.core.payload import HostArray

__all__ = ["Layout", "contact_sheet", "layout_for", "thumbnail"]

SHEET_WIDTH_MAX = 2048  # pixels
SIDE_MAX = 256  # pixels of a thumbnail's longer side
SHOWN_MAX = 1000  # images; more would make thumbnails smaller than one can recognise
GAP = 6  # pixels
LOW, HIGH = 0.5, 99.8  # percentiles of the thumbnail that become black and white

BACKGROUND = (24, 26, 30)
EMPTY = (48, 32, 34)
CROSS = (220, 80, 80)
TAG = (255, 214, 90)

DIGITS = (
    *("111101101101111", "010110010010111", "111001111100111", "111001111001111"),
    *("101101111001001", "111100111001111", "111100111101111", "111001010010010"),
    *("111101111101111", "111101111001111"),
)
"""The digits 0 to 9 as 3 x 5 pixels, row by row."""


@frozen
class Layout:
    """How many thumbnails stand in a row, how large each is at most, and how many are shown."""

    columns: int
    side: int
    shown: int


def layout_for(count: int) -> Layout:
    """Give a grid about twice as wide as high that keeps the sheet at most 2048 pixels wide.

    >>> layout_for(12), layout_for(96)
    (Layout(columns=5, side=256, shown=12), Layout(columns=14, side=139, shown=96))
    """
    shown = max(1, min(count, SHOWN_MAX))
    columns = min(shown, math.ceil(math.sqrt(2 * shown)))
    side = (SHEET_WIDTH_MAX - GAP) // columns - GAP
    return Layout(columns, min(SIDE_MAX, side), shown)


def thumbnail(image: HostArray, side: int) -> HostArray | None:
    """Give the image as RGB uint8 of at most `side` x `side` pixels, stretched to full contrast.

    The last axis is taken for colours if it is 3 or 4 long and stands behind two longer ones. A
    stack is shown by its middle plane. Pixels are averaged, or repeated in a small image; what is
    not a finite number is black. `None` for an image without pixels or without numbers.

    >>> import numpy as np
    >>> thumbnail(np.arange(6, dtype="u2").reshape(2, 3), 6)[..., 0].tolist()[0]
    [0, 0, 51, 51, 102, 102]
    """
    import numpy as np

    if image.size == 0 or image.dtype.kind not in "biufc":
        return None
    plane = _middle_plane(image)
    with np.errstate(all="ignore"):
        values = np.abs(plane) if plane.dtype.kind == "c" else plane
        return _stretched(_resized(values, side))


def _middle_plane(image: HostArray) -> HostArray:
    colours = image.ndim >= 3 and image.shape[-1] in (3, 4) and min(image.shape[-3:-1]) > 4
    while image.ndim > (3 if colours else 2):
        image = image[image.shape[0] // 2]
    if colours:
        return image[..., :3]
    return image.reshape((1,) * (2 - image.ndim) + image.shape)[..., None]


def _resized(plane: HostArray, side: int) -> HostArray:
    """Give the plane as float64, its longer side of `side` pixels, each the mean of its bin."""
    import numpy as np

    scale = side / max(plane.shape[:2])
    for axis in (0, 1):
        length = plane.shape[axis]
        wanted = max(1, round(length * scale))
        if wanted <= length:
            edges = np.arange(wanted) * length // wanted
            sums = np.add.reduceat(plane, edges, axis=axis, dtype=np.float64)
            widths = np.diff(edges, append=length)
            plane = sums / np.expand_dims(widths, tuple(i for i in range(3) if i != axis))
        else:
            plane = plane.take(np.arange(wanted) * length // wanted, axis=axis)
    return plane.astype(np.float64, copy=False)


def _stretched(plane: HostArray) -> HostArray:
    import numpy as np

    finite = np.isfinite(plane)
    low, high = np.percentile(plane[finite], (LOW, HIGH)) if finite.any() else (0.0, 1.0)
    span = high - low if high > low else 1.0
    grey = np.clip((np.where(finite, plane, low) - low) / span, 0, 1) * 255
    return np.broadcast_to(np.rint(grey).astype(np.uint8), (*plane.shape[:2], 3))


def contact_sheet(tiles: Sequence[HostArray | None], layout: Layout) -> HostArray:
    """Give the sheet as RGB uint8: each thumbnail in its cell, with its number from 1.

    `None` is an image that there is no picture of: a crossed cell.

    >>> contact_sheet([None, None], layout_for(2)).shape
    (268, 530, 3)
    """
    import numpy as np

    cell = layout.side + GAP
    rows = math.ceil(len(tiles) / layout.columns)
    sheet = np.full((rows * cell + GAP, layout.columns * cell + GAP, 3), BACKGROUND, np.uint8)
    for index, tile in enumerate(tiles):
        row, column = divmod(index, layout.columns)
        top, left = GAP + row * cell, GAP + column * cell
        square = sheet[top : top + layout.side, left : left + layout.side]
        if tile is None:
            _cross_out(square)
        else:
            y, x = (layout.side - tile.shape[0]) // 2, (layout.side - tile.shape[1]) // 2
            square[y : y + tile.shape[0], x : x + tile.shape[1]] = tile
        _tag(square, index + 1)
    return sheet


def _cross_out(square: HostArray) -> None:
    import numpy as np

    square[:] = EMPTY
    diagonal = np.arange(len(square))
    for offset in (-1, 0, 1):
        across = np.clip(diagonal + offset, 0, len(square) - 1)
        square[diagonal, across] = square[diagonal, across[::-1]] = CROSS


def _tag(square: HostArray, number: int) -> None:
    """Write the number into the corner, in digits of 3 x 5 pixels or twice that."""
    import numpy as np

    zoom = 2 if len(square) >= 96 else 1
    digits = [[int(bit) for bit in DIGITS[int(digit)]] for digit in str(number)]
    glyphs = [np.pad(np.array(bits, bool).reshape(5, 3), 1) for bits in digits]
    mask = np.kron(np.hstack(glyphs), np.ones((zoom, zoom), bool))
    corner = square[: mask.shape[0], : mask.shape[1]]
    corner[:] = np.where(mask[..., None], np.array(TAG, np.uint8), np.array(BACKGROUND, np.uint8))
