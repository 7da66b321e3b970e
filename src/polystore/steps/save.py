"""`save`: an item is stored under its key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Literal, TypeVar, overload

from attrs import field, frozen

from polystore.core.records import IfExists, Sink
from polystore.core.region import Bounds, RegionLike
from polystore.steps.region import given_region

if TYPE_CHECKING:
    from polystore.core.item import Item, Saved
    from polystore.core.outcome import Outcome
    from polystore.core.payload import Array, LazyArray

__all__ = ["Save", "save"]

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)


@frozen
class Save(Generic[T_contra]):
    """Save to `sink`. Made by `save`.

    `region` is the part of an array that is there which is replaced, as pairs of bounds: then
    `if_exists` is `"replace"`, and there are no `options`.
    """

    sink: Sink[T_contra]
    if_exists: IfExists = "fail"
    options: object = None
    region: Bounds | None = field(default=None, converter=given_region)

    def __call__(self, item: Item[object, T_contra], /) -> Outcome[Saved]:
        """Save the item, with the default dispatcher."""
        from polystore.dispatch import default_dispatcher

        return default_dispatcher().run(self, item)


@overload
def save(sink: Sink[T], if_exists: IfExists = "fail", options: object = None) -> Save[T]: ...
@overload
def save(
    sink: Sink[Array | LazyArray],
    if_exists: Literal["replace"] = "replace",
    *,
    region: RegionLike,
) -> Save[Array | LazyArray]: ...
def save(
    sink: Sink[T],
    if_exists: IfExists | None = None,
    options: object = None,
    *,
    region: RegionLike | None = None,
) -> Save[T]:
    """Give the step that saves an item to a store, under the item's key.

    A save is all or nothing, to every reader and also when the process is killed in the middle.
    Where the key exists, `if_exists` decides: `"fail"` gives `AlreadyExists` (of several writers at
    once, one wins), `"replace"` replaces it whole, `"skip"` leaves it and says so in
    `Saved.status`. A pipeline that ends in `"skip"` asks the store before it loads anything. Where
    the store has noted how an item was made (Zarr), and it was made from another source or by other
    steps, `"skip"` is `AlreadyExists` too, and says what differs.

    `options` is the format's own (`TiffOptions(compression="zstd")`). Arrays of any framework are
    taken. Nothing is written when the item cannot be held (`UnsupportedPayload`, `Lossy`), when its
    key is bad (`InvalidKey`), or when there is no room (`NoSpace`).

    With `region` (slices of step 1, as in `load`) the item's array replaces that part of an array
    that is there. It must be as large (`UnsupportedPayload`) and of the same dtype (`Lossy`); the
    rest, and what is known of the array, stays. All of the region comes in one step to every
    reader. `NotFound` where there is no array, `UnsupportedOperation` in stores of files. There is
    no other `if_exists` for it than `"replace"`, and no `options`. `Saved.nbytes` is that of the
    region.

    >>> from polystore import Item, MemoryConfig
    >>> keep = save(MemoryConfig(name="doctest-save"))
    >>> keep(Item("a.json", [1, 2])).map(lambda saved: (saved.key, saved.status))
    <Success: ('a.json', 'written')>
    >>> type(keep(Item("a.json", [3])).failure()).__name__
    'AlreadyExists'
    """
    otherwise: IfExists = "fail" if region is None else "replace"
    return Save(sink, if_exists or otherwise, options, region)
