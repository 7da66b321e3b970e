"""Regions of an array as boxes: for each axis a range of indices in steps of 1."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import SupportsIndex, TypeAlias, TypeGuard, cast

from polystore.core.errors import InvalidSpec, UnsupportedOperation
from polystore.core.outcome import Failure, Outcome, Success
from polystore.core.payload import Region

__all__ = [
    "Bounds",
    "Box",
    "RegionLike",
    "bounds_of",
    "box_of",
    "in_words",
    "is_bounds",
    "lengths",
    "plain_bounds",
    "region_in",
    "region_of",
    "whole",
]

Box: TypeAlias = "tuple[range, ...]"
"""For each axis: which indices, in steps of 1."""

Bounds: TypeAlias = tuple[tuple[int, int | None], ...]
"""For each axis, from the first on, where a region begins and where it ends: `None` is the end of
the axis, negative numbers count from there. A value that has a hash, which a slice has not."""

RegionLike: TypeAlias = "slice | Sequence[slice | tuple[int, int | None]]"
"""How a region is given: slices of step 1 (`np.s_[0:1, :512]`) or pairs of their bounds, for each
axis from the first on; one slice may stand alone."""


def bounds_of(region: RegionLike) -> Bounds:
    """Give a region as pairs of numbers; `TypeError` for what is none.

    >>> bounds_of((slice(0, 1), slice(None, 512), (8, None)))
    ((0, 1), (0, 512), (8, None))
    >>> bounds_of(slice(-3, None))
    ((-3, None),)
    """
    parts = (region,) if isinstance(region, slice) else tuple(region)
    return tuple(map(plain_bounds, parts))


def plain_bounds(
    part: slice | tuple[SupportsIndex, SupportsIndex | None],
) -> tuple[int, int | None]:
    """Give a slice of step 1, or a pair, as a pair of Python's own numbers; or `TypeError`.

    >>> plain_bounds(slice(None, 3))
    (0, 3)
    """
    given = cast("object", part)
    if isinstance(part, slice):
        start, stop, step = cast("tuple[object, ...]", (part.start, part.stop, part.step))
        if step not in (None, 1):
            raise TypeError(f"{part!r} is no part of a region: its step must be 1")
        start = 0 if start is None else start
    elif isinstance(given, tuple) and len(cast("tuple[object, ...]", given)) == 2:
        start, stop = cast("tuple[object, object]", given)
    else:
        raise TypeError(f"{given!r} is no part of a region: it is no slice and no pair of bounds")
    return _number(start), None if stop is None else _number(stop)


def _number(value: object) -> int:
    if isinstance(value, SupportsIndex) and not isinstance(value, bool):
        return index(value)
    raise TypeError(f"{value!r} is no bound of a region: it is no whole number")


def is_bounds(value: object) -> TypeGuard[Bounds]:
    """Whether a value is what `bounds_of` gives.

    >>> is_bounds(((0, None),)), is_bounds(((0, 1.5),))
    (True, False)
    """
    if not isinstance(value, tuple):
        return False
    try:
        return bounds_of(cast("Bounds", value)) == value
    except TypeError:
        return False


def region_in(bounds: Bounds, axes: int, where: str) -> Outcome[Region]:
    """Give bounds as one slice for each of so many axes: those that are not named are whole.

    `InvalidSpec` if there are more bounds than axes; `where` says whose they are.

    >>> region_in(((0, 1),), 2, "load.region").unwrap()
    (slice(0, 1, None), slice(None, None, None))
    """
    if len(bounds) > axes:
        words = f"{where} names {len(bounds)} axes, and the array has {axes}."
        return Failure(InvalidSpec("", None, words, "Give one slice per axis, or fewer.", where))
    rest = (slice(None),) * (axes - len(bounds))
    return Success((*(slice(start, stop) for start, stop in bounds), *rest))


def in_words(box: Box) -> str:
    """Give a box as one would write it.

    >>> in_words((range(1), range(8, 16)))
    '[0:1, 8:16]'
    """
    return f"[{', '.join(f'{part.start}:{part.stop}' for part in box)}]"


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
