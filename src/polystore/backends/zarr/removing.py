"""Deleting an array, an empty group, or a link: to everybody else it goes in one step."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import suppress

from polystore.backends.beneath import open_root
from polystore.backends.heldfolder import FOLDER, HIDDEN_FOLDER, discard_left
from polystore.backends.refusals import folder_in_use
from polystore.backends.whole import remove_left, write_whole
from polystore.backends.wholefolder import Check, withdraw
from polystore.backends.zarr.groups import not_ours
from polystore.backends.zarr.node import (
    DOCUMENT,
    node_at,
    open_folder,
    read_document,
    refuse_all_but_arrays,
)
from polystore.backends.zarr.reading import ZarrFolder, guarded, inside_array
from polystore.configs import ZarrConfig
from polystore.core.key import HIDDEN_PREFIX, Key
from polystore.core.outcome import Failure, Outcome, Success
from polystore.core.records import Encoded

__all__ = ["delete_node", "remove", "remove_in_place"]


def delete_node(store: ZarrFolder, key: Key, /) -> Outcome[None]:
    """Remove an array, an empty group, or a link; nothing that is not Zarr's.

    What hidden files and folders dead writers left in a group counts as nothing. A group goes in
    two steps, between which it is an empty folder: killed there, it leaves one, which the next save
    below it makes a group again.
    """
    return guarded(lambda: _deleted(store.config, key), key, store.config)


def _deleted(config: ZarrConfig, key: Key) -> Outcome[None]:
    above, _, name = key.rpartition("/")
    root = open_root(config.root)
    try:
        parent = open_folder(root, above)
    finally:
        os.close(root)
    try:
        remove(parent, name, refuse_all_but_arrays)
    except IsADirectoryError:
        inside = inside_array(config, key)
        return _group_deleted(config, key, parent) if inside is None else Failure(inside)
    finally:
        os.close(parent)
    return Success(None)


def remove(parent: int, name: str, check: Check) -> None:
    """Remove an array or a link, in one step where the file system can."""
    try:
        withdraw(parent, name, check)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        remove_in_place(parent, name)


def remove_in_place(parent: int, name: str) -> None:
    """Do without a rename, which overlay file systems refuse for folders of their lower layer.

    The document goes first: nobody takes the rest for an array.
    """
    os.unlink(f"{name}/{DOCUMENT}", dir_fd=parent)
    shutil.rmtree(name, dir_fd=parent)


def _group_deleted(config: ZarrConfig, key: Key, parent: int) -> Outcome[None]:
    name = key.rpartition("/")[2]
    if node_at(parent, name) != "group":
        return Failure(not_ours(key, config, "remove"))
    group = os.open(name, FOLDER, dir_fd=parent)
    try:
        if _cleared(parent, group) and _removed_empty(parent, name, group):
            return Success(None)
        return Failure(folder_in_use(key, config, len(_others(group))))
    finally:
        os.close(group)


def _others(group: int) -> list[str]:
    return [it for it in os.listdir(group) if it != DOCUMENT and not it.startswith(HIDDEN_PREFIX)]


def _cleared(parent: int, group: int) -> bool:
    """Remove what dead writers left in a group, if nothing else is in it; whether that is so."""
    names = [] if _others(group) else os.listdir(group)
    return bool(names) and all(_is_gone(parent, group, name) for name in names if name != DOCUMENT)


def _is_gone(parent: int, group: int, name: str) -> bool:
    if name.startswith(HIDDEN_FOLDER):
        return discard_left(group, name, parent)
    return remove_left(group, name)


def _removed_empty(parent: int, name: str, group: int) -> bool:
    """Remove a group in which is only its document; `False` if something came into it meanwhile.

    Whoever adds something to a folder, or is about to, keeps it from being removed: the system
    removes none that has anything in it. Then it gets its document back.
    """
    document = read_document(group)
    if document is None:
        return False
    os.unlink(DOCUMENT, dir_fd=group)
    try:
        os.rmdir(name, dir_fd=parent)
    except BaseException as error:  # on Ctrl-C too, it stays a group
        with suppress(FileNotFoundError):  # it was removed after all
            write_whole(
                group, DOCUMENT, Encoded((document,), len(document)), replace=False, synced=False
            )
        if isinstance(error, OSError) and error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    return True
