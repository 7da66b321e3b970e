"""Regions of interest: shapes on an image, as `(y, x)`, in pixels, with a name and a position.

The numbers are those that ImageJ shows, with y first. What has an area (polygons, rectangles,
ellipses, masks) is measured along the edges of the pixels: the first pixel reaches from 0 to 1, and
its middle is 0.5. What has none (lines, polylines, points) is measured between the middles of the
pixels: the point (0, 0) is the middle of the first. No number is ever shifted from one to the
other.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import index
from typing import TYPE_CHECKING, SupportsFloat, SupportsIndex, TypeAlias

from attrs import field, frozen

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

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
    "Vertices",
]

Vertices: TypeAlias = tuple[tuple[float, float], ...]
"""Points as `(y, x)`, in pixels."""


def _vertex(point: Iterable[SupportsFloat]) -> tuple[float, float]:
    y, x = point
    return float(y), float(x)


def _vertices(points: Iterable[Iterable[SupportsFloat]]) -> Vertices:
    return tuple((float(y), float(x)) for y, x in points)


@frozen
class Polygon:
    """The area inside of a line through its points and back to the first.

    The points are given as pairs, or as an array of shape (n, 2).

    >>> Polygon([(0, 0), (0, 4), (3, 4)])
    Polygon(points=((0.0, 0.0), (0.0, 4.0), (3.0, 4.0)))
    """

    points: Vertices = field(converter=_vertices)


@frozen
class Polyline:
    """An open line through its points.

    >>> Polyline([(0, 0), (2.5, 4)]).points
    ((0.0, 0.0), (2.5, 4.0))
    """

    points: Vertices = field(converter=_vertices)


@frozen
class Rectangle:
    """From `(top, left)`, so high and so wide.

    >>> Rectangle(top=1, left=2, height=3, width=4)
    Rectangle(top=1.0, left=2.0, height=3.0, width=4.0)
    """

    top: float = field(converter=float)
    left: float = field(converter=float)
    height: float = field(converter=float)
    width: float = field(converter=float)


@frozen
class Ellipse:
    """The upright ellipse that fills a rectangle from `(top, left)`, so high and so wide.

    >>> Ellipse(top=1, left=2, height=3, width=4.5)
    Ellipse(top=1.0, left=2.0, height=3.0, width=4.5)
    """

    top: float = field(converter=float)
    left: float = field(converter=float)
    height: float = field(converter=float)
    width: float = field(converter=float)


@frozen
class Line:
    """A straight line from one point to another.

    >>> Line((0, 0), (3, 4.5)).end
    (3.0, 4.5)
    """

    start: tuple[float, float] = field(converter=_vertex)
    end: tuple[float, float] = field(converter=_vertex)


def _counters(counters: Iterable[SupportsIndex]) -> tuple[int, ...]:
    found = tuple(map(index, counters))
    return found if any(found) else ()


def _slices(slices: Iterable[SupportsIndex | None]) -> tuple[int | None, ...]:
    found = tuple(map(_index, slices))
    return () if all(each is None for each in found) else found


def _index(value: SupportsIndex | None) -> int | None:
    return None if value is None else index(value)


@frozen
class Points:
    """Points, in their order.

    `counters` says for each which kind it was counted as (ImageJ's multi-point tool counts several
    kinds, from 0), and `slices` on which image of a stack it lies, counted from 0. Both are empty
    where there is nothing to say: all points of kind 0, and all where the region itself lies.

    >>> Points([(1, 2), (3, 4)], counters=[0, 0])
    Points(points=((1.0, 2.0), (3.0, 4.0)), counters=(), slices=())
    """

    points: Vertices = field(converter=_vertices)
    counters: tuple[int, ...] = field(default=(), converter=_counters)
    slices: tuple[int | None, ...] = field(default=(), converter=_slices)


def _pixels(pixels: ArrayLike) -> NDArray[np.bool_]:
    import numpy as np

    found = np.asarray(pixels)
    if found.dtype != np.bool_ or found.flags.writeable or not found.flags.c_contiguous:
        found = np.array(found, np.bool_, order="C", subok=False)
        found.flags.writeable = False
    return found


@frozen(eq=False)
class Mask:
    """Single pixels: those that are true in `pixels`, a 2-D array whose corner is `(top, left)`.

    The array is kept as a copy that cannot be written to; numbers count as true if they are not 0.
    Two masks are equal if their arrays are, and lie at the same place.

    >>> Mask([[0, 1, 1], [1, 1, 0]], top=10, left=20).pixels.sum()
    np.int64(4)
    """

    pixels: NDArray[np.bool_] = field(converter=_pixels)
    top: int = field(default=0, converter=index)
    left: int = field(default=0, converter=index)

    def __eq__(self, other: object) -> bool:
        """Whether both have the same pixels at the same place."""
        if not isinstance(other, Mask):
            return NotImplemented
        return self._content() == other._content()

    def __hash__(self) -> int:
        """Give a number that equal masks have in common."""
        return hash(self._content())

    def __reduce__(self) -> tuple[type[Mask], tuple[NDArray[np.bool_], int, int]]:
        """Make it anew where it is unpickled: NumPy forgets there what cannot be written to."""
        return Mask, (self.pixels, self.top, self.left)

    def _content(self) -> tuple[int, int, tuple[int, ...], bytes]:
        return self.top, self.left, self.pixels.shape, self.pixels.tobytes()


Shape: TypeAlias = Polygon | Polyline | Rectangle | Ellipse | Line | Points | Mask
"""Every shape that a region can have."""


@frozen
class Position:
    """Where in a stack a region lies, counted from 0; `None` for everywhere.

    Either by channel, slice and frame, or by `stack`: the number of the image in the whole stack.
    ImageJ counts from 1, and keeps one or the other.

    >>> Position(z=4)
    Position(c=None, z=4, t=None, stack=None)
    """

    c: int | None = field(default=None, converter=_index)
    z: int | None = field(default=None, converter=_index)
    t: int | None = field(default=None, converter=_index)
    stack: int | None = field(default=None, converter=_index)


_EVERYWHERE = Position()


@frozen
class Roi:
    """One region of interest: its name, its shape, and where in a stack it lies.

    >>> Roi("cell", Ellipse(0, 0, 8, 9), Position(t=2)).position.t
    2
    """

    name: str
    shape: Shape
    position: Position = _EVERYWHERE


def _regions(regions: Iterable[Roi]) -> tuple[Roi, ...]:
    return tuple(regions)


@frozen
class Rois:
    """Regions of interest, in their order.

    >>> [region.name for region in Rois([Roi("a", Line((0, 0), (1, 1)))]).regions]
    ['a']
    """

    regions: tuple[Roi, ...] = field(converter=_regions)
