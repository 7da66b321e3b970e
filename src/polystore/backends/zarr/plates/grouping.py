"""The files of a plate by the fields that they are planes of, and a field's files as one array."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice, product
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from polystore.backends.zarr.plates.names import (
    AXES,
    Plane,
    axes_of,
    channel_names,
    formatted,
    parsed,
)
from polystore.configs import PlateNames
from polystore.core.errors import InvalidSpec, NotFound, UnsupportedPayload
from polystore.core.item import Event, Item, Metadata
from polystore.core.key import natural_order
from polystore.core.outcome import Failure, Outcome, Success, and_then, is_successful
from polystore.core.payload import ArraySpec, HostArray, LazyArray, Region, aligned_empty
from polystore.core.region import box_of, lengths, region_of

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "FieldFiles",
    "field_metadata",
    "fields_of",
    "lacking",
    "no_plane",
    "no_planes_apart",
    "place_along",
    "plane_at",
    "said_places",
    "stacked",
]

_SHOWN = 5
"""How many of what is lacking are named."""


@frozen
class FieldFiles:
    """The files of one field: `files` in the order of their planes along `axes` but for y and x.

    `key` is the field's in the plate, `shape` how many planes there are along each of those axes,
    `channels` what the channels are called by the names of the files.
    """

    key: str
    axes: tuple[str, ...]
    shape: tuple[int, ...]
    files: tuple[str, ...]
    channels: tuple[str, ...] = ()


def fields_of(names: PlateNames, keys: Iterable[str]) -> Outcome[tuple[FieldFiles, ...]]:
    """Give the fields that files with such names are the planes of, in natural order.

    `InvalidKey` for a name that does not fit; `NotFound` if a field lacks planes that it should
    have, by the numbers of the others; `InvalidSpec` for no template.

    >>> names = PlateNames("{row}{column:02}_s{field}_w{channel}.tif")
    >>> fields = fields_of(names, ["A01_s1_w2.tif", "A01_s1_w1.tif", "B01_s1_w1.tif"]).unwrap()
    >>> fields[0]
    FieldFiles(key='A/1/0', axes=('c', 'y', 'x'), shape=(2,),
        files=('A01_s1_w1.tif', 'A01_s1_w2.tif'), channels=('w1', 'w2'))
    """
    axes = axes_of(names)
    if not is_successful(axes):
        return Failure(axes.failure())
    groups: dict[str, dict[tuple[int, ...], str]] = {}
    for key in keys:
        plane = parsed(names, key)
        if not is_successful(plane):
            return Failure(plane.failure())
        place = place_along(plane.unwrap(), axes.unwrap())
        groups.setdefault(plane.unwrap().field_key, {})[place] = key  # one name is one plane
    fields: list[FieldFiles] = []
    for key in sorted(groups, key=natural_order):
        group = _field(names, key, axes.unwrap(), groups[key])
        if not is_successful(group):
            return Failure(group.failure())
        fields.append(group.unwrap())
    return Success(tuple(fields))


def place_along(plane: Plane, axes: Sequence[str]) -> tuple[int, ...]:
    """Give where a plane is along those axes that are not y and x.

    >>> place_along(Plane("A", 1, channel=2, z=3), ("c", "z", "y", "x"))
    (2, 3)
    """
    at: dict[str, int] = dict(zip(AXES, plane.place, strict=True))
    return tuple(at[axis] for axis in axes[:-2])


def plane_at(field: str, axes: Sequence[str], place: Sequence[int]) -> Plane:
    """Give the plane of a field (`"A/1/0"`) that is at a place along axes.

    >>> plane_at("A/1/0", ("c", "z"), (2, 3))
    Plane(row='A', column=1, field=0, channel=2, z=3, t=0)
    """
    row, column, number = field.split("/")
    at = dict(zip(axes, place, strict=False))
    return Plane(row, int(column), int(number), at.get("c", 0), at.get("z", 0), at.get("t", 0))


def _field(
    names: PlateNames, key: str, axes: tuple[str, ...], files: dict[tuple[int, ...], str]
) -> Outcome[FieldFiles]:
    shape = tuple(max(numbers) + 1 for numbers in zip(*files, strict=True))
    places = product(*map(range, shape))
    missing = tuple(islice((place for place in places if place not in files), _SHOWN + 1))
    if missing:
        return Failure(lacking(names, key, axes, missing))
    channels = channel_names(names, shape[axes.index("c")]) if "c" in axes else ()
    ordered = tuple(files[place] for place in product(*map(range, shape)))
    return Success(FieldFiles(key, axes, shape, ordered, channels))


def lacking(
    names: PlateNames | None, key: str, axes: Sequence[str], places: Sequence[tuple[int, ...]]
) -> NotFound:
    """Give the error for a field without some of its planes: what they are called, as far as known.

    >>> print(lacking(None, "A/1/0", ("c", "z"), [(0, 1)]).message)
    The field 'A/1/0' lacks planes that were never saved: c=0, z=1.
    """
    planes = said_places(names, key, axes, places)
    return NotFound(
        key,
        None,
        f"The field {key!r} lacks planes that were never saved: {planes}.",
        "Save those too, or load its planes one by one, with the names of their files. If there "
        "are no such files, say what the names count from: PlateNames(first=...), or --first.",
    )


def said_places(
    names: PlateNames | None, key: str, axes: Sequence[str], places: Sequence[tuple[int, ...]]
) -> str:
    """Say which planes of a field there are at places: what they are called, as far as known.

    >>> said_places(None, "A/1/0", ("c",), [(0,), (2,)])
    'c=0; c=2'
    """
    words: list[str] = []
    for place in places[:_SHOWN]:
        name = None
        if names is not None:
            name = formatted(names, plane_at(key, axes, place)).map(repr).value_or("")
        at = ", ".join(f"{axis}={number}" for axis, number in zip(axes, place, strict=False))
        words.append(name or at)
    more = " and others" if len(places) > _SHOWN else ""
    return f"{'; '.join(words)}{more}"


def stacked(
    field: FieldFiles, plane: Callable[[str], Outcome[Item[LazyArray]]]
) -> Outcome[Item[LazyArray]]:
    """Give the files of a field as one lazy array, under the key of the field.

    `plane` gives a file by its key, to be read lazily. The first file says the shape, dtype and
    metadata; a plane that differs is `UnsupportedPayload` when it is read. A read opens the files
    that its region is in, one after the other.

    >>> import numpy as np
    >>> def plane(key: str) -> Outcome[Item[LazyArray]]:
    ...     array = np.full((2, 3), int(key[4]), np.uint8)
    ...     lazy = LazyArray(ArraySpec((2, 3), "uint8", (), (2, 3)), lambda it: Success(array[it]))
    ...     return Success(Item(key, lazy))
    >>> field = fields_of(PlateNames("{row}{column}_w{channel}"), ["A1_w1", "A1_w2"]).unwrap()[0]
    >>> stack = stacked(field, plane).unwrap()
    >>> stack.key, stack.payload.spec.shape, stack.metadata.channel_names
    ('A/1/0', (2, 2, 3), ('w1', 'w2'))
    >>> stack.payload.read((slice(1, 2), slice(0, 1), slice(0, 2))).unwrap().tolist()
    [[[2, 2]]]
    """
    return and_then(plane(field.files[0]), lambda first: _stacked(field, first, plane))


def _stacked(
    field: FieldFiles, first: Item[LazyArray], plane: Callable[[str], Outcome[Item[LazyArray]]]
) -> Outcome[Item[LazyArray]]:
    own = first.payload.spec
    if len(own.shape) != 2:
        return Failure(no_plane(first.key, own.shape))
    leading = len(field.shape)
    spec = ArraySpec((*field.shape, *own.shape), own.dtype, field.axes, (1,) * leading + own.blocks)

    def read(region: Region) -> Outcome[HostArray]:
        return and_then(box_of(region, spec.shape), lambda box: _read(field, own, plane, box))

    history: tuple[Event, ...] = first.history
    return Success(
        Item(field.key, LazyArray(spec, read), field_metadata(field, first.metadata), history)
    )


def field_metadata(field: FieldFiles, first: Metadata) -> Metadata:
    """Give the metadata of a field: that of a plane of it, with the axes in front of y and x."""
    leading = len(field.shape)
    scale, unit = first.scale, first.unit
    if first.axes == ("x", "y"):
        scale, unit = scale[::-1], unit[::-1]
    return evolve(
        first,
        axes=field.axes,
        scale=(1.0,) * leading + scale if len(scale) == 2 else (),
        unit=("",) * leading + unit if len(unit) == 2 else (),
        channel_names=field.channels,
    )


def _read(
    field: FieldFiles,
    own: ArraySpec,
    plane: Callable[[str], Outcome[Item[LazyArray]]],
    box: tuple[range, ...],
) -> Outcome[HostArray]:
    """Read a region, file by file."""
    out: HostArray | None = None
    leading = len(field.shape)
    inner = region_of(box[leading:])
    strides = [1]
    for length in reversed(field.shape[1:]):
        strides.insert(0, strides[0] * length)
    places = list(product(*box[:leading])) or [(0,) * leading]
    for number, place in enumerate(places):
        index = sum(at * step for at, step in zip(place, strides, strict=False))
        part = _plane_part(field.files[index], own, plane, inner)
        if not is_successful(part):
            return part
        array = part.unwrap()
        if out is None:
            out = _room(lengths(box), array.dtype)
        if out.size:
            out.reshape(-1, *array.shape)[number] = array
    return Success(_room(lengths(box), "u1") if out is None else out)


def _room(shape: tuple[int, ...], dtype: np.dtype[np.generic] | str) -> HostArray:
    import numpy as np

    return aligned_empty(shape, np.dtype(dtype))


def _plane_part(
    key: str,
    own: ArraySpec,
    plane: Callable[[str], Outcome[Item[LazyArray]]],
    region: Region,
) -> Outcome[HostArray]:
    found = plane(key)
    if not is_successful(found):
        return Failure(found.failure())
    spec = found.unwrap().payload.spec
    if (spec.shape, spec.dtype) != (own.shape, own.dtype):
        return Failure(
            UnsupportedPayload(
                key,
                None,
                f"{key!r} holds {spec.dtype} of the shape {spec.shape}; the first plane of its "
                f"field is {own.dtype} of the shape {own.shape}.",
                "Make the files of a field alike, or save them to another layout.",
            )
        )
    return found.unwrap().payload.read(region)


def no_plane(key: str, shape: tuple[int, ...]) -> UnsupportedPayload:
    """Give the error for an array that is no plane of a field.

    >>> print(no_plane("A01.tif", (5, 4, 3)).message)
    A file of a plate is one plane, of 2 axes, and this array has the shape (5, 4, 3).
    """
    return UnsupportedPayload(
        key,
        None,
        f"A file of a plate is one plane, of 2 axes, and this array has the shape {shape}.",
        "Save its planes one by one, or the field whole: under 'A/1/0', by a config without names.",
    )


def no_planes_apart(names: PlateNames) -> InvalidSpec:
    """Give the error for planes that come one by one into files that hold several."""
    return InvalidSpec(
        "",
        None,
        "With chunk_strategy=WELL a file holds all planes of a field, which cannot come one by one:"
        f" the names {names.template!r} are of single planes.",
        "Use ChunkStrategy.FIELD, or save each field whole, under a key such as 'A/1/0'.",
        "chunk_strategy",
    )
