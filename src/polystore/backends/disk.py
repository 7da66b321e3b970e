"""Disk: files in a folder, each whole or not there at all, and none outside of it."""

from __future__ import annotations

import errno
import os
import stat
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from attrs import evolve

from polystore.backends.beneath import (
    LOOK,
    folder_beneath,
    open_beneath,
    open_key,
    open_root,
)
from polystore.backends.listing import pages
from polystore.backends.oserrors import from_os
from polystore.backends.whole import LARGE, write_whole
from polystore.configs import DiskConfig, Durability
from polystore.core.errors import (
    InvalidSpec,
    NotAFile,
    NotFound,
    StorageError,
    Unavailable,
    not_found,
)
from polystore.core.key import Key, near_keys
from polystore.core.outcome import Failure, Outcome, Success
from polystore.core.records import ByteStore, Encoded, IfExists, Limits, Page, Reach, Readable, Stat

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["DISK"]

_NAMES_MAX = 20_000  # names of a folder that an error's suggestion is worth


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
        return Failure(_unread(error, key, config))
    return Success(Readable(found.st_size, file.read_into, file.close))


def _refuse_special(found: os.stat_result, key: str) -> None:
    if not stat.S_ISREG(found.st_mode):
        code = errno.EISDIR if stat.S_ISDIR(found.st_mode) else errno.ENXIO
        raise OSError(code, os.strerror(code), key)


def _unread(error: OSError, key: str, config: DiskConfig) -> StorageError:
    """Say more than the operating system does about what could not be read."""
    if error.errno == errno.ENOENT:
        return _absent(key, config)
    if error.errno == errno.ENOTDIR and Path(config.root).is_dir():
        return NotFound(
            key,
            config,
            f"Nothing is stored under {key!r}: a part of it is a file, not a folder.",
            "See list_files(store) for the keys there are.",
        )
    if error.errno == errno.EISDIR:
        names = _names(config, key)
        return NotAFile(
            key,
            config,
            f"{key!r} is a folder of {len(names)} files.",
            "Load its files one by one: pipeline.map(list_files(store, folder=...).unwrap()).",
        )
    return from_os(error, key, config)


def _absent(key: str, config: DiskConfig) -> NotFound:
    if not Path(config.root).is_dir():
        return NotFound(
            key,
            config,
            f"The folder {config.root!r} does not exist.",
            "Check the root of the config; the first save makes it.",
        )
    first, _, rest = key.partition("/")
    if first == os.path.basename(config.root) and rest:
        return NotFound(
            key,
            config,
            f"Nothing is stored under {key!r}.",
            f"The root {config.root!r} is already in the key: did you mean {rest!r}?",
        )
    folder, slash, _ = key.rpartition("/")
    siblings = [folder + slash + name for name in _names(config, folder)]
    return not_found(key, config, near_keys(key, siblings))


def _names(config: DiskConfig, folder: str) -> list[str]:
    """Give the names in a folder, or as many as are worth looking at; none if it cannot be read."""
    try:
        fd = _open_folder(config.root, folder)
    except OSError:
        return []
    try:
        with os.scandir(fd) as entries:
            return [entry.name for entry in islice(entries, _NAMES_MAX)]
    finally:
        os.close(fd)


def _open_folder(root: str, folder: str) -> int:
    top = open_root(root)
    try:
        return open_beneath(top, folder or ".", os.O_RDONLY | os.O_DIRECTORY)
    finally:
        os.close(top)


def _put(config: DiskConfig, key: Key, encoded: Encoded, if_exists: IfExists, /) -> Outcome[bool]:
    try:
        return Success(_written(config, key, encoded, if_exists))
    except OSError as error:
        return Failure(_unwritten(error, key, config))


def _unwritten(error: OSError, key: str, config: DiskConfig) -> StorageError:
    if error.errno == errno.ENOENT:
        return Unavailable(
            key,
            config,
            f"A folder above {key!r} was removed meanwhile, or is a link that leads nowhere.",
            "Look at the folders above it, then save again.",
        )
    return from_os(error, key, config)


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
        _sync_folders(config.root, above)
    return True


def _folder_for_writing(config: DiskConfig, above: str) -> int:
    """Give a descriptor of the folder that a file goes to, making what is missing."""
    try:
        root = open_root(config.root)
    except FileNotFoundError:
        root = _make_root(config)
    if not above:
        return root
    try:
        return folder_beneath(root, above)
    finally:
        os.close(root)


def _make_root(config: DiskConfig) -> int:
    root = Path(config.root)
    missing = [folder for folder in (root, *root.parents) if not folder.exists()]
    try:
        root.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:  # a link that leads nowhere
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), config.root) from error
    if config.durability == "fsync":
        for folder in missing:
            _sync_folders(str(folder.parent), "")
    return open_root(config.root)


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


def _sync_folders(root: str, above: str) -> None:
    """Order a new name to the disk, and those of the folders above it, which may be new."""
    parts = above.split("/") if above else []
    for depth in range(len(parts), -1, -1):
        folder = _open_folder(root, "/".join(parts[:depth]))
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _stat(config: DiskConfig, key: Key, /) -> Outcome[Stat]:
    try:
        found = _status(config, key)
    except OSError as error:
        return Failure(_unread(error, key, config))
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
    def explained(error: OSError, key: str) -> StorageError:
        gone = error.errno == errno.ENOENT
        return _absent(key, config) if gone else from_os(error, key, config)

    for page in pages(config.root, folder, explained):
        yield page.alt(lambda error: evolve(error, config=config))


def _delete(config: DiskConfig, key: Key, /) -> Outcome[None]:
    above, _, name = key.rpartition("/")
    try:
        folder = _open_folder(config.root, above)
        try:
            os.unlink(name, dir_fd=folder)
            if config.durability == "fsync":
                os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        return Failure(_unread(error, key, config))
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
