"""What a folder is to Zarr, told by the documents in it; and the way to the folder of a key.

A folder is given as a descriptor. What has no better word raises `OSError`.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import Literal, TypeAlias

from attrs import frozen

from polystore.backends.beneath import open_beneath
from polystore.backends.wholefolder import Check
from polystore.backends.zarr.elements.documents import documents_in
from polystore.backends.zarr.elements.meta import Documents
from polystore.backends.zarr.folder.files import files_at, kept_files, read_all
from polystore.backends.zarr.kind import DOCUMENTS, Kind, is_item, kind_of, link_in, may_hold
from polystore.backends.zarr.tree import Files
from polystore.configs import ZarrLayout
from polystore.core.outcome import is_successful

__all__ = [
    "DOCUMENT",
    "DOCUMENT_MAX",
    "LINKS_MAX",
    "TURNS_MAX",
    "Found",
    "Node",
    "beyond_link",
    "document_in",
    "files_of_node",
    "found_at",
    "found_in",
    "is_whole",
    "item_above",
    "link_at",
    "node_at",
    "node_of",
    "open_end",
    "open_folder",
    "open_parent",
    "open_real",
    "refuse_all_but_items",
    "stands_at",
]

Node: TypeAlias = Kind | Literal["damaged", "plain"]
"""A node of Zarr, a folder with documents that say nothing, or one with none."""

DOCUMENT = "zarr.json"

DOCUMENT_MAX = 64 * 2**20
"""Bytes. Attributes can be long; of a longer document the start is read, which is damaged."""

TURNS_MAX = 100
"""How often one begins again because a folder was replaced meanwhile."""

LINKS_MAX = 40
"""Links that are followed for one key, as by Linux (MAXSYMLINKS): more are a circle."""


@frozen
class Found:
    """What a folder is, and in which version of Zarr; `link` is where it says that it leads."""

    node: Node
    version: Literal[2, 3] | None = None
    link: str | None = None


def open_folder(root: int, path: str) -> int:
    """Give a descriptor of a folder below the root, for listing too; `""` is the root."""
    return open_beneath(root, path or ".", os.O_RDONLY | os.O_DIRECTORY)


def document_in(folder: int) -> bytes | None:
    """Give what is in the folder's `zarr.json`, or `None` if there is none."""
    return read_all(folder, DOCUMENT, DOCUMENT_MAX)


def files_of_node(folder: int) -> tuple[Files, str | None]:
    """Give the files of a node, their documents read once; and where it leads, if it is a link."""
    kept = {DOCUMENT: document_in(folder)}
    text = kept[DOCUMENT]
    if text is None and not _has(folder, ".zarray"):
        kept[".zarray"] = None
        text = kept[".zattrs"] = read_all(folder, ".zattrs", DOCUMENT_MAX)
    files = kept_files(folder, kept)
    if text is None or b'"link"' not in text:
        return files, None
    documents = documents_in(files)
    return files, _found(documents.unwrap()).link if is_successful(documents) else None


def found_in(folder: int) -> Found:
    """Say what a folder is."""
    documents = documents_in(files_at(folder))
    return _found(documents.unwrap()) if is_successful(documents) else Found("damaged")


def _found(documents: Documents | None) -> Found:
    if documents is None:
        return Found("plain")
    return Found(kind_of(documents), documents.zarr_format, link_in(documents))


def is_whole(node: Node, layout: ZarrLayout) -> bool:
    """Whether what a folder is counts as an item; what is damaged does not."""
    return node != "damaged" and node != "plain" and is_item(node, layout)


def node_of(folder: int) -> Node:
    """Say what a folder is, without the rest."""
    return found_in(folder).node


def _has(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def refuse_all_but_items(layout: ZarrLayout) -> Check:
    """Give what raises `IsADirectoryError` unless a folder is an item of a layout.

    One may be replaced or deleted whole. A damaged one may, too, if nothing else of Zarr's is below
    it: it could be a damaged group.
    """

    def check(folder: int) -> None:
        node = node_of(folder)
        damaged = node == "damaged" and not _has_nodes_below(folder)
        if not (damaged or is_whole(node, layout)):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))

    return check


def _has_nodes_below(folder: int) -> bool:
    walk = os.fwalk(".", dir_fd=folder)
    next(walk)
    return any(not DOCUMENTS.isdisjoint(files) for _, _, files, _ in walk)


def node_at(root: int, path: str) -> Node:
    """Say what the folder at a path below the root is, whoever replaces it meanwhile."""
    return found_at(root, path).node


def found_at(root: int, path: str) -> Found:
    """Say what the folder at a path is, as `node_at`, and the rest."""
    for _ in range(TURNS_MAX):
        folder = open_folder(root, path)
        try:
            found = found_in(folder)
            if found.node == "array" or stands_at(root, path, folder):
                return found
        finally:
            os.close(folder)
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), path)


def stands_at(root: int, path: str, folder: int) -> bool:
    """Whether the path below the root still leads to this folder."""
    try:
        fd = open_folder(root, path)
    except OSError:
        return False
    try:
        return os.path.samestat(os.fstat(fd), os.fstat(folder))
    finally:
        os.close(fd)


def link_at(root: int, path: str) -> str | None:
    """Give where the link at a path, of either kind, says that it leads; `None` for what is none.

    The links on the way are followed.
    """
    above, _, name = path.rpartition("/")
    parent, _ = open_real(root, above)
    try:
        with suppress(OSError):
            return os.readlink(name, dir_fd=parent)
        folder = open_folder(parent, name)
    finally:
        os.close(parent)
    try:
        return files_of_node(folder)[1]
    finally:
        os.close(folder)


def open_real(root: int, path: str) -> tuple[int, str]:
    """Give a descriptor of the folder at a path, and the path where it is: beyond links on the way.

    Those of Zarr's attributes; a link at the end is not followed, if it is one of these. The system
    follows its own. `FileNotFoundError` where there is nothing; `ELOOP` for a circle.
    """
    real = path
    for _ in range(LINKS_MAX):
        try:
            return open_folder(root, real), real
        except FileNotFoundError:
            further = beyond_link(root, real)
            if further is None:
                raise
            real = further
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)


def open_end(root: int, path: str) -> tuple[int, str]:
    """Do what `open_real` does, and follow a link at the end too."""
    real = path
    for _ in range(LINKS_MAX):
        folder, real = open_real(root, real)
        try:
            link = files_of_node(folder)[1]
        except BaseException:  # on Ctrl-C too, no descriptor is left open
            os.close(folder)
            raise
        if link is None:
            return folder, real
        os.close(folder)
        real = link
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)


def open_parent(root: int, key: str) -> tuple[int, str]:
    """Give a descriptor of the folder that a key is in, and the key where links on the way lead."""
    above, slash, name = key.rpartition("/")
    folder, real = open_end(root, above) if above else (open_folder(root, ""), "")
    return folder, f"{real}{slash}{name}"


def beyond_link(root: int, path: str) -> str | None:
    """Give a path whose first link on the way is replaced by where it leads; `None` without one."""
    parts = path.split("/")
    for depth in range(1, len(parts)):
        try:
            folder = open_folder(root, "/".join(parts[:depth]))
        except OSError:
            return None
        try:
            link = files_of_node(folder)[1]
        finally:
            os.close(folder)
        if link is not None:
            return "/".join((link, *parts[depth:]))
    return None


def item_above(root: int, path: str, layout: ZarrLayout) -> tuple[str, Node] | None:
    """Give the first part of a path, shorter than all of it, that is an item and holds no others.

    The root too, as `""`. Raises `OSError` where there is no such path.
    """
    parts = path.split("/")
    for depth in range(len(parts)):
        above = "/".join(parts[:depth])
        node = node_at(root, above)
        if node != "link" and is_whole(node, layout) and not may_hold(node, parts[depth]):
            return above, node
    return None
