"""Zarr groups: the root of a store, and each folder on the way to a key."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import Literal

from attrs import frozen

from polystore.backends.beneath import folder_beneath, make_root, open_root
from polystore.backends.whole import write_whole
from polystore.backends.zarr.elements.documents import document_bytes, group_documents
from polystore.backends.zarr.folder.node import (
    DOCUMENT,
    LINKS_MAX,
    TURNS_MAX,
    Found,
    Node,
    found_in,
    is_whole,
    open_folder,
    stands_at,
)
from polystore.backends.zarr.kind import LABELS, is_node_name, may_hold, writes_format
from polystore.configs import ZarrConfig, ZarrLayout
from polystore.core.errors import (
    Corrupt,
    InvalidKey,
    NotADirectory,
    NotAFile,
    NotFound,
    StorageError,
    UnsupportedOperation,
)
from polystore.core.key import HIDDEN_PREFIX
from polystore.core.outcome import Failure, Outcome, Success, is_successful
from polystore.core.records import Encoded

__all__ = [
    "group_folder",
    "image_gone",
    "image_of",
    "make_group_in",
    "no_group",
    "no_name",
    "not_ours",
    "part_of",
]

_GROUP = group_documents({}, 3)["zarr.json"]
_GROUP_2 = document_bytes({"zarr_format": 2})


@frozen
class _Way:
    """What the folders on the way to a node are made for: `last` is the node's name, if any."""

    config: ZarrConfig
    top: int
    root_was_there: bool
    version: Literal[2, 3]
    last: str | None


def group_folder(
    config: ZarrConfig, path: str, last: str | None = None, version: Literal[2, 3] | None = None
) -> Outcome[int]:
    """Give a descriptor of the folder below the root, made a Zarr group like those on the way.

    What is missing is made, the root too; a plain folder with other things in it stays as it is.
    `last` is the name of what is to come into it, `version` that of Zarr in which that is written
    (`None`: the config's). `NotADirectory` where an item is in the way, `UnsupportedOperation` for
    a node of version 3 below a group of version 2. For a label, its image is not made, as it may
    just have been deleted: `NotFound`. The rest raises `OSError`.
    """
    was_there, top = _root(config.root)
    way = _Way(config, top, was_there, version or writes_format(config), last)
    try:
        for _ in range(LINKS_MAX):
            link = _made_groups(way, path)
            if not is_successful(link):
                return Failure(link.failure())
            further = link.unwrap()
            if isinstance(further, int):
                return Success(further)
            path = further
    finally:
        os.close(top)
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)


def _root(path: str) -> tuple[bool, int]:
    try:
        return True, open_root(path)
    except FileNotFoundError:
        return False, make_root(path)


def _made_groups(way: _Way, path: str) -> Outcome[int | str]:
    """Give the folder at a path; or the path by which to go on, where a link is on the way."""
    parts = path.split("/") if path else []
    image = None if way.last is None else image_of(way.config, path)
    folder = -1
    try:
        for depth in range(len(parts) + 1):
            if folder >= 0:
                above, folder = folder, -1
                os.close(above)
            at = "/".join(parts[:depth])
            folder, found = _as_group(way, at, image)
            if found.link is not None:
                os.close(open_folder(way.top, found.link))  # not made, if it leads nowhere
                return Success("/".join((found.link, *parts[depth:])))
            below = parts[depth] if depth < len(parts) else way.last
            refused = _refused(way, found, at, below)
            if refused is not None:
                return Failure(refused)
        done, folder = folder, -1
        return Success(done)
    except FileNotFoundError:
        if image is None:
            raise
        return Failure(image_gone(image, way.config))
    finally:
        if folder >= 0:
            os.close(folder)


def _as_group(way: _Way, path: str, image: str | None) -> tuple[int, Found]:
    """Give the folder at a path, made if it is missing, and a group if it is empty; and what it is.

    The root of images is left as it was found: it may be a folder of other things, too. So is the
    image whose labels are to come, and what is above it.
    """
    for _ in range(TURNS_MAX):
        folder = _opened(way.top, path) if image is None else _opened_below(way.top, path, image)
        try:
            found = found_in(folder)
            keep = not path and way.root_was_there and way.config.layout is not ZarrLayout.ARRAY
            keep = keep or (image is not None and len(path) <= len(image))
            if found.node == "plain" and not keep:
                found = make_group_in(
                    folder, way.version, is_new=not path and not way.root_was_there
                )
            if found.node not in ("damaged", "plain") or stands_at(way.top, path, folder):
                kept, folder = folder, -1
                return kept, found
        finally:
            if folder >= 0:
                os.close(folder)
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), path)


def _opened(top: int, path: str) -> int:
    try:
        return open_folder(top, path)
    except FileNotFoundError:
        os.close(folder_beneath(top, path))
        return open_folder(top, path)


def _opened_below(top: int, path: str, image: str) -> int:
    """Give the folder at a path; only that of an image's labels is made, in the image itself."""
    for _ in range(TURNS_MAX):
        try:
            return open_folder(top, path)
        except FileNotFoundError:
            if len(path) <= len(image):
                raise
        above = open_folder(top, image)
        try:
            with suppress(FileExistsError, FileNotFoundError):  # it is being replaced
                os.mkdir(LABELS, dir_fd=above)
        finally:
            os.close(above)
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), path)


def image_of(config: ZarrConfig, path: str) -> str | None:
    """Give the image whose labels are in the folder at a path; `None` for another folder.

    >>> images = ZarrConfig(root="/data", layout=ZarrLayout.IMAGE)
    >>> image_of(images, "a/labels"), image_of(images, "labels"), image_of(images, "a/b")
    ('a', None, None)
    """
    image, _, name = path.rpartition("/")
    is_one = image and name == LABELS and config.layout is not ZarrLayout.ARRAY
    return image if is_one else None


def make_group_in(folder: int, version: Literal[2, 3], *, is_new: bool = False) -> Found:
    """Make a folder without documents a group, if nothing else is in it; give what it is then.

    In one that is new there may be the groups already of those who came at the same moment.
    """
    if is_new or all(name.startswith(HIDDEN_PREFIX) for name in os.listdir(folder)):
        name, text = (DOCUMENT, _GROUP) if version == 3 else (".zgroup", _GROUP_2)
        with suppress(FileNotFoundError):  # it is being removed
            write_whole(folder, name, Encoded((text,), len(text)), replace=False, synced=False)
    return found_in(folder)  # another writer may just have made it a group


def _refused(way: _Way, found: Found, path: str, below: str | None) -> StorageError | None:
    """Say why nothing can be made in a folder; `None` if it can."""
    node = found.node
    if node == "damaged":
        return no_group(node, path, way.config)
    if node == "plain":
        return None
    if is_whole(node, way.config.layout) and not (below is not None and may_hold(node, below)):
        return no_group(node, path, way.config)
    if found.version == 2 and way.version == 3 and below is not None:
        return _of_version_2(path, way.config)
    return None


def no_group(node: Node, path: str, config: ZarrConfig) -> StorageError:
    """Give the error for a folder that is needed as a group, and is none."""
    about = repr(path) if path else f"The root {config.root!r}"
    other = "Choose a key that is not below it." if path else "Choose another root."
    if node == "damaged":
        return Corrupt(
            path,
            config,
            f"The documents of {about} are damaged." if path else f"{about} is a damaged group.",
            f"Mend it, or move it away; {other[0].lower()}{other[1:]}",
        )
    if node == "image":
        advice = f"Only labels come below an image, as {path or 'image'}/labels/cells."
        return NotADirectory(path, config, f"{about} is an image, not a folder.", advice)
    what = "an array" if node == "array" else "a link"
    return NotADirectory(path, config, f"{about} is {what}, not a folder.", other)


def image_gone(image: str, config: ZarrConfig) -> NotFound:
    """Give the error for a label whose image was deleted, moved or replaced meanwhile.

    >>> print(image_gone("a", ZarrConfig(root="/data")).message)
    The image 'a' is not there any more, or was replaced; its labels went with it.
    """
    message = (
        f"The image {image!r} is not there any more, or was replaced; its labels went with it."
    )
    return NotFound(image, config, message, "Save the label again where its image is.")


def _of_version_2(path: str, config: ZarrConfig) -> UnsupportedOperation:
    about = repr(path) if path else f"The root {config.root!r}"
    return UnsupportedOperation(
        path,
        config,
        f"{about} is a group of Zarr's version 2, and what is saved here is of version 3.",
        "Choose a key that is not below it, or another root: readers would not find it there.",
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


def part_of(key: str, config: object, image: str, verb: str) -> NotAFile:
    """Give the error for a part of an image that was to be deleted, moved or replaced alone.

    >>> print(part_of("a/0", None, "a", "delete").message)
    'a/0' is a part of the image 'a'.
    """
    return NotAFile(
        key,
        config,
        f"{key!r} is a part of the image {image!r}.",
        f"Replace or {verb} the image, or one of its labels, as a whole.",
    )
