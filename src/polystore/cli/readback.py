"""Verification: what is in Zarr, read by zarr-python itself, against the file that it came from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from polystore.boundary import guarded
from polystore.core.errors import Corrupt
from polystore.core.outcome import Failure, Outcome, and_then, catch, guard
from polystore.core.payload import is_host_array
from polystore.steps.load import load

if TYPE_CHECKING:
    from polystore.configs import DiskConfig, ZarrConfig
    from polystore.core.payload import HostArray

__all__ = ["ReadBack", "difference", "first_difference", "read_back"]


@frozen(eq=False)
class ReadBack:
    """An image as it is now in Zarr, and how it differs from its file: `""` if in no bit."""

    image: HostArray
    difference: str


def read_back(disk: DiskConfig, store: ZarrConfig, key: str) -> Outcome[ReadBack]:
    """Read an image from Zarr with zarr-python, and compare it with its file bit for bit.

    The errors are those of loading the file, and `Corrupt` where zarr-python finds no array, or
    cannot read it.
    """

    def compared(image: HostArray) -> Outcome[ReadBack]:
        item = load(disk)(key)
        return item.map(lambda it: ReadBack(image, difference(it.payload, image)))

    stored = guarded(lambda: _stored(store, key), key)
    return and_then(stored, compared)


def _stored(store: ZarrConfig, key: str) -> Outcome[HostArray]:
    import numpy as np
    import zarr

    def unreadable(error: Exception) -> Corrupt:
        reason = f"{type(error).__name__}: {error}"
        return _corrupt(store, key, f"zarr-python cannot read it back: {reason}.")

    found = guard(
        # zarr takes fsspec's mappings too, a type that is unknown where fsspec is not installed
        lambda: zarr.open_group(store.root, mode="r")[key],  # pyright: ignore[reportUnknownMemberType]
        *(catch(kind, unreadable) for kind in (KeyError, OSError, ValueError)),
    )

    def content(node: object) -> Outcome[HostArray]:
        if not isinstance(node, zarr.Array):
            return Failure(_corrupt(store, key, "It is no array in Zarr."))
        return guard(
            lambda: np.asarray(node[...]),
            *(catch(kind, unreadable) for kind in (OSError, RuntimeError, ValueError)),
        )

    return and_then(found, content)


def _corrupt(store: ZarrConfig, key: str, message: str) -> Corrupt:
    return Corrupt(key, store, message, "Did something else write to the store meanwhile?")


def difference(expected: object, stored: HostArray) -> str:
    """Say how a stored array differs from the expected one, or `""` if it has the same bits.

    Bits are compared, so that NaN equals NaN and -0.0 does not equal 0.0. The byte order is no
    difference: JAX has only the machine's own.

    >>> import numpy as np
    >>> difference(np.array([1, 2], ">u2"), np.array([1, 2], "<u2"))
    ''
    >>> difference(np.zeros((2, 3)), -np.zeros((2, 3)))
    '6 of 6 elements differ, the first at (0, 0)'
    """
    import numpy as np

    if not is_host_array(expected):
        return f"the file holds a {type(expected).__name__}, and no array"
    native = expected.dtype.newbyteorder("=")
    if stored.dtype.newbyteorder("=") != native:
        return f"the dtype is {stored.dtype.name}, and {expected.dtype.name} in the file"
    if stored.shape != expected.shape:
        return f"the shape is {stored.shape}, and {expected.shape} in the file"
    one, other = _bits(expected), _bits(stored)
    if np.array_equal(one, other):
        return ""
    wrong = (one != other).reshape(expected.size, -1).any(axis=1)
    first = tuple(int(i) for i in np.unravel_index(int(wrong.argmax()), expected.shape))
    return f"{int(wrong.sum())} of {wrong.size} elements differ, the first at {first}"


def first_difference(one: HostArray, other: HostArray, start: tuple[int, ...]) -> str:
    """Say where two arrays of one shape differ first, with both values; `""` if in no bit.

    `start` is where the arrays begin in those that they are parts of. As in `difference`, bits are
    compared, and the order of bytes is none. Strings are compared as such.

    >>> import numpy as np
    >>> first_difference(np.array([1, 2, 3]), np.array([1, 5, 3]), (10,))
    'the first difference is at (11,): 2 and 5'
    """
    import numpy as np

    native = one.dtype.newbyteorder("=")
    if other.dtype.newbyteorder("=") != native:
        return f"the dtype is {one.dtype} and {other.dtype}"
    if one.dtype.hasobject or one.dtype.kind == "T":
        wrong = np.asarray(one != other)
    elif one.size == 0 or one.dtype.itemsize == 0:
        return ""
    else:
        bits, others = _bits(one), _bits(other)
        if np.array_equal(bits, others):
            return ""
        wrong = (bits != others).reshape(one.size, -1).any(axis=1).reshape(one.shape)
    if not wrong.any():
        return ""
    place = np.unravel_index(int(wrong.argmax()), one.shape)
    index = tuple(int(i) for i in place)
    where = tuple(a + b for a, b in zip(start, index, strict=True))
    values = f"{one[index]!s} and {other[index]!s}"
    return f"the first difference is at {where}: {values}"


def _bits(array: HostArray) -> HostArray:
    import numpy as np

    native = array.astype(array.dtype.newbyteorder("="), order="C", copy=False)
    return native.reshape(-1).view(np.uint8)
