"""PyTorch: tensors share host memory through NumPy, and other memory through DLPack."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Protocol, cast

from polystore.core.dtypes import CARRIERS, PLAIN_DTYPES
from polystore.core.errors import UnsupportedPayload
from polystore.core.outcome import Failure, Outcome, Success, and_then, is_successful
from polystore.core.records import Casting, Framework, Transfer
from polystore.frameworks.sharing import (
    as_held,
    attempt,
    exports,
    nearest,
    no_device,
    no_dtype,
    own_copy,
    would_copy,
)

if TYPE_CHECKING:
    import numpy as np
    import torch

    from polystore.core.payload import HostArray

__all__ = ["TORCH"]

_DISPATCH = "__torch_dispatch__"


class _Torch(Protocol):
    """The functions of `torch` whose own annotations leave a type unknown."""

    def from_numpy(self, array: HostArray, /) -> torch.Tensor: ...
    def from_dlpack(self, array: object, /) -> torch.Tensor: ...


def _torch() -> _Torch:
    import torch

    return cast("_Torch", torch)


def _owns(value: object) -> bool:
    return isinstance(value, getattr(sys.modules.get("torch"), "Tensor", ()))


def _to_host(tensor: torch.Tensor, transfer: Transfer, /) -> Outcome[HostArray]:
    """Give the tensor as an array, sharing its memory where that is in the host and plain."""
    refused = _unreadable(tensor)
    if refused is not None:
        return Failure(refused)
    name = str(tensor.dtype).removeprefix("torch.")
    shares = tensor.device.type == "cpu" and not tensor.is_conj() and not tensor.is_neg()
    if transfer.copy is False and not shares:
        return Failure(would_copy("it lies on a device, or is a conjugate not yet computed"))

    def array() -> HostArray:
        plain = tensor.detach().cpu().resolve_conj().resolve_neg()
        if name in PLAIN_DTYPES:
            return plain.numpy()
        import ml_dtypes
        import torch

        carried = plain.view(getattr(torch, CARRIERS[name])).numpy()
        return carried.view(getattr(ml_dtypes, name))

    if name not in PLAIN_DTYPES and name not in CARRIERS:
        return Failure(_odd(f"has the dtype {name}", "Cast it first, as in tensor.to(torch.int8)."))
    host = attempt(array, "NumPy")
    if transfer.copy and shares:
        return and_then(host, lambda it: own_copy(it, it.dtype))
    return host


def _unreadable(tensor: torch.Tensor) -> UnsupportedPayload | None:
    """Give why the tensor is not one plain array, or `None` if it is."""
    import torch

    kind = type(tensor)
    if getattr(kind, _DISPATCH) is not getattr(torch.Tensor, _DISPATCH):
        advice = "Give its plain data, as in tensor.get_data() of a masked one."
        return _odd(f"is a {kind.__name__}, which is more than its memory", advice)
    if tensor.is_nested:
        return _odd("is nested", "Pad it, or convert what tensor.unbind() gives.")
    if tensor.layout != torch.strided:
        return _odd(f"has the layout {tensor.layout}", "Make it dense: tensor.to_dense().")
    if tensor.is_quantized:
        return _odd("is quantised", "Use tensor.dequantize(), or tensor.int_repr() for its bits.")
    if tensor.is_meta:
        return _odd("is on the meta device, without data", "Make it on a real device.")
    return _freed(tensor)


def _freed(tensor: torch.Tensor) -> UnsupportedPayload | None:
    """Give the error for a tensor that reaches beyond its storage, as where FSDP has freed it.

    PyTorch reads such memory all the same: it ends the process, or gives what is there now.
    """
    import torch

    if getattr(type(tensor), _DISPATCH) is not getattr(torch.Tensor, _DISPATCH):
        return None  # what it holds is for its class to say

    def beyond() -> bool:
        last = sum((n - 1) * step for n, step in zip(tensor.shape, tensor.stride(), strict=True))
        end = (tensor.storage_offset() + last + 1) * tensor.element_size()
        return tensor.numel() > 0 and end > tensor.untyped_storage().nbytes()

    # Sparse and nested tensors, and those inside vmap, raise: they have no storage.
    if not attempt(beyond, "PyTorch").value_or(False):
        return None
    return _odd(
        "reaches beyond its storage, which was freed",
        "Fill its storage first.",
    )


def _odd(what: str, advice: str) -> UnsupportedPayload:
    return UnsupportedPayload("", None, f"The tensor {what}.", advice)


def _from_host(array: HostArray, transfer: Transfer, /) -> Outcome[torch.Tensor]:
    """Give the array as a tensor, sharing its memory where PyTorch can hold it."""
    dtype = _held(array.dtype, transfer.casting)
    device = _device("cpu" if transfer.device is None else transfer.device)
    if not is_successful(dtype):
        return Failure(dtype.failure())
    if not is_successful(device):
        return Failure(device.failure())
    held, there = dtype.unwrap(), device.unwrap()
    if there.type == "cpu":
        memory = as_held(array, held, transfer.copy, fits=_fits(array))
        return and_then(memory, lambda it: attempt(lambda: _tensor(it, held.name), "PyTorch"))
    if transfer.copy is False:
        return Failure(would_copy("it is in host memory"))
    memory = as_held(array, held, None, fits=_fits(array))
    return and_then(memory, lambda it: attempt(lambda: _tensor(it, held.name).to(there), "PyTorch"))


def _held(dtype: np.dtype[Any], casting: Casting) -> Outcome[np.dtype[Any]]:
    import torch

    held = nearest(dtype, casting)
    if held.name in PLAIN_DTYPES or (held.name in CARRIERS and hasattr(torch, held.name)):
        return Success(held)
    return Failure(no_dtype("PyTorch", dtype))


def _fits(array: HostArray) -> bool:
    """Whether a tensor can have this memory: it writes to it, and knows no negative strides.

    Read-only memory may be mapped, and a write to it would end the process.
    """
    flags = array.flags
    strided = flags.c_contiguous or all(
        stride >= 0 and stride % array.itemsize == 0 for stride in array.strides
    )
    return flags.writeable and flags.aligned and strided


def _tensor(array: HostArray, name: str) -> torch.Tensor:
    import numpy as np
    import torch

    if array.flags.c_contiguous:
        # Along an axis of length 1 any stride is allowed, a negative one too: reset them.
        array = array.reshape(-1).reshape(array.shape)
    # The view by name is for `ulonglong`, which equals uint64 and is none to PyTorch.
    tensor = _torch().from_numpy(array.view(np.dtype(CARRIERS.get(name, name))))
    return tensor.view(getattr(torch, name)) if name in CARRIERS else tensor


def _from_dlpack(array: object, transfer: Transfer, /) -> Outcome[torch.Tensor]:
    """Give another framework's array as a tensor that shares its memory, on its device."""
    strides: object = getattr(array, "strides", None)
    if isinstance(strides, tuple) and min(cast("tuple[int, ...]", strides), default=0) < 0:
        # PyTorch does not raise here: it aborts the process.
        return Failure(_odd("would have a negative stride", "Copy the array first."))
    if not exports(array):
        return Failure(_odd("is made through the host", "Use from_host."))
    shared = attempt(lambda: _torch().from_dlpack(array), "PyTorch")
    return and_then(shared, lambda tensor: _place(tensor, transfer))


def _place(tensor: torch.Tensor, transfer: Transfer, /) -> Outcome[torch.Tensor]:
    """Give the tensor on the device, copied if asked; with its gradients, if it has them."""
    word = transfer.device
    device: Outcome[torch.device | None] = Success(None) if word is None else _device(word)
    return and_then(device, lambda there: _placed(tensor, there, transfer.copy))


def _placed(
    tensor: torch.Tensor, there: torch.device | None, copy: bool | None
) -> Outcome[torch.Tensor]:
    here = tensor.device
    stays = there is None or (there.type == here.type and there.index in (None, here.index or 0))
    if stays and not copy:
        return Success(tensor)
    if copy is False:
        return Failure(would_copy(f"it lies on {here}"))
    freed = _freed(tensor)
    if freed is not None:
        return Failure(freed)
    if there is None or stays:
        return attempt(tensor.clone, "PyTorch")
    return attempt(lambda: tensor.to(there), "PyTorch")


def _device(word: str) -> Outcome[torch.device]:
    import torch

    if word in ("cpu", "cpu:0"):
        return Success(torch.device("cpu"))
    known = _devices()
    if word in known or f"{word}:0" in known:
        return Success(torch.device(word))
    return Failure(no_device("PyTorch", word, known))


def _devices() -> list[str]:
    """Give the devices of this process in PyTorch's words. `meta` is none: it has no data."""
    import torch

    counts = {"cuda": torch.cuda.device_count(), "xpu": torch.xpu.device_count()}
    counts["mps"] = int(torch.backends.mps.is_available())
    return ["cpu", *(f"{kind}:{i}" for kind, count in counts.items() for i in range(count))]


TORCH: Framework[torch.Tensor] = Framework(
    name="torch",
    owns=_owns,
    to_host=_to_host,
    from_host=_from_host,
    from_dlpack=_from_dlpack,
    place=_place,
)
"""The record of PyTorch.

- Tensors on the CPU and NumPy arrays share memory; a write to one shows in the other. Read-only
  arrays and those with negative strides are copied. So are tensors that are a conjugate or negative
  not yet computed.
- A tensor that requires gradients is read detached, in the same memory. Going to PyTorch itself it
  keeps its graph.
- bfloat16 and the float8 dtypes go to and from `ml_dtypes` arrays, bit for bit.
- JAX arrays are shared too, although JAX takes them to be immutable: don't write to such a tensor,
  or ask for a copy.
- `device` is `"cpu"`, `"cuda"`, `"cuda:1"`, `"mps"`, `"xpu:0"`; `None` is where the array is.
- `UnsupportedPayload`: strings, objects, datetimes, structured dtypes, longdouble (unless
  `casting="same_kind"`: then as float64), sparse, nested, quantised and meta tensors, and those
  whose storage was freed.
"""
