"""The fields of a plate, each an OME-Zarr image under `row/column/field`, and their labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias, TypeVar, cast

from attrs import evolve

from polystore.backends.zarr.copying import copy_stored
from polystore.backends.zarr.looking import located
from polystore.backends.zarr.ome.changing import (
    delete_image,
    move_image,
    save_image,
    save_image_region,
)
from polystore.backends.zarr.ome.images import IMAGE
from polystore.backends.zarr.plates.metadata import is_name
from polystore.backends.zarr.plates.planes import lacking_planes
from polystore.backends.zarr.plates.register import alone_in, listed, plate_at, unlisted
from polystore.backends.zarr.tree import Files, Seen, ZarrStore, read_node
from polystore.configs import ZarrLayout
from polystore.core.errors import Corrupt, InvalidKey, UnsupportedOperation
from polystore.core.item import Item, Saved
from polystore.core.key import Key
from polystore.core.outcome import Failure, Outcome, Success, and_then, is_successful
from polystore.core.payload import LazyArray, Payload, Region
from polystore.core.records import FileFormat, IfExists, Page, SaveOptions

__all__ = [
    "copy_field",
    "delete_field",
    "is_field",
    "list_fields",
    "load_field",
    "load_field_lazily",
    "make_well",
    "move_field",
    "no_field",
    "save_field",
    "save_field_region",
]

T = TypeVar("T")

_DEPTH = 3  # row, column, field

_Load: TypeAlias = "Callable[[ZarrStore, Key, FileFormat[object] | None], Outcome[Item[T]]]"


def is_field(key: str) -> bool:
    """Whether a key is of the form of a field's.

    >>> is_field("A/1/0"), is_field("A/1"), is_field("A/1/0/labels/cells")
    (True, False, False)
    """
    return key.count("/") == _DEPTH - 1 and all(map(is_name, key.split("/")))


def no_field(key: str, config: object) -> InvalidKey:
    """Give the error for a key that is none of a plate's.

    >>> print(no_field("A01.tif", None))
    'A01.tif' is no key of a plate. Its keys are row/column/field, of letters and digits, such as
    'A/1/0', and labels below, such as 'A/1/0/labels/cells'; for names of files give the config
    names.
    """
    return InvalidKey(
        key,
        config,
        f"{key!r} is no key of a plate.",
        "Its keys are row/column/field, of letters and digits, such as 'A/1/0', and labels below, "
        "such as 'A/1/0/labels/cells'; for names of files give the config names.",
    )


def _in_field(store: ZarrStore, key: str, *, writes: bool = False) -> Outcome[None]:
    """Give nothing for a key that is one of a plate's, `InvalidKey` for any other.

    To be written, those of fields and of their label images are; to be read, all that are below
    fields too, and those of rows and wells, which are folders.
    """
    parts = key.split("/")
    if not writes and len(parts) < _DEPTH and all(map(is_name, parts)):
        return Success(None)
    below = parts[_DEPTH:]
    fits = is_field("/".join(parts[:_DEPTH]))
    if fits and (not below or not writes or (below[0] == "labels" and len(below) == 2)):
        return Success(None)
    return Failure(no_field(key, store.config))


def _with_planes(store: ZarrStore, key: Key, load: Callable[[], Outcome[T]]) -> Outcome[T]:
    """Give what is loaded of a field that lacks no plane."""
    fits = _in_field(store, key)
    if not is_successful(fits):
        return Failure(fits.failure())
    whole = _lacking_none(store, key)
    loaded = load() if is_successful(whole) else Failure(whole.failure())
    if not is_successful(loaded) and isinstance(loaded.failure(), Corrupt):
        # Another writer may have begun to add planes between the two.
        return and_then(_lacking_none(store, key), lambda _: loaded)
    return loaded


def _lacking_none(store: ZarrStore, key: Key) -> Outcome[None]:
    if not is_field(key):
        return Success(None)
    missing = lacking_planes(store, key)
    if not is_successful(missing):
        return Failure(missing.failure())
    error = missing.unwrap()
    return Success(None) if error is None else Failure(error)


def load_field(
    store: ZarrStore, key: Key, format: FileFormat[object] | None, /
) -> Outcome[Item[Payload]]:
    """Give the image of a field, one of its labels, or an array of either.

    `NotFound` for a field that was saved by planes, and lacks some: it names them.
    """
    return _with_planes(store, key, lambda: cast("_Load[Payload]", IMAGE.load)(store, key, format))


def load_field_lazily(
    store: ZarrStore, key: Key, format: FileFormat[object] | None, /
) -> Outcome[Item[LazyArray]]:
    """Give the same as `load_field`, to be read region by region."""
    return _with_planes(
        store, key, lambda: cast("_Load[LazyArray]", IMAGE.load_lazy)(store, key, format)
    )


def save_field(
    store: ZarrStore, key: Key, item: Item[Payload], how: SaveOptions, /
) -> Outcome[Saved]:
    """Save the image of a field, and have it listed; or a label image of one."""
    fits = _in_field(store, key, writes=True)
    if not is_successful(fits):
        return Failure(fits.failure())
    if not is_field(key):
        return save_image(store, key, item, how)
    plate = plate_at(store)
    if not is_successful(plate):
        return Failure(evolve(plate.failure(), key=key))
    saved = save_image(store, key, item, how)
    return and_then(saved, lambda it: listed(store, key, plate.unwrap()).map(lambda _: it))


def save_field_region(
    store: ZarrStore, key: Key, item: Item[Payload], region: Region, /
) -> Outcome[Saved]:
    """Write an array into a region of a field that lacks no plane, or of a label image."""
    fits = _in_field(store, key)
    whole = and_then(fits, lambda _: _lacking_none(store, key))
    return and_then(whole, lambda _: save_image_region(store, key, item, region))


def delete_field(store: ZarrStore, key: Key, /) -> Outcome[None]:
    """Delete a field, which is taken from the lists first; or a label image, or an empty group."""
    if not is_field(key):
        return delete_image(store, key)

    def deleted() -> Outcome[None]:
        there = _is_there(store, key)
        taken = and_then(there, lambda _: unlisted(store, key))
        gone = and_then(taken, lambda _: delete_image(store, key))
        return located(gone, store, key)

    done = alone_in(store, deleted)
    if not is_successful(done) and is_successful(_is_there(store, key)):
        listed(store, key)
    return done


def _is_there(store: ZarrStore, key: Key) -> Outcome[None]:
    def look(_files: Files) -> Seen[None]:
        return Seen(Success(None))

    return read_node(store.tree, key, look)


def move_field(store: ZarrStore, old: Key, new: Key, if_exists: IfExists, /) -> Outcome[bool]:
    """Move a field to another place on the plate, or a label image to another field."""
    fits = and_then(
        _in_field(store, old, writes=True), lambda _: _in_field(store, new, writes=True)
    )
    if not is_successful(fits):
        return Failure(fits.failure())
    if is_field(old) != is_field(new):
        return Failure(no_field(new if is_field(old) else old, store.config))
    if not is_field(old) or old == new:
        return move_image(store, old, new, if_exists)

    def moved() -> Outcome[bool]:
        taken = and_then(_is_there(store, old), lambda _: unlisted(store, old))
        return and_then(taken, lambda _: move_image(store, old, new, if_exists))

    done = alone_in(store, moved)
    for key in (old, new):
        again = listed(store, key) if is_successful(_is_there(store, key)) else Success(None)
        if is_successful(done) and not is_successful(again):
            return Failure(again.failure())
    return done


def copy_field(
    store: ZarrStore, key: Key, to: ZarrStore, new_key: Key, if_exists: IfExists, /
) -> Outcome[bool]:
    """Copy a field as it is stored, and have it listed where it comes to a plate.

    `UnsupportedOperation` where it would not be stored so in the other store, for a field that
    lacks planes, and where the keys of either plate are names of files.
    """
    if store.config.names is not None or to.config.names is not None:
        return Failure(_not_so(key, to))
    fits = _in_field(to, new_key, writes=True) if to.config.layout is ZarrLayout.PLATE else None
    if fits is not None and not is_successful(fits):
        return Failure(fits.failure())
    if not is_successful(_lacking_none(store, key)):
        return Failure(_not_so(key, to))
    copied = copy_stored(store, key, to, new_key, if_exists)
    if fits is None or not is_field(new_key):
        return copied
    return and_then(copied, lambda it: listed(to, new_key).map(lambda _: it))


def _not_so(key: Key, to: ZarrStore) -> UnsupportedOperation:
    message = f"{key!r} would not be stored so in the other store."
    return UnsupportedOperation(key, to.config, message, "Load it, and save what you get.")


def list_fields(store: ZarrStore, folder: str, /) -> Iterator[Outcome[Page]]:
    """Give the keys of the fields below a folder, or of the label images below a field's."""
    depth = _DEPTH if folder.count("/") < _DEPTH else None
    for page in store.tree.list(folder):
        if depth is None:
            yield page
        else:
            yield page.map(lambda keys: tuple(filter(is_field, keys)))


def make_well(store: ZarrStore, key: Key, /) -> Outcome[None]:
    """Make the group of a row, or of a well, which is listed once a field is in it."""
    make = store.tree.make_folder
    parts = key.split("/")
    if make is None or len(parts) >= _DEPTH or not all(map(is_name, parts)):
        return Failure(no_field(key, store.config))
    return make(key)
