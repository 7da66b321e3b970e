"""One file by its path: root and key are split for you."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast, overload

from polystore.configs import DiskConfig, ZarrConfig
from polystore.core.errors import InvalidKey, NotFound
from polystore.core.item import Item, Metadata, Saved
from polystore.core.outcome import Failure, Outcome, Success, and_then
from polystore.core.payload import Payload
from polystore.steps.load import Load
from polystore.steps.save import Save

if TYPE_CHECKING:
    from polystore.core.records import FileFormat, IfExists, Sink

__all__ = ["read", "write"]

T = TypeVar("T")


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
