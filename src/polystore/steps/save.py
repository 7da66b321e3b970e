"""`save`: an item is stored under its key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from attrs import frozen

from polystore.core.records import IfExists, Sink

if TYPE_CHECKING:
    from polystore.core.item import Item, Saved
    from polystore.core.outcome import Outcome

__all__ = ["Save", "save"]

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)


@frozen
class Save(Generic[T_contra]):
    """Save to `sink`. Made by `save`."""

    sink: Sink[T_contra]
    if_exists: IfExists = "fail"
    options: object = None

    def __call__(self, item: Item[object, T_contra], /) -> Outcome[Saved]:
        """Save the item, with the default dispatcher."""
        from polystore.dispatch import default_dispatcher

        return default_dispatcher().run(self, item)


def save(sink: Sink[T], if_exists: IfExists = "fail", options: object = None) -> Save[T]:
    """Give the step that saves an item to a store, under the item's key.

    A save is all or nothing, to every reader and also when the process is killed in the middle.
    Where the key exists, `if_exists` decides: `"fail"` gives `AlreadyExists` (of several writers at
    once, one wins), `"replace"` replaces it whole, `"skip"` leaves it and says so in
    `Saved.status`. A pipeline that ends in `"skip"` asks the store before it loads anything.

    `options` is the format's own (`TiffOptions(compression="zstd")`). Arrays of any framework are
    taken. Nothing is written when the item cannot be held (`UnsupportedPayload`, `Lossy`), when its
    key is bad (`InvalidKey`), or when there is no room (`NoSpace`).

    >>> from polystore import Item, MemoryConfig
    >>> keep = save(MemoryConfig(name="doctest-save"))
    >>> keep(Item("a.json", [1, 2])).map(lambda saved: (saved.key, saved.status))
    <Success: ('a.json', 'written')>
    >>> type(keep(Item("a.json", [3])).failure()).__name__
    'AlreadyExists'
    """
    return Save(sink, if_exists, options)
