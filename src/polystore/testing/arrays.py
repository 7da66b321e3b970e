"""Arrays of every kind, for hypothesis: any dtype, shape, memory order and bits."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np
from attrs import frozen
from hypothesis import strategies as st

from polystore.core.payload import aligned_empty, bytes_of
from polystore.testing.dtypes import (
    EVERY_DTYPE,
    FOREIGN_DTYPES,
    ML_DTYPES,
    NUMBERS,
    PLAIN_DTYPES,
    DtypeWords,
    dtype_of,
    dtypes,
    words_of,
)
from polystore.testing.elements import filled

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "EVERY_DTYPE",
    "FOREIGN_DTYPES",
    "LAYOUTS",
    "ML_DTYPES",
    "NUMBERS",
    "PLAIN_DTYPES",
    "ArrayExample",
    "DtypeWords",
    "EveryDtype",
    "Layout",
    "array_examples",
    "arrays",
    "dtype_of",
    "dtypes",
    "every_dtype",
    "filled",
    "images",
    "large_arrays",
    "shapes",
    "words_of",
]

Layout: TypeAlias = Literal[
    "c",
    "fortran",
    "permuted",
    "reversed",
    "strided",
    "broadcast",
    "overlapping",
    "offset",
    "unaligned",
    "read-only",
    "masked",
]
"""How the elements of an array lie in memory; see `ArrayExample`."""

LAYOUTS: tuple[Layout, ...] = get_args(Layout)
"""Every layout, the plainest first."""


def shapes() -> st.SearchStrategy[tuple[int, ...]]:
    """Give small shapes of 0 to 6 axes: empty ones, axes of length 1, trailing axes of 3 and 4."""
    lengths = st.sampled_from((0, 1, 1, 2, 3, 4, 5, 17))
    return st.lists(lengths, max_size=6).map(tuple).filter(lambda shape: math.prod(shape) <= 2000)


@frozen
class ArrayExample:
    """An array that a few words make again: `repr` is code, and shrinking makes the words few.

    `dtype` is what `numpy.dtype` takes, the name of one of `ml_dtypes`, or records of those; `seed`
    is of the bits. `layout` is how the elements lie in memory:

    - `"c"`: in C order, from a multiple of 64 bytes on, as in all that polystore allocates.
    - `"fortran"`, `"permuted"`: in Fortran order; with the first axis as the innermost.
    - `"reversed"`, `"strided"`: the first axis backwards; with gaps between the elements.
    - `"broadcast"`, `"overlapping"`: rows that are one row; rows that share all but an element.
    - `"offset"`, `"unaligned"`: 16 bytes, and a single byte, after a multiple of 64 bytes.
    - `"read-only"`; `"masked"`: a masked array in which nothing is masked.

    Where the shape or the dtype allows no such layout (Python objects lie where NumPy wants), the
    array is in C order. A broadcast and an overlapping array repeat some of the elements.

    >>> ArrayExample("<u2", (2, 3), seed=1).array().shape
    (2, 3)
    >>> ArrayExample("bfloat16", (2, 3), layout="reversed").array().strides
    (-6, 2)
    >>> ArrayExample((("x", "<f4"), ("y", ">u2")), ())
    ArrayExample(dtype=(('x', '<f4'), ('y', '>u2')), shape=(), seed=0, layout='c')
    """

    dtype: DtypeWords
    shape: tuple[int, ...]
    seed: int = 0
    layout: Layout = "c"

    def array(self) -> NDArray[Any]:
        """Give the array: a new one at each call, of the same bits."""
        return _laid_out(filled(self.seed, dtype_of(self.dtype), self.shape), self.layout)


@frozen
class EveryDtype:
    """One array of each dtype there is, all of one shape and layout.

    >>> EveryDtype((2, 3)).examples()[0]
    ArrayExample(dtype='b1', shape=(2, 3), seed=0, layout='c')
    """

    shape: tuple[int, ...]
    seed: int = 0
    layout: Layout = "c"

    def examples(self) -> tuple[ArrayExample, ...]:
        """Give the words of each array."""
        words = map(words_of, EVERY_DTYPE)
        return tuple(ArrayExample(each, self.shape, self.seed, self.layout) for each in words)


def every_dtype() -> st.SearchStrategy[EveryDtype]:
    """Give shapes, bits and layouts in which to try every dtype.

    >>> from hypothesis import find
    >>> find(every_dtype(), lambda example: len(example.shape) == 1)
    EveryDtype(shape=(0,), seed=0, layout='c')
    """
    return st.builds(EveryDtype, _SHAPES, _SEEDS, _LAYOUTS)


# Made once: a strategy that is made for each draw costs more than the draw.
_DTYPES, _SHAPES = dtypes(), shapes()
_SEEDS, _LAYOUTS = st.integers(0, 2**32 - 1), st.sampled_from(LAYOUTS)


def large_arrays() -> st.SearchStrategy[ArrayExample]:
    """Give arrays of more elements, rows or bytes than 16 bits can count.

    >>> from hypothesis import find
    >>> find(large_arrays(), lambda example: True)
    ArrayExample(dtype='u1', shape=(300, 300), seed=0, layout='c')
    """
    lengths: tuple[tuple[int, ...], ...] = (
        *((300, 300), (70_000,), (70_000, 1), (2, 3, 130, 131)),
        *((3, 160, 160), (320, 320)),  # volumes, and whole tiles
    )
    kinds = [np.dtype(each) for each in ("u1", "<u2", "<f4")]
    layouts: tuple[Layout, ...] = ("c", "fortran", "strided")
    return array_examples(
        st.sampled_from(kinds), st.sampled_from(lengths), st.sampled_from(layouts)
    )


@st.composite
def array_examples(
    draw: st.DrawFn,
    dtype: st.SearchStrategy[np.dtype[Any]] | None = None,
    shape: st.SearchStrategy[tuple[int, ...]] | None = None,
    layout: st.SearchStrategy[Layout] | None = None,
) -> ArrayExample:
    """Give the words of an array of any dtype, shape, bits and layout.

    >>> from hypothesis import find
    >>> find(array_examples(), lambda example: example.array().dtype.kind == "f")
    ArrayExample(dtype='<f2', shape=(), seed=0, layout='c')
    """
    kind = draw(dtype if dtype is not None else _DTYPES)
    lengths = draw(shape if shape is not None else _SHAPES)
    lies = draw(layout if layout is not None else _LAYOUTS)
    return ArrayExample(words_of(kind), lengths, draw(_SEEDS), lies)


def arrays(
    dtype: st.SearchStrategy[np.dtype[Any]] | None = None,
    shape: st.SearchStrategy[tuple[int, ...]] | None = None,
) -> st.SearchStrategy[NDArray[Any]]:
    """Give an array of any bits, as it may lie in memory: what `array_examples` say.

    Of floats, every other element is a NaN with a payload, an infinity, -0.0 or subnormal.

    >>> from hypothesis import find
    >>> find(arrays(), lambda array: array.ndim == 2).shape
    (0, 0)
    """
    return array_examples(dtype, shape).map(ArrayExample.array)


def images() -> st.SearchStrategy[NDArray[Any]]:
    """Give images of 8 or 16 bits: gray, RGB, with or without alpha; small, never empty."""
    sides = st.integers(1, 40)
    gray = st.tuples(sides, sides)
    colored = st.tuples(sides, sides, st.integers(2, 4))
    return arrays(st.sampled_from([np.dtype(d) for d in ("u1", "u2", ">u2")]), gray | colored)


def _laid_out(array: NDArray[Any], layout: Layout) -> NDArray[Any]:
    """Give an array of that dtype and shape in a memory layout, of the same elements if it can."""
    if array.dtype.hasobject:
        return _of_objects(array, layout)
    match layout:
        case "c":
            return _placed(array, 0)
        case "offset":
            return _placed(array, 16)
        case "unaligned":
            return _placed(array, 1)
        case "fortran":
            return _placed(array.T, 0).T
        case "permuted" if array.ndim:
            return np.moveaxis(_placed(np.moveaxis(array, 0, -1), 0), -1, 0)
        case "overlapping" if array.size:
            return _overlapping(array)
        case _:
            return _of_objects(_placed(array, 0), layout)


def _of_objects(array: NDArray[Any], layout: Layout) -> NDArray[Any]:
    """Give the layouts that are made by NumPy alone, whatever the elements are."""
    match layout:
        case "fortran" if array.ndim:  # NumPy would give a 0-d array an axis
            return np.asfortranarray(array)
        case "reversed" if array.ndim:
            return array[::-1].copy()[::-1]
        case "strided" if array.ndim:
            return np.repeat(array, 2, axis=-1)[..., ::2]
        case "broadcast" if array.ndim and array.shape[0]:
            return np.broadcast_to(array[:1], array.shape)
        case "read-only":
            array.flags.writeable = False
            return array
        case "masked" if array.dtype in PLAIN_DTYPES:  # others have no fill value
            return array.view(np.ma.MaskedArray)
        case _:
            return array


def _placed(array: NDArray[Any], offset: int) -> NDArray[Any]:
    """Give a copy in C order that begins so many bytes after a multiple of 64."""
    memory = aligned_empty((array.nbytes + offset,), np.dtype(np.uint8))
    memory[offset:] = bytes_of(np.ascontiguousarray(array))
    return np.ndarray(array.shape, array.dtype, memory, offset)


def _overlapping(array: NDArray[Any]) -> NDArray[Any]:
    """Give an array in which a step along any axis is a step to the next element in memory."""
    count = sum(length - 1 for length in array.shape) + 1
    flat = _placed(array.reshape(-1)[:count], 0)
    return np.ndarray(array.shape, array.dtype, flat, 0, (array.itemsize,) * array.ndim)
