"""Copies and moves, within a store and between two."""

from __future__ import annotations

from typing import TYPE_CHECKING, Never

from polystore.core.item import Saved
from polystore.core.key import KeyLike
from polystore.core.outcome import Outcome
from polystore.core.records import IfExists, Sink, Source, Store

if TYPE_CHECKING:
    from polystore.dispatch import Dispatcher

__all__ = ["copy", "move"]


def copy(  # noqa: PLR0913 - from where, to where, and how
    store: Source[object],
    key: KeyLike,
    new_key: KeyLike | None = None,
    *,
    to: Sink[Never] | None = None,
    if_exists: IfExists = "fail",
    dispatcher: Dispatcher | None = None,
) -> Outcome[Saved]:
    """Copy an item to another key, to another store, or both."""
    raise NotImplementedError


def move(  # noqa: PLR0913 - from where, to where, and how
    store: Store[object, Never],
    key: KeyLike,
    new_key: KeyLike | None = None,
    *,
    to: Sink[Never] | None = None,
    if_exists: IfExists = "fail",
    dispatcher: Dispatcher | None = None,
) -> Outcome[Saved]:
    """Move an item, or a folder, to another key, to another store, or both."""
    raise NotImplementedError
