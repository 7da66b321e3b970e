"""Regions of interest of every shape, for hypothesis: such as a `.roi` can hold."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from polystore.core.rois import (
    Ellipse,
    Line,
    Mask,
    Points,
    Polygon,
    Polyline,
    Position,
    Rectangle,
    Roi,
    Rois,
    Shape,
)

__all__ = ["masks", "names", "positions", "regions", "rois", "shapes"]

INTEGERS = st.integers(-5000, 60535).map(float)
"""What ImageJ has 16 bits for."""

EDGES = st.sampled_from((-0.0, 0.0, -5000.0, -5001.0, 60535.0, 60536.0, 65535.0, 65536.0, 2.0**24))

NUMBERS = st.one_of(
    INTEGERS,
    st.integers(-3, 9).map(float),
    EDGES,
    st.integers(-200, 200).map(lambda number: number / 8),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
)


def _vertices(number: st.SearchStrategy[float]) -> st.SearchStrategy[list[tuple[float, float]]]:
    return st.lists(st.tuples(number, number), min_size=1, max_size=6)


VERTICES = _vertices(INTEGERS) | _vertices(st.integers(-3, 9).map(float)) | _vertices(NUMBERS)
LENGTHS = st.one_of(
    st.integers(1, 9).map(float),
    st.integers(1, 65536).map(float),
    st.floats(2.0**-10, 2.0**20, width=32),
)


def names() -> st.SearchStrategy[str]:
    """Give names of every kind: empty ones, paths, characters of two halves and lone halves."""
    odd = ("", "cell", "0001-0034-0056", "../a/b", "a.roi", "größe", "\U0001f9eb", "\ud83d", "a\0b")
    return st.sampled_from(odd) | st.text(max_size=6)


def positions() -> st.SearchStrategy[Position]:
    """Give positions in a stack, or in its channels, slices and frames, or none."""
    place = st.none() | st.integers(0, 9) | st.just(2**31 - 2)
    return st.builds(Position, place, place, place) | st.builds(Position, stack=place)


@st.composite
def masks(draw: st.DrawFn) -> Mask:
    """Give small masks with at least one pixel, with empty borders too."""
    height, width = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    bits = draw(st.integers(1, 2 ** (height * width) - 1))
    pixels = [bool(bits >> at & 1) for at in range(height * width)]
    corner = st.integers(-5000, 60000)
    return Mask(np.array(pixels).reshape(height, width), draw(corner), draw(corner))


@st.composite
def _points(draw: st.DrawFn) -> Points:
    vertices = draw(VERTICES)
    counters = draw(st.none() | st.tuples(*[st.integers(0, 255)] * len(vertices)))
    place = st.none() | st.integers(0, 2**24 - 2)
    slices = draw(st.none() | st.tuples(*[place] * len(vertices)))
    return Points(vertices, counters or (), slices or ())


def shapes() -> st.SearchStrategy[Shape]:
    """Give every shape, with whole numbers and with fractions."""
    boxes = (NUMBERS, NUMBERS, LENGTHS, LENGTHS)
    return st.one_of(
        st.builds(Polygon, VERTICES.filter(_is_line)),
        st.builds(Polyline, VERTICES.filter(_is_line)),
        st.builds(Rectangle, *boxes),
        st.builds(Ellipse, *boxes),
        st.builds(Line, st.tuples(NUMBERS, NUMBERS), st.tuples(NUMBERS, NUMBERS)),
        _points(),
        masks(),
    )


def regions() -> st.SearchStrategy[Roi]:
    """Give regions that a `.roi` can hold."""
    return st.builds(Roi, names().filter(_is_whole), shapes(), positions())


def rois(min_size: int = 0) -> st.SearchStrategy[Rois]:
    """Give several regions, of equal names too."""
    return st.lists(regions(), min_size=min_size, max_size=4).map(Rois)


def _is_line(points: list[tuple[float, float]]) -> bool:
    return len(set(points)) > 1


def _is_whole(name: str) -> bool:
    return name.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass") == name
