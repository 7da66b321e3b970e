"""Loading an array, and saying what stands under a key: from one generation of its folder."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Generic, TypeVar

from attrs import evolve, frozen

from polystore.backends.beneath import open_root
from polystore.backends.heldfolder import discard_held, pin, unpin
from polystore.backends.oserrors import from_os
from polystore.backends.refusals import absent_below, below_no_folder, no_file, no_formats
from polystore.backends.zarr.groups import of_version_2
from polystore.backends.zarr.node import (
    DOCUMENT,
    TURNS_MAX,
    array_above,
    link_at,
    node_of,
    open_folder,
    parsed,
    read_document,
    stands_at,
)
from polystore.backends.zarr.notes import notes_in
from polystore.backends.zarr.whole_elements import nbytes_of, read_array
from polystore.configs import ZarrConfig
from polystore.core.errors import (
    Corrupt,
    InvalidKey,
    NotAFile,
    NotFound,
    StorageError,
    Unavailable,
)
from polystore.core.item import Item
from polystore.core.key import HIDDEN_PREFIX, NEAR_AMONG, Key
from polystore.core.outcome import Failure, Outcome, Success, and_then, catch, guard, is_successful
from polystore.core.payload import Json, Payload
from polystore.core.records import Context, FileFormat, Stat

__all__ = [
    "ZarrFolder",
    "absent",
    "guarded",
    "inside_array",
    "link_of",
    "load_array",
    "stat_node",
]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@frozen
class ZarrFolder:
    """The handle of a store: nothing is open in it."""

    config: ZarrConfig
    context: Context


@frozen
class _Seen(Generic[T_co]):
    """What one generation gave; unless it was complete, it counts only while the folder stands."""

    outcome: Outcome[T_co]
    complete: bool = True
    is_array: bool = True


def load_array(
    store: ZarrFolder, key: Key, format: FileFormat[object] | None, /
) -> Outcome[Item[Payload]]:
    """Give the array under a key, in aligned memory of its own, with its metadata and history."""
    if format is not None:
        return Failure(no_formats("A Zarr store", key, store.config))
    return _of_one_generation(store.config, key, lambda folder: _load(store.config, key, folder))


def _load(config: ZarrConfig, key: Key, folder: int) -> _Seen[Item[Payload]]:
    fields = _array_fields(config, key, folder)
    if not is_successful(fields.outcome):
        return _Seen(Failure(fields.outcome.failure()), fields.complete, is_array=False)
    document = fields.outcome.unwrap()
    notes = notes_in(document)
    if not is_successful(notes):
        return _Seen(Failure(notes.failure()))
    known = notes.unwrap()
    elements = read_array(folder, document, config.max_bytes, known.dense)
    return _Seen(
        elements.array.map(lambda array: Item(key, array, known.metadata, known.history)),
        elements.complete,
    )


def _array_fields(config: ZarrConfig, key: Key, folder: int) -> _Seen[Mapping[str, Json]]:
    document = read_document(folder)
    if document is None:
        return _Seen(Failure(_no_node(config, key, folder)), complete=False)
    fields = parsed(document)
    if fields is None or fields.get("node_type") not in ("array", "group"):
        return _Seen(Failure(_damaged_document(key, config)))
    if fields["node_type"] == "group":
        return _Seen(Failure(no_file(key, config, len(_names(folder)), "node")))
    return _Seen(Success(fields))


def _no_node(config: ZarrConfig, key: Key, folder: int) -> StorageError:
    """Say what a folder without a `zarr.json` is."""
    inside = inside_array(config, key)
    if inside is not None:
        return inside
    if node_of(folder) == "version 2":
        return of_version_2(key, config, repr(key))
    return no_file(key, config, len(_names(folder)), "node")


def inside_array(config: ZarrConfig, key: str) -> NotFound | None:
    """Give the error for a key that is a part of an array, such as the folder of its chunks."""
    root = open_root(config.root)
    try:
        array = array_above(root, key)
    except OSError:
        return None
    finally:
        os.close(root)
    if array is None:
        return None
    return below_no_folder(key, config, f"{array!r} is an array, not a folder")


def _damaged_document(key: str, config: ZarrConfig) -> Corrupt:
    return Corrupt(
        key,
        config,
        f"The {DOCUMENT} of {key!r} is damaged.",
        'Save the array again from its source, with if_exists="replace".',
    )


def stat_node(store: ZarrFolder, key: Key, /) -> Outcome[Stat]:
    """Say whether an array or a folder stands under a key, and how many bytes its elements take."""
    config = store.config
    found = _of_one_generation(config, key, lambda folder: _stat(config, key, folder))
    link = link_of(config, key)
    if link is None:
        return found
    if is_successful(found):
        return Success(evolve(found.unwrap(), link=link))
    if isinstance(found.failure(), (InvalidKey, NotFound)):  # out of the root, or nothing of Zarr's
        return Success(Stat("broken link", None, None, link))
    return found


def link_of(config: ZarrConfig, key: str) -> str | None:
    """Give where the link under a key says that it leads; `None` for what is no link."""
    with suppress(OSError):
        root = open_root(config.root)
        try:
            return link_at(root, key)
        finally:
            os.close(root)
    return None


def _stat(config: ZarrConfig, key: Key, folder: int) -> _Seen[Stat]:
    own = os.fstat(folder)
    modified, etag = own.st_mtime_ns, f"{own.st_ino}-{own.st_ctime_ns}"
    fields = _array_fields(config, key, folder)
    if is_successful(fields.outcome):
        nbytes = nbytes_of(folder, fields.outcome.unwrap())
        return _Seen(nbytes.map(lambda count: Stat("file", count, modified, etag=etag)))
    if isinstance(fields.outcome.failure(), NotAFile):
        return _Seen(Success(Stat("folder", None, modified)), fields.complete, is_array=False)
    return _Seen(Failure(fields.outcome.failure()), fields.complete, is_array=False)


def _of_one_generation(config: ZarrConfig, key: Key, read: Callable[[int], _Seen[T]]) -> Outcome[T]:
    """Give what `read` gives for the folder of a key, all of it from one generation."""
    return guarded(lambda: _read_in_turns(config, key, read), key, config)


def _read_in_turns(config: ZarrConfig, key: Key, read: Callable[[int], _Seen[T]]) -> Outcome[T]:
    root = open_root(config.root)
    try:
        for _ in range(TURNS_MAX):
            folder = open_folder(root, key)
            try:
                pin(folder)
                seen = read(folder)
                unpin(folder)
                stands = stands_at(root, key, folder)
                if not stands and seen.is_array:
                    _discard(folder)
                if stands or seen.complete:
                    return seen.outcome
            finally:
                os.close(folder)
    finally:
        os.close(root)
    return Failure(
        Unavailable(
            key,
            config,
            f"{key!r} was replaced {TURNS_MAX} times while it was read.",
            "Read it again when its writers pause.",
        )
    )


def _discard(folder: int) -> None:
    """Remove a replaced folder, which may have been moved with the folder that it is in."""
    with suppress(OSError):
        parent = os.open("..", os.O_RDONLY | os.O_DIRECTORY, dir_fd=folder)
        try:
            discard_held(parent, folder)
        finally:
            os.close(parent)


def guarded(action: Callable[[], Outcome[T]], key: str, config: ZarrConfig) -> Outcome[T]:
    """Give the outcome of an action that reads; what the operating system raises is explained."""
    outcome = guard(action, catch(OSError, lambda error: _unread(error, key, config)))
    return and_then(outcome, lambda it: it)


def _unread(error: OSError, key: str, config: ZarrConfig) -> StorageError:
    if error.errno == errno.ENOENT:
        return absent(key, config)
    if error.errno == errno.ENOTDIR and key and Path(config.root).is_dir():
        what = "a part of it is a file, not an array or a folder"
        return below_no_folder(key, config, what)
    inside = inside_array(config, key) if error.errno == errno.EISDIR else None
    return inside or from_os(error, key, config)


def absent(key: str, config: ZarrConfig) -> NotFound:
    """Give the error for a key under which nothing is."""
    inside = inside_array(config, key) if Path(config.root).is_dir() else None
    if inside is not None:
        return inside
    link = link_of(config, key)
    if link is not None:
        return below_no_folder(key, config, f"it is a link to {link!r}, where nothing is")
    return absent_below(config.root, key, config, lambda it: _siblings(config, it))


def _siblings(config: ZarrConfig, folder: str) -> list[str]:
    with suppress(OSError):
        root = open_root(config.root)
        try:
            fd = open_folder(root, folder)
            try:
                return _names(fd)
            finally:
                os.close(fd)
        finally:
            os.close(root)
    return []


def _names(folder: int) -> list[str]:
    """Give the names in a folder that may be arrays or folders, or as many as a hint is worth."""
    with os.scandir(folder) as entries:
        return [
            entry.name
            for entry in islice(entries, NEAR_AMONG)
            if not entry.name.startswith(HIDDEN_PREFIX) and entry.name != DOCUMENT
        ]
