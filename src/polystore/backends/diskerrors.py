"""What the system says about the files of a disk store, in the words of the store."""

from __future__ import annotations

import errno
import os
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from polystore.backends.beneath import open_folder
from polystore.backends.oserrors import from_os
from polystore.core.errors import NotAFile, NotFound, StorageError, Unavailable, not_found
from polystore.core.key import near_keys

if TYPE_CHECKING:
    from polystore.configs import DiskConfig

__all__ = ["unlisted", "unread", "unwritten"]

_NAMES_MAX = 20_000  # names of a folder that an error's suggestion is worth


def unread(error: OSError, key: str, config: DiskConfig) -> StorageError:
    """Give the error for what could not be read, asked for or removed."""
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
        fd = open_folder(config.root, folder)
    except OSError:
        return []
    try:
        with os.scandir(fd) as entries:
            return [entry.name for entry in islice(entries, _NAMES_MAX)]
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
