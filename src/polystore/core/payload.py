"""What an item can hold: arrays of any framework, lazy arrays, mappings, JSON, tables, regions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Never, Protocol, TypeAlias, TypeGuard, cast

from attrs import field, frozen
from typing_extensions import TypeAliasType

from polystore.core.outcome import Outcome

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from polystore.core.rois import Rois
    from polystore.core.table import Table

__all__ = [
    "ALIGNMENT",
    "Array",
    "ArraySpec",
    "HostArray",
    "Json",
    "LazyArray",
    "Payload",
    "Region",
    "aligned_empty",
    "bytes_of",
    "is_host_array",
    "nbytes_of",
]

HostArray = TypeAliasType("HostArray", "NDArray[Any]")
"""An array in the memory of this process: a `numpy.ndarray`."""

Region: TypeAlias = tuple[slice, ...]
"""One slice of step 1 per axis."""

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
"""What JSON can say. Text is a `str`."""


class Array(Protocol):
    """An array of any framework: it has a shape, a dtype, and can be handed over by DLPack.

    A protocol, not a union of the frameworks' classes: where a framework is not installed, its
    class is `Any` to the type checkers, and a union with `Any` in it refuses nothing.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        ...

    @property
    def dtype(self) -> object:
        """The element type, in the framework's own terms."""
        ...

    def __dlpack__(self) -> object:
        """Give the DLPack capsule of the array."""
        ...


@frozen
class ArraySpec:
    """What is known of an array before its elements are read.

    `dtype` is NumPy's name of it (`"uint16"`, `">f4"`); `blocks` is the shape in which the source
    reads best (a chunk, a strip), of the same length as `shape`.
    """

    shape: tuple[int, ...]
    dtype: str
    axes: tuple[str, ...]
    blocks: tuple[int, ...]


@frozen
class LazyArray:
    """An array that is read region by region. `read` gives a fresh array, or why there is none.

    A region has one slice of step 1 for each axis. All of it is `read((slice(None),) * n)` with its
    `n = len(spec.shape)` axes; `convert(to="numpy")` reads it whole, and so does a `load` without
    `lazy=True`. NumPy's functions take none: `TypeError`.

    >>> import numpy as np
    >>> from polystore import Success
    >>> spec = ArraySpec((2, 3), "int64", ("y", "x"), (1, 3))
    >>> lazy = LazyArray(spec, lambda region: Success(np.arange(6).reshape(2, 3)[region].copy()))
    >>> lazy.read((slice(0, 1), slice(1, 3))).unwrap()
    array([[1, 2]])
    >>> lazy.read((slice(None),) * len(lazy.spec.shape)).unwrap().shape
    (2, 3)
    >>> print(lazy)
    LazyArray(spec=ArraySpec(shape=(2, 3), dtype='int64', axes=('y', 'x'), blocks=(1, 3)))
    """

    spec: ArraySpec
    read: Callable[[Region], Outcome[HostArray]] = field(repr=False)

    def __array__(self, dtype: object = None, copy: object = None) -> Never:
        """Raise `TypeError`: else NumPy would make an array of one object, this, without a word."""
        raise TypeError(
            "A LazyArray is read region by region: read((slice(None),) * n) gives all of its n axes"
        )


Payload = TypeAliasType("Payload", "Array | LazyArray | Mapping[str, Array] | Json | Table | Rois")
"""What an `Item` can hold."""

ALIGNMENT = 64
"""Bytes. XLA shares CPU memory with JAX only at this alignment; it is also a cache line."""


def aligned_empty(shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> HostArray:
    """Give an uninitialised, writable, C-ordered array whose memory begins at a multiple of 64.

    Every array that polystore allocates comes from here, so that JAX can share it. The dtype must
    not hold Python objects.

    >>> import numpy as np
    >>> aligned_empty((3, 5), np.dtype("u2")).ctypes.data % 64
    0
    """
    import numpy as np

    nbytes = math.prod(shape) * dtype.itemsize
    memory = np.empty(nbytes + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return np.ndarray(shape, dtype, memory, start)


def bytes_of(array: HostArray) -> memoryview:
    r"""Give the memory of a C-ordered array as bytes, shared and writable if the array is.

    Works for the dtypes too that the buffer protocol does not know (datetimes, bfloat16).

    >>> import numpy as np
    >>> bytes(bytes_of(np.array([1, 256], ">u2")))
    b'\x00\x01\x01\x00'
    """
    import numpy as np

    return array.reshape(-1).view(np.uint8).data if array.nbytes else memoryview(b"")


def nbytes_of(payload: object) -> int | None:
    """Give how many bytes an array takes, or the arrays of a mapping; `None` for what has none.

    >>> nbytes_of({"a": memoryview(b"12"), "b": memoryview(b"3")})
    3
    """
    if not isinstance(payload, Mapping):
        return _own_nbytes(payload)
    total: int | None = None
    for value in cast("Mapping[str, object]", payload).values():
        nbytes = _own_nbytes(value)
        if nbytes is None:
            return None
        total = nbytes + (total or 0)
    return total


def _own_nbytes(value: object) -> int | None:
    try:
        nbytes: object = getattr(value, "nbytes", None)
    except RuntimeError:  # as PyTorch does for a sparse tensor
        return None
    return nbytes if isinstance(nbytes, int) else None


def is_host_array(value: object) -> TypeGuard[HostArray]:
    """Whether the value is a `numpy.ndarray`.

    >>> is_host_array([1, 2])
    False
    """
    import numpy as np

    return isinstance(value, np.ndarray)
