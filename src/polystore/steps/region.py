"""A region as it is given to a step, and as the step holds it."""

from __future__ import annotations

from typing import cast

from polystore.core.region import Bounds, RegionLike, bounds_of

__all__ = ["given_region"]


def given_region(region: RegionLike | None) -> Bounds | None:
    """Give a region as pairs of numbers; what is none as it is, to be refused when the step runs.

    >>> given_region(slice(0, 3))
    ((0, 3),)
    """
    try:
        return None if region is None else bounds_of(region)
    except TypeError:
        return cast("Bounds", region)
