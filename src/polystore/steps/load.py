"""`load`: a key becomes an item."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Literal, TypeVar, overload

from attrs import field, frozen

from polystore.core.records import FileFormat, Source
from polystore.core.region import Bounds, RegionLike
from polystore.steps.region import given_region

if TYPE_CHECKING:
    from polystore.core.item import Item
    from polystore.core.key import KeyLike
    from polystore.core.outcome import Outcome
    from polystore.core.payload import Array, HostArray, LazyArray, Payload

__all__ = ["Load", "load"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@frozen
class Load(Generic[T_co]):
    """Load from `source`, whole or lazily; `format` overrides the key's suffix. Made by `load`.

    `region` is the part of the array that is wanted, as pairs of bounds.
    """

    source: Source[object]
    format: FileFormat[T_co] | None = None
    lazy: bool = False
    region: Bounds | None = field(default=None, converter=given_region)

    def __call__(self, key: KeyLike, /) -> Outcome[Item[T_co]]:
        """Load the item under the key, with the default dispatcher."""
        from polystore.dispatch import default_dispatcher

        return default_dispatcher().run(self, key)


@overload
def load(source: Source[T]) -> Load[T]: ...
@overload
def load(source: Source[Payload], *, format: FileFormat[T]) -> Load[T]: ...
@overload
def load(
    source: Source[Payload],
    *,
    format: FileFormat[Array] | None = None,
    lazy: Literal[True],
    region: RegionLike | None = None,
) -> Load[LazyArray]: ...
@overload
def load(
    source: Source[Payload], *, format: FileFormat[Array] | None = None, region: RegionLike
) -> Load[HostArray]: ...
def load(
    source: Source[object],
    *,
    format: FileFormat[object] | None = None,
    lazy: bool = False,
    region: RegionLike | None = None,
) -> Load[object]:
    """Give the step that loads a key from a store.

    Called with a key, it gives an `Item` whose payload is memory of its own, or `NotFound`,
    `NotAFile`, `InvalidKey`, `UnknownFormat`, `Corrupt`, `TooLarge`, `PermissionDenied`,
    `MissingDependency`, or another `StorageError`; of formats whose load gives a framework's arrays
    also `Lossy` or `UnsupportedPayload`, where the framework cannot hold what the file does.

    `format` says what a file is where its suffix does not; it also narrows the static type. A store
    that holds no files (Zarr, memory) does not take one.

    `lazy=True` gives a `LazyArray` instead, which reads region by region: `UnsupportedOperation`
    for stores and formats that cannot (those that can: Zarr, TIFF and `.npy`). It holds the file
    open while it lives, and reads what was in it when it was made, also when the file has been
    replaced since.

    `region` gives a part of an array: slices of step 1, one per axis from the first on, whose
    bounds are taken as NumPy takes them (`np.s_[0:1, :512]`, `slice(-3, None)`). No more is read
    than it needs, where that can be; elsewhere the whole is loaded, and let go. What is known of
    the axes stays; of the channels' names, those of the channels that are taken. `InvalidSpec` if
    the array has fewer axes, `UnsupportedPayload` for what is no array.

    >>> from polystore import MemoryConfig, Item, save
    >>> memory = MemoryConfig(name="doctest-load")
    >>> save(memory)(Item("wells.json", {"rows": 8})).map(lambda saved: saved.status)
    <Success: written>
    >>> load(memory)("wells.json").map(lambda item: item.payload)
    <Success: {'rows': 8}>
    >>> print(load(memory)("well.json").failure().advice)
    Did you mean 'wells.json'?
    >>> import numpy as np
    >>> save(memory)(Item("a.npy", np.arange(12).reshape(3, 4))).map(lambda saved: saved.key)
    <Success: a.npy>
    >>> load(memory, region=np.s_[1:, :2])("a.npy").map(lambda item: item.payload.tolist())
    <Success: [[4, 5], [8, 9]]>
    """
    return Load(source, format, lazy, region)
