"""The keys of a Zarr store: its arrays, images and links, whoever wrote them."""

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
from polystore.backends.zarr.folder.groups import no_group
from polystore.backends.zarr.folder.node import (
    Found,
    found_at,
    found_in,
    is_whole,
    item_above,
    node_at,
    open_end,
    open_folder,
    refuse_all_but_items,
)
from polystore.backends.zarr.folder.reading import guarded
from polystore.backends.zarr.kind import DOCUMENTS
from polystore.configs import ZarrConfig, ZarrLayout
from polystore.core.errors import StorageError
from polystore.core.key import HIDDEN_PREFIX, Key, parse_key
from polystore.core.outcome import Failure, Outcome, Success, is_successful
from polystore.core.records import Child, Page

__all__ = ["list_children", "list_items"]

# What is said of a folder that is gone, is a file or a link now, or leads out of the root.
_NONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV)

_Entry: TypeAlias = Literal["folder", "link", "other"]


@frozen
class _Walk:
    """What one listing has seen of a folder: keys, folders to come, and what cannot be listed."""

    root: int
    layout: ZarrLayout
    waiting: list[str]
    renamed: tuple[str, str]
    keys: list[Key] = field(factory=list[Key])
    problems: list[StorageError] = field(factory=list[StorageError])

    def shown(self, path: str) -> str:
        """Give the path by the name of the folder that was asked for: it may be a link."""
        real, name = self.renamed
        return (
            path if real == name else "/".join(filter(None, (name, path[len(real) :].strip("/"))))
        )


def list_items(config: ZarrConfig, folder: str) -> Iterator[Outcome[Page]]:
    """Give the keys of all items below a folder, page by page, lazily, in no order.

    - Items are not entered, nor are links to folders; a link to an item inside the root is a key,
      and so is one that leads to nothing of Zarr's, or out of the root.
    - A node whose documents are damaged is a key too: loading it says so.
    - A name that is no key, or a folder that cannot be read, is a failure of its own; the others
      follow.
    - Hidden files and folders are left out, and swept if a killed writer left them.
    """
    opened = guarded(lambda: _opened(config, folder), folder, config)
    if not is_successful(opened):
        yield Failure(opened.failure())
        return
    root, real = opened.unwrap()
    walk = _Walk(root, config.layout, [real], (real, folder))
    try:
        while walk.waiting:
            for page in _pages_of(walk, walk.waiting.pop()):
                yield page.alt(lambda error: evolve(error, config=config))
    finally:
        os.close(walk.root)


def _opened(config: ZarrConfig, folder: str) -> Outcome[tuple[int, str]]:
    """Give a descriptor of the root, and where the folder is, if it is one that can hold items."""
    root = open_root(config.root)
    try:
        real = _real(root, folder)
        above = item_above(root, f"{real}/", config.layout) if real else None
        if above is None:
            node = node_at(root, real)
            if not is_whole(node, config.layout):
                kept, root = root, -1
                return Success((kept, real))
            above = folder, node
        return Failure(evolve(no_group(above[1], above[0], config), key=folder))
    finally:
        if root >= 0:
            os.close(root)


def _real(root: int, folder: str) -> str:
    """Give where a folder really is, links followed; or the folder, where nothing is there."""
    try:
        fd, real = open_end(root, folder)
    except (FileNotFoundError, NotADirectoryError):  # it may be below an item
        return folder
    os.close(fd)
    return real


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
            walk.problems.append(from_os(error, walk.shown(folder), None))
    yield Success(tuple(walk.keys))
    yield from map(Failure, walk.problems)
    walk.keys.clear()
    walk.problems.clear()


def _see(walk: _Walk, path: str, is_link: bool) -> None:
    try:
        found = found_at(walk.root, path)
        if found.link is not None:
            is_link, found = True, _end_of(walk.root, path)
    except OSError as error:
        if error.errno not in _NONE:
            walk.problems.append(from_os(error, walk.shown(path), None))
            return
        if not is_link:
            return
        found = Found("array")  # a broken link stands where an array would
    if found.node == "damaged" or is_whole(found.node, walk.layout):
        key = parse_key(walk.shown(path), None, DOCUMENTS)
        if is_successful(key):
            walk.keys.append(key.unwrap())
        else:
            walk.problems.append(_renamed_please(key.failure()))
    elif not is_link:
        walk.waiting.append(path)


def _end_of(root: int, path: str) -> Found:
    """Say what a link leads to; one that leads nowhere stands where an array would."""
    try:
        folder, _ = open_end(root, path)
    except OSError as error:
        if error.errno not in _NONE:
            raise
        return Found("array")
    try:
        return found_in(folder)
    finally:
        os.close(folder)


def _renamed_please(error: StorageError) -> StorageError:
    return evolve(error, advice="Rename it, or move it out of the folder; the others are keys.")


def list_children(config: ZarrConfig, folder: str) -> Iterator[Outcome[tuple[Child, ...]]]:
    """Give the items, folders and links that stand directly in a folder, page by page.

    What is not Zarr's, nor a folder, is `"other"`. Plain folders are not `own`, nor is a node whose
    documents are damaged, and that has others below it. Failures are as for `list_items`.
    """
    opened = guarded(lambda: _opened(config, folder), folder, config)
    if not is_successful(opened):
        yield Failure(opened.failure())
        return
    root, real = opened.unwrap()
    walk = _Walk(root, config.layout, [real], (real, folder))
    try:
        yield from _children(walk, real, config)
    finally:
        os.close(root)


def _children(walk: _Walk, folder: str, config: ZarrConfig) -> Iterator[Outcome[tuple[Child, ...]]]:
    below = f"{folder}/" if folder else ""
    page: list[Child] = []
    try:
        for name, entry in _names_in(walk.root, folder):
            child = _child(walk, below + name, entry)
            if not is_successful(child):
                walk.problems.append(child.failure())
            elif (found := child.unwrap()) is not None:
                page.append(found)
            if len(page) == PAGE_MAX:
                yield Success(tuple(page))
                page.clear()
    except OSError as error:  # the folder was removed, or replaced, since it was looked at
        walk.problems.append(from_os(error, walk.shown(folder), config))
    yield Success(tuple(page))
    yield from (Failure(evolve(problem, config=config)) for problem in walk.problems)


def _child(walk: _Walk, path: str, entry: _Entry) -> Outcome[Child | None]:
    """Give a child of a folder, or `None` for what is gone by now."""
    shown = walk.shown(path)
    key = parse_key(shown, None, DOCUMENTS)
    try:
        kind, own = (entry, entry == "link") if entry != "folder" else _folder_at(walk, path)
    except OSError as error:
        return Success(None) if error.errno in _NONE else Failure(from_os(error, shown, None))
    if kind == "other":
        return Success(Child(Key(shown), kind, own))
    child = key.map(lambda it: Child(it, kind, own))
    return child if is_successful(child) else Failure(_renamed_please(child.failure()))


def _folder_at(walk: _Walk, path: str) -> tuple[Literal["file", "folder", "link"], bool]:
    """Say what a folder is, and whether it is Zarr's own, to be deleted."""
    found = found_at(walk.root, path)
    if found.link is not None:
        return "link", True
    if found.node == "plain":
        return "folder", False
    if found.node != "damaged":
        return ("file" if is_whole(found.node, walk.layout) else "folder"), True
    folder = open_folder(walk.root, path)
    try:
        refuse_all_but_items(walk.layout)(folder)
    except IsADirectoryError:
        return "file", False
    finally:
        os.close(folder)
    return "file", True


def _names_in(root: int, folder: str) -> Iterator[tuple[str, _Entry]]:
    """Give the names in a folder, but Zarr's documents, what each is to the system; and sweep."""
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
                elif entry.name not in DOCUMENTS or not entry.is_file(follow_symlinks=False):
                    yield entry.name, "other"
    finally:
        os.close(fd)
