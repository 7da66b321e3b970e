"""Whether two payloads are the same: kind, shape, dtype and every bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from polystore.core.payload import is_host_array
from polystore.core.table import Table

if TYPE_CHECKING:
    from polystore.core.payload import HostArray

__all__ = ["difference"]


def difference(saved: object, loaded: object) -> str | None:
    """Say in what the two differ, as the rest of a sentence; `None` if they are the same.

    Arrays are the same if their shapes, dtypes (byte order too) and bits are: a NaN is one of its
    own bits, and `-0.0` is not `0.0`. Of JSON, `1`, `1.0` and `True` are three values.

    >>> import numpy as np
    >>> difference(np.array([0.0]), np.array([-0.0]))
    'element 0 is 0000000000000080 and was 0000000000000000 (bytes, in hexadecimal)'
    >>> difference({"a": 1}, {"a": 1.0})
    "under 'a': it is 1.0 and was 1"
    """
    if is_host_array(saved):
        if is_host_array(loaded):
            return _of_arrays(saved, loaded)
        return f"it is a {type(loaded).__name__} and was an array"
    if isinstance(saved, Table):
        return _of_tables(saved, loaded)
    if _are(Mapping, saved, loaded):
        return _of_mappings(
            cast("Mapping[object, object]", saved), cast("Mapping[object, object]", loaded)
        )
    if _are((list, tuple), saved, loaded):
        return _of_lists(cast("Sequence[object]", saved), cast("Sequence[object]", loaded))
    same = type(saved) is type(loaded) and repr(saved) == repr(loaded)
    return None if same else f"it is {loaded!r} and was {saved!r}"


def _are(kinds: type[object] | tuple[type[object], ...], one: object, other: object) -> bool:
    return isinstance(one, kinds) and isinstance(other, kinds)


def _of_tables(saved: Table, loaded: object) -> str | None:
    if not isinstance(loaded, Table):
        return f"it is a {type(loaded).__name__} and was a table"
    return _of_mappings(
        cast("Mapping[object, object]", saved.columns),
        cast("Mapping[object, object]", loaded.columns),
    )


def _of_mappings(saved: Mapping[object, object], loaded: Mapping[object, object]) -> str | None:
    if set(saved) != set(loaded):
        return f"its names are {sorted(map(repr, loaded))} and were {sorted(map(repr, saved))}"
    for name, value in saved.items():
        found = difference(value, loaded[name])
        if found is not None:
            return f"under {name!r}: {found}"
    return None


def _of_lists(saved: Sequence[object], loaded: Sequence[object]) -> str | None:
    if len(saved) != len(loaded):
        return f"it has {len(loaded)} elements and had {len(saved)}"
    for index, (one, other) in enumerate(zip(saved, loaded, strict=True)):
        found = difference(one, other)
        if found is not None:
            return f"at {index}: {found}"
    return None


def _of_arrays(saved: HostArray, loaded: HostArray) -> str | None:
    if saved.shape != loaded.shape:
        return f"its shape is {loaded.shape} and was {saved.shape}"
    if saved.dtype != loaded.dtype:
        return f"its dtype is {loaded.dtype!r} and was {saved.dtype!r}"
    if saved.dtype.hasobject:
        same = saved.tolist() == loaded.tolist()
        return None if same else f"its elements are {loaded.tolist()} and were {saved.tolist()}"
    one, other, width = saved.tobytes(), loaded.tobytes(), saved.dtype.itemsize
    if one == other:
        return None
    at = next(i for i, (a, b) in enumerate(zip(one, other, strict=True)) if a != b) // width
    was, is_now = (data[at * width : (at + 1) * width].hex() for data in (one, other))
    return f"element {at} is {is_now} and was {was} (bytes, in hexadecimal)"
