"""The dtypes that NumPy lacks and others have, and how their bits are carried."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

__all__ = ["CARRIERS", "PLAIN_DTYPES", "QUANTISED", "numpy_dtype"]

_SIZES = {
    "int": (8, 16, 32, 64),
    "uint": (8, 16, 32, 64),
    "float": (16, 32, 64),
    "complex": (64, 128),
}

PLAIN_DTYPES = frozenset(
    ("bool", *(f"{kind}{bits}" for kind, sizes in _SIZES.items() for bits in sizes))
)
"""Names of the dtypes that NumPy and the frameworks have in common, and store alike."""

CARRIERS = {
    "bfloat16": "int16",
    "float8_e4m3fn": "uint8",
    "float8_e4m3fnuz": "uint8",
    "float8_e5m2": "uint8",
    "float8_e5m2fnuz": "uint8",
    "float8_e8m0fnu": "uint8",
}
"""Dtypes of `ml_dtypes` that PyTorch has under the same name, and integers that carry their bits.

PyTorch's complex32 is left out, because it warns when used, and so are its integers of fewer than
8 bits, which are names without arithmetic.
"""

QUANTISED = {
    "qint8": "int8",
    "qint16": "int16",
    "qint32": "int32",
    "quint8": "uint8",
    "quint16": "uint16",
}
"""TensorFlow's integers that stand for other numbers, and those that carry their bits.

In NumPy they are records of one field of that name, as TensorFlow's `as_numpy_dtype` has it.
"""


@cache
def numpy_dtype(name: str) -> np.dtype[Any]:
    """Give the dtype of TensorFlow's name, in this machine's byte order.

    The names are those of `PLAIN_DTYPES`, of `QUANTISED` and of `ml_dtypes`; `AttributeError` for
    any other.

    >>> numpy_dtype("float32"), numpy_dtype("qint8")
    (dtype('float32'), dtype([('qint8', 'i1')]))
    """
    import numpy as np

    if name in QUANTISED:
        return np.dtype([(name, QUANTISED[name])])
    if name in PLAIN_DTYPES:
        return np.dtype(name)
    import ml_dtypes

    extended: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name))
    return extended
