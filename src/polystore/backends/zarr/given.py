"""What is given to be saved in a Zarr store: an array, of the host or lazy."""

from __future__ import annotations

import math
from operator import index
from typing import TYPE_CHECKING, Any, cast

from attrs import evolve

from polystore.backends.zarr.elements.meta import ArrayMeta
from polystore.backends.zarr.elements.regions import read_box
from polystore.backends.zarr.tree import ZarrStore
from polystore.core.errors import Lossy, StorageError, TooLarge, UnsupportedPayload
from polystore.core.item import Item
from polystore.core.key import Key
from polystore.core.outcome import Failure, Outcome, Success, and_then, catch, guard
from polystore.core.payload import ArraySpec, HostArray, LazyArray, Payload, Region, is_host_array
from polystore.core.region import Box, box_of, lengths, region_of, whole

if TYPE_CHECKING:
    import numpy as np

__all__ = ["dtype_of", "fitting", "host_array", "host_or_lazy", "options_refused", "spec_of"]

_NBYTES_SANE = 2**56
"""64 PiB: at a gigabyte a second, two years. Empty chunks take next to nothing of a disk."""


def options_refused(store: ZarrStore, key: Key, options: object) -> StorageError | None:
    """Say that a Zarr store takes no options of a format; `None` where there are none."""
    if options is None:
        return None
    return UnsupportedPayload(
        key,
        store.config,
        f"A Zarr store does not take {type(options).__name__}.",
        "Leave the options out.",
    )


def host_or_lazy(store: ZarrStore, item: Item[Payload]) -> Outcome[HostArray | LazyArray]:
    """Give the array of an item in the memory of the host, or as a lazy one, which is guarded.

    `UnsupportedPayload` for a lazy one whose spec is none. Whatever its `read` does is a value, as
    in `read_box`.
    """
    if isinstance(item.payload, LazyArray):
        return _guarded(item.payload).map(lambda it: it)
    return host_array(store, item).map(lambda it: it)


def host_array(store: ZarrStore, item: Item[Payload]) -> Outcome[HostArray]:
    """Give the array of an item in the memory of the host; a lazy one is read."""
    if isinstance(item.payload, LazyArray):
        return and_then(_guarded(item.payload), lambda it: it.read(region_of(whole(it.spec.shape))))
    return and_then(store.context.to_host(item), lambda it: _one_array(it.payload))


def _guarded(array: LazyArray) -> Outcome[LazyArray]:
    spec = array.spec
    try:
        shape, blocks = tuple(map(index, spec.shape)), tuple(map(index, spec.blocks))
    except TypeError:
        return Failure(_no_spec(spec))
    pairs = zip(shape, blocks, strict=False)
    if len(blocks) != len(shape) or any(n < 0 or (n > 0 and b < 1) for n, b in pairs):
        return Failure(_no_spec(spec))
    known = LazyArray(evolve(spec, shape=shape, blocks=blocks), array.read)

    def guarded(dtype: np.dtype[Any]) -> LazyArray:
        def read(region: Region) -> Outcome[HostArray]:
            return and_then(box_of(region, shape), lambda box: read_box(known, box, dtype))

        return LazyArray(known.spec, read)

    return dtype_of(known).map(guarded)


def _no_spec(spec: ArraySpec) -> UnsupportedPayload:
    return UnsupportedPayload(
        "",
        None,
        f"The lazy array has the shape {spec.shape} and blocks of {spec.blocks}.",
        "Give its spec a length of 0 or more for each axis, and for each that of a block.",
    )


def _one_array(payload: Payload) -> Outcome[HostArray]:
    if is_host_array(payload):
        return Success(payload)
    return Failure(
        UnsupportedPayload(
            "",
            None,
            f"A Zarr store holds arrays, and a {type(payload).__name__} is none.",
            "Make it one array, save its arrays one by one, or save it to another store.",
        )
    )


def spec_of(array: HostArray | LazyArray, axes: tuple[str, ...]) -> ArraySpec:
    """Give what is known of an array that is to be saved, with those axes if they are as many."""
    if isinstance(array, LazyArray):
        spec = array.spec
    else:
        spec = ArraySpec(array.shape, array.dtype.str, (), array.shape)
    return evolve(spec, axes=axes if len(axes) == len(spec.shape) else ())


def dtype_of(array: HostArray | LazyArray) -> Outcome[np.dtype[Any]]:
    """Give the dtype of an array that is to be saved; `TooLarge` where it would take 64 PiB."""
    import numpy as np

    if not isinstance(array, LazyArray):
        return _sane(array.shape, array.dtype)
    name = cast("object", array.spec.dtype)
    if not isinstance(name, str):  # whatever the types say: of None, NumPy makes a dtype
        return Failure(_no_dtype(name))
    kinds = (TypeError, ValueError, SyntaxError)
    found = guard(
        lambda: np.dtype(name), *(catch(kind, lambda _: _no_dtype(name)) for kind in kinds)
    )
    return and_then(found, lambda dtype: _sane(array.spec.shape, dtype))


def _sane(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Outcome[np.dtype[Any]]:
    """Refuse what would be written for ever, although nothing of it may be stored as yet."""
    nbytes = math.prod(shape) * dtype.itemsize
    if nbytes < _NBYTES_SANE:
        return Success(dtype)
    return Failure(
        TooLarge(
            "",
            None,
            f"An array of the shape {shape} takes {nbytes} bytes, every one of which is written.",
            "Load a region of it, and save that.",
        )
    )


def _no_dtype(name: object) -> UnsupportedPayload:
    return UnsupportedPayload(
        "",
        None,
        f"The lazy array has the dtype {name!r}, which is none of NumPy's.",
        "Read it, convert it, and save what you get.",
    )


def fitting(array: HostArray, meta: ArrayMeta, box: Box) -> Outcome[Box]:
    """Give the box, if an array has the shape of it, and the dtype of what is there."""
    if array.shape != lengths(box):
        return Failure(
            UnsupportedPayload(
                "",
                None,
                f"The region has the shape {lengths(box)}, and the array {array.shape}.",
                "Give an array of the region's shape; a region ends where the array ends.",
            )
        )
    if array.dtype != meta.dtype:
        return Failure(
            Lossy(
                "",
                None,
                f"The stored array holds {meta.dtype}, and these elements are {array.dtype}.",
                f"Convert them first: elements.astype({str(meta.dtype)!r}).",
            )
        )
    return Success(box)
