"""The folders of a memory store: listed, made, moved and deleted, each in one step."""

from __future__ import annotations

from collections.abc import Iterator

from polystore.backends.leading import to_itself
from polystore.backends.memory.handle import Memory, unread, unwritten
from polystore.backends.memory.tree import (
    DeadEnd,
    Folder,
    Link,
    Node,
    Spot,
    Stored,
    children_of,
    find,
    keys_below,
    leads_to,
    put_at,
)
from polystore.backends.oserrors import exists_already
from polystore.backends.refusals import folder_in_use, in_the_way, into_itself, no_folder
from polystore.core.errors import NotADirectory, StorageError
from polystore.core.key import Key
from polystore.core.outcome import Failure, Outcome, Success, is_successful
from polystore.core.records import Child, IfExists, Page

__all__ = [
    "close_memory",
    "delete_node",
    "list_children",
    "list_keys",
    "make_folder",
    "move_node",
]


def close_memory(memory: Memory, /) -> None:
    """Forget all that is stored."""
    with memory.lock:
        memory.top.entries.clear()


def _folder(memory: Memory, folder: str) -> Outcome[Folder]:
    if folder == "":
        return Success(memory.top)
    found = find(memory.top, folder, follow=True)
    if isinstance(found, Spot) and isinstance(found.node, Folder):
        return Success(found.node)
    if isinstance(found, Spot) and found.node is not None:
        return Failure(no_folder(folder, memory.config, folder))
    if isinstance(found, DeadEnd) and found.kind == "item":
        return Failure(no_folder(folder, memory.config, found.part))
    return Failure(unread(memory, folder, found))


def list_keys(memory: Memory, folder: str, /) -> Iterator[Outcome[Page]]:
    """Give every key below a folder, as they are at one moment."""
    prefix = f"{folder}/" if folder else ""
    with memory.lock:
        page = _folder(memory, folder).map(lambda it: tuple(keys_below(memory.top, it, prefix)))
    yield page


def list_children(memory: Memory, folder: str, /) -> Iterator[Outcome[tuple[Child, ...]]]:
    """Give what stands directly in a folder, as it is at one moment."""
    prefix = f"{folder}/" if folder else ""
    with memory.lock:
        page = _folder(memory, folder).map(lambda it: tuple(children_of(it, prefix)))
    yield page


def make_folder(memory: Memory, key: Key, /) -> Outcome[None]:
    """Make a folder, which stays until it is deleted, and those above it."""
    with memory.lock:
        spot = find(memory.top, key, follow=False)
        if isinstance(spot, DeadEnd):
            return Failure(unwritten(memory, key, spot))
        if spot.node is None:
            put_at(spot, Folder())
            return Success(None)
        if isinstance(spot.node, Stored):
            return Failure(no_folder(key, memory.config, key))
        there = _folder(memory, key)
        if not is_successful(there):
            is_item = isinstance(there.failure(), NotADirectory)
            return Failure(there.failure() if is_item else exists_already(key, memory.config))
    return Success(None)


def delete_node(memory: Memory, key: Key, /) -> Outcome[None]:
    """Delete an item, a link itself, or an empty folder."""
    with memory.lock:
        spot = find(memory.top, key, follow=False)
        if isinstance(spot, DeadEnd) or spot.node is None:
            return Failure(unread(memory, key, spot))
        if isinstance(spot.node, Folder) and spot.node.entries:
            return Failure(folder_in_use(key, memory.config, len(spot.node.entries)))
        del spot.above[-1].entries[spot.name]
    return Success(None)


def move_node(memory: Memory, old: Key, new: Key, if_exists: IfExists, /) -> Outcome[bool]:
    """Move an item, a link itself, or a folder with all that is below it.

    A link replaces nothing that it leads to.
    """
    with memory.lock:
        source = find(memory.top, old, follow=False)
        if isinstance(source, DeadEnd) or source.node is None:
            return Failure(unread(memory, old, source))
        if new.startswith(f"{old}/"):
            return Failure(into_itself(old, new, memory.config))
        target = find(memory.top, new, follow=False)
        if isinstance(target, DeadEnd):
            return Failure(unwritten(memory, new, target))
        if target.node is source.node:
            return Success(True)
        if source.node in target.above:  # by way of a link, perhaps
            return Failure(into_itself(old, new, memory.config))
        if target.node is not None and if_exists == "skip":
            return Success(False)
        refused = _kept_out(memory, (old, new), (source.node, target), if_exists)
        if refused is not None:
            return Failure(refused)
        put_at(target, source.node)
        del source.above[-1].entries[source.name]
    return Success(True)


def _kept_out(
    memory: Memory, keys: tuple[Key, Key], ends: tuple[Node, Spot], if_exists: IfExists
) -> StorageError | None:
    """Say what keeps a node from being moved to a spot."""
    old, new = keys
    moved, spot = ends
    replaces = if_exists == "replace"
    if replaces and isinstance(moved, Link) and leads_to(memory.top, moved.target, spot):
        return to_itself(old, new, moved.target, memory.config)
    is_folder = isinstance(moved, Folder) or isinstance(spot.node, Folder)
    if spot.node is None or (replaces and not is_folder):
        return None
    return in_the_way(new, memory.config, is_folder=is_folder)
