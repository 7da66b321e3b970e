"""Zarr groups: the root of a store, and each folder on the way to a key."""

from __future__ import annotations

import errno
import json
import os
from contextlib import suppress

from polystore.backends.beneath import folder_beneath, open_root
from polystore.backends.whole import write_whole
from polystore.backends.zarr.node import (
    DOCUMENT,
    TURNS_MAX,
    Node,
    node_of,
    open_folder,
    stands_at,
)
from polystore.core.errors import Corrupt, NotADirectory, StorageError, UnsupportedOperation
from polystore.core.key import HIDDEN_PREFIX
from polystore.core.outcome import Failure, Outcome, Success, is_successful
from polystore.core.records import Encoded

__all__ = ["group_folder", "no_group", "of_version_2"]

_GROUP_TEXT = json.dumps({"zarr_format": 3, "node_type": "group", "attributes": {}}, indent=2)
_GROUP = Encoded((_GROUP_TEXT.encode(),), len(_GROUP_TEXT))


def group_folder(root: str, path: str, config: object) -> Outcome[int]:
    """Give a descriptor of the folder below the root, made a Zarr group like those on the way.

    What is missing is made, the root too. `NotADirectory` if an array, or a folder with other
    things in it, stands where a group is needed. The rest raises `OSError`.
    """
    parts = path.split("/") if path else []
    top = _root_folder(root)
    try:
        for depth in range(len(parts)):
            above = _as_group(top, "/".join(parts[:depth]), root, config)
            if not is_successful(above):
                return above
            os.close(above.unwrap())
        return _as_group(top, path, root, config)
    finally:
        os.close(top)


def _root_folder(root: str) -> int:
    with suppress(FileNotFoundError):
        return open_root(root)
    try:
        os.makedirs(root, exist_ok=True)
    except FileExistsError as error:  # a link that leads nowhere
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), root) from error
    return open_root(root)


def _as_group(top: int, path: str, root: str, config: object) -> Outcome[int]:
    """Give the folder at a path, made if it is missing, and a group if it is empty."""
    os.close(folder_beneath(top, path))
    for _ in range(TURNS_MAX):
        folder = open_folder(top, path)
        try:
            node = _made_group(folder)
            if node == "array" or stands_at(top, path, folder):
                if node == "group":
                    return Success(os.dup(folder))
                return Failure(no_group(node, path, root, config))
        finally:
            os.close(folder)
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), path)


def _made_group(folder: int) -> Node:
    node = node_of(folder)
    if node != "plain":
        return node
    if all(name.startswith(HIDDEN_PREFIX) for name in os.listdir(folder)):
        with suppress(FileNotFoundError):  # it is being removed
            write_whole(folder, DOCUMENT, _GROUP, replace=False, synced=False)
    return node_of(folder)  # another writer may just have made it a group


def no_group(node: Node, path: str, root: str, config: object) -> StorageError:
    """Give the error for a folder that is needed as a group, and is none."""
    about = repr(path) if path else f"The root {root!r}"
    other = "Choose a key that is not below it." if path else "Choose another root."
    match node:
        case "array":
            return NotADirectory(path, config, f"{about} is an array, not a folder.", other)
        case "version 2":
            return of_version_2(path, config, about)
        case "damaged":
            return Corrupt(
                path,
                config,
                f"{about} has a damaged {DOCUMENT}.",
                f"Mend it, or move it away; {other[0].lower()}{other[1:]}",
            )
        case _:
            return NotADirectory(
                path,
                config,
                f"{about} is a folder with other things in it, and no Zarr group.",
                f"{other} Or make it a group: zarr.open_group(path, mode='a').",
            )


def of_version_2(path: str, config: object, about: str) -> UnsupportedOperation:
    """Give the error for what is stored in Zarr's version 2."""
    return UnsupportedOperation(
        path,
        config,
        f"{about} is of Zarr's version 2, and this store reads and writes version 3.",
        "Convert it with zarr-python first, as in zarr.save_array(new, zarr.open_array(old)[:]).",
    )
