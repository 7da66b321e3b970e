"""Saving the planes of a plate by the names of their files: a field grows as its planes come.

The first plane to come makes the image, just large enough to have a place for it. Each later one
adds its files, and the metadata that changes with them, in one step, and makes the arrays longer
where its place is past their end. Two such steps of a field never run at once, so that no plane is
lost. No file of elements holds two planes, so that none is written again for another plane.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve

from polystore.backends.oserrors import exists_already
from polystore.backends.zarr.elements.documents import document_bytes, documents_in, group_documents
from polystore.backends.zarr.elements.interpret import array_meta
from polystore.backends.zarr.elements.meta import ArrayMeta, Documents
from polystore.backends.zarr.elements.writing import array_writer
from polystore.backends.zarr.notes import notes_of
from polystore.backends.zarr.ome.axes import ImageAxes, dtype_problem
from polystore.backends.zarr.ome.describe import Form, described
from polystore.backends.zarr.ome.levels import PlannedLevel, plan_levels, write_documents
from polystore.backends.zarr.ome.metadata import OmeImage, image_in
from polystore.backends.zarr.ome.pyramid import Downsampling, halved, level_count
from polystore.backends.zarr.ome.saving import dataset_paths
from polystore.backends.zarr.plates.grouping import (
    FieldFiles,
    field_metadata,
    no_plane,
    no_planes_apart,
    place_along,
)
from polystore.backends.zarr.plates.names import axes_of, parsed
from polystore.backends.zarr.plates.newplane import NewPlane, attributes_with
from polystore.backends.zarr.plates.noted import Noted, PlanePlace, noted_in
from polystore.backends.zarr.plates.register import listed
from polystore.backends.zarr.plates.there import documents_at
from polystore.backends.zarr.tree import Files, ZarrStore
from polystore.configs import ChunkStrategy
from polystore.core.errors import (
    AlreadyExists,
    Corrupt,
    InvalidSpec,
    NotFound,
    StorageError,
    Unavailable,
    UnsupportedOperation,
    UnsupportedPayload,
)
from polystore.core.item import Item, Saved
from polystore.core.key import Key
from polystore.core.outcome import Failure, Outcome, Success, and_then, is_successful
from polystore.core.payload import ArraySpec, HostArray, Json, Payload, is_host_array
from polystore.core.records import IfExists, SaveOptions

__all__ = ["save_plane"]

_TURNS_MAX = 100
"""How often a save begins again because another made or deleted the field meanwhile."""


def save_plane(
    store: ZarrStore, key: Key, item: Item[Payload], how: SaveOptions, /
) -> Outcome[Saved]:
    """Save a plane into the image of its field, and have the field listed.

    `InvalidKey` for a name that does not fit, `UnsupportedPayload` for what is no plane, or is of
    another shape or dtype than those of its field; `InvalidSpec` for no template, and for files of
    elements that would hold several planes; `UnsupportedOperation` for a field that was saved
    whole, and in a store of objects; `Unavailable` if the field came and went all the time.
    """
    names = store.config.names
    if names is None or how.options is not None:
        message = f"A Zarr store does not take {type(how.options).__name__}."
        return Failure(UnsupportedPayload("", None, message, "Leave the options out."))
    if store.config.chunk_strategy is ChunkStrategy.WELL:
        return Failure(no_planes_apart(names))
    plane, axes = parsed(names, key), axes_of(names)
    if not is_successful(plane):
        return Failure(plane.failure())
    if store.config.store is not None and len(axes.unwrap()) > 2:
        return Failure(_in_objects(key, store))
    host = and_then(store.context.to_host(item), lambda it: _one_plane(key, it.payload))
    if not is_successful(host):
        return Failure(host.failure())
    notes, dropped = notes_of(item, store.context.to_spec)
    place = place_along(plane.unwrap(), axes.unwrap())
    new = NewPlane(
        store,
        names,
        key,
        Key(plane.unwrap().field_key),
        axes.unwrap(),
        place,
        _resolutions(store, host.unwrap()),
        item.metadata,
        notes,
    )
    written = _written(new, how.if_exists)
    return and_then(written, lambda it: _saved(new, written=it, dropped=dropped))


def _in_objects(key: Key, store: ZarrStore) -> UnsupportedOperation:
    return UnsupportedOperation(
        key,
        store.config,
        "A field does not grow by planes in a store of objects, where no two change in one step.",
        "Save each field whole, under a key such as 'A/1/0', with a config without names; or "
        "save the planes to a folder, and copy the fields from there.",
    )


def _saved(new: NewPlane, *, written: bool, dropped: tuple[str, ...]) -> Outcome[Saved]:
    config, nbytes = new.store.config, new.levels[0].nbytes
    saved = Saved(new.key, config, "written", nbytes, dropped)
    skipped = Saved(new.key, config, "skipped", 0)
    return listed(new.store, new.field).map(lambda _: saved if written else skipped)


def _one_plane(key: str, payload: Payload) -> Outcome[HostArray]:
    if not is_host_array(payload):
        message = f"A file of a plate is one array, and a {type(payload).__name__} is none."
        return Failure(UnsupportedPayload("", None, message, "Save its arrays one by one."))
    if payload.ndim != 2:
        return Failure(no_plane(key, payload.shape))
    refused = dtype_problem(payload.dtype, payload.shape)
    return Success(payload) if refused is None else Failure(refused)


def _resolutions(store: ZarrStore, plane: HostArray) -> tuple[HostArray, ...]:
    how: Downsampling = store.config.ome.downsampling
    levels = [plane]
    for _ in range(level_count(plane.shape, store.config.ome.levels) - 1):
        levels.append(halved(levels[-1], how))
    return tuple(levels)


def _written(new: NewPlane, if_exists: IfExists) -> Outcome[bool]:
    """Write the plane: into the image that is there, else into a new one; `False` if skipped."""
    for _ in range(_TURNS_MAX):
        documents = documents_at(new.store, new.field)
        if is_successful(documents):
            done = new.store.tree.patch(
                new.field, lambda old, files: _grown(new, old, files, if_exists)
            )
            if not is_successful(done) and isinstance(done.failure(), AlreadyExists):
                return Success(False) if if_exists == "skip" else Failure(done.failure())
            gone = not is_successful(done) and isinstance(done.failure(), NotFound)
            if not gone:
                return done.map(lambda _: True)
        elif isinstance(documents.failure(), NotFound):
            made = new.store.tree.build(new.field, "fail", lambda files: _begun(new, files))
            if is_successful(made) or not isinstance(made.failure(), AlreadyExists):
                return made
        else:
            return Failure(documents.failure())
    return Failure(
        Unavailable(
            new.key,
            new.store.config,
            f"The field {new.field!r} came and went {_TURNS_MAX} times while this was saved.",
            "Save it again when the others pause.",
        )
    )


def _begun(new: NewPlane, files: Files) -> Outcome[None]:
    """Write the image of a field whose first plane this is."""
    config, array = new.store.config, new.levels[0]
    shape = (*(number + 1 for number in new.place), *array.shape)
    paths = dataset_paths(len(new.levels))
    spec = ArraySpec(shape, str(array.dtype), new.axes, shape)
    planned = plan_levels(spec, array.dtype, config, paths)
    if not is_successful(planned):
        return Failure(planned.failure())
    levels = planned.unwrap()
    refused = _shared(levels)
    if refused is not None:
        return Failure(refused)
    files_of_field = FieldFiles(new.field, new.axes, shape[:-2], ())
    axes = ImageAxes(new.axes, tuple(range(len(new.axes))), new.axes)
    form = Form(config.ome.version, config.ome.downsampling, paths, new.field.rpartition("/")[2])
    image = described(field_metadata(files_of_field, new.metadata), axes, shape, form)
    for level, array_of_level in zip(levels, new.levels, strict=True):
        _write(files, level.plan.meta, level.below, (new.place, array_of_level))
        write_documents(files, level.below, level.plan.documents)
    noted = Noted(new.axes[:-2])
    attributes = attributes_with(new, image, noted, shape)
    zarr_format = levels[0].plan.meta.documents.zarr_format
    write_documents(files, "", group_documents(attributes, zarr_format))
    return Success(None)


def _shared(levels: tuple[PlannedLevel, ...]) -> InvalidSpec | None:
    """Say why planes cannot come one by one: a file of elements would hold several."""
    for level in levels:
        file = level.plan.meta.grid.file
        if any(length != 1 for length in file[:-2]):
            return InvalidSpec(
                "",
                None,
                f"Planes are saved one by one, and a file of the shape {file} holds several.",
                "Give chunks and shards that are 1 along all axes but y and x, or leave them out.",
                "chunks",
            )
    return None


def _grown(new: NewPlane, old: Files, files: Files, if_exists: IfExists) -> Outcome[None]:
    """Write the plane and the metadata that changes with it into the image of its field."""
    found = documents_in(old)
    attributes = found.map(lambda it: {} if it is None else it.attributes)
    image = and_then(attributes, image_in)
    noted = and_then(attributes, noted_in)
    if not is_successful(image):
        return Failure(image.failure())
    if not is_successful(noted):
        return Failure(noted.failure())
    known = noted.unwrap()
    if known is None or known.axes != new.axes[:-2] or image.unwrap().axes != new.axes:
        return Failure(_saved_otherwise(new, image.unwrap()))
    if new.place in known.saved and if_exists != "replace":
        return Failure(exists_already(new.key, new.store.config))
    levels = _levels(old, image.unwrap())
    if not is_successful(levels):
        return Failure(levels.failure())
    problem = _difference(new, levels.unwrap())
    if problem is not None:
        return Failure(problem)
    shape: tuple[int, ...] = ()
    for path, documents, array in reversed(
        [(*level, array) for level, array in zip(levels.unwrap(), new.levels, strict=True)]
    ):
        meta = _with_place(documents, new.place, files, f"{path}/")
        if not is_successful(meta):
            return Failure(meta.failure())
        shape = meta.unwrap().grid.shape
        _write(files, meta.unwrap(), f"{path}/", (new.place, array))
    words = attributes_with(new, image.unwrap(), known, shape)
    zarr_format = levels.unwrap()[0][1].zarr_format
    changed = group_documents(words, zarr_format)
    changed.pop(".zgroup", None)
    write_documents(files, "", changed)
    return Success(None)


def _levels(old: Files, image: OmeImage) -> Outcome[list[tuple[str, Documents]]]:
    levels: list[tuple[str, Documents]] = []
    for level in image.levels:
        found = documents_in(old, f"{level.path}/")
        if not is_successful(found):
            return Failure(found.failure())
        documents = found.unwrap()
        if documents is None or documents.kind != "array":
            message = f"The resolution {level.path!r} of the field is missing."
            return Failure(Corrupt("", None, message, "Save the field again from its files."))
        levels.append((level.path, documents))
    return Success(levels)


def _difference(new: NewPlane, levels: list[tuple[str, Documents]]) -> StorageError | None:
    """Say what keeps the plane from being one of the field."""
    first = array_meta(levels[0][1])
    if not is_successful(first):
        return first.failure()
    meta, array = first.unwrap(), new.levels[0]
    if meta.grid.shape[-2:] != array.shape or meta.dtype != array.dtype:
        return UnsupportedPayload(
            new.key,
            new.store.config,
            f"{new.key!r} is {array.dtype} of the shape {array.shape}, and the planes of the field "
            f"{new.field!r} are {meta.dtype} of the shape {meta.grid.shape[-2:]}.",
            "Convert it to what the others are, or save it to another plate.",
        )
    if len(levels) != len(new.levels):
        return InvalidSpec(
            new.key,
            new.store.config,
            f"The field {new.field!r} has {len(levels)} resolutions, and the config wants "
            f"{len(new.levels)}.",
            "Save it with the levels in OmeOptions that the field was begun with.",
            "ome",
        )
    return None


def _with_place(
    documents: Documents, place: PlanePlace, files: Files, below: str
) -> Outcome[ArrayMeta]:
    """Give the metadata of a level, which is made longer, and written, if it lacks the place."""
    before = array_meta(documents)
    if not is_successful(before):
        return before
    old = before.unwrap().grid.shape
    shape = (*(max(at + 1, length) for at, length in zip(place, old, strict=False)), *old[-2:])
    if shape == old:
        return before
    fields: dict[str, Json] = {**documents.fields, "shape": list(shape)}
    whole: Mapping[str, Json] = {**fields, "attributes": documents.attributes}
    name, content = ("zarr.json", whole) if documents.zarr_format == 3 else (".zarray", fields)
    write_documents(files, below, {name: document_bytes(content)})
    return array_meta(evolve(documents, fields=fields))


def _write(files: Files, meta: ArrayMeta, below: str, plane: tuple[PlanePlace, HostArray]) -> None:
    place, array = plane
    writer = array_writer(files, meta, below)
    writer.write((*place, 0, 0), array.reshape((*[1] * len(place), *array.shape)))
    writer.finish()


def _saved_otherwise(new: NewPlane, image: OmeImage) -> UnsupportedOperation:
    return UnsupportedOperation(
        new.key,
        new.store.config,
        f"The field {new.field!r} was saved whole, or by other names, along {image.axes}: "
        "it does not grow by planes.",
        "Delete the field and save all of its files, or save it whole again, without names.",
    )
