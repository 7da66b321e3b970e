"""`Item`: a payload under its key, with metadata and history; `Saved`: what a save gives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Generic, Literal, SupportsFloat, TypeVar, cast

import typing_extensions
from attrs import field, frozen

if TYPE_CHECKING:
    from polystore.core.payload import Json

__all__ = ["Event", "Item", "Metadata", "Saved"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Kind_co = typing_extensions.TypeVar("Kind_co", covariant=True, default=T_co)


def _names(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(names)


def _numbers(numbers: Iterable[SupportsFloat]) -> tuple[float, ...]:
    return tuple(map(float, numbers))


def _by_names(attributes: Mapping[str, Json]) -> Mapping[str, Json]:
    if not isinstance(cast("object", attributes), Mapping):  # whatever the types say
        raise TypeError("the attributes of Metadata are a mapping of names to JSON")
    return attributes


@frozen(kw_only=True)
class Metadata:
    """What is known of an array beside its elements. Each field may be empty: not known.

    `axes` are lower-case names, slowest first, as in OME-Zarr (`("t", "c", "y", "x")`); `scale` is
    the physical size of one step along each axis, and `unit` the unit that it is in
    (`"micrometer"`), both of the length of `axes`; `channel_names` has one name per channel;
    `attributes` is free. Don't change the mapping: it is shared, not copied. Lists and arrays of
    names and numbers become tuples.

    >>> Metadata(axes=("y", "x"), scale=(0.65, 0.65), unit=("micrometer", "micrometer")).present()
    ('axes', 'scale', 'unit')
    """

    axes: tuple[str, ...] = field(default=(), converter=_names)
    scale: tuple[float, ...] = field(default=(), converter=_numbers)
    unit: tuple[str, ...] = field(default=(), converter=_names)
    channel_names: tuple[str, ...] = field(default=(), converter=_names)
    attributes: Mapping[str, Json] = field(
        factory=dict[str, "Json"], hash=False, converter=_by_names
    )

    def present(self) -> tuple[str, ...]:
        """Give the names of the fields that hold something."""
        names = ("axes", "scale", "unit", "channel_names", "attributes")
        return tuple(name for name in names if getattr(self, name))


@frozen
class Event:
    """One thing that happened to an item: which step, under which key, how many bytes.

    `step` is the step itself (`Load(...)`, `Convert(...)`); where the history was read back from a
    store, it is the step's JSON spec. `version` is polystore's.
    """

    key: str
    step: object
    nbytes: int
    version: str


_NOTHING_KNOWN = Metadata()


@frozen(init=False)
class Item(Generic[T_co, Kind_co]):
    """A payload under its key.

    The key is not checked here (an item is a value; saving one with a bad key is `InvalidKey`), and
    the payload is held, not copied.

    The second type parameter is what sinks see, and equals the first unless a step says otherwise:
    `convert(to="jax")` gives `Item[jax.Array, Array]`, so that a JSON sink refuses it also where
    JAX is not installed and `jax.Array` means `Any`. `Item[T]` is all that one writes.

    >>> Item("a.json", {"wells": 96}).payload
    {'wells': 96}
    """

    key: str
    payload: T_co  # type: ignore[misc]  # covariance does not matter where an item is made
    metadata: Metadata = _NOTHING_KNOWN
    history: tuple[Event, ...] = ()

    # Written out for its types: the checkers would else choose the second parameter to please the
    # sink that an item is given to.
    def __init__(
        self: Item[T, T],
        key: str,
        payload: T,
        metadata: Metadata = _NOTHING_KNOWN,
        history: tuple[Event, ...] = (),
    ) -> None:
        """Make an item; its second type parameter equals its first."""
        self.__attrs_init__(key, payload, metadata, history)

    if TYPE_CHECKING:  # pyright does not know what attrs makes

        def __attrs_init__(
            self, key: str, payload: object, metadata: Metadata, history: tuple[Event, ...], /
        ) -> None:
            """Set the fields."""


@frozen
class Saved:
    """What a save did: where, whether it wrote, how many bytes, and what it could not keep.

    `status` is `"skipped"` where the key existed and `if_exists="skip"` was asked for; `nbytes` is
    then 0. `nbytes` is the stored size for files and the array's size elsewhere. `dropped` names
    the fields of `Metadata` that held something and that the format cannot carry, and `"labels"`
    where an image had some.
    """

    key: str
    config: object
    status: Literal["written", "skipped"]
    nbytes: int
    dropped: tuple[str, ...] = ()
