"""NumPy: the host itself. Arrays are shared as they are; what hides in a subclass is refused."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from polystore.core.errors import Lossy, UnsupportedPayload
from polystore.core.outcome import Failure, Outcome, Success
from polystore.core.records import Framework, Transfer

if TYPE_CHECKING:
    from polystore.core.payload import HostArray

__all__ = ["NUMPY"]


def _owns(value: object) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, (numpy.ndarray, numpy.generic))


def _to_host(array: HostArray, transfer: Transfer, /) -> Outcome[HostArray]:
    """Give the array as a plain `numpy.ndarray`; `Lossy` if it has masked elements."""
    import numpy as np

    if np.ma.is_masked(array):
        return Failure(
            Lossy(
                "",
                None,
                "The array has masked elements, and its mask would be lost.",
                "Fill them first, as in array.filled(0), or save the mask as an array of its own.",
            )
        )
    return _from_host(np.asarray(array), transfer)


def _from_host(array: HostArray, transfer: Transfer, /) -> Outcome[HostArray]:
    if transfer.device not in (None, "cpu"):
        return Failure(
            UnsupportedPayload(
                "",
                None,
                f"NumPy has no device {transfer.device!r}.",
                "Use device='cpu', or a framework that has it.",
            )
        )
    return Success(array.copy() if transfer.copy else array)


NUMPY: Framework[HostArray] = Framework(
    name="numpy", owns=_owns, to_host=_to_host, from_host=_from_host, place=_to_host
)
"""The record of NumPy."""
