"""Regions of an array as boxes: for each axis a range of indices in steps of 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias, cast

from polystore.core.errors import UnsupportedOperation
from polystore.core.outcome import Failure, Outcome, Success
from polystore.core.payload import Region

__all__ = ["Box", "box_of", "lengths", "region_of", "whole"]

Box: TypeAlias = "tuple[range, ...]"
"""For each axis: which indices, in steps of 1."""


def whole(shape: Sequence[int]) -> Box:
    """Give the box of everything.

    >>> whole((2, 3))
    (range(0, 2), range(0, 3))
    """
    return tuple(map(range, shape))


def lengths(box: Box) -> tuple[int, ...]:
    """Give the shape of a box.

    >>> lengths((range(1, 3), range(0)))
    (2, 0)
    """
    return tuple(map(len, box))


def box_of(region: Region, shape: tuple[int, ...]) -> Outcome[Box]:
    """Give a region as a box, its bounds as NumPy takes them; `UnsupportedOperation` for no region.

    >>> box_of((slice(-3, None), slice(1, 99)), (9, 4)).unwrap()
    (range(6, 9), range(1, 4))
    >>> print(box_of((slice(0, 9, 2),), (9,)).failure().message)
    A region is one slice of step 1 per axis, not slice(0, 9, 2).
    """
    parts = cast("object", region)  # whatever the types say, it may be a single slice
    count = len(region) if isinstance(parts, tuple) else 0
    if count != len(shape) or not isinstance(parts, tuple):
        message = f"The array has {len(shape)} axes, and the region has {count} slices."
        return Failure(UnsupportedOperation("", None, message, "Give one slice per axis."))
    box: list[range] = []
    for part, length in zip(region, shape, strict=True):
        try:
            box.append(range(*part.indices(length)) if part.step in (None, 1) else range(0, 0, 2))
        except (AttributeError, TypeError):  # whatever the types say, it may be a number
            box.append(range(0, 0, 2))
        if box[-1].step != 1:
            message = f"A region is one slice of step 1 per axis, not {part}."
            advice = "Read slices of step 1, then index the array that you get."
            return Failure(UnsupportedOperation("", None, message, advice))
    return Success(tuple(box))


def region_of(box: Box) -> Region:
    """Give a box as the slices that index an array.

    >>> region_of((range(1, 3), range(4)))
    (slice(1, 3, None), slice(0, 4, None))
    """
    return tuple(slice(part.start, part.stop) for part in box)
