"""The keys of a Zarr store: its arrays, whoever wrote them."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from typing import Literal, TypeAlias

from attrs import evolve, field, frozen

from polystore.backends.beneath import open_root
from polystore.backends.disk.listing import PAGE_MAX
from polystore.backends.heldfolder import sweep_folder
from polystore.backends.oserrors import from_os
from polystore.backends.whole import sweep
from polystore.backends.zarr.groups import no_group
from polystore.backends.zarr.node import (
    DOCUMENT,
    RESERVED,
    Node,
    array_above,
    node_at,
    open_folder,
    refuse_all_but_arrays,
)
from polystore.backends.zarr.reading import ZarrFolder, guarded
from polystore.configs import ZarrConfig
from polystore.core.errors import StorageError
from polystore.core.key import HIDDEN_PREFIX, Key, parse_key
from polystore.core.outcome import Failure, Outcome, Success, is_successful
from polystore.core.records import Child, Page

__all__ = ["list_arrays", "list_children"]

# What is said of a folder that is gone, is a file or a link now, or leads out of the root.
_NONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV)

_KINDS: dict[Node, Literal["file", "folder", "other"]] = {
    "array": "file",
    "damaged": "file",
    "group": "folder",
    "plain": "folder",
    "version 2": "other",
}

_Entry: TypeAlias = Literal["folder", "link", "other"]


@frozen
class _Walk:
    """What one listing has seen of a folder: keys, folders to come, and what cannot be listed."""

    root: int
    waiting: list[str]
    keys: list[Key] = field(factory=list[Key])
    problems: list[StorageError] = field(factory=list[StorageError])


def list_arrays(store: ZarrFolder, folder: str, /) -> Iterator[Outcome[Page]]:
    """Give the keys of all arrays below a folder, page by page, lazily, in no order.

    - Arrays are not entered, nor are links to folders; a link to an array inside the root is a key,
      and so is one that leads to nothing of Zarr's, or out of the root.
    - An array whose `zarr.json` is damaged is a key too: loading it says so.
    - A name that is no key, or a folder that cannot be read, is a failure of its own; the others
      follow.
    - Hidden files and folders are left out, and swept if a killed writer left them.
    """
    config = store.config
    opened = guarded(lambda: _opened(config, folder), folder, config)
    if not is_successful(opened):
        yield Failure(opened.failure())
        return
    walk = _Walk(opened.unwrap(), [folder])
    try:
        while walk.waiting:
            for page in _pages_of(walk, walk.waiting.pop()):
                yield page.alt(lambda error: evolve(error, config=config))
    finally:
        os.close(walk.root)


def _opened(config: ZarrConfig, folder: str) -> Outcome[int]:
    """Give a descriptor of the root, if the folder is one that can hold arrays."""
    root = open_root(config.root)
    try:
        array = array_above(root, f"{folder}/" if folder else "")
        node = "array" if array is not None else node_at(root, folder)
    except OSError:
        os.close(root)
        raise
    if node in ("array", "version 2"):
        os.close(root)
        error = no_group(node, array or folder, config.root, config)
        return Failure(evolve(error, key=folder))
    return Success(root)


def _pages_of(walk: _Walk, folder: str) -> Iterator[Outcome[Page]]:
    """Give the keys in one folder, and put the folders in it on the list of those to come."""
    below = f"{folder}/" if folder else ""
    try:
        for name, entry in _names_in(walk.root, folder):
            if entry != "other":
                _see(walk, below + name, entry == "link")
            if len(walk.keys) == PAGE_MAX:
                yield Success(tuple(walk.keys))
                walk.keys.clear()
    except OSError as error:
        if error.errno not in _NONE:
            walk.problems.append(from_os(error, folder, None))
    yield Success(tuple(walk.keys))
    yield from map(Failure, walk.problems)
    walk.keys.clear()
    walk.problems.clear()


def _see(walk: _Walk, path: str, is_link: bool) -> None:
    key = parse_key(path, None, RESERVED)
    try:
        node = node_at(walk.root, path)
    except OSError as error:
        if error.errno not in _NONE:
            walk.problems.append(from_os(error, path, None))
            return
        if not is_link:
            return
        node = "array"  # a broken link stands where an array would
    if node in ("array", "damaged"):
        if is_successful(key):
            walk.keys.append(key.unwrap())
        else:
            walk.problems.append(_renamed_please(key.failure()))
    elif node in ("group", "plain") and not is_link:
        walk.waiting.append(path)


def _renamed_please(error: StorageError) -> StorageError:
    return evolve(error, advice="Rename it, or move it out of the folder; the others are keys.")


def list_children(store: ZarrFolder, folder: str, /) -> Iterator[Outcome[tuple[Child, ...]]]:
    """Give the arrays, folders and links that stand directly in a folder, page by page.

    What is not Zarr's, nor a folder, is `"other"`, and so are folders of Zarr's version 2. Plain
    folders are not `own`, nor is a node whose `zarr.json` is damaged, and that has others below it.
    Failures are as for `list_arrays`.
    """
    config = store.config
    opened = guarded(lambda: _opened(config, folder), folder, config)
    if not is_successful(opened):
        yield Failure(opened.failure())
        return
    root = opened.unwrap()
    try:
        yield from _children(root, folder, config)
    finally:
        os.close(root)


def _children(root: int, folder: str, config: ZarrConfig) -> Iterator[Outcome[tuple[Child, ...]]]:
    below = f"{folder}/" if folder else ""
    page: list[Child] = []
    problems: list[StorageError] = []
    try:
        for name, entry in _names_in(root, folder):
            child = _child(root, below + name, entry)
            if not is_successful(child):
                problems.append(evolve(child.failure(), config=config))
            elif (found := child.unwrap()) is not None:
                page.append(found)
            if len(page) == PAGE_MAX:
                yield Success(tuple(page))
                page.clear()
    except OSError as error:  # the folder was removed, or replaced, since it was looked at
        problems.append(from_os(error, folder, config))
    yield Success(tuple(page))
    yield from map(Failure, problems)


def _child(root: int, path: str, entry: _Entry) -> Outcome[Child | None]:
    """Give a child of a folder, or `None` for what is gone by now."""
    key = parse_key(path, None, RESERVED)
    try:
        kind, own = (entry, entry == "link") if entry != "folder" else _folder_at(root, path)
    except OSError as error:
        return Success(None) if error.errno in _NONE else Failure(from_os(error, path, None))
    if kind == "other":
        return Success(Child(Key(path), kind, own))
    child = key.map(lambda it: Child(it, kind, own))
    return child if is_successful(child) else Failure(_renamed_please(child.failure()))


def _folder_at(root: int, path: str) -> tuple[Literal["file", "folder", "other"], bool]:
    """Say what a folder is, and whether it is Zarr's own, to be deleted."""
    node = node_at(root, path)
    if node != "damaged":
        return _KINDS[node], node in ("array", "group")
    folder = open_folder(root, path)
    try:
        refuse_all_but_arrays(folder)
    except IsADirectoryError:
        return "file", False
    finally:
        os.close(folder)
    return "file", True


def _names_in(root: int, folder: str) -> Iterator[tuple[str, _Entry]]:
    """Give the names in a folder, but `zarr.json`, and what each is to the system; and sweep."""
    fd = open_folder(root, folder)
    try:
        with os.scandir(fd) as entries:
            for entry in entries:
                if entry.name.startswith(HIDDEN_PREFIX):
                    sweep(fd, entry.name)
                    sweep_folder(fd, entry.name)
                elif entry.is_dir(follow_symlinks=False):
                    yield entry.name, "folder"
                elif entry.is_symlink():
                    yield entry.name, "link"
                elif entry.name != DOCUMENT:
                    yield entry.name, "other"
    finally:
        os.close(fd)
