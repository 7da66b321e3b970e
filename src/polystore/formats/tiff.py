"""TIFF, written with tifffile and read with its help: one array, its shape and axes."""

from __future__ import annotations

import math
import struct
from importlib import import_module
from typing import IO, Literal, cast

from attrs import frozen

from polystore.configs import TIFF, TiffOptions
from polystore.core.errors import UnsupportedPayload
from polystore.core.item import Item
from polystore.core.outcome import Failure, Outcome, catch, guard, is_successful
from polystore.core.payload import HostArray, Payload, bytes_of
from polystore.core.records import Codec, Encoded
from polystore.formats.refusals import cannot_hold, host_array, reason_of
from polystore.formats.stream import Recorder
from polystore.formats.tiffdecode import decode

__all__ = ["TIFF_CODEC"]

_DTYPES = frozenset("?bhilqBHILQefdFD")
"""NumPy's letters for what SampleFormat and BitsPerSample can say: to 64 bits, complex to 128."""

_CLASSIC_MAX = 2**32 - 2**25
"""Bytes. Beyond it tifffile writes a BigTIFF, whose offsets have 64 bits."""

_PAGE_BYTES = 2**9  # more than a page's directory takes, so that many small pages count, too

_COMPRESSIONS = {"deflate": 8, "lzw": 5, "packbits": 32773, "zstd": 50000}
_LEVELS = {"deflate": range(10), "zstd": range(-(2**17), 23)}  # zlib's, and Zstandard's

_BYTE_ORDERS: dict[str, Literal["<", ">"]] = {"<": "<", ">": ">"}  # and native for the others

_SAMPLES_MAX = 2**16 - 1  # of one pixel: SamplesPerPixel is a SHORT


def _encode(item: Item[Payload], options: object, /) -> Outcome[Encoded]:
    found = host_array(item, "TIFF")
    if not is_successful(found):
        return Failure(found.failure())
    array = found.unwrap()
    how = options if isinstance(options, TiffOptions) else TiffOptions()
    problem = _problem(array, how)
    if problem is not None:
        return Failure(cannot_hold("TIFF", *problem))
    axes = _letters(item.metadata.axes, array.ndim)
    present = item.metadata.present()
    dropped = tuple(name for name in present if name != "axes" or axes is None)
    return guard(
        lambda: _written(array, axes, how, dropped),
        catch(ValueError, _unwritable),
        catch(RuntimeError, _unwritable),
        catch(struct.error, _unwritable),
    )


def _unwritable(error: Exception) -> UnsupportedPayload:
    return cannot_hold("TIFF", f"this array ({reason_of(error)})", "Save it as .npy or in Zarr.")


def _problem(array: HostArray, options: TiffOptions) -> tuple[str, str] | None:
    """Say what of the array or the options TIFF has no way to say, and what to do about it."""
    if array.dtype.char not in _DTYPES:
        return f"the dtype {array.dtype}", "Convert it to numbers of up to 64 bits, or use .npy."
    if array.size == 0:
        return f"an empty array, of shape {array.shape}", "Save it as .npy or in Zarr."
    if any(length >= 2**32 for length in array.shape):
        return f"an axis of {max(array.shape)}", "Save it as .npy or in Zarr."
    if array.dtype.char == "?" and array.size == 1 and array.ndim < 2:
        return "a single bool without two axes", "Make it an image: array.reshape(1, 1)."
    if options.compression not in ("none", *_COMPRESSIONS):
        known = ", ".join(("none", *_COMPRESSIONS))
        return f"the compression {options.compression!r}", f"Choose one of {known}."
    levels = _LEVELS.get(options.compression, range(0))
    if options.level is not None and options.level not in levels:
        words = f"from {levels[0]} to {levels[-1]}" if levels else "None"
        what = f"compression {options.compression!r} at level {options.level}"
        return what, f"The level has to be {words}."
    return None


def _letters(axes: tuple[str, ...], ndim: int) -> str | None:
    """Give the axes as the letters that tifffile keeps, or `None` if it cannot keep them."""
    letters = "".join(axes).upper()  # of which it reads S as samples, and Q and I as not known
    single = all(len(name) == 1 and name.isascii() and name.islower() for name in axes)
    known = single and len(set(letters)) == len(letters) == ndim and not set("QIS") & set(letters)
    return letters if known and letters else None


@frozen
class _Layout:
    """How tifffile is to lay an array out: in how many pages, and what the last axis is."""

    photometric: Literal["minisblack", "rgb"] | None
    planarconfig: Literal["contig"] | None
    pages: int


def _layout(array: HostArray, axes: str | None) -> _Layout:
    """Choose the layout. What tifffile would guess, and warn that it will cease to, is said here.

    A last axis of 3 or 4, or one that is named `c`, is the samples of a pixel: RGB for 8 and 16
    bits unsigned, as viewers expect. Any other array is a sequence of gray pages.
    """
    if array.ndim < 3 or array.dtype.char == "?":
        return _Layout(None, None, math.prod(array.shape[:-2]))  # there is nothing to guess
    last = array.shape[-1]
    is_samples = last in (3, 4) if axes is None else axes[-1] == "C"
    if not is_samples or not 1 < last <= _SAMPLES_MAX:
        return _Layout("minisblack", None, math.prod(array.shape[:-2]))
    is_color = array.dtype.char in "BH" and last in (3, 4)
    return _Layout("rgb" if is_color else "minisblack", "contig", math.prod(array.shape[:-3]))


def _written(
    array: HostArray, axes: str | None, options: TiffOptions, dropped: tuple[str, ...]
) -> Encoded:
    """Write with tifffile; samples that it would not change stay in the array's own memory."""
    import numpy as np
    from tifffile import TiffWriter

    array = np.asarray(array, order="C")
    layout = _layout(array, axes)
    as_is = options.compression == "none" and array.dtype.char != "?"
    if options.compression != "none":
        import_module("imagecodecs")  # or else tifffile would fall back on less

    if array.size == 1 and array.ndim > 4:
        # tifffile fails to make up axes for such an array; `Q` is its letter for "not known".
        axes = axes or "Q" * (array.ndim - 2) + "YX"
    recorder = Recorder()
    with TiffWriter(
        cast("IO[bytes]", recorder),
        bigtiff=array.nbytes + _PAGE_BYTES * layout.pages > _CLASSIC_MAX,
        byteorder=_BYTE_ORDERS.get(array.dtype.byteorder),
    ) as writer:
        place = writer.write(
            None if as_is else array,  # a hole as large as the array, or the array
            shape=array.shape,
            dtype=array.dtype,
            photometric=layout.photometric,
            planarconfig=layout.planarconfig,
            compression=_COMPRESSIONS.get(options.compression),
            compressionargs={} if options.level is None else {"level": options.level},
            metadata={} if axes is None else {"axes": axes},
            returnoffset=True,
        )
    if as_is and place is not None:
        buffers = tuple(recorder.buffers(place[0], bytes_of(array)))
    else:
        buffers = tuple(recorder.buffers())
    return Encoded(buffers, recorder.size, dropped)


TIFF_CODEC: Codec[HostArray] = Codec(
    format=TIFF, encode=_encode, decode=decode, open=None, options=TiffOptions
)
"""The record of TIFF."""
