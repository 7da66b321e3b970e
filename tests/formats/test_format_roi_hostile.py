"""Whatever bytes the decoder of regions gets, it gives an outcome, soon and in little memory."""

from __future__ import annotations

import io
import random
import struct
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest
from attrs import evolve
from bytes_source import joined, source_of
from hypothesis import given
from hypothesis import strategies as st
from roi_regions import regions
from roifile import ROI_TYPE, ImagejRoi

from polystore.core.errors import Corrupt, StorageError, TooLarge, UnsupportedPayload
from polystore.core.item import Item
from polystore.core.outcome import is_successful
from polystore.core.records import Limits, Readable
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
)
from polystore.formats.roi import ROI_CODEC

KINDS = (Corrupt, TooLarge, UnsupportedPayload)
SMALL = Limits(2**22)

REGIONS = [
    Roi("cell", Polygon([(0, 0), (0, 4), (3, 4)]), Position(1, 2, 3)),
    Roi("path", Polyline([(0.5, 0), (0, 4), (3, -4)])),
    Roi("box", Rectangle(0.5, 0.25, 3, 4.5), Position(stack=3)),
    Roi("egg", Ellipse(1, 2, 3, 4)),
    Roi("line", Line((0, 0), (1, 2.5))),
    Roi("dots", Points([(0, 0), (4, 5)], [1, 2], [None, 7])),
    Roi("blob", Mask(np.random.default_rng(3).random((5, 6)) < 0.5, 4, 3)),
]


def encoded(payload: Rois, key: str = "x.roi.zip") -> bytes:
    return joined(ROI_CODEC.encode(Item(key, payload), None).unwrap())


def stored(*members: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return file.getvalue()


SINGLES = [encoded(Rois([region]), "x.roi") for region in REGIONS]
FILES = [
    *SINGLES,
    encoded(Rois(REGIONS)),
    stored(*((f"{at}.roi", content) for at, content in enumerate(SINGLES))),
]


def refusal(content: bytes, limits: Limits = SMALL) -> StorageError:
    error = ROI_CODEC.decode(source_of(content), limits).failure()
    assert isinstance(error, KINDS)
    assert error.message.endswith(".")
    return error


@pytest.mark.parametrize("seed", range(4))
def test_flips_and_cuts_give_an_outcome(
    seed: int, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    chance = random.Random(seed)  # noqa: S311 - the same damage in each run
    for _ in range(1500):
        content = bytearray(chance.choice(FILES))
        for _ in range(chance.choice((1, 1, 2, 8))):
            at = chance.randrange(min(len(content), chance.choice((70, 10**6))))
            content[at] = chance.choice((0, 1, 127, 128, 255, content[at] ^ 1 << at % 8))
        if chance.random() < 0.2:
            del content[chance.randrange(len(content)) :]
        outcome = ROI_CODEC.decode(source_of(bytes(content)), SMALL)
        assert is_successful(outcome) or isinstance(outcome.failure(), KINDS)
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("content", SINGLES, ids=[region.name for region in REGIONS])
def test_no_part_of_a_region_is_a_region(content: bytes) -> None:
    for end in range(len(content)):
        assert isinstance(refusal(content[:end]), Corrupt)


@given(st.binary(max_size=200))
def test_any_bytes_after_the_signature_give_an_outcome(content: bytes) -> None:
    for head in (b"", b"Iout", b"PK\3\4"):
        outcome = ROI_CODEC.decode(source_of(head + content), SMALL)
        assert is_successful(outcome) or isinstance(outcome.failure(), KINDS)


@given(regions())
def test_what_roifile_writes_again_is_the_same(region: Roi) -> None:
    named = evolve(region, name="a")
    again = ImagejRoi.frombytes(encoded(Rois([named]), "x.roi")).tobytes()
    assert ROI_CODEC.decode(source_of(again), Limits()).unwrap().payload == Rois([named])


def composite(*path: float) -> bytes:
    roi = ImagejRoi(roitype=ROI_TYPE.RECT, shape_roi_size=len(path))
    roi.multi_coordinates = np.array(path, np.float32)
    return roi.tobytes()


def test_a_small_file_of_a_huge_mask_is_too_large() -> None:
    huge = composite(0, 0, 0, 1, 2**24, 0, 1, 2**24, 2**24, 1, 0, 2**24, 4)
    assert isinstance(refusal(huge, Limits()), TooLarge)
    tracemalloc.start()
    assert isinstance(refusal(huge), TooLarge)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_points_take_more_memory_than_bytes() -> None:
    points = encoded(Rois([Roi("a", Points([(1, 2)] * 60_000))]), "x.roi")
    assert len(points) < SMALL.max_bytes
    assert isinstance(refusal(points), TooLarge)


def test_masks_of_an_archive_are_counted_together() -> None:
    mask = composite(0, 0, 0, 1, 1000, 0, 1, 1000, 1000, 1, 0, 1000, 4)
    assert is_successful(ROI_CODEC.decode(source_of(mask), SMALL))
    assert isinstance(refusal(stored(*((f"{at}.roi", mask) for at in range(9)))), TooLarge)


def test_so_many_edges_that_it_takes_long_are_too_large() -> None:
    zigzag = [number for at in range(400) for number in (1, at % 2, 4000 * (at % 2))]
    assert isinstance(refusal(composite(0, 0, 0, 1, 900, 4000, *zigzag, 4)), TooLarge)


def test_a_few_corners_claim_no_huge_mask() -> None:
    corners = (0, 0, 0, 1, 60_000, 0, 1, 60_000, 60_000, 1, 0, 60_000, 4)
    assert isinstance(refusal(composite(*corners), Limits()), TooLarge)


@pytest.mark.parametrize(
    "path",
    [
        *((5, 0, 0), (0.5, 0, 0), (0, 0), (4,), (1, 0, 0, 4), (0, 0, 0, 4), (1,)),
        *((0, 0, 0, 1, np.nan, 0, 1, 5, 5, 4), (0, 0, 0, 1, np.inf, 0, 1, 5, 5, 4), (np.nan,)),
        (0, 0, 0, 1, 5, 0, 4),
    ],
    ids=str,
)
def test_paths_that_are_none_are_corrupt(path: tuple[float, ...]) -> None:
    assert isinstance(refusal(composite(*path)), Corrupt)


def claiming(content: bytes, at: int, form: str, number: int) -> bytes:
    claimed = bytearray(content)
    struct.pack_into(form, claimed, at, number)
    return bytes(claimed)


def test_claims_that_the_bytes_cannot_hold_are_corrupt() -> None:
    polygon, blob, dots = SINGLES[0], SINGLES[6], SINGLES[5]
    (second,) = struct.unpack_from(">i", polygon, 60)
    (dots_second,) = struct.unpack_from(">i", dots, 60)
    for content in (
        claiming(polygon, 16, ">H", 65535),
        claiming(claiming(polygon, 16, ">H", 0), 18, ">i", 2**31 - 1),
        claiming(claiming(polygon, 16, ">H", 0), 18, ">i", -1),
        claiming(blob, 36, ">i", 2**31 - 1),
        claiming(polygon, 36, ">i", 4),
        claiming(polygon, 60, ">i", -5),
        claiming(polygon, 60, ">i", 2**31 - 1),
        claiming(polygon, second + 16, ">i", 2**31 - 1),
        claiming(polygon, second + 20, ">i", 2**31 - 1),
        claiming(dots, dots_second + 48, ">i", len(dots)),
    ):
        assert isinstance(refusal(content), Corrupt)


def test_unknown_types_leave_roifiles_tables_as_they_are() -> None:
    for content in (claiming(SINGLES[0], 6, ">B", 77), claiming(SINGLES[0], 48, ">h", 77)):
        ROI_CODEC.decode(source_of(content), SMALL)
    assert ROI_TYPE.UNKNOWN.value == -1
    assert type(ImagejRoi().subtype)(-1).value == -1


def test_a_zip_bomb_is_too_large() -> None:
    bomb = stored(("a.roi", bytes(2**23)), method=zipfile.ZIP_DEFLATED)
    assert len(bomb) < 2**14
    assert isinstance(refusal(bomb), TooLarge)


@pytest.mark.parametrize("packed", ["single", "stored", "deflated"])
def test_bytes_after_a_region_take_no_more_than_the_limit(packed: str) -> None:
    """What follows a region is passed over, and takes memory all the same."""
    padded = SINGLES[0] + bytes(2**21)
    method = zipfile.ZIP_DEFLATED if packed == "deflated" else zipfile.ZIP_STORED
    content = padded if packed == "single" else stored(("a.roi", padded), method=method)
    source = source_of(content)
    assert is_successful(ROI_CODEC.decode(source, Limits(8 * len(padded))))
    for most in (len(padded), 2 * len(padded), 3 * len(padded), 4 * len(padded)):
        tracemalloc.start()
        ROI_CODEC.decode(source, Limits(most))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < most + 2**20


def test_a_bomb_that_lies_about_its_size_is_corrupt() -> None:
    bomb = bytearray(stored(("a.roi", bytes(2**23)), method=zipfile.ZIP_DEFLATED))
    at = bomb.find(b"PK\1\2")
    struct.pack_into("<I", bomb, at + 24, 100)
    struct.pack_into("<I", bomb, at + 16, zlib.crc32(bytes(100)))
    tracemalloc.start()
    assert isinstance(refusal(bytes(bomb)), Corrupt)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_members_that_overlap_are_corrupt() -> None:
    archive = bytearray(stored(("a.roi", SINGLES[0]), ("b.roi", SINGLES[0])))
    second = archive.rfind(b"PK\1\2")
    struct.pack_into("<I", archive, second + 42, 0)  # both begin where the first does
    assert "overlaps" in refusal(bytes(archive)).message


def test_a_directory_of_more_members_than_memory_is_too_large() -> None:
    archive = stored(*((f"{at}.roi", b"") for at in range(5000)))
    assert isinstance(refusal(archive), TooLarge)
    assert isinstance(refusal(archive, Limits()), Corrupt)  # the members hold nothing


def test_encrypted_members_and_unknown_methods_are_said() -> None:
    archive = stored(("a.roi", SINGLES[0]))
    at = archive.find(b"PK\1\2")
    assert "encrypted" in refusal(claiming(archive, at + 8, "<H", 1)).message
    assert "compressed" in refusal(claiming(archive, at + 10, "<H", 12)).message


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", b"some text", bytes(100), b"Iou"])
def test_other_content_is_said(content: bytes) -> None:
    assert "This is no ImageJ region: it is" in refusal(content).message


def test_errors_of_the_store_pass() -> None:
    def read_into(offset: int, buffer: memoryview, /) -> int:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        ROI_CODEC.decode(Readable(100, read_into, lambda: None), Limits())
