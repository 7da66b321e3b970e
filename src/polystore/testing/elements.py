"""Elements of any bits that their dtype may have."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from polystore.testing.dtypes import SMALL

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["filled"]

_EXPONENTS = {"float16": 0x7C00, "bfloat16": 0x7F80, "float32": 0x7F800000, "float64": 0x7FF << 52}
"""The bits of the exponent: all set in NaN and infinity, none set in zero and subnormals."""

_EXTENDED = 16
"""Bytes of a longdouble, where it is longer than a float64."""

_MANTISSA_OF_80 = 63
"""Bits of the fraction of a number of 80 bits."""


def filled(seed: int, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Give an array of that dtype, of any bits that it may have.

    Of floats, every other element is a NaN with a payload, an infinity, -0.0 or subnormal. Python
    objects are small integers, and strings their digits.

    >>> filled(0, np.dtype("U2"), (3,)).dtype, filled(7, np.dtype(object), (2,)).shape
    (dtype('<U2'), (2,))
    """
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
    if part.kind == "f" and part.itemsize == _EXTENDED:
        raw = _without_padding(raw, part)
    return raw.view(dtype).reshape(shape)


def _without_padding(raw: NDArray[np.uint8], dtype: np.dtype[Any]) -> NDArray[np.uint8]:
    """Give x86's numbers of 80 bits with zeros in what fills them up: no one has to keep that."""
    if np.finfo(np.longdouble).nmant == _MANTISSA_OF_80:
        number = raw.reshape(-1, _EXTENDED)
        number[:, : _EXTENDED - 10 if dtype.byteorder == ">" else 0] = 0
        number[:, 10 if dtype.byteorder != ">" else _EXTENDED :] = 0
    return raw


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
