"""Tensors over bytes that are there already: a storage, a dtype, an offset, a shape and strides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

from attrs import frozen

from polystore.core.payload import HostArray

if TYPE_CHECKING:
    import torch

__all__ = ["View", "storage_of", "tensor_of"]


@frozen(eq=False)
class View:
    """Which part of a storage a tensor is: offset and strides are in elements of `dtype`.

    `dtype` is PyTorch's name of it, which is that of NumPy or of `ml_dtypes` too.
    """

    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Tensor(Protocol):
    def untyped_storage(self) -> torch.UntypedStorage: ...
    def set_(
        self,
        source: torch.UntypedStorage,
        storage_offset: int,
        size: tuple[int, ...],
        stride: tuple[int, ...],
        /,
    ) -> torch.Tensor: ...


class _Torch(Protocol):
    """The functions of `torch` whose own annotations leave a type unknown."""

    def from_numpy(self, array: HostArray, /) -> _Tensor: ...
    def empty(self, size: tuple[int, ...], /, *, dtype: object, device: str) -> _Tensor: ...


def _torch() -> _Torch:
    import torch

    return cast("_Torch", torch)


def storage_of(memory: HostArray) -> torch.UntypedStorage:
    """Give the storage that shares the memory: a writable array of bytes, of one axis."""
    return _torch().from_numpy(memory).untyped_storage()


def tensor_of(storage: torch.UntypedStorage, view: View) -> torch.Tensor:
    """Give the tensor that is this part of a storage; those of one storage share its memory.

    PyTorch raises `RuntimeError` if the part is not inside.

    >>> import numpy as np
    >>> storage = storage_of(np.arange(6, dtype=np.uint8))
    >>> tensor_of(storage, View("int8", 1, (2, 2), (2, 1)))
    tensor([[1, 2],
            [3, 4]], dtype=torch.int8)
    """
    import torch

    # Not `view(dtype)`: what that gives is a view of another tensor, and says so of itself.
    empty = _torch().empty((0,), dtype=getattr(torch, view.dtype), device="cpu")
    return empty.set_(storage, view.offset, view.shape, view.strides)
