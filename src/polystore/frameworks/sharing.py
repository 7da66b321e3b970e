"""What the frameworks have in common: dtypes, copies of our own, and the words for refusing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from polystore.core.dtypes import PLAIN_DTYPES
from polystore.core.errors import StorageError, TooLarge, UnsupportedPayload
from polystore.core.outcome import Catch, Failure, Outcome, Success, catch, guard
from polystore.core.payload import HostArray, aligned_empty

if TYPE_CHECKING:
    import numpy as np

    from polystore.core.records import Casting

__all__ = [
    "as_held",
    "attempt",
    "exports",
    "nearest",
    "no_device",
    "no_dtype",
    "own_copy",
    "would_copy",
]

T = TypeVar("T")

_DECLINES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BufferError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
    Warning,
)
"""What frameworks raise to say that they do not take an array, or have no room for it.

A warning only where Python was told to raise those.
"""


def nearest(dtype: np.dtype[Any], casting: Casting) -> np.dtype[Any]:
    """Give the dtype in this machine's byte order, and under `"same_kind"` in 64 bits at most.

    Only NumPy has `longdouble`; the nearest dtype of its kind elsewhere is `float64`.

    >>> import numpy as np
    >>> nearest(np.dtype(">f4"), "exact"), nearest(np.dtype("longdouble"), "same_kind")
    (dtype('float32'), dtype('float64'))
    """
    import numpy as np

    native = dtype if dtype.isnative else dtype.newbyteorder("=")
    if casting == "same_kind" and _is_long(native):
        return np.dtype("float64" if native.kind == "f" else "complex128")
    return native


def _is_long(dtype: np.dtype[Any]) -> bool:
    import numpy as np

    # Not by `dtype.char`: the float8 dtypes of ml_dtypes use the same letters.
    return dtype in (np.dtype("longdouble"), np.dtype("clongdouble"))


def as_held(
    array: HostArray, dtype: np.dtype[Any], copy: bool | None, *, fits: bool
) -> Outcome[HostArray]:
    """Give the array itself where it `fits`, has the dtype, and may be shared; else a copy.

    The copy is as from `own_copy`. `UnsupportedPayload` where `copy=False` forbids it.

    >>> import numpy as np
    >>> array = np.zeros(3)
    >>> as_held(array, array.dtype, None, fits=True).unwrap() is array
    True
    """
    if copy is not True and fits and array.dtype == dtype:
        return Success(array)
    if copy is False:
        return Failure(would_copy("its dtype, byte order, strides or alignment do not fit"))
    return own_copy(array, dtype)


def own_copy(array: HostArray, dtype: np.dtype[Any]) -> Outcome[HostArray]:
    """Give a copy in C order, in memory of its own that begins at a multiple of 64 bytes.

    The same dtype keeps every bit; another is NumPy's `same_kind` cast, in which values may wrap or
    round. `TooLarge` where there is no memory for it (a broadcast array takes less than its copy).

    >>> import numpy as np
    >>> own_copy(np.array([2**40 + 5]), np.dtype("int32")).map(np.ndarray.tolist)
    <Success: [5]>
    """
    import numpy as np

    def copied() -> HostArray:
        if dtype.hasobject:
            return np.array(array, dtype, order="C")
        fresh = aligned_empty(array.shape, dtype)
        with np.errstate(all="ignore"):
            np.copyto(fresh, array, casting="same_kind")
        return fresh

    def too_large(error: Exception) -> StorageError:
        return TooLarge(
            "",
            None,
            f"There is no memory for a copy of {array.nbytes} bytes: {error}.",
            "Convert a part of the array, or free memory first.",
        )

    return guard(copied, catch(MemoryError, too_large))


def attempt(action: Callable[[], T], framework: str) -> Outcome[T]:
    """Give what the action gives, or as `UnsupportedPayload` what a framework raises to decline.

    >>> attempt(lambda: int("x"), "Abacus").failure().message
    "Abacus does not take the array: invalid literal for int() with base 10: 'x'."
    """
    return guard(action, *_catches(framework))


@cache
def _catches(framework: str) -> tuple[Catch, ...]:
    def declined(error: Exception) -> StorageError:
        reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
        return UnsupportedPayload(
            "",
            None,
            f"{framework} does not take the array: {reason}.",
            "Make it a plain array on a device of this process first.",
        )

    return tuple(catch(kind, declined) for kind in _DECLINES)


def exports(array: object) -> bool:
    """Whether the array may be asked for its DLPack capsule.

    A tensor of TensorFlow may only if its dtype is one that DLPack can say: exporting strings and
    handles aborts the process, and float8 raises an error that is none of those above.

    >>> exports("of another framework")
    True
    """
    tensor = getattr(sys.modules.get("tensorflow"), "Tensor", ())
    if not isinstance(array, tensor):
        return True
    return getattr(getattr(array, "dtype", None), "name", "") in PLAIN_DTYPES | {"bfloat16"}


def would_copy(why: str) -> UnsupportedPayload:
    """Give the error for `copy=False` where memory cannot be shared.

    >>> print(would_copy("it lies on another device"))
    The array cannot be shared: it lies on another device. Allow a copy, with copy=None.
    """
    return UnsupportedPayload(
        "", None, f"The array cannot be shared: {why}.", "Allow a copy, with copy=None."
    )


def no_device(framework: str, device: str, known: Iterable[str]) -> UnsupportedPayload:
    """Give the error for a device that is not there.

    >>> print(no_device("NumPy", "cuda:0", ["cpu"]))
    NumPy has no device 'cuda:0' here. There is: cpu.
    """
    return UnsupportedPayload(
        "",
        None,
        f"{framework} has no device {device!r} here.",
        f"There is: {', '.join(known)}.",
    )


def no_dtype(framework: str, dtype: np.dtype[Any]) -> UnsupportedPayload:
    """Give the error for a dtype that the framework does not have, with a way around it.

    >>> import numpy as np
    >>> print(no_dtype("JAX", np.dtype("M8[s]")))
    JAX has no dtype datetime64[s]. Give it the integers, as in array.view('int64').
    """
    if _is_long(dtype):
        advice = "Allow NumPy's cast to 64-bit numbers, with casting='same_kind'."
    elif dtype.kind in "mM":
        advice = "Give it the integers, as in array.view('int64')."
    elif dtype.names:
        advice = f"Convert one field at a time, as in array[{dtype.names[0]!r}]."
    elif dtype.isbuiltin == 2:  # registered with NumPy by another package: ml_dtypes
        advice = "Cast it to a dtype that both have first, as in array.astype('float32')."
    else:
        advice = "Make numbers of it first."
    return UnsupportedPayload("", None, f"{framework} has no dtype {dtype}.", advice)
