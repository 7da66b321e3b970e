"""JPEG as libjpeg reads it, every kind of it; what it claims; and that saving it is lossy."""

from __future__ import annotations

import base64
import random
import struct
import tracemalloc
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from bytes_source import joined, source_of
from hypothesis import given
from hypothesis import strategies as st

from polystore import DiskConfig, compose, from_spec, load, save, to_spec
from polystore.configs import JPEG, JpegOptions, Subsampling
from polystore.core.errors import Corrupt, Lossy, TooLarge, UnsupportedPayload
from polystore.core.item import Item, Metadata
from polystore.core.outcome import fold, is_successful
from polystore.core.payload import ALIGNMENT, HostArray
from polystore.core.records import Limits
from polystore.formats.jpeg import JPEG_CODEC
from polystore.testing.arrays import arrays

WOUND = Path(__file__).parents[3] / "shared" / "data" / "cellprofiler" / "wound"

NOISE = np.random.default_rng(0).integers(0, 256, (37, 53, 4), np.uint8)
SMOOTH = np.add.outer(np.arange(40), np.arange(50)).astype(np.uint8)
BEST = JpegOptions(quality=100, subsampling="4:4:4")

PROGRESSIVE = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAA0JCgsKCA0LCgsODg0PEyAVExISEyccHhcgLikxMC4pLSwzOko+MzZGNy"
    "wtQFdBRkxOUlNSMj5aYVpQYEpRUk//2wBDAQ4ODhMREyYVFSZPNS01T09PT09PT09PT09PT09PT09PT09PT09PT09P"
    "T09PT09PT09PT09PT09PT09PT09PT0//wgARCAAUAB0DASIAAhEBAxEB/8QAFwABAQEBAAAAAAAAAAAAAAAAAwQABf"
    "/EABgBAAIDAAAAAAAAAAAAAAAAAAMFAQQG/9oADAMBAAIQAxAAAAHhvXRA43scrAaNq2ed9isP/8QAFhABAQEAAAAA"
    "AAAAAAAAAAAAAQAC/9oACAEBAAEFAjEYjEYjEYjEYggggv/EABURAQEAAAAAAAAAAAAAAAAAAAMA/9oACAEDAQE/AT"
    "eN447/xAAWEQEBAQAAAAAAAAAAAAAAAAAAAQL/2gAIAQIBAT8Bmk0iP//EABQQAQAAAAAAAAAAAAAAAAAAADD/2gAI"
    "AQEABj8CT//EABkQAAIDAQAAAAAAAAAAAAAAAAABEBEhIP/aAAgBAQABPyGf8eP8RYsWJo//2gAMAwEAAgADAAAAEG"
    "qoQf/EABkRAAIDAQAAAAAAAAAAAAAAAAABESExYf/aAAgBAwEBPxDsUaOxnB//xAAUEQEAAAAAAAAAAAAAAAAAAAAg"
    "/9oACAECAQE/EBX/AP/EABcQAQEBAQAAAAAAAAAAAAAAAABhUUH/2gAIAQEAAT8QgggwIIIMDCwsLhP/2Q=="
)
CMYK = base64.b64decode(
    "/9j/7gAOQWRvYmUAZAAAAAAA/9sAQwANCQoLCggNCwoLDg4NDxMgFRMSEhMnHB4XIC4pMTAuKS0sMzpKPjM2RjcsLU"
    "BXQUZMTlJTUjI+WmFaUGBKUVJP/8AAFAgAFAAdBEMRAE0RAFkRAEsRAP/EAB8AAAEFAQEBAQEBAAAAAAAAAAABAgME"
    "BQYHCAkKC//EALUQAAIBAwMCBAMFBQQEAAABfQECAwAEEQUSITFBBhNRYQcicRQygZGhCCNCscEVUtHwJDNicoIJCh"
    "YXGBkaJSYnKCkqNDU2Nzg5OkNERUZHSElKU1RVVldYWVpjZGVmZ2hpanN0dXZ3eHl6g4SFhoeIiYqSk5SVlpeYmZqi"
    "o6Slpqeoqaqys7S1tre4ubrCw8TFxsfIycrS09TV1tfY2drh4uPk5ebn6Onq8fLz9PX29/j5+v/aAA4EQwBNAFkASw"
    "AAPwDgdP7VxX9k/wCzXDWtt04r06uo0/tR/ZP+zWxa23Tiiun0/tR/ZP8As1s2tt04orpLX/V0f2T/ALNa0Nt8nSiv"
    "DNP7V3f9k/7Ncha23Tiiuo0/tR/ZP+zWza23Tiiun0/tR/ZP+zWza23Tiiuktf8AV0f2T/s1rQ23ydKK8M0/tXZfZo"
    "v7tcZaxrxxRXUaf2o+zRf3a2bWNeOKK6fT+1H2aL+7WxaxrxxRXSWv+ro+zRf3a14Y12dKK//Z"
)
ARITHMETIC = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAA0JCgsKCA0LCgsODg0PEyAVExISEyccHhcgLikxMC4pLSwzOko+MzZGNy"
    "wtQFdBRkxOUlNSMj5aYVpQYEpRUk//2wBDAQ4ODhMREyYVFSZPNS01T09PT09PT09PT09PT09PT09PT09PT09PT09P"
    "T09PT09PT09PT09PT09PT09PT09PT0//yQARCAAUAB0DASIAAhEBAxEB/8wACgAQEAUBEBEF/9oADAMBAAIRAxEAPw"
    "D/AKGg/bPyNHzJv+SJ390UEshRsft0w7cwPvg+1Y0H480/CQmnCdmOzaZom0IctoPtBQgjs05N3kAxlpW6pK5v/k9L"
    "RrVeHdf/2Q=="
)
ARITHMETIC_PROGRESSIVE = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAA0JCgsKCA0LCgsODg0PEyAVExISEyccHhcgLikxMC4pLSwzOko+MzZGNy"
    "wtQFdBRkxOUlNSMj5aYVpQYEpRUk//2wBDAQ4ODhMREyYVFSZPNS01T09PT09PT09PT09PT09PT09PT09PT09PT09P"
    "T09PT09PT09PT09PT09PT09PT09PT0//ygARCAAUAB0DASIAAhEBAxEB/8wABgAQARD/2gAMAwEAAhADEAAAAf8ARh"
    "PL0F2WrXpyWPBFv6bJtGTY/8wABBAF/9oACAEBAAEFAhKhzUeCStOlQP/MAAQRBf/aAAgBAwEBPwEakqj+Jv/MAAQR"
    "Bf/aAAgBAgEBPwEQYGn/zAAEEAX/2gAIAQEABj8CwP/MAAQQBf/aAAgBAQABPyHviRVjjfJA/9oADAMBAAIAAwAAAB"
    "AGTED/zAAEEQX/2gAIAQMBAT8QpiT5VNSw/8wABBEF/9oACAECAQE/EL7/zAAEEAX/2gAIAQEAAT8QTGO9UzFNOP/Z"
)
"""Of one gradient of 20 x 29 pixels, by libjpeg-turbo's own program and by Pillow."""

READABLE = {
    "gray": bytes(imagecodecs.jpeg8_encode(NOISE[..., 0].copy(), 90)),
    "color": bytes(imagecodecs.jpeg8_encode(NOISE[..., :3].copy(), 90)),
    "sharp color": bytes(imagecodecs.jpeg8_encode(NOISE[..., :3].copy(), 90, subsampling="444")),
    "two samples": bytes(imagecodecs.jpeg8_encode(NOISE[..., :2].copy(), 90)),
    "one pixel": bytes(imagecodecs.jpeg8_encode(NOISE[:1, :1, 0].copy(), 90)),
    "blank": bytes(imagecodecs.jpeg8_encode(np.zeros((300, 200, 3), np.uint8), 90)),
    "12 bits": bytes(
        imagecodecs.jpeg8_encode(NOISE[..., 0].astype(np.uint16) * 16, 90, bitspersample=12)
    ),
    "lossless": bytes(imagecodecs.jpeg8_encode(NOISE[..., :3].copy(), lossless=True)),
    "lossless, blank": bytes(imagecodecs.jpeg8_encode(np.zeros((9, 99), "u1"), lossless=True)),
    "lossless, 16 bits": bytes(
        imagecodecs.jpeg8_encode(NOISE.astype(np.uint16) * 257, lossless=True, bitspersample=16)
    ),
    "progressive": PROGRESSIVE,
    "CMYK": CMYK,
    "arithmetic": ARITHMETIC,
    "arithmetic, progressive": ARITHMETIC_PROGRESSIVE,
}


def segment(marker: int, content: bytes = b"") -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def coded(bits: str) -> bytes:
    """Give bits as the bytes of a scan, filled up with ones."""
    whole = bits + "1" * (-len(bits) % 8)
    return int(whole, 2).to_bytes(len(whole) // 8, "big").replace(b"\xff", b"\xff\0")


def flat(side: int, *scans: tuple[int, int, int, bytes], frame: int = 0xC2) -> bytes:
    """Give a gray square; a scan is its first and last coefficient, their bits, and its bytes."""
    size = struct.pack(">BHHBBBB", 8, side, side, 1, 1, 0x11, 0)
    content = b"\xff\xd8" + segment(0xDB, b"\0" + bytes([1] * 64)) + segment(frame, size)
    content += segment(0xC4, b"\0\1" + bytes(15) + b"\0")  # a mean of 0 is the bit 0
    content += segment(0xC4, b"\x10\1\1" + bytes(14) + b"\xe0\0")  # so is a run of blank blocks
    for first, last, bits, data in scans:
        content += segment(0xDA, bytes((1, 1, 0, first, last, bits))) + data
    return content + b"\xff\xd9"


BLOCKS = (1024 // 8) ** 2
MEANS = (0, 0, 0, coded("0" * BLOCKS))
BLANK = (1, 63, 1, coded("011111111111111"))
REFINED = (1, 63, 0x10, BLANK[3])


@pytest.mark.parametrize("name", READABLE)
def test_it_reads_what_imagecodecs_reads(name: str) -> None:
    got = JPEG_CODEC.decode(source_of(READABLE[name]), Limits()).unwrap()
    expected = imagecodecs.jpeg8_decode(READABLE[name])
    assert got.payload.dtype == expected.dtype
    assert np.array_equal(got.payload, expected)
    assert got.payload.ctypes.data % ALIGNMENT == 0
    assert got.metadata.axes == ("y", "x", "c")[: expected.ndim]
    inks = ("C", "M", "Y", "K") if expected.shape[2:] == (4,) else ()
    assert got.metadata.channel_names == inks


@pytest.mark.skipif(not WOUND.exists(), reason="the shared images are not here")
def test_a_camera_writes_what_is_read() -> None:
    for path in sorted(WOUND.glob("*.JPG")):
        content = path.read_bytes()
        got = load(DiskConfig(root=WOUND), format=JPEG)(path.name).unwrap()
        assert np.array_equal(got.payload, imagecodecs.jpeg8_decode(content))
        assert got.payload.shape == (1536, 2304, 3)


def test_lossless_means_lossless() -> None:
    got = JPEG_CODEC.decode(source_of(READABLE["lossless, 16 bits"]), Limits()).unwrap().payload
    assert np.array_equal(got, NOISE.astype(np.uint16) * 257)


def test_what_follows_the_end_is_not_looked_at() -> None:
    """Cameras put previews there."""
    content = READABLE["color"] + READABLE["gray"] + b"\xff\xd8\xff"
    got = JPEG_CODEC.decode(source_of(content), Limits()).unwrap().payload
    assert np.array_equal(got, imagecodecs.jpeg8_decode(READABLE["color"]))


def test_a_preview_in_a_segment_is_no_end() -> None:
    whole = READABLE["color"]
    with_preview = whole[:2] + segment(0xE1, b"Exif\0\0" + READABLE["gray"]) + whole[2:]
    got = JPEG_CODEC.decode(source_of(with_preview), Limits()).unwrap().payload
    assert np.array_equal(got, imagecodecs.jpeg8_decode(whole))
    cut = with_preview[: len(with_preview) // 2]
    assert isinstance(JPEG_CODEC.decode(source_of(cut), Limits()).failure(), Corrupt)


def test_no_options_is_lossy() -> None:
    error = JPEG_CODEC.encode(Item("x", SMOOTH), None).failure()
    assert isinstance(error, Lossy)
    assert "options=JpegOptions(quality=95)" in error.advice


@given(
    arrays(
        st.just(np.dtype(np.uint8)),
        st.tuples(st.integers(1, 40), st.integers(1, 40))
        | st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(3)),
    ),
    st.integers(1, 100),
    st.sampled_from(("4:4:4", "4:2:2", "4:2:0")),
)
def test_it_writes_what_imagecodecs_writes(
    array: HostArray, quality: int, subsampling: Subsampling
) -> None:
    content = joined(
        JPEG_CODEC.encode(Item("x", array), JpegOptions(quality, subsampling)).unwrap()
    )
    plain = np.array(array, order="C").reshape(array.shape)
    short = subsampling.replace(":", "")
    assert content == imagecodecs.jpeg8_encode(plain, quality, subsampling=short)
    got = JPEG_CODEC.decode(source_of(content), Limits()).unwrap().payload
    assert got.shape == array.shape
    if array.ndim == 2 and quality == 100:
        assert np.abs(got.astype(int) - array).max() <= 2


def test_sharp_colors_are_sharper() -> None:
    image = np.ascontiguousarray(NOISE[..., :3])

    def error(options: JpegOptions) -> float:
        content = joined(JPEG_CODEC.encode(Item("x", image), options).unwrap())
        got = JPEG_CODEC.decode(source_of(content), Limits()).unwrap().payload
        return float(np.abs(got.astype(int) - image).mean())

    assert error(BEST) < 2 < error(JpegOptions(quality=100)) < error(JpegOptions(quality=10))


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 2), np.uint16),
        np.zeros((2, 2), np.int8),
        np.zeros((2, 2), np.bool_),
        np.zeros((2, 2), np.float32),
        np.zeros(3, np.uint8),
        np.zeros((2, 2, 1), np.uint8),
        np.zeros((2, 2, 2), np.uint8),
        np.zeros((2, 2, 4), np.uint8),
        np.zeros((0, 3), np.uint8),
        np.zeros((65_501, 1), np.uint8),
    ],
    ids=lambda array: f"{array.dtype} {array.shape}",
)
def test_what_jpeg_cannot_hold_is_refused(array: HostArray) -> None:
    for options in (None, BEST):
        error = JPEG_CODEC.encode(Item("x", array), options).failure()
        assert isinstance(error, UnsupportedPayload)
        assert error.advice


def test_options_that_there_are_not_are_refused() -> None:
    qualities: tuple[object, ...] = (0, 101, -1, True, 90.0, "90")
    for quality in qualities:
        refused = JPEG_CODEC.encode(Item("x", SMOOTH), JpegOptions(quality))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        assert isinstance(refused.failure(), UnsupportedPayload)
    odd = JpegOptions(90, "4:1:1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert isinstance(JPEG_CODEC.encode(Item("x", SMOOTH), odd).failure(), UnsupportedPayload)


def test_options_go_through_specs() -> None:
    disk = DiskConfig(root="plate")
    pipeline = compose(load(disk), save(disk, options=JpegOptions(quality=90)))
    spec = to_spec(pipeline).unwrap()
    assert from_spec(spec).unwrap() == pipeline
    assert from_spec(spec).unwrap() != compose(load(disk), save(disk, options=BEST))


def test_what_jpeg_cannot_say_is_dropped_aloud() -> None:
    known = Metadata(axes=("y", "x"), scale=(2.0, 2.0), attributes={"well": "A01"})
    encoded = JPEG_CODEC.encode(Item("x", SMOOTH, known), BEST).unwrap()
    assert encoded.dropped == ("scale", "attributes")


SOF = segment(0xC0, struct.pack(">BHHBBBB", 8, 5, 5, 1, 1, 0x11, 0))
NO_SCAN = segment(0xDA, b"\1\1\0\0\x3f\0")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (flat(65_500, MEANS), "65500 x 65500 pixels, which its 2048 coded bytes cannot hold"),
        (flat(65_500, MEANS, frame=0xC0), "cannot hold"),
        (flat(65_500, MEANS, frame=0xC3), "cannot hold"),
        (flat(65_500, MEANS, frame=0xCA), "cannot hold"),
        (flat(1024, MEANS, BLANK, *[REFINED] * 1100), "1102 scans"),
        (flat(64, MEANS, MEANS, frame=0xC0), "2 scans are more than its 1 components"),
        (flat(0, MEANS), "0 x 0 pixels"),
        (flat(64, MEANS, frame=0xC5), "SOF5"),
        (flat(64, MEANS, frame=0xCB), "SOF11"),
        (flat(64), "no image"),
        (flat(64, MEANS)[:-2], "before its end is marked"),
        (READABLE["color"][:-2] + bytes(1000), "before its end is marked"),
        (flat(64, MEANS)[:20], "middle of a segment"),
        (b"\xff\xd8\xff", "before its end is marked"),
        (b"\xff\xd8\xff\xd9", "no image"),
        (b"\xff\xd8" + NO_SCAN + b"\xff\xd9", "no frame"),
        (b"\xff\xd8" + SOF + SOF + b"\xff\xd9", "more than one frame"),
        (b"\xff\xd8" + SOF + segment(0xDA, b"\1\2\0\0\x3f\0") + b"\xff\xd9", "no component"),
        (b"\xff\xd8" + segment(0xC0, b"\x08") + b"\xff\xd9", "frame header is damaged"),
        (b"\xff\xd8" + SOF.replace(b"\x11", b"\x10") + b"\xff\xd9", "components are damaged"),
        (b"\xff\xd8" + READABLE["gray"], "another image begins"),
        (b"\xff\xd8" + SOF + NO_SCAN + b"\0\0\xff\xd9", "libjpeg cannot decode it"),
        (b"\xff\xd8\xff\xf7\x00\x02" + b"\xff\xd9", "no image"),
        (b"\xff\xd8" + b"\xff\xfe\0\2" * 100_001, "100000 segments"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_lie_is_told(content: bytes, reason: str) -> None:
    source = source_of(content)
    tracemalloc.start()
    error = JPEG_CODEC.decode(source, Limits()).failure()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(error, Corrupt)
    assert reason in error.message
    assert peak < 2**20


def test_a_thousand_scans_of_a_small_image_are_read() -> None:
    content = flat(1024, MEANS, BLANK, *[REFINED] * 900)
    got = JPEG_CODEC.decode(source_of(content), Limits()).unwrap().payload
    assert got.shape == (1024, 1024)
    assert np.all(got == 128)


def test_a_blank_image_takes_an_arithmetic_coder_no_bytes() -> None:
    content = base64.b64decode(
        "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAgGBgcGBQgHBwcJCQgKDBQNDAsLDBkSEw8UHRofHh0aHBwg"
        "JC4nICIsIxwcKDcpLDAxNDQ0Hyc5PTgyPC4zNDL/yQALCAgACAABAREA/8wABgAQEAX/2gAIAQEAAD8A"
        "/wC/0ZKA/9k="
    )
    got = JPEG_CODEC.decode(source_of(content), Limits()).unwrap().payload
    assert got.shape == (2048, 2048)
    assert not got.any()


def test_the_limit_is_kept() -> None:
    gray = bytes(imagecodecs.jpeg8_encode(np.zeros((2000, 2000), np.uint8), 90))
    assert isinstance(JPEG_CODEC.decode(source_of(gray), Limits(3_999_999)).failure(), TooLarge)
    assert is_successful(JPEG_CODEC.decode(source_of(gray), Limits(4_000_000)))
    # The coefficients of all scans are held beside the pixels, 2 bytes for each.
    several = flat(1024, MEANS, BLANK)
    assert isinstance(
        JPEG_CODEC.decode(source_of(several), Limits(3 * 2**20 - 1)).failure(), TooLarge
    )
    assert is_successful(JPEG_CODEC.decode(source_of(several), Limits(3 * 2**20)))


def test_damaged_images_leave_no_memory_behind() -> None:
    """As they do in imagecodecs' decoder of PNG."""
    image = np.random.default_rng(0).integers(0, 256, (256, 256), np.uint8)
    whole = bytes(imagecodecs.jpeg8_encode(image, 90))
    damaged = whole[:-2] + segment(0x02) + b"\xff\xd9"  # what libjpeg stops at, having decoded all
    source = source_of(damaged)
    tracemalloc.start()
    for _ in range(100):
        assert "libjpeg" in JPEG_CODEC.decode(source, Limits()).failure().message
    left, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert left < 4 * image.nbytes


def test_every_cut_is_noticed() -> None:
    """libjpeg fills what is missing with gray."""
    for whole in READABLE.values():
        for length in {*range(0, len(whole) - 1, 7), len(whole) - 1, len(whole) - 2}:
            outcome = JPEG_CODEC.decode(source_of(whole[:length]), Limits(2**20))
            assert isinstance(outcome.failure(), Corrupt)


def test_no_bytes_raise_print_or_take_memory(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(0)  # noqa: S311 - the same bytes each time
    tracemalloc.start()
    for _ in range(2500):
        changed = bytearray(chance.choice([*READABLE.values()]))
        for _ in range(chance.choice((1, 1, 2, 5))):
            last = min(len(changed), chance.choice((300, 10**6)))
            changed[chance.randrange(last)] = chance.randrange(256)
        outcome = JPEG_CODEC.decode(source_of(bytes(changed)), Limits(2**20))
        assert fold(outcome, lambda _: True, lambda error: isinstance(error, Corrupt | TooLarge))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * 2**20
    assert not caplog.records
    assert capfd.readouterr() == ("", "")
