"""The configs of stores that are made of others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from operator import index
from typing import Generic, Literal, Never, SupportsIndex, TypeAlias, TypeVar, cast

from attrs import field, frozen

from polystore.core.payload import HostArray, Payload
from polystore.core.records import Place, Source, Store

__all__ = [
    "PayloadKind",
    "ReadOnlyConfig",
    "Route",
    "RouteConfig",
    "VirtualConfig",
    "VirtualIndex",
    "VirtualItem",
]

T_co = TypeVar("T_co", covariant=True)


def _pairs(
    items: Mapping[str, VirtualItem]
    | tuple[tuple[str, VirtualItem], ...]
    | Callable[[str], VirtualItem | None],
) -> tuple[tuple[str, VirtualItem], ...] | Callable[[str], VirtualItem | None]:
    if callable(items) or isinstance(items, tuple):
        return items
    return tuple(items.items())


def _routes(routes: Iterable[Route]) -> tuple[Route, ...]:
    return tuple(routes)


_IndexPart: TypeAlias = "SupportsIndex | slice | tuple[SupportsIndex, SupportsIndex]"


def _indices(parts: Iterable[_IndexPart] | _IndexPart) -> tuple[int | tuple[int, int], ...]:
    if isinstance(parts, slice) or not isinstance(parts, Iterable):
        return (_plain_index(parts),)
    return tuple(map(_plain_index, parts))


def _plain_index(part: _IndexPart) -> int | tuple[int, int]:
    """Give Python's own numbers for NumPy's, and a pair for a slice."""
    if isinstance(part, slice):
        return _pair(part)
    if isinstance(part, tuple):
        if len(cast("tuple[object, ...]", part)) != 2:
            raise _no_index(part)
        return _number(part[0]), _number(part[1])
    return _number(part)


def _pair(part: slice) -> tuple[int, int]:
    start, stop, step = cast("tuple[object, object, object]", (part.start, part.stop, part.step))
    if step not in (None, 1):
        raise TypeError(f"{part!r} is no index of a VirtualItem: its step must be 1")
    if stop is None:
        raise TypeError(f"{part!r} is no index of a VirtualItem: say where it ends")
    return 0 if start is None else _number(start), _number(stop)


def _number(value: object) -> int:
    if isinstance(value, SupportsIndex) and not isinstance(value, bool):
        return index(value)
    raise _no_index(value)


def _no_index(part: object) -> TypeError:
    must = "each part is a number, a pair of numbers (start, stop), or a slice of step 1"
    return TypeError(f"{part!r} is no index of a VirtualItem: {must}")


PayloadKind: TypeAlias = Literal["array", "arrays", "json", "text", "table", "rois"]
"""What a payload is: an array (lazy ones too), arrays by names, JSON, text, a table, regions."""


@frozen
class Route:
    """One way of a `RouteConfig`: what is of one of the kinds, and has one of the suffixes.

    An empty tuple asks for nothing. Suffixes are compared case-blind.
    """

    store: Store[object, Never]
    kinds: tuple[PayloadKind, ...] = ()
    suffixes: tuple[str, ...] = ()


@frozen
class RouteConfig(Store[Payload, Payload]):
    """A store made of others: each item goes to the first route that takes it.

    What no route takes is `UnsupportedPayload`. A load looks through the routes, in their order, as
    far as the suffix of the key allows. A key is one item in all the stores: `if_exists` sees what
    each of them holds. (Two writers that save at the same time what goes to different stores can
    both win; `locked` keeps them apart.) No store may lie within another.

    >>> from polystore import DiskConfig, ZarrConfig
    >>> plate = RouteConfig(
    ...     routes=(
    ...         Route(ZarrConfig(root="/data/plate.zarr"), kinds=("array",)),
    ...         Route(DiskConfig(root="/data/plate")),
    ...     )
    ... )
    """

    routes: tuple[Route, ...] = field(converter=_routes)


@frozen
class ReadOnlyConfig(Source[T_co], Generic[T_co]):
    """Another store, to be read and never changed: saving to it is `ReadOnly`.

    >>> from polystore import DiskConfig
    >>> raw = ReadOnlyConfig(DiskConfig(root="/data/plate"))
    """

    inner: Source[T_co]


VirtualIndex: TypeAlias = tuple[int | tuple[int, int], ...]
"""What is taken of an array, axis by axis: a number takes one element and removes the axis, a pair
keeps the part from its first number up to its second. Axes that are not named are kept."""


@frozen
class VirtualItem:
    """Where a virtual item comes from: the item at a place, or what an index takes of its array.

    `index` has a part for each axis, from the first on: a number takes one element and removes the
    axis, a pair `(start, stop)` keeps from `start` up to, but not with, `stop`. A slice of step 1
    that says where it ends is a pair too, and one part may stand alone. `TypeError` for what is no
    index; whether it fits the array is seen when the item is read (`InvalidSpec`).

    >>> from polystore import DiskConfig
    >>> stack = Place(DiskConfig(root="/data"), "stack.tif")
    >>> VirtualItem(stack, (3, (0, 512))).index
    (3, (0, 512))
    >>> VirtualItem(stack, (3, slice(512))) == VirtualItem(stack, (3, (0, 512)))
    True
    >>> VirtualItem(stack, 3).index
    (3,)
    """

    place: Place
    index: VirtualIndex = field(default=(), converter=_indices)


@frozen(cache_hash=True)
class VirtualConfig(Source[HostArray]):
    """Items that exist under other keys, whole or as parts of arrays: to be read only.

    `items` maps each key to where it comes from. Or it is a function of the key, which gives `None`
    for what is no key: then `keys` says what a listing shows, and the function must be one of a
    module, for the config to pickle.

    >>> from polystore import DiskConfig
    >>> stack = DiskConfig(root="/data")
    >>> plate = VirtualConfig(
    ...     {f"t{t}.npy": VirtualItem(Place(stack, "stack.tif"), (t,)) for t in range(3)}
    ... )
    """

    items: tuple[tuple[str, VirtualItem], ...] | Callable[[str], VirtualItem | None] = field(
        converter=_pairs
    )
    keys: tuple[str, ...] = ()

    def only(self, key: str) -> VirtualConfig:
        """Give the config of one key alone: what the history of an item says, in few words.

        >>> from polystore import DiskConfig
        >>> stack = DiskConfig(root="/data")
        >>> views = VirtualConfig({name: VirtualItem(Place(stack, "s.tif")) for name in ("a", "b")})
        >>> [key for key, _ in views.only("b").items]
        ['b']
        """
        if callable(self.items):
            return VirtualConfig(self.items, (key,))
        found = self._by_key.get(key)
        return VirtualConfig(() if found is None else ((key, found),))

    @cached_property
    def _by_key(self) -> Mapping[str, VirtualItem]:
        return {} if callable(self.items) else dict(self.items)
