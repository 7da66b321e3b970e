"""Files and links written whole: first where nobody sees them, then under their name in one step.

Where the file system has files without a name (`O_TMPFILE`), content goes into one, and a killed
process leaves nothing behind. Elsewhere it goes into a hidden sibling, which `sweep` removes once
its writer is gone. Everything here raises `OSError`.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from polystore.backends.beneath import rename_new
from polystore.backends.filelock import LOCK_FILE, remove_locked
from polystore.backends.linux import fallocate, link_open
from polystore.core.key import HIDDEN_PREFIX

if TYPE_CHECKING:
    from polystore.core.records import Buffer, Encoded

__all__ = [
    "HIDDEN_FILE",
    "LARGE",
    "SWEEP_AFTER_S",
    "as_bytes",
    "link_whole",
    "remove_left",
    "reserve",
    "sweep",
    "write_sibling",
    "write_whole",
]

HIDDEN_FILE = f"{HIDDEN_PREFIX}new-"
"""How the name of a hidden sibling begins."""

LARGE = 2**20
"""Bytes. From here on, reserving the blocks saves more than it costs."""

SWEEP_AFTER_S = 3600
"""Seconds after which a hidden file that no process holds is taken for a killed writer's."""

# What kernels and file systems without files that have no name say.
_NO_UNNAMED = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOSYS)
# What those say that cannot reserve blocks.
_NO_RESERVING = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)
# linux/limits.h: at most 1024 buffers in one write (IOV_MAX); a few are all that pay.
_GATHERED_MAX = 16


def write_whole(folder: int, name: str, encoded: Encoded, *, replace: bool, synced: bool) -> bool:
    """Write a file into a folder; `False`, with nothing written, if the name was taken.

    With `replace` a file of that name is replaced. With `synced` the content is on the disk before
    it has its name; the folder is the caller's to sync.
    """
    fd = _open_unnamed(folder)
    if fd is None:
        return write_sibling(folder, name, encoded, replace=replace, synced=synced)
    try:
        _fill(fd, encoded, synced=synced)
        if _link(fd, folder, name):
            return True
        if not replace:
            return False
        # No system call names an open file over another: it takes a hidden name on the way.
        hidden = _hidden_name()
        _hold(fd)
        _link(fd, folder, hidden)
        return _move(folder, hidden, name, replace=True)
    finally:
        os.close(fd)


def write_sibling(folder: int, name: str, encoded: Encoded, *, replace: bool, synced: bool) -> bool:
    """Do what `write_whole` does on any file system: the content goes into a hidden sibling."""
    hidden = _hidden_name()
    fd = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=folder)
    try:
        try:
            _hold(fd)
            _fill(fd, encoded, synced=synced)
        finally:
            os.close(fd)  # a file system over a network may say only here that there is no room
    except BaseException:  # on Ctrl-C too, nothing is left behind
        _unlink(folder, hidden)
        raise
    return _move(folder, hidden, name, replace=replace)


def _open_unnamed(folder: int) -> int | None:
    if not _has_unnamed():
        return None
    try:
        return os.open(".", os.O_WRONLY | os.O_TMPFILE, 0o666, dir_fd=folder)
    except OSError as error:
        if error.errno == errno.EPERM and os.fstat(folder).st_nlink == 0:
            # What ext4 says of a folder that was removed since it was opened.
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)) from error
        if error.errno not in _NO_UNNAMED:
            raise
        return None


@cache
def _has_unnamed() -> bool:
    return hasattr(os, "O_TMPFILE") and Path("/proc/self/fd").exists()


def _link(fd: int, folder: int, name: str) -> bool:
    """Give an unnamed file its name; `False` if it is taken."""
    try:
        try:
            link_open(fd, folder, name)
        except FileNotFoundError:  # not allowed to in this way; the path below is open to all
            os.link(f"/proc/self/fd/{fd}", name, dst_dir_fd=folder, follow_symlinks=True)
    except FileExistsError:
        return False
    return True


def _hidden_name() -> str:
    return f"{HIDDEN_FILE}{os.urandom(8).hex()}"


def _hold(fd: int) -> None:
    """Lock the hidden file while it is written: the sweeper takes only what nobody holds."""
    with suppress(OSError):  # where there are no locks, its age protects it
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _fill(fd: int, encoded: Encoded, *, synced: bool) -> None:
    if encoded.nbytes >= LARGE:
        reserve(fd, encoded.nbytes)
    if not _gathered(fd, encoded):
        written = 0
        for buffer in encoded.buffers:
            left = as_bytes(buffer)
            written += left.nbytes
            while left:
                left = left[os.write(fd, left) :]
        if written != encoded.nbytes:
            raise ValueError(f"{written} bytes came where {encoded.nbytes} were announced")
    if synced:
        os.fsync(fd)


def _gathered(fd: int, encoded: Encoded) -> bool:
    """Try to write all in one system call; `False`, and back at the start, if it was not all."""
    buffers = encoded.buffers
    if encoded.nbytes >= LARGE or not isinstance(buffers, tuple) or len(buffers) > _GATHERED_MAX:
        return False
    try:
        if os.writev(fd, buffers) == encoded.nbytes:
            return True
    except (BufferError, TypeError, ValueError):  # a buffer with gaps: nothing was written
        return False
    os.lseek(fd, 0, os.SEEK_SET)
    return False


def as_bytes(buffer: Buffer) -> memoryview:
    """Give a buffer of any format as bytes, shared where it has no gaps."""
    view = memoryview(buffer)
    try:
        return view.cast("B") if view.nbytes else memoryview(b"")
    except (TypeError, ValueError):  # memory with gaps, or of a format that a view cannot cast
        return memoryview(view.tobytes())


def reserve(fd: int, nbytes: int) -> None:
    """Reserve the blocks: faster for large files, and a full disk shows before any is written."""
    try:
        fallocate(fd, nbytes)
    except OSError as error:
        if error.errno not in _NO_RESERVING:
            raise


def _move(folder: int, hidden: str, name: str, *, replace: bool) -> bool:
    """Move the hidden file to its name; `False`, and it is gone, if the name is taken."""
    try:
        if replace:
            os.rename(hidden, name, src_dir_fd=folder, dst_dir_fd=folder)
        else:
            rename_new(folder, hidden, name)
    except FileExistsError:
        _unlink(folder, hidden)
        return False
    except BaseException:  # on Ctrl-C too, nothing is left behind
        _unlink(folder, hidden)
        raise
    return True


def _unlink(folder: int, name: str) -> None:
    with suppress(OSError):  # the error that brought us here is the one to tell
        os.unlink(name, dir_fd=folder)


def link_whole(folder: int, name: str, text: str, *, replace: bool) -> bool:
    """Make a link in a folder; `False`, with nothing made, if the name was taken.

    With `replace` what has the name is replaced by it in one step.
    """
    try:
        try:
            os.symlink(text, name, dir_fd=folder)
        except FileExistsError:
            if not replace:
                return False
            hidden = _hidden_name()
            os.symlink(text, hidden, dir_fd=folder)
            return _move(folder, hidden, name, replace=True)
    except ValueError as error:  # a NUL, or what the file system's encoding cannot write
        raise OSError(errno.EINVAL, str(error), text) from error
    return True


def sweep(folder: int, name: str) -> None:
    """Remove a hidden file that a killed process left: old, and held by no process."""
    with suppress(OSError):  # gone already
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if time.time() - status.st_mtime > SWEEP_AFTER_S:
            remove_left(folder, name)


def remove_left(folder: int, name: str) -> bool:
    """Remove a hidden file, or an empty hidden folder, that no process holds; whether it is gone.

    How old it is must not matter to the caller: a writer holds its file only a moment after it has
    made it, and fails if it is removed before.
    """
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        ours = name.startswith((HIDDEN_FILE, LOCK_FILE))
        if ours and stat.S_ISLNK(status.st_mode):
            os.unlink(name, dir_fd=folder)
        elif stat.S_ISDIR(status.st_mode) or (ours and stat.S_ISREG(status.st_mode)):
            _remove_if_free(folder, name)
        else:
            return False
    except FileNotFoundError:
        return True
    except OSError:  # held, not empty, not ours to remove, or on a file system without locks
        return False
    return True


def _remove_if_free(folder: int, name: str) -> None:
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            os.rmdir(name, dir_fd=folder)
        else:
            remove_locked(folder, name, fd)
    finally:
        os.close(fd)
