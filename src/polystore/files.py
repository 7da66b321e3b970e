"""What one does with stored files: read and write one path, list a store.

Everything is derived from the few functions of a store's record.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast, overload

from attrs import evolve

from polystore.boundary import guarded
from polystore.configs import DiskConfig, ZarrConfig
from polystore.core.errors import InvalidKey, NotFound, UnsupportedOperation
from polystore.core.item import Item, Metadata, Saved
from polystore.core.key import Key, natural_order, parse_key
from polystore.core.outcome import Failure, Outcome, Success, and_then, is_successful
from polystore.core.payload import Payload
from polystore.dispatch import Dispatcher, default_dispatcher
from polystore.steps.load import Load
from polystore.steps.save import Save

if TYPE_CHECKING:
    from polystore.core.records import FileFormat, IfExists, Opened, Sink, Source

__all__ = ["list_files", "read", "write"]

T = TypeVar("T")


def list_files(
    store: Source[object],
    *,
    suffixes: str | tuple[str, ...] = (),
    folder: str = "",
    dispatcher: Dispatcher | None = None,
) -> Outcome[tuple[Key, ...]]:
    """Give every key of a store, of all its folders, in natural order (`f2` before `f10`).

    `suffixes` (one, or several) keeps the keys that end in one of them, compared case-blind;
    `folder` keeps those below it. Files being written never show. `NotFound` if the root or the
    folder does not exist, `NotADirectory` if it is a file, `PermissionDenied` if a folder in it
    cannot be read.

    >>> from polystore import Item, MemoryConfig, save
    >>> memory = MemoryConfig(name="doctest-list")
    >>> done = [save(memory)(Item(f"f{i}.json", i)) for i in (10, 2)]
    >>> list_files(memory, suffixes=(".JSON",))
    <Success: ('f2.json', 'f10.json')>
    """
    used = dispatcher or default_dispatcher()
    ends = (suffixes,) if isinstance(suffixes, str) else suffixes
    return guarded(
        lambda: and_then(used.open(store), lambda it: _listed(it, store, ends, folder)), folder
    )


def _listed(
    opened: Opened, store: object, suffixes: tuple[str, ...], folder: str
) -> Outcome[tuple[Key, ...]]:
    backend = opened.backend
    if backend.list is None:
        return Failure(
            UnsupportedOperation(
                folder, store, f"A {backend.name} store has no listing.", "Name its keys."
            )
        )
    below = Success("") if folder == "" else parse_key(folder, None, backend.reserved)
    if not is_successful(below):
        return Failure(evolve(below.failure(), config=store))
    ends = tuple(suffix.lower() for suffix in suffixes)
    found: list[Key] = []
    for page in backend.list(opened.handle, below.unwrap()):
        if not is_successful(page):
            return Failure(page.failure())
        found.extend(key for key in page.unwrap() if not ends or key.lower().endswith(ends))
    return Success(tuple(sorted(found, key=natural_order)))


@overload
def read(path: str | os.PathLike[str]) -> Outcome[Item[Payload]]: ...
@overload
def read(path: str | os.PathLike[str], *, format: FileFormat[T]) -> Outcome[Item[T]]: ...
def read(
    path: str | os.PathLike[str], *, format: FileFormat[object] | None = None
) -> Outcome[Item[object]]:
    """Give the item in one file, or in one array of a `*.zarr` folder: root and key are split.

    A relative path is taken from the current folder. The errors are those of `load`.

    >>> import tempfile, numpy as np
    >>> path = tempfile.mkdtemp() + "/a.npy"
    >>> write(path, np.arange(3)).map(lambda saved: saved.key)
    <Success: a.npy>
    >>> read(path).map(lambda item: item.payload)
    <Success: [0 1 2]>
    """
    return and_then(_address(path), lambda found: Load[object](found[0], format)(found[1]))


def write(
    path: str | os.PathLike[str],
    payload: Payload,
    *,
    metadata: Metadata = Metadata(),
    if_exists: IfExists = "fail",
    options: object = None,
) -> Outcome[Saved]:
    """Save a payload to one file, or to one array of a `*.zarr` folder, as `save` does.

    Folders on the way are made. A relative path is taken from the current folder. The errors are
    those of `save`: `AlreadyExists` unless told otherwise.

    >>> import tempfile
    >>> write(tempfile.mkdtemp() + "/a.npy", "text").failure().message
    '.npy cannot hold a str.'
    """

    def saved(found: tuple[DiskConfig | ZarrConfig, str]) -> Outcome[Saved]:
        step = Save(cast("Sink[Payload]", found[0]), if_exists, options)  # Zarr may refuse it
        return step(Item(found[1], payload, metadata))

    return and_then(_address(path), saved)


def _address(path: object) -> Outcome[tuple[DiskConfig | ZarrConfig, str]]:
    """Take a path apart into a store and a key; without a type checker, it may be anything."""
    text = os.fspath(cast("str", path)) if isinstance(path, (str, os.PathLike)) else None
    if not isinstance(text, str) or "\0" in text:
        return Failure(
            InvalidKey(
                str(text),
                None,
                "This is no path.",
                "Give the path of one file, as a text or a Path.",
            )
        )
    try:
        absolute = Path(text).absolute()
    except FileNotFoundError:
        return Failure(
            NotFound(text, None, "The current folder does not exist.", "Give an absolute path.")
        )
    for folder in reversed(absolute.parents):
        if folder.suffix.lower() == ".zarr":
            return Success((ZarrConfig(root=folder), absolute.relative_to(folder).as_posix()))
    return Success((DiskConfig(root=absolute.parent), absolute.name))
