"""The keys of a Zarr store: its arrays, whoever wrote them."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

from attrs import evolve, field, frozen

from polystore.backends.beneath import open_root
from polystore.backends.listing import PAGE_MAX
from polystore.backends.oserrors import from_os
from polystore.backends.whole import sweep
from polystore.backends.wholefolder import sweep_folder
from polystore.backends.zarr.groups import no_group
from polystore.backends.zarr.node import (
    RESERVED,
    array_above,
    node_at,
    open_folder,
)
from polystore.backends.zarr.reading import ZarrFolder, guarded
from polystore.configs import ZarrConfig
from polystore.core.errors import StorageError
from polystore.core.key import HIDDEN_PREFIX, Key, parse_key
from polystore.core.outcome import Failure, Outcome, Success, is_successful
from polystore.core.records import Page

__all__ = ["list_arrays"]

# What is said of a folder that is gone, is a file or a link now, or leads out of the root.
_NONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV)


@frozen
class _Walk:
    """What one listing has seen of a folder: keys, folders to come, and what cannot be listed."""

    root: int
    waiting: list[str]
    keys: list[Key] = field(factory=list[Key])
    problems: list[StorageError] = field(factory=list[StorageError])


def list_arrays(store: ZarrFolder, folder: str, /) -> Iterator[Outcome[Page]]:
    """Give the keys of all arrays below a folder, page by page, lazily, in no order.

    - Arrays are not entered, nor are links to folders; a link to an array inside the root is a key.
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
        return Failure(no_group(node, array or folder, config.root, config))
    return Success(root)


def _pages_of(walk: _Walk, folder: str) -> Iterator[Outcome[Page]]:
    """Give the keys in one folder, and put the folders in it on the list of those to come."""
    below = f"{folder}/" if folder else ""
    try:
        fd = open_folder(walk.root, folder)
    except OSError as error:
        if error.errno not in _NONE:
            yield Failure(from_os(error, folder, None))
        return
    try:
        with os.scandir(fd) as entries:
            for entry in entries:
                if entry.name.startswith(HIDDEN_PREFIX):
                    sweep(fd, entry.name)
                    sweep_folder(fd, entry.name)
                elif not entry.is_file(follow_symlinks=False):
                    _see(walk, below + entry.name, entry.is_symlink())
                if len(walk.keys) == PAGE_MAX:
                    yield Success(tuple(walk.keys))
                    walk.keys.clear()
    finally:
        os.close(fd)
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
    if node in ("array", "damaged"):
        if is_successful(key):
            walk.keys.append(key.unwrap())
        else:
            advice = "Rename it, or move it out of the folder; the others are keys."
            walk.problems.append(evolve(key.failure(), advice=advice))
    elif node in ("group", "plain") and not is_link:
        walk.waiting.append(path)
