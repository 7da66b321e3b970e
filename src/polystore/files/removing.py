"""Making folders, and deleting what is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Never

from polystore.core.key import Key, KeyLike
from polystore.core.outcome import Outcome
from polystore.core.records import Sink

if TYPE_CHECKING:
    from polystore.dispatch import Dispatcher

__all__ = ["delete", "delete_tree", "ensure_directory"]


def ensure_directory(
    store: Sink[Never], folder: KeyLike, *, dispatcher: Dispatcher | None = None
) -> Outcome[Key]:
    """Make a folder, and those above it; give its key, also if it was there."""
    raise NotImplementedError


def delete(
    store: Sink[Never], key: KeyLike, *, dispatcher: Dispatcher | None = None
) -> Outcome[None]:
    """Delete a file, a link, or an empty folder."""
    raise NotImplementedError


def delete_tree(
    store: Sink[Never], folder: KeyLike, *, dispatcher: Dispatcher | None = None
) -> Outcome[int]:
    """Delete a folder and all below it; give how many files were deleted."""
    raise NotImplementedError
