"""What is given to be saved in a Zarr store: an array, of the host or lazy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve

from polystore.backends.zarr.elements.meta import ArrayMeta
from polystore.backends.zarr.tree import ZarrStore
from polystore.core.errors import Lossy, StorageError, UnsupportedPayload
from polystore.core.item import Item
from polystore.core.key import Key
from polystore.core.outcome import Failure, Outcome, Success, and_then, catch, guard
from polystore.core.payload import ArraySpec, HostArray, LazyArray, Payload, is_host_array
from polystore.core.region import Box, lengths

if TYPE_CHECKING:
    import numpy as np

__all__ = ["dtype_of", "fitting", "host_array", "host_or_lazy", "options_refused", "spec_of"]


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
    """Give the array of an item in the memory of the host, or as it is if it is lazy."""
    if isinstance(item.payload, LazyArray):
        return Success(item.payload)
    return host_array(store, item).map(lambda it: it)


def host_array(store: ZarrStore, item: Item[Payload]) -> Outcome[HostArray]:
    """Give the array of an item in the memory of the host; a lazy one is read."""
    return and_then(store.context.to_host(item), lambda it: _one_array(it.payload))


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
    """Give the dtype of an array that is to be saved."""
    import numpy as np

    if not isinstance(array, LazyArray):
        return Success(array.dtype)
    name = array.spec.dtype
    return guard(lambda: np.dtype(name), catch(TypeError, lambda _: _no_dtype(name)))


def _no_dtype(name: str) -> UnsupportedPayload:
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
