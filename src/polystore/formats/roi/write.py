"""A region as the bytes of a `.roi`, through roifile: exactly, or not at all."""

from __future__ import annotations

import math
import struct
from array import array
from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, assert_never, get_args

from polystore.core.outcome import Failure, Outcome, Success
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
    Shape,
)
from polystore.formats.refusals import cannot_hold
from polystore.formats.roi.mask import EXACT, path_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from roifile import ImagejRoi

__all__ = ["INTEGERS", "region_bytes"]

INTEGERS = range(-5000, 60536)
"""Pixels. What ImageJ takes 16 bits for: below -5000 it sees an unsigned number."""

_VERSION = 228
"""Of the layout: that of ImageJ 1.52i to 1.53."""

_COUNT_MAX = 2**31 - 1
_SLICE_MAX = 2**24 - 2
_COUNTERS = range(256)

_ROUND = "Round the numbers first, as in float(numpy.float32(number))."


def region_bytes(region: Roi) -> Outcome[bytes]:
    """Give the content of a `.roi`, or `UnsupportedPayload` for what it cannot say exactly.

    >>> region_bytes(Roi("cell", Line((0, 0), (1, 1)))).map(lambda content: content[:4])
    <Success: b'Iout'>
    >>> print(region_bytes(Roi("cell", Line((0, 0), (0.1, 1)))).failure().message)
    An ImageJ region cannot hold the number 0.1 in 'cell': it has 32 bits for each.
    """
    mistake = _mistake(region)
    if mistake is not None:
        advice = "Make it of a name, one of the shapes, and a Position: Roi('cell', Polygon(...))."
        return Failure(cannot_hold("An ImageJ region", mistake, advice))
    problem = (
        _name_problem(region.name)
        or _position_problem(region.position)
        or _shape_problem(region.shape)
    )
    if problem is not None:
        what, why, advice = problem
        return Failure(
            cannot_hold("An ImageJ region", f"{what} in {region.name[:80]!r}: {why}", advice)
        )
    return Success(_named(_drawn(region), region.name))


def _mistake(region: object) -> str | None:
    """Say what of a region is none of the types that it should be of."""
    if not isinstance(region, Roi):
        return f"a {type(region).__name__}, which is no Roi"
    parts: tuple[tuple[object, tuple[type, ...]], ...] = (
        (region.name, (str,)),
        (region.shape, get_args(Shape)),
        (region.position, (Position,)),
    )
    wrong = next((part for part, kinds in parts if not isinstance(part, kinds)), None)
    return None if wrong is None else f"a {type(wrong).__name__} in a Roi"


def _name_problem(name: str) -> tuple[str, str, str] | None:
    if name.encode("utf-16-be", "surrogatepass").decode("utf-16-be", "surrogatepass") == name:
        return None
    return "the name", "two of its halves of characters would become one", "Name it otherwise."


def _position_problem(position: Position) -> tuple[str, str, str] | None:
    places = (position.c, position.z, position.t)
    given = [place for place in (*places, position.stack) if place is not None]
    if any(not 0 <= place < _COUNT_MAX for place in given):
        return "this position", "it counts from 0, with 31 bits", "Count from 0."
    if position.stack is not None and any(place is not None for place in places):
        why = "it keeps c, z and t, or the image of the stack, not both"
        return "this position", why, "Leave out one or the other."
    return None


def _shape_problem(shape: Shape) -> tuple[str, str, str] | None:
    if isinstance(shape, Mask):
        return _mask_problem(shape)
    numbers = _numbers(shape)
    if array("f", numbers).tolist() != numbers or not all(map(math.isfinite, numbers)):
        number = next(it for it in numbers if not _is_exact(it))
        finite = math.isfinite(number)
        why = "it has 32 bits for each" if finite else "it has finite ones only"
        return f"the number {number}", why, _ROUND if finite else "Leave such points out."
    match shape:
        case Rectangle() | Ellipse():
            if min(shape.height, shape.width) <= 0:
                return "an empty shape", "it selects nothing", "Leave the region out."
        case Polygon() | Polyline() | Points():
            if not 0 < len(shape.points) <= _COUNT_MAX // 16:
                return "a shape of so many points", f"it has {len(shape.points)}", "Leave it out."
            if isinstance(shape, Points):
                return _count_problem(shape)
            if shape.points.count(shape.points[0]) == len(shape.points):
                return "a line in one place", "ImageJ would hang on it", "Save it as Points."
        case Line():
            pass
    return None


def _count_problem(shape: Points) -> tuple[str, str, str] | None:
    for each in (shape.counters, shape.slices):
        if each and len(each) != len(shape.points):
            return "counters or slices", "not each point has one", "Give one for each point."
    if any(counter not in _COUNTERS for counter in shape.counters):
        return "this counter", "it counts from 0 to 255", "Count with fewer kinds."
    if any(place is not None and not 0 <= place <= _SLICE_MAX for place in shape.slices):
        return "this slice", "it counts from 0, with 24 bits", "Count from 0."
    return None


def _mask_problem(mask: Mask) -> tuple[str, str, str] | None:
    pixels = mask.pixels
    if pixels.ndim != 2 or not pixels.any():
        return "an empty mask", "no pixel is selected", "Leave the region out."
    ends = (mask.top, mask.left, mask.top + pixels.shape[0], mask.left + pixels.shape[1])
    if any(abs(end) > EXACT for end in ends):
        return "a mask out there", "it counts pixels to 2**24", "Crop it, or save it as .npy."
    if not _is_framed(mask) and not _is_tight(mask):
        why = "beyond 60535 pixels it keeps no empty border"
        return "this mask", why, "Crop it to the pixels that are selected."
    return None


def _is_framed(mask: Mask) -> bool:
    """Whether the header can say where the mask begins and ends."""
    height, width = mask.pixels.shape
    ends = (mask.top, mask.left, mask.top + height, mask.left + width)
    return all(end in INTEGERS for end in ends)


def _is_tight(mask: Mask) -> bool:
    """Whether there are selected pixels in the first and the last row and column."""
    pixels = mask.pixels
    return all(edge.any() for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]))


def _numbers(shape: Polygon | Polyline | Rectangle | Ellipse | Line | Points) -> list[float]:
    match shape:
        case Rectangle() | Ellipse():
            return [shape.top, shape.left, shape.height, shape.width]
        case Line():
            return [*shape.start, *shape.end]
        case Polygon() | Polyline() | Points():
            return list(chain.from_iterable(shape.points))
        case _:
            assert_never(shape)


def _is_exact(number: float) -> bool:
    return math.isfinite(number) and array("f", [number])[0] == number


def _is_integer(number: float) -> bool:
    return number.is_integer() and (number != 0 or math.copysign(1, number) > 0)


def _drawn(region: Roi) -> ImagejRoi:
    """Give the region as roifile has it, without its name."""
    import numpy as np
    from roifile import ROI_TYPE, ImagejRoi

    position, shape = region.position, region.shape
    roi = ImagejRoi(
        version=_VERSION,
        position=_counted(position.stack),
        c_position=_counted(position.c),
        z_position=_counted(position.z),
        t_position=_counted(position.t),
    )
    match shape:
        case Rectangle():
            roi.roitype = ROI_TYPE.RECT
            _draw_box(roi, shape)
        case Ellipse():
            roi.roitype = ROI_TYPE.OVAL
            _draw_box(roi, shape)
        case Line():
            roi.roitype = ROI_TYPE.LINE
            (roi.y1, roi.x1), (roi.y2, roi.x2) = shape.start, shape.end
            _set_bounds(roi, np.array((shape.start, shape.end)))
        case Mask():
            roi.roitype = ROI_TYPE.RECT
            _draw_mask(roi, shape)
        case Polygon():
            roi.roitype = ROI_TYPE.POLYGON
            _draw_vertices(roi, shape.points)
        case Polyline():
            roi.roitype = ROI_TYPE.POLYLINE
            _draw_vertices(roi, shape.points)
        case Points():
            roi.roitype = ROI_TYPE.POINT
            _draw_vertices(roi, shape.points)
            _draw_counters(roi, shape)
        case _:
            assert_never(shape)
    return roi


def _counted(place: int | None) -> int:
    return 0 if place is None else place + 1


def _draw_box(roi: ImagejRoi, shape: Rectangle | Ellipse) -> None:
    import numpy as np
    from roifile import ROI_OPTIONS

    corner = (shape.top, shape.left)
    corners = (corner, (shape.top + shape.height, shape.left + shape.width))
    _set_bounds(roi, np.array(corners))
    exact = ((roi.top, roi.left), (roi.bottom, roi.right)) == corners
    if not exact or not all(map(_is_integer, _numbers(shape))):
        roi.options |= ROI_OPTIONS.SUB_PIXEL_RESOLUTION
        roi.yd, roi.xd, roi.heightd, roi.widthd = _numbers(shape)


def _set_bounds(roi: ImagejRoi, points: NDArray[np.float64]) -> None:
    """Set the corners of the header to whole pixels around, as far as it can say them."""
    import numpy as np

    low, high = INTEGERS[0], INTEGERS[-1]
    first, last = np.floor(points.min(axis=0)), np.ceil(points.max(axis=0))
    roi.top, roi.left = map(int, first.clip(low, high))
    roi.bottom, roi.right = map(int, last.clip(low, high))


def _draw_mask(roi: ImagejRoi, mask: Mask) -> None:
    roi.multi_coordinates = path_of(mask)
    roi.shape_roi_size = len(roi.multi_coordinates)
    if _is_framed(mask):
        height, width = mask.pixels.shape
        roi.top, roi.left = mask.top, mask.left
        roi.bottom, roi.right = mask.top + height, mask.left + width


def _draw_vertices(roi: ImagejRoi, points: Sequence[tuple[float, float]]) -> None:
    import numpy as np
    from roifile import ROI_OPTIONS

    given = np.array(points)
    _set_bounds(roi, given)
    roi.n_coordinates = len(points)
    exact = given[:, ::-1]
    corner = np.array((roi.left, roi.top))
    # ImageJ takes a distance from the corner that is less than 0, or beyond its 16 bits, for 0.
    roi.integer_coordinates = np.clip(np.floor(exact) - corner, 0, INTEGERS[-1]).astype(np.int32)
    back = roi.integer_coordinates + corner
    if not np.array_equal(back, exact) or np.signbit(exact[exact == 0]).any():
        roi.options |= ROI_OPTIONS.SUB_PIXEL_RESOLUTION
        roi.subpixel_coordinates = exact.astype(np.float32)


def _draw_counters(roi: ImagejRoi, shape: Points) -> None:
    import numpy as np

    if shape.counters or shape.slices:
        count = len(shape.points)
        slices = [_counted(place) for place in shape.slices or [None] * count]
        roi.counters = np.array(shape.counters or [0] * count, np.uint8)
        roi.counter_positions = np.array(slices, np.uint32)
    # As ImageJ's own points: not so small that they are hard to see.
    roi.stroke_width = 3


def _named(roi: ImagejRoi, name: str) -> bytes:
    """Give the bytes of the region, with its name behind them.

    roifile counts the characters of a name and not its 16-bit units, and cannot write halves of
    characters. A place for a name that has no length says that the name is empty; ImageJ takes the
    name of the file for a region that has no place for one.
    """
    content = bytearray(roi.tobytes())
    encoded = name.encode("utf-16-be", "surrogatepass")
    (header2,) = struct.unpack_from(">i", content, 60)
    struct.pack_into(">ii", content, header2 + 16, len(content), len(encoded) // 2)
    return bytes(content + encoded)
