"""The next smaller resolution of an image: halved along y and x.

The mean of integers is rounded to the nearest, halves up; that of floats is taken in their own
precision (float16 in float32), NaN as NaN. At an odd edge it is the mean of what is there. The mean
of two pixels lies between them, so that the smaller image is shifted by half a pixel of the
larger one; nearest, for labels, takes the first of the four and shifts nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from polystore.core.payload import HostArray

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

__all__ = ["Downsampling", "factors", "halved", "halved_shape", "level_count"]

Downsampling: TypeAlias = Literal["mean", "nearest"]
"""How the smaller resolutions are made."""

_LONGEST = 256
"""Pixels along y and x that the smallest resolution has at most, if nobody says how many there are:
an image that small is drawn at once."""

_BAND = 2**18
"""Bytes of rows that are added up at once, so that the sums stay in a core's own cache. Bands of
64 KiB to 512 KiB took the same time, whole planes of 32 MiB twice as much."""


def factors(shape: Sequence[int]) -> tuple[int, ...]:
    """Give by how much each axis shrinks: y and x by two, where they have more than one pixel.

    >>> factors((9, 5, 1))
    (1, 2, 1)
    """
    return (*[1] * (len(shape) - 2), *(2 if length > 1 else 1 for length in shape[-2:]))


def halved_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """Give the shape of the next resolution.

    >>> halved_shape((9, 5, 1))
    (9, 3, 1)
    """
    return tuple(-(-n // by) for n, by in zip(shape, factors(shape), strict=True))


def level_count(shape: Sequence[int], wanted: int | None) -> int:
    """Give how many resolutions an image has: as many as are wanted and there are.

    >>> level_count((9, 2048, 2000), None), level_count((9, 2048, 2000), 2), level_count((4, 4), 9)
    (4, 2, 3)
    """
    longest, count = max(shape[-2:]), 1
    while longest > 1 and (count < wanted if wanted is not None else longest > _LONGEST):
        longest, count = -(-longest // 2), count + 1
    return count


def halved(block: HostArray, how: Downsampling) -> HostArray:
    """Give the next resolution of a block: C-ordered, in native byte order, of memory of its own.

    Its first row and column are even ones of the image.

    >>> import numpy as np
    >>> halved(np.array([[1, 2, 9], [3, 5, 9]], np.uint8), "mean")
    array([[3, 9]], dtype=uint8)
    >>> halved(np.array([[1, 2, 9], [3, 5, 9]], np.uint8), "nearest")
    array([[1, 9]], dtype=uint8)
    """
    import numpy as np

    row, column = factors(block.shape)[-2:]
    native = block.dtype.newbyteorder("=")
    if how == "nearest" or row == column == 1:
        taken = block[..., ::row, ::column]
        return np.array(taken, native, order="C")
    out: HostArray = np.empty(halved_shape(block.shape), native)
    if out.size == 0:
        return out
    mean = _MEANS.get(native.kind + str(native.itemsize), _mean_in_float)
    planes = block.reshape(-1, *block.shape[-2:])
    rows = max(2, _BAND // max(1, block.shape[-1] * block.itemsize) // 2 * 2)
    for plane, target in zip(planes, out.reshape(-1, *out.shape[-2:]), strict=True):
        for first in range(0, plane.shape[0], rows):
            band = plane[first : first + rows]
            last = -(-(first + len(band)) // row)
            mean(band, target[first // row : last])
    return out


def _added(band: HostArray, wider: np.dtype[Any]) -> HostArray:
    """Give the sums of each four pixels; what is missing at an odd edge is its neighbour again.

    The rows are added first, as they lie: the strided sums are then of half as many.
    """
    import numpy as np

    height, width = band.shape
    rows: HostArray = np.empty((-(-height // 2), width), wider)
    np.add(band[: height - 1 : 2], band[1::2], out=rows[: height // 2], dtype=wider)
    if height % 2:
        np.add(band[-1], band[-1], out=rows[-1], dtype=wider)
    sums: HostArray = np.empty((rows.shape[0], -(-width // 2)), wider)
    np.add(rows[:, : width - 1 : 2], rows[:, 1::2], out=sums[:, : width // 2])
    if width % 2:
        np.add(rows[:, -1], rows[:, -1], out=sums[:, -1])
    return sums


def _mean_in_wider(band: HostArray, target: HostArray) -> None:
    """The mean of integers of up to 32 bits, and of booleans."""
    import numpy as np

    kind = "u" if band.dtype.kind == "b" else band.dtype.kind
    wider = np.dtype(f"{kind}{2 * band.itemsize}")
    pixels = band.view(np.uint8) if band.dtype.kind == "b" else band
    sums = _added(pixels, wider)
    np.add(sums, wider.type(2), out=sums)
    np.right_shift(sums, wider.type(2), out=sums)
    target[...] = sums


def _mean_of_longest(band: HostArray, target: HostArray) -> None:
    """The mean of integers of 64 bits: of their quarters, and of what is left of those."""
    import numpy as np

    native = target.dtype
    two, three = native.type(2), native.type(3)
    quarters = _added(np.right_shift(band, two), native)
    rest = _added(np.bitwise_and(band, three), native)
    np.add(rest, two, out=rest)
    np.add(quarters, np.right_shift(rest, two), out=target)


def _mean_in_float(band: HostArray, target: HostArray) -> None:
    """The mean of floats; where their sum is too large for them, that of their quarters."""
    import numpy as np

    wider = np.dtype("f4") if band.itemsize == 2 else target.dtype
    quarter = wider.type(0.25)
    with np.errstate(all="ignore"):  # infinities and NaN are values here
        mean = _added(band, wider)
        np.multiply(mean, quarter, out=mean)
        finite = np.isfinite(mean)
        if not finite.all():
            np.copyto(mean, _added(np.multiply(band, quarter, dtype=wider), wider), where=~finite)
        target[...] = mean


_MEANS = {
    **dict.fromkeys(("b1", "u1", "u2", "u4", "i1", "i2", "i4"), _mean_in_wider),
    **dict.fromkeys(("u8", "i8"), _mean_of_longest),
}
