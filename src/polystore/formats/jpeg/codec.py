"""JPEG through imagecodecs, which is libjpeg-turbo: 8-bit images, whose values change when saved.

What is read is what libjpeg gives: YCbCr as RGB, CMYK as it is stored (Adobe's programs store it
inverted), 12-bit and lossless images of more than 8 bits as uint16. The orientation that a camera
notes in EXIF is not applied: pixels stay where they are stored.
"""

from __future__ import annotations

from typing import get_args

from polystore.configs import JPEG, JpegOptions, Subsampling
from polystore.core.errors import Lossy, StorageError, TooLarge
from polystore.core.item import Item, Metadata
from polystore.core.outcome import Failure, Outcome, catch, guard, is_successful
from polystore.core.payload import HostArray, Payload
from polystore.core.records import Codec, Decoded, Encoded, Limits, Readable
from polystore.formats.jpeg.markers import Claim, claim_of
from polystore.formats.pixels import (
    IMAGE_AXES,
    all_bytes,
    begins_with,
    dropped_from,
    native,
    room_for,
)
from polystore.formats.quiet import quiet
from polystore.formats.refusals import cannot_hold, damaged, foreign, host_array, reason_of

__all__ = ["JPEG_CODEC"]

_SIGNATURE = b"\xff\xd8\xff"

_SIDE_MAX = 65500
"""Pixels. libjpeg takes no wider or higher image unless it was built to (JPEG_MAX_DIMENSION)."""

_SUBSAMPLINGS = get_args(Subsampling)

_INKS = ("C", "M", "Y", "K")


def _encode(item: Item[Payload], options: object, /) -> Outcome[Encoded]:
    found = host_array(item, "JPEG")
    if not is_successful(found):
        return Failure(found.failure())
    array = found.unwrap()
    how = options if isinstance(options, JpegOptions) else None
    problem = _image_problem(array) or (_options_problem(how) if how is not None else None)
    if problem is not None:
        return Failure(cannot_hold("JPEG", *problem))
    if how is None:
        return Failure(_lossy())
    dropped = dropped_from(item.metadata, IMAGE_AXES[array.ndim])
    sampling = how.subsampling.replace(":", "")
    from imagecodecs import jpeg8_encode

    with quiet():
        content = guard(
            lambda: jpeg8_encode(native(array), how.quality, subsampling=sampling),
            catch(RuntimeError, _unwritable),
            catch(ValueError, _unwritable),
        )
    return content.map(lambda it: Encoded((it,), len(it), dropped))


def _image_problem(array: HostArray) -> tuple[str, str] | None:
    """Say what of the array JPEG has no way to say, and what to do about it."""
    if array.dtype.char != "B":
        advice = "Scale it to uint8 first, or save it as TIFF, .npy or in Zarr."
        return f"the dtype {array.dtype}", advice
    if array.ndim not in IMAGE_AXES or (array.ndim == 3 and array.shape[2] != 3):
        advice = "Save (y, x), or (y, x, 3) with colors; or use TIFF, .npy or Zarr."
        return f"an array of shape {array.shape}", advice
    if array.size == 0 or max(array.shape[:2]) > _SIDE_MAX:
        advice = "Save it as TIFF, .npy or in Zarr."
        return f"an image of {array.shape[0]} x {array.shape[1]}", advice
    return None


def _options_problem(options: JpegOptions) -> tuple[str, str] | None:
    # A bool is an int to Python, and libjpeg would take 200 for 100.
    if type(options.quality) is not int or not 1 <= options.quality <= 100:
        return f"quality {options.quality!r}", "The quality has to be a whole number from 1 to 100."
    if options.subsampling not in _SUBSAMPLINGS:
        advice = f"It has to be one of {', '.join(_SUBSAMPLINGS)}."
        return f"the subsampling {options.subsampling!r}", advice
    return None


def _lossy() -> Lossy:
    return Lossy(
        "",
        None,
        "JPEG would change the values of the image.",
        "Say that they may change, as in options=JpegOptions(quality=95); "
        "or save it as PNG or TIFF, which keep every value.",
    )


def _unwritable(error: Exception) -> StorageError:
    return cannot_hold("JPEG", f"this array ({reason_of(error)})", "Save it as TIFF or .npy.")


def _decode(source: Readable, limits: Limits, /) -> Outcome[Decoded[HostArray]]:
    import numpy as np

    if not begins_with(source, _SIGNATURE):
        return Failure(foreign("JPEG", source))
    read = all_bytes("JPEG", source, limits)
    if not is_successful(read):
        return Failure(read.failure())
    content = read.unwrap()
    claimed = guard(lambda: claim_of(content), catch(ValueError, _untrue))
    if not is_successful(claimed):
        return Failure(claimed.failure())
    claim = claimed.unwrap()
    dtype = np.dtype(np.uint8 if claim.bits <= 8 else np.uint16)
    room = room_for(claim.shape, dtype, limits, claim.beside)
    if not is_successful(room):
        return Failure(room.failure())
    return _decoded(content, room.unwrap(), claim)


def _decoded(content: bytearray, array: HostArray, claim: Claim) -> Outcome[Decoded[HostArray]]:
    from imagecodecs import jpeg8_decode

    with quiet():
        done = guard(
            lambda: jpeg8_decode(content, out=array),
            catch(RuntimeError, _undecodable),
            catch(ValueError, _undecodable),
        )
    inks = _INKS if claim.shape[2:] == (4,) else ()
    metadata = Metadata(axes=IMAGE_AXES[array.ndim], channel_names=inks)
    return done.map(lambda _: Decoded(array, metadata))


def _untrue(error: Exception) -> StorageError:
    return damaged("JPEG", str(error))


def _undecodable(error: Exception) -> StorageError:
    if "nsufficient memory" in str(error):
        message = "libjpeg got no memory to decode it."
        return TooLarge("", None, message, "Load it on a larger machine.")
    return damaged("JPEG", f"libjpeg cannot decode it ({reason_of(error)})")


JPEG_CODEC: Codec[HostArray] = Codec(
    format=JPEG, encode=_encode, decode=_decode, open=None, options=JpegOptions
)
"""The record of JPEG."""
