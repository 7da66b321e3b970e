"""What is made in a disk store: files, folders and links, each in one step."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from attrs import evolve

from polystore.backends.beneath import (
    FOLDER,
    folder_beneath,
    make_root,
    open_key,
    sync_folders,
)
from polystore.backends.disk.errors import unwritten
from polystore.backends.disk.links import text_of_link
from polystore.backends.disk.status import BROKEN, look, own_status, status
from polystore.backends.oserrors import exists_already
from polystore.backends.whole import LARGE, link_whole, write_whole
from polystore.core.outcome import Failure, Outcome, Success, is_successful

if TYPE_CHECKING:
    from polystore.configs import DiskConfig
    from polystore.core.key import Key
    from polystore.core.records import Encoded, IfExists, Place

__all__ = ["folder_for_writing", "link", "make_folder", "put"]

_BROKEN_LINK_ADVICE = 'A broken link is there: replace it with if_exists="replace", or delete it.'


def put(config: DiskConfig, key: Key, encoded: Encoded, if_exists: IfExists, /) -> Outcome[bool]:
    """Write a file whole; `False` if it was there and is to be skipped."""
    try:
        return Success(_written(config, key, encoded, if_exists))
    except OSError as error:
        if error.errno == errno.EEXIST and _is_broken_link(config, key):
            return Failure(evolve(exists_already(key, config), advice=_BROKEN_LINK_ADVICE))
        return Failure(unwritten(error, key, config))


def _is_broken_link(config: DiskConfig, key: Key) -> bool:
    found = look(config, key)
    return is_successful(found) and found.unwrap().kind == "broken link"


def _written(config: DiskConfig, key: Key, encoded: Encoded, if_exists: IfExists) -> bool:
    above, _, name = key.rpartition("/")
    synced = config.durability == "fsync"
    replace = if_exists == "replace"
    folder = folder_for_writing(config, above)
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


def folder_for_writing(config: DiskConfig, folder: str) -> int:
    """Give a descriptor of a folder (`""` for the root), making what is missing.

    Raises `OSError`; no link into another store is followed: only what is below the root changes.
    """
    root = make_root(config.root, synced=config.durability == "fsync")
    if not folder:
        return root
    try:
        return folder_beneath(root, folder)
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
        found = status(config, key)
    except OSError as error:
        # Removed since, or a broken link: it was in the way.
        if error.errno not in BROKEN:
            raise
    else:
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), key)
        if if_exists == "skip":
            return False
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), key)


def make_folder(config: DiskConfig, key: Key, /) -> Outcome[None]:
    """Make a folder and those above it; fine where it is there, in another store too."""
    try:
        os.close(open_key(config.root, key, FOLDER, config.links_to))
        return Success(None)
    except OSError:  # not there, and what else is wrong shows again
        pass
    try:
        os.close(folder_for_writing(config, key))
        if config.durability == "fsync":
            sync_folders(config.root, key)
    except OSError as error:
        if error.errno != errno.ENOTDIR and _is_link(config, key):  # one that leads to no file
            return Failure(exists_already(key, config))
        return Failure(unwritten(error, key, config))
    return Success(None)


def _is_link(config: DiskConfig, key: Key) -> bool:
    with suppress(OSError):
        return stat.S_ISLNK(own_status(config.root, key).st_mode)
    return False


def link(config: DiskConfig, key: Key, place: Place, if_exists: IfExists, /) -> Outcome[bool]:
    """Make a link to a place; `False` if something stands there and is to be skipped."""
    text = text_of_link(config, key, place)
    if not is_successful(text):
        return Failure(text.failure())
    try:
        return Success(_linked(config, key, text.unwrap(), if_exists))
    except OSError as error:
        return Failure(unwritten(error, key, config))


def _linked(config: DiskConfig, key: Key, text: str, if_exists: IfExists) -> bool:
    above, _, name = key.rpartition("/")
    folder = folder_for_writing(config, above)
    try:
        if not link_whole(folder, name, text, replace=if_exists == "replace"):
            if if_exists == "skip" and _is_link(config, key):
                return False  # wherever it leads: the next one to mirror a store skips it, too
            return _not_written(config, key, if_exists)
    finally:
        os.close(folder)
    if config.durability == "fsync":
        sync_folders(config.root, above)
    return True
