"""Whether a link would lead to itself, once it stood where it is to be moved."""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack

from polystore.backends.walk import FOLDER
from polystore.core.errors import InvalidKey

__all__ = ["circle", "to_itself"]

# What is said of a way that ends: nobody gets along it to what must stay.
_ENDS = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES, errno.ENAMETOOLONG)

# linux/namei.h: the most links that the kernel follows in one path (MAXSYMLINKS)
_LINKS_MAX = 40


def to_itself(old: str, new: str, link: str, config: object) -> InvalidKey:
    """Give the error for a link that was to replace what it leads to.

    >>> print(to_itself("l", "t", "t", None).message)
    'l' is a link to 't': it would lead to itself.
    """
    message = f"{old!r} is a link to {link!r}: it would lead to itself."
    advice = "Choose another key, or delete the link: what it leads to stays."
    return InvalidKey(new, config, message, advice)


def circle(source: int, target: int, names: tuple[str, str]) -> str | None:
    """Give the text of a link, if it leads to where it is to be moved, now or from there.

    The names are its own in the folder `source`, and the one to come in the folder `target`. `None`
    for one that leads elsewhere, and for one that is there already. Raises `OSError`.
    """
    old, new = names
    if old == new and os.path.samestat(os.fstat(source), os.fstat(target)):
        return None
    link = _link(source, old)
    if link is None:
        return None
    circles = any(_passes_through(folder, link, target, new) for folder in (source, target))
    return link if circles else None


def _passes_through(folder: int, text: str, target: int, name: str) -> bool:
    """Whether a link with that text, in a folder, leads to a name in another, or through it.

    All links on the way are followed, out of the root too: nothing is read but where they lead. Of
    a way that ends earlier, or in a circle, the answer is `False`.
    """
    waiting = _parts(text)
    links = 0
    with ExitStack() as opened:
        at = _entered(opened, "/", None) if text.startswith("/") else folder
        while waiting:
            part = waiting.pop()
            if part == name and os.path.samestat(os.fstat(at), os.fstat(target)):
                return True
            try:
                link = None if part == ".." else _link(at, part)
                if link is None:
                    at = _entered(opened, part, at) if waiting else at
                    continue
                if link.startswith("/"):
                    at = _entered(opened, "/", None)
            except OSError as error:
                if error.errno not in _ENDS:
                    raise
                return False
            links += 1
            if links > _LINKS_MAX:
                return False
            waiting.extend(_parts(link))
    return False


def _parts(path: str) -> list[str]:
    """Give the parts of a path that lead anywhere, the first one last."""
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]


def _entered(opened: ExitStack, path: str, folder: int | None) -> int:
    """Give a descriptor of a folder; one at a time is kept."""
    fd = os.open(path, FOLDER, dir_fd=folder)
    opened.close()
    opened.callback(os.close, fd)
    return fd


def _link(folder: int, name: str) -> str | None:
    try:
        return os.readlink(name, dir_fd=folder)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return None
