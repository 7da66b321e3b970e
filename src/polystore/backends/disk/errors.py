"""What the system says about the files of a disk store, in the words of the store."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING

from polystore.backends.beneath import FOLDER, LinksTo, open_folder, open_key, read_link
from polystore.backends.oserrors import from_os
from polystore.backends.refusals import (
    above_removed,
    absent_below,
    below_no_folder,
    folder_in_use,
    in_the_way,
    no_file,
)
from polystore.core.errors import (
    InvalidKey,
    NotFound,
    StorageError,
    UnsupportedOperation,
)
from polystore.core.key import HIDDEN_PREFIX

if TYPE_CHECKING:
    from polystore.configs import DiskConfig

__all__ = ["undeleted", "unfound", "unlisted", "unmoved", "unread", "unwritten"]

_SEE = "See list_files(store) for the keys there are."

_NAMES_MAX = 20_000  # names of a folder that an error's suggestion is worth


def unread(error: OSError, key: str, config: DiskConfig) -> StorageError:
    """Give the error for what could not be read."""
    if error.errno == errno.ENOENT:
        return _absent(key, config)
    if error.errno == errno.EISDIR:
        return no_file(key, config, len(_names(config, key)))
    return unfound(error, key, config)


def unfound(error: OSError, key: str, config: DiskConfig) -> StorageError:
    """Give the error for what could not be asked for.

    It suggests no other key: what is only asked for is often missing, and looking takes long.
    """
    if error.errno not in (errno.ENOENT, errno.ENOTDIR):
        return from_os(error, key, config)
    if os.path.isdir(config.root):
        if error.errno == errno.ENOTDIR:
            return below_no_folder(key, config, "a part of it is a file, not a folder")
        return NotFound(key, config, f"Nothing is stored under {key!r}.", _SEE)
    if error.errno == errno.ENOTDIR:
        return from_os(error, key, config)
    return absent_below(config.root, key, config, lambda _: ())


def _absent(key: str, config: DiskConfig) -> NotFound:
    link = None
    with suppress(OSError):
        link = read_link(config.root, key, config.links_to)
    if link is None:
        return absent_below(config.root, key, config, lambda folder: _names(config, folder))
    return NotFound(
        key,
        config,
        f"Nothing is stored under {key!r}: it is a link to {link!r}, which is not there.",
        "Save what it leads to, or replace or delete the link.",
    )


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
        return above_removed(key, config)
    return _in_another(error, key, config) or from_os(error, key, config)


def undeleted(error: OSError, key: str, config: DiskConfig) -> StorageError:
    """Give the error for what could not be deleted, or moved away."""
    if error.errno == errno.ENOTEMPTY:
        return folder_in_use(key, config, len(_names(config, key)))
    return _in_another(error, key, config) or unread(error, key, config)


def _in_another(error: OSError, key: str, config: DiskConfig) -> InvalidKey | None:
    """Give the error for a change of what is in another store, by way of a link that may be read.

    `None` for all else.
    """
    if error.errno != errno.EXDEV:
        return None
    parts = key.split("/")
    folders = ("/".join(parts[:depth]) for depth in range(1, len(parts) + 1))
    out = next((folder for folder in folders if not _opens(config, folder, ())), key)
    if not _opens(config, out, config.links_to):
        return None
    message = f"{key!r} leads through the link {out!r} into another store, which can only be read."
    return InvalidKey(key, config, message, "Change it in that store itself, by its own config.")


def _opens(config: DiskConfig, folder: str, links_to: LinksTo) -> bool:
    try:
        os.close(open_key(config.root, folder, FOLDER, links_to))
    except OSError:
        return False
    return True


def unmoved(error: OSError, key: str, config: DiskConfig) -> StorageError:
    """Give the error for what could not be moved to a key."""
    if error.errno == errno.EEXIST:
        return in_the_way(key, config, is_folder=False)
    if error.errno == errno.EISDIR:
        return in_the_way(key, config, is_folder=True)
    if error.errno == errno.EOPNOTSUPP:
        return UnsupportedOperation(
            key,
            config,
            f"The file system cannot move anything to {key!r} in one step: {error.strerror}.",
            "Copy it, then delete what was there.",
        )
    return unwritten(error, key, config)
