"""Casts of boxes with one thing wrong in each."""

from __future__ import annotations

import numpy as np
from boxes import Box, from_host, refused

from polystore.core.errors import Lossy
from polystore.core.outcome import Failure, Outcome
from polystore.core.payload import HostArray
from polystore.core.records import Transfer

__all__ = ["casting", "clipped", "not_called_lossy", "of_another_kind"]


def lossy(what: str) -> Lossy:
    return Lossy("", None, f"A box does not hold {what}.", 'Cast them by casting="same_kind".')


def casting(array: HostArray, transfer: Transfer, /) -> Outcome[Box]:
    """Round 64 bits to 32 when told, although it holds them."""
    narrow = transfer.casting == "same_kind" and array.dtype == np.float64
    return from_host(array.astype(np.float32) if narrow else array, transfer)


def of_another_kind(array: HostArray, transfer: Transfer, /) -> Outcome[Box]:
    """Hold no complex numbers, and drop what is imaginary when told."""
    if array.dtype.kind != "c":
        return from_host(array, transfer)
    if transfer.casting == "exact":
        return Failure(lossy("complex numbers"))
    return from_host(np.real(array).copy(), transfer)


def not_called_lossy(array: HostArray, transfer: Transfer, /) -> Outcome[Box]:
    """Hold no float64, cast it when told, and else call it no loss."""
    if array.dtype != np.float64:
        return from_host(array, transfer)
    if transfer.casting == "exact":
        return Failure(refused("float64"))
    return from_host(array.astype(np.float32), transfer)


def clipped(array: HostArray, transfer: Transfer, /) -> Outcome[Box]:
    """Hold no 64-bit integers, and clip where NumPy's cast wraps."""
    if array.dtype.kind != "i" or array.dtype.itemsize != 8:
        return from_host(array, transfer)
    if transfer.casting == "exact":
        return Failure(lossy("64-bit integers"))
    return from_host(np.clip(array, -(2**31), 2**31 - 1).astype(np.int32), transfer)
