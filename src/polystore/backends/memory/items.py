"""The items and links of a memory store: each is put, found and told of in one step."""

from __future__ import annotations

import time
from typing import cast

from attrs import evolve

from polystore.backends.memory.handle import Memory, own_node, unread, unwritten
from polystore.backends.memory.snapshot import snapshot
from polystore.backends.memory.tree import DeadEnd, Folder, Link, Node, Spot, Stored, find, put_at
from polystore.backends.oserrors import exists_already
from polystore.backends.refusals import folder_in_way, no_formats
from polystore.core.errors import UnsupportedOperation, UnsupportedPayload
from polystore.core.item import Item, Saved
from polystore.core.key import Key, parse_key
from polystore.core.outcome import Failure, Outcome, Success, and_then, is_successful
from polystore.core.payload import Payload, nbytes_of
from polystore.core.records import FileFormat, IfExists, Place, SaveOptions, Stat
from polystore.frameworks.handover import read_whole

__all__ = ["link_to", "load_item", "save_item", "stat_node"]


_BROKEN_LINK_ADVICE = 'A broken link is there: replace it with if_exists="replace", or delete it.'


def load_item(
    memory: Memory, key: Key, format: FileFormat[object] | None, /
) -> Outcome[Item[Payload]]:
    """Give a copy of the item under a key."""
    if format is not None:
        return Failure(no_formats("A memory store", key, memory.config))
    with memory.lock:
        found = find(memory.top, key, follow=True)
        node = found.node if isinstance(found, Spot) else None
        if not isinstance(node, Stored):
            return Failure(unread(memory, key, found))
    item = Item(key, node.item.payload, node.item.metadata, node.item.history)
    return _snapshot(memory, key, item)


def _snapshot(memory: Memory, key: Key, item: Item[Payload]) -> Outcome[Item[Payload]]:
    copied = snapshot(item, memory.context.owner)
    return copied.alt(lambda error: evolve(error, key=key, config=memory.config))


def save_item(memory: Memory, key: Key, item: Item[Payload], how: SaveOptions, /) -> Outcome[Saved]:
    """Keep a copy of an item."""
    if how.options is not None:
        return Failure(
            UnsupportedPayload(
                key,
                memory.config,
                f"A memory store takes no {type(how.options).__name__}: it holds no files.",
                "Leave the options out: save(store).",
            )
        )
    # A lazy array would go on reading what it was made of, which may change.
    whole = read_whole(item.payload).map(
        lambda it: Item(key, cast("Payload", it), item.metadata, item.history)
    )
    copied = and_then(whole, lambda it: _snapshot(memory, key, it))
    return and_then(copied, lambda it: _stored(memory, key, it, how.if_exists))


def _stored(memory: Memory, key: Key, item: Item[Payload], if_exists: IfExists) -> Outcome[Saved]:
    with memory.lock:
        spot = _place_for(memory, key, if_exists)
        if not is_successful(spot):
            return Failure(spot.failure())
        there = spot.unwrap()
        if there is None:
            return Success(Saved(key, memory.config, "skipped", 0))
        put_at(there, Stored(item, _later_than(there), next(memory.numbers)))
    return Success(Saved(key, memory.config, "written", nbytes_of(item.payload) or 0))


def _later_than(spot: Spot) -> int:
    """Give the time, later than what is replaced: who asks for it then sees that it changed."""
    before = spot.node.modified_ns if isinstance(spot.node, Stored) else 0
    return max(time.time_ns(), before + 1)


def _place_for(memory: Memory, key: Key, if_exists: IfExists) -> Outcome[Spot | None]:
    """Give where an item or a link may be put; `None` if what is there is to be kept."""
    spot = find(memory.top, key, follow=False)
    if isinstance(spot, DeadEnd):
        return Failure(unwritten(memory, key, spot))
    if isinstance(spot.node, Folder):
        return Failure(folder_in_way(key, memory.config))
    if spot.node is None or if_exists == "replace":
        return Success(spot)
    end = find(memory.top, key, follow=True)
    node = end.node if isinstance(end, Spot) else None
    if isinstance(node, Folder):
        return Failure(folder_in_way(key, memory.config))
    if node is not None and if_exists == "skip":
        return Success(None)
    error = exists_already(key, memory.config)
    return Failure(error if node is not None else evolve(error, advice=_BROKEN_LINK_ADVICE))


def link_to(memory: Memory, key: Key, place: Place, if_exists: IfExists, /) -> Outcome[bool]:
    """Make a link to a key of this store, whether something is there or not."""
    if place.store != memory.config:
        return Failure(
            UnsupportedOperation(
                key,
                memory.config,
                "A link in a memory store leads to a key of the same store.",
                "Copy the item: copy(store, key, to=memory); or link from a disk store.",
            )
        )
    target = parse_key(place.key)
    if not is_successful(target):
        return Failure(evolve(target.failure(), key=key, config=memory.config))
    with memory.lock:
        if if_exists == "skip" and isinstance(own_node(memory, key), Link):
            return Success(False)  # wherever it leads
        spot = _place_for(memory, key, if_exists)
        if not is_successful(spot):
            return Failure(spot.failure())
        there = spot.unwrap()
        if there is not None:
            put_at(there, Link(target.unwrap()))
    return Success(there is not None)


def stat_node(memory: Memory, key: Key, /) -> Outcome[Stat]:
    """Say what stands under a key."""
    with memory.lock:
        spot = find(memory.top, key, follow=False)
        if isinstance(spot, DeadEnd) or spot.node is None:
            return Failure(unread(memory, key, spot))
        if not isinstance(spot.node, Link):
            return Success(_stat_of(spot.node, None))
        end = find(memory.top, key, follow=True)
    node = end.node if isinstance(end, Spot) else None
    return Success(_stat_of(node, spot.node.target))


def _stat_of(node: Node | None, link: str | None) -> Stat:
    if isinstance(node, Stored):
        nbytes = nbytes_of(node.item.payload)
        return Stat("file", nbytes, node.modified_ns, link, str(node.number))
    return Stat("folder" if isinstance(node, Folder) else "broken link", None, None, link)
