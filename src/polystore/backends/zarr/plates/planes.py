"""The planes of a plate by the names of their files: loading, listing, and saying what is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice, product
from typing import TypeVar

from attrs import evolve, frozen

from polystore.backends.refusals import no_formats
from polystore.backends.zarr.elements.documents import documents_in
from polystore.backends.zarr.elements.meta import ArrayMeta, Documents
from polystore.backends.zarr.elements.reading import read_elements
from polystore.backends.zarr.history import is_made_by
from polystore.backends.zarr.looking import guarded_look, kept_open, located
from polystore.backends.zarr.ome.describe import metadata_in
from polystore.backends.zarr.ome.loading import level_meta
from polystore.backends.zarr.ome.metadata import OmeImage, image_in
from polystore.backends.zarr.plates.grouping import lacking, plane_at
from polystore.backends.zarr.plates.metadata import is_name
from polystore.backends.zarr.plates.names import AXES, Plane, checked, formatted, parsed
from polystore.backends.zarr.plates.noted import Noted, PlanePlace, is_noted, noted_in
from polystore.backends.zarr.plates.there import documents_at
from polystore.backends.zarr.tree import Files, Seen, ZarrStore, read_node
from polystore.configs import PlateNames
from polystore.core.errors import NotFound, StorageError, UnsupportedOperation, not_found
from polystore.core.item import Event, Item, Metadata, Saved
from polystore.core.key import Key
from polystore.core.outcome import Failure, Outcome, Success, and_then, is_successful
from polystore.core.payload import ArraySpec, HostArray, LazyArray, Payload, Region
from polystore.core.records import Child, FileFormat, IfExists, Page, Stat
from polystore.core.region import Box, box_of

__all__ = [
    "delete_plane",
    "field_names",
    "lacking_places",
    "lacking_planes",
    "list_planes",
    "load_plane",
    "load_plane_lazily",
    "make_no_folder",
    "move_plane",
    "plane_children",
    "plane_made_by",
    "save_plane_region",
    "stat_plane",
]

T = TypeVar("T")

_LOOKED_FOR = 6
"""How many lacking planes are looked for, to be named in an error."""


@frozen
class _Field:
    """The image of a field, and a plane of it: `place` is its index along all axes but y and x.

    `noted` is `None` for a field that was saved whole, `meta` is of the full resolution.
    """

    image: OmeImage
    noted: Noted | None
    meta: ArrayMeta
    place: PlanePlace

    def box(self, rows: range, columns: range) -> Box:
        """Give the part of the array that a part of the plane is."""
        return (*(range(at, at + 1) for at in self.place), rows, columns)

    @property
    def whole(self) -> Box:
        """Give the part of the array that the plane is."""
        return self.box(*map(range, self.meta.grid.shape[-2:]))

    @property
    def below(self) -> str:
        """What the paths of the full resolution's files begin with."""
        return f"{self.image.levels[0].path}/"


def load_plane(
    store: ZarrStore, key: Key, format: FileFormat[object] | None, /
) -> Outcome[Item[Payload]]:
    """Give the plane as it was saved, with its own metadata and history."""

    def look(files: Files, field: _Field) -> Seen[Item[Payload]]:
        found = read_elements(files, field.meta, field.whole, store.config.max_bytes, field.below)
        about = _about(field)
        whole = and_then(about, lambda it: found.outcome.map(lambda array: _item(key, array, it)))
        return Seen(whole, found.complete)

    return _of_plane(store, key, _parsed(store, key, format), look)


def load_plane_lazily(
    store: ZarrStore, key: Key, format: FileFormat[object] | None, /
) -> Outcome[Item[LazyArray]]:
    """Give the plane to be read region by region, as it is now: not as others replace it later."""
    plane = _parsed(store, key, format)
    if not is_successful(plane):
        return Failure(plane.failure())
    held = store.tree.hold(Key(plane.unwrap().field_key))
    if not is_successful(held):
        return Failure(_about_plane(store, key, plane.unwrap(), held.failure()))
    files, close = held.unwrap().files, held.unwrap().close
    found = guarded_look(lambda: _field_of(files, plane.unwrap()).outcome)
    about = and_then(found, _about)
    if not is_successful(about):
        close()
        return Failure(_about_plane(store, key, plane.unwrap(), about.failure()))
    field = found.unwrap()
    grid = field.meta.grid
    spec = ArraySpec(grid.shape[-2:], str(field.meta.dtype), ("y", "x"), grid.chunk[-2:])

    def read(region: Region) -> Outcome[HostArray]:
        return and_then(box_of(region, spec.shape), lambda it: _part(store, files, field, it))

    lazy = kept_open(LazyArray(spec, read), close, key, store.config)
    return Success(Item(key, lazy, *about.unwrap()))


def _part(store: ZarrStore, files: Files, field: _Field, box: Box) -> Outcome[HostArray]:
    rows, columns = box
    most, part = store.config.max_bytes, field.box(rows, columns)
    found = read_elements(files, field.meta, part, most, field.below)
    return found.outcome.map(lambda it: it.reshape(len(rows), len(columns)))


def _item(key: Key, array: HostArray, about: tuple[Metadata, tuple[Event, ...]]) -> Item[Payload]:
    return Item(key, array.reshape(array.shape[-2:]), *about)


def _about(field: _Field) -> Outcome[tuple[Metadata, tuple[Event, ...]]]:
    """Give the metadata and history of a plane: its own, or of a field saved whole, the field's."""
    if field.noted is not None:
        notes = field.noted.notes_of(field.place)
        return notes.map(lambda it: (it.metadata, it.history))
    said = metadata_in(field.image)
    names = said.channel_names
    axis = field.image.axes.index("c") if "c" in field.image.axes else None
    own = (names[field.place[axis]],) if names and axis is not None else ()
    metadata = Metadata(
        axes=("y", "x"),
        scale=said.scale[-2:],
        unit=said.unit[-2:],
        channel_names=own if any(own) else (),
    )
    return Success((metadata, ()))


def stat_plane(store: ZarrStore, key: Key, /) -> Outcome[Stat]:
    """Give the size and the age of a plane, or say that planes' names begin with this folder."""

    def look(files: Files, field: _Field) -> Seen[Stat]:
        nbytes = 0
        for place in field.meta.grid.files_in(field.whole):
            file = files.open(field.below + field.meta.file_name(place))
            if file is not None:
                nbytes += file.size
                file.close()
        modified, etag = files.mark()
        return Seen(Success(Stat("file", nbytes, modified, None, etag)))

    found = _of_plane(store, key, _parsed(store, key), look)
    names = _names(store)
    if is_successful(found) or not is_successful(checked(names)) or "/" not in names.template:
        return found
    folder = any(is_successful(page) and page.unwrap() for page in list_planes(store, key))
    return Success(Stat("folder", None, None)) if folder else found


def list_planes(store: ZarrStore, folder: str, /) -> Iterator[Outcome[Page]]:
    """Give the names of all planes that are there, a field at a time, lazily, in no order."""
    names = _names(store)
    template = checked(names)
    if not is_successful(template):
        yield Failure(template.failure())
        return
    below = f"{folder}/" if folder else ""
    for page in store.tree.list(""):
        if not is_successful(page):
            yield page
            continue
        for field in page.unwrap():
            found = field_names(store, field) if _is_field(field) else Success(())
            if is_successful(found):
                yield Success(tuple(Key(it) for it in found.unwrap() if it.startswith(below)))
            elif not isinstance(found.failure(), NotFound):  # deleted meanwhile
                yield Failure(found.failure())


def _is_field(key: str) -> bool:
    parts = key.split("/")
    return len(parts) == 3 and all(map(is_name, parts))


def field_names(store: ZarrStore, field: str) -> Outcome[tuple[str, ...]]:
    """Give the names of the planes of a field that are there; none for those that have no name."""

    def look(files: Files, found: _Field) -> Seen[tuple[str, ...]]:
        axes, shape = found.image.axes, found.meta.grid.shape
        places: Iterator[PlanePlace] = product(*map(range, shape[:-2]))
        if found.noted is not None:
            axes, places = (*found.noted.axes, "y", "x"), iter(found.noted.saved)
        if not set(axes[:-2]) <= {*AXES} or axes[-2:] != ("y", "x"):
            return Seen(Success(()))
        try:
            planes = [plane_at(field, axes[:-2], place) for place in places]
        except ValueError:  # a column or field that is no number: others called it so
            return Seen(Success(()))
        called = [formatted(_names(store), plane) for plane in planes]
        return Seen(Success(tuple(it.unwrap() for it in called if is_successful(it))))

    return _of_field(store, field, None, look)


def plane_children(store: ZarrStore, folder: str, /) -> Iterator[Outcome[tuple[Child, ...]]]:
    """Give what stands directly in a folder of names, which are parts of the template."""
    seen: set[str] = set()
    below = f"{folder}/" if folder else ""
    for page in list_planes(store, folder):
        if not is_successful(page):
            yield Failure(page.failure())
            continue
        for key in page.unwrap():
            name, slash, _ = key.removeprefix(below).partition("/")
            if name not in seen:
                seen.add(name)
                yield Success((Child(Key(below + name), "folder" if slash else "file"),))


def plane_made_by(store: ZarrStore, key: Key, history: tuple[Event, ...], /) -> Outcome[bool]:
    """Whether a plane has that history, or has noted none."""

    def look(_files: Files, field: _Field) -> Seen[bool]:
        spec = store.context.to_spec
        return Seen(_about(field).map(lambda it: is_made_by(it[1], history, spec)))

    return _of_plane(store, key, _parsed(store, key), look)


def delete_plane(store: ZarrStore, key: Key, /) -> Outcome[None]:
    """Refuse to delete one plane of a field: `UnsupportedOperation`."""
    return Failure(_only_fields(store, key, "deleted"))


def move_plane(store: ZarrStore, old: Key, new: Key, if_exists: IfExists, /) -> Outcome[bool]:
    """Refuse to move one plane of a field: `UnsupportedOperation`."""
    return Failure(_only_fields(store, old, "moved"))


def save_plane_region(
    store: ZarrStore, key: Key, item: Item[Payload], region: Region, /
) -> Outcome[Saved]:
    """Refuse to write a part of a plane: `UnsupportedOperation`."""
    return Failure(_only_fields(store, key, "written in part"))


def make_no_folder(store: ZarrStore, key: Key, /) -> Outcome[None]:
    """Refuse to make a folder, which is but a part of names here: `UnsupportedOperation`."""
    message = "The keys of this plate are names of files, and its folders are parts of them."
    advice = "Save the files; a folder is there as long as one of them is."
    return Failure(UnsupportedOperation(key, store.config, message, advice))


def _only_fields(store: ZarrStore, key: Key, what: str) -> StorageError:
    field = parsed(_names(store), key).map(lambda it: it.field_key).value_or("A/1/0")
    return UnsupportedOperation(
        key,
        store.config,
        f"A plane of a plate cannot be {what} alone: its field is one image.",
        f"Delete or move the field {field!r} with a config without names, or replace the plane: "
        'save(plate, if_exists="replace").',
    )


def lacking_planes(store: ZarrStore, field: Key) -> Outcome[NotFound | None]:
    """Give the error for a field that lacks planes; `None` for one that is whole, or no field."""

    def error(axes: tuple[str, ...], places: tuple[PlanePlace, ...]) -> NotFound | None:
        said = lacking(store.config.names, field, axes, places)
        return evolve(said, config=store.config) if places else None

    return lacking_places(store, field).map(lambda it: error(*it))


def lacking_places(
    store: ZarrStore, field: Key
) -> Outcome[tuple[tuple[str, ...], tuple[PlanePlace, ...]]]:
    """Give the axes of a field and the first places along them whose planes were never saved.

    There are none of a field that is whole, or was saved so, and where there is no field.
    """

    def look(_files: Files, found: _Field) -> Seen[tuple[tuple[str, ...], tuple[PlanePlace, ...]]]:
        if found.noted is None:
            return Seen(Success(((), ())))
        missing = found.noted.lacking(found.meta.grid.shape[:-2])
        return Seen(Success((found.noted.axes, tuple(islice(missing, _LOOKED_FOR)))))

    documents = documents_at(store, field)
    known = documents.unwrap() if is_successful(documents) else None
    if known is None or not is_noted(known.attributes):
        return Success(((), ()))
    return _of_field(store, field, None, look)


def _names(store: ZarrStore) -> PlateNames:
    return store.config.names or PlateNames("")


def _parsed(store: ZarrStore, key: Key, format: FileFormat[object] | None = None) -> Outcome[Plane]:
    if format is not None:
        return Failure(no_formats("A Zarr store", key, store.config))
    return located(parsed(_names(store), key), store, key)


def _of_plane(
    store: ZarrStore, key: Key, plane: Outcome[Plane], look: Callable[[Files, _Field], Seen[T]]
) -> Outcome[T]:
    """Give what is seen of a plane that is there; `NotFound` for one that was never saved."""
    if not is_successful(plane):
        return Failure(plane.failure())
    found = _of_field(store, plane.unwrap().field_key, plane.unwrap(), look)
    return found.alt(lambda error: _about_plane(store, key, plane.unwrap(), error))


def _about_plane(store: ZarrStore, key: Key, plane: Plane, error: StorageError) -> StorageError:
    """Give an error of a field as one of its plane; names that are near are those in its field."""
    if not isinstance(error, NotFound):
        return evolve(error, key=key, config=store.config)
    siblings = field_names(store, plane.field_key).value_or(())
    return not_found(key, store.config, siblings)


def _of_field(
    store: ZarrStore, key: str, plane: Plane | None, look: Callable[[Files, _Field], Seen[T]]
) -> Outcome[T]:
    def seen(files: Files) -> Seen[T]:
        field = _field_of(files, plane)
        if not is_successful(field.outcome):
            return Seen(Failure(field.outcome.failure()), field.complete)
        return look(files, field.outcome.unwrap())

    return located(read_node(store.tree, key, seen), store, key)


def _field_of(files: Files, plane: Plane | None) -> Seen[_Field]:
    found = documents_in(files)
    if not is_successful(found):
        return Seen(Failure(found.failure()))
    documents = found.unwrap()
    if documents is None:
        return Seen(Failure(not_found("", None, ())), complete=False)
    return _field_in(files, documents, plane)


def _field_in(files: Files, documents: Documents, plane: Plane | None) -> Seen[_Field]:
    image, noted = image_in(documents.attributes), noted_in(documents.attributes)
    if not is_successful(image):
        return Seen(Failure(image.failure()))
    if not is_successful(noted):
        return Seen(Failure(noted.failure()))
    meta = level_meta(files, image.unwrap(), image.unwrap().levels[0])
    if not is_successful(meta.outcome):
        return Seen(Failure(meta.outcome.failure()), meta.complete)
    grid, axes, known = meta.outcome.unwrap().grid, image.unwrap().axes, noted.unwrap()
    place = (0,) * (len(axes) - 2)
    if plane is not None:
        at: dict[str, int] = dict(zip(AXES, plane.place, strict=True))
        place = tuple(at.pop(axis, 0) for axis in axes[:-2])
        is_there = all(number < length for number, length in zip(place, grid.shape, strict=False))
        if any(at.values()) or not is_there or (known is not None and place not in known.saved):
            return Seen(Failure(not_found(plane.field_key, None, ())))
    return Seen(Success(_Field(image.unwrap(), known, meta.outcome.unwrap(), place)))
