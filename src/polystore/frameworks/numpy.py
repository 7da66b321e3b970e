"""NumPy: the host itself. Arrays are shared as they are; what hides in a subclass is refused."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from polystore.core.errors import Lossy
from polystore.core.outcome import Failure, Outcome, Success
from polystore.core.records import Framework, Transfer
from polystore.frameworks.sharing import no_device, own_copy, would_copy

if TYPE_CHECKING:
    from polystore.core.payload import HostArray

__all__ = ["NUMPY"]


def _owns(value: object) -> bool:
    numpy = sys.modules.get("numpy")
    # While another thread imports NumPy, the module is there and its classes are not yet.
    kinds = getattr(numpy, "ndarray", ()), getattr(numpy, "generic", ())
    return isinstance(value, kinds)


def _to_host(array: HostArray, transfer: Transfer, /) -> Outcome[HostArray]:
    """Give the array as a plain `numpy.ndarray`; `Lossy` if it has masked elements.

    A scalar (`numpy.float64(3)`) becomes a 0-d array, which is always a copy.
    """
    import numpy as np

    if _is_masked(array):
        return Failure(
            Lossy(
                "",
                None,
                "The array has masked elements, and its mask would be lost.",
                "Fill them first, as in array.filled(0), or save the mask as an array of its own.",
            )
        )
    if isinstance(array, np.generic) and transfer.copy is False:
        return Failure(would_copy("it is a scalar, which has no memory to share"))
    return _from_host(np.asarray(array), transfer)


def _is_masked(array: HostArray) -> bool:
    """Whether an element or a field of one is masked; `numpy.ma.is_masked` raises on fields."""
    import numpy as np

    if type(array) is np.ndarray:
        return False
    mask = np.ascontiguousarray(np.ma.getmask(array))
    return bool(mask.view(np.bool_).any())


def _from_host(array: HostArray, transfer: Transfer, /) -> Outcome[HostArray]:
    if transfer.device not in (None, "cpu"):
        return Failure(no_device("NumPy", transfer.device, ["cpu"]))
    return own_copy(array, array.dtype) if transfer.copy else Success(array)


NUMPY: Framework[HostArray] = Framework(
    name="numpy", owns=_owns, to_host=_to_host, from_host=_from_host, place=_to_host
)
"""The record of NumPy.

Scalars and subclasses (`matrix`, `memmap`, a masked array without masked elements) become plain
arrays that share their memory. Every dtype is kept, byte order included; a copy (`copy=True`) is in
C order. Arrays that come from JAX are read-only, because they share its immutable memory.
"""
