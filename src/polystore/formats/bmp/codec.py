"""BMP: uncompressed 8-bit images, gray or in color, with alpha or without.

It is read and written here, a few rows at a time, so that nothing is held twice. (imagecodecs
has a decoder, too: it knows no run lengths, drops bits of channels that have more or fewer than 8,
and reads beyond its memory where a header lies.)
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator

from polystore.configs import BMP
from polystore.core.errors import StorageError
from polystore.core.item import Item, Metadata
from polystore.core.outcome import Failure, Outcome, Success, catch, guard, is_successful
from polystore.core.payload import HostArray, Payload, bytes_of
from polystore.core.records import Buffer, Codec, Decoded, Encoded, Limits, Readable
from polystore.formats.bmp.header import HEAD_MAX, Layout, layout_of
from polystore.formats.bmp.runs import unpacked
from polystore.formats.magic import HEAD, content_of
from polystore.formats.pixels import IMAGE_AXES, dropped_from, native, room_for
from polystore.formats.refusals import cannot_hold, damaged, foreign, host_array

__all__ = ["BMP_CODEC"]

_STRIP = 2**18
"""Bytes. As many rows are converted at a time: they stay in the processor's cache."""

_SIZE_MAX, _SIDE_MAX = 2**32 - 2**11, 2**31
"""Bytes of pixels (a BMP says its size in 32 bits, and the header takes some), and pixels."""

_OFFSETS = {1: 14 + 40 + 256 * 4, 3: 14 + 40, 4: 14 + 108}
"""Where the rows begin, by the samples of a pixel."""

_SRGB = 0x73524742  # LCS_sRGB
_ALPHA_MASKS = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)


def _encode(item: Item[Payload], _options: object, /) -> Outcome[Encoded]:
    found = host_array(item, "BMP")
    if not is_successful(found):
        return Failure(found.failure())
    array = found.unwrap()
    problem = _problem(array)
    if problem is not None:
        return Failure(cannot_hold("BMP", *problem))
    nbytes = _OFFSETS[_samples(array)] + len(array) * _stride(array)
    dropped = dropped_from(item.metadata, IMAGE_AXES[array.ndim])
    return Success(Encoded(_buffers(native(array), nbytes), nbytes, dropped))


def _problem(array: HostArray) -> tuple[str, str] | None:
    """Say what of the array BMP has no way to say, and what to do about it."""
    if array.dtype.char != "B":
        advice = "Scale it to uint8 first, or save it as TIFF, .npy or in Zarr."
        return f"the dtype {array.dtype}", advice
    if array.ndim not in IMAGE_AXES or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        advice = "Save (y, x), or (y, x, 3 or 4) with colors and alpha; or use TIFF, .npy or Zarr."
        return f"an array of shape {array.shape}", advice
    too_large = array.nbytes + 4 * len(array) >= _SIZE_MAX or max(array.shape) >= _SIDE_MAX
    if array.size == 0 or too_large:
        advice = "Save it as TIFF, .npy or in Zarr."
        return f"an image of {array.shape[0]} x {array.shape[1]}", advice
    return None


def _samples(array: HostArray) -> int:
    return 1 if array.ndim == 2 else array.shape[2]


def _stride(array: HostArray) -> int:
    return math.ceil(math.prod(array.shape[1:]) / 4) * 4


def _header(array: HostArray, nbytes: int) -> bytes:
    """Give what stands before the rows: gray has a palette of grays, alpha needs masks."""
    samples = _samples(array)
    offset = _OFFSETS[samples]
    masks = struct.pack("<5I", *_ALPHA_MASKS, _SRGB) if samples == 4 else b""
    grays = b"".join(bytes((value, value, value, 0)) for value in range(256))
    compression = 3 if masks else 0
    length = 108 if masks else 40
    height, width = array.shape[:2]
    file = struct.pack("<2sIHHI", b"BM", nbytes, 0, 0, offset)
    info = (length, width, height, 1, 8 * samples, compression, nbytes - offset, 0, 0, 0, 0)
    header = file + struct.pack("<IiiHHIIiiII", *info) + (grays if samples == 1 else masks)
    return header.ljust(offset, b"\0")


def _buffers(array: HostArray, nbytes: int) -> Iterator[Buffer]:
    """Give the rows from the last to the first, blue before red, each filled up to 4 bytes."""
    import numpy as np

    yield _header(array, nbytes)
    stride, row_bytes = _stride(array), math.prod(array.shape[1:])
    step = max(1, _STRIP // stride)
    upward = array[::-1]
    for first in range(0, len(array), step):
        part = upward[first : first + step]
        strip = np.zeros((len(part), stride), np.uint8)
        pixels = strip[:, :row_bytes].reshape(part.shape)
        _copy_swapped(part, pixels)
        yield bytes_of(strip)


def _copy_swapped(pixels: HostArray, target: HostArray) -> None:
    """Copy pixels with red and blue changed for each other; gray as it is."""
    if pixels.ndim == 2:
        target[...] = pixels
        return
    for channel in range(pixels.shape[2]):  # by channels: three times as fast as by pixels
        target[..., channel] = pixels[..., 2 - channel if channel < 3 else 3]


def _decode(source: Readable, limits: Limits, /) -> Outcome[Decoded[HostArray]]:
    import numpy as np

    head = bytearray(min(source.size, HEAD_MAX))
    source.read_into(0, memoryview(head))
    # Two letters are no signature: a text may begin with them.
    if not head.startswith(b"BM") or "BMP" not in content_of(bytes(head[:HEAD])):
        return Failure(foreign("BMP", source))
    read = guard(lambda: layout_of(bytes(head), source.size), catch(ValueError, _damaged))
    if not is_successful(read):
        return Failure(read.failure())
    layout = read.unwrap()
    pixels = layout.width * layout.height
    # The longest run says 255 pixels in 2 bytes; a nearly empty image may leave out the rest.
    if layout.runs and pixels > max(128 * layout.stored, _STRIP):
        reason = f"it claims {pixels} pixels, which its {layout.stored} bytes of runs cannot hold"
        return Failure(damaged("BMP", reason))
    beside = pixels + layout.stored if layout.runs else 0
    room = room_for(layout.shape, np.dtype(np.uint8), limits, beside)
    if not is_successful(room):
        return Failure(room.failure())
    array = room.unwrap()
    filled = guard(lambda: _fill(source, layout, array), catch(ValueError, _damaged))
    return filled.map(lambda _: Decoded(array, Metadata(axes=IMAGE_AXES[array.ndim])))


def _damaged(error: Exception) -> StorageError:
    return damaged("BMP", str(error))


def _fill(source: Readable, layout: Layout, array: HostArray) -> None:
    """Read the rows into the array; `ValueError` if a color is none of the palette's."""
    import numpy as np

    rows = array if layout.top_down else array[::-1]
    if layout.runs:
        content = bytearray(layout.stored)
        _read(source, layout.offset, memoryview(content), len(content))
        indices = unpacked(bytes(content), layout)
        _color(indices, layout, rows)
        return
    step = max(1, _STRIP // layout.stride)
    memory = np.empty((min(step, layout.height), layout.stride), np.uint8)
    for first in range(0, layout.height, step):
        target = rows[first : first + step]
        strip = memory[: len(target)]
        least = strip.nbytes - (layout.stride - layout.row_bytes)  # the last may not be filled up
        _read(source, layout.offset + first * layout.stride, bytes_of(strip), least)
        _convert(strip, layout, target)


def _read(source: Readable, offset: int, memory: memoryview, least: int) -> None:
    if source.read_into(offset, memory) < least:
        raise ValueError("it ended while it was read")


def _convert(strip: HostArray, layout: Layout, target: HostArray) -> None:
    """Give the target the pixels of some stored rows."""
    import numpy as np

    if layout.bits == 24:
        _copy_swapped(strip[:, : layout.row_bytes].reshape(target.shape), target)
    elif layout.bits == 8:
        _color(strip[:, : layout.width], layout, target)
    elif layout.bits < 8:
        shifts = np.arange(8 - layout.bits, -1, -layout.bits, dtype=np.uint8)
        indices = strip[:, :, None] >> shifts & np.uint8(2**layout.bits - 1)
        _color(indices.reshape(len(strip), -1)[:, : layout.width], layout, target)
    else:
        _split(strip[:, : layout.row_bytes], layout, target)


def _color(indices: HostArray, layout: Layout, target: HostArray) -> None:
    import numpy as np

    colors = np.array(layout.palette, np.uint8)
    if len(colors) < 2**layout.bits and indices.max() >= len(colors):
        raise ValueError(f"a pixel has color {indices.max()} of a palette of {len(colors)}")
    if not layout.is_gray:
        target[...] = colors[indices]
    elif len(colors) == 256 and np.array_equal(colors[:, 0], np.arange(256)):
        target[...] = indices
    else:
        target[...] = colors[:, 0][indices]


def _split(strip: HostArray, layout: Layout, target: HostArray) -> None:
    """Give the target the channels of pixels of 16 or 32 bits, each scaled to 8 bits."""
    import numpy as np

    dtype = np.dtype("<u2" if layout.bits == 16 else "<u4")
    pixels = np.ascontiguousarray(strip).view(dtype)
    octets = strip.reshape(*pixels.shape, dtype.itemsize)
    for index, channel in enumerate(layout.channels):
        if channel.bits == 8 and channel.shift % 8 == 0:
            target[..., index] = octets[..., channel.shift // 8]
        else:
            most = np.uint32(2**channel.bits - 1)
            value = (pixels >> dtype.type(channel.shift)).astype(np.uint32) & most
            target[..., index] = value * np.uint32(255) // most


BMP_CODEC: Codec[HostArray] = Codec(format=BMP, encode=_encode, decode=_decode, open=None)
"""The record of BMP."""
