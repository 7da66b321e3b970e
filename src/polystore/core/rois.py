"""Regions of interest: shapes on an image, in pixels, as `(y, x)`."""

from __future__ import annotations

from typing import TypeAlias

from attrs import frozen

__all__ = [
    "Ellipse",
    "Line",
    "Mask",
    "Points",
    "Polygon",
    "Polyline",
    "Position",
    "Rectangle",
    "Roi",
    "Rois",
    "Shape",
]

Vertices: TypeAlias = tuple[tuple[float, float], ...]
"""Points as `(y, x)`, in pixels."""


@frozen
class Polygon:
    """A closed line through its points."""

    points: Vertices


@frozen
class Polyline:
    """An open line through its points."""

    points: Vertices


@frozen
class Rectangle:
    """From `(top, left)`, so high and so wide."""

    top: float
    left: float
    height: float
    width: float


@frozen
class Ellipse:
    """The ellipse inside of a rectangle."""

    top: float
    left: float
    height: float
    width: float


@frozen
class Line:
    """A straight line between two points."""

    start: tuple[float, float]
    end: tuple[float, float]


@frozen
class Points:
    """Points, in their order."""

    points: Vertices


@frozen
class Mask:
    """Single pixels: each row of `rows` is a text of `"0"` and `"1"`, from `(top, left)`."""

    top: int
    left: int
    rows: tuple[str, ...]


Shape: TypeAlias = Polygon | Polyline | Rectangle | Ellipse | Line | Points | Mask
"""Every shape that a region can have."""


@frozen
class Position:
    """The channel, slice and frame that a region lies on, counted from 0; `None` for all."""

    c: int | None = None
    z: int | None = None
    t: int | None = None


@frozen
class Roi:
    """One region of interest: its name, its shape, and where in a stack it lies."""

    name: str
    shape: Shape
    position: Position = Position()


@frozen
class Rois:
    """Regions of interest, in their order."""

    regions: tuple[Roi, ...]
