"""JPEG and JPEG 2000 within a TIFF: streams that say an image size of their own."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tifffile import TiffPage

__all__ = ["JPEG", "JPEG_2000", "check_image"]

JPEG = frozenset({7, 33007, 34892})
"""The compressions that are JPEG."""

JPEG_2000 = frozenset({33003, 33004, 33005, 34712})
"""The compressions that are JPEG 2000."""

_END_OF_IMAGE = b"\xff\xd9"  # of JPEG and JPEG 2000 alike; within an image nothing looks like it


def check_image(key: TiffPage, stored: bytearray) -> None:
    """Raise `ValueError` if a stream that carries its own size is cut, or larger than its place."""
    if key.compression not in JPEG | JPEG_2000:
        return
    if key.jpegheader is None and _END_OF_IMAGE not in stored:
        # What is missing would be filled with gray, and nothing said.
        raise ValueError("a strip or tile ends in the middle of its JPEG image")
    if key.compression in JPEG:
        claim = _jpeg_samples(key.jpegheader or stored)
    else:
        claim = _jpeg_2000_samples(stored)
    rows = key.tilelength if key.is_tiled else key.rowsperstrip
    columns = key.tilewidth if key.is_tiled else key.imagewidth
    # Some writers fill the last strip up to the others' height, or pad to whole blocks.
    if claim > 4 * max(rows, 64) * max(columns, 64) * max(key.samplesperpixel, 1):
        raise ValueError("a strip or tile claims to be larger than its place")


def _jpeg_samples(stream: bytes | bytearray) -> int:
    """Give how many samples a JPEG stream claims (ITU T.81, annex B)."""
    position = 2
    while position + 9 < len(stream) and stream[position] == 0xFF:
        marker, length = struct.unpack_from(">BH", stream, position + 1)
        if marker in (0xC0, 0xC1, 0xC2):  # baseline, extended, progressive
            height, width, components = struct.unpack_from(">HHB", stream, position + 5)
            return int(height * width * components)
        position += 2 + length
    raise ValueError("a strip or tile holds no JPEG image of a common kind")


def _jpeg_2000_samples(stream: bytearray) -> int:
    """Give how many samples a JPEG 2000 codestream claims (ITU T.800, annex A)."""
    start = stream.find(b"\xff\x4f\xff\x51", 0, 4096)
    if start < 0 or len(stream) < start + 42:
        raise ValueError("a strip or tile holds no JPEG 2000 image")
    right, bottom, left, top = struct.unpack_from(">4I", stream, start + 8)
    (components,) = struct.unpack_from(">H", stream, start + 40)
    return max(int(right - left), 1) * max(int(bottom - top), 1) * int(components)
