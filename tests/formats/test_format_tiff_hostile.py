"""TIFFs that lie: none raises, hangs, prints, or takes memory, and each is told what is wrong."""

from __future__ import annotations

import io
import random
import struct
import tracemalloc
import zlib
from collections.abc import Callable, Generator
from contextlib import contextmanager

import imagecodecs
import numpy as np
import pytest
import tifffile
from bytes_source import source_of
from test_format_tiff import GRAY, READABLE, STACK, imwrite

from polystore.core.errors import Corrupt, TooLarge
from polystore.core.outcome import fold, is_successful
from polystore.core.records import Limits, Readable
from polystore.formats.quiet import quiet
from polystore.formats.tiff import TIFF_CODEC

GENEROUS = Limits()
TIGHT = Limits(2**20)

Tag = tuple[int, int, int, int]
"""Code, type (3: 16 bits, 4: 32 bits), count, and value or offset."""

DIRECTORY = 2 + 9 * 12 + 4
"""Bytes of a directory of the nine tags of `page`."""


def page(width: int, length: int, compression: int = 1, count: int = 100) -> list[Tag]:
    """Give the tags of a gray page of one strip, which lies at byte 512."""
    return [
        *((256, 4, 1, width), (257, 4, 1, length), (258, 3, 1, 8), (259, 3, 1, compression)),
        *((262, 3, 1, 1), (273, 4, 1, 512), (277, 3, 1, 1), (278, 4, 1, length)),
        (279, 4, 1, count),
    ]


def directory(tags: list[Tag], following: int = 0) -> bytes:
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return struct.pack("<H", len(tags)) + entries + struct.pack("<I", following)


def tiff(*directories: bytes, strip: bytes = b"", size: int = 1024) -> bytes:
    content = b"II*\0" + struct.pack("<I", 8) + b"".join(directories)
    return (content.ljust(512, b"\0") + strip).ljust(size, b"\0")


def patched(content: bytes, code: int, value: int) -> bytes:
    """Give a little-endian TIFF with another value of one tag of its first page."""
    assert content.startswith(b"II*")
    changed = bytearray(content)
    (at,) = struct.unpack_from("<I", changed, 4)
    (count,) = struct.unpack_from("<H", changed, at)
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        if struct.unpack_from("<H", changed, entry) == (code,):
            struct.pack_into("<I", changed, entry + 8, value)
    return bytes(changed)


def without_strip(content: bytes, code: int, index: int) -> bytes:
    """Give a little-endian TIFF in whose table of strips one entry of 32 bits is 0."""
    changed = bytearray(content)
    (at,) = struct.unpack_from("<I", changed, 4)
    (count,) = struct.unpack_from("<H", changed, at)
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        found, kind, length, table = struct.unpack_from("<HHII", changed, entry)
        if found == code:
            assert (kind, length > index) == (4, True)
            struct.pack_into("<I", changed, table + 4 * index, 0)
    return bytes(changed)


def described(text: str) -> bytes:
    return imwrite(STACK, metadata=None, photometric="minisblack", description=text)


def ome(pixels: str, inside: str = "<TiffData/>", after: str = "") -> bytes:
    image = f"<Image><Pixels {pixels}>{inside}</Pixels></Image>"
    return described(f'<?xml version="1.0"?><OME>{image}{after}</OME>')


SIZES = 'DimensionOrder="XYZCT" SizeX="19" SizeY="17" SizeZ="5" SizeC="1" SizeT="1"'

LAUGHS = '<!ENTITY l0 "ha">' + "".join(
    f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 10)
)

MODULO = (
    "<StructuredAnnotations><XMLAnnotation ID='A' Namespace='modulo'><Value><Modulo>"
    "<ModuloAlongZ Type='lifetime' Start='0' End='3000000000' Step='1'/>"
    "</Modulo></Value></XMLAnnotation></StructuredAnnotations>"
)


@contextmanager
def measured() -> Generator[list[int]]:
    """Give a list that afterwards holds the most bytes that were allocated at once."""
    peak: list[int] = []
    tracemalloc.start()
    try:
        yield peak
    finally:
        peak.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()


def refusal(content: bytes, limits: Limits = GENEROUS) -> str:
    with measured() as peak:
        error = TIFF_CODEC.decode(source_of(content), limits).failure()
    assert isinstance(error, Corrupt)
    assert error.advice
    assert peak[0] < 16 * 2**20
    return error.message


@pytest.mark.parametrize("compression", [1, 2, 3, 4, 5, 7, 8, 32773, 34712, 34925, 50000, 34887])
def test_a_kilobyte_that_claims_five_gigabytes(compression: int) -> None:
    message = refusal(tiff(directory(page(65536, 81920, compression))))
    assert "5368709120" in message or "compression" in message


BOMB = zlib.compress(bytes(10**7))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (tiff(directory(page(2, 2), following=8)), "circle"),
        (tiff(directory(page(2, 2), 8 + DIRECTORY), directory(page(2, 2), 8)), "circle"),
        (
            tiff(
                *(
                    directory(page(2, 2), 8 + DIRECTORY * (i + 1 if i < 199 else 3))
                    for i in range(200)
                )
            ),
            "circle",  # tifffile looks for circles among the first hundred pages only
        ),
        (tiff(directory(page(2, 2), following=5000)), "cut off"),
        (tiff(directory([])), "0 tags"),
        (tiff(b"\xff\xff"), "65535 tags"),
        (tiff(directory([(273, 4, 200_000, 600)] * 4000), size=2**20), "overlap"),
        (
            tiff(
                directory([*page(2, 2), (330, 4, 200_000, 600)]),
                strip=bytes(88) + b"\x08\0\0\0" * 200_000,
            ),
            "overlap",  # two hundred thousand sub-pages, all the same
        ),
        (tiff(directory(page(100, 10**4, 8, len(BOMB))), strip=BOMB), "tifffile cannot read"),
        (patched(patched(READABLE["lzw tiles"], 322, 60000), 323, 60000), "tiles of"),
        (patched(READABLE["plain"], 273, 0), "missing"),
        (patched(READABLE["plain"], 273, 10**6), "missing"),
        (patched(READABLE["lzw"], 279, 0), "missing"),
        (patched(READABLE["plain"], 258, 77), "no type known"),
        (patched(READABLE["plain"], 256, 10**9), "cannot hold"),
        (patched(READABLE["plain"], 257, 33), "missing"),
        (ome(SIZES, '<TiffData PlaneCount="3000000000"/>'), "OME-XML"),
        (ome(SIZES, '<TiffData FirstT="3000000000"/>'), "OME-XML"),
        (ome(SIZES.replace('"5"', '"3000000000"')), "3000000000 planes"),
        (ome(SIZES.replace('"19"', '"3000000000"')), "OME-XML"),
        (ome(SIZES.replace("XYZCT", "ZCTXY")), "OME-XML"),
        (ome(SIZES, '<TiffData PlaneCount="2"/>'), "3 of its 5 planes"),
        (ome(SIZES, after=MODULO), "OME-XML"),
        (described(f'<?xml version="1.0"?><!DOCTYPE z [{LAUGHS}]><OME>&l9;</OME>'), "entities"),
        (described('{"shape": [5, 17, 1900000000]}'), "leaves out"),
        (described('{"shape": [1000000000000, 5, 17, 19]}'), "leaves out"),
        (described('{"shape": [5, 17, 19.5]}'), "leaves out"),
        (described('{"shape": "abc"}'), "tifffile cannot read"),
        (described('{"shape": ' + "[" * 5000 + "}"), "tifffile cannot read"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_lie_is_told(content: bytes, reason: str) -> None:
    assert reason in refusal(content)


def test_pages_that_differ_are_no_series() -> None:
    """tifffile looks at pages 0, 1, 7 and the last, and would take the others to be the same."""
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream, shaped=False) as writer:
        for number in range(12):
            image = GRAY[:16] if number == 4 else GRAY
            writer.write(image, contiguous=False, metadata=None)
    got = TIFF_CODEC.decode(source_of(stream.getvalue()), GENEROUS).unwrap()
    assert np.array_equal(got.payload, np.stack([GRAY] * 11))
    assert [*got.metadata.attributes] == ["other_series"]


@pytest.mark.parametrize("name", ["jpeg", "jpeg 2000"])
def test_a_strip_that_was_cut_short_is_not_filled_with_gray(name: str) -> None:
    whole = READABLE[name]
    with tifffile.TiffFile(io.BytesIO(whole)) as tif:
        (stored,) = tif.pages.first.databytecounts
    assert "JPEG" in refusal(patched(whole, 279, stored // 2))


@pytest.mark.parametrize("name", ["lzw", "zstd", "strips"])
def test_a_strip_that_is_nowhere_is_not_filled_with_zeros(name: str) -> None:
    content = without_strip(READABLE[name], 273, 3)
    with quiet():
        tifffile.imread(io.BytesIO(content))  # fills it
    assert "a strip or tile is missing" in refusal(content)


@pytest.mark.parametrize(
    ("compression", "compress"),
    [
        (5, imagecodecs.lzw_encode),
        (8, zlib.compress),
        (32773, imagecodecs.packbits_encode),
        (50000, imagecodecs.zstd_encode),
    ],
)
def test_a_strip_of_too_few_rows_is_no_strip(
    compression: int, compress: Callable[[bytes], bytes]
) -> None:
    strip = bytes(compress(bytes(range(50))))
    for length, whole in ((5, True), (10, False)):
        content = tiff(directory(page(10, length, compression, len(strip))), strip=strip)
        assert is_successful(TIFF_CODEC.decode(source_of(content), GENEROUS)) is whole
    assert "strip" in refusal(content)


def test_pages_that_differ_are_no_stack_of_imagejs() -> None:
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream, shaped=False) as writer:
        text = "ImageJ=1.11a\nimages=2\nslices=2\n"
        writer.write(GRAY, description=text, metadata=None, rowsperstrip=32)
        writer.write(GRAY[:16], metadata=None, contiguous=False, rowsperstrip=16)
    assert "differ" in refusal(stream.getvalue() + bytes(GRAY.nbytes))


def test_the_limit_is_kept() -> None:
    content = tiff(
        directory(page(1000, 1000, 8, 5000)), strip=zlib.compress(bytes(10**6)), size=6000
    )
    with measured() as peak:
        error = TIFF_CODEC.decode(source_of(content), Limits(10**6 - 1)).failure()
    assert isinstance(error, TooLarge)
    assert peak[0] < 10**6
    assert is_successful(TIFF_CODEC.decode(source_of(content), Limits(10**6)))


def test_tables_of_tags_count_as_memory() -> None:
    strips = 250_000
    tags = [tag for tag in page(1, strips) if tag[0] not in (273, 278, 279)]
    tags += [(273, 4, strips, 1000), (278, 4, 1, 1), (279, 4, strips, 1000 + 4 * strips)]
    tables = struct.pack("<I", 8) * strips + struct.pack("<I", 1) * strips
    content = tiff(directory(sorted(tags)), size=1000) + tables
    assert isinstance(TIFF_CODEC.decode(source_of(content), TIGHT).failure(), TooLarge)


@pytest.mark.parametrize("name", READABLE)
def test_cut_off_anywhere_it_is_refused(name: str) -> None:
    whole = READABLE[name]
    expected = TIFF_CODEC.decode(source_of(whole), TIGHT).unwrap().payload
    for length in range(0, len(whole), max(len(whole) // 60, 1)):
        outcome = TIFF_CODEC.decode(source_of(whole[:length]), TIGHT)
        if is_successful(outcome):  # all that is missing is padding, and a last unused byte
            assert np.array_equal(outcome.unwrap().payload, expected)
            assert length > len(whole) - 16
        else:
            assert isinstance(outcome.failure(), Corrupt)


@pytest.mark.parametrize("name", READABLE)
def test_changed_bytes_never_raise_or_take_memory(name: str) -> None:
    chance = random.Random(name)  # noqa: S311 - the same bytes each time
    whole = READABLE[name]
    TIFF_CODEC.decode(source_of(whole), TIGHT)  # what is imported on the way is not counted
    with measured() as peak:
        for _ in range(50):
            changed = bytearray(whole)
            for _ in range(chance.choice((1, 1, 2, 4))):
                near = chance.random() < 0.8  # the directories are at the beginning, or at the end
                last = min(len(whole) - 4, 400 if near else len(whole))
                at = chance.randrange(last)
                at = len(whole) - 4 - at if near and chance.random() < 0.3 else at
                value = chance.choice((0, 1, 2**16 - 1, 2**31, 2**32 - 1, chance.randrange(2**32)))
                size = chance.choice((1, 2, 4))
                changed[at : at + size] = struct.pack("<I", value)[:size]
            outcome = TIFF_CODEC.decode(source_of(bytes(changed)), TIGHT)
            assert fold(
                outcome, lambda _: True, lambda error: isinstance(error, Corrupt | TooLarge)
            )
    assert peak[0] < 4 * 2**20


@pytest.mark.parametrize("name", ["deflate", "ome", "pyramid", "separate pages"])
def test_an_error_of_the_disk_is_no_damage(name: str) -> None:
    """It is raised, for the store to say what it means; tifffile would go on without what it is."""
    inner = source_of(READABLE[name])
    failing, calls = 0, 1
    while failing <= calls:
        calls = 0

        def read_into(offset: int, buffer: memoryview, /, at: int = failing) -> int:
            nonlocal calls
            calls += 1
            if calls == at + 1:
                raise OSError(5, "Input/output error")
            return inner.read_into(offset, buffer)

        source = Readable(inner.size, read_into, lambda: None)
        try:
            outcome = TIFF_CODEC.decode(source, GENEROUS)
        except OSError as error:
            assert "Input/output error" in str(error)  # noqa: PT017 - the last round raises none
        else:
            assert failing == calls
            assert is_successful(outcome)
        failing += 1


def test_the_work_grows_with_the_number_of_pages() -> None:
    def bytes_read(count: int) -> int:
        directories = [
            directory(page(2, 2), (8 + DIRECTORY * (number + 1)) * (number + 1 < count))
            for number in range(count)
        ]
        content = tiff(*directories, size=8 + DIRECTORY * count + 600)
        inner = source_of(content)
        asked: list[int] = []

        def read_into(offset: int, buffer: memoryview, /) -> int:
            asked.append(len(buffer))
            return inner.read_into(offset, buffer)

        source = Readable(len(content), read_into, lambda: None)
        assert TIFF_CODEC.decode(source, GENEROUS).unwrap().payload.shape == (count, 2, 2)
        return sum(asked)

    # Both larger than what is read at once.
    assert bytes_read(6000) < 11 * bytes_read(600)
