"""Copying an item as it is stored: its files, with nothing decoded."""

from __future__ import annotations

import json
from typing import cast

from polystore.backends.zarr.bounds import bounded
from polystore.backends.zarr.elements.documents import documents_in
from polystore.backends.zarr.elements.interpret import array_meta
from polystore.backends.zarr.elements.meta import ArrayMeta, Documents
from polystore.backends.zarr.elements.plan import array_plan
from polystore.backends.zarr.kind import is_item, kind_of, writes_format
from polystore.backends.zarr.looking import folder_of_nodes, guarded_look, located
from polystore.backends.zarr.ome.labels import label_place
from polystore.backends.zarr.tree import Files, ZarrStore
from polystore.configs import ChunkStrategy, ZarrConfig, ZarrLayout
from polystore.core.errors import StorageError, UnsupportedOperation
from polystore.core.key import Key
from polystore.core.outcome import Failure, Outcome, Success, and_then, is_successful
from polystore.core.payload import ArraySpec, Json
from polystore.core.records import IfExists

__all__ = ["copy_stored"]


def copy_stored(
    store: ZarrStore, key: Key, to: ZarrStore, new_key: Key, if_exists: IfExists, /
) -> Outcome[bool]:
    """Copy an item into another store, or to another key: all of its files, as they are.

    With it come what others have put there, such as labels, and its history, without a new event. A
    link is copied as what it leads to. `UnsupportedOperation` where the other store would not hold
    it so: its layout has other items, or its config asks for other chunks, shards, codecs or
    resolutions. So it is for a level of an image, which says nothing of itself, for what becomes a
    label, which its image has to list, and from another layout to a plate, which lists its fields.
    `Corrupt` for a file that is longer than its chunks can be.
    """
    if _is_listed(store.config, to.config, new_key):
        return Failure(_otherwise(key, to.config, "what is saved there is listed as well"))
    held = store.tree.hold(key)
    if not is_successful(held):
        return located(Failure(held.failure()), store, key)
    files = held.unwrap().files
    try:
        agreed = guarded_look(lambda: _agreed(files, store, key, to.config))
        if not is_successful(agreed):
            return located(Failure(agreed.failure()), store, key)
        refused: list[StorageError] = []
        copied = to.tree.copy_in(new_key, bounded(files, refused), if_exists)
        if refused and not is_successful(copied):
            return located(Failure(refused[0]), store, key)
        return located(copied, to, new_key)
    finally:
        held.unwrap().close()


def _agreed(files: Files, store: ZarrStore, key: Key, to: ZarrConfig) -> Outcome[None]:
    documents = documents_in(files)
    if not is_successful(documents):
        return Failure(documents.failure())
    found = documents.unwrap()
    if found is None or not is_item(kind_of(found), store.config.layout):
        return Failure(folder_of_nodes(store, key))
    if not is_item(kind_of(found), to.layout):
        return Failure(_otherwise(key, to, f"its layout is {to.layout.name}"))
    if to.ome.axes and to.layout is not ZarrLayout.ARRAY:
        return Failure(_otherwise(key, to, "its config names axes"))
    return _image_agreed(found, key, to) if found.kind == "group" else _bare(found, store, key, to)


def _is_listed(config: ZarrConfig, to: ZarrConfig, new_key: str) -> bool:
    """Whether more has to be written than the item: into the lists of labels, or of a plate."""
    if to.layout is ZarrLayout.PLATE and config.layout is not ZarrLayout.PLATE:
        return True
    return to.layout is not ZarrLayout.ARRAY and label_place(new_key) is not None


def _bare(found: Documents, store: ZarrStore, key: Key, to: ZarrConfig) -> Outcome[None]:
    """Whether an array that is no image would be written so."""
    if to.layout is ZarrLayout.PLATE:
        return Failure(_otherwise(key, to, "its fields are images"))
    if _is_level(store, key):
        return Failure(_otherwise(key, to, "it is a level, of which its image says what it is"))
    if found.zarr_format != writes_format(to):
        return Failure(_otherwise(key, to, f"it holds arrays of Zarr v{writes_format(to)}"))
    return and_then(array_meta(found), lambda meta: _array_agreed(meta, key, to))


def _image_agreed(image: Documents, key: Key, to: ZarrConfig) -> Outcome[None]:
    """Whether an image would be written so: no more is asked for than the version of OME-Zarr."""
    version = "0.5" if "ome" in image.attributes else "0.4"
    if version != to.ome.version:
        return Failure(_otherwise(key, to, f"it holds images of OME-Zarr {to.ome.version}"))
    asks = _asks(to) or to.ome.levels is not None or to.ome.downsampling != "mean"
    if asks or (to.layout is ZarrLayout.PLATE and to.chunk_strategy is not ChunkStrategy.FIELD):
        return Failure(_otherwise(key, to, "its config asks for other chunks, codecs or levels"))
    return Success(None)


def _is_level(store: ZarrStore, key: Key) -> bool:
    """Whether a load of an array gives what an image above it says of it."""
    from polystore.backends.zarr.ome.changing import documents_of_image
    from polystore.backends.zarr.ome.loading import level_metadata

    above = "" if store.config.layout is ZarrLayout.ARRAY else key.rpartition("/")[0]
    while above:
        image = documents_of_image(store, above).value_or(None)
        if image is not None:
            return level_metadata(image, key[len(above) + 1 :]) is not None
        above = above.rpartition("/")[0]
    return False


def _array_agreed(meta: ArrayMeta, key: Key, to: ZarrConfig) -> Outcome[None]:
    if not _asks(to):
        return Success(None)
    source, version = meta.documents, meta.documents.zarr_format
    spec = ArraySpec(meta.grid.shape, meta.dtype.str, meta.axes, meta.grid.chunk)
    plan = array_plan(spec, meta.dtype, to, {}, version)
    if is_successful(plan):
        text = plan.unwrap().documents["zarr.json" if version == 3 else ".zarray"]
        wanted = cast("dict[str, Json]", json.loads(text))
        if all(wanted.get(name) == source.fields.get(name) for name in _FORM):
            return Success(None)
    return Failure(_otherwise(key, to, "its config asks for other chunks, shards or codecs"))


_FORM = ("chunk_grid", "codecs", "chunks", "compressor")
"""The fields of an array's document, of v3 and of v2, that its config decides."""


def _asks(config: ZarrConfig) -> bool:
    """Whether a config says how arrays are to be cut or compressed; the default is content."""
    default = ZarrConfig(root=config.root, store=config.store)
    return (config.chunks, config.shards, config.compressor) != (
        default.chunks,
        default.shards,
        default.compressor,
    )


def _otherwise(key: str, config: ZarrConfig, reason: str) -> StorageError:
    return UnsupportedOperation(
        key,
        config,
        f"{key!r} would not be stored so in the other store: {reason}.",
        "Load it, and save what you get.",
    )
