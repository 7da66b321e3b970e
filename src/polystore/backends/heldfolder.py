"""Hidden folders, who still holds one, and the removing of those that nobody holds.

Everything here raises `OSError` but what removes, which says whether it could.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import time
from contextlib import suppress

from polystore.backends.whole import SWEEP_AFTER_S
from polystore.core.key import HIDDEN_PREFIX

__all__ = [
    "FOLDER",
    "HIDDEN_FOLDER",
    "discard",
    "discard_held",
    "discard_left",
    "hidden_name",
    "is_link",
    "lock_new",
    "pin",
    "remove_hidden",
    "stands",
    "sweep_folder",
    "unpin",
]

HIDDEN_FOLDER = f"{HIDDEN_PREFIX}folder-"
"""How the name of a hidden folder begins."""

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
"""Flags to open a folder, and no link, to be read."""


def hidden_name() -> str:
    """Give a new name for a hidden folder or link."""
    return f"{HIDDEN_FOLDER}{os.urandom(8).hex()}"


def is_link(parent: int, name: str) -> bool:
    """Whether a name in a folder is a link's."""
    return stat.S_ISLNK(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)


def lock_new(folder: int) -> None:
    """Hold a folder that was just made, against the sweeper and all others."""
    _lock(folder, fcntl.LOCK_EX)


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


def stands(parent: int, name: str, folder: int) -> bool:
    """Whether a name still is that of an open folder."""
    try:
        there = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(there, os.fstat(folder))


def discard(parent: int, hidden: str) -> None:
    """Remove a hidden folder, or leave it to those that hold it."""
    with suppress(OSError):
        fd = os.open(hidden, FOLDER, dir_fd=parent)
        try:
            if _lock(fd, fcntl.LOCK_EX):
                remove_hidden(parent, hidden)
        finally:
            os.close(fd)


def discard_held(parent: int, folder: int) -> None:
    """Remove a replaced folder, unless another holds it, who then will.

    It is in the folder `parent`, or was put elsewhere by who deletes that one.
    """
    if not _lock(folder, fcntl.LOCK_EX):
        return
    inode = os.fstat(folder).st_ino
    with suppress(OSError):
        above = os.open("..", FOLDER, dir_fd=folder)
        try:
            for place in (parent, above):
                with os.scandir(place) as entries:
                    for entry in entries:
                        if entry.name.startswith(HIDDEN_FOLDER) and entry.inode() == inode:
                            remove_hidden(place, entry.name)
        finally:
            os.close(above)


def remove_hidden(parent: int, name: str) -> None:
    """Remove a hidden folder as far as it goes: what stays is invisible, and swept later.

    An empty one goes even where there are no descriptors left.
    """
    try:
        os.rmdir(name, dir_fd=parent)
    except OSError:
        shutil.rmtree(name, ignore_errors=True, dir_fd=parent)


def sweep_folder(parent: int, name: str) -> None:
    """Remove a hidden folder or link that a killed process left: old, and held by no process."""
    if not name.startswith(HIDDEN_FOLDER):
        return
    with suppress(OSError):
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if time.time() - status.st_mtime > SWEEP_AFTER_S:
            discard_left(parent, name)


def discard_left(parent: int, name: str, out: int | None = None) -> bool:
    """Remove a hidden folder or link, however old; `False` if a process holds it.

    One that is only read still goes to the folder `out`, if that is given, to be swept there. A
    writer that was about to move its own into place does not find it any more, and fails.
    """
    try:
        if is_link(parent, name):
            os.unlink(name, dir_fd=parent)
            return True
        fd = os.open(name, FOLDER, dir_fd=parent)
    except FileNotFoundError:
        return True
    try:
        free = _lock(fd, fcntl.LOCK_EX)
        if not free and (out is None or not _lock(fd, fcntl.LOCK_SH)):
            return False
        other = hidden_name()
        there = parent if free or out is None else out
        with suppress(FileNotFoundError):
            # Under another name first: what is removed part by part must not be moved into place.
            os.rename(name, other, src_dir_fd=parent, dst_dir_fd=there)
            # Who held it may have let go, and have looked for it under the name that it had.
            if free or _lock(fd, fcntl.LOCK_EX):
                remove_hidden(there, other)
    finally:
        os.close(fd)
    return True
