"""What a folder is to Zarr, told by the `zarr.json` in it; and the reading and writing of a file.

A folder is given as a descriptor. What has no better word raises `OSError`.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import sys
from contextlib import suppress
from typing import Literal, TypeAlias, cast

from typing_extensions import Buffer

from polystore.backends.beneath import open_beneath
from polystore.core.payload import Json

__all__ = [
    "DOCUMENT",
    "RESERVED",
    "TURNS_MAX",
    "Node",
    "array_above",
    "is_node_name",
    "link_at",
    "node_at",
    "node_of",
    "open_folder",
    "parsed",
    "read_document",
    "read_file",
    "refuse_all_but_arrays",
    "stands_at",
    "write_file",
]

Node: TypeAlias = Literal["array", "group", "damaged", "version 2", "plain"]
"""A folder with the `zarr.json` of an array or of a group, with one that says neither, with the
metadata of Zarr's version 2, or with none."""

DOCUMENT = "zarr.json"

DOCUMENT_MAX = 64 * 2**20
"""Bytes. Attributes can be long; of a longer document the start is read, which is damaged."""

TURNS_MAX = 100
"""How often one begins again because a folder was replaced meanwhile."""

RESERVED = frozenset({DOCUMENT, ".zarray", ".zgroup", ".zattrs", ".zmetadata"})
"""Names of Zarr's own files, of version 2 too. (`c` is where chunks are, but only inside an
array.)"""

_VERSION_2 = (".zarray", ".zgroup")

_WHOLE = slice(None)


def open_folder(root: int, path: str) -> int:
    """Give a descriptor of a folder below the root, for listing too; `""` is the root."""
    return open_beneath(root, path or ".", os.O_RDONLY | os.O_DIRECTORY)


def read_file(folder: int, path: str, part: slice = _WHOLE, longest: int = sys.maxsize) -> bytes:
    """Give the bytes of a file below a folder, or those of a part of it; `longest` at most."""
    # Without O_NONBLOCK, opening a pipe would wait for its writer.
    fd = open_beneath(folder, path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        start, stop, _ = part.indices(status.st_size)
        stop = min(stop, start + longest)
        pieces: list[bytes] = []
        while start < stop:
            piece = os.pread(fd, stop - start, start)
            if not piece:
                break
            start += len(piece)
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)
    finally:
        os.close(fd)


def write_file(folder: int, path: str, content: Buffer) -> None:
    """Write a new file in a folder that nobody else sees yet, making the folders on the way."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    try:
        fd = os.open(path, flags, 0o666, dir_fd=folder)
    except FileNotFoundError:
        _make_folders(folder, path)
        fd = os.open(path, flags, 0o666, dir_fd=folder)
    try:
        left = memoryview(content).cast("B")
        while left:
            left = left[os.write(fd, left) :]
    finally:
        os.close(fd)


def _make_folders(folder: int, path: str) -> None:
    for end, character in enumerate(path):
        if character == "/":
            with suppress(FileExistsError):
                os.mkdir(path[:end], dir_fd=folder)


def read_document(folder: int) -> bytes | None:
    """Give what is in the folder's `zarr.json`, or `None` if there is none."""
    try:
        return read_file(folder, DOCUMENT, longest=DOCUMENT_MAX)
    except (FileNotFoundError, IsADirectoryError):
        return None


def parsed(document: bytes) -> dict[str, Json] | None:
    """Give the object in a `zarr.json` of version 3, or `None` if it is damaged.

    >>> parsed(b'{"zarr_format": 3, "node_type": "group"}')
    {'zarr_format': 3, 'node_type': 'group'}
    >>> parsed(b'{"zarr_format": 3, "node_ty')
    """
    try:
        found = cast("Json", json.loads(document))
    except (ValueError, RecursionError):
        return None
    if isinstance(found, dict) and found.get("zarr_format") == 3:
        return found
    return None


def node_of(folder: int) -> Node:
    """Say what a folder is."""
    document = read_document(folder)
    if document is None:
        return "version 2" if any(_has(folder, name) for name in _VERSION_2) else "plain"
    kind = (parsed(document) or {}).get("node_type")
    return kind if kind in ("array", "group") else "damaged"


def _has(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def refuse_all_but_arrays(folder: int) -> None:
    """Raise `IsADirectoryError` unless a folder is an array: one may be replaced or deleted whole.

    A damaged array may, too, if nothing else of Zarr's is below it: it could be a damaged group.
    """
    node = node_of(folder)
    if node != "array" and (node != "damaged" or _has_nodes_below(folder)):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))


def _has_nodes_below(folder: int) -> bool:
    walk = os.fwalk(".", dir_fd=folder)
    next(walk)
    return any(DOCUMENT in files for _, _, files, _ in walk)


def node_at(root: int, path: str) -> Node:
    """Say what the folder at a path below the root is, whoever replaces it meanwhile."""
    for _ in range(TURNS_MAX):
        folder = open_folder(root, path)
        try:
            node = node_of(folder)
            if node == "array" or stands_at(root, path, folder):
                return node
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
    """Give where the link at a path below the root says that it leads; `None` for what is none."""
    above, _, name = path.rpartition("/")
    parent = open_folder(root, above)
    try:
        return os.readlink(name, dir_fd=parent)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return None
    finally:
        os.close(parent)


def array_above(root: int, path: str) -> str | None:
    """Give the first part of a path, shorter than all of it, that is an array; chunks are below.

    The root too, as `""`. Raises `OSError` where there is no such path.
    """
    parts = path.split("/")[:-1]
    for depth in range(len(parts) + 1):
        above = "/".join(parts[:depth])
        if node_at(root, above) == "array":
            return above
    return None


def is_node_name(part: str) -> bool:
    """Whether Zarr allows a part of a key as a node's name: not only dots, and no `__` in front.

    >>> is_node_name("A01.tif"), is_node_name("..."), is_node_name("__a")
    (True, False, False)
    """
    return bool(part.strip(".")) and not part.startswith("__")
