"""Saving, deleting and moving OME-Zarr images, and the labels that their images list."""

from __future__ import annotations

from functools import partial

from attrs import evolve

from polystore.backends.zarr.arrays import save_array_region
from polystore.backends.zarr.elements.meta import Documents
from polystore.backends.zarr.given import fitting, host_array, options_refused
from polystore.backends.zarr.looking import located
from polystore.backends.zarr.ome.axes import inverse, permuted
from polystore.backends.zarr.ome.describe import metadata_in
from polystore.backends.zarr.ome.labels import (
    LabelPlace,
    label_place,
    with_label,
    without_label,
)
from polystore.backends.zarr.ome.loading import (
    StoredImage,
    image_documents,
    seen_image,
    stored_image,
)
from polystore.backends.zarr.ome.metadata import OmeImage, image_in
from polystore.backends.zarr.ome.pyramid import Downsampling
from polystore.backends.zarr.ome.regions import rewrite_region
from polystore.backends.zarr.ome.saving import LabelOf, new_image
from polystore.backends.zarr.tree import Files, ZarrStore, read_node
from polystore.core.errors import InvalidKey, NotFound, StorageError, UnsupportedOperation
from polystore.core.item import Item, Saved
from polystore.core.key import Key
from polystore.core.outcome import Failure, Outcome, Success, and_then, is_successful
from polystore.core.payload import HostArray, Payload, Region
from polystore.core.records import IfExists, SaveOptions
from polystore.core.region import Box, box_of

__all__ = ["delete_image", "documents_of_image", "move_image", "save_image", "save_image_region"]


def documents_of_image(store: ZarrStore, key: str) -> Outcome[Documents | None]:
    """Give the documents of the image under a key; `None` if something else is there."""
    return read_node(store.tree, key, seen_image)


def save_image(
    store: ZarrStore, key: Key, item: Item[Payload], how: SaveOptions, /
) -> Outcome[Saved]:
    """Save an array of any framework, or a lazy one, as an image with all its resolutions.

    Below `labels/` of an image, it is a label image of it, and is listed there.
    """
    refused = options_refused(store, key, how.options)
    if refused is not None:
        return Failure(refused)
    place = label_place(key)
    parent = Success(None) if place is None else _label_of(store, key, place)
    new = and_then(parent, lambda it: new_image(store, _named(item, key), it))
    if not is_successful(new):
        return located(Failure(new.failure()), store, key)
    image = new.unwrap()
    written = store.tree.build(key, how.if_exists, image.fill)
    if place is not None and is_successful(written):
        listed = _listed(store, place)
        if not is_successful(listed):
            return located(Failure(listed.failure()), store, key)

    def saved(is_new: bool) -> Saved:
        if not is_new:
            return Saved(key, store.config, "skipped", 0)
        return Saved(key, store.config, "written", image.nbytes, image.dropped)

    return located(written.map(saved), store, key)


def _named(item: Item[Payload], key: str) -> Item[Payload]:
    """Give an item under the key that it is saved under, by which it is named."""
    return item if item.key == key else Item(key, item.payload, item.metadata, item.history)


def _listed(store: ZarrStore, place: LabelPlace) -> Outcome[None]:
    return store.tree.amend(place.group, with_label(place.name, store.config.ome.version))


def _unlisted(store: ZarrStore, place: LabelPlace) -> Outcome[None]:
    """Take a label from the list of its image; fine if they are gone, and the list with them."""
    done = store.tree.amend(place.group, without_label(place.name))
    gone = not is_successful(done) and isinstance(done.failure(), NotFound)
    return Success(None) if gone else done


def _label_of(store: ZarrStore, key: str, place: LabelPlace) -> Outcome[LabelOf | None]:
    """Give what a label image has to know of its image, which must be there."""
    found = documents_of_image(store, place.image)
    if not is_successful(found) and isinstance(found.failure(), NotFound):
        message = f"There is no image {place.image!r} for this label."
        advice = "Save the image first; its labels are saved below it."
        return Failure(NotFound(key, store.config, message, advice))
    if not is_successful(found):
        return Failure(evolve(found.failure(), key=key))
    documents = found.unwrap()
    if documents is None:
        message = f"{place.image!r} is no image, and so has no labels."
        advice = "Save it below an image, or choose a key without the folder 'labels'."
        return Failure(InvalidKey(key, store.config, message, advice))
    image = image_in(documents.attributes)
    return and_then(image, lambda it: _as_label(store, it))


def _as_label(store: ZarrStore, image: OmeImage) -> Outcome[LabelOf | None]:
    ours = store.config.ome.version
    if image.version == ours:
        return Success(LabelOf(len(image.levels), metadata_in(image)))
    message = f"The image is OME-Zarr {image.version}, and the config writes {ours}."
    advice = f'Save its labels with ome=OmeOptions(version="{image.version}") in the config.'
    return Failure(UnsupportedOperation("", None, message, advice))


def save_image_region(
    store: ZarrStore, key: Key, item: Item[Payload], region: Region, /
) -> Outcome[Saved]:
    """Write an array into a region of an image, at every resolution; all of it in one step."""
    found = documents_of_image(store, key)
    if not is_successful(found):
        return located(Failure(found.failure()), store, key)
    if found.unwrap() is None:
        level = _level_of(store, key)
        return save_array_region(store, key, item, region) if level is None else Failure(level)
    host = host_array(store, item)
    if not is_successful(host):
        return located(Failure(host.failure()), store, key)
    array = host.unwrap()
    done = store.tree.patch(key, partial(_patched, store, region, array))
    return located(
        done.map(lambda _: Saved(key, store.config, "written", array.nbytes)), store, key
    )


def _level_of(store: ZarrStore, key: str) -> StorageError | None:
    """Say that a level of an image is not written alone; `None` for what is no level."""
    above = key.rpartition("/")[0]
    if not above or documents_of_image(store, above).value_or(None) is None:
        return None
    message = f"{key!r} is one resolution of the image {above!r}: the others would not show it."
    advice = f"Save the region into the image: {above!r}."
    return UnsupportedOperation(key, store.config, message, advice)


def _patched(
    store: ZarrStore, region: Region, array: HostArray, old: Files, new: Files
) -> Outcome[None]:
    found = image_documents(old)
    if not is_successful(found):
        return Failure(found.failure())
    documents = found.unwrap()
    if documents is None:
        message = "The image was replaced by something else meanwhile."
        return Failure(NotFound("", None, message, "Look at what is there now."))
    return and_then(
        stored_image(old, documents).outcome,
        lambda it: and_then(
            _box(it, region, array), lambda box: _rewritten(store, it, box, array, (old, new))
        ),
    )


def _box(image: StoredImage, region: Region, array: HostArray) -> Outcome[Box]:
    """Give the box of a region in the order of the item's axes, if the array fits it."""
    shape = permuted(image.meta.grid.shape, inverse(image.axes.order))
    return and_then(box_of(region, shape), lambda it: fitting(array, image.meta, it))


def _rewritten(
    store: ZarrStore, image: StoredImage, box: Box, array: HostArray, files: tuple[Files, Files]
) -> Outcome[None]:
    order = image.axes.order
    how: Downsampling = store.config.ome.downsampling
    if image.image.label is not None or image.image.downsampling == "nearest":
        how = "nearest"
    elif image.image.downsampling == "mean":
        how = "mean"
    return rewrite_region(files, image, permuted(box, order), array.transpose(order), how)


def delete_image(store: ZarrStore, key: Key, /) -> Outcome[None]:
    """Delete an image, an array, a link, or an empty group; a label is taken from the list first.

    So the list never names what is not there, whenever this process is killed.
    """
    place = label_place(key)
    if place is not None and is_successful(documents_of_image(store, key)):
        unlisted = _unlisted(store, place)
        if not is_successful(unlisted):
            return Failure(evolve(unlisted.failure(), key=key))
    return store.tree.delete(key)


def move_image(store: ZarrStore, old: Key, new: Key, if_exists: IfExists, /) -> Outcome[bool]:
    """Move an image, an array, a link or a group. To be a label, it has to be one already."""
    if store.tree.move is None:
        message = "This store cannot move what is in it."
        advice = "Save it under the new key, then delete it under the old one."
        return Failure(UnsupportedOperation(old, store.config, message, advice))
    source, target = label_place(old), label_place(new)
    if target is not None:
        ready = and_then(_label_of(store, new, target), lambda _: _is_label(store, old))
        if not is_successful(ready):
            return located(Failure(ready.failure()), store, new)
    moved = store.tree.move(old, new, if_exists)
    if not is_successful(moved) or not moved.unwrap():
        return moved
    after = Success(None) if target is None else _listed(store, target)
    if source is not None:
        after = and_then(after, lambda _: _unlisted(store, source))
    return located(after.map(lambda _: True), store, new)


def _is_label(store: ZarrStore, key: str) -> Outcome[None]:
    documents = documents_of_image(store, key)
    if not is_successful(documents):
        return Failure(documents.failure())
    found = documents.unwrap()
    image = None if found is None else image_in(found.attributes).value_or(None)
    if image is not None and image.label is not None:
        return Success(None)
    message = f"{key!r} is no label image, and labels hold nothing else."
    advice = "Load it, and save it under the new key: then it becomes one."
    return Failure(UnsupportedOperation(key, store.config, message, advice))
