"""What stands under a key: file or folder, its size and age, whether it is a link."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polystore.core.key import KeyLike
from polystore.core.outcome import Outcome
from polystore.core.records import Source, Stat

if TYPE_CHECKING:
    from polystore.dispatch import Dispatcher

__all__ = ["exists", "is_dir", "is_file", "is_symlink", "stat"]


def stat(
    store: Source[object], key: KeyLike, *, dispatcher: Dispatcher | None = None
) -> Outcome[Stat]:
    """Say what stands under a key."""
    raise NotImplementedError


def exists(
    store: Source[object], key: KeyLike, *, dispatcher: Dispatcher | None = None
) -> Outcome[bool]:
    """Whether a file or a folder stands under a key."""
    raise NotImplementedError


def is_file(
    store: Source[object], key: KeyLike, *, dispatcher: Dispatcher | None = None
) -> Outcome[bool]:
    """Whether a file or an array stands under a key."""
    raise NotImplementedError


def is_dir(
    store: Source[object], key: KeyLike, *, dispatcher: Dispatcher | None = None
) -> Outcome[bool]:
    """Whether a folder stands under a key."""
    raise NotImplementedError


def is_symlink(
    store: Source[object], key: KeyLike, *, dispatcher: Dispatcher | None = None
) -> Outcome[bool]:
    """Whether a link stands under a key, wherever it leads."""
    raise NotImplementedError
