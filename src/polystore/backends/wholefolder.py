"""Folders that appear, are replaced and vanish whole, in one step each.

A folder is made as a hidden sibling (`.polystore-folder-*`) and moved into place. What it replaces
is exchanged for it, and removed as soon as nobody holds it. Locks only say who still works in a
folder: they keep readers from having to begin again, and the sweeper from a slow writer's folder.
What is true does not rest on them: a folder that is not what it should be may be one that was just
replaced, and is being removed, so that who finds one looks whether it still stands.

A `check` is given the descriptor of a folder, and raises `OSError` if it must stay where it is.
Everything here raises `OSError`.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import TypeAlias

from attrs import frozen

from polystore.backends.beneath import exchange, rename_new
from polystore.backends.whole import SWEEP_AFTER_S
from polystore.core.key import HIDDEN_PREFIX

__all__ = [
    "HIDDEN_FOLDER",
    "Check",
    "HiddenFolder",
    "discard_held",
    "hidden_folder",
    "look_at",
    "pin",
    "settle_instead",
    "settle_new",
    "sweep_folder",
    "unpin",
    "withdraw",
]

Check: TypeAlias = Callable[[int], None]
"""Raises `OSError` if the folder of a descriptor must stay where it is."""

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


@contextmanager
def hidden_folder(parent: int) -> Generator[HiddenFolder]:
    """Make a hidden folder, held against the sweeper; it is removed if the block fails."""
    name = _hidden_name()
    os.mkdir(name, dir_fd=parent)
    fd = -1
    try:
        fd = os.open(name, _FOLDER, dir_fd=parent)
        _lock(fd, fcntl.LOCK_EX)
        yield HiddenFolder(name, fd)
    except BaseException:  # on Ctrl-C too, nothing is left behind
        if fd < 0 or _stands(parent, name, fd):
            _remove(parent, name)
        raise
    finally:
        if fd >= 0:
            os.close(fd)


def _hidden_name() -> str:
    return f"{HIDDEN_FOLDER}{os.urandom(8).hex()}"


def _let_go(hidden: HiddenFolder) -> None:
    """Let a finished folder go: who replaces it is to find that nobody holds it.

    It is as new as can be then, so that the sweeper leaves it.
    """
    os.utime(hidden.fd)
    unpin(hidden.fd)


def settle_new(parent: int, hidden: HiddenFolder, name: str) -> None:
    """Move a hidden folder into place; `FileExistsError` if the name is taken."""
    _let_go(hidden)
    _move_new(parent, hidden.name, name)


def _move_new(parent: int, hidden: str, name: str) -> None:
    try:
        rename_new(parent, hidden, name)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        rename_onto_nothing(parent, hidden, name)


def rename_onto_nothing(parent: int, hidden: str, name: str) -> None:
    """Do without `RENAME_NOREPLACE`: a plain rename of a folder replaces only an empty folder."""
    try:
        os.rename(hidden, name, src_dir_fd=parent, dst_dir_fd=parent)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.ENOTDIR):
            raise
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name) from error


def settle_instead(parent: int, hidden: HiddenFolder, name: str, check: Check) -> None:
    """Move a hidden folder into place, or exchange it for what has the name, which is removed.

    `EOPNOTSUPP` if the file system cannot exchange folders.
    """
    _let_go(hidden)

    def swap() -> None:
        _exchange(parent, hidden.name, name)

    for _ in range(_TURNS_MAX):
        with suppress(FileExistsError):
            return _move_new(parent, hidden.name, name)
        with suppress(FileNotFoundError):  # it was deleted meanwhile
            if _take_out(parent, name, check, swap, hidden.name):
                return None
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), name)


def withdraw(parent: int, name: str, check: Check) -> None:
    """Remove a folder; to everybody else it goes in one step. `EXDEV` if it cannot be renamed."""
    hidden = _hidden_name()

    def rename() -> None:
        os.rename(name, hidden, src_dir_fd=parent, dst_dir_fd=parent)

    for _ in range(_TURNS_MAX):
        if _take_out(parent, name, check, rename, hidden):
            return
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), name)


def _take_out(parent: int, name: str, check: Check, move: Callable[[], None], hidden: str) -> bool:
    """Move what has the name to the hidden name, and remove it; `False` if it was just replaced."""
    there = os.open(name, _FOLDER, dir_fd=parent)
    may_go = False
    try:
        pin(there)
        may_go = _passes(parent, name, there, check)
        if not may_go:
            return False
        move()
        _check_taken_out(parent, name, hidden, there, check)
    finally:
        unpin(there)
        if may_go and not any(_stands(parent, at, there) for at in (name, hidden)):
            discard_held(parent, there)
        os.close(there)
    _discard(parent, hidden)
    return True


def _passes(parent: int, name: str, folder: int, check: Check) -> bool:
    """Whether a folder may go; `False` if it fails only because it was replaced meanwhile."""
    try:
        check(folder)
    except OSError:
        if _stands(parent, name, folder):
            raise
        return False
    return True


def _check_taken_out(parent: int, name: str, hidden: str, there: int, check: Check) -> None:
    """Bring back what came between the look and the move, if it must stay."""
    if _stands(parent, hidden, there):
        return
    try:
        other = os.open(hidden, _FOLDER, dir_fd=parent)
    except FileNotFoundError:  # its last reader has removed it, so it was none that must stay
        return
    try:
        if pin(other):
            check(other)
    except OSError:
        _bring_back(parent, hidden, name)
        raise
    finally:
        os.close(other)


def _bring_back(parent: int, hidden: str, name: str) -> None:
    try:
        exchange(parent, hidden, name)
    except FileNotFoundError:  # it was moved away, and not exchanged
        rename_new(parent, hidden, name)


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


def look_at(parent: int, name: str, check: Check) -> None:
    """Raise what `check` raises of the folder that has the name, whoever replaces it meanwhile."""
    for _ in range(_TURNS_MAX):
        there = os.open(name, _FOLDER, dir_fd=parent)
        try:
            if _passes(parent, name, there, check):
                return
        finally:
            os.close(there)
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), name)


def pin(folder: int) -> bool:
    """Hold a folder against removal until it is closed or unpinned; `False` if it is held."""
    return _lock(folder, fcntl.LOCK_SH)


def unpin(folder: int) -> None:
    """Let go of a folder. Who does so, and then finds it replaced, is to call `discard_held`."""
    _lock(folder, fcntl.LOCK_UN)


def _lock(folder: int, kind: int) -> bool:
    """Lock a folder at once, if that can be; `False` only if another holds it."""
    try:
        fcntl.flock(folder, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        pass
    return True


def _stands(parent: int, name: str, folder: int) -> bool:
    try:
        there = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(there, os.fstat(folder))


def _discard(parent: int, hidden: str) -> None:
    """Remove a hidden folder, or leave it to those that hold it."""
    with suppress(OSError):
        fd = os.open(hidden, _FOLDER, dir_fd=parent)
        try:
            if _lock(fd, fcntl.LOCK_EX):
                _remove(parent, hidden)
        finally:
            os.close(fd)


def discard_held(parent: int, folder: int) -> None:
    """Remove a replaced folder, unless another holds it, who then will."""
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
            _discard(parent, name)
