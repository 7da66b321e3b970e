"""Files below a folder, opened so that no link and no swapped folder leads out of it.

On Linux the kernel keeps to that (`openat2` with `RESOLVE_BENEATH`); elsewhere a walk does, part by
part. Everything here raises `OSError`; a way out of the root is `EXDEV`, as in the kernel.
"""

from __future__ import annotations

import errno
import os
import stat
from functools import cache
from pathlib import Path

from polystore.backends.linux import RENAME_EXCHANGE, RENAME_NOREPLACE, openat2, renameat2

__all__ = [
    "LOOK",
    "exchange",
    "folder_beneath",
    "has_openat2",
    "link_new",
    "make_root",
    "open_beneath",
    "open_folder",
    "open_key",
    "open_root",
    "rename_new",
    "sync_folders",
    "walk_beneath",
]

_O_PATH: int = getattr(os, "O_PATH", 0)

LOOK = _O_PATH or os.O_RDONLY | os.O_NONBLOCK
"""Flags to open whatever it is for its status only, without waiting for it."""

_FOLDER = os.O_DIRECTORY | _O_PATH

# linux/namei.h: the most links that the kernel follows in one path (MAXSYMLINKS)
_LINKS_MAX = 40
# The kernel gives up with EAGAIN when something, anywhere, was renamed while it looked at a `..`.
_ATTEMPTS = 16


def open_root(path: str) -> int:
    """Give a descriptor of a folder; links in the path to it are followed."""
    try:
        return os.open(path, _FOLDER)
    except ValueError as error:  # a NUL, or what the file system's encoding cannot write
        raise OSError(errno.EINVAL, str(error), path) from error


def make_root(path: str, *, synced: bool = False) -> int:
    """Give a descriptor of a folder, which is made if it is missing, and those above it too.

    With `synced` the names of those that were made are on the disk.
    """
    try:
        return open_root(path)
    except FileNotFoundError:
        pass
    root = Path(path)
    missing = [folder for folder in (root, *root.parents) if not folder.exists()]
    try:
        root.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:  # a link that leads nowhere
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path) from error
    if synced:
        for folder in missing:
            sync_folders(str(folder.parent), "")
    return open_root(path)


def sync_folders(root: str, folder: str) -> None:
    """Order the names in a folder to the disk, and those in the folders above it, up to the root.

    The folders may be as new as what is in them.
    """
    parts = folder.split("/") if folder else []
    for depth in range(len(parts), -1, -1):
        fd = open_folder(root, "/".join(parts[:depth]))
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def open_folder(root: str, folder: str) -> int:
    """Give a descriptor, to be read, of a folder below the one of that path (`""` for itself)."""
    top = open_root(root)
    try:
        return open_beneath(top, folder or ".", os.O_RDONLY | os.O_DIRECTORY)
    finally:
        os.close(top)


def open_key(root: str, key: str, flags: int) -> int:
    """Open what stands under a key below the folder of that path, as `open_beneath` does.

    A key of one part that is no link cannot lead anywhere else: one system call does, not three.
    """
    # These two would make a link something else than a link (ELOOP).
    if "/" not in key and not flags & (_O_PATH | os.O_DIRECTORY):
        try:
            return os.open(f"{root}/{key}", flags | os.O_NOFOLLOW)
        except OSError as error:  # a link, or a root whose path is as long as paths may be
            if error.errno not in (errno.ELOOP, errno.ENAMETOOLONG):
                raise
        except ValueError:  # a path that is none: `open_root` says so
            pass
    folder = open_root(root)
    try:
        return open_beneath(folder, key, flags)
    finally:
        os.close(folder)


def open_beneath(root: int, path: str, flags: int) -> int:
    """Open what exists at a relative path below a folder; `EXDEV` if the path leads out of it.

    Links inside are followed as long as they stay inside; an absolute link never does.
    """
    if has_openat2():
        for _ in range(_ATTEMPTS):
            try:
                return openat2(root, path, flags | os.O_CLOEXEC)
            except BlockingIOError:
                continue
            except OSError as error:
                if error.errno != errno.ENAMETOOLONG:
                    raise
                break  # the whole may be too long for one call, and no part of it for the walk
    return walk_beneath(root, path, flags)


@cache
def has_openat2() -> bool:
    """Whether the kernel can open beneath a folder, and this process may ask it to."""
    root = os.open("/", _FOLDER)
    try:
        os.close(openat2(root, ".", _FOLDER | os.O_CLOEXEC))
    except OSError as error:  # an old kernel, or a sandbox that forbids the call
        if error.errno not in (errno.ENOSYS, errno.EPERM, errno.EACCES, errno.EINVAL):
            raise
        return False
    finally:
        os.close(root)
    return True


def walk_beneath(root: int, path: str, flags: int) -> int:
    """Do what `open_beneath` does without `openat2`: part by part, no link followed unread."""
    waiting = _parts(path)
    folders = [os.dup(root)]
    links = 0
    try:
        while waiting:
            part = waiting.pop()
            if part == "..":
                os.close(folders.pop())
                if not folders:
                    raise _said(errno.EXDEV, path)
            elif part != ".":
                last = not waiting
                target = None if last and flags & os.O_NOFOLLOW else _target(part, folders[-1])
                if target is not None:
                    links += 1
                    if links > _LINKS_MAX:
                        raise _said(errno.ELOOP, path)
                    waiting.extend(_parts(target))
                elif last:
                    return os.open(part, flags | os.O_NOFOLLOW, dir_fd=folders[-1])
                else:
                    folders.append(os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=folders[-1]))
        return os.open(".", flags, dir_fd=folders[-1])
    finally:
        for folder in folders:
            os.close(folder)


def _parts(path: str) -> list[str]:
    """Give the parts of a path, the first one last. A slash at the end asks for a folder: `.`."""
    if path.startswith("/"):
        raise _said(errno.EXDEV, path)
    if path == "":
        raise _said(errno.ENOENT, path)
    parts = [part for part in path.split("/") if part]
    return list(reversed([*parts, "."] if path.endswith("/") else parts))


def _said(code: int, path: str) -> OSError:
    return OSError(code, os.strerror(code), path)


def _target(name: str, folder: int) -> str | None:
    """Give where a link leads, `None` if it is no link."""
    if not stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
        return None
    return os.readlink(name, dir_fd=folder)


def folder_beneath(root: int, path: str) -> int:
    """Give a descriptor of a folder below another (`""` for itself), making what is missing."""
    if path == "":
        return os.dup(root)
    try:
        return open_beneath(root, path, _FOLDER)
    except FileNotFoundError:
        pass
    parts = path.split("/")
    for depth, name in enumerate(parts):
        _make_folder(root, "/".join(parts[:depth]) or ".", name)
    return open_beneath(root, path, _FOLDER)


def _make_folder(root: int, above: str, name: str) -> None:
    parent = open_beneath(root, above, _FOLDER)
    try:
        os.mkdir(name, dir_fd=parent)
    except FileExistsError:  # it was there, another writer made it, or it is a link
        pass
    finally:
        os.close(parent)


def rename_new(folder: int, old: str, new: str) -> None:
    """Rename within a folder in one step; `FileExistsError` if the new name is taken.

    Works for files everywhere that hard links do, for folders where the kernel can
    (`RENAME_NOREPLACE`); `EOPNOTSUPP` elsewhere.
    """
    try:
        renameat2(folder, old, new, RENAME_NOREPLACE)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS):
            raise
        link_new(folder, old, new)


def link_new(folder: int, old: str, new: str) -> None:
    """Do what `rename_new` does, for a file, without `renameat2`."""
    try:
        os.link(old, new, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    except OSError as error:
        # What link says of folders, and of file systems without hard links.
        if error.errno not in (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
        raise OSError(
            errno.EOPNOTSUPP, "this file system cannot save without replacing", new
        ) from error
    os.unlink(old, dir_fd=folder)


def exchange(folder: int, one: str, other: str) -> None:
    """Exchange two names within a folder in one step; `EINVAL` where the file system cannot."""
    renameat2(folder, one, other, RENAME_EXCHANGE)
