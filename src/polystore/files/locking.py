"""Work under the lock of a key."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Never, TypeVar

from polystore.core.item import Saved
from polystore.core.key import KeyLike
from polystore.core.outcome import Outcome
from polystore.core.records import Sink, Store

if TYPE_CHECKING:
    from polystore.dispatch import Dispatcher

__all__ = ["LOCK_TIMEOUT_S", "locked", "update"]

T = TypeVar("T")
L = TypeVar("L")
S = TypeVar("S")

LOCK_TIMEOUT_S = 10.0
"""Seconds that `locked` and `update` wait for a lock unless told otherwise."""


def locked(
    store: Sink[Never],
    key: KeyLike,
    fn: Callable[[], Outcome[T]],
    timeout: float = LOCK_TIMEOUT_S,
    *,
    dispatcher: Dispatcher | None = None,
) -> Outcome[T]:
    """Run a function while holding the lock of a key, and give its outcome."""
    raise NotImplementedError


def update(
    store: Store[L, S],
    key: KeyLike,
    fn: Callable[[L | None], S],
    timeout: float = LOCK_TIMEOUT_S,
    *,
    dispatcher: Dispatcher | None = None,
) -> Outcome[Saved]:
    """Replace what is under a key by what a function makes of it, under the key's lock."""
    raise NotImplementedError
