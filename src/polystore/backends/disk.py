"""Disk: files in a folder, each whole or not there at all, and none outside of it."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, get_args

from attrs import evolve

from polystore.backends.beneath import (
    LOOK,
    folder_beneath,
    make_root,
    open_folder,
    open_key,
    sync_folders,
)
from polystore.backends.diskerrors import unlisted, unread, unwritten
from polystore.backends.listing import pages
from polystore.backends.whole import LARGE, write_whole
from polystore.configs import DiskConfig, Durability
from polystore.core.errors import InvalidSpec, StorageError
from polystore.core.key import Key
from polystore.core.outcome import Failure, Outcome, Success
from polystore.core.records import ByteStore, Encoded, IfExists, Limits, Page, Reach, Readable, Stat

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["DISK"]


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
        # Without O_NONBLOCK, opening a pipe would wait for its writer.
        file = _File(fd := open_key(config.root, key, os.O_RDONLY | os.O_NONBLOCK))
        found = os.fstat(fd)
        _refuse_special(found, key)
    except OSError as error:
        return Failure(unread(error, key, config))
    return Success(Readable(found.st_size, file.read_into, file.close))


def _refuse_special(found: os.stat_result, key: str) -> None:
    if not stat.S_ISREG(found.st_mode):
        code = errno.EISDIR if stat.S_ISDIR(found.st_mode) else errno.ENXIO
        raise OSError(code, os.strerror(code), key)


def _put(config: DiskConfig, key: Key, encoded: Encoded, if_exists: IfExists, /) -> Outcome[bool]:
    try:
        return Success(_written(config, key, encoded, if_exists))
    except OSError as error:
        return Failure(unwritten(error, key, config))


def _written(config: DiskConfig, key: Key, encoded: Encoded, if_exists: IfExists) -> bool:
    """Write a file whole; `False` if it was there and is to be skipped. Raises `OSError`."""
    above, _, name = key.rpartition("/")
    synced = config.durability == "fsync"
    replace = if_exists == "replace"
    folder = _folder_for_writing(config, above)
    try:
        # A small file is written sooner than it is asked for.
        taken = not replace and encoded.nbytes >= LARGE and _has(folder, name)
        if taken or not write_whole(folder, name, encoded, replace=replace, synced=synced):
            return _not_written(config, key, if_exists)
    finally:
        os.close(folder)
    if synced:
        sync_folders(config.root, above)
    return True


def _folder_for_writing(config: DiskConfig, above: str) -> int:
    """Give a descriptor of the folder that a file goes to, making what is missing."""
    root = make_root(config.root, synced=config.durability == "fsync")
    if not above:
        return root
    try:
        return folder_beneath(root, above)
    finally:
        os.close(root)


def _has(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _not_written(config: DiskConfig, key: Key, if_exists: IfExists) -> bool:
    """Give `False` for what was there to be skipped; raise what stands in the way otherwise."""
    try:
        found = _status(config, key)
    except FileNotFoundError:  # removed since, or a link that leads nowhere: it was in the way
        pass
    else:
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), key)
        if if_exists == "skip":
            return False
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), key)


def _stat(config: DiskConfig, key: Key, /) -> Outcome[Stat]:
    try:
        found = _status(config, key)
    except OSError as error:
        return Failure(unread(error, key, config))
    if stat.S_ISDIR(found.st_mode):
        return Success(Stat("folder", None, found.st_mtime_ns))
    return Success(Stat("file", found.st_size, found.st_mtime_ns))


def _status(config: DiskConfig, key: Key) -> os.stat_result:
    """Give the status of a file or folder. Raises `OSError`, for what is neither too."""
    fd = open_key(config.root, key, LOOK)
    try:
        found = os.fstat(fd)
    finally:
        os.close(fd)
    if not stat.S_ISDIR(found.st_mode):
        _refuse_special(found, key)
    return found


def _list(config: DiskConfig, folder: str, /) -> Iterator[Outcome[Page]]:
    def explained(error: OSError, at: str) -> StorageError:
        return unlisted(error, at, config)

    for page in pages(config.root, folder, explained):
        yield page.alt(lambda error: evolve(error, config=config))


def _delete(config: DiskConfig, key: Key, /) -> Outcome[None]:
    above, _, name = key.rpartition("/")
    try:
        folder = open_folder(config.root, above)
        try:
            os.unlink(name, dir_fd=folder)
            if config.durability == "fsync":
                os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        return Failure(unread(error, key, config))
    return Success(None)


def _open(config: DiskConfig, /) -> Outcome[DiskConfig]:
    if config.durability in get_args(Durability):
        return Success(config)
    return Failure(
        InvalidSpec(
            "",
            config,
            f"The durability {config.durability!r} is none of {', '.join(get_args(Durability))}.",
            "Choose one of them.",
            "disk.durability",
        )
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
    put=_put,
    stat=_stat,
    list=_list,
    delete=_delete,
    limits=_limits,
    root=_root,
)
"""The record of disk stores. Its handle is the config: a folder is opened anew for each call."""
