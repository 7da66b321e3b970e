"""Deleting an item, an empty group, or a link: to everybody else it goes in one step."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress

from attrs import evolve

from polystore.backends.beneath import open_root
from polystore.backends.heldfolder import FOLDER, HIDDEN_FOLDER, discard_left
from polystore.backends.refusals import folder_in_use
from polystore.backends.whole import remove_left, write_whole
from polystore.backends.wholefolder import Check, withdraw
from polystore.backends.zarr.folder.files import read_all
from polystore.backends.zarr.folder.groups import not_ours, part_of
from polystore.backends.zarr.folder.node import (
    DOCUMENT_MAX,
    item_above,
    node_at,
    open_parent,
)
from polystore.backends.zarr.folder.reading import guarded, inside_item
from polystore.backends.zarr.folder.staying import refuse_what_stays
from polystore.backends.zarr.kind import DOCUMENTS
from polystore.configs import ZarrConfig, ZarrLayout
from polystore.core.errors import StorageError
from polystore.core.key import HIDDEN_PREFIX, Key
from polystore.core.outcome import Failure, Outcome, Success
from polystore.core.records import Encoded

__all__ = ["delete_node", "part_of_image", "remove", "remove_in_place"]


def delete_node(config: ZarrConfig, key: Key) -> Outcome[None]:
    """Remove an item, an empty group, or a link; nothing that is not Zarr's, nor parts of images.

    What hidden files and folders dead writers left in a group counts as nothing. A group goes in
    two steps, between which it is an empty folder: killed there, it leaves one, which the next save
    below it makes a group again.
    """
    return guarded(lambda: _deleted(config, key), key, config)


def _deleted(config: ZarrConfig, key: Key) -> Outcome[None]:
    name = key.rpartition("/")[2]
    root = open_root(config.root)
    try:
        parent, real = open_parent(root, key)
        refused = part_of_image(config, root, real, "delete")
    finally:
        os.close(root)
    try:
        if refused is not None:
            return Failure(evolve(refused, key=key))
        remove(parent, name, refuse_what_stays(config.layout))
    except IsADirectoryError:
        inside = inside_item(config, key)
        return _group_deleted(config, key, parent) if inside is None else Failure(inside)
    finally:
        os.close(parent)
    return Success(None)


def part_of_image(config: ZarrConfig, root: int, key: str, verb: str) -> StorageError | None:
    """Say why a node goes only with the image that it is a part of; `None` if it is no part."""
    if config.layout is ZarrLayout.ARRAY or "/" not in key:
        return None
    try:
        above = item_above(root, key, config.layout)
        if above is None or above[1] != "image":
            return None
        node_at(root, key)
    except OSError:  # what is not there is said where it is looked for
        return None
    return part_of(key, config, above[0], verb)


def remove(parent: int, name: str, check: Check) -> None:
    """Remove an item or a link, in one step where the file system can."""
    try:
        withdraw(parent, name, check)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        remove_in_place(parent, name)


def remove_in_place(parent: int, name: str) -> None:
    """Do without a rename, which overlay file systems refuse for folders of their lower layer.

    The documents go first: nobody takes the rest for a node.
    """
    for document in DOCUMENTS:
        with suppress(FileNotFoundError):
            os.unlink(f"{name}/{document}", dir_fd=parent)
    shutil.rmtree(name, dir_fd=parent)


def _group_deleted(config: ZarrConfig, key: Key, parent: int) -> Outcome[None]:
    name = key.rpartition("/")[2]
    if node_at(parent, name) in ("plain", "damaged"):
        return Failure(not_ours(key, config, "remove"))
    group = os.open(name, FOLDER, dir_fd=parent)
    try:
        if _cleared(parent, group) and _removed_empty(parent, name, group):
            return Success(None)
        return Failure(folder_in_use(key, config, len(_others(group))))
    finally:
        os.close(group)


def _others(group: int) -> list[str]:
    """Give the names in a group, but those of its documents: a pipe is none."""
    with os.scandir(group) as entries:
        return [
            entry.name
            for entry in entries
            if not entry.name.startswith(HIDDEN_PREFIX)
            and not (entry.name in DOCUMENTS and entry.is_file())
        ]


def _cleared(parent: int, group: int) -> bool:
    """Remove what dead writers left in a group, if nothing else is in it; whether that is so."""
    names = [] if _others(group) else os.listdir(group)
    return bool(names) and all(
        _is_gone(parent, group, name) for name in names if name not in DOCUMENTS
    )


def _is_gone(parent: int, group: int, name: str) -> bool:
    if name.startswith(HIDDEN_FOLDER):
        return discard_left(group, name, parent)
    return remove_left(group, name)


def _removed_empty(parent: int, name: str, group: int) -> bool:
    """Remove a group in which are only its documents; `False` if something came into it meanwhile.

    Whoever adds something to a folder, or is about to, keeps it from being removed: the system
    removes none that has anything in it. Then it gets its documents back.
    """
    contents = {it: read_all(group, it, DOCUMENT_MAX) for it in DOCUMENTS}
    documents = {it: text for it, text in contents.items() if text is not None}
    if not documents:
        return False
    try:
        for document in documents:
            os.unlink(document, dir_fd=group)
        os.rmdir(name, dir_fd=parent)
    except BaseException as error:  # on Ctrl-C too, it stays a group
        _bring_back(group, documents)
        if isinstance(error, OSError) and error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    return True


def _bring_back(group: int, documents: Mapping[str, bytes]) -> None:
    with suppress(FileNotFoundError):  # it was removed after all
        for name, text in documents.items():
            write_whole(group, name, Encoded((text,), len(text)), replace=False, synced=False)
