"""Disk: files in a folder, each whole or not there at all.

A save writes a hidden sibling (`.polystore-*`) and moves it into place in one step. The sibling of a
killed process is never listed, and swept by a later listing.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from functools import partial

from attrs import evolve

from polystore.backends.beneath import folder_beneath, open_beneath, open_root, rename_new
from polystore.backends.oserrors import from_os
from polystore.configs import DiskConfig
from polystore.core.errors import NotAFile, NotFound, StorageError, not_found
from polystore.core.key import HIDDEN_PREFIX, Key, parse_key
from polystore.core.outcome import Failure, Outcome, Success, catch, guard, is_successful
from polystore.core.records import (
    ByteStore,
    Encoded,
    IfExists,
    Limits,
    Page,
    Reach,
    Readable,
    Stat,
)

__all__ = ["DISK"]

_FALLOCATE_FROM = 2**20  # bytes; below it, reserving the blocks costs more than it saves

SWEEP_AFTER_S = 3600
"""Seconds after which a hidden file that no process holds is taken for a killed writer's."""


def _get(config: DiskConfig, key: Key, /) -> Outcome[Readable]:
    return guard(
        lambda: _opened(config, key), catch(OSError, lambda error: _explained(error, key, config))
    )


def _opened(config: DiskConfig, key: Key) -> Readable:
    root = open_root(config.root)
    try:
        # Without O_NONBLOCK, opening a pipe would wait for its writer.
        fd = open_beneath(root, key, os.O_RDONLY | os.O_NONBLOCK)
    finally:
        os.close(root)
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        os.close(fd)
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), key)
    return Readable(status.st_size, partial(_read_into, fd), partial(os.close, fd))


def _read_into(fd: int, offset: int, buffer: memoryview, /) -> int:
    done = 0
    while done < len(buffer):
        count = os.preadv(fd, [buffer[done:]], offset + done)
        if count == 0:
            break
        done += count
    return done


def _explained(error: OSError, key: str, config: DiskConfig) -> StorageError:
    """Say more than the operating system does about a file that could not be read."""
    if error.errno == errno.ENOENT:
        return _absent(key, config)
    if error.errno == errno.EISDIR:
        names = _names(config, key)
        return NotAFile(
            key,
            config,
            f"{key!r} is a folder of {len(names)} files." if names else f"{key!r} is no file.",
            "Load its files one by one: pipeline.map(list_files(store, folder=...).unwrap()).",
        )
    return from_os(error, key, config)


def _absent(key: str, config: DiskConfig) -> NotFound:
    if not os.path.isdir(config.root):
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
    folder = key.rpartition("/")[0]
    below = f"{folder}/" if folder else ""
    return not_found(key, config, [below + name for name in _names(config, folder)])


def _names(config: DiskConfig, folder: str) -> list[str]:
    try:
        return os.listdir(os.path.join(config.root, folder))[:10_000]
    except OSError:
        return []


def _put(config: DiskConfig, key: Key, encoded: Encoded, if_exists: IfExists, /) -> Outcome[bool]:
    return guard(
        lambda: _written(config, key, encoded, if_exists),
        catch(OSError, lambda error: from_os(error, key, config)),
    )


def _written(config: DiskConfig, key: Key, encoded: Encoded, if_exists: IfExists) -> bool:
    """Write a file whole; `False` if it was there and is to be skipped. Raises `OSError`."""
    above, _, name = key.rpartition("/")
    folder = _folder(config.root, above)
    synced = config.durability == "fsync"
    try:
        if if_exists != "replace" and _exists(folder, name):
            return _not_written(if_exists, key)
        hidden = f"{HIDDEN_PREFIX}{os.urandom(8).hex()}"
        try:
            _write_hidden(folder, hidden, encoded, synced)
            _move_into_place(folder, hidden, name, if_exists)
        except BaseException as error:
            _unlink(folder, hidden)
            if isinstance(error, FileExistsError) and _exists(folder, name):
                return _not_written(if_exists, key)  # another writer was first
            raise
        if synced:
            _sync_folders(config.root, above)
        return True
    finally:
        os.close(folder)


def _folder(root: str, above: str) -> int:
    """Give a descriptor of the folder that a file goes to, making what is missing."""
    try:
        fd = open_root(root)
    except FileNotFoundError:
        os.makedirs(root, exist_ok=True)
        fd = open_root(root)
    if not above:
        return fd
    try:
        return folder_beneath(fd, above)
    finally:
        os.close(fd)


def _exists(folder: int, name: str) -> bool:
    """Whether a file has the name. Raises `IsADirectoryError` if a folder has it."""
    try:
        mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return False
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
    return True


def _not_written(if_exists: IfExists, key: str) -> bool:
    if if_exists == "skip":
        return False
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), key)


def _write_hidden(folder: int, hidden: str, encoded: Encoded, synced: bool) -> None:
    fd = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666, dir_fd=folder)
    try:
        _mark_as_held(fd)
        if encoded.nbytes >= _FALLOCATE_FROM:
            _reserve(fd, encoded.nbytes)
        for buffer in encoded.buffers:
            left = memoryview(buffer).cast("B")
            while left:
                left = left[os.write(fd, left) :]
        if synced:
            os.fsync(fd)
    finally:
        os.close(fd)


def _mark_as_held(fd: int) -> None:
    """Lock the hidden file while it is written: the sweeper takes only what nobody holds."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # some network file systems have no locks; the file's age protects it then
        pass


def _reserve(fd: int, nbytes: int) -> None:
    """Reserve the blocks: faster for large files, and a full disk shows before any is written."""
    try:
        os.posix_fallocate(fd, 0, nbytes)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
            raise


def _move_into_place(folder: int, hidden: str, name: str, if_exists: IfExists) -> None:
    if if_exists == "replace":
        os.rename(hidden, name, src_dir_fd=folder, dst_dir_fd=folder)
    else:
        rename_new(folder, hidden, name)


def _unlink(folder: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        pass


def _sync_folders(root: str, above: str) -> None:
    """Order the new name to the disk, and the names of folders that may be new."""
    path = os.path.join(root, above)
    while True:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
        if len(path) <= len(root):
            break
        path = os.path.dirname(path)


def _stat(config: DiskConfig, key: Key, /) -> Outcome[Stat]:
    return guard(
        lambda: _status(config, key), catch(OSError, lambda error: _explained(error, key, config))
    )


def _status(config: DiskConfig, key: Key) -> Stat:
    root = open_root(config.root)
    try:
        fd = open_beneath(root, key, getattr(os, "O_PATH", os.O_RDONLY | os.O_NONBLOCK))
    finally:
        os.close(root)
    try:
        found = os.fstat(fd)
    finally:
        os.close(fd)
    if stat.S_ISDIR(found.st_mode):
        return Stat("folder", None, found.st_mtime_ns)
    return Stat("file", found.st_size, found.st_mtime_ns)


def _list(config: DiskConfig, folder: str, /) -> Iterator[Outcome[Page]]:
    """Give one page a folder. Links to folders are not entered; links to files are keys."""
    try:
        root = open_root(config.root)
    except OSError as error:
        yield Failure(_explained(error, folder, config))
        return
    waiting = [folder]
    try:
        while waiting:
            current = waiting.pop()
            page = _page(root, current, waiting)
            yield page.alt(lambda error: evolve(error, config=config))
    finally:
        os.close(root)


def _page(root: int, folder: str, waiting: list[str]) -> Outcome[Page]:
    """Give the keys in one folder, and put the folders in it on the list of those to come."""
    keys: list[Key] = []
    below = f"{folder}/" if folder else ""
    try:
        fd = open_beneath(root, folder or ".", os.O_RDONLY | os.O_DIRECTORY)
        try:
            with os.scandir(fd) as entries:
                for entry in entries:
                    name = entry.name
                    if name.startswith(HIDDEN_PREFIX):
                        _sweep(fd, name)
                    elif entry.is_dir(follow_symlinks=False):
                        waiting.append(below + name)
                    elif entry.is_file(follow_symlinks=False) or _is_link_to_file(
                        root, below + name
                    ):
                        key = parse_key(below + name)
                        if not is_successful(key):
                            return Failure(key.failure())
                        keys.append(key.unwrap())
        finally:
            os.close(fd)
    except OSError as error:
        return Failure(from_os(error, folder, None))
    return Success(tuple(keys))


def _is_link_to_file(root: int, path: str) -> bool:
    try:
        fd = open_beneath(root, path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        return stat.S_ISREG(os.fstat(fd).st_mode)
    finally:
        os.close(fd)


def _sweep(folder: int, name: str) -> None:
    """Remove what a killed writer left: old, and held by no process."""
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    except OSError:
        return
    try:
        status = os.fstat(fd)
        if stat.S_ISREG(status.st_mode) and time.time() - status.st_mtime > SWEEP_AFTER_S:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(name, dir_fd=folder)
    except OSError:  # held by a writer, or not ours to remove
        pass
    finally:
        os.close(fd)


def _delete(config: DiskConfig, key: Key, /) -> Outcome[None]:
    return guard(
        lambda: _removed(config, key), catch(OSError, lambda error: _explained(error, key, config))
    )


def _removed(config: DiskConfig, key: Key) -> None:
    above, _, name = key.rpartition("/")
    root = open_root(config.root)
    try:
        folder = open_beneath(root, above or ".", os.O_RDONLY | os.O_DIRECTORY)
    finally:
        os.close(root)
    try:
        os.unlink(name, dir_fd=folder)
    finally:
        os.close(folder)


DISK: ByteStore[DiskConfig, DiskConfig] = ByteStore(
    name="disk",
    config=DiskConfig,
    reach=Reach.MACHINE,
    open=Success,
    close=lambda config: None,
    get=_get,
    put=_put,
    stat=_stat,
    list=_list,
    delete=_delete,
    limits=lambda config: Limits(config.max_bytes),
    root=lambda config: config.root,
)
"""The record of disk stores. Its handle is the config: a folder is opened anew for each call."""
