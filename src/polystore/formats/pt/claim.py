"""What the pickle of a `.pt` says of tensors, and whether it can be true."""

from __future__ import annotations

from typing import cast

from polystore.core.dtypes import CARRIERS, PLAIN_DTYPES
from polystore.formats.pt.values import Claim, NotTensorsError, described

__all__ = ["claims", "elements_end", "itemsize"]

_TENSORS_MAX = 2**16
"""Tensors. More do not fit into a pickle of the length that is read, unless it repeats itself."""

_AXES_MAX = 64  # of a NumPy array, and more than any tensor has
_LENGTH_MAX = 2**63  # where PyTorch's lengths, strides and offsets end


def claims(held: object) -> Claim | dict[str, Claim]:
    """Give the tensor, or the tensors by their names, that a pickle holds, each checked.

    `NotTensorsError` if it holds anything else; `ValueError` for a shape that none can have, or
    elements outside of the storage as the pickle says it.
    """
    if isinstance(held, Claim):
        return _checked(held)
    if not isinstance(held, dict):
        raise NotTensorsError(described(held))
    values = cast("dict[object, object]", held)
    if len({id(value) for value in values.values()}) > _TENSORS_MAX:
        raise ValueError(f"it holds more than {_TENSORS_MAX} tensors")
    named: dict[str, Claim] = {}
    for name, value in values.items():
        if not isinstance(name, str):
            raise NotTensorsError("a mapping by other names than text")
        if not isinstance(value, Claim):
            raise NotTensorsError(f"{described(value)} under the name {name[:80]!r}")
        named[name] = _checked(value)
    return named


def itemsize(dtype: str) -> int:
    """Give the bytes of one element.

    >>> itemsize("bfloat16"), itemsize("complex128")
    (2, 16)
    """
    import numpy as np

    return np.dtype(CARRIERS.get(dtype, dtype)).itemsize


def elements_end(claim: Claim) -> int:
    """Give where in its storage the last element ends, in elements; 0 if there is none."""
    if 0 in claim.shape:
        return 0
    steps = zip(claim.shape, claim.strides, strict=True)
    return claim.offset + 1 + sum((length - 1) * stride for length, stride in steps)


def _checked(claim: Claim) -> Claim:
    import torch

    shape, strides, dtype = claim.shape, claim.strides, claim.dtype
    if not (dtype in PLAIN_DTYPES or dtype in CARRIERS) or not hasattr(torch, dtype):
        raise NotTensorsError(
            f"a tensor of {dtype[:80] if dtype.isidentifier() else 'another dtype'}"
        )
    within = all(0 <= number < _LENGTH_MAX for number in (*shape, *strides, claim.offset))
    if not within or len(shape) != len(strides) or len(shape) > _AXES_MAX:
        raise ValueError("a tensor in it has a shape that none can have")
    available = claim.storage.length * itemsize(claim.storage.dtype or "uint8")
    if elements_end(claim) * itemsize(dtype) > available:
        raise ValueError("a tensor in it has elements outside of its storage")
    return claim
