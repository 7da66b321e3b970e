"""The handle of a memory store, and what the store says of keys that lead nowhere."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import count

from attrs import field, frozen

from polystore.backends.memory.tree import DeadEnd, Folder, Link, Node, Spot, find
from polystore.backends.refusals import below_no_folder, no_file, no_folder
from polystore.configs import MemoryConfig
from polystore.core.errors import InvalidKey, StorageError, Unavailable, not_found
from polystore.core.key import Key, near_keys
from polystore.core.records import Context

__all__ = ["Memory", "own_node", "unread", "unwritten"]


@frozen(eq=False)
class Memory:
    """The handle: what is stored, and a lock over it.

    `held` are the keys whose locks are held; `let_go` tells those who wait for one.
    `numbers` numbers what is saved.
    """

    config: MemoryConfig
    context: Context
    top: Folder = field(factory=Folder)
    lock: threading.RLock = field(factory=threading.RLock)
    numbers: Iterator[int] = field(factory=count)
    held: set[Key] = field(factory=set[Key])
    let_go: threading.Condition = field(factory=threading.Condition)


def unread(memory: Memory, key: str, found: Spot | DeadEnd) -> StorageError:
    """Give the error for a key under which there is no item."""
    config = memory.config
    if isinstance(found, Spot):
        if isinstance(found.node, Folder):
            return no_file(key, config, len(found.node.entries), "item")
        own = own_node(memory, key)
        if isinstance(own, Link):
            what = f"it is a link to {own.target!r}, where nothing is"
            return below_no_folder(key, config, what)
        above = key.rpartition("/")[0]
        names = (f"{above}/{name}" if above else name for name in found.above[-1].entries)
        return not_found(key, config, near_keys(key, names))
    if found.kind == "circle":
        return _circle(key, config, found.part)
    what = "an item, not a folder" if found.kind == "item" else "a link that leads nowhere"
    return below_no_folder(key, config, f"{found.part!r} is {what}")


def own_node(memory: Memory, key: str) -> Node | None:
    """Give what stands under a key itself, a link that is not followed."""
    found = find(memory.top, key, follow=False)
    return found.node if isinstance(found, Spot) else None


def _circle(key: str, config: MemoryConfig, part: str) -> InvalidKey:
    return InvalidKey(
        key,
        config,
        f"The link {part!r} leads in a circle.",
        'Replace it with if_exists="replace", or delete it.',
    )


def unwritten(memory: Memory, key: str, found: DeadEnd) -> StorageError:
    """Give the error for a key that cannot be written, because of what a part of it is."""
    if found.kind == "circle":
        return _circle(key, memory.config, found.part)
    if found.kind == "item":
        return no_folder(key, memory.config, found.part)
    return Unavailable(
        key,
        memory.config,
        f"{found.part!r} is a link that leads nowhere, not a folder.",
        "Make the folder that it leads to, or choose another key.",
    )
