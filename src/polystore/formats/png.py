"""PNG through imagecodecs: images of 8 and 16 bits, gray or RGB, with alpha or without."""

from __future__ import annotations

import math
import struct

from attrs import frozen

from polystore.configs import PNG, PngOptions
from polystore.core.errors import StorageError
from polystore.core.item import Item, Metadata
from polystore.core.outcome import Failure, Outcome, catch, guard, is_successful
from polystore.core.payload import HostArray, Json, Payload
from polystore.core.records import Codec, Decoded, Encoded, Limits, Readable
from polystore.formats.pixels import (
    IMAGE_AXES,
    all_bytes,
    begins_with,
    dropped_from,
    lent,
    native,
    room_for,
)
from polystore.formats.quiet import quiet
from polystore.formats.refusals import cannot_hold, damaged, foreign, host_array, reason_of

__all__ = ["PNG_CODEC"]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"

_RATIO = 1032
"""How many bytes one stored byte can become at most: Deflate says 258 of them in 2 bits."""

_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}  # by color type; a palette is decoded to RGB

_SIDE_MAX = 1_000_000
"""Pixels. libpng takes no wider or higher image unless it is told to (PNG_USER_WIDTH_MAX)."""


def _encode(item: Item[Payload], options: object, /) -> Outcome[Encoded]:
    found = host_array(item, "PNG")
    if not is_successful(found):
        return Failure(found.failure())
    array = found.unwrap()
    how = options if isinstance(options, PngOptions) else PngOptions()
    problem = _problem(array, how)
    if problem is not None:
        return Failure(cannot_hold("PNG", *problem))
    dropped = dropped_from(item.metadata, IMAGE_AXES[array.ndim])
    from imagecodecs import png_encode

    with quiet():
        content = guard(
            lambda: png_encode(native(array), how.level),
            catch(RuntimeError, _unwritable),
            catch(ValueError, _unwritable),
        )
    return content.map(lambda it: Encoded((it,), len(it), dropped))


def _problem(array: HostArray, options: PngOptions) -> tuple[str, str] | None:
    """Say what of the array or the options PNG has no way to say, and what to do about it."""
    if array.dtype.char not in "BH":
        advice = "Scale it to uint8 or uint16 first, or save it as TIFF, .npy or in Zarr."
        return f"the dtype {array.dtype}", advice
    if array.ndim not in IMAGE_AXES or (array.ndim == 3 and array.shape[2] not in (2, 3, 4)):
        advice = "Save (y, x), or (y, x, 2 to 4) with alpha or colors; or use TIFF, .npy or Zarr."
        return f"an array of shape {array.shape}", advice
    if array.size == 0 or max(array.shape[:2]) > _SIDE_MAX:
        return f"an image of {array.shape[0]} x {array.shape[1]}", "Save it as .npy or in Zarr."
    # A bool is an int to Python.
    if type(options.level) is not int or options.level not in range(10):
        return f"compression at level {options.level!r}", "The level has to be from 0 to 9."
    return None


def _unwritable(error: Exception) -> StorageError:
    return cannot_hold("PNG", f"this array ({reason_of(error)})", "Save it as TIFF or .npy.")


@frozen
class _Claim:
    """What the chunks say before a pixel is decoded.

    The shape of the image, and the one that it has if its transparency turns out to be ill placed;
    its bits; the bytes of its rows and of the chunks that they come from; the number of frames (of
    an animation the first one, its still image, is decoded).
    """

    shape: tuple[int, ...]
    opaque: tuple[int, ...]
    bits: int
    unpacked: int
    stored: int
    frames: int


def _decode(source: Readable, limits: Limits, /) -> Outcome[Decoded[HostArray]]:
    import numpy as np

    if not begins_with(source, _SIGNATURE):
        return Failure(foreign("PNG", source))
    read = all_bytes("PNG", source, limits)
    if not is_successful(read):
        return Failure(read.failure())
    content = read.unwrap()
    claimed = guard(lambda: _claim(content), catch(ValueError, _damaged))
    if not is_successful(claimed):
        return Failure(claimed.failure())
    claim = claimed.unwrap()
    dtype = np.dtype(np.uint16 if claim.bits == 16 else np.uint8)
    nbytes = math.prod(claim.shape) * dtype.itemsize
    if claim.unpacked > _RATIO * (claim.stored + 1):
        reason = f"it claims {nbytes} bytes of pixels, which its {claim.stored} bytes cannot hold"
        return Failure(damaged("PNG", reason))
    room = room_for(claim.shape, dtype, limits)
    if not is_successful(room):
        return Failure(room.failure())
    return _decoded(content, room.unwrap(), claim)


def _decoded(content: bytearray, array: HostArray, claim: _Claim) -> Outcome[Decoded[HostArray]]:
    from imagecodecs import png_decode

    with quiet():
        decoded = guard(lambda: png_decode(content, out=lent(array)), *_FROM_IMAGECODECS)
        if not is_successful(decoded) and "invalid out.shape" in decoded.failure().message:
            # A tRNS chunk that is ill placed adds no channel after all.
            array = array.reshape(-1)[: math.prod(claim.opaque)].reshape(claim.opaque)
            decoded = guard(lambda: png_decode(content, out=lent(array)), *_FROM_IMAGECODECS)
    attributes: dict[str, Json] = {"frames": claim.frames} if claim.frames > 1 else {}
    metadata = Metadata(axes=IMAGE_AXES[array.ndim], attributes=attributes)
    return decoded.map(lambda _: Decoded(array, metadata))


def _damaged(error: Exception) -> StorageError:
    own = str(error).startswith("it")
    return damaged("PNG", str(error) if own else f"libpng cannot decode it ({reason_of(error)})")


_FROM_IMAGECODECS = (catch(RuntimeError, _damaged), catch(ValueError, _damaged))


def _claim(content: bytearray) -> _Claim:
    """Walk the chunks; `ValueError` with the reason if they are not those of a whole PNG."""
    if not content.startswith(b"\0\0\0\rIHDR", 8) or len(content) < 33:
        raise ValueError("it does not begin with its header")
    width, height, bits, color = struct.unpack_from(">IIBB", content, 16)
    if color not in _CHANNELS or bits not in (1, 2, 4, 8, 16) or width * height == 0:
        claim = f"{width} x {height} pixels of {bits} bits and color type {color}"
        raise ValueError(f"its header claims {claim}")
    stored, alpha, frames, kind = 0, 0, 1, b""
    position = len(_SIGNATURE)
    while kind != b"IEND":
        if position + 12 > len(content):
            raise ValueError("it ends before its last chunk")
        length, kind = struct.unpack_from(">I4s", content, position)
        if kind == b"IDAT":
            stored += length
        elif kind == b"tRNS" and color in (0, 2, 3):
            alpha = 1
        elif kind == b"acTL" and length == 8:
            (frames,) = struct.unpack_from(">I", content, position + 8)
        position += length + 12
    if position > len(content):
        raise ValueError("it ends in the middle of a chunk")
    channels = _CHANNELS[color]
    row = math.ceil(width * (1 if color == 3 else channels) * bits / 8)
    opaque = (height, width, channels) if channels > 1 else (height, width)
    shape = (height, width, channels + 1) if alpha else opaque
    return _Claim(shape, opaque, bits, row * height, stored, frames)


PNG_CODEC: Codec[HostArray] = Codec(
    format=PNG, encode=_encode, decode=_decode, open=None, options=PngOptions
)
"""The record of PNG."""
