"""PNG as libpng reads it, every kind of it; and PNGs that lie."""

from __future__ import annotations

import logging
import random
import struct
import tracemalloc
import zlib

import imagecodecs
import numpy as np
import pytest
from bytes_source import joined, source_of
from lies import tells_cheaply

from polystore.configs import PngOptions
from polystore.core.errors import Corrupt, TooLarge, UnsupportedPayload
from polystore.core.item import Item, Metadata
from polystore.core.outcome import fold, is_successful
from polystore.core.payload import ALIGNMENT, HostArray
from polystore.core.records import Limits
from polystore.formats.png import PNG_CODEC

GRAY, RGB, PALETTE, GRAY_ALPHA, RGBA = 0, 2, 3, 4, 6
CHANNELS = {GRAY: 1, RGB: 3, PALETTE: 1, GRAY_ALPHA: 2, RGBA: 4}

PASSES = (
    (0, 0, 8, 8),
    (0, 4, 8, 8),
    (4, 0, 8, 4),
    (0, 2, 4, 4),
    (2, 0, 4, 2),
    (0, 1, 2, 2),
    (1, 0, 2, 1),
)
"""Adam7: the first row and column of each pass, and its steps."""

IMAGE = np.random.default_rng(0).integers(0, 2**16, (17, 23), np.uint16)


def chunk(kind: bytes, content: bytes = b"") -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


COLORS = chunk(b"PLTE", bytes(range(48)))
ALPHA = chunk(b"tRNS", b"\x00\x80")


def png(
    size: tuple[int, int],
    bits: int,
    color: int,
    rows: bytes | None = None,
    *,
    before: bytes = b"",
    after: bytes = b"",
    interlaced: bool = False,
) -> bytes:
    """Give a PNG of the given rows, each with its filter byte; of zeros if there are none."""
    width, height = size
    row = 1 + (width * bits * CHANNELS[color] + 7) // 8
    content = bytes(row * height) if rows is None else rows
    header = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, interlaced)
    data = chunk(b"IDAT", zlib.compress(content))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before + data + after + chunk(b"IEND")


def interlaced(image: HostArray) -> bytes:
    rows = b""
    for top, left, down, right in PASSES:
        part = image[top::down, left::right]
        rows += b"".join(b"\0" + row.astype(">u2").tobytes() for row in part if part.size)
    height, width = image.shape[:2]
    color = GRAY if image.ndim == 2 else {2: GRAY_ALPHA, 3: RGB, 4: RGBA}[image.shape[2]]
    return png((width, height), 16, color, rows, interlaced=True)


READABLE = {
    "gray": joined(PNG_CODEC.encode(Item("x", IMAGE), None).unwrap()),
    "rgba": joined(PNG_CODEC.encode(Item("x", np.stack([IMAGE] * 4, -1)), None).unwrap()),
    "1 bit": png((11, 3), 1, GRAY, b"\0\xb1\x5a" * 3),
    "2 bits": png((11, 3), 2, GRAY, b"\0\xb1\x5a\x0f" * 3),
    "4 bits": png((3, 3), 4, GRAY, b"\0\xb1\x50" * 3),
    "palette": png((7, 2), 4, PALETTE, b"\0\x01\x23\x45\x60" * 2, before=COLORS),
    "palette, alpha": png((7, 2), 4, PALETTE, b"\0\x01\x23\x45\x60" * 2, before=COLORS + ALPHA),
    "gray, one value transparent": png((4, 3), 16, GRAY, before=ALPHA),
    "rgb, one value transparent": png((4, 3), 8, RGB, before=chunk(b"tRNS", bytes(6))),
    "alpha before the palette": png((7, 2), 4, PALETTE, before=ALPHA + COLORS),
    "alpha after the image": png((7, 2), 4, PALETTE, before=COLORS, after=ALPHA),
    "alpha twice": png((4, 3), 8, GRAY_ALPHA, before=ALPHA),
    "interlaced": interlaced(IMAGE),
    "interlaced rgb": interlaced(np.stack([IMAGE, IMAGE // 2, IMAGE // 3], -1)),
    "text": png((4, 3), 8, GRAY, before=chunk(b"tEXt", b"Title\0A01")),
}


@pytest.mark.parametrize("name", READABLE)
def test_it_reads_what_imagecodecs_reads(name: str) -> None:
    got = PNG_CODEC.decode(source_of(READABLE[name]), Limits()).unwrap()
    expected = imagecodecs.png_decode(READABLE[name])
    assert got.payload.dtype == expected.dtype
    assert np.array_equal(got.payload, expected)
    assert got.metadata == Metadata(axes=("y", "x", "c")[: expected.ndim])


def test_interlaced_pixels_are_in_their_places() -> None:
    got = PNG_CODEC.decode(source_of(READABLE["interlaced"]), Limits()).unwrap().payload
    assert np.array_equal(got, IMAGE)
    assert got.ctypes.data % ALIGNMENT == 0


def test_an_animation_gives_its_still_image_and_says_so() -> None:
    content = png((4, 3), 8, GRAY, before=chunk(b"acTL", struct.pack(">II", 12, 0)))
    got = PNG_CODEC.decode(source_of(content), Limits()).unwrap()
    assert got.payload.shape == (3, 4)
    assert got.metadata.attributes == {"frames": 12}


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 2), np.float32),
        np.zeros((2, 2), np.int8),
        np.zeros((2, 2), np.bool_),
        np.zeros((2, 2), np.uint32),
        np.zeros(3, np.uint8),
        np.zeros((2, 2, 1), np.uint8),
        np.zeros((2, 2, 5), np.uint8),
        np.zeros((2, 2, 2, 2), np.uint8),
        np.zeros((0, 3), np.uint8),
        np.zeros((1, 1_000_001), np.uint8),
    ],
    ids=lambda array: f"{array.dtype} {array.shape}",
)
def test_what_png_cannot_hold_is_refused(array: HostArray) -> None:
    error = PNG_CODEC.encode(Item("x", array), None).failure()
    assert isinstance(error, UnsupportedPayload)
    assert error.advice


def test_levels_that_there_are_not_are_refused() -> None:
    for level in (-1, 10, True):
        refused = PNG_CODEC.encode(Item("x", IMAGE), PngOptions(level))
        assert isinstance(refused.failure(), UnsupportedPayload)


def test_other_axes_are_dropped_aloud() -> None:
    for axes, dropped in ((("z", "y"), ("axes",)), (("y", "x"), ()), ((), ())):
        encoded = PNG_CODEC.encode(Item("x", IMAGE, Metadata(axes=axes)), None).unwrap()
        assert encoded.dropped == dropped


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (png((200_000, 200_000), 8, RGB, b""), "120000000000 bytes"),
        (png((10**6, 10**6), 1, GRAY, b""), "cannot hold"),
        (png((100, 100), 8, GRAY, bytes(101 * 50)), "Not enough image data"),
        (png((0, 5), 8, GRAY), "0 x 5"),
        (png((5, 5), 3, GRAY), "3 bits"),
        (png((5, 5), 8, GRAY)[:-12], "last chunk"),
        (png((5, 5), 8, PALETTE), "libpng"),
        (b"\x89PNG\r\n\x1a\n", "header"),
        (b"\x89PNG\r\n\x1a\n" + chunk(b"IEND"), "header"),
        (png((5, 5), 8, GRAY).replace(b"IDAT", b"iDAT"), "libpng"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_lie_is_told(content: bytes, reason: str) -> None:
    tells_cheaply(PNG_CODEC, content, reason)


def test_damaged_images_leave_no_memory_behind() -> None:
    """imagecodecs keeps every array that it fails to decode into."""
    image = np.random.default_rng(0).integers(0, 256, (256, 256), np.uint8)
    damaged = bytearray(joined(PNG_CODEC.encode(Item("x", image), None).unwrap()))
    damaged[len(damaged) // 2] ^= 1
    source = source_of(bytes(damaged))
    tracemalloc.start()
    for _ in range(100):
        assert isinstance(PNG_CODEC.decode(source, Limits()).failure(), Corrupt)
    left, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert left < 4 * image.nbytes


def test_the_limit_is_kept() -> None:
    content = png((2000, 2000), 8, GRAY)
    assert isinstance(PNG_CODEC.decode(source_of(content), Limits(3_999_999)).failure(), TooLarge)
    assert is_successful(PNG_CODEC.decode(source_of(content), Limits(4_000_000)))


def test_no_bytes_raise_print_or_take_memory(caplog: pytest.LogCaptureFixture) -> None:
    chance = random.Random(0)  # noqa: S311 - the same bytes each time
    for whole in READABLE.values():
        for length in range(len(whole)):
            outcome = PNG_CODEC.decode(source_of(whole[:length]), Limits(2**20))
            assert isinstance(outcome.failure(), Corrupt)
    tracemalloc.start()
    for _ in range(5000):
        changed = bytearray(chance.choice([*READABLE.values()]))
        for _ in range(chance.choice((1, 1, 2, 5))):
            last = min(len(changed), chance.choice((80, 10**6)))
            changed[chance.randrange(last)] = chance.randrange(256)
        if chance.random() < 0.7:
            repair_checksums(changed)
        outcome = PNG_CODEC.decode(source_of(bytes(changed)), Limits(2**20))
        assert fold(outcome, lambda _: True, lambda error: isinstance(error, Corrupt | TooLarge))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * 2**20
    assert not caplog.records  # libpng's warnings go through logging
    assert logging.getLogger("imagecodecs").propagate


def repair_checksums(content: bytearray) -> None:
    """Make each chunk's checksum right again, so that a change reaches the decoder."""
    at = 8
    while at + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, at)
        if at + 12 + length > len(content):
            break
        checksum = zlib.crc32(content[at + 4 : at + 8 + length])
        struct.pack_into(">I", content, at + 8 + length, checksum)
        at += 12 + length
