"""`load`: a key becomes an item."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Literal, TypeVar, overload

from attrs import frozen

from polystore.core.records import FileFormat, Source

if TYPE_CHECKING:
    from polystore.core.item import Item
    from polystore.core.key import KeyLike
    from polystore.core.outcome import Outcome
    from polystore.core.payload import HostArray, LazyArray, Payload

__all__ = ["Load", "load"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@frozen
class Load(Generic[T_co]):
    """Load from `source`, whole or lazily; `format` overrides the key's suffix. Made by `load`."""

    source: Source[object]
    format: FileFormat[T_co] | None = None
    lazy: bool = False

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
    source: Source[Payload], *, format: FileFormat[HostArray] | None = None, lazy: Literal[True]
) -> Load[LazyArray]: ...
def load(
    source: Source[object], *, format: FileFormat[object] | None = None, lazy: bool = False
) -> Load[object]:
    """Give the step that loads a key from a store.

    Called with a key, it gives an `Item` whose payload is memory of its own, or `NotFound`,
    `NotAFile`, `InvalidKey`, `UnknownFormat`, `Corrupt`, `TooLarge`, `PermissionDenied`,
    `MissingDependency`, or another `StorageError`; of formats whose load gives a framework's arrays
    also `Lossy` or `UnsupportedPayload`, where the framework cannot hold what the file does.

    `format` says what a file is where its suffix does not; it also narrows the static type. A store
    that holds no files (Zarr, memory) does not take one.

    `lazy=True` gives a `LazyArray` instead, which reads region by region: `UnsupportedOperation`
    for formats that cannot (all but TIFF). It holds the file open while it lives, and reads what
    was in it when it was made, also when the file has been replaced since.

    >>> from polystore import MemoryConfig, Item, save
    >>> memory = MemoryConfig(name="doctest-load")
    >>> save(memory)(Item("wells.json", {"rows": 8})).map(lambda saved: saved.status)
    <Success: written>
    >>> load(memory)("wells.json").map(lambda item: item.payload)
    <Success: {'rows': 8}>
    >>> print(load(memory)("well.json").failure().advice)
    Did you mean 'wells.json'?
    """
    return Load(source, format, lazy)
