"""Reading a node from one generation of its folder; and holding one, to be read later."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

from polystore.backends.beneath import open_root
from polystore.backends.heldfolder import discard_held, pin, unpin
from polystore.backends.oserrors import from_os
from polystore.backends.refusals import absent_below, below_no_folder
from polystore.backends.zarr.folder.files import files_at
from polystore.backends.zarr.folder.node import (
    LINKS_MAX,
    TURNS_MAX,
    files_of_node,
    item_above,
    link_at,
    node_of,
    open_end,
    open_folder,
    open_real,
    stands_at,
)
from polystore.backends.zarr.kind import DOCUMENTS
from polystore.backends.zarr.tree import Files, Held, Seen
from polystore.configs import ZarrConfig
from polystore.core.errors import NotFound, StorageError, Unavailable
from polystore.core.key import HIDDEN_PREFIX, NEAR_AMONG
from polystore.core.outcome import Failure, Outcome, Success, and_then, catch, guard

__all__ = ["absent", "guarded", "hold", "inside_item", "link_of", "names_in", "read"]

T = TypeVar("T")


def read(config: ZarrConfig, key: str, look: Callable[[Files], Seen[T]]) -> Outcome[T]:
    """Give what `look` sees of the node of a key, all of it from one generation."""
    return guarded(lambda: _read_in_turns(config, key, look), key, config)


def _read_in_turns(config: ZarrConfig, key: str, look: Callable[[Files], Seen[T]]) -> Outcome[T]:
    root = open_root(config.root)
    try:
        for _ in range(TURNS_MAX):
            counted = _read_once(config, root, key, look)
            if counted is not None:
                return counted.outcome
    finally:
        os.close(root)
    return Failure(_replaced_again(config, key))


def _read_once(
    config: ZarrConfig, root: int, key: str, look: Callable[[Files], Seen[T]]
) -> Seen[T] | None:
    """Give what is seen; `None` if the node was replaced meanwhile, and something was missing."""
    real = key
    for _ in range(LINKS_MAX):
        folder, real = open_real(root, real)
        try:
            pin(folder)
            files, link = files_of_node(folder)
            has_document = files.open("zarr.json") is not None
            if link is not None:
                real = link
                continue
            inside = None if has_document else _inside(config, real, folder)
            seen = look(files) if inside is None else Seen[T](Failure(inside), complete=False)
            unpin(folder)
            stands = stands_at(root, real, folder)
            if not stands:
                _discard(folder)
            return seen if stands or seen.complete else None
        finally:
            os.close(folder)
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), key)


def _inside(config: ZarrConfig, key: str, folder: int) -> NotFound | None:
    """Give the error for a folder that is no node of its own, but a part of one."""
    return inside_item(config, key) if node_of(folder) == "plain" else None


def _replaced_again(config: ZarrConfig, key: str) -> Unavailable:
    return Unavailable(
        key,
        config,
        f"{key!r} was replaced {TURNS_MAX} times while it was read.",
        "Read it again when its writers pause.",
    )


def _discard(folder: int) -> None:
    """Remove a replaced folder, which may have been moved with the folder that it is in."""
    with suppress(OSError):
        parent = os.open("..", os.O_RDONLY | os.O_DIRECTORY, dir_fd=folder)
        try:
            discard_held(parent, folder)
        finally:
            os.close(parent)


def hold(config: ZarrConfig, key: str) -> Outcome[Held]:
    """Give the files of a node, which stay readable until they are closed.

    A process that is forked has the descriptor too, and may go on reading after this one has
    closed: the system lets go of the folder when both have. Whoever is the last removes it, if it
    was replaced; if that process just ends, a sweeper does.
    """
    return guarded(lambda: _held(config, key), key, config)


def _held(config: ZarrConfig, key: str) -> Outcome[Held]:
    root = open_root(config.root)
    try:
        for _ in range(TURNS_MAX):
            folder, real = open_end(root, key)
            held = [_Closing(folder, config.root, real)]
            kept = False
            try:
                _hold_images_above(config, root, real, held)
                pin(folder)
                kept = all(it.stands(root) for it in reversed(held))
                inside = _inside(config, real, folder)
                if kept and inside is not None:
                    kept = False
                    return Failure(inside)
                if kept:
                    return Success(Held(files_at(folder), partial(_close_all, held)))
            finally:
                if not kept:
                    _close_all(held)
    finally:
        os.close(root)
    return Failure(_replaced_again(config, key))


def _hold_images_above(config: ZarrConfig, root: int, path: str, held: list[_Closing]) -> None:
    """Hold the images that a node is a part of, too: who replaces one asks only for its lock."""
    parts = path.split("/")
    for depth in range(len(parts) - 1, 0, -1):
        above = "/".join(parts[:depth])
        folder = open_folder(root, above)
        image = False
        try:
            image = node_of(folder) == "image"
        finally:
            if not image:
                os.close(folder)
        if image:
            pin(folder)
            held.append(_Closing(folder, config.root, above))


def _close_all(held: list[_Closing]) -> None:
    for it in held:
        it.close()


class _Closing:
    """What closes a held folder, once, and removes it if it was replaced meanwhile."""

    __slots__ = ("_folder", "_path", "_root")

    def __init__(self, folder: int, root: str, path: str) -> None:
        self._folder = folder
        self._root = root
        self._path = path

    def stands(self, root: int) -> bool:
        """Whether the folder still is what it was opened as."""
        return stands_at(root, self._path, self._folder)

    def close(self) -> None:
        """Let go of the folder."""
        held, self._folder = self._folder, -1
        if held < 0:
            return
        again = -1
        try:
            # A lock belongs to an open folder, which forked processes share: unlocked, it would be
            # so for them too. Closed, it stays locked until they close it.
            with suppress(OSError):
                again = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=held)
            os.close(held)
            with suppress(OSError):
                root = open_root(self._root)
                try:
                    if again >= 0 and not stands_at(root, self._path, again):
                        _discard(again)
                finally:
                    os.close(root)
        finally:
            if again >= 0:
                os.close(again)


def inside_item(config: ZarrConfig, key: str) -> NotFound | None:
    """Give the error for a key that is a part of an array, such as the folder of its chunks."""
    root = open_root(config.root)
    try:
        above = item_above(root, key, config.layout)
    except OSError:
        return None
    finally:
        os.close(root)
    if above is None:
        return None
    item, node = above
    what = "an array" if node == "array" else "an image"
    return below_no_folder(key, config, f"{item!r} is {what}, not a folder")


def link_of(config: ZarrConfig, key: str) -> str | None:
    """Give where the link under a key says that it leads; `None` for what is no link."""
    with suppress(OSError):
        root = open_root(config.root)
        try:
            return link_at(root, key)
        finally:
            os.close(root)
    return None


def guarded(action: Callable[[], Outcome[T]], key: str, config: ZarrConfig) -> Outcome[T]:
    """Give the outcome of an action that reads; what the operating system raises is explained."""
    outcome = guard(action, catch(OSError, lambda error: _unread(error, key, config)))
    return and_then(outcome, lambda it: it)


def _unread(error: OSError, key: str, config: ZarrConfig) -> StorageError:
    if error.errno == errno.ENOENT:
        return absent(key, config)
    if error.errno == errno.ENOTDIR and key and Path(config.root).is_dir():
        what = "a part of it is a file, not an array or a folder"
        return below_no_folder(key, config, what)
    inside = inside_item(config, key) if error.errno == errno.EISDIR else None
    return inside or from_os(error, key, config)


def absent(key: str, config: ZarrConfig) -> NotFound:
    """Give the error for a key under which nothing is."""
    inside = inside_item(config, key) if Path(config.root).is_dir() else None
    if inside is not None:
        return inside
    link = link_of(config, key)
    if link is not None:
        return below_no_folder(key, config, f"it is a link to {link!r}, where nothing is")
    return absent_below(config.root, key, config, lambda it: _siblings(config, it))


def _siblings(config: ZarrConfig, folder: str) -> list[str]:
    with suppress(OSError):
        root = open_root(config.root)
        try:
            fd = open_folder(root, folder)
            try:
                return names_in(fd)
            finally:
                os.close(fd)
        finally:
            os.close(root)
    return []


def names_in(folder: int) -> list[str]:
    """Give the names in a folder that may be nodes, or as many as a hint is worth."""
    with os.scandir(folder) as entries:
        return [
            entry.name
            for entry in islice(entries, NEAR_AMONG)
            if not entry.name.startswith(HIDDEN_PREFIX) and entry.name not in DOCUMENTS
        ]
