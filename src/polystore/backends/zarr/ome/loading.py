"""Reading an OME-Zarr image, ours or another's, from the files of its node."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve, frozen

from polystore.backends.zarr.elements.documents import documents_in
from polystore.backends.zarr.elements.interpret import array_meta
from polystore.backends.zarr.elements.meta import ArrayMeta, Documents
from polystore.backends.zarr.elements.reading import lazy_array, read_elements
from polystore.backends.zarr.kind import kind_of
from polystore.backends.zarr.notes import OURS, Notes, notes_in
from polystore.backends.zarr.ome.axes import ImageAxes, inverse, lazy_transposed, permuted
from polystore.backends.zarr.ome.describe import agreed, metadata_in
from polystore.backends.zarr.ome.metadata import Level, OmeImage, image_in
from polystore.backends.zarr.ome.saving import TRANSPOSED
from polystore.backends.zarr.tree import Files, Seen
from polystore.core.errors import Corrupt, StorageError
from polystore.core.item import Item, Metadata
from polystore.core.outcome import Failure, Outcome, Success, and_then, is_successful
from polystore.core.payload import HostArray, Json, LazyArray, Payload
from polystore.core.region import whole

__all__ = [
    "StoredImage",
    "image_documents",
    "lazy_image",
    "level_meta",
    "level_metadata",
    "load_image",
    "seen_image",
    "stored_image",
]


@frozen
class StoredImage:
    """What the metadata of an image says, and its array at full resolution.

    `axes` says how the item's axes are found in the array; `metadata` is of the item.
    """

    image: OmeImage
    axes: ImageAxes
    metadata: Metadata
    notes: Notes
    meta: ArrayMeta

    @property
    def below(self) -> str:
        """What the paths of the full resolution's files begin with."""
        return f"{self.image.levels[0].path}/"


def image_documents(files: Files) -> Outcome[Documents | None]:
    """Give the documents of an image; `None` if the node is none. Raises `OSError`."""
    found = documents_in(files)
    if not is_successful(found):
        return Failure(found.failure())
    documents = found.unwrap()
    is_one = documents is not None and kind_of(documents) == "image"
    return Success(documents if is_one else None)


def seen_image(files: Files) -> Seen[Documents | None]:
    """Give the same for a node that may be replaced meanwhile.

    That it is none is then never complete: its documents may have been removed one by one.
    """
    found = image_documents(files)
    return Seen(found, complete=found.value_or(None) is not None)


def stored_image(files: Files, documents: Documents) -> Seen[StoredImage]:
    """Give what an image is, by the documents of its group.

    `Corrupt` for damaged or contradictory metadata, `UnsupportedOperation` for versions that are
    not read. Raises `OSError`.
    """
    found = image_in(documents.attributes)
    if not is_successful(found):
        return Seen(Failure(found.failure()))
    image = evolve(found.unwrap(), others=_without_ours(found.unwrap().others))
    ours = {name: documents.attributes[name] for name in (OURS,) if name in documents.attributes}
    notes = notes_in(evolve(documents, attributes=ours))
    if not is_successful(notes):
        return Seen(Failure(notes.failure()))
    meta = level_meta(files, image, image.levels[0])
    return Seen(
        and_then(meta.outcome, lambda it: _known(documents, image, notes.unwrap(), it)),
        meta.complete,
    )


def _without_ours(attributes: Mapping[str, Json]) -> Mapping[str, Json]:
    return {name: value for name, value in attributes.items() if name != OURS}


def _known(
    documents: Documents, image: OmeImage, notes: Notes, meta: ArrayMeta
) -> Outcome[StoredImage]:
    if not notes.dense:  # another's
        axes = ImageAxes(image.axes, tuple(range(len(image.axes))), image.axes)
        return Success(StoredImage(image, axes, metadata_in(image), notes, meta))
    order = _order(documents.attributes.get(OURS), len(image.axes))
    if order is None:
        return Failure(_misnoted())
    said = permuted(image.axes, inverse(order))
    axes = ImageAxes(image.axes, order, notes.metadata.axes or said)
    metadata = agreed(notes.metadata, axes, meta.grid.shape, image)
    return Success(StoredImage(image, axes, metadata, notes, meta))


def _order(ours: Json, ndim: int) -> tuple[int, ...] | None:
    said = ours.get(TRANSPOSED) if isinstance(ours, Mapping) else None
    if said is None:
        return tuple(range(ndim))
    numbers = [n for n in said if isinstance(n, int)] if isinstance(said, list) else []
    return tuple(numbers) if sorted(numbers) == list(range(ndim)) else None


def _misnoted() -> StorageError:
    return Corrupt(
        "",
        None,
        f"The attribute {OURS!r} of this image is damaged: it does not say the order of its axes.",
        "Save the image again from its source, or load its full resolution: 'image/0'.",
    )


def level_meta(files: Files, image: OmeImage, level: Level) -> Seen[ArrayMeta]:
    """Give what the array of a level is; `Corrupt` where there is none, or one of other axes."""
    documents = documents_in(files, f"{level.path}/")
    if not is_successful(documents):
        return Seen(Failure(documents.failure()))
    known = documents.unwrap()
    if known is None or known.kind != "array":
        reason = f"its metadata names an array {level.path!r}, which is not there"
        return Seen(Failure(_contradictory(reason)), complete=known is not None)
    meta = array_meta(known)
    if is_successful(meta) and len(meta.unwrap().grid.shape) != len(image.axes):
        reason = f"it names {len(image.axes)} axes, and its array has others"
        return Seen(Failure(_contradictory(reason)))
    return Seen(meta)


def _contradictory(reason: str) -> StorageError:
    return Corrupt(
        "",
        None,
        f"The OME-Zarr metadata of this image is wrong: {reason}.",
        "Save the image again from its source.",
    )


def load_image(files: Files, documents: Documents, key: str, max_bytes: int) -> Seen[Item[Payload]]:
    """Give an image at full resolution, its axes as they were saved, with all that is known of it.

    `TooLarge` beyond `max_bytes`. Raises `OSError`.
    """
    seen = stored_image(files, documents)
    if not is_successful(seen.outcome):
        return Seen(Failure(seen.outcome.failure()), seen.complete)
    found = seen.outcome.unwrap()
    elements = read_elements(
        files, found.meta, whole(found.meta.grid.shape), max_bytes, found.below
    )
    back = inverse(found.axes.order)

    def item(array: HostArray) -> Item[Payload]:
        payload = array.transpose(back) if found.axes.is_moved else array
        return Item(key, payload, found.metadata, found.notes.history)

    return Seen(elements.outcome.map(item), elements.complete)


def lazy_image(
    files: Files, documents: Documents, key: str, max_bytes: int
) -> Outcome[Item[LazyArray]]:
    """Give an image as `load_image` does, to be read region by region while the files stay open."""
    seen = stored_image(files, documents)
    if not is_successful(seen.outcome):
        return Failure(seen.outcome.failure())
    found = seen.outcome.unwrap()
    lazy = lazy_array(files, found.meta, max_bytes, found.below)
    back = lazy_transposed(lazy, inverse(found.axes.order), found.axes.said)
    return Success(Item(key, back, found.metadata, found.notes.history))


def level_metadata(documents: Documents, path: str) -> Metadata | None:
    """Give what an image says of one of its levels, by its path; `None` if that is none."""
    found = image_in(documents.attributes)
    if not is_successful(found):
        return None
    image = evolve(found.unwrap(), others={}, omero=None, label=None)
    paths = [level.path for level in image.levels]
    return metadata_in(image, paths.index(path)) if path in paths else None
