"""Arrays of every kind, for hypothesis: any dtype, shape, memory order and bits."""

from __future__ import annotations

import math
from typing import Any, Literal, TypeAlias

import numpy as np
from attrs import frozen
from hypothesis import strategies as st
from numpy.typing import NDArray

__all__ = [
    "EVERY_DTYPE",
    "FOREIGN_DTYPES",
    "ML_DTYPES",
    "NUMBERS",
    "PLAIN_DTYPES",
    "arrays",
    "dtypes",
    "filled",
    "images",
    "shapes",
]

NUMBERS = tuple(np.dtype(letter) for letter in "?bhilqBHILQefdgFDG")
"""Every number that NumPy has, in this machine's byte order."""

PLAIN_DTYPES = (
    *NUMBERS,
    *(np.dtype(letter).newbyteorder(">") for letter in "hiqHIQefdgFDG"),
    *map(np.dtype, ("S1", "S7", "U1", "U3", ">U3", "V1", "V5", "M8[ns]", "m8[25s]", ">M8[D]")),
    np.dtype([("mean", "<f4"), ("box", ">u2", (2, 2)), ("name", "S3")]),
    np.dtype([("well", [("row", "u1"), ("column", "u1")]), ("größe", "<f8")]),
    np.dtype([("\N{GREEK SMALL LETTER ALPHA}", "<c8")]),
)
"""Dtypes of NumPy's own without Python objects."""

SMALL = {
    **dict.fromkeys(("int4", "uint4", "float4_e2m1fn"), 4),
    **dict.fromkeys(("int2", "uint2"), 2),
    **dict.fromkeys(("float6_e2m3fn", "float6_e3m2fn"), 6),
}
"""Dtypes whose elements take a byte each, and of how many of its bits they are made."""


def _of_ml_dtypes(*names: str) -> tuple[np.dtype[Any], ...]:
    """Give those dtypes, or none where the package is not installed."""
    try:
        import ml_dtypes
    except ImportError:
        return ()
    return tuple(np.dtype(getattr(ml_dtypes, name)) for name in names)


ML_DTYPES = _of_ml_dtypes(
    *("bfloat16", "float8_e3m4", "float8_e4m3", "float8_e4m3b11fnuz", "float8_e4m3fn"),
    *("float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu"),
    *SMALL,
)
"""The numbers of `ml_dtypes`."""

FOREIGN_DTYPES = (*ML_DTYPES, *(np.dtype([("weight", dtype)]) for dtype in ML_DTYPES[:1]))
"""Dtypes that NumPy knows only while another package is imported."""

EVERY_DTYPE = (*PLAIN_DTYPES, *FOREIGN_DTYPES, np.dtype(object), np.dtypes.StringDType())
"""Those, and Python objects and strings."""

Layout: TypeAlias = Literal["c", "fortran", "reversed", "strided", "broadcast", "read-only"]
"""How the elements of an array lie in memory."""

_EXPONENTS = {"float16": 0x7C00, "bfloat16": 0x7F80, "float32": 0x7F800000, "float64": 0x7FF << 52}
"""The bits of the exponent: all set in NaN and infinity, none set in zero and subnormals."""


def dtypes() -> st.SearchStrategy[np.dtype[Any]]:
    """Give any dtype of NumPy's own, those of `ml_dtypes`, and Python objects and strings."""
    return st.sampled_from(EVERY_DTYPE)


def shapes() -> st.SearchStrategy[tuple[int, ...]]:
    """Give small shapes of 0 to 6 axes: empty ones, axes of length 1, trailing axes of 3 and 4."""
    lengths = st.sampled_from((0, 1, 1, 2, 3, 4, 5, 17))
    return st.lists(lengths, max_size=6).map(tuple).filter(lambda shape: math.prod(shape) <= 2000)


@st.composite
def arrays(
    draw: st.DrawFn,
    dtype: st.SearchStrategy[np.dtype[Any]] | None = None,
    shape: st.SearchStrategy[tuple[int, ...]] | None = None,
) -> NDArray[Any]:
    """Give an array of any bits, as it may lie in memory.

    Of floats, every other element is a NaN with a payload, an infinity, -0.0 or subnormal.

    In C or Fortran order, reversed, strided, broadcast, read-only, or masked with nothing masked.
    """
    kind = draw(dtype if dtype is not None else dtypes())
    lengths = draw(shape if shape is not None else shapes())
    array = _laid_out(filled(draw(st.integers(0, 2**32 - 1)), kind, lengths), draw)
    array.flags.writeable = array.flags.writeable and draw(st.booleans())
    return array


@frozen
class ArrayExample:
    """An array that a few words make again: `repr` is code, and shrinking makes the words few.

    `dtype` is what `numpy.dtype` takes, or the name of one of `ml_dtypes`; `seed` is of the bits;
    `layout` is how the elements lie in memory.

    >>> ArrayExample("<u2", (2, 3), seed=1).array().shape
    (2, 3)
    """

    dtype: str | tuple[tuple[object, ...], ...]
    shape: tuple[int, ...]
    seed: int = 0
    layout: Layout = "c"

    def array(self) -> NDArray[Any]:
        """Give the array: a new one at each call, of the same bits."""
        raise NotImplementedError


def images() -> st.SearchStrategy[NDArray[Any]]:
    """Give images of 8 or 16 bits: gray, RGB, with or without alpha; small, never empty."""
    sides = st.integers(1, 40)
    gray = st.tuples(sides, sides)
    colored = st.tuples(sides, sides, st.integers(2, 4))
    return arrays(st.sampled_from([np.dtype(d) for d in ("u1", "u2", ">u2")]), gray | colored)


def filled(seed: int, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Give an array of that dtype, of any bits that it may have."""
    random = np.random.default_rng(seed)
    size = math.prod(shape)
    if dtype.hasobject:
        return random.integers(0, 9, shape).astype(dtype)
    if dtype == np.bool_:
        return random.integers(0, 2, shape).astype(bool)
    if dtype.kind == "U":  # not every 32 bits are a character
        letters = random.integers(0x20, 0x3000, size * dtype.itemsize // 4, dtype=np.uint32)
        native = letters.view(dtype.newbyteorder("="))
        return native.astype(dtype).reshape(shape)
    raw = np.frombuffer(random.bytes(size * dtype.itemsize), np.uint8).copy()
    if dtype.name in SMALL:
        return _of_few_bits(raw, dtype).reshape(shape)
    part = np.dtype(f"{dtype.byteorder}f{dtype.itemsize // 2}") if dtype.kind == "c" else dtype
    if part.name in _EXPONENTS:
        raw = _with_odd_numbers(raw, part, random)
    return raw.view(dtype).reshape(shape)


def _of_few_bits(raw: NDArray[np.uint8], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Give elements as the dtype's own arithmetic makes them: the other bits of a byte follow."""
    if dtype.kind == "V" and "float" in dtype.name:
        few: NDArray[Any] = (raw % 2 ** SMALL[dtype.name]).astype(np.uint8)
        return few.view(dtype)
    bits = SMALL[dtype.name]
    least = -(2 ** (bits - 1)) if dtype.name.startswith("int") else 0
    every: NDArray[Any] = np.array(range(least, least + 2**bits), dtype)
    chosen: NDArray[Any] = np.take(every, raw % 2**bits)
    return chosen


def _with_odd_numbers(
    raw: NDArray[np.uint8], dtype: np.dtype[Any], random: np.random.Generator
) -> NDArray[np.uint8]:
    exponent = _EXPONENTS[dtype.name]
    width = dtype.itemsize
    unsigned = np.dtype(f"{'>' if dtype.byteorder == '>' else '<'}u{width}")
    bits = raw.view(unsigned).astype(f"u{width}")
    sign = 1 << (8 * width - 1)
    low = sign - 1 - exponent
    odd = (bits | exponent, bits & (sign | low), bits & sign, bits & sign | exponent)
    choice = random.integers(0, 2 * len(odd), bits.shape)
    for index, other in enumerate(odd):
        bits = np.where(choice == index, other, bits)
    return bits.astype(unsigned).view(np.uint8)


def _laid_out(array: NDArray[Any], draw: st.DrawFn) -> NDArray[Any]:
    """Give the same elements in another memory layout."""
    match draw(st.sampled_from(("c", "fortran", "reversed", "strided", "broadcast", "subclass"))):
        case "fortran":
            return np.asfortranarray(array)
        case "reversed" if array.ndim:
            return array[::-1]
        case "strided" if array.ndim:
            return np.repeat(array, 2, axis=-1)[..., ::2]
        case "broadcast" if array.ndim and array.shape[0]:
            return np.broadcast_to(array[:1], array.shape)
        case "subclass":
            known = array.dtype in PLAIN_DTYPES  # others have no fill value
            return array.view(np.ma.MaskedArray) if known else array
        case _:
            return array
