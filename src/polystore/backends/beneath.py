"""Files below a folder, opened so that no link and no swapped folder leads out of it.

On Linux the kernel keeps to that (`openat2` with `RESOLVE_BENEATH`); elsewhere a walk does, one checked
part at a time. Everything here raises `OSError`; a way out of the root is `EXDEV`, as in the kernel.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from functools import cache

__all__ = [
    "exchange",
    "folder_beneath",
    "open_beneath",
    "open_root",
    "rename_new",
    "walk_beneath",
]

_FOLDER = os.O_DIRECTORY | os.O_CLOEXEC | getattr(os, "O_PATH", os.O_RDONLY)

# linux/openat2.h; the number of the system call is the same on every architecture.
_SYS_OPENAT2 = 437
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_BENEATH = 0x08
# linux/fs.h
_RENAME_NOREPLACE = 1
_RENAME_EXCHANGE = 2
# linux/limits.h allows 40 links in one path (MAXSYMLINKS)
_LINKS_MAX = 40


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


@cache
def _has_openat2() -> bool:
    if not hasattr(os, "O_PATH"):
        return False
    try:
        os.close(_openat2(os.open("/", _FOLDER), ".", _FOLDER))
    except OSError:  # an old kernel, or a sandbox that forbids the call
        return False
    return True


def _openat2(folder: int, path: str, flags: int) -> int:
    how = _OpenHow(flags, 0, _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS)
    size = ctypes.sizeof(how)
    fd: int = _libc().syscall(_SYS_OPENAT2, folder, os.fsencode(path), ctypes.byref(how), size)
    if fd < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), path)
    return fd


def open_root(path: str) -> int:
    """Give a descriptor of a folder; links in the path to it are followed."""
    return os.open(path, _FOLDER)


def open_beneath(root: int, path: str, flags: int) -> int:
    """Open what exists at a relative path below a folder; `EXDEV` if the path leads out of it.

    Links inside are followed as long as they stay inside; an absolute link never does.
    """
    if _has_openat2():
        return _openat2(root, path, flags | os.O_CLOEXEC)
    return walk_beneath(root, path, flags)


def walk_beneath(root: int, path: str, flags: int) -> int:
    """Do what `open_beneath` does without `openat2`: one part at a time, no link followed unread."""
    parts = [part for part in reversed(path.split("/")) if part not in ("", ".")]
    folders = [os.dup(root)]
    links = 0
    try:
        while parts:
            part = parts.pop()
            if part == "..":
                os.close(folders.pop())
                if not folders:
                    raise _way_out(path)
                continue
            target = _link_target(part, folders[-1])
            if target is not None:
                links += 1
                if target.startswith("/"):
                    raise _way_out(path)
                if links > _LINKS_MAX:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
                parts.extend(p for p in reversed(target.split("/")) if p not in ("", "."))
            elif parts:
                folders.append(os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=folders[-1]))
            else:
                return os.open(part, flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folders[-1])
        return os.open(".", flags | os.O_CLOEXEC, dir_fd=folders[-1])
    finally:
        for folder in folders:
            os.close(folder)


def _way_out(path: str) -> OSError:
    return OSError(errno.EXDEV, os.strerror(errno.EXDEV), path)


def _link_target(name: str, folder: int) -> str | None:
    if not stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
        return None
    return os.readlink(name, dir_fd=folder)


def folder_beneath(root: int, path: str) -> int:
    """Give a descriptor of a folder below another, making the folders that are missing."""
    if path == "":
        return os.dup(root)
    try:
        return open_beneath(root, path, _FOLDER)
    except FileNotFoundError:
        pass
    above, _, name = path.rpartition("/")
    parent = folder_beneath(root, above)
    try:
        os.mkdir(name, dir_fd=parent)
    except FileExistsError:  # another writer made it, or a link stands there
        pass
    finally:
        os.close(parent)
    return open_beneath(root, path, _FOLDER)


def rename_new(folder: int, old: str, new: str) -> None:
    """Rename within a folder in one step; `FileExistsError` if the new name is taken.

    Works for files everywhere that hard links do, for folders where the kernel can
    (`RENAME_NOREPLACE`); `EOPNOTSUPP` elsewhere.
    """
    try:
        _renameat2(folder, old, new, _RENAME_NOREPLACE)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS):
            raise
        _link_new(folder, old, new)


def _link_new(folder: int, old: str, new: str) -> None:
    try:
        os.link(old, new, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    except PermissionError as error:  # what link says of folders, and of file systems without it
        raise OSError(
            errno.EOPNOTSUPP, "this file system cannot save without replacing", new
        ) from error
    os.unlink(old, dir_fd=folder)


def exchange(folder: int, one: str, other: str) -> None:
    """Exchange two names within a folder in one step; `EINVAL` where the file system cannot."""
    _renameat2(folder, one, other, _RENAME_EXCHANGE)


def _renameat2(folder: int, old: str, new: str, flags: int) -> None:
    call = getattr(_libc(), "renameat2", None)
    if call is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), new)
    if call(folder, os.fsencode(old), folder, os.fsencode(new), flags) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), new)
