"""What stands under a key: file or folder, its size and age, whether it is a link.

On stores whose folders are but parts of keys (no folder is made, and none is empty), what is below
a key makes it a folder.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from polystore.backends.target import Target
from polystore.core.errors import NotFound
from polystore.core.key import KeyLike
from polystore.core.outcome import Failure, Outcome, Success, is_successful
from polystore.core.records import Source, Stat
from polystore.files.target import on_key, unsupported
from polystore.files.walking import pages

if TYPE_CHECKING:
    from polystore.dispatch import Dispatcher

__all__ = ["exists", "is_dir", "is_file", "is_symlink", "stat", "stat_of"]

T = TypeVar("T")


def stat(
    store: Source[object], key: KeyLike, *, dispatcher: Dispatcher | None = None
) -> Outcome[Stat]:
    """Give what stands under a key: its kind, its size in bytes, its age, where its link leads.

    A link is followed. One that leads nowhere, in a circle or out of the root is a `"broken link"`,
    which is a `Stat` and no failure. `NotFound` where there is nothing, with the nearest name;
    `InvalidKey` for what is no key (the root itself has none); `UnsupportedOperation` for a store
    that cannot say; `PermissionDenied` and others as the store says.

    >>> from polystore import Item, MemoryConfig, save
    >>> memory = MemoryConfig(name="doctest-stat")
    >>> save(memory)(Item("plate/a.json", 1)).map(lambda saved: saved.status)
    <Success: written>
    >>> stat(memory, "plate").map(lambda found: found.kind)
    <Success: folder>
    """
    return on_key(store, key, dispatcher, stat_of)


def exists(
    store: Source[object], key: KeyLike, *, dispatcher: Dispatcher | None = None
) -> Outcome[bool]:
    """Whether a file or a folder stands under a key. A broken link does not count.

    Nothing there is `False`; every other failure of `stat` stays one.

    >>> from polystore import MemoryConfig
    >>> exists(MemoryConfig(name="doctest-exists"), "a.json")
    <Success: False>
    """
    return on_key(store, key, dispatcher, _exists)


def is_file(
    store: Source[object], key: KeyLike, *, dispatcher: Dispatcher | None = None
) -> Outcome[bool]:
    """Whether a file or an array stands under a key, or a link that leads to one.

    >>> from polystore import MemoryConfig
    >>> is_file(MemoryConfig(name="doctest-is-file"), "a.json")
    <Success: False>
    """
    return on_key(store, key, dispatcher, lambda at: _asked(at, lambda it: it.kind == "file"))


def is_dir(
    store: Source[object], key: KeyLike, *, dispatcher: Dispatcher | None = None
) -> Outcome[bool]:
    """Whether a folder stands under a key, or a link that leads to one; in Zarr, a group.

    >>> from polystore import Item, MemoryConfig, save
    >>> memory = MemoryConfig(name="doctest-is-dir")
    >>> save(memory)(Item("plate/a.json", 1)).map(lambda saved: saved.status)
    <Success: written>
    >>> is_dir(memory, "plate")
    <Success: True>
    """
    return on_key(store, key, dispatcher, lambda at: _asked(at, lambda it: it.kind == "folder"))


def is_symlink(
    store: Source[object], key: KeyLike, *, dispatcher: Dispatcher | None = None
) -> Outcome[bool]:
    """Whether a link stands under a key, wherever it leads, and also if it is broken.

    >>> from polystore import MemoryConfig
    >>> is_symlink(MemoryConfig(name="doctest-is-symlink"), "a.json")
    <Success: False>
    """
    return on_key(store, key, dispatcher, lambda at: _asked(at, lambda it: it.link is not None))


def _exists(target: Target) -> Outcome[bool]:
    return _asked(target, lambda it: it.kind != "broken link")


def _asked(target: Target, answer: Callable[[Stat], bool]) -> Outcome[bool]:
    found = stat_of(target)
    if is_successful(found):
        return Success(answer(found.unwrap()))
    error = found.failure()
    return Success(False) if isinstance(error, NotFound) else Failure(error)


def stat_of(target: Target) -> Outcome[Stat]:
    """Give what stands under a key of an opened store, as `stat` does."""
    status = target.backend.stat
    if status is None:
        return Failure(unsupported(target, "say what stands under a key"))
    found = status(target.handle, target.key)
    if is_successful(found) or target.backend.children is not None or target.backend.list is None:
        return found
    return Success(Stat("folder", None, None)) if _has_below(found, target) else found


def _has_below(found: Outcome[Stat], target: Target) -> bool:
    """Whether keys lie below one that is none itself: asked where folders are parts of keys."""
    if not isinstance(found.failure(), NotFound):
        return False
    return any(is_successful(page) and page.unwrap() for page in pages(target))
