"""`.tf`, one tensor as TensorFlow serialises it: the `TensorProto` of `tf.io.serialize_tensor`.

The message is TensorFlow's `core/framework/tensor.proto` in the wire format of protocol buffers: a
dtype, a shape, and the elements in C order and little-endian. It is written and read here without
TensorFlow: the elements from the array's own memory, and into one aligned array. The other way in
which `tf.make_tensor_proto` writes elements, in fields by their type, is read too.
"""

from __future__ import annotations

import math
import sys

from attrs import frozen

from polystore.configs import TF
from polystore.core.dtypes import numpy_dtype
from polystore.core.errors import Corrupt, TooLarge
from polystore.core.item import Item
from polystore.core.outcome import Failure, Outcome, Success, and_then, catch, guard, is_successful
from polystore.core.payload import HostArray, Payload, bytes_of
from polystore.core.records import Codec, Decoded, Encoded, FileFormat, Limits, Readable
from polystore.formats.refusals import (
    allocated,
    cannot_hold,
    damaged,
    foreign,
    host_array,
    over_limit,
)
from polystore.formats.tf.values import (
    STRINGS,
    fill_from_field,
    read_varint,
    size_of_strings,
    strings_of,
    varint,
)

__all__ = ["TF_HOST_CODEC"]

_NAME = "serialised tensor"

_NAMES = (
    *("float32", "float64", "int32", "uint8", "int16", "int8", "string", "complex64", "int64"),
    *("bool", "qint8", "quint8", "qint32", "bfloat16", "qint16", "quint16", "uint16"),
    *("complex128", "float16", "resource", "variant", "uint32", "uint64", "float8_e5m2"),
    *("float8_e4m3fn", "float8_e4m3fnuz", "float8_e4m3b11fnuz", "float8_e5m2fnuz", "int4"),
    *("uint4", "int2", "uint2", "float4_e2m1fn"),
)
"""The dtypes of TensorFlow's `types.proto`, which numbers them from 1."""

_NO_PLAIN_ELEMENTS = ("resource", "variant")

_CODES = {name: code for code, name in enumerate(_NAMES, 1) if name not in _NO_PLAIN_ELEMENTS}

_STRING = "string"

# Tags: the field's number times 8, plus 0 for an integer and 2 for bytes with their length.
_DTYPE, _SHAPE, _CONTENT = b"\x08", b"\x12", b"\x22"
_DIM, _SIZE = b"\x12", b"\x08"  # within the shape, and within an axis

_HEAD = 1024
"""Bytes. The header of 64 axes, the most that NumPy has, is shorter."""

_MESSAGE_MAX = 2**31 - 1
"""Bytes. No message of protocol buffers is longer."""

_AXES_MAX = 64  # NumPy's `NPY_MAXDIMS`

_WIDEST = 16
"""Bytes that one byte of a file becomes at most, where each element is written."""

_REPEATED_MAX = 2**26
"""Bytes. One element, of a few bytes in the file, is not repeated to a larger array."""

_SMALL = 2**20
"""Bytes. No file is too large to be read below it, whatever is allowed for what it holds."""


@frozen
class _Header:
    """What stands before the elements.

    Its length; the dtype's name; the shape; the tag of the field that holds the elements, and how
    many bytes that claims to have.
    """

    length: int
    name: str
    shape: tuple[int, ...]
    tag: bytes
    claimed: int


def _encode(item: Item[Payload], _options: object, /) -> Outcome[Encoded]:
    import numpy as np

    found = host_array(item, "A serialised tensor")
    if not is_successful(found):
        return Failure(found.failure())
    array = found.unwrap()
    named = _name_of(array)
    if not is_successful(named):
        return Failure(named.failure())
    header = _header(named.unwrap(), array.shape)
    strings = array.dtype.hasobject
    if strings:
        size = sum(len(varint(len(text))) + len(text) + 1 for text in array.flat)
    else:
        size = array.nbytes
        header += _CONTENT + varint(size) if size else b""
    nbytes = len(header) + size
    if nbytes > _MESSAGE_MAX:
        advice = "Save it as .npy or .safetensors, or in Zarr; or save parts of it."
        return Failure(cannot_hold("A serialised tensor", f"{nbytes} bytes: 2 GiB is all", advice))
    if strings:
        content = memoryview(b"".join(STRINGS + varint(len(it)) + it for it in array.flat))
    else:
        content = bytes_of(np.ascontiguousarray(array, array.dtype.newbyteorder("<")))
    return Success(Encoded((header, content), nbytes, item.metadata.present()))


def _name_of(array: HostArray) -> Outcome[str]:
    """Give TensorFlow's name of the array's dtype, or `UnsupportedPayload`."""
    dtype = array.dtype
    native = dtype if dtype.isnative else dtype.newbyteorder("=")
    if dtype.kind == "O" and all(type(text) is bytes for text in array.flat):
        return Success(_STRING)
    name = dtype.names[0] if dtype.names else native.name
    # By name, for `ulonglong`; and NumPy has a `string` of its own, which is another.
    if name in _CODES and name != _STRING and native == numpy_dtype(name):
        return Success(name)
    if dtype.kind in "SU":
        advice = "Make it an array of bytes objects first: array.astype('S').astype(object)."
    else:
        advice = "Make numbers of it first, or save it as .npy."
    what = "Python objects but bytes" if dtype.hasobject else f"the dtype {str(dtype)[:80]}"
    return Failure(cannot_hold("A serialised tensor", what, advice))


def _header(name: str, shape: tuple[int, ...]) -> bytes:
    dims = (_SIZE + varint(length) if length else b"" for length in shape)
    described = b"".join(_DIM + varint(len(dim)) + dim for dim in dims)
    return _DTYPE + varint(_CODES[name]) + _SHAPE + varint(len(described)) + described


def _decode(source: Readable, limits: Limits, /) -> Outcome[Decoded[HostArray]]:
    head = bytearray(min(source.size, _HEAD))
    first = bytes(head[: source.read_into(0, memoryview(head))])
    if first[:1] != _DTYPE or first[2:3] != _SHAPE or not 0 < first[1] <= len(_NAMES):
        return Failure(foreign(_NAME, source))
    return and_then(
        guard(lambda: _parse(first), *_FROM_PARSING),
        lambda header: _elements(source, limits, header),
    )


def _parse(first: bytes) -> _Header:
    """Give what stands before the elements; `ValueError` with the reason if it is not whole."""
    size, at = read_varint(first, 3)
    end = at + size
    if end > len(first):
        raise ValueError(f"it claims {size} bytes for its shape")
    shape: list[int] = []
    while at < end:
        length, at = _axis(first, at)
        shape.append(length)
    if at != end or len(shape) > _AXES_MAX:
        raise ValueError(f"its shape is not of up to {_AXES_MAX} lengths")
    name = _NAMES[first[1] - 1]
    width = 2 if first[end : end + 1] > b"\x7f" else 1
    tag = first[end : end + width]
    claimed, start = (0, end) if tag in (b"", STRINGS) else read_varint(first, end + width)
    return _Header(start, name, tuple(shape), tag, claimed)


def _axis(first: bytes, at: int) -> tuple[int, int]:
    """Give the length of the axis at a position, and the position after it."""
    size, inner = read_varint(first, at + 1)
    if first[at : at + 1] != _DIM or (size and first[inner : inner + 1] != _SIZE):
        raise ValueError("its shape is not one of plain lengths")
    length, after = read_varint(first, inner + 1) if size else (0, inner)
    if after != inner + size:
        raise ValueError("its shape is not one of plain lengths")
    return length, after


def _elements(source: Readable, limits: Limits, header: _Header) -> Outcome[Decoded[HostArray]]:
    """Read the elements, which are all that follows the header."""
    if header.name in _NO_PLAIN_ELEMENTS:
        advice = "Read it with tf.io.parse_tensor, and save what it stands for."
        message = f"This tensor has the dtype {header.name}, whose elements only TensorFlow reads."
        return Failure(Corrupt("", None, message, advice))
    following = source.size - header.length
    if header.name == _STRING:
        return _strings(source, limits, header, following)
    dtype = numpy_dtype(header.name)
    needed = math.prod(header.shape) * dtype.itemsize
    # NumPy counts the other axes of an array without elements, too.
    if math.prod(filter(None, header.shape)) * dtype.itemsize > sys.maxsize:
        return Failure(damaged(_NAME, "no array can be as large as its shape says"))
    if header.claimed != following:
        reason = f"it claims {header.claimed} bytes of elements, and {following} follow"
        return Failure(damaged(_NAME, reason))
    if header.tag in (_CONTENT, b"") and following != needed:
        reason = f"its shape takes {needed} bytes, and it has {following}"
        return Failure(damaged(_NAME, reason))
    refused = over_limit(max(needed, following if following > _SMALL else 0), limits)
    if refused is None and needed > max(following * _WIDEST, _REPEATED_MAX):
        message = f"It is one element, for all of an array of {needed} bytes."
        refused = TooLarge("", None, message, "Save the array whole: tf.io.serialize_tensor.")
    if refused is not None:
        return Failure(refused)
    room = allocated(header.shape, dtype)
    return and_then(room, lambda array: _filled(source, header, array))


def _strings(
    source: Readable, limits: Limits, header: _Header, following: int
) -> Outcome[Decoded[HostArray]]:
    count = math.prod(header.shape)
    if count * 2 > following:  # a tag and a length each
        return Failure(damaged(_NAME, f"its {following} bytes cannot be {count} strings"))
    too_large = over_limit(size_of_strings(count, following), limits)
    if too_large is not None:
        return Failure(too_large)
    content = bytearray(following)
    if source.read_into(header.length, memoryview(content)) != following:
        return Failure(damaged(_NAME, "it ended while it was read"))
    found = guard(lambda: strings_of(bytes(content), header.shape), *_FROM_PARSING)
    return found.map(Decoded)


def _filled(source: Readable, header: _Header, array: HostArray) -> Outcome[Decoded[HostArray]]:
    """Fill the array from the bytes that follow the header."""
    whole = header.tag in (_CONTENT, b"")
    content = bytes_of(array) if whole else memoryview(bytearray(header.claimed))
    if content and source.read_into(header.length, content) != len(content):
        return Failure(damaged(_NAME, "it ended while it was read"))
    if whole:
        return Success(Decoded(array))

    def filled() -> Decoded[HostArray]:
        fill_from_field(array, header.name, header.tag, content)
        return Decoded(array)

    return guard(filled, *_FROM_PARSING)


_FROM_PARSING = (catch(ValueError, lambda error: damaged(_NAME, str(error))),)
"""The parsers raise it with a sentence of their own."""

TF_HOST_CODEC: Codec[HostArray] = Codec(
    format=FileFormat(TF.name, TF.suffixes), encode=_encode, decode=_decode, open=None
)
"""The codec of `.tf` whose load gives host arrays. The record of the format hands them over."""
