"""Regions come back from a `.roi` and a `.roi.zip` as they were, or the save says why not."""

from __future__ import annotations

import io
import math
import struct
import zipfile

import numpy as np
import pytest
from attrs import evolve
from bytes_source import joined, source_of
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from roi_regions import masks, regions, rois
from roifile import ROI_OPTIONS, ROI_SUBTYPE, ROI_TYPE, ImagejRoi

from polystore.core.errors import Corrupt, StorageError, UnsupportedPayload
from polystore.core.item import Item, Metadata
from polystore.core.outcome import is_successful
from polystore.core.payload import Payload
from polystore.core.records import Decoded, Limits
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
from polystore.formats.roi import ROI_CODEC
from polystore.formats.roi.archive import member_names
from polystore.formats.roi.mask import Frame, mask_of, path_of

SQUARE = Polygon([(0, 0), (0, 4), (4, 4), (4, 0)])


def encoded(payload: Payload, key: str = "x.roi") -> bytes:
    return joined(ROI_CODEC.encode(Item(key, payload), None).unwrap())


def refused(payload: Payload, key: str = "x.roi") -> StorageError:
    error = ROI_CODEC.encode(Item(key, payload), None).failure()
    assert isinstance(error, UnsupportedPayload)
    assert error.message.endswith(".")
    assert error.advice.endswith(".")
    return error


def decoded(content: bytes) -> Decoded[Rois]:
    return ROI_CODEC.decode(source_of(content), Limits()).unwrap()


def undecoded(content: bytes) -> StorageError:
    return ROI_CODEC.decode(source_of(content), Limits()).failure()


def bits(shape: Shape) -> bytes:
    """Give the numbers of a shape, where -0.0 is another than 0.0."""
    match shape:
        case Mask():
            return shape.pixels.tobytes()
        case Line():
            return struct.pack("4d", *shape.start, *shape.end)
        case Rectangle() | Ellipse():
            return struct.pack("4d", shape.top, shape.left, shape.height, shape.width)
        case _:
            return np.array(shape.points).tobytes()


@given(rois())
@example(Rois(()))
@example(Rois([Roi("", SQUARE), Roi("", SQUARE), Roi("region", SQUARE)]))
@example(Rois([Roi("\U0001f9eb", SQUARE)]))  # roifile counts it as one unit of two
@example(Rois([Roi("\ud83d", SQUARE)]))  # roifile raises UnicodeEncodeError
@example(Rois([Roi("a", Ellipse(0, 0, 1, 65536))]))
@example(Rois([Roi("a", Points([(-5000, 0), (60535, 0)]))]))  # ImageJ would read the second as 0
@example(Rois([Roi("a", Points([(-0.0, 0)]))]))
@example(Rois([Roi("a", Points([(1, 2)] * 70_000, [3] * 70_000))]))
def test_what_goes_in_comes_out(payload: Rois) -> None:
    found = decoded(encoded(payload, "x.roi.zip")).payload
    assert found == payload
    assert [bits(it.shape) for it in found.regions] == [bits(it.shape) for it in payload.regions]


@given(regions())
@example(Roi("a", Rectangle(-5, -5, 5, 5)))  # roifile reads its lower corner as 65536
def test_one_region_comes_out_of_a_roi(region: Roi) -> None:
    content = encoded(Rois([region]), "x.ROI")
    assert decoded(content) == Decoded(Rois([region]))


@given(regions())
def test_roifile_reads_what_is_written(region: Roi) -> None:
    found = ImagejRoi.frombytes(encoded(Rois([evolve(region, name="a")])))
    match region.shape:
        case Polygon(points) | Polyline(points) | Points(points):
            exact = np.array(points, np.float32)[:, ::-1]
            assert np.array_equal(np.asarray(found.coordinates(), np.float32), exact)
        case Mask():
            assert found.composite
        case _:
            assert found.roitype in (ROI_TYPE.RECT, ROI_TYPE.OVAL, ROI_TYPE.LINE)


def test_whole_numbers_are_written_as_such() -> None:
    found = ImagejRoi.frombytes(encoded(Rois([Roi("a", Polygon([(5, 2), (7, 3), (9, 1)]))])))
    assert found.subpixel_coordinates is None
    assert (found.top, found.left, found.bottom, found.right) == (5, 1, 9, 3)
    assert found.name == "a"


@given(masks())
@example(Mask([[1, 0], [0, 1]]))
@example(Mask([[1, 1, 1], [1, 0, 1], [1, 1, 1]]))
def test_outlines_are_their_pixels(mask: Mask) -> None:
    height, width = mask.pixels.shape
    frame = Frame(mask.top, mask.left, mask.top + height, mask.left + width)
    found = mask_of(path_of(mask), frame, Limits()).unwrap()
    assert found.mask == mask
    assert found.is_outline


@given(st.lists(st.tuples(*[st.floats(0, 12, width=32)] * 2), min_size=3, max_size=8))
@example([(0.0, 0.0), (6.0, 6.0), (0.0, 6.0)])  # an edge through the middles of pixels
def test_a_pixel_is_selected_if_its_middle_is_inside(corners: list[tuple[float, float]]) -> None:
    if len({x for x, _ in corners}) < 2 or len({y for _, y in corners}) < 2:
        return
    path = [number for at, (x, y) in enumerate(corners) for number in (min(at, 1), x, y)]
    outcome = mask_of(np.array([*path, 4], np.float32), Frame(0, 0, 12, 12), Limits()).unwrap()
    assert np.array_equal(outcome.mask.pixels, selected(corners))


def selected(corners: list[tuple[float, float]]) -> NDArray[np.bool_]:
    """Ask each pixel whether its middle is left of an odd number of edges."""
    pixels = np.zeros((12, 12), np.bool_)
    edges = list(zip(corners, (*corners[1:], corners[0]), strict=True))
    for row in range(12):
        y = row + 0.5
        for (x1, y1), (x2, y2) in (sorted(edge, key=lambda end: end[1]) for edge in edges):
            if y1 <= y < y2:
                crossing = math.floor(x1 + (y - y1) / (y2 - y1) * (x2 - x1) + 0.5)
                pixels[row, crossing:] ^= True
    return pixels


def test_masks_far_out_come_back_if_they_have_no_border() -> None:
    far = Rois([Roi("a", Mask([[1, 0], [1, 1]], 2**24 - 2, -(2**24)))])
    assert decoded(encoded(far)).payload == far
    refused(Rois([Roi("a", Mask([[1, 0], [1, 1]], 2**24 - 1, 0))]))
    refused(Rois([Roi("a", Mask([[1, 0], [1, 0]], 70_000, 0))]))


def test_metadata_is_named_as_dropped() -> None:
    known = Metadata(axes=("y", "x"), attributes={"well": "A01"})
    content = ROI_CODEC.encode(Item("x.roi", Rois([Roi("a", SQUARE)]), known), None).unwrap()
    assert content.dropped == ("axes", "attributes")


REFUSED_SHAPES = [
    *(Polygon(()), Polyline(()), Points(())),
    *(Rectangle(0, 0, 0, 1), Ellipse(0, 0, 1, -1), Rectangle(0, math.nan, 1, 1)),
    *(Line((0, 0), (0.1, 0)), Line((0, math.inf), (0, 0)), Points([(2**24 + 1, 0)])),
    *(Polygon([(1e300, 0)]), Mask(np.zeros((2, 2), bool)), Mask(np.zeros((0, 2), bool))),
    *(Mask(np.ones(3, bool)), Points([(0, 0)], counters=[256]), Points([(0, 0)], counters=[1, 1])),
    # ImageJ 1.53t hangs on these as soon as they are selected.
    *(Polygon([(2, 1)]), Polygon([(2, 1)] * 3), Polyline([(0.5, 0.5)])),
    *(Points([(0, 0)], slices=[-1]), Points([(0, 0)], slices=[2**24 - 1])),
]


@pytest.mark.parametrize("shape", REFUSED_SHAPES, ids=lambda shape: type(shape).__name__)
def test_shapes_that_a_roi_cannot_hold_are_refused(shape: Shape) -> None:
    assert "'the name'" in refused(Rois([Roi("the name", shape)])).message
    refused(Rois([Roi("a", SQUARE), Roi("b", shape)]), "x.roi.zip")


@pytest.mark.parametrize(
    "position",
    [Position(c=1, stack=1), Position(z=-1), Position(t=2**31 - 1), Position(stack=-1)],
    ids=str,
)
def test_positions_that_a_roi_cannot_hold_are_refused(position: Position) -> None:
    refused(Rois([Roi("a", SQUARE, position)]))


def test_names_that_would_change_are_refused() -> None:
    refused(Rois([Roi("\ud83d\ude00", SQUARE)]))


@pytest.mark.parametrize("payload", [None, 1, "text", np.zeros(3), {"a": 1}, Rois(())])
def test_what_is_not_one_region_is_no_roi(payload: Payload) -> None:
    refused(payload)


def test_two_regions_are_no_roi() -> None:
    assert ".roi.zip" in refused(Rois([Roi("a", SQUARE)] * 2)).advice


@given(st.lists(st.text(max_size=4) | st.sampled_from(("a", "A", "a-1", "", "region", ".."))))
def test_member_names_are_fit_and_never_twice(texts: list[str]) -> None:
    members = list(member_names(texts))
    assert len({member.casefold() for member in members}) == len(texts)
    for member in members:
        assert member.endswith(".roi")
        assert not set(member) & set("/\\\0")


def test_members_have_the_names_of_the_regions() -> None:
    payload = Rois(Roi(name, SQUARE) for name in ("größe", "cell", "cell", "a/b"))
    with zipfile.ZipFile(io.BytesIO(encoded(payload, "x.roi.zip"))) as archive:
        assert archive.namelist() == ["größe.roi", "cell.roi", "cell-1.roi", "a_b.roi"]
        assert archive.testzip() is None


def zipped(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def test_what_else_an_archive_holds_is_named() -> None:
    region = encoded(Rois([Roi("a", SQUARE)]))
    found = decoded(zipped({"a.roi": region, "notes.txt": b"text", "__MACOSX/._a.roi": b"mac"}))
    assert found.payload == Rois([Roi("a", SQUARE)])
    assert found.metadata.attributes == {"other_members": ["notes.txt", "__MACOSX/._a.roi"]}


def test_an_archive_of_something_else_is_corrupt() -> None:
    error = undecoded(zipped({"a.npy": b"\x93NUMPY"}))
    assert isinstance(error, Corrupt)
    assert "'a.npy'" in error.message


def test_regions_without_a_name_have_that_of_their_member() -> None:
    content = ImagejRoi.frompoints(np.array([[1, 2], [3, 4]]), name="").tobytes()
    assert decoded(zipped({"cell 7.roi": content})).payload.regions[0].name == "cell 7"
    assert decoded(content).payload.regions[0].name == ""


def test_errors_name_the_member() -> None:
    error = undecoded(zipped({"good.roi": encoded(Rois([Roi("a", SQUARE)])), "bad.roi": b"Iou"}))
    assert isinstance(error, Corrupt)
    assert "'bad.roi'" in error.message


def drawn(roitype: ROI_TYPE) -> ImagejRoi:
    roi = ImagejRoi.frompoints(np.array([[1, 2], [3, 4], [6, 4]]), name="a")
    roi.roitype = roitype
    return roi


@pytest.mark.parametrize(
    ("roitype", "shape", "unread"),
    [
        (ROI_TYPE.POLYGON, Polygon, None),
        (ROI_TYPE.FREEHAND, Polygon, "freehand"),
        (ROI_TYPE.TRACED, Polygon, "traced"),
        (ROI_TYPE.POLYLINE, Polyline, None),
        (ROI_TYPE.FREELINE, Polyline, "freehand"),
        (ROI_TYPE.ANGLE, Polyline, "angle"),
        (ROI_TYPE.POINT, Points, None),
    ],
)
def test_every_type_is_read(
    roitype: ROI_TYPE, shape: type[Polygon | Polyline | Points], unread: str | None
) -> None:
    found = decoded(drawn(roitype).tobytes())
    assert found.payload.regions[0].shape == shape([(2, 1), (4, 3), (4, 6)])
    assert found.metadata.attributes == ({"unread": {"a": [unread]}} if unread else {})


def test_what_is_not_read_is_named() -> None:
    roi = drawn(ROI_TYPE.POLYGON)
    roi.stroke_color, roi.fill_color, roi.group, roi.props = b"\xff\0\0\1", b"\xff\0\0\1", 3, "a: 1"
    roi.stroke_width = 2
    unread = ["stroke width", "stroke color", "fill color", "group", "properties"]
    assert decoded(roi.tobytes()).metadata.attributes == {"unread": {"a": unread}}


def test_what_none_of_our_shapes_is_is_said() -> None:
    text, image, smooth = (drawn(ROI_TYPE.POLYGON) for _ in range(3))
    text.roitype, text.subtype = ROI_TYPE.RECT, ROI_SUBTYPE.TEXT
    image.roitype, image.subtype, image.image_data = ROI_TYPE.RECT, ROI_SUBTYPE.IMAGE, b"TIFF"
    smooth.options |= ROI_OPTIONS.SPLINE_FIT
    rounded = ImagejRoi(roitype=ROI_TYPE.RECT, right=9, bottom=9, rounded_rect_arc_size=3)
    curved = ImagejRoi(roitype=ROI_TYPE.RECT, shape_roi_size=5)
    curved.multi_coordinates = np.array([2, 0, 0, 1, 1], np.float32)
    opened = ImagejRoi(roitype=ROI_TYPE.RECT, shape_roi_size=6)
    opened.multi_coordinates = np.array([0, 0, 0, 1, 5, 5], np.float32)
    for roi in (text, image, smooth, rounded, curved, opened):
        error = undecoded(roi.tobytes())
        assert isinstance(error, UnsupportedPayload)
        assert is_successful(ROI_CODEC.encode(Item("x.roi.zip", Rois(())), None))
