"""One file, or one array or image of Zarr, by its path: root and key are split for you."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar, cast, overload

from polystore.core.item import Item, Metadata, Saved
from polystore.core.outcome import Outcome, and_then
from polystore.core.payload import Payload
from polystore.files.place import Address, address_of, as_item
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
    """Give the item in one file, or what is in Zarr there: root and key are split.

    What Zarr's metadata says is there is read: an array, an image (its full resolution), a level of
    one, a label, a field of a plate. A relative path is taken from the current folder; a URL such
    as `s3://bucket/image.zarr` needs the extra `objects`. The errors are those of `load`.

    >>> import tempfile, numpy as np
    >>> path = tempfile.mkdtemp() + "/a.npy"
    >>> write(path, np.arange(3)).map(lambda saved: saved.key)
    <Success: a.npy>
    >>> read(path).map(lambda item: item.payload)
    <Success: [0 1 2]>
    """

    def loaded(found: Address) -> Outcome[Item[object]]:
        item = as_item(found)
        return Load[object](item.config, format)(item.key)

    return and_then(address_of(path), loaded)


def write(
    path: str | os.PathLike[str],
    payload: Payload,
    *,
    metadata: Metadata = Metadata(),
    if_exists: IfExists = "fail",
    options: object = None,
) -> Outcome[Saved]:
    """Save a payload to one file, or as one array in Zarr, as `save` does.

    `plate.zarr/A01` is the array `A01` of the store `plate.zarr`, `a.zarr` is an array itself; what
    is there already stays of its kind (the field of a plate, an image). Folders on the way are
    made. Paths are as in `read`. The errors are those of `save`: `AlreadyExists` unless told
    otherwise.

    >>> import tempfile
    >>> write(tempfile.mkdtemp() + "/a.npy", "text").failure().message
    '.npy cannot hold a str.'
    """

    def saved(found: Address) -> Outcome[Saved]:
        item = as_item(found)
        step = Save(cast("Sink[Payload]", item.config), if_exists, options)  # Zarr may refuse it
        return step(Item(item.key, payload, metadata))

    return and_then(address_of(path), saved)
