"""Links, and trees of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Never

from polystore.batch import Report
from polystore.core.key import Key, KeyLike
from polystore.core.outcome import Outcome
from polystore.core.records import IfExists, Place, Sink, Source

if TYPE_CHECKING:
    from polystore.dispatch import Dispatcher

__all__ = ["create_symlink", "mirror"]


def create_symlink(
    store: Sink[Never],
    key: KeyLike,
    target: KeyLike | Place,
    *,
    if_exists: IfExists = "fail",
    dispatcher: Dispatcher | None = None,
) -> Outcome[Key]:
    """Make a link under a key to another key of the store, or to a place in another store."""
    raise NotImplementedError


def mirror(
    source: Source[object],
    to: Sink[Never],
    *,
    folder: str = "",
    if_exists: IfExists = "fail",
    dispatcher: Dispatcher | None = None,
) -> Outcome[Report[Key]]:
    """Make, in one store, a link to each file of another, under the same keys."""
    raise NotImplementedError
