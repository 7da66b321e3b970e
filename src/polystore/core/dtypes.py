"""The dtypes that NumPy lacks and others have, and how their bits are carried."""

from __future__ import annotations

__all__ = ["CARRIERS", "PLAIN_DTYPES"]

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
