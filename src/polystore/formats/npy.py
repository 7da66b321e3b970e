"""`.npy`, NumPy's own format: one array, its dtype and its memory order, and no metadata.

What is written is what `numpy.save` writes, byte for byte (the format is NumPy's NEP 1, and the
page of `numpy.lib.format`). The elements are written from the array's own memory, and read into one
aligned array; or region by region, from where they lie.

The frameworks' files (`.jax`, `.cupy`) are the same, and hold the dtypes of `ml_dtypes` too. NumPy
has no words for those: bfloat16 is written as the records `[("bfloat16", "<u2")]`, which
`numpy.load` gives as they are, and a framework's format as bfloat16. Such records themselves are
refused there, for they would come back as something else.
"""

from __future__ import annotations

import ast
import math
import re
import struct
import threading
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, cast

from attrs import frozen

from polystore.configs import NPY
from polystore.core.errors import UnsupportedOperation
from polystore.core.item import Item
from polystore.core.outcome import Failure, Outcome, Success, and_then, catch, guard, is_successful
from polystore.core.payload import ArraySpec, HostArray, LazyArray, Payload, Region, bytes_of
from polystore.core.records import Codec, Decoded, Encoded, Limits, Readable
from polystore.core.region import box_of, lengths
from polystore.formats.box import read_box
from polystore.formats.refusals import (
    allocated,
    cannot_hold,
    damaged,
    foreign,
    host_array,
    over_limit,
    reason_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from polystore.core.region import Box

__all__ = ["ML_NPY_CODEC", "NPY_CODEC", "Layout", "elements_of", "layout_of", "parts_of"]

MAGIC = b"\x93NUMPY"

HEADER_MAX = 10_000
"""Characters. NumPy reads no longer one unless told to trust the file (`max_header_size`)."""

_NAME = ".npy file"
_ALIGNMENT = 64  # bytes; where NumPy begins the elements (its ARRAY_ALIGN)
_GROWTH_DIGITS = (
    21  # NumPy leaves room for the first axis to grow in place (GROWTH_AXIS_MAX_DIGITS)
)
_FIRST_READ = 1024  # bytes; holds the header of every array without a large structured dtype

_BLOCK = 2**22
"""Bytes. Read in one go, and as many again while they are worked on, beside others."""

_REGISTERED = 2  # what `dtype.isbuiltin` says of dtypes that another package gave to NumPy

# Versions: how the length of the text is written, and the text's encoding.
_LAYOUTS = {1: ("<H", "latin-1"), 2: ("<I", "latin-1"), 3: ("<I", "utf-8")}

# Python 2 wrote long integers as in `(3L, 4L)`.
_LONG = re.compile(r"(?<=\d)L(?=[,)\s])")
# Any other escape makes the parser warn, on stderr.
_NO_ODD_ESCAPE = re.compile(r"""(?:[^\\]|\\[\\'"abfnrtvxuUN0-7])*""", re.DOTALL)


@frozen
class Layout:
    """What a header says of the elements: where they begin, and what they are, in which order."""

    start: int
    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]
    nbytes: int


def _encode(ml: bool, item: Item[Payload], _options: object, /) -> Outcome[Encoded]:
    found = host_array(item, ".npy")
    if not is_successful(found):
        return Failure(found.failure())
    parts = parts_of(found.unwrap(), ml=ml)
    return parts.map(lambda it: Encoded(it, len(it[0]) + it[1].nbytes, item.metadata.present()))


def parts_of(array: HostArray, *, ml: bool = False) -> Outcome[tuple[bytes, memoryview]]:
    r"""Give the header and the elements of an array: its own memory as it lies, where dense.

    `UnsupportedPayload` for dtypes that would not come back; those of `ml_dtypes` do with `ml`.

    >>> import numpy as np
    >>> header, content = parts_of(np.arange(3, dtype=np.uint8)).unwrap()
    >>> header[:6], len(header), bytes(content)
    (b'\x93NUMPY', 128, b'\x00\x01\x02')
    """
    import numpy as np

    fortran = array.flags.f_contiguous and not array.flags.c_contiguous
    dtype = array.dtype
    # What equals another dtype and says more, or can be renamed in place, is described anew.
    described = _header if dtype.names or dtype.metadata else _plain_header
    header = described(array.shape, fortran, dtype, ml)
    if not is_successful(header):
        return Failure(header.failure())
    # The memory is written as it lies; a strided view has to be copied once.
    content = bytes_of(np.ascontiguousarray(array.T if fortran else array))
    return Success((header.unwrap(), content))


def _header(
    shape: tuple[int, ...], fortran: bool, dtype: np.dtype[Any], ml: bool
) -> Outcome[bytes]:
    """Give the bytes before the elements; `UnsupportedPayload` if NumPy could not read them."""
    if dtype.hasobject:
        advice = "Make it an array of numbers, fixed-width strings or records first."
        return Failure(cannot_hold(".npy", "Python objects", advice))
    described = guard(lambda: _describe(dtype, ml), *_FROM_NUMPY)
    text = described.value_or("")
    spare = _GROWTH_DIGITS - len(repr(shape[-1 if fortran else 0])) if shape else 0
    text = f"{{'descr': {text}, 'fortran_order': {fortran}, 'shape': {shape}, }}{' ' * spare}"
    if not is_successful(described) or len(text) >= HEADER_MAX - _ALIGNMENT:
        advice = "Convert it to a plain dtype of NumPy's own first, as with array.astype."
        return Failure(cannot_hold(".npy", f"the dtype {str(dtype)[:80]}", advice))
    version = 1 if _is_latin(text) else 3
    length, encoding = _LAYOUTS[version]
    encoded = text.encode(encoding)
    before = len(MAGIC) + 2 + struct.calcsize(length)
    padding = _ALIGNMENT - (before + len(encoded) + 1) % _ALIGNMENT
    size = struct.pack(length, len(encoded) + padding + 1)
    return Success(MAGIC + bytes((version, 0)) + size + encoded + b" " * padding + b"\n")


# The arrays of one plate share a header, and making one costs more than a small file's elements.
_plain_header = lru_cache(maxsize=256)(_header)


def _describe(dtype: np.dtype[Any], ml: bool) -> str:
    """Give a dtype as the header says it; `ValueError` if it would not come back the same."""
    import numpy as np

    if _has_metadata(dtype):
        raise ValueError("metadata on a dtype is not kept")
    records = _records_of(dtype) if ml and dtype.isbuiltin == _REGISTERED else None
    descr = np.lib.format.dtype_to_descr(dtype if records is None else records)
    if _dtype(descr, ml) != dtype:
        raise ValueError("no description")
    return repr(descr)


def _records_of(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Give the records that stand for a dtype of `ml_dtypes`: its name, and its bits."""
    import numpy as np

    return np.dtype([(dtype.name, f"<u{dtype.itemsize}")])


def _dtype(descr: object, ml: bool) -> np.dtype[Any]:
    import numpy as np

    # NumPy's own annotation names one of the three forms that it takes.
    dtype = np.lib.format.descr_to_dtype(cast("list[tuple[str, str]]", descr))
    meant = _ml_dtype(dtype.names[0]) if ml and dtype.names and len(dtype.names) == 1 else None
    # The bits are in this order in the file; a machine of another one is given the records.
    if meant is None or not dtype.isnative or _records_of(meant) != dtype:
        return dtype
    return meant


def _ml_dtype(name: str) -> np.dtype[Any] | None:
    """Give the dtype that `ml_dtypes` has under a name, or `None`."""
    import ml_dtypes
    import numpy as np

    kind: object = getattr(ml_dtypes, name, None)
    if not (isinstance(kind, type) and issubclass(kind, np.generic)):
        return None
    # Any class of an element will do; the cast keeps `Any` and unknown types out.
    return np.dtype(cast("type[np.float64]", kind))


def _has_metadata(dtype: np.dtype[Any]) -> bool:
    inner = [dtype.subdtype[0]] if dtype.subdtype else []
    inner += [field[0] for field in (dtype.fields or {}).values()]
    return bool(dtype.metadata) or any(map(_has_metadata, inner))


def _is_latin(text: str) -> bool:
    return all(ord(character) < 256 for character in text)


def _decode(ml: bool, source: Readable, limits: Limits, /) -> Outcome[Decoded[HostArray]]:
    found = layout_of(source, ml=ml)
    if not is_successful(found):
        return Failure(found.failure())
    layout = found.unwrap()
    too_large = over_limit(layout.nbytes, limits)
    if too_large is not None:
        return Failure(too_large)
    read = elements_of(
        layout, lambda memory: source.read_into(layout.start, memory) if memory else 0
    )
    return read.map(Decoded)


def _open(source: Readable, limits: Limits, /) -> Outcome[Decoded[LazyArray]]:
    """Give the array to be read region by region; the limits are those of a region.

    `UnsupportedOperation` for records, whose dtype has no name.
    """
    found = layout_of(source)
    if not is_successful(found):
        return Failure(found.failure())
    layout = found.unwrap()
    if layout.dtype.names:
        message = "A .npy file of records is not read region by region."
        return Failure(UnsupportedOperation("", None, message, "Load it whole."))

    def read(region: Region) -> Outcome[HostArray]:
        return and_then(box_of(region, layout.shape), of_box)

    def of_box(box: Box) -> Outcome[HostArray]:
        turn = slice(None, None, -1 if layout.fortran else 1)  # Fortran's order is C's, turned
        shape, turned = layout.shape[turn], box[turn]
        too_large = over_limit(math.prod(lengths(box)) * layout.dtype.itemsize, limits)
        if too_large is not None:
            return Failure(too_large)
        room = allocated(lengths(turned), layout.dtype)
        if not is_successful(room):
            return room
        array = room.unwrap()
        done = guard(
            lambda: read_box(source, layout.start, shape, turned, array),
            catch(ValueError, lambda error: damaged(_NAME, str(error))),
        )
        return done.map(lambda _: array.T if layout.fortran else array)

    spec = ArraySpec(layout.shape, str(layout.dtype), (), _blocks(layout))
    return Success(Decoded(LazyArray(spec, read)))


def _blocks(layout: Layout) -> tuple[int, ...]:
    """Give the largest blocks up to a size that each lie in one piece, or in a few."""
    left = max(_BLOCK // max(layout.dtype.itemsize, 1), 1)
    turn = slice(None, None, -1 if layout.fortran else 1)
    blocks: list[int] = []
    for length in reversed(layout.shape[turn]):
        blocks.append(min(max(length, 1), left))
        left = max(left // max(length, 1), 1)
    blocks.reverse()
    return tuple(blocks[turn])


def layout_of(source: Readable, *, ml: bool = False) -> Outcome[Layout]:
    """Give what the header says, once it is known that as many bytes follow it.

    `Corrupt` for what is no `.npy`, or not a whole one, or holds pickled objects. With `ml`, the
    dtypes of `ml_dtypes` are known.
    """
    header = _read_header(source)
    parsed = _parsed(header, ml)
    if not is_successful(parsed):
        # What is no .npy at all is said to be what it is.
        return Failure(parsed.failure() if header.startswith(MAGIC) else foreign(_NAME, source))
    layout = parsed.unwrap()
    surplus = source.size - layout.start - layout.nbytes
    return parsed if surplus == 0 else Failure(damaged(_NAME, _misfit(layout.nbytes, surplus)))


def elements_of(layout: Layout, read: Callable[[memoryview], int]) -> Outcome[HostArray]:
    """Give an aligned array whose memory `read` has filled; `Corrupt` if it gave too few bytes."""
    room = allocated(layout.shape[:: -1 if layout.fortran else 1], layout.dtype)
    if not is_successful(room):
        return Failure(room.failure())
    array = room.unwrap()
    if read(bytes_of(array)) != layout.nbytes:
        return Failure(damaged(_NAME, "it ended while it was read"))
    return Success(array.T if layout.fortran else array)


def _misfit(nbytes: int, surplus: int) -> str:
    if surplus < 0:
        return f"its header claims {nbytes} bytes of elements, and {-surplus} of them are missing"
    return f"{surplus} bytes follow its array, as if several arrays had been saved into one file"


# CPython 3.11 counts the depth of the trees that it builds once for all threads: a switch amid one
# is `SystemError: AST constructor recursion depth mismatch`, seen in a batch.
_PARSING = threading.Lock()


def _literal(text: str) -> object:
    """Give the value of a Python literal, without a warning whatever the text is."""
    if not _NO_ODD_ESCAPE.fullmatch(text):
        raise ValueError("it holds an unknown escape")
    with _PARSING:
        try:
            return cast("object", ast.literal_eval(text))
        except SyntaxError:
            return cast("object", ast.literal_eval(_LONG.sub("", text)))


_FROM_NUMPY = tuple(
    catch(kind, lambda error: damaged(_NAME, f"its header is damaged ({reason_of(error)})"))
    for kind in (
        ValueError,
        TypeError,
        LookupError,
        SyntaxError,
        RecursionError,
        MemoryError,
        OverflowError,
        Warning,
    )
)
"""What Python's and NumPy's parsers raise on text that is no header; warnings may be exceptions."""


def _read_header(source: Readable) -> bytes:
    """Give the bytes of the header, or fewer where there is none."""
    first = bytearray(min(source.size, _FIRST_READ))
    count = source.read_into(0, memoryview(first))
    width = 2 if len(first) > 6 and first[6] == 1 else 4
    length = 8 + width + int.from_bytes(first[8 : 8 + width], "little")
    if length > count == _FIRST_READ and length <= HEADER_MAX * 4:
        first = bytearray(min(source.size, length))
        source.read_into(0, memoryview(first))
    return bytes(first[:length])


def _parsed(header: bytes, ml: bool) -> Outcome[Layout]:
    """Give what a header says; the dtype of records is the caller's own, for it can be renamed."""
    found = _shared(header, ml)
    records = is_successful(found) and found.unwrap().dtype.names
    return _unshared(header, ml) if records else found


def _unshared(header: bytes, ml: bool) -> Outcome[Layout]:
    found = guard(lambda: _parse(header, ml), *_FROM_NUMPY)
    if is_successful(found) and found.unwrap().dtype.hasobject:
        reason = "it holds pickled Python objects, which could run any code when they are loaded"
        advice = (
            "Make it plain where it was made: numbers, text or records, with allow_pickle=False."
        )
        return Failure(damaged(_NAME, reason, advice))
    return found


# Parsing one costs more than reading a small file, and the arrays of one plate share it.
_shared = lru_cache(maxsize=256)(_unshared)


def _parse(header: bytes, ml: bool) -> Layout:
    """Parse a header; `ValueError`, or what Python and NumPy raise, on what is none."""
    import numpy as np

    if not header.startswith(MAGIC) or header[6] not in _LAYOUTS or header[7] != 0:
        raise ValueError(f"it has version {tuple(header[6:8])}")
    length, encoding = _LAYOUTS[header[6]]
    start = 8 + struct.calcsize(length)
    size = int.from_bytes(header[8:start], "little")
    text = header[start:].decode(encoding)
    if len(header) != start + size or len(text) > HEADER_MAX:
        raise ValueError(f"it should have {size} bytes")
    descr, fortran, shape = _fields(_literal(text))
    dtype = _dtype(descr, ml)
    if dtype.subdtype is not None:
        raise ValueError("its dtype is one of arrays, which belong in its shape")
    np.broadcast_to(np.empty((), dtype), shape)  # raises if no array can have this shape
    return Layout(len(header), shape, fortran, dtype, math.prod(shape) * dtype.itemsize)


def _fields(value: object) -> tuple[object, bool, tuple[int, ...]]:
    """Give the three fields of a header; `ValueError` if there are others, or of other types."""
    fields = cast("dict[object, object]", value) if isinstance(value, dict) else {}
    shape, fortran = fields.get("shape"), fields.get("fortran_order")
    if set(fields) != {"descr", "fortran_order", "shape"} or not isinstance(fortran, bool):
        raise ValueError("its fields are not descr, fortran_order and shape")
    lengths = cast("tuple[object, ...]", shape) if isinstance(shape, tuple) else (None,)
    # A bool is an int to Python, and no length.
    if not all(type(length) is int and length >= 0 for length in lengths):
        raise ValueError(f"its shape is {shape!r}")
    return fields["descr"], fortran, cast("tuple[int, ...]", shape)


NPY_CODEC: Codec[HostArray] = Codec(
    format=NPY, encode=partial(_encode, False), decode=partial(_decode, False), open=_open
)
"""The record of `.npy`."""

ML_NPY_CODEC: Codec[HostArray] = Codec(
    format=NPY, encode=partial(_encode, True), decode=partial(_decode, True), open=None
)
"""What the frameworks' files are made of: `.npy`, with the dtypes of `ml_dtypes` too."""
