"""Folders that appear, are replaced and vanish whole, in one step each.

A folder is made as a hidden sibling (`.polystore-*`) and moved into place. What it replaces is
exchanged for it, and removed as soon as no reader holds it. Locks only say who still works in a
folder: they keep readers from having to begin again, and the sweeper from a slow writer's folder.
Nothing here relies on them for what is true, so that file systems without locks do too. Everything
raises `OSError`.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress

from attrs import frozen

from polystore.backends.beneath import exchange, open_beneath, rename_new
from polystore.backends.whole import SWEEP_AFTER_S
from polystore.core.key import HIDDEN_PREFIX

__all__ = [
    "HIDDEN_FOLDER",
    "HiddenFolder",
    "discard",
    "discard_held",
    "hidden_folder",
    "hidden_name",
    "pin",
    "settle_instead",
    "settle_new",
    "stands_at",
    "sweep_folder",
]

HIDDEN_FOLDER = f"{HIDDEN_PREFIX}folder-"
"""How the name of a hidden folder begins."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW

# Each turn that is lost means that another writer has won one.
_TURNS_MAX = 1000


@frozen
class HiddenFolder:
    """A folder that is being made: its name and a descriptor of it."""

    name: str
    fd: int


def hidden_name() -> str:
    """Give a new name that no key can have.

    >>> hidden_name().startswith(".polystore-")
    True
    """
    return f"{HIDDEN_FOLDER}{os.urandom(8).hex()}"


@contextmanager
def hidden_folder(parent: int) -> Generator[HiddenFolder]:
    """Make a hidden folder, held against the sweeper; it is removed if the block fails."""
    name = hidden_name()
    os.mkdir(name, dir_fd=parent)
    try:
        fd = os.open(name, _FOLDER, dir_fd=parent)
        try:
            _lock(fd, fcntl.LOCK_EX)
            yield HiddenFolder(name, fd)
        finally:
            os.close(fd)
    except BaseException:
        _remove(parent, name)
        raise


def settle_new(parent: int, hidden: str, name: str) -> None:
    """Move a hidden folder into place; `FileExistsError` if the name is taken."""
    try:
        rename_new(parent, hidden, name)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        _rename_onto_nothing(parent, hidden, name)


def _rename_onto_nothing(parent: int, hidden: str, name: str) -> None:
    """Do without `RENAME_NOREPLACE`: a rename of a folder replaces at most an empty folder."""
    try:
        os.rename(hidden, name, src_dir_fd=parent, dst_dir_fd=parent)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.ENOTDIR):
            raise
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name) from error


def settle_instead(parent: int, hidden: str, name: str, check: Callable[[int, str], None]) -> None:
    """Move a hidden folder into place, or exchange it for what has the name.

    The hidden name then holds what was replaced, for `discard`. `check(parent, name)` raises
    `OSError` if what stands there must stay. It is asked before and after: what came in between
    goes back. `EOPNOTSUPP` if the file system cannot exchange.
    """
    for _ in range(_TURNS_MAX):
        with suppress(FileExistsError):
            return settle_new(parent, hidden, name)
        try:
            check(parent, name)
            _exchange(parent, hidden, name)
        except FileNotFoundError:  # it was deleted meanwhile
            continue
        try:
            return check(parent, hidden)
        except OSError:
            _exchange(parent, hidden, name)
            raise
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), name)


def _exchange(parent: int, one: str, other: str) -> None:
    try:
        exchange(parent, one, other)
    except OSError as error:
        # EXDEV is an overlay file system's word for a folder of its lower layer.
        if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EXDEV):
            raise
        raise OSError(
            errno.EOPNOTSUPP, "this file system cannot replace a folder in one step", other
        ) from error


def pin(folder: int) -> None:
    """Hold a folder for reading, if that can be had at once, until its descriptor is closed."""
    _lock(folder, fcntl.LOCK_SH)


def _lock(folder: int, kind: int) -> bool:
    try:
        fcntl.flock(folder, kind | fcntl.LOCK_NB)
    except OSError:  # held by another, or a file system without locks
        return False
    return True


def stands_at(root: int, path: str, folder: int) -> bool:
    """Whether the path below the root still leads to this folder."""
    try:
        fd = open_beneath(root, path, _FOLDER & ~os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        return os.path.samestat(os.fstat(fd), os.fstat(folder))
    finally:
        os.close(fd)


def discard(parent: int, hidden: str) -> None:
    """Remove a hidden folder, or leave it to the readers that hold it, and to the sweeper."""
    with suppress(OSError):
        fd = os.open(hidden, _FOLDER, dir_fd=parent)
        try:
            if _lock(fd, fcntl.LOCK_EX):
                _remove(parent, hidden)
        finally:
            os.close(fd)


def discard_held(parent: int, folder: int) -> None:
    """Remove the replaced folder that a reader held, if it was the last one to hold it."""
    if not _lock(folder, fcntl.LOCK_EX):
        return
    inode = os.fstat(folder).st_ino
    with suppress(OSError), os.scandir(parent) as entries:
        for entry in entries:
            if entry.name.startswith(HIDDEN_FOLDER) and entry.inode() == inode:
                _remove(parent, entry.name)


def _remove(parent: int, name: str) -> None:
    """Remove a hidden folder as far as it goes: what stays is invisible, and swept later."""
    shutil.rmtree(name, ignore_errors=True, dir_fd=parent)


def sweep_folder(parent: int, name: str) -> None:
    """Remove a hidden folder that a killed process left: old, and held by no process."""
    if not name.startswith(HIDDEN_FOLDER):
        return
    with suppress(OSError):
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if time.time() - status.st_mtime > SWEEP_AFTER_S:
            discard(parent, name)
