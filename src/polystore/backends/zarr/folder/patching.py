"""Replacing some files of a node: all of them in one step to every reader.

New files are made where nobody sees them, without a lock, so that many writers encode at once. Then
one writer at a time holds the lock of the node, looks whether what it has read still is what is
there, and puts its files into place: one file by its name; several as a new generation, of second
names for all files that stay, which is exchanged for the old one. Who comes too late does its work
again, this time with the lock.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TypeAlias

from attrs import evolve, frozen

from polystore.backends.beneath import LOOK, folder_beneath, open_beneath, open_root
from polystore.backends.heldfolder import (
    FOLDER,
    discard_held,
    is_link,
    pin,
    remove_hidden,
    stands,
    unpin,
)
from polystore.backends.wholefolder import HiddenFolder, hidden_folder, settle_over
from polystore.backends.zarr.folder.building import unwritten
from polystore.backends.zarr.folder.cloning import clone
from polystore.backends.zarr.folder.files import files_at, new_files
from polystore.backends.zarr.folder.locking import node_lock
from polystore.backends.zarr.folder.node import TURNS_MAX, open_end, open_folder
from polystore.backends.zarr.folder.reading import absent, inside_item
from polystore.backends.zarr.tree import Files
from polystore.configs import ZarrConfig
from polystore.core.errors import NotAFile
from polystore.core.key import Key
from polystore.core.outcome import Failure, Outcome, Success, and_then, catch, guard, is_successful
from polystore.core.records import Readable

__all__ = ["patch"]

Change = Callable[[Files, Files], Outcome[None]]
"""Creates files in the second node, reading what it needs of the first."""

_Token: TypeAlias = tuple[int, int, int] | None
"""What tells a file from what it is replaced by: `None` where there is no file."""


@frozen
class _Node:
    """A node's folder, the one that it is in, and its name there."""

    key: Key
    config: ZarrConfig
    parent: int
    name: str
    folder: int


def patch(config: ZarrConfig, key: Key, change: Change) -> Outcome[None]:
    """Replace some files of a node by those that `change` creates; `NotFound` where none is."""
    done = and_then(
        guard(
            lambda: _patched(config, key, change),
            catch(OSError, lambda error: unwritten(error, key, config)),
        ),
        lambda done: done,
    )
    if is_successful(done) or not isinstance(done.failure(), NotAFile):
        return done
    inside = inside_item(config, key)
    return done if inside is None else Failure(inside)


def _patched(config: ZarrConfig, key: Key, change: Change) -> Outcome[None]:
    for turn in range(TURNS_MAX):
        try:
            with _node_of(config, key) as node:
                done = _in_parallel(node, change) if turn == 0 else _alone(node, change)
        except FileNotFoundError:
            if _is_there(config, key):  # another generation of it
                continue
            return Failure(absent(key, config))
        if done is not None:
            return done
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), key)


def _is_there(config: ZarrConfig, key: Key) -> bool:
    try:
        with _node_of(config, key):
            return True
    except FileNotFoundError:
        return False


@contextmanager
def _node_of(config: ZarrConfig, key: Key) -> Generator[_Node]:
    """Give the folder of a key, held against removal, and where it really is."""
    with ExitStack() as opened:
        root = open_root(config.root)
        opened.callback(os.close, root)
        folder, real = open_end(root, key)
        opened.callback(os.close, folder)
        pin(folder)
        above, _, name = real.rpartition("/")
        parent = open_folder(root, above)
        opened.callback(os.close, parent)
        if is_link(parent, name):
            parent = os.open("..", os.O_RDONLY | os.O_DIRECTORY, dir_fd=folder)
            opened.callback(os.close, parent)
            name = _name_in(parent, folder)
        opened.callback(_let_go, parent, name, folder)
        yield _Node(key, config, parent, name, folder)


def _let_go(parent: int, name: str, folder: int) -> None:
    unpin(folder)
    if not stands(parent, name, folder):
        discard_held(parent, folder)


def _name_in(parent: int, folder: int) -> str:
    own = os.fstat(folder)
    with os.scandir(parent) as entries:
        for entry in entries:
            if entry.inode() == own.st_ino:
                return entry.name
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))


def _lock(node: _Node) -> Outcome[AbstractContextManager[None]]:
    return node_lock(node.parent, node.name, node.key, node.config)


def _in_parallel(node: _Node, change: Change) -> Outcome[None] | None:
    """Make the files, then lock; `None` if what was read is not there any more."""
    with hidden_folder(node.parent) as hidden:
        read: dict[str, _Token] = {}
        made = _made(node, change, hidden, read)
        if not is_successful(made) or not made.unwrap():
            return _given_up(node, hidden, made)
        lock = _lock(node)
        if not is_successful(lock):
            return _given_up(node, hidden, Failure(lock.failure()))
        with lock.unwrap():
            return _committed(node, hidden, made.unwrap(), read)


def _alone(node: _Node, change: Change) -> Outcome[None] | None:
    """Lock, then make the files."""
    lock = _lock(node)
    if not is_successful(lock):
        return Failure(lock.failure())
    with lock.unwrap(), hidden_folder(node.parent) as hidden:
        read: dict[str, _Token] = {}
        made = _made(node, change, hidden, read)
        if not is_successful(made) or not made.unwrap():
            return _given_up(node, hidden, made)
        return _committed(node, hidden, made.unwrap(), read)


def _given_up(
    node: _Node, hidden: HiddenFolder, made: Outcome[tuple[str, ...]]
) -> Outcome[None] | None:
    """Give the failure, or that there was nothing to do; `None` if an old generation was read."""
    remove_hidden(node.parent, hidden.name)
    if is_successful(made) or stands(node.parent, node.name, node.folder):
        return made.map(lambda _: None)
    return None


def _made(
    node: _Node, change: Change, hidden: HiddenFolder, read: dict[str, _Token]
) -> Outcome[tuple[str, ...]]:
    """Give the paths of the files that were made; `read` gets what was read to make them."""
    old = files_at(node.folder)

    def opened(path: str) -> Readable | None:
        read.setdefault(path, _token(node.folder, path))
        return old.open(path)

    with new_files(hidden.fd) as new:
        done = change(evolve(old, open=opened), new)
    return done.map(lambda _: tuple(files_at(hidden.fd).names()))


def _token(folder: int, path: str) -> _Token:
    try:
        fd = open_beneath(folder, path, LOOK)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        status = os.fstat(fd)
        return status.st_ino, status.st_mtime_ns, status.st_size
    finally:
        os.close(fd)


def _committed(
    node: _Node, hidden: HiddenFolder, paths: tuple[str, ...], read: dict[str, _Token]
) -> Outcome[None] | None:
    """Put new files into place; `None` if what was read is not there any more."""
    current = os.open(node.name, FOLDER, dir_fd=node.parent)
    try:
        done = False
        if all(_token(current, path) == token for path, token in read.items()):
            if len(paths) == 1:
                _put(current, hidden, paths[0])
                remove_hidden(node.parent, hidden.name)
                return Success(None)
            done = _put_all(node, current, hidden)
    finally:
        os.close(current)
    if not done:
        remove_hidden(node.parent, hidden.name)
    return Success(None) if done else None


def _put(current: int, hidden: HiddenFolder, path: str) -> None:
    """Put one file into place, and let the folder tell that it changed."""
    above, _, name = path.rpartition("/")
    into = folder_beneath(current, above)
    try:
        _touch(current)
        os.rename(path, name, src_dir_fd=hidden.fd, dst_dir_fd=into)
        _touch(current)
    finally:
        os.close(into)


def _touch(folder: int) -> None:
    now = time.time_ns()
    os.utime(folder, ns=(now, now))


def _put_all(node: _Node, current: int, hidden: HiddenFolder) -> bool:
    clone(current, hidden.fd)

    def refuse_others(folder: int) -> None:
        if not os.path.samestat(os.fstat(folder), os.fstat(current)):
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN), node.name)

    try:
        return settle_over(node.parent, hidden, node.name, refuse_others)
    except BlockingIOError:  # it was replaced by another
        return False
