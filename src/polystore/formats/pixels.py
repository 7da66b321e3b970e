"""What PNG, JPEG and BMP share: rows of pixels, and how a library gets and fills their memory."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from polystore.core.outcome import Failure, Outcome, Success
from polystore.core.payload import bytes_of
from polystore.formats.refusals import allocated, damaged, over_limit

if TYPE_CHECKING:
    from typing import Any

    import numpy as np

    from polystore.core.item import Metadata
    from polystore.core.payload import HostArray
    from polystore.core.records import Limits, Readable

__all__ = ["IMAGE_AXES", "all_bytes", "begins_with", "dropped_from", "lent", "native", "room_for"]

IMAGE_AXES: dict[int, tuple[str, ...]] = {2: ("y", "x"), 3: ("y", "x", "c")}
"""The axes of an image file, by how many there are: it is rows of columns, and says no more."""

_SMALL = 2**20
"""Bytes. No file is too large to be read below it, whatever is allowed for what it holds."""


def begins_with(source: Readable, signature: bytes) -> bool:
    """Whether the first bytes are these."""
    head = bytearray(min(source.size, len(signature)))
    source.read_into(0, memoryview(head))
    return bytes(head) == signature


def all_bytes(name: str, source: Readable, limits: Limits) -> Outcome[bytearray]:
    """Give all bytes of a file; `TooLarge` if it alone is beyond the limits."""
    if source.size > _SMALL:
        too_large = over_limit(source.size, limits)
        if too_large is not None:
            return Failure(too_large)
    content = bytearray(source.size)
    if source.read_into(0, memoryview(content)) != source.size:
        return Failure(damaged(name, "it ended while it was read"))
    return Success(content)


def room_for(
    shape: tuple[int, ...], dtype: np.dtype[Any], limits: Limits, beside: int = 0
) -> Outcome[HostArray]:
    """Give an aligned array to decode into; `TooLarge` if it is, with what is needed `beside` it.

    >>> import numpy as np
    >>> from polystore import Limits
    >>> room_for((2, 3), np.dtype("u1"), Limits(6)).unwrap().shape
    (2, 3)
    >>> print(room_for((2, 3), np.dtype("u1"), Limits(6), beside=1).failure().message)
    It takes 7 bytes in memory, and the limit is 6.
    """
    too_large = over_limit(math.prod(shape) * dtype.itemsize + beside, limits)
    return Failure(too_large) if too_large is not None else allocated(shape, dtype)


def lent(array: HostArray) -> HostArray:
    """Give an array over the same memory that does not keep it: hold the first while it is used.

    imagecodecs never lets go of the array that it failed to decode into: with this one, only the
    few bytes that describe it stay behind.
    """
    import ctypes

    import numpy as np

    memory = (ctypes.c_uint8 * array.nbytes).from_address(array.ctypes.data)
    return np.frombuffer(memoryview(memory), array.dtype).reshape(array.shape)


def native(array: HostArray) -> HostArray:
    """Give the array in C order and this machine's byte order, sharing it if it is so already.

    imagecodecs refuses the odd strides that a contiguous axis of length 1 may have: here are none.
    """
    import numpy as np

    compact = np.ascontiguousarray(array, array.dtype.newbyteorder("="))
    return np.frombuffer(bytes_of(compact), compact.dtype).reshape(array.shape)


def dropped_from(metadata: Metadata, axes: tuple[str, ...]) -> tuple[str, ...]:
    """Give what an image file cannot say: all but axes that are those of every image.

    >>> from polystore import Metadata
    >>> dropped_from(Metadata(axes=("y", "x"), scale=(2.0, 2.0)), ("y", "x"))
    ('scale',)
    >>> dropped_from(Metadata(axes=("z", "y")), ("y", "x"))
    ('axes',)
    """
    kept = metadata.axes == axes
    return tuple(name for name in metadata.present() if name != "axes" or not kept)
