"""Folders, and links in their place, that appear, are replaced and vanish whole, in one step each.

A folder is made as a hidden sibling (`.polystore-folder-*`) and moved into place. What it replaces
is exchanged for it, and removed as soon as nobody holds it. A link may always be replaced.

Locks only say who still works in a folder: they keep readers from having to begin again, and the
sweeper from a slow writer's folder. What is true does not rest on them: a folder that is not what
it should be may be one that was just replaced, and is being removed, so that who finds one looks
whether it still stands.

A `check` is given the descriptor of a folder, and raises `OSError` if it must stay where it is.
Everything here raises `OSError`.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import TypeAlias

from attrs import frozen

from polystore.backends.beneath import exchange, rename_new
from polystore.backends.heldfolder import (
    FOLDER,
    discard,
    discard_held,
    hidden_name,
    is_link,
    lock_new,
    pin,
    remove_hidden,
    stands,
    unpin,
)

__all__ = [
    "Check",
    "HiddenFolder",
    "hidden_folder",
    "look_at",
    "rename_folder_new",
    "settle_instead",
    "settle_link",
    "settle_new",
    "settle_over",
    "withdraw",
]

Check: TypeAlias = Callable[[int], None]
"""Raises `OSError` if the folder of a descriptor must stay where it is."""

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
    name = hidden_name()
    os.mkdir(name, dir_fd=parent)
    fd = -1
    try:
        fd = os.open(name, FOLDER, dir_fd=parent)
        lock_new(fd)
        yield HiddenFolder(name, fd)
    except BaseException:  # on Ctrl-C too, nothing is left behind
        if fd < 0 or stands(parent, name, fd):
            remove_hidden(parent, name)
        raise
    finally:
        if fd >= 0:
            os.close(fd)


def _let_go(hidden: HiddenFolder) -> None:
    """Let a finished folder go: who replaces it is to find that nobody holds it.

    It is as new as can be then, so that the sweeper leaves it; and to the nanosecond, which tells
    one generation from the next.
    """
    now = time.time_ns()
    os.utime(hidden.fd, ns=(now, now))
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
        rename_folder_new(parent, parent, (hidden, name))


def rename_folder_new(source: int, target: int, names: tuple[str, str]) -> None:
    """Do without `RENAME_NOREPLACE`: what comes between is replaced only if it is an empty folder.

    `FileExistsError` if the name is taken.
    """
    old, new = names
    with suppress(FileNotFoundError):
        os.stat(new, dir_fd=target, follow_symlinks=False)
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), new)
    try:
        os.rename(old, new, src_dir_fd=source, dst_dir_fd=target)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.ENOTDIR):
            raise
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), new) from error


def settle_instead(parent: int, hidden: HiddenFolder, name: str, check: Check) -> None:
    """Move a hidden folder into place, or exchange it for what has the name, which is removed.

    `EOPNOTSUPP` if the file system cannot exchange folders.
    """
    _let_go(hidden)
    _settle(parent, hidden.name, name, check)


def settle_over(parent: int, hidden: HiddenFolder, name: str, check: Check) -> bool:
    """Exchange a hidden folder for the one that has the name, and remove that.

    `False` if it was replaced at that moment; `FileNotFoundError` if nothing has the name.
    """
    _let_go(hidden)
    return _take_out(parent, name, check, lambda: _exchange(parent, hidden.name, name), hidden.name)


def settle_link(parent: int, text: str, name: str, check: Check) -> None:
    """Put a link into place, or exchange it for what has the name, which is removed."""
    hidden = hidden_name()
    os.symlink(text, hidden, dir_fd=parent)
    try:
        _settle(parent, hidden, name, check)
    except BaseException:  # on Ctrl-C too, nothing is left behind
        with suppress(FileNotFoundError):
            if is_link(parent, hidden):
                os.unlink(hidden, dir_fd=parent)
        raise


def _settle(parent: int, hidden: str, name: str, check: Check) -> None:
    def swap() -> None:
        _exchange(parent, hidden, name)

    for _ in range(_TURNS_MAX):
        with suppress(FileExistsError):
            return _move_new(parent, hidden, name)
        with suppress(FileNotFoundError):  # it was deleted meanwhile
            if _take_out(parent, name, check, swap, hidden):
                return None
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), name)


def withdraw(parent: int, name: str, check: Check) -> None:
    """Remove a folder or link; to others it goes in one step. `EXDEV` if it cannot be renamed."""
    hidden = hidden_name()

    def rename() -> None:
        os.rename(name, hidden, src_dir_fd=parent, dst_dir_fd=parent)

    for _ in range(_TURNS_MAX):
        if _take_out(parent, name, check, rename, hidden):
            return
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), name)


def _take_out(parent: int, name: str, check: Check, move: Callable[[], None], hidden: str) -> bool:
    """Move what has the name to the hidden name, and remove it; `False` if it was just replaced."""
    if is_link(parent, name):
        return _take_out_link(parent, name, move, hidden)
    there = os.open(name, FOLDER, dir_fd=parent)
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
        if may_go and not any(stands(parent, at, there) for at in (name, hidden)):
            discard_held(parent, there)
        os.close(there)
    discard(parent, hidden)
    return True


def _take_out_link(parent: int, name: str, move: Callable[[], None], hidden: str) -> bool:
    move()
    if is_link(parent, hidden):
        os.unlink(hidden, dir_fd=parent)
        return True
    _bring_back(parent, hidden, name)  # another thing came between the look and the move
    return False


def _passes(parent: int, name: str, folder: int, check: Check) -> bool:
    """Whether a folder may go; `False` if it fails only because it was replaced meanwhile."""
    try:
        check(folder)
    except OSError:
        if stands(parent, name, folder):
            raise
        return False
    return True


def _check_taken_out(parent: int, name: str, hidden: str, there: int, check: Check) -> None:
    """Bring back what came between the look and the move, if it must stay."""
    if stands(parent, hidden, there):
        return
    try:
        other = os.open(hidden, FOLDER, dir_fd=parent)
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
        there = os.open(name, FOLDER, dir_fd=parent)
        try:
            if _passes(parent, name, there, check):
                return
        finally:
            os.close(there)
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), name)
