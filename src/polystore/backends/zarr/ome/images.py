"""The IMAGE layout: under each key an OME-Zarr image with all its resolutions, or a bare array.

A load gives an image at full resolution; `"image/1"` is the array of a level. Label images are
below their image (`"image/labels/nuclei"`), and go with it.
"""

from __future__ import annotations

import math
from typing import TypeVar

from attrs import evolve

from polystore.backends.refusals import no_formats
from polystore.backends.zarr.arrays import ARRAY, load_array, load_array_lazily
from polystore.backends.zarr.elements.documents import documents_in
from polystore.backends.zarr.elements.interpret import array_meta
from polystore.backends.zarr.elements.meta import ArrayMeta
from polystore.backends.zarr.kind import kind_of
from polystore.backends.zarr.looking import guarded_look, kept_open, located, stat_by
from polystore.backends.zarr.ome.changing import (
    delete_image,
    documents_of_image,
    move_image,
    save_image,
    save_image_region,
)
from polystore.backends.zarr.ome.loading import (
    image_documents,
    lazy_image,
    level_metadata,
    load_image,
    seen_image,
    stored_image,
)
from polystore.backends.zarr.tree import Files, Seen, ZarrStore, read_node
from polystore.configs import ZarrConfig
from polystore.core.item import Item
from polystore.core.key import Key
from polystore.core.outcome import Failure, Outcome, Success, is_successful
from polystore.core.payload import LazyArray, Payload
from polystore.core.records import Backend, FileFormat, Stat

__all__ = ["IMAGE"]

T = TypeVar("T")


def _load(
    store: ZarrStore, key: Key, format: FileFormat[object] | None, /
) -> Outcome[Item[Payload]]:
    """Give an image at full resolution, or the array under a key, with metadata and history."""
    if format is not None:
        return Failure(no_formats("A Zarr store", key, store.config))

    def look(files: Files) -> Seen[Item[Payload] | None]:
        found = seen_image(files)
        if not is_successful(found.outcome):
            return Seen(Failure(found.outcome.failure()), found.complete)
        documents = found.outcome.unwrap()
        if documents is None:
            return Seen(Success(None), found.complete)
        seen = load_image(files, documents, key, store.config.max_bytes)
        return Seen(seen.outcome.map(_maybe), seen.complete)

    image = read_node(store.tree, key, look)
    if not is_successful(image):
        return located(Failure(image.failure()), store, key)
    item = image.unwrap()
    if item is not None:
        return Success(item)
    return load_array(store, key, None).map(lambda it: _as_level(store, key, it))


def _maybe(value: T) -> T | None:
    return value


def _as_level(store: ZarrStore, key: str, item: Item[T]) -> Item[T]:
    """Give an array with what its image says of it, where it is a level of one.

    Its path below the image may have several parts (`scale1/image`, as ngff-zarr writes).
    """
    above = key.rpartition("/")[0]
    while above:
        found = documents_of_image(store, above)
        documents = found.unwrap() if is_successful(found) else None
        if documents is not None:
            known = level_metadata(documents, key[len(above) + 1 :])
            return item if known is None else Item(item.key, item.payload, known, item.history)
        above = above.rpartition("/")[0]
    return item


def _load_lazily(
    store: ZarrStore, key: Key, format: FileFormat[object] | None, /
) -> Outcome[Item[LazyArray]]:
    """Give an image, or an array, to be read region by region, as it is now."""
    if format is not None:
        return Failure(no_formats("A Zarr store", key, store.config))
    held = store.tree.hold(key)
    if not is_successful(held):
        return located(Failure(held.failure()), store, key)
    files, close = held.unwrap().files, held.unwrap().close
    found = guarded_look(lambda: _lazy_in(files, store, key))
    image = found.value_or(None)
    if image is None:
        close()
        if not is_successful(found):
            return located(Failure(found.failure()), store, key)
        return load_array_lazily(store, key, None).map(lambda it: _as_level(store, key, it))
    kept = kept_open(image.payload, close, key, store.config)
    return Success(Item(key, kept, image.metadata, image.history))


def _lazy_in(files: Files, store: ZarrStore, key: str) -> Outcome[Item[LazyArray] | None]:
    found = image_documents(files)
    if not is_successful(found):
        return Failure(found.failure())
    documents = found.unwrap()
    if documents is None:
        return Success(None)
    return lazy_image(files, documents, key, store.config.max_bytes).map(_maybe)


def _stat(store: ZarrStore, key: Key, /) -> Outcome[Stat]:
    """Say what stands under a key, and how many bytes its pixels take, at full resolution."""
    return stat_by(store, key, _stat_in)


def _stat_in(files: Files) -> Seen[Stat]:
    modified, etag = files.mark()
    found = documents_in(files)
    if not is_successful(found):
        return Seen(Failure(found.failure()))
    documents = found.unwrap()
    kind = None if documents is None else kind_of(documents)
    if documents is None or kind not in ("array", "image"):
        return Seen(Success(Stat("folder", None, modified)), complete=False)
    if kind == "array":
        return Seen(array_meta(documents).map(lambda it: _file(it, modified, etag)))
    image = stored_image(files, documents)
    stat = image.outcome.map(lambda it: _file(it.meta, modified, etag))
    return Seen(stat, image.complete)


def _file(meta: ArrayMeta, modified: int | None, etag: str | None) -> Stat:
    nbytes = math.prod(meta.grid.shape) * meta.dtype.itemsize
    return Stat("file", nbytes, modified, etag=etag)


IMAGE: Backend[ZarrConfig, ZarrStore] = evolve(
    ARRAY,
    load=_load,
    load_lazy=_load_lazily,
    save=save_image,
    save_region=save_image_region,
    stat=_stat,
    delete=delete_image,
    move=move_image,
)
"""The record of the IMAGE layout: what is not said here is as in the layout of arrays."""
