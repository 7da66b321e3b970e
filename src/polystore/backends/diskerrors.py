"""What the system says about the files of a disk store, in the words of the store."""

from __future__ import annotations

import errno
import os
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from polystore.backends.beneath import FOLDER, open_folder, open_key
from polystore.backends.oserrors import from_os
from polystore.core.errors import (
    AlreadyExists,
    NotAFile,
    NotFound,
    StorageError,
    Unavailable,
    UnsupportedOperation,
    not_found,
)
from polystore.core.key import HIDDEN_PREFIX, near_keys

if TYPE_CHECKING:
    from polystore.configs import DiskConfig

__all__ = ["undeleted", "unfound", "unlisted", "unmoved", "unread", "unwritten"]

_NAMES_MAX = 20_000  # names of a folder that an error's suggestion is worth


def unread(error: OSError, key: str, config: DiskConfig) -> StorageError:
    """Give the error for what could not be read."""
    if error.errno == errno.ENOENT:
        return _absent(key, config)
    if error.errno == errno.EISDIR:
        count = len(_names(config, key))
        return NotAFile(
            key,
            config,
            f"{key!r} is a folder of {count} {_files(count)}.",
            "Load its files one by one: pipeline.map(list_files(store, folder=...).unwrap()).",
        )
    return unfound(error, key, config)


def _files(count: int) -> str:
    return "file" if count == 1 else "files"


def unfound(error: OSError, key: str, config: DiskConfig) -> StorageError:
    """Give the error for what could not be asked for.

    It suggests no other key: what is only asked for is often missing, and looking takes long.
    """
    if error.errno not in (errno.ENOENT, errno.ENOTDIR):
        return from_os(error, key, config)
    if not Path(config.root).is_dir():
        missing = error.errno == errno.ENOENT
        return _no_root(key, config) if missing else from_os(error, key, config)
    file_above = error.errno == errno.ENOTDIR
    return NotFound(
        key,
        config,
        f"Nothing is stored under {key!r}{': a part of it is a file, not a folder' * file_above}.",
        "See list_files(store) for the keys there are.",
    )


def _no_root(key: str, config: DiskConfig) -> NotFound:
    return NotFound(
        key,
        config,
        f"The folder {config.root!r} does not exist.",
        "Check the root of the config; the first save makes it.",
    )


def _absent(key: str, config: DiskConfig) -> NotFound:
    if not Path(config.root).is_dir():
        return _no_root(key, config)
    link = _link(config, key)
    if link is not None:
        return NotFound(
            key,
            config,
            f"Nothing is stored under {key!r}: it is a link to {link!r}, which is not there.",
            "Save what it leads to, or replace or delete the link.",
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


def _link(config: DiskConfig, key: str) -> str | None:
    """Give where a link says that it leads; `None` if it is none."""
    above, _, name = key.rpartition("/")
    try:
        folder = open_key(config.root, above or ".", FOLDER, config.links_to)
    except OSError:
        return None
    try:
        return os.readlink(name, dir_fd=folder)
    except OSError:
        return None
    finally:
        os.close(folder)


def _names(config: DiskConfig, folder: str) -> list[str]:
    """Give the names in a folder, or as many as are worth looking at; none if it cannot be read."""
    try:
        fd = open_folder(config.root, folder, config.links_to)
    except OSError:
        return []
    try:
        with os.scandir(fd) as entries:
            names = (it.name for it in islice(entries, _NAMES_MAX))
            return [name for name in names if not name.startswith(HIDDEN_PREFIX)]
    finally:
        os.close(fd)


def unlisted(error: OSError, folder: str, config: DiskConfig) -> StorageError:
    """Give the error for a folder that could not be listed."""
    return (
        _absent(folder, config) if error.errno == errno.ENOENT else from_os(error, folder, config)
    )


def unwritten(error: OSError, key: str, config: DiskConfig) -> StorageError:
    """Give the error for what could not be saved."""
    if error.errno == errno.ENOENT:
        return Unavailable(
            key,
            config,
            f"A folder above {key!r} was removed meanwhile, or is a link that leads nowhere.",
            "Look at the folders above it, then save again.",
        )
    return from_os(error, key, config)


def undeleted(error: OSError, key: str, config: DiskConfig) -> StorageError:
    """Give the error for what could not be deleted."""
    if error.errno != errno.ENOTEMPTY:
        return unread(error, key, config)
    count = len(_names(config, key))
    if count == 0:
        return NotAFile(
            key,
            config,
            f"{key!r} is a folder that others write to at this moment.",
            "Try again when they have finished.",
        )
    return NotAFile(
        key,
        config,
        f"{key!r} is a folder of {count} {_files(count)}.",
        f"Delete it with all that is below it: delete_tree(store, {key!r}).",
    )


def unmoved(error: OSError, key: str, config: DiskConfig) -> StorageError:
    """Give the error for what could not be moved to a key."""
    if error.errno == errno.EEXIST:
        return AlreadyExists(
            key,
            config,
            f"{key!r} exists already.",
            'Move with if_exists="replace", or with "skip"; what a folder stands in the way of, or '
            "would replace, has to be deleted first.",
        )
    if error.errno == errno.EOPNOTSUPP:
        return UnsupportedOperation(
            key,
            config,
            f"The file system cannot move anything to {key!r} in one step: {error.strerror}.",
            "Copy it, then delete what was there.",
        )
    return unwritten(error, key, config)
