"""Arrays of every kind, for hypothesis: any dtype, shape, memory order and bits."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

__all__ = ["FOREIGN_DTYPES", "NUMBERS", "PLAIN_DTYPES", "arrays", "dtypes", "images", "shapes"]

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

FOREIGN_DTYPES = (
    *(np.dtype(getattr(ml_dtypes, name)) for name in ("bfloat16", "float8_e5m2", "int4", "uint2")),
    np.dtype([("weight", ml_dtypes.bfloat16)]),
)
"""Dtypes that NumPy knows only while another package is imported."""


def dtypes() -> st.SearchStrategy[np.dtype[Any]]:
    """Give any dtype of NumPy's own, those of `ml_dtypes`, and Python objects and strings."""
    objects = (np.dtype(object), np.dtypes.StringDType())
    return st.sampled_from((*PLAIN_DTYPES, *FOREIGN_DTYPES, *objects))


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
    """Give an array of any bits, NaN payloads and -0.0 too, as it may lie in memory.

    In C or Fortran order, reversed, strided, broadcast, read-only, or masked with nothing masked.
    """
    kind = draw(dtype if dtype is not None else dtypes())
    lengths = draw(shape if shape is not None else shapes())
    array = _laid_out(_filled(draw(st.integers(0, 2**32 - 1)), kind, lengths), draw)
    array.flags.writeable = array.flags.writeable and draw(st.booleans())
    return array


def images() -> st.SearchStrategy[NDArray[Any]]:
    """Give images of 8 or 16 bits: gray, RGB, with or without alpha; small, never empty."""
    sides = st.integers(1, 40)
    gray = st.tuples(sides, sides)
    colored = st.tuples(sides, sides, st.integers(2, 4))
    return arrays(st.sampled_from([np.dtype(d) for d in ("u1", "u2", ">u2")]), gray | colored)


def _filled(seed: int, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
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
    content = random.bytes(size * dtype.itemsize)
    return np.frombuffer(content, np.uint8).copy().view(dtype).reshape(shape)


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
