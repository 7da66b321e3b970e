"""How arrays become a `.pt`: as tensors of the same memory, written by `torch.save`."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, cast

import attrs

from polystore.core.dtypes import CARRIERS, PLAIN_DTYPES
from polystore.core.errors import StorageError
from polystore.core.item import Item
from polystore.core.outcome import Failure, Outcome, Success, is_successful
from polystore.core.payload import HostArray, Payload, bytes_of
from polystore.core.records import Buffer, Encoded
from polystore.formats.pt.tensor import View, storage_of, tensor_of
from polystore.formats.refusals import cannot_hold, host_array
from polystore.formats.stream import Recorder

if TYPE_CHECKING:
    import torch

__all__ = ["encoded"]

_LENT_FROM = 2**16
"""Bytes. Smaller arrays are cheaper to join with what is around them."""


def encoded(item: Item[Payload]) -> Outcome[Encoded]:
    """Give the bytes that `torch.save` writes of an array, or of a mapping of them.

    The arrays' own memory is among the buffers. Only the elements are written: an array that does
    not fill its memory (a slice, a broadcast view), or has another byte order, is copied for it.
    Names of the very same memory share a storage in the file. `UnsupportedPayload` for dtypes that
    PyTorch lacks.
    """
    arrays = _arrays(item.payload)
    if not is_successful(arrays):
        return Failure(arrays.failure())
    if _skips_elements():
        what = "elements while PyTorch is told to skip them"
        return Failure(cannot_hold(".pt", what, "Save outside of torch.serialization.skip_data()."))
    tensors, memories = _tensors(arrays.unwrap())
    lent = [bytes_of(memory) for memory in memories if memory.nbytes >= _LENT_FROM]
    file = Recorder(*lent)
    import torch

    save = cast("Callable[[object, object], None]", torch.save)
    save(tensors if isinstance(item.payload, Mapping) else tensors[""], file)
    return Success(Encoded(tuple(_owned(file, lent)), file.size, item.metadata.present()))


def _skips_elements() -> bool:
    """Whether `torch.save` would leave room for the elements, and not write them."""
    import torch

    state: object = getattr(torch.serialization, "_serialization_tls", None)
    return getattr(state, "skip_data", False) is True


def _arrays(payload: Payload) -> Outcome[dict[str, HostArray]]:
    """Give the arrays by their names (`""` for a single one), or why one of them is refused."""
    named = payload if isinstance(payload, Mapping) else {"": payload}
    found: dict[str, HostArray] = {}
    for name, value in cast("Mapping[object, Payload]", named).items():
        # torch.save would write a subclass of `str` (NumPy's, an enumeration's) as code to run.
        plain = str.__str__(name) if isinstance(name, str) else None
        if plain is None or plain in found:
            advice = "Give each array a name of its own that is text."
            return Failure(cannot_hold(".pt", f"the name {str(name)[:80]!r}", advice))
        array = host_array(Item("", value), ".pt")
        error = array.failure() if not is_successful(array) else _dtype_problem(array.unwrap())
        if error is not None:
            where = f"Under the name {plain[:80]!r}: " if isinstance(payload, Mapping) else ""
            return Failure(attrs.evolve(error, message=f"{where}{error.message}"))
        found[plain] = array.unwrap()
    return Success(found)


def _dtype_problem(array: HostArray) -> StorageError | None:
    import numpy as np

    name = array.dtype.name
    plain = name in PLAIN_DTYPES and array.dtype.newbyteorder("=") == np.dtype(name)
    if plain or (name in CARRIERS and array.dtype.isbuiltin == 2):
        return None
    advice = "Convert it to a dtype of PyTorch's first, as with array.astype."
    return cannot_hold(".pt", f"the dtype {str(array.dtype)[:80]}", advice)


def _laid(array: HostArray) -> tuple[HostArray, View]:
    """Give the elements as bytes in the order in which they lie, and how they are a tensor."""
    import numpy as np

    array = np.asarray(array, array.dtype.newbyteorder("="))
    order = sorted(range(array.ndim), key=lambda axis: -array.strides[axis])
    if not array.transpose(order).flags.c_contiguous:
        array = np.ascontiguousarray(array).reshape(array.shape)
        order = list(range(array.ndim))
    dense = array.transpose(order)
    # Not the array's own strides: along an axis of length 1 they may be anything.
    strides, step = dict.fromkeys(order, 0), 1
    for axis in reversed(order):
        strides[axis] = step
        step *= max(array.shape[axis], 1)
    steps = tuple(strides[axis] for axis in range(array.ndim))
    memory = dense.reshape(-1).view(np.uint8) if array.nbytes else np.empty(0, np.uint8)
    return memory, View(array.dtype.name, 0, array.shape, steps)


def _tensors(arrays: Mapping[str, HostArray]) -> tuple[dict[str, torch.Tensor], list[HostArray]]:
    """Give the tensors, and the memory that they are made of."""
    known: dict[int, tuple[str, int, torch.UntypedStorage]] = {}  # by address
    tensors: dict[str, torch.Tensor] = {}
    memories: list[HostArray] = []
    for name, array in arrays.items():
        memory, view = _laid(array)
        found = known.get(memory.ctypes.data) if memory.nbytes else None
        if found is not None and found[0] != view.dtype:
            # torch.save raises where two dtypes begin at one address.
            memory, found = memory.copy(), None
        if found is not None and found[1] == memory.nbytes:
            storage = found[2]
        else:
            storage = storage_of(_writable(memory))
            known.setdefault(memory.ctypes.data, (view.dtype, memory.nbytes, storage))
            memories.append(memory)
        tensors[name] = tensor_of(storage, view)
    return tensors, memories


def _writable(memory: HostArray) -> HostArray:
    """Give the same memory as PyTorch wants it, which warns of what is read-only.

    It is only read: by `torch.save`, while `memory` is alive.
    """
    import ctypes

    import numpy as np

    if memory.flags.writeable:
        return memory
    content = (ctypes.c_uint8 * memory.nbytes).from_address(memory.ctypes.data)
    return np.frombuffer(memoryview(content), np.uint8)


def _owned(file: Recorder, lent: list[memoryview]) -> Iterator[Buffer]:
    """Give the buffers; what PyTorch wrote of an array is given as memory that keeps the array."""
    owners = sorted((_address(memory), memory) for memory in lent)
    starts = [address for address, _ in owners]
    for part in file.buffers():
        view = memoryview(part)
        at = _address(view)
        index = bisect_right(starts, at) - 1
        if index < 0 or at + view.nbytes > starts[index] + owners[index][1].nbytes:
            yield part
        else:
            start = at - starts[index]
            yield owners[index][1][start : start + view.nbytes]


def _address(view: memoryview) -> int:
    import numpy as np

    return np.frombuffer(view, np.uint8).ctypes.data
