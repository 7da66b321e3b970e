"""The bytes of a `.roi` as a region, through roifile: what ImageJ shows, or why it is none of ours.

roifile trusts what the header says of lengths and places, and logs what it cannot read; so all that
is checked before it is asked. Where it sees other numbers than ImageJ does, ImageJ is right.
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING

from attrs import frozen

from polystore.core.errors import StorageError
from polystore.core.outcome import Failure, Outcome, Success, is_successful
from polystore.core.rois import (
    Ellipse,
    Line,
    Points,
    Polygon,
    Polyline,
    Position,
    Rectangle,
    Roi,
    Shape,
    Vertices,
)
from polystore.formats.refusals import damaged, over_limit
from polystore.formats.roi.mask import Frame, mask_of
from polystore.formats.roi.refusals import cannot_say
from polystore.formats.roi.write import INTEGERS

if TYPE_CHECKING:
    from roifile import ImagejRoi

    from polystore.core.records import Limits

__all__ = ["COPIES", "SIGNATURE", "Found", "region_of"]

SIGNATURE = b"Iout"

COPIES = 5
"""How often the bytes given to `region_of` are in memory at most: its path is there twice, too."""

_HEADER, _HEADER2 = 64, 64
"""Bytes of the first and the second header."""

_RECT, _OVAL, _LINE, _POINT = 1, 2, 3, 10
_CLOSED = {0: "", 7: "freehand", 8: "traced"}
_OPEN = {4: "freehand", 5: "", 9: "angle"}
_TEXT, _ARROW, _ELLIPSE, _IMAGE, _ROTATED = 1, 2, 3, 4, 5
_SPLINE, _SUBPIXEL = 1, 128

_BYTES_PER_POINT = 112
"""What a tuple of two floats takes in a tuple."""


@frozen
class Found:
    """A region that was read, what of it our values do not hold, and what of the limits it took."""

    region: Roi
    unread: tuple[str, ...]
    nbytes: int


@frozen
class _Header:
    """What the first header says, as ImageJ sees it, and where the second one begins (or 0)."""

    version: int
    kind: int
    frame: Frame
    count: int
    path: int
    subtype: int
    options: int
    arc: int
    position: int
    second: int


def region_of(content: bytes, unnamed: str, limits: Limits) -> Outcome[Found]:
    """Give the region in the bytes of a `.roi`; `unnamed` is its name if it has none of its own.

    `Corrupt` for what is no region, or not whole; `UnsupportedPayload` for what ImageJ can draw and
    no shape of ours is; `TooLarge` beyond the limits.
    """
    if len(content) < _HEADER or not content.startswith(SIGNATURE):
        return Failure(_damaged("it does not begin with its header"))
    header = _header(content)
    problem = _refusal(header) or _damage(header, content)
    if problem is not None:
        return Failure(problem)
    too_large = over_limit(header.count * _BYTES_PER_POINT, limits)
    if too_large is not None:
        return Failure(too_large)
    named = _name(content, header, unnamed)
    if not is_successful(named):
        return Failure(named.failure())
    name, bare = named.unwrap()
    from roifile import ImagejRoi

    roi = ImagejRoi.frombytes(bare)
    unread = _unread(roi, header, content)
    if roi.multi_coordinates is not None:
        return mask_of(roi.multi_coordinates, header.frame, limits).map(
            lambda found: Found(
                Roi(name, found.mask, _position(roi)),
                unread if found.is_outline else ("outline", *unread),
                found.cost,
            )
        )
    return _shape(roi, header).map(
        lambda shape: Found(
            Roi(name, shape, _position(roi)), unread, header.count * _BYTES_PER_POINT
        )
    )


def _damaged(reason: str) -> StorageError:
    return damaged("ImageJ region", reason)


def _header(content: bytes) -> _Header:
    version, kind, top, left, bottom, right, count = struct.unpack_from(">hBx4hH", content, 4)
    path, subtype, options, arc, position, second = struct.unpack_from(">i8xhh2xhii", content, 36)
    frame = Frame(*(end if end in INTEGERS else end + 2**16 for end in (top, left, bottom, right)))
    if kind in (_RECT, _OVAL, _LINE):
        count = 0
    elif count == 0:
        (count,) = struct.unpack_from(">i", content, 18)
    options = options if version >= 222 else options & ~_SUBPIXEL
    return _Header(version, kind, frame, count, path, subtype, options, arc, position, second)


def _refusal(header: _Header) -> StorageError | None:
    """Say what ImageJ can draw and no shape of ours is."""
    if header.subtype == _TEXT and header.version >= 218:
        return cannot_say("a text")
    if header.subtype == _IMAGE and header.version >= 221:
        return cannot_say("an image")
    if header.kind == _RECT and header.arc > 0 and header.path <= 0:
        return cannot_say("a rectangle with round corners")
    if header.options & _SPLINE and header.kind in (*_CLOSED, *_OPEN) and header.version >= 218:
        return cannot_say("a smooth curve through its points (a spline fit)")
    return None


def _damage(header: _Header, content: bytes) -> StorageError | None:
    """Say what roifile would stumble over."""
    if header.kind not in (_RECT, _OVAL, _LINE, _POINT, *_CLOSED, *_OPEN):
        return _damaged(f"it claims to be of type {header.kind}, which there is not")
    if header.path > 0 and header.kind != _RECT:
        return _damaged("it claims to be a composite and something else")
    each = 0 if header.kind in (_RECT, _OVAL, _LINE) else 12 if header.options & _SUBPIXEL else 4
    if each and header.count <= 0:
        return _damaged("it has no points")
    ends = (
        _HEADER + max(header.path, 0) * 4 + header.count * each,
        header.second + _HEADER2 if header.second else 0,
    )
    if max(ends) > len(content) or header.second < 0:
        return _damaged("it ends before what its header claims")
    return None


def _name(content: bytes, header: _Header, unnamed: str) -> Outcome[tuple[str, bytes]]:
    """Give the name, and the bytes without it, for roifile cannot read halves of characters.

    Without the properties too, which are not kept; both have their place and length in the second
    header.
    """
    bare = bytearray(content)
    if header.subtype not in (_ARROW, _ELLIPSE, _ROTATED):
        struct.pack_into(">h", bare, 48, 0)  # an unknown one would change roifile's own table
    name = unnamed
    if header.second == 0:
        return Success((name, bytes(bare)))
    for field in (header.second + 16, header.second + 40):
        start, length = struct.unpack_from(">ii", content, field)
        if start > 0 and length >= 0:
            if start + 2 * length > len(content):
                return Failure(_damaged("it ends in the middle of its name or its properties"))
            if field == header.second + 16:
                name = content[start : start + 2 * length].decode("utf-16-be", "surrogatepass")
        struct.pack_into(">ii", bare, field, 0, 0)
    (counters,) = struct.unpack_from(">i", content, header.second + 48)
    if header.kind != _POINT or counters <= 0:
        struct.pack_into(">i", bare, header.second + 48, 0)
    elif counters + 4 * header.count > len(content):
        return Failure(_damaged("it ends before the counters of its points"))
    return Success((name, bytes(bare)))


def _position(roi: ImagejRoi) -> Position:
    c, z, t = (_from_0(place) for place in (roi.c_position, roi.z_position, roi.t_position))
    if (c, z, t) != (None, None, None):
        return Position(c, z, t)
    return Position(stack=_from_0(roi.position))


def _from_0(place: int) -> int | None:
    return place - 1 if place > 0 else None


def _shape(roi: ImagejRoi, header: _Header) -> Outcome[Shape]:
    if header.kind in (_RECT, _OVAL):
        return _box(roi, header)
    if header.kind == _LINE:
        ends = (roi.y1, roi.x1, roi.y2, roi.x2)
        if not all(map(math.isfinite, ends)):
            return Failure(_damaged("one of its numbers is none"))
        return Success(Line(ends[:2], ends[2:]))
    found = _points(roi)
    if not is_successful(found):
        return Failure(found.failure())
    points = found.unwrap()
    if header.kind == _POINT:
        return Success(_counted(points, roi))
    return Success(Polygon(points) if header.kind in _CLOSED else Polyline(points))


def _box(roi: ImagejRoi, header: _Header) -> Outcome[Shape]:
    frame = header.frame
    box: tuple[float, float, float, float] = (
        frame.top,
        frame.left,
        frame.bottom - frame.top,
        frame.right - frame.left,
    )
    if roi.subpixelrect:
        box = (roi.yd, roi.xd, roi.heightd, roi.widthd)
    if not all(map(math.isfinite, box)) or min(box[2:]) <= 0:
        return Failure(_damaged(f"it claims to be {box[2]} high and {box[3]} wide"))
    return Success(Rectangle(*box) if header.kind == _RECT else Ellipse(*box))


def _points(roi: ImagejRoi) -> Outcome[Vertices]:
    import numpy as np

    exact = roi.subpixel_coordinates
    if exact is None and roi.integer_coordinates is not None:
        corner = np.array((roi.left, roi.top))
        return Success(_pairs((roi.integer_coordinates + corner).tolist()))
    if exact is None or not np.isfinite(exact).all():
        return Failure(_damaged("one of its numbers is none"))
    return Success(_pairs(exact.tolist()))


def _pairs(points: list[list[float]]) -> Vertices:
    return tuple((y, x) for x, y in points)


def _counted(points: Vertices, roi: ImagejRoi) -> Points:
    if roi.counters is None or roi.counter_positions is None:
        return Points(points)
    slices = map(_from_0, roi.counter_positions.tolist())
    return Points(points, roi.counters.tolist(), tuple(slices))


def _unread(roi: ImagejRoi, header: _Header, content: bytes) -> tuple[str, ...]:
    """Name what ImageJ keeps of the region and our values do not."""
    plain = bytes(4)
    props = header.second and struct.unpack_from(">i", content, header.second + 44)[0]
    widths = roi.float_stroke_width > 0 or (roi.stroke_width > 0 and header.kind != _POINT)
    found = {
        _CLOSED.get(header.kind, ""): header.kind in _CLOSED and header.subtype == 0,
        _OPEN.get(header.kind, ""): header.kind in _OPEN,
        "arrow": header.kind == _LINE and header.subtype == _ARROW,
        "rotated ellipse": header.kind in _CLOSED and header.subtype == _ELLIPSE,
        "rotated rectangle": header.kind in _CLOSED and header.subtype == _ROTATED,
        "stroke width": widths,
        "stroke color": roi.stroke_color != plain,
        "fill color": roi.fill_color != plain,
        "group": roi.group > 0,
        "properties": bool(props),
    }
    return tuple(what for what, is_there in found.items() if what and is_there)
