"""Opening a Zarr store, and what every layout takes from its tree as it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager

from polystore.backends.lacking import lacking
from polystore.backends.zarr.folder.tree import folder_tree
from polystore.backends.zarr.tree import Tree, ZarrStore
from polystore.configs import ZarrConfig
from polystore.core.key import Key
from polystore.core.outcome import Failure, Outcome, Success, and_then
from polystore.core.records import Child, Context, IfExists, Opened, Page

__all__ = [
    "close_store",
    "delete_node",
    "list_children",
    "list_keys",
    "lock_key",
    "make_folder",
    "move_node",
    "open_store",
    "parts_of",
    "root_of",
]


def open_store(config: ZarrConfig, context: Context, /) -> Outcome[ZarrStore]:
    """Give the handle of a store: a folder of this machine, or keys of the store that it names."""
    if config.store is None:
        return Success(ZarrStore(config, context, folder_tree(config)))

    def tree_of(opened: Opened) -> Outcome[Tree]:
        from polystore.backends.zarr.objects.tree import object_tree

        return object_tree(config, opened)

    tree = and_then(context.open(config.store), tree_of)
    return tree.map(lambda it: ZarrStore(config, context, it))


def close_store(_store: ZarrStore, /) -> None:
    """Do nothing: a handle holds nothing open."""


def root_of(config: ZarrConfig) -> str | None:
    """Give the folder that keys are relative to; `None` where they are those of another store."""
    return config.root if config.store is None else None


def parts_of(config: ZarrConfig) -> tuple[object, ...]:
    """Give the store that this one is in, if it is in one."""
    return () if config.store is None else (config.store,)


def list_keys(store: ZarrStore, folder: str, /) -> Iterator[Outcome[Page]]:
    """Give the keys of all items below a folder."""
    return store.tree.list(folder)


def list_children(store: ZarrStore, folder: str, /) -> Iterator[Outcome[tuple[Child, ...]]]:
    """Give what stands directly in a folder; nothing where folders are but parts of keys."""
    return iter(()) if store.tree.children is None else store.tree.children(folder)


def make_folder(store: ZarrStore, key: Key, /) -> Outcome[None]:
    """Make a group, and those above it, where there are folders."""
    return Success(None) if store.tree.make_folder is None else store.tree.make_folder(key)


def delete_node(store: ZarrStore, key: Key, /) -> Outcome[None]:
    """Delete an item, an empty group, or a link."""
    return store.tree.delete(key)


def move_node(store: ZarrStore, old: Key, new: Key, if_exists: IfExists, /) -> Outcome[bool]:
    """Move an item, a link, or a group with all that is below it."""
    if store.tree.move is None:
        return Failure(lacking("zarr", "move in", old, store.config))
    return store.tree.move(old, new, if_exists)


def lock_key(
    store: ZarrStore, key: Key, seconds: float, /
) -> Outcome[AbstractContextManager[None]]:
    """Lock a key."""
    if store.tree.lock is None:
        return Failure(lacking("zarr", "lock in", key, store.config))
    return store.tree.lock(key, seconds)
