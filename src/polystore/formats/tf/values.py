"""Elements of a serialised tensor in a field by their type, as `tf.make_tensor_proto` writes few.

The fields are those of TensorFlow's `core/framework/tensor.proto`. Numbers of a fixed width lie one
after the other, as in an array; whole numbers take 7 bits a byte, low ones first (`varint`).
"""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from polystore.core.payload import HostArray

__all__ = ["STRINGS", "fill_from_field", "read_varint", "size_of_strings", "strings_of", "varint"]

_FIXED = {
    b"\x2a": ("float32",),
    b"\x32": ("float64",),
    b"\x4a": ("complex64",),
    b"\x62": ("complex128",),
    b"\x92\x01": ("float8_e5m2", "float8_e4m3fn", "float4_e2m1fn"),
}
"""Tags of the fields whose bytes are the array's own, and the dtypes that each is of."""

_VARINTS = {
    b"\x3a": (
        *("int32", "int16", "int8", "uint16", "uint8", "int4", "uint4", "int2", "uint2"),
        *("qint32", "qint16", "qint8", "quint16", "quint8"),
    ),
    b"\x52": ("int64",),
    b"\x5a": ("bool",),
    b"\x6a": ("float16", "bfloat16"),
    b"\x82\x01": ("uint32",),
    b"\x8a\x01": ("uint64",),
}
"""Tags of the fields of whole numbers, and the dtypes that each is of; halves by their bits."""

STRINGS = b"\x42"
"""The tag before each string."""

_PIECE = 2**20
"""Bytes that are unpacked at a time, so that what it takes is not many times the file."""

_LONGEST = 10  # bytes of 64 bits, 7 in each


def varint(number: int) -> bytes:
    r"""Give a number as 7 bits a byte, the low ones first; the top bit says that more follow.

    >>> varint(300)
    b'\xac\x02'
    """
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)


def read_varint(content: bytes | memoryview, at: int) -> tuple[int, int]:
    r"""Give the number at a position, and the position after it; `ValueError` if it is none.

    >>> read_varint(b"\x08\xac\x02", 1)
    (300, 3)
    """
    number = 0
    for shift in range(0, 63, 7):
        if at >= len(content):
            raise ValueError("it ends in the middle of a number")
        byte = content[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            if not byte and shift:
                raise ValueError("it has a number with needless bytes")
            return number, at
    raise ValueError("it has a length of more than 63 bits")


def fill_from_field(array: HostArray, name: str, tag: bytes, content: memoryview) -> None:
    """Fill the array, whose dtype TensorFlow calls `name`, from what follows a field's tag.

    One element fills it all. `ValueError` with the reason if there are not as many as the array
    has, or if one is not of its dtype.
    """
    if name in _FIXED.get(tag, ()):
        _fill_from_fixed(array, content)
    elif name in _VARINTS.get(tag, ()):
        _fill_from_varints(array, content)
    else:
        raise ValueError(f"it has its elements in a field that is not of {name}")


def _fill_from_fixed(array: HostArray, content: memoryview) -> None:
    import numpy as np

    if len(content) not in (array.itemsize, array.nbytes):
        raise ValueError(f"it has {len(content)} bytes, and its shape takes {array.nbytes}")
    array[...] = np.frombuffer(content, array.dtype).reshape(
        array.shape if len(content) == array.nbytes else ()
    )


def _fill_from_varints(array: HostArray, content: memoryview) -> None:
    import numpy as np

    octets = np.frombuffer(content, np.uint8)
    count = int(np.count_nonzero(octets < 0x80))
    if not array.size or count not in (1, array.size) or octets[-1] >= 0x80:
        raise ValueError(f"it has {count} whole numbers, and its shape takes {array.size}")
    flat, at = array.reshape(-1), 0
    for piece in _pieces(octets):
        numbers = _unpacked(piece)
        flat[at : at + len(numbers)] = _of_dtype(numbers, array.dtype)
        at += len(numbers)
    flat[at:] = flat[:1]


def _pieces(octets: np.ndarray[Any, np.dtype[np.uint8]]) -> Iterator[HostArray]:
    """Give the bytes in pieces, each of which ends with a number."""
    start = 0
    while start < len(octets):
        end = min(start + _PIECE, len(octets))
        while end < len(octets) and octets[end - 1] >= 0x80:
            end += 1
        yield octets[start:end]
        start = end


def _unpacked(octets: HostArray) -> HostArray:
    import numpy as np

    ends = np.flatnonzero(octets < 0x80)
    starts = np.concatenate(([0], ends[:-1] + 1))
    lengths = ends - starts + 1
    if lengths.max() > _LONGEST:
        raise ValueError("it has a whole number of more than 64 bits")
    numbers = np.zeros(len(ends), np.uint64)
    for place in range(lengths.max()):
        longer = lengths > place
        groups = octets[starts[longer] + place].astype(np.uint64) & np.uint64(0x7F)
        numbers[longer] |= groups << np.uint64(7 * place)
    return numbers


def _of_dtype(numbers: HostArray, dtype: np.dtype[Any]) -> HostArray:
    """Give unsigned 64-bit numbers as elements of a dtype; `ValueError` if one does not fit."""
    import numpy as np

    if dtype.kind == "f" or dtype.name == "bfloat16":
        return _of_dtype(numbers, np.dtype(np.uint16)).view(dtype)
    if dtype.names:
        return _of_dtype(numbers, dtype[0]).view(dtype)
    # Negative numbers are written as the 64-bit ones with the same bits.
    signed = dtype.name.startswith("int")
    wide = numbers.view(np.int64) if signed else numbers
    small = wide.astype(dtype)
    if not (small.astype(wide.dtype) == wide).all():
        raise ValueError(f"it has a number that is no {dtype}")
    return small


def strings_of(content: bytes, shape: tuple[int, ...]) -> HostArray:
    """Give the strings, each after its tag and length; `ValueError` if they are not of the shape.

    One string does not stand for all: what was cut after the first would pass.
    """
    import numpy as np

    array = np.empty(math.prod(shape), object)
    at = 0
    for index in range(array.size):
        if content[at : at + 1] != STRINGS:
            raise ValueError(f"it has {index} strings, and its shape takes {array.size}")
        length, start = read_varint(content, at + 1)
        at = start + length
        if at > len(content):
            raise ValueError("it ends in the middle of a string")
        array[index] = content[start:at]
    if at != len(content):
        raise ValueError(f"{len(content) - at} bytes follow its strings")
    return array.reshape(shape)


def size_of_strings(count: int, nbytes: int) -> int:
    """Give the bytes that strings take in memory: their content, and an object for each."""
    return count * (8 + sys.getsizeof(b"")) + nbytes
