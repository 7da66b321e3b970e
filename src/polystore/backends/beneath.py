"""Files below a folder, opened so that no link and no swapped folder leads out of it.

On Linux the kernel keeps to that (`openat2` with `RESOLVE_BENEATH`); elsewhere a walk does, part by
part. Everything here raises `OSError`; a way out of the root is `EXDEV`, as in the kernel.
"""

from __future__ import annotations

import errno
import os
from functools import cache
from pathlib import Path

from polystore.backends.linux import RENAME_EXCHANGE, RENAME_NOREPLACE, openat2, renameat2
from polystore.backends.walk import FOLDER, O_PATH, LinksTo, open_root, walk_beneath

__all__ = [
    "FOLDER",
    "LOOK",
    "LinksTo",
    "exchange",
    "folder_beneath",
    "has_openat2",
    "link_new",
    "make_root",
    "open_beneath",
    "open_folder",
    "open_key",
    "open_root",
    "read_link",
    "rename_new",
    "sync_folders",
]

LOOK = O_PATH or os.O_RDONLY | os.O_NONBLOCK
"""Flags to open whatever it is for its status only, without waiting for it."""

# The kernel gives up with EAGAIN when something, anywhere, was renamed while it looked at a `..`.
_ATTEMPTS = 16
_LONG = (errno.ENAMETOOLONG,)


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


def open_folder(root: str, folder: str, links_to: LinksTo = ()) -> int:
    """Give a descriptor, to be read, of a folder below the one of that path (`""` for itself)."""
    top = open_root(root)
    try:
        return open_beneath(top, folder or ".", os.O_RDONLY | os.O_DIRECTORY, links_to)
    finally:
        os.close(top)


def open_key(root: str, key: str, flags: int, links_to: LinksTo = ()) -> int:
    """Open what stands under a key below the folder of that path, as `open_beneath` does.

    A key of one part that is no link cannot lead anywhere else: one system call does, not three.
    """
    # These two would make a link something else than a link (ELOOP).
    if "/" not in key and not flags & (O_PATH | os.O_DIRECTORY):
        try:
            return os.open(f"{root}/{key}", flags | os.O_NOFOLLOW)
        except OSError as error:  # a link, or a root whose path is as long as paths may be
            if error.errno not in (errno.ELOOP, errno.ENAMETOOLONG):
                raise
        except ValueError:  # a path that is none: `open_root` says so
            pass
    folder = open_root(root)
    try:
        return open_beneath(folder, key, flags, links_to)
    finally:
        os.close(folder)


def read_link(root: str, key: str, links_to: LinksTo = ()) -> str | None:
    """Give where a link says that it leads; `None` for what is none."""
    above, _, name = key.rpartition("/")
    folder = open_key(root, above or ".", FOLDER, links_to)
    try:
        return os.readlink(name, dir_fd=folder)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return None
    finally:
        os.close(folder)


def open_beneath(root: int, path: str, flags: int, links_to: LinksTo = ()) -> int:
    """Open what exists at a relative path below a folder; `EXDEV` if the path leads out of it.

    Links inside are followed as long as they stay inside; an absolute link only into the root of
    one of `links_to`.
    """
    if has_openat2():
        for _ in range(_ATTEMPTS):
            try:
                return openat2(root, path, flags | os.O_CLOEXEC)
            except BlockingIOError:
                continue
            except OSError as error:
                # Too long may be the whole, and no part of it.
                if error.errno not in ((errno.EXDEV, *_LONG) if links_to else _LONG):
                    raise
                break
    return walk_beneath(root, path, flags, links_to)


@cache
def has_openat2() -> bool:
    """Whether the kernel can open beneath a folder, and this process may ask it to."""
    root = os.open("/", FOLDER)
    try:
        os.close(openat2(root, ".", FOLDER | os.O_CLOEXEC))
    except OSError as error:  # an old kernel, or a sandbox that forbids the call
        if error.errno not in (errno.ENOSYS, errno.EPERM, errno.EACCES, errno.EINVAL):
            raise
        return False
    finally:
        os.close(root)
    return True


def folder_beneath(root: int, path: str) -> int:
    """Give a descriptor of a folder below another (`""` for itself), making what is missing."""
    if path == "":
        return os.dup(root)
    try:
        return open_beneath(root, path, FOLDER)
    except FileNotFoundError:
        pass
    parts = path.split("/")
    for depth, name in enumerate(parts):
        _make_folder(root, "/".join(parts[:depth]) or ".", name)
    return open_beneath(root, path, FOLDER)


def _make_folder(root: int, above: str, name: str) -> None:
    parent = open_beneath(root, above, FOLDER)
    try:
        os.mkdir(name, dir_fd=parent)
    except FileExistsError:  # it was there, another writer made it, or it is a link
        pass
    finally:
        os.close(parent)


def rename_new(folder: int, old: str, new: str, into: int | None = None) -> None:
    """Rename in one step, within a folder or `into` another; `FileExistsError` if it is taken.

    Works for files everywhere that hard links do, for folders where the kernel can
    (`RENAME_NOREPLACE`); `EOPNOTSUPP` elsewhere.
    """
    try:
        renameat2(folder, old, new, RENAME_NOREPLACE, into)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS):
            raise
        link_new(folder, old, new, into)


def link_new(folder: int, old: str, new: str, into: int | None = None) -> None:
    """Do what `rename_new` does, for a file, without `renameat2`; for a moment it has both."""
    target = folder if into is None else into
    try:
        os.link(old, new, src_dir_fd=folder, dst_dir_fd=target, follow_symlinks=False)
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
