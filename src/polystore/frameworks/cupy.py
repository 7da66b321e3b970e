"""CuPy: arrays in the memory of CUDA devices, shared with other frameworks there."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Protocol, cast

from polystore.core.dtypes import PLAIN_DTYPES
from polystore.core.errors import UnsupportedPayload
from polystore.core.outcome import Failure, Outcome, Success, and_then, is_successful
from polystore.core.payload import HostArray, aligned_empty
from polystore.core.records import Casting, Framework, Transfer
from polystore.frameworks.sharing import (
    as_held,
    attempt,
    nearest,
    no_device,
    no_dtype,
    would_copy,
)

if TYPE_CHECKING:
    import cupy as cp
    import numpy as np

__all__ = ["CUPY"]

_DTYPES = PLAIN_DTYPES | {"bfloat16"}

_DLPACK_CUDA = (2, 13)
"""DLPack's `kDLCUDA` and `kDLCUDAManaged`: memory that CUDA devices read."""


class _OnDevice(Protocol):
    """Another framework's array, as far as its hand-over to CuPy asks."""

    @property
    def dtype(self) -> object: ...
    def __dlpack__(self) -> object: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...


def _owns(value: object) -> bool:
    return isinstance(value, getattr(sys.modules.get("cupy"), "ndarray", ()))


def _to_host(array: cp.ndarray, transfer: Transfer, /) -> Outcome[HostArray]:
    """Give the array as a NumPy array, in memory of its own: the host reads no device's memory."""
    import numpy as np

    if transfer.copy is False:
        return Failure(would_copy("it lies on a device"))
    name = array.dtype.name
    if name not in _DTYPES:
        advice = "Convert numbers: one field of records at a time, or a view of the bytes."
        return Failure(_odd(f"has the dtype {array.dtype}", advice))

    def fetched() -> HostArray:
        host = aligned_empty(array.shape, array.dtype)
        carrier = np.dtype(_carrier(name))
        array.device.synchronize()  # whatever stream it is computed on
        array.view(carrier).get(out=host.view(carrier), blocking=True)
        return host

    return attempt(fetched, "NumPy")


def _carrier(name: str) -> str:
    return "uint16" if name == "bfloat16" else name


def _odd(what: str, advice: str) -> UnsupportedPayload:
    return UnsupportedPayload("", None, f"The CuPy array {what}.", advice)


def _from_host(array: HostArray, transfer: Transfer, /) -> Outcome[cp.ndarray]:
    """Give the array as one of CuPy, copied to the device."""
    dtype = _held(array.dtype, transfer.casting)
    if not is_successful(dtype):
        return Failure(dtype.failure())
    device = _device(transfer.device)
    if not is_successful(device):
        return Failure(device.failure())
    if transfer.copy is False:
        return Failure(would_copy("it is in host memory"))
    held, there = dtype.unwrap(), device.unwrap()
    memory = as_held(array, held, None, fits=array.flags.c_contiguous)
    return and_then(memory, lambda it: attempt(lambda: _put(it, there), "CuPy"))


def _held(dtype: np.dtype[Any], casting: Casting) -> Outcome[np.dtype[Any]]:
    held = nearest(dtype, casting)
    if held.name in _DTYPES:
        return Success(held)
    return Failure(no_dtype("CuPy", dtype))


def _put(array: HostArray, device: cp.cuda.Device) -> cp.ndarray:
    import cupy as cp
    import numpy as np

    # The view by name is for `ulonglong`, which equals uint64 and has another letter.
    carried = array.view(np.dtype(_carrier(array.dtype.name)))
    with device:
        there = cp.asarray(carried, blocking=True)
        return there.view(array.dtype) if array.dtype.name == "bfloat16" else there


def _from_dlpack(array: object, transfer: Transfer, /) -> Outcome[cp.ndarray]:
    """Give another framework's array, on the device where it is, without the host.

    `UnsupportedPayload` for arrays in host memory, and for what DLPack does not say: PyTorch
    exports a negative not yet computed with its sign lost.
    """
    source = cast("_OnDevice", array)
    found = attempt(lambda: source.__dlpack_device__()[0], "CuPy")
    if not is_successful(found):
        return Failure(found.failure())
    lazy = any(getattr(array, name, bool)() for name in ("is_neg", "is_conj"))
    if lazy or found.unwrap() not in _DLPACK_CUDA:
        return Failure(_odd("is made through the host", "Use from_host."))
    there = _device(None)
    if not is_successful(there):
        return Failure(there.failure())
    return and_then(_imported(source), lambda it: _place(it, transfer))


def _imported(array: _OnDevice) -> Outcome[cp.ndarray]:
    import cupy as cp

    name = str(array.dtype).removeprefix("torch.").removeprefix("<dtype: '").removesuffix("'>")
    if name not in _DTYPES:
        return Failure(_odd("is made through the host", "Use from_host, which knows the rules."))
    tensorflow = getattr(sys.modules.get("tensorflow"), "Tensor", ())

    def imported() -> cp.ndarray:
        # PyTorch exports no tensor that requires gradients, only its memory.
        source = cast("_OnDevice", getattr(array, "detach", lambda: array)())
        # TensorFlow takes no stream to wait for; what it exports is computed.
        return cp.from_dlpack(source.__dlpack__() if isinstance(source, tensorflow) else source)

    found = attempt(imported, "CuPy")
    if is_successful(found) and found.unwrap().dtype.name != name:
        return Failure(_odd("would have another dtype", "Use from_host, which knows the rules."))
    return found


def _place(array: cp.ndarray, transfer: Transfer, /) -> Outcome[cp.ndarray]:
    """Give the array on the device, copied if asked."""
    if transfer.device is None and not transfer.copy:
        return Success(array)
    device = Success(array.device) if transfer.device is None else _device(transfer.device)
    return and_then(device, lambda there: _placed(array, there, transfer.copy))


def _placed(array: cp.ndarray, there: cp.cuda.Device, copy: bool | None) -> Outcome[cp.ndarray]:
    here = array.device
    if there.id == here.id and not copy:
        return Success(array)
    if copy is False:
        return Failure(would_copy(f"it lies on cuda:{here.id}"))

    def copied() -> cp.ndarray:
        here.synchronize()
        with there:
            copy = array.copy()  # on the device that is current
            there.synchronize()
            return copy

    return attempt(copied, "CuPy")


def _device(word: str | None) -> Outcome[cp.cuda.Device]:
    """Give a device by its word; `None` is the one that CuPy uses by itself."""
    import cupy as cp

    counted = attempt(cp.cuda.runtime.getDeviceCount, "CuPy")
    count = counted.value_or(0)
    if not count:
        why = "" if is_successful(counted) else f": {counted.failure().message.partition(': ')[2]}"
        message = f"CuPy has no CUDA device here{why.rstrip('.')}."
        advice = "Run it where there is an NVIDIA GPU with its driver, or convert to another one."
        return Failure(UnsupportedPayload("", None, message, advice))
    if word is None:
        return Success(cp.cuda.Device())
    kind, colon, index = word.partition(":")
    number = int(index) if index.isdecimal() else -1 if colon else 0
    if kind == "cuda" and 0 <= number < count:
        return Success(cp.cuda.Device(number))
    return Failure(no_device("CuPy", word, [f"cuda:{i}" for i in range(count)]))


CUPY: Framework[cp.ndarray] = Framework(
    name="cupy",
    owns=_owns,
    to_host=_to_host,
    from_host=_from_host,
    from_dlpack=_from_dlpack,
    place=_place,
)
"""The record of CuPy.

- On a CUDA device, memory is shared with PyTorch, JAX and TensorFlow; a write to one shows in the
  other. To the host and from there an array is copied.
- What is handed over is computed: its device is waited for.
- bfloat16 goes to and from `ml_dtypes` arrays, bit for bit.
- `device` is `"cuda"`, `"cuda:1"`; `None` is where the array is, or CuPy's current device.
- `UnsupportedPayload`: float8, strings, objects, datetimes, structured dtypes (CuPy aligns their
  fields anew), longdouble (unless `casting="same_kind"`: then as float64); anything where there is
  no CUDA device.
"""
