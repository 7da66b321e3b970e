"""BMP of every layout: read as imagecodecs reads it where it can, and told where it lies."""

from __future__ import annotations

import random
import struct
import tracemalloc

import imagecodecs
import numpy as np
import pytest
from bytes_source import joined, source_of
from hypothesis import example, given
from hypothesis import strategies as st
from lies import tells_cheaply

from polystore.core.errors import Corrupt, TooLarge, UnsupportedPayload
from polystore.core.item import Item, Metadata
from polystore.core.outcome import fold, is_successful
from polystore.core.payload import ALIGNMENT, HostArray
from polystore.core.records import Limits
from polystore.formats.bmp import BMP_CODEC
from polystore.testing.arrays import arrays

RNG = np.random.default_rng(0)
NOISE = RNG.bytes(4096)
COLORS = bytes(value for i in range(256) for value in (i, 255 - i, i // 2, 0))
GRAYS = bytes(value for i in range(256) for value in (255 - i, 255 - i, 255 - i, 0))

PLAIN, RLE8, RLE4, MASKED, JPEG, PNG, ALPHA_MASKED = range(7)


def bmp(
    size: tuple[int, int],
    bits: int,
    rows: bytes = NOISE,
    *,
    palette: bytes = b"",
    compression: int = PLAIN,
    header: int = 40,
    masks: tuple[int, ...] = (),
    colors: int = 0,
) -> bytes:
    """Give a BMP of the given rows, as they are stored; of noise if there are none."""
    width, height = size
    words = struct.pack(f"<{len(masks)}I", *masks)
    stored = (width * bits + 31) // 32 * 4 * abs(height)
    if header == 12:
        info = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        fields = (header, width, height, 1, bits, compression, 0, 0, 0, colors, 0)
        info = struct.pack("<IiiHHIIiiII", *fields)
    if header > 40:
        info += words.ljust(header - 40, b"\0")
        words = b""
    before = info[:header] + words + palette
    content = rows[:stored] if compression not in (RLE8, RLE4) else rows
    offset = 14 + len(before)
    return struct.pack("<2sIHHI", b"BM", offset + len(content), 0, 0, offset) + before + content


BGRA = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)

ALIKE = {
    "1 bit": bmp((21, 9), 1, palette=COLORS[:8]),
    "4 bits": bmp((21, 9), 4, palette=COLORS[:64]),
    "8 bits": bmp((21, 9), 8, palette=COLORS),
    "8 bits, from the top": bmp((21, -9), 8, palette=COLORS),
    "identity": bmp((21, 9), 8, palette=bytes(v for i in range(256) for v in (i, i, i, 0))),
    "16 bits": bmp((21, 9), 16),
    "16 bits, 5 6 5": bmp((21, 9), 16, compression=MASKED, masks=(0xF800, 0x7E0, 0x1F)),
    "16 bits, alpha": bmp(
        (21, 9), 16, compression=MASKED, masks=(0xF00, 0xF0, 0xF, 0xF000), header=56
    ),
    "24 bits": bmp((21, 9), 24),
    "24 bits, from the top": bmp((21, -9), 24),
    "32 bits": bmp((21, 9), 32),
    "32 bits, red last": bmp(
        (21, 9), 32, compression=MASKED, masks=(0xFF, 0xFF00, 0xFF0000), header=52
    ),
    "32 bits, alpha": bmp((21, 9), 32, compression=MASKED, masks=BGRA, header=108),
    "version 5": bmp((21, 9), 32, compression=MASKED, masks=BGRA, header=124),
}
"""What imagecodecs reads, too, and correctly."""

RUNS8 = bmp(
    (6, 4),
    8,
    b"\x06\x03\0\0\0\x03\1\2\3\0\3\4\0\0\2\1\0\2\2\0\2\5\0\0\6\7\0\1",
    palette=COLORS,
    compression=RLE8,
)
RUNS4 = bmp(
    (5, 2),
    4,
    b"\x05\x12\0\0\0\x05\x34\x56\x70\0\0\1",
    palette=COLORS[:64],
    compression=RLE4,
)

READABLE = ALIKE | {
    "2 bits": bmp((21, 9), 2, palette=COLORS[:16]),
    "gray upside down": bmp((21, 9), 8, palette=GRAYS),
    "black and white": bmp((21, 9), 1, palette=bytes(4) + b"\xff\xff\xff\0"),
    "of OS/2": bmp((21, 9), 8, palette=bytes(v for i in range(256) for v in (i, 9, 7)), header=12),
    "alpha masked": bmp((21, 9), 32, compression=ALPHA_MASKED, masks=BGRA),
    "runs of 8 bits": RUNS8,
    "runs of 4 bits": RUNS4,
}


def decoded(content: bytes) -> HostArray:
    return BMP_CODEC.decode(source_of(content), Limits()).unwrap().payload


@pytest.mark.parametrize("name", ALIKE)
def test_it_reads_what_imagecodecs_reads(name: str) -> None:
    got = BMP_CODEC.decode(source_of(ALIKE[name]), Limits()).unwrap()
    expected = imagecodecs.bmp_decode(ALIKE[name])
    assert got.payload.dtype == expected.dtype
    assert np.array_equal(got.payload, expected)
    assert got.metadata == Metadata(axes=("y", "x", "c")[: expected.ndim])
    assert got.payload.ctypes.data % ALIGNMENT == 0


def test_runs_are_the_pixels_that_they_say() -> None:
    table = np.frombuffer(COLORS, np.uint8).reshape(256, 4)[:, 2::-1]
    indices = [[7] * 6, [1, 1, 0, 0, 5, 5], [1, 2, 3, 4, 4, 4], [3] * 6]
    assert np.array_equal(decoded(RUNS8), table[indices])
    assert np.array_equal(decoded(RUNS4), table[[[3, 4, 5, 6, 7], [1, 2, 1, 2, 1]]])


def test_pixels_that_runs_leave_out_are_of_the_first_color() -> None:
    content = bmp((3, 2), 8, b"\1\5\0\1", palette=GRAYS, compression=RLE8)
    assert decoded(content).tolist() == [[255, 255, 255], [250, 255, 255]]


def test_a_palette_of_grays_is_gray() -> None:
    assert decoded(READABLE["gray upside down"]).shape == (9, 21)
    assert np.array_equal(
        decoded(READABLE["gray upside down"]),
        255 - np.frombuffer(NOISE, np.uint8)[: 24 * 9].reshape(9, 24)[::-1, :21],
    )
    assert set(decoded(READABLE["black and white"]).reshape(-1).tolist()) == {0, 255}
    bits = np.unpackbits(np.frombuffer(NOISE, np.uint8)[: 4 * 9].reshape(9, 4)[::-1], axis=1)
    assert np.array_equal(decoded(READABLE["black and white"]), bits[:, :21] * 255)


def test_a_last_row_need_not_be_filled_up() -> None:
    whole = READABLE["24 bits"]
    assert np.array_equal(decoded(whole[:-1]), decoded(whole))


def test_masks_in_a_short_header_have_no_alpha() -> None:
    """imagecodecs takes the first pixel for its mask."""
    content = bmp((21, 9), 32, compression=MASKED, masks=BGRA[:3])
    assert np.array_equal(decoded(content), decoded(READABLE["32 bits"]))


def test_narrow_channels_are_scaled_to_all_of_8_bits() -> None:
    """imagecodecs scales them in pixels of 16 bits only."""
    content = bmp((1, 1), 32, struct.pack("<I", 0x7F003F), compression=MASKED,
                  masks=(0x7F0000, 0x3F00, 0x3F))  # fmt: skip
    assert decoded(content).tolist() == [[[255, 0, 255]]]


@given(
    arrays(
        st.just(np.dtype(np.uint8)),
        st.tuples(st.integers(1, 40), st.integers(1, 40))
        | st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(3, 4)),
    )
)
@example(np.arange(3 * 700 * 501, dtype=np.uint8).reshape(700, 501, 3))  # more than a strip
@example(np.arange(700 * 1001, dtype=np.uint8).reshape(700, 1001))
def test_it_takes_every_8_bit_image_and_imagecodecs_reads_it(array: HostArray) -> None:
    content = joined(BMP_CODEC.encode(Item("x", array), None).unwrap())
    assert np.array_equal(decoded(content), array)
    assert np.array_equal(imagecodecs.bmp_decode(content).reshape(array.shape), array)
    assert struct.unpack_from("<I", content, 2) == (len(content),)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 2), np.uint16),
        np.zeros((2, 2), np.bool_),
        np.zeros((2, 2), np.int8),
        np.zeros(3, np.uint8),
        np.zeros((2, 2, 1), np.uint8),
        np.zeros((2, 2, 2), np.uint8),
        np.zeros((2, 2, 5), np.uint8),
        np.zeros((0, 3), np.uint8),
        np.broadcast_to(np.uint8(0), (2**16, 2**16)),
        np.broadcast_to(np.uint8(0), (1, 2**31)),
    ],
    ids=lambda array: f"{array.dtype} {array.shape}",
)
def test_what_bmp_cannot_hold_is_refused(array: HostArray) -> None:
    error = BMP_CODEC.encode(Item("x", array), None).failure()
    assert isinstance(error, UnsupportedPayload)
    assert error.advice


WIDE = (0x3FF00000, 0xFFC00, 0x3FF)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (bmp((200_000, 200_000), 24), "missing"),
        (bmp((60_000, 60_000), 8, b"\0\1", palette=COLORS, compression=RLE8), "cannot hold"),
        (READABLE["24 bits"][:-4], "missing"),
        (bmp((21, 9), 24, compression=JPEG), "a JPEG image"),
        (bmp((21, 9), 24, compression=PNG), "a PNG image"),
        (bmp((21, 9), 24, compression=9), "compressed"),
        (bmp((21, 9), 16, compression=MASKED, header=64), "compressed"),
        (bmp((21, 9), 5, palette=COLORS), "5 bits"),
        (bmp((0, 9), 8, palette=COLORS), "0 x 9"),
        (bmp((-5, 9), 8, palette=COLORS), "-5 x 9"),
        (bmp((21, 9), 8), "no palette"),
        (bmp((21, 9), 8, palette=COLORS[:64]), "of a palette of 16"),
        (bmp((21, 9), 8, palette=COLORS, colors=16), "of a palette of 16"),
        (bmp((21, 9), 32, compression=MASKED, masks=(0, 0xFF00, 0xFF)), "mask 0x0"),
        (bmp((21, 9), 16, compression=MASKED, masks=(0xF0F, 0xFF00, 0xFF)), "mask 0xf0f"),
        (bmp((21, 9), 16, compression=MASKED, masks=(0xFF0000, 0xFF00, 0xFF)), "mask 0xff0000"),
        (bmp((21, 9), 32, compression=MASKED, masks=WIDE), "10 bits"),
        (bmp((6, -4), 8, RUNS8[1078:], palette=COLORS, compression=RLE8), "from the top"),
        (bmp((6, 4), 8, b"\7\1\0\1", palette=COLORS, compression=RLE8), "beyond its row"),
        (bmp((6, 4), 8, b"\6\1\0\0", palette=COLORS, compression=RLE8), "end before"),
        (bmp((6, 4), 8, b"\0\6\1\2", palette=COLORS, compression=RLE8), "end before"),
        (b"BM" + bytes(12) + b"\xff\0\0\0" + bytes(300), "255 bytes"),
        (b"BM\0", "0 bytes"),
        (READABLE["24 bits"][:10] + b"\0\0\0\0" + READABLE["24 bits"][14:], "begin at byte 0"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_lie_is_told(content: bytes, reason: str) -> None:
    tells_cheaply(BMP_CODEC, content, reason)


def test_runs_that_lead_nowhere_end() -> None:
    content = bmp((1, 2**18), 8, b"\0\2\0\0" * (2**21 + 1), palette=COLORS, compression=RLE8)
    error = BMP_CODEC.decode(source_of(content), Limits()).failure()
    assert "more than 2097152 runs" in error.message


def test_the_limit_is_kept() -> None:
    content = bmp((100, 100), 1, bytes(1600), palette=COLORS[:8])
    assert isinstance(BMP_CODEC.decode(source_of(content), Limits(29_999)).failure(), TooLarge)
    assert is_successful(BMP_CODEC.decode(source_of(content), Limits(30_000)))


def test_rows_are_held_once() -> None:
    image = RNG.integers(0, 256, (2000, 2000, 3), np.uint8)
    source = source_of(joined(BMP_CODEC.encode(Item("x", image), None).unwrap()))
    tracemalloc.start()
    BMP_CODEC.decode(source, Limits()).unwrap()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.1 * image.nbytes


def test_a_text_is_no_bmp() -> None:
    error = BMP_CODEC.decode(source_of(b"BMI of patients\n"), Limits()).failure()
    assert error.message == "This is no BMP: it is text."


def test_no_bytes_raise_or_take_memory() -> None:
    chance = random.Random(0)  # noqa: S311 - the same bytes each time
    for whole in READABLE.values():
        for length in range(0, len(whole) - 3, 7):
            outcome = BMP_CODEC.decode(source_of(whole[:length]), Limits(2**20))
            assert isinstance(outcome.failure(), Corrupt)
    tracemalloc.start()
    for _ in range(5000):
        changed = bytearray(chance.choice([*READABLE.values()]))
        for _ in range(chance.choice((1, 1, 2, 5))):
            last = min(len(changed), chance.choice((80, 10**6)))
            changed[chance.randrange(last)] = chance.randrange(256)
        outcome = BMP_CODEC.decode(source_of(bytes(changed)), Limits(2**20))
        assert fold(outcome, lambda _: True, lambda error: isinstance(error, Corrupt | TooLarge))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * 2**20
