"""Opening below a folder part by part, where the kernel cannot, or may not, do it in one step.

Here, too, links are followed that lead to the roots of other stores, which the kernel's
`RESOLVE_BENEATH` never does. Everything here raises `OSError`; a way out is `EXDEV`, as in the
kernel.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from polystore.configs import DiskConfig

__all__ = ["FOLDER", "O_PATH", "LinksTo", "open_root", "walk_beneath", "within"]

LinksTo = tuple["DiskConfig", ...]
"""The stores whose roots links may lead to; each says itself where its own links may lead."""

O_PATH: int = getattr(os, "O_PATH", 0)

FOLDER = os.O_DIRECTORY | O_PATH
"""Flags to open a folder for opening what is in it."""

# linux/namei.h: the most links that the kernel follows in one path (MAXSYMLINKS)
_LINKS_MAX = 40
_ATTEMPTS = 100


def open_root(path: str) -> int:
    """Give a descriptor of a folder; links in the path to it are followed."""
    try:
        return os.open(path, FOLDER)
    except ValueError as error:  # a NUL, or what the file system's encoding cannot write
        raise OSError(errno.EINVAL, str(error), path) from error


def walk_beneath(root: int, path: str, flags: int, links_to: LinksTo = ()) -> int:
    """Open what exists at a relative path below a folder, part by part, no link followed unread.

    A relative link is followed as long as it stays inside; an absolute one if its text begins with
    the root of one of `links_to`, as it is spelled there. From then on that is the root to stay in.
    """
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
                if last and flags & os.O_NOFOLLOW:
                    return os.open(part, flags, dir_fd=folders[-1])
                target = _step(part, folders[-1], flags if last else FOLDER)
                if isinstance(target, int):
                    if last:
                        return target
                    folders.append(target)
                    continue
                links += 1
                if links > _LINKS_MAX:
                    raise _said(errno.ELOOP, path)
                if target.startswith("/"):
                    store, target = _entered(target, links_to)
                    folders.append(open_root(store.root))
                    _close(folders[:-1])
                    del folders[:-1]
                    links_to = store.links_to
                waiting.extend(_parts(target))
        return os.open(".", flags, dir_fd=folders[-1])
    finally:
        _close(folders)


def _close(folders: list[int]) -> None:
    for folder in folders:
        os.close(folder)


def _entered(target: str, links_to: LinksTo) -> tuple[DiskConfig, str]:
    """Give the store that an absolute link leads into, and the path below its root."""
    found = [(store, rest) for store in links_to if (rest := within(target, store.root))]
    if not found:
        raise _said(errno.EXDEV, target)
    return min(found, key=lambda each: len(each[1]))


def within(path: str, root: str) -> str | None:
    """Give an absolute path relative to a root that it begins with, `.` for itself, or `None`.

    >>> within("/data//plate/./A01/", "/data/plate"), within("/data/plates", "/data/plate")
    ('A01/.', None)
    """
    parts, above = _plain_parts(path), _plain_parts(root)
    if parts[: len(above)] != above:
        return None
    asks_for_folder = path.endswith(("/", "/."))
    below = parts[len(above) :]
    return "/".join([*below, "."] if asks_for_folder or not below else below)


def _plain_parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


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


def _step(name: str, folder: int, flags: int) -> int | str:
    """Open what has a name in a folder, or give where it leads if it is a link.

    It may be one thing when it is looked at, and the other when it is opened or read: then again.
    """
    for _ in range(_ATTEMPTS):
        if _is_link(name, folder):
            try:
                return os.readlink(name, dir_fd=folder)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
            continue
        try:
            fd = os.open(name, flags | os.O_NOFOLLOW, dir_fd=folder)
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENOTDIR) or _is_no_way(name, folder):
                raise
            continue
        # Only O_PATH opens a link itself.
        if not (flags & O_PATH and stat.S_ISLNK(os.fstat(fd).st_mode)):
            return fd
        os.close(fd)
    raise _said(errno.EAGAIN, name)


def _is_no_way(name: str, folder: int) -> bool:
    """Whether what has the name is neither a link nor a folder: a way may be either by turns."""
    mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    return not (stat.S_ISLNK(mode) or stat.S_ISDIR(mode))


def _is_link(name: str, folder: int) -> bool:
    return stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
