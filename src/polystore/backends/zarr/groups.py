"""Zarr groups: the root of a store, and each folder on the way to a key."""

from __future__ import annotations

import errno
import json
import os
from contextlib import suppress

from polystore.backends.beneath import folder_beneath, make_root
from polystore.backends.whole import write_whole
from polystore.backends.zarr.node import (
    DOCUMENT,
    TURNS_MAX,
    Node,
    is_node_name,
    node_of,
    open_folder,
    stands_at,
)
from polystore.core.errors import (
    Corrupt,
    InvalidKey,
    NotADirectory,
    NotAFile,
    StorageError,
    UnsupportedOperation,
)
from polystore.core.key import HIDDEN_PREFIX
from polystore.core.outcome import Failure, Outcome, Success, is_successful
from polystore.core.records import Encoded

__all__ = ["group_folder", "no_group", "no_name", "not_ours", "of_version_2"]

_GROUP_TEXT = json.dumps({"zarr_format": 3, "node_type": "group", "attributes": {}}, indent=2)
_GROUP = Encoded((_GROUP_TEXT.encode(),), len(_GROUP_TEXT))


def group_folder(root: str, path: str, config: object) -> Outcome[int]:
    """Give a descriptor of the folder below the root, made a Zarr group like those on the way.

    What is missing is made, the root too. `NotADirectory` if an array, or a folder with other
    things in it, stands where a group is needed. The rest raises `OSError`.
    """
    parts = path.split("/") if path else []
    top = make_root(root)
    try:
        for depth in range(len(parts)):
            above = _as_group(top, "/".join(parts[:depth]), root, config)
            if not is_successful(above):
                return above
            os.close(above.unwrap())
        return _as_group(top, path, root, config)
    finally:
        os.close(top)


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


def no_name(key: str, config: object) -> InvalidKey | None:
    """Give the error for a key with a part that Zarr allows no node to have as its name."""
    part = next((part for part in key.split("/") if not is_node_name(part)), None)
    if part is None:
        return None
    return InvalidKey(
        key,
        config,
        f"{key!r} is no key of a Zarr store: Zarr reserves names such as {part!r}.",
        "Use a part that is not only dots, and does not begin with two underscores.",
    )


def not_ours(key: str, config: object, verb: str) -> NotAFile:
    """Give the error for a folder that is no Zarr node, and was to be deleted or moved."""
    return NotAFile(
        key,
        config,
        f"{key!r} is no Zarr node: a Zarr config does not {verb} a plain folder.",
        "Name its folder by a DiskConfig, and do it there.",
    )
