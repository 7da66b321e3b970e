"""safetensors: arrays by their names, bfloat16 and float8 too, and all metadata.

The file is eight bytes that say how long the header is, the header as JSON, and then the elements
of each array in C order and little-endian, without gaps (the specification is the README of the
`safetensors` library). That library makes one piece of memory of all that; here the arrays' own
memory is written, and read into. What either writes, the other reads.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from attrs import evolve, field, frozen

from polystore.configs import SAFETENSORS
from polystore.core.errors import StorageError, TooLarge
from polystore.core.item import Item
from polystore.core.outcome import Failure, Outcome, Success, and_then, catch, guard, is_successful
from polystore.core.payload import HostArray, Payload, bytes_of
from polystore.core.records import Codec, Decoded, Encoded, Limits, Readable
from polystore.formats.refusals import (
    allocated,
    cannot_hold,
    damaged,
    foreign,
    host_array,
    kind_of,
    over_limit,
    reason_of,
)
from polystore.formats.safetensors.text import is_unicode, metadata_of, texts_of

if TYPE_CHECKING:
    import numpy as np

__all__ = ["SAFETENSORS_CODEC"]

Arrays: TypeAlias = Mapping[str, HostArray]

_NAME = "safetensors file"
_METADATA = "__metadata__"
_LENGTH = 8  # bytes of the header's length, little-endian

_SPECIFIED = 100_000_000
"""Bytes. What claims a longer header is none of this format (the library's `MAX_HEADER_SIZE`)."""

_HEADER_MAX = 2**24
"""Bytes: of some 150,000 arrays. A longer header would take many seconds to read."""

_GROWTH = 40
"""Bytes of Python objects that one byte of JSON can become: measured 30, on empty objects."""

_SMALL = 2**20
"""Bytes. A header is read below it, whatever is allowed for the arrays."""

_DTYPES = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "U16": "uint16",
    "I16": "int16",
    "F16": "float16",
    "U32": "uint32",
    "I32": "int32",
    "F32": "float32",
    "U64": "uint64",
    "I64": "int64",
    "F64": "float64",
    "C64": "complex64",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2": "float8_e5m2",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
    "F8_E8M0": "float8_e8m0fnu",
}
"""The format's words, and what NumPy and `ml_dtypes` call the same (the library's `Dtype`)."""

_WORDS = {name: word for word, name in _DTYPES.items()}
_PACKED = ("F4", "F6_E2M3", "F6_E3M2")  # several elements share a byte


def _encode(item: Item[Payload], _options: object, /) -> Outcome[Encoded]:
    found = _arrays(item.payload)
    if not is_successful(found):
        return Failure(found.failure())
    arrays = found.unwrap()
    texts, dropped = texts_of(item.metadata)
    # Wide elements come first, so that each array begins at a multiple of its element.
    order = sorted(arrays, key=lambda name: -arrays[name].dtype.itemsize)
    header = _header(arrays, order, texts)
    if len(header) > _HEADER_MAX:
        advice = "Save them in several files, or in Zarr."
        return Failure(cannot_hold("safetensors", f"a header of {len(header)} bytes", advice))
    first = len(header).to_bytes(_LENGTH, "little") + header
    contents = [bytes_of(arrays[name]) for name in order]
    nbytes = len(first) + sum(content.nbytes for content in contents)
    return Success(Encoded((first, *contents), nbytes, dropped))


def _arrays(payload: object) -> Outcome[dict[str, HostArray]]:
    """Give the arrays as they are written: in C order, little-endian, their own memory if so."""
    import numpy as np

    if not isinstance(payload, Mapping):
        advice = "Save a mapping of names to arrays, as in {'x': array}."
        return Failure(cannot_hold("safetensors", kind_of(payload), advice))
    arrays: dict[str, HostArray] = {}
    for name, value in cast("Mapping[object, Payload]", payload).items():
        if not isinstance(name, str) or name == _METADATA or not is_unicode(name):
            advice = f"Name arrays by Unicode text other than {_METADATA!r}."
            return Failure(cannot_hold("safetensors", f"the name {name!r:.80}", advice))
        found = and_then(host_array(Item("", value), "safetensors"), _fitting)
        if not is_successful(found):
            return Failure(_of_array(str(name), found.failure()))
        array = found.unwrap()
        # asarray keeps what has no axes so, and ascontiguousarray does not.
        arrays[str(name)] = np.asarray(array, array.dtype.newbyteorder("<"), order="C")
    return Success(arrays)


def _fitting(array: HostArray) -> Outcome[HostArray]:
    if array.dtype.name in _WORDS:
        return Success(array)
    advice = "Make it one of bool, 8 to 64 bits, bfloat16, float8 or complex64; or save it as .npz."
    return Failure(cannot_hold("safetensors", f"the dtype {array.dtype}", advice))


def _of_array(name: str, error: StorageError) -> StorageError:
    return evolve(error, message=f"The array {name!r:.80}: {error.message}")


def _header(arrays: dict[str, HostArray], order: list[str], texts: dict[str, str]) -> bytes:
    starts: dict[str, int] = {}
    end = 0
    for name in order:
        starts[name] = end
        end += arrays[name].nbytes
    fields: dict[str, object] = {_METADATA: texts} if texts else {}
    for name, array in arrays.items():
        fields[name] = {
            "dtype": _WORDS[array.dtype.name],
            "shape": array.shape,
            "data_offsets": (starts[name], starts[name] + array.nbytes),
        }
    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()
    return text + b" " * (-len(text) % 8)  # as the library aligns what follows


@frozen
class _Tensor:
    """What the header says of one array: its name, dtype, shape, and where its bytes are."""

    name: str
    word: str
    shape: tuple[int, ...]
    start: int
    end: int


@frozen
class _Header:
    """The arrays in the order in which the header names them, and the texts of the metadata."""

    tensors: tuple[_Tensor, ...]
    texts: Mapping[str, str] = field(hash=False)


def _decode(source: Readable, limits: Limits, /) -> Outcome[Decoded[Arrays]]:
    found = _read_header(source, limits)
    if not is_successful(found):
        return Failure(found.failure())
    header = found.unwrap()
    parsed = guard(lambda: _parse(header), *_FROM_JSON)
    if not is_successful(parsed):
        return Failure(parsed.failure())
    tensors, begin = parsed.unwrap().tensors, _LENGTH + len(header)
    reason = _misfit(tensors, source.size - begin)
    if reason is not None:
        return Failure(damaged(_NAME, reason))
    too_large = over_limit(source.size - begin, limits)
    if too_large is not None:
        return Failure(too_large)
    arrays: dict[str, HostArray] = {}
    for tensor in tensors:
        array = _read(source, begin, tensor)
        if not is_successful(array):
            return Failure(_of_array(tensor.name, array.failure()))
        arrays[tensor.name] = array.unwrap()
    return Success(Decoded(arrays, metadata_of(parsed.unwrap().texts)))


def _read_header(source: Readable, limits: Limits) -> Outcome[bytes]:
    """Give the header, or `Corrupt` with what it is instead."""
    head = bytearray(min(source.size, _LENGTH + 1))
    source.read_into(0, memoryview(head))
    length = int.from_bytes(head[:_LENGTH], "little")
    if not head.startswith(b"\0\0\0{", _LENGTH - 3):
        return Failure(foreign(_NAME, source))
    if length > min(_SPECIFIED, source.size - _LENGTH):
        return Failure(damaged(_NAME, f"it claims a header of {length} bytes"))
    if length > _HEADER_MAX or length * _GROWTH > max(limits.max_bytes, _SMALL * _GROWTH):
        message = f"Its header has {length} bytes, which could take {length * _GROWTH} in memory."
        advice = f"Raise max_bytes if you trust it; over {_HEADER_MAX} bytes none is read."
        return Failure(TooLarge("", None, message, advice))
    header = bytearray(length)
    if source.read_into(_LENGTH, memoryview(header)) != length:
        return Failure(damaged(_NAME, "it ended while it was read"))
    return Success(bytes(header))


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    unique = dict(pairs)
    if len(unique) != len(pairs):
        raise ValueError("it says something twice")
    return unique


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no JSON")


def _parse(header: bytes) -> _Header:
    """Parse a header; `ValueError`, or what Python's JSON raises, on what is none."""
    text = header.decode()
    fields = cast(
        "dict[str, object]",
        json.loads(text, object_pairs_hook=_unique, parse_constant=_no_number),
    )
    texts: object = fields.pop(_METADATA, None)
    named = cast("dict[str, object]", texts if isinstance(texts, dict) else {"": texts})
    if texts is None:  # the library takes null, too
        named = {}
    if not all(isinstance(it, str) and is_unicode(it) for it in (*named, *named.values())):
        raise ValueError(f"its {_METADATA} holds more than text")
    tensors = tuple(_tensor(name, value) for name, value in fields.items())
    return _Header(tensors, cast("dict[str, str]", named))


def _tensor(name: str, value: object) -> _Tensor:
    says = cast("dict[str, object]", value) if isinstance(value, dict) else {}
    if says.keys() != {"dtype", "shape", "data_offsets"} or not is_unicode(name):
        raise ValueError(f"what it says of {name!r:.80} is not dtype, shape and data_offsets")
    word, shape, offsets = says["dtype"], _lengths(says["shape"]), _lengths(says["data_offsets"])
    if not isinstance(word, str) or len(offsets) != 2:
        raise ValueError(f"the dtype or the offsets of {name!r:.80} are none")
    return _Tensor(name, word, shape, *offsets)


def _lengths(value: object) -> tuple[int, ...]:
    lengths = cast("list[object]", value) if isinstance(value, list) else [value]
    # A bool is an int to Python, and no length.
    if not isinstance(value, list) or not all(type(it) is int and it >= 0 for it in lengths):
        raise ValueError(f"{value!r:.40} are no lengths")
    return tuple(cast("list[int]", lengths))


def _unreadable(error: Exception) -> StorageError:
    return damaged(_NAME, f"its header is damaged ({reason_of(error)})")


_FROM_JSON = tuple(
    catch(kind, _unreadable) for kind in (ValueError, TypeError, OverflowError, RecursionError)
)
"""What Python's JSON parser raises, and we, on text that is no header."""


def _misfit(tensors: Iterable[_Tensor], nbytes: int) -> str | None:
    """Say where the arrays leave a gap, overlap, or don't fill the file; `None` if they fit."""
    end = 0
    for tensor in sorted(tensors, key=lambda it: (it.start, it.end)):
        if tensor.start != end or tensor.end < end:
            return f"the array {tensor.name!r:.80} should begin at byte {end} of the elements"
        end = tensor.end
    if end != nbytes:
        return f"its header claims {end} bytes of elements, and there are {nbytes}"
    return None


@cache
def _dtype(word: str) -> Outcome[np.dtype[Any]]:
    """Give the dtype of a word of the format; `UnsupportedPayload` for those of parts of a byte."""
    import numpy as np

    name = _DTYPES.get(word)
    if name is None:
        if word not in _PACKED:
            return Failure(damaged(_NAME, f"{word!r:.40} is no dtype of this format"))
        advice = "Unpack it with the program that wrote it."
        return Failure(cannot_hold("NumPy", f"the packed dtype {word}", advice))
    if hasattr(np, name):
        return Success(np.dtype(name).newbyteorder("<"))
    import ml_dtypes

    return Success(np.dtype(cast("type[np.float64]", getattr(ml_dtypes, name))))


def _read(source: Readable, begin: int, tensor: _Tensor) -> Outcome[HostArray]:
    found = _dtype(tensor.word)
    if not is_successful(found):
        return Failure(found.failure())
    dtype, nbytes = found.unwrap(), tensor.end - tensor.start
    if math.prod(tensor.shape) * dtype.itemsize != nbytes:
        reason = f"its {nbytes} bytes are not {tensor.shape} elements of {tensor.word}"
        return Failure(damaged(_NAME, reason))
    # No array has more axes than NumPy counts, or longer ones, also where it is empty.
    room = and_then(guard(lambda: allocated(tensor.shape, dtype), *_FROM_JSON), lambda it: it)
    if not is_successful(room):
        return Failure(room.failure())
    array = room.unwrap()
    if nbytes and source.read_into(begin + tensor.start, bytes_of(array)) != nbytes:
        return Failure(damaged(_NAME, "it ended while it was read"))
    return Success(array)


SAFETENSORS_CODEC: Codec[Arrays] = Codec(
    format=SAFETENSORS, encode=_encode, decode=_decode, open=None
)
"""The record of safetensors."""
