"""What a BMP says of itself: its size, and where its pixels, colors and channels stand.

The layouts are those of Windows (BITMAPINFOHEADER and its longer kin) and of OS/2 (the shorter
ones): a header that begins with its own length, then masks or a palette, then rows.
"""

from __future__ import annotations

import math
import struct

from attrs import frozen

__all__ = ["HEAD_MAX", "Channel", "Layout", "layout_of"]

_FILE_HEADER = 14  # bytes
_OS2, _WINDOWS, _WITH_MASKS, _WITH_ALPHA = 12, 40, 52, 56  # lengths of headers that are told apart
_LENGTHS = (*range(16, 65), 108, 124)  # OS/2's second may end anywhere; Windows' fourth and fifth
_OF_WINDOWS = (40, 52, 56, 108, 124)

HEAD_MAX = _FILE_HEADER + 124 + 256 * 4
"""Bytes. Everything before the pixels that is looked at."""

_PLAIN, _RLE8, _RLE4, _MASKED, _JPEG, _PNG, _ALPHA_MASKED = range(7)
_COMPRESSIONS = {  # how pixels may be stored, and at how many bits
    _PLAIN: (1, 2, 4, 8, 16, 24, 32),
    _RLE8: (8,),
    _RLE4: (4,),
    _MASKED: (16, 32),
    _ALPHA_MASKED: (16, 32),
}

_PLAIN_MASKS = {16: (0x7C00, 0x03E0, 0x001F, 0), 32: (0xFF0000, 0xFF00, 0xFF, 0)}
"""Of red, green, blue and alpha, where none are given: the uppermost bits mean nothing."""


@frozen
class Channel:
    """The bits of a pixel that are one channel: how far up they begin, and how many there are."""

    shift: int
    bits: int


@frozen
class Layout:
    """What is where. The sizes are positive.

    `bits` are those of a pixel; `offset` and `stored` say where the pixels begin, and how many
    bytes of them a run-length coded file has. `palette` has a row of red, green, blue for each
    color, and is empty for pixels that are colors themselves; these have `channels`, or none at 24
    bits.
    """

    width: int
    height: int
    top_down: bool
    bits: int
    runs: bool
    offset: int
    stored: int
    palette: tuple[tuple[int, int, int], ...]
    channels: tuple[Channel, ...]

    @property
    def stride(self) -> int:
        """Give the bytes from a row to the next: a multiple of 4."""
        return (self.width * self.bits + 31) // 32 * 4

    @property
    def row_bytes(self) -> int:
        """Give the bytes of a row without those that fill it up."""
        return math.ceil(self.width * self.bits / 8)

    @property
    def is_gray(self) -> bool:
        """Whether all colors of the palette are grays."""
        return bool(self.palette) and all(red == green == blue for red, green, blue in self.palette)

    @property
    def shape(self) -> tuple[int, ...]:
        """Give (y, x) for a gray image, (y, x, 3) for colors, (y, x, 4) with alpha."""
        if self.is_gray:
            return (self.height, self.width)
        return (self.height, self.width, len(self.channels) or 3)


def layout_of(head: bytes, size: int) -> Layout:
    """Read the headers of a file of that size; `ValueError` with the reason if they are no BMP's.

    `head` is the file's first `HEAD_MAX` bytes, or all.
    """
    offset, length, width, height, bits, compression, stored, colors = _fields(head)
    if compression not in _COMPRESSIONS or (compression > _RLE4 and length not in _OF_WINDOWS):
        kind = {_JPEG: "a JPEG image", _PNG: "a PNG image"}.get(compression, f"{compression}")
        raise ValueError(f"its pixels are compressed in a way not decoded here: {kind}")
    if bits not in _COMPRESSIONS[compression] or width < 1 or height == 0:
        raise ValueError(f"its header claims {width} x {height} pixels of {bits} bits")
    runs = compression in (_RLE8, _RLE4)
    if runs and height < 0:
        raise ValueError("it is run-length coded from the top, which no BMP is")
    start = _FILE_HEADER + length
    if compression in (_MASKED, _ALPHA_MASKED) and length == _WINDOWS:
        start += 16 if compression == _ALPHA_MASKED else 12
    if not start <= offset <= size:
        raise ValueError(f"its pixels would begin at byte {offset}, where there are none")
    layout = Layout(
        width,
        abs(height),
        height < 0,
        bits,
        runs,
        offset,
        min(stored or size, size - offset),
        _palette(head[start:offset], length, bits, colors) if bits <= 8 else (),
        _channels(head, length, bits, compression) if bits in (16, 32) else (),
    )
    missing = layout.stride * (layout.height - 1) + layout.row_bytes - (size - offset)
    if not runs and missing > 0:
        raise ValueError(
            f"it claims {width} x {abs(height)} pixels, and {missing} bytes are missing"
        )
    return layout


def _fields(head: bytes) -> tuple[int, int, int, int, int, int, int, int]:
    """Give where the pixels begin and what the second header says, 0 for what it leaves out."""
    length = int.from_bytes(head[14:18], "little")
    if len(head) < _FILE_HEADER + length or (length != _OS2 and length not in _LENGTHS):
        raise ValueError(f"its header would have {length} bytes")
    (offset,) = struct.unpack_from("<I", head, 10)
    if length == _OS2:
        width, height, _, bits = struct.unpack_from("<HHHH", head, 18)
        return offset, length, width, height, bits, _PLAIN, 0, 0
    fields = head[18 : _FILE_HEADER + min(length, _WINDOWS)].ljust(_WINDOWS - 4, b"\0")
    width, height, _, bits, compression, stored, _, _, colors, _ = struct.unpack(
        "<iiHHIIiiII", fields
    )
    return offset, length, width, height, bits, compression, stored, colors


def _palette(table: bytes, length: int, bits: int, colors: int) -> tuple[tuple[int, int, int], ...]:
    """Give the colors: as many as are said, or as the pixels can name, or as there is room for."""
    step = 3 if length == _OS2 else 4
    count = min(colors or 2**bits, 2**bits, len(table) // step)
    if count == 0:
        raise ValueError("it has no palette")
    return tuple((table[at + 2], table[at + 1], table[at]) for at in range(0, count * step, step))


def _channels(head: bytes, length: int, bits: int, compression: int) -> tuple[Channel, ...]:
    masks = _PLAIN_MASKS[bits]
    if compression != _PLAIN:
        masks = struct.unpack_from("<IIII", head.ljust(_FILE_HEADER + _WITH_ALPHA, b"\0"), 54)
        if length < _WITH_ALPHA and compression != _ALPHA_MASKED:
            masks = (*masks[:3], 0)
    return tuple(_channel(mask, bits) for mask in (masks if masks[3] else masks[:3]))


def _channel(mask: int, bits: int) -> Channel:
    shift = (mask & -mask).bit_length() - 1
    ones = mask >> max(shift, 0)
    if mask == 0 or ones & (ones + 1) or mask >= 1 << bits:
        raise ValueError(f"a channel of it has the mask {mask:#x}")
    if ones > 0xFF:
        raise ValueError(
            f"it has channels of {ones.bit_length()} bits, of which 8 are decoded here"
        )
    return Channel(shift, ones.bit_length())
