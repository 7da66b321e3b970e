"""Disk: files in a folder, each whole or not there at all, and none outside of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, cast, get_args

from polystore.backends.beneath import open_key
from polystore.backends.disk.changes import delete, move
from polystore.backends.disk.errors import unlisted, unread
from polystore.backends.disk.listing import children, pages
from polystore.backends.disk.status import look, refuse_special
from polystore.backends.disk.writes import link, make_folder, put
from polystore.backends.filelock import file_lock
from polystore.configs import DiskConfig, Durability
from polystore.core.errors import InvalidSpec
from polystore.core.outcome import Failure, Outcome, Success
from polystore.core.records import ByteStore, Child, Limits, Page, Reach, Readable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from polystore.core.key import Key

__all__ = ["DISK"]

# Without O_NONBLOCK, opening a pipe would wait for its writer.
_READ = os.O_RDONLY | os.O_NONBLOCK


class _File:
    """An open file: what a `Readable` reads and closes. Also closed when nobody holds it."""

    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def read_into(self, offset: int, buffer: memoryview, /) -> int:
        done = 0
        while done < len(buffer):
            count = os.preadv(self._fd, [buffer[done:]], offset + done)
            if count == 0:
                break
            done += count
        return done

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    __del__ = close


def _get(config: DiskConfig, key: Key, /) -> Outcome[Readable]:
    try:
        file = _File(fd := open_key(config.root, key, _READ, config.links_to))
        found = os.fstat(fd)
        refuse_special(found, key)
    except OSError as error:
        return Failure(unread(error, key, config))
    return Success(Readable(found.st_size, file.read_into, file.close))


def _list(config: DiskConfig, folder: str, /) -> Iterator[Outcome[Page]]:
    return pages(config, folder, lambda error, at: unlisted(error, at, config))


def _children(config: DiskConfig, folder: str, /) -> Iterator[Outcome[tuple[Child, ...]]]:
    return children(config, folder, lambda error, at: unlisted(error, at, config))


def _lock(config: DiskConfig, key: Key, seconds: float, /) -> Outcome[AbstractContextManager[None]]:
    return file_lock(config.root, key, seconds, config)


def _open(config: DiskConfig, /) -> Outcome[DiskConfig]:
    if config.durability not in get_args(Durability):
        known = ", ".join(get_args(Durability))
        message = f"The durability {config.durability!r} is none of {known}."
        advice = "Choose one of them."
        return Failure(InvalidSpec("", config, message, advice, "disk.durability"))
    if not _all_on_disk(config.links_to):
        message = "What links_to names are not all stores on disk."
        advice = "Give configs: links_to=(DiskConfig(root=...),)."
        return Failure(InvalidSpec("", config, message, advice, "disk.links_to"))
    return Success(config)


def _all_on_disk(stores: object) -> bool:
    """Whether these are configs of disk stores: without a type checker, they may be anything."""
    return isinstance(stores, tuple) and all(
        isinstance(store, DiskConfig) for store in cast("tuple[object, ...]", stores)
    )


def _close(_config: DiskConfig, /) -> None:
    return None


def _limits(config: DiskConfig, /) -> Limits:
    return Limits(config.max_bytes)


def _root(config: DiskConfig, /) -> str:
    return config.root


DISK: ByteStore[DiskConfig, DiskConfig] = ByteStore(
    name="disk",
    config=DiskConfig,
    reach=Reach.MACHINE,
    open=_open,
    close=_close,
    get=_get,
    put=put,
    stat=look,
    list=_list,
    children=_children,
    make_folder=make_folder,
    delete=delete,
    move=move,
    link=link,
    lock=_lock,
    limits=_limits,
    root=_root,
)
"""The record of disk stores. Its handle is the config: a folder is opened anew for each call."""
