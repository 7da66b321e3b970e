"""What a layout gives of the nodes that it looks at: outcomes that say where, and held arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar
from weakref import finalize

from attrs import evolve

from polystore.backends.oserrors import from_os
from polystore.backends.refusals import no_file
from polystore.backends.zarr.tree import Files, Seen, ZarrStore, read_node
from polystore.core.errors import InvalidKey, NotAFile, NotFound
from polystore.core.key import Key
from polystore.core.outcome import Outcome, Success, and_then, catch, guard, is_successful
from polystore.core.payload import HostArray, LazyArray, Region
from polystore.core.records import Stat

__all__ = ["folder_of_nodes", "guarded_look", "kept_open", "located", "stat_by"]

T = TypeVar("T")


def located(outcome: Outcome[T], store: ZarrStore, key: str) -> Outcome[T]:
    """Give an outcome whose error names the key and the config, where it did not yet."""
    return outcome.alt(
        lambda error: evolve(error, key=error.key or key, config=error.config or store.config)
    )


def kept_open(array: LazyArray, close: Callable[[], None], key: Key, config: object) -> LazyArray:
    """Give an array whose files are let go of once nobody can read it any more."""

    def read(region: Region) -> Outcome[HostArray]:
        says = catch(OSError, lambda error: from_os(error, key, config))
        outcome = and_then(guard(lambda: array.read(region), says), lambda it: it)
        return outcome.alt(lambda it: evolve(it, key=it.key or key, config=it.config or config))

    finalize(read, close)
    return LazyArray(array.spec, read)


def guarded_look(action: Callable[[], Outcome[T]]) -> Outcome[T]:
    """Give an outcome; what the system says of files that are held is explained."""
    outcome = guard(action, catch(OSError, lambda error: from_os(error, "", None)))
    return and_then(outcome, lambda it: it)


def stat_by(store: ZarrStore, key: Key, look: Callable[[Files], Seen[Stat]]) -> Outcome[Stat]:
    """Say what stands under a key, by what `look` sees there; of a link, where it leads."""
    found = read_node(store.tree, key, look)
    link = store.tree.link(key)
    if link is None:
        return located(found, store, key)
    if is_successful(found):
        return Success(evolve(found.unwrap(), link=link))
    if isinstance(found.failure(), (InvalidKey, NotFound)):  # out of the root, or nothing of Zarr's
        return Success(Stat("broken link", None, None, link))
    return located(found, store, key)


def folder_of_nodes(store: ZarrStore, key: str) -> NotAFile:
    """Give the error for a folder that was to be loaded, with how many nodes can be seen in it."""
    children = store.tree.children
    pages = iter(()) if children is None else children(key)
    count = sum(len(page.unwrap()) for page in pages if is_successful(page))
    return no_file(key, store.config, count, "node")
