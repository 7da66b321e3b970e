"""`.npy`, NumPy's own format: one array, its dtype and its memory order, and no metadata.

The header is NumPy's to write and to parse (`numpy.lib.format`); the elements are read into one
aligned array, and written from the array's own memory.
"""

from __future__ import annotations

import io
import math
import tokenize
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

from polystore.configs import NPY
from polystore.core.errors import Corrupt, TooLarge, UnsupportedPayload
from polystore.core.item import Item
from polystore.core.outcome import Failure, Outcome, Success, catch, guard, is_successful
from polystore.core.payload import HostArray, Payload, aligned_empty, bytes_of, is_host_array
from polystore.core.records import Codec, Decoded, Encoded, Limits, Readable

if TYPE_CHECKING:
    import numpy as np

__all__ = ["NPY_CODEC"]

Header: TypeAlias = "tuple[tuple[int, ...], bool, np.dtype[Any]]"
"""Shape, Fortran order, dtype."""

MAGIC = b"\x93NUMPY"

HEADER_MAX = 10_000
"""Bytes. NumPy parses no longer header unless told to trust the file (its `max_header_size`)."""

_FIRST_READ = 1024  # holds the header of every array without a large structured dtype


def _encode(item: Item[Payload], _options: object, /) -> Outcome[Encoded]:
    import numpy as np

    array = item.payload
    if not is_host_array(array):
        return _cannot(f"a {type(array).__name__}", "Save arrays as .npy, JSON or text as such.")
    if array.dtype.hasobject:
        return _cannot("Python objects", "Make it an array of numbers, strings or records first.")
    if np.lib.format.descr_to_dtype(np.lib.format.dtype_to_descr(array.dtype)) != array.dtype:
        return _cannot(f"the dtype {array.dtype}", "Convert it to a dtype of NumPy's own first.")
    if not _names_are_latin(array.dtype):
        return Success(_encoded_by_numpy(array, item.metadata.present()))
    fortran = array.flags.f_contiguous and not array.flags.c_contiguous
    # The memory is written as it lies; a strided view has to be copied once.
    content = bytes_of(np.ascontiguousarray(array.T if fortran else array))
    header = _header(array.shape, fortran, array.dtype)
    return Success(Encoded((header, content), len(header) + len(content), item.metadata.present()))


def _cannot(what: str, advice: str) -> Outcome[Encoded]:
    return Failure(UnsupportedPayload("", None, f".npy cannot hold {what}.", advice))


@lru_cache(maxsize=256)
def _header(shape: tuple[int, ...], fortran: bool, dtype: np.dtype[Any]) -> bytes:
    """Write the header, in the oldest of the three versions of the format that can say it."""
    import numpy as np

    descr = np.lib.format.dtype_to_descr(dtype)
    fields = {"descr": descr, "fortran_order": fortran, "shape": shape}
    stream = io.BytesIO()
    try:
        np.lib.format.write_array_header_1_0(stream, fields)
    except ValueError:  # longer than 64 KiB
        stream = io.BytesIO()
        np.lib.format.write_array_header_2_0(stream, fields)
    return stream.getvalue()


def _names_are_latin(dtype: np.dtype[Any]) -> bool:
    try:
        str(dtype).encode("latin-1")
    except UnicodeEncodeError:
        return False
    return True


def _encoded_by_numpy(array: HostArray, dropped: tuple[str, ...]) -> Encoded:
    """Field names beyond Latin-1 need version 3, of which NumPy writes and reads only whole files."""
    import numpy as np

    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, allow_pickle=False)
    return Encoded((stream.getbuffer(),), stream.getbuffer().nbytes, dropped)


def _decoded_by_numpy(source: Readable) -> Outcome[Decoded[HostArray]]:
    import numpy as np

    content = bytearray(source.size)
    source.read_into(0, memoryview(content))
    stream = io.BytesIO(content)
    read = guard(
        lambda: np.lib.format.read_array(stream, False, max_header_size=HEADER_MAX), *_CATCHES
    )
    return read.map(lambda array: Decoded(array))


def _decode(source: Readable, limits: Limits, /) -> Outcome[Decoded[HostArray]]:
    header = _read_header(source)
    if header.startswith(MAGIC + b"\x03") and source.size <= limits.max_bytes:
        return _decoded_by_numpy(source)
    parsed = _parsed(header)
    if not is_successful(parsed):
        return Failure(parsed.failure())
    shape, fortran, dtype = parsed.unwrap()
    nbytes = math.prod(shape) * dtype.itemsize
    if nbytes > limits.max_bytes:
        return Failure(
            TooLarge(
                "",
                None,
                f"The header claims {nbytes} bytes, and the limit is {limits.max_bytes}.",
                "If you trust the file, raise max_bytes in the config.",
            )
        )
    surplus = source.size - len(header) - nbytes
    if surplus != 0:
        words = f"{-surplus} bytes are missing" if surplus < 0 else f"{surplus} bytes too many"
        return _corrupt(f"its header and its size do not agree: {words}")
    array = aligned_empty(shape[::-1] if fortran else shape, dtype)
    if source.read_into(len(header), bytes_of(array)) != nbytes:
        return _corrupt("it ended while it was read")
    return Success(Decoded(array.T if fortran else array))


def _corrupt(reason: str) -> Outcome[Any]:
    return Failure(
        Corrupt(
            "", None, f"This is no whole .npy file: {reason}.", "Write it again from its source."
        )
    )


_CATCHES = tuple(
    catch(kind, lambda error: _corrupt(f"its header is damaged ({error})").failure())
    for kind in (
        ValueError,
        TypeError,
        SyntaxError,
        RecursionError,
        MemoryError,
        OverflowError,
        tokenize.TokenError,
    )
)
"""What NumPy's parser raises on bytes that are no header."""


def _read_header(source: Readable) -> bytes:
    """Give the bytes of the header, or fewer where there is none."""
    first = bytearray(min(source.size, _FIRST_READ))
    count = source.read_into(0, memoryview(first))
    width = 2 if first[6:7] == bytes([1]) else 4
    length = 8 + width + int.from_bytes(first[8 : 8 + width], "little")
    if length > count and count == _FIRST_READ and length <= HEADER_MAX + 12:
        first = bytearray(min(source.size, length))
        source.read_into(0, memoryview(first))
    return bytes(first[:length])


# The arrays of one plate share a header, and parsing one costs more than reading a small file.
@lru_cache(maxsize=256)
def _parsed(header: bytes) -> Outcome[Header]:
    if not header.startswith(MAGIC):
        return _corrupt("it does not begin as one")
    found = guard(lambda: _parse(header), *_CATCHES)
    if is_successful(found):
        shape, _, dtype = found.unwrap()
        if dtype.hasobject:
            return _corrupt("it holds pickled Python objects, which could run any code when loaded")
        if any(length < 0 for length in shape):
            return _corrupt(f"its shape {shape} is negative")
    return found


def _parse(header: bytes) -> Header:
    """Parse a header with NumPy; raises what NumPy raises on a bad one."""
    import numpy as np

    stream = io.BytesIO(header)
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(stream, HEADER_MAX)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(stream, HEADER_MAX)
    raise ValueError(f"version {version}")


NPY_CODEC: Codec[HostArray] = Codec(format=NPY, encode=_encode, decode=_decode, open=None)
"""The record of `.npy`."""
