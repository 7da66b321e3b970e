"""Many files as one lazy array."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias, cast

from attrs import evolve, frozen

from polystore.backends.target import Target
from polystore.core.errors import (
    InvalidSpec,
    NotFound,
    StorageError,
    TooLarge,
    UnsupportedOperation,
    UnsupportedPayload,
)
from polystore.core.item import Event, Item, Metadata
from polystore.core.key import Key, KeyLike, suffix_of
from polystore.core.outcome import Failure, Outcome, Success, and_then, is_successful
from polystore.core.payload import (
    ArraySpec,
    HostArray,
    LazyArray,
    Payload,
    Region,
    aligned_empty,
    is_host_array,
)
from polystore.core.records import Source
from polystore.core.region import box_of
from polystore.core.version import __version__
from polystore.dispatch import Dispatcher, default_dispatcher
from polystore.files.listing import list_files
from polystore.files.target import on_folder
from polystore.frameworks.handover import payload_on_host
from polystore.steps.load import Load

if TYPE_CHECKING:
    import numpy as np

__all__ = ["load_stack"]

Plane: TypeAlias = Item[LazyArray]


@frozen
class _Planes:
    """The files of a stack, and what each of them must be."""

    dispatcher: Dispatcher
    store: Source[Payload]
    keys: tuple[Key, ...]
    spec: ArraySpec


def load_stack(  # noqa: PLR0913 - what is stacked, word by word
    store: Source[object],
    *,
    folder: KeyLike = "",
    pattern: str | None = None,
    axis: str = "z",
    recursive: bool = True,
    dispatcher: Dispatcher | None = None,
) -> Outcome[Item[LazyArray]]:
    """Give many files, in natural order, as one lazy array with a new first axis.

    The files are those that `list_files` gives for `folder`, `pattern` and `recursive`; `NotFound`
    if there is none. All must be arrays of one shape and dtype: `UnsupportedPayload` names the
    first that differs. Of files that can be read lazily (TIFF) the header says so, and all are
    checked at once; of others the first is loaded, and the rest are checked when they are read.

    A file is open only while it is looked at or read, so that the number of files does not count. A
    read opens the files that its region asks for, one after the other, and takes memory for the
    region and for what one file is read with. It reads what is there then: a file that was removed
    or has changed its shape meanwhile is an error that names it.

    The item's key is that of the folder (or `stack`) with the suffix of the files: `rename` it to
    save it. Its metadata is the first file's, with the new axis in front, of scale 1.0 and no unit
    (where the axes of the files are not known, those of the stack are not either).

    >>> import numpy as np
    >>> from polystore import Item, MemoryConfig, save
    >>> memory = MemoryConfig(name="doctest-stack")
    >>> done = [save(memory)(Item(f"A01/t{t}.npy", np.full((2, 3), t))) for t in (10, 2)]
    >>> stack = load_stack(memory, folder="A01", pattern="t*.npy", axis="t").unwrap()
    >>> stack.key, stack.payload.spec.shape
    ('A01.npy', (2, 2, 3))
    >>> stack.payload.read((slice(0, 2), slice(0, 1), slice(0, 2))).unwrap().tolist()
    [[[2, 2]], [[10, 10]]]
    """
    used = dispatcher or default_dispatcher()
    readable = cast("Source[Payload]", store)

    def stacked(target: Target) -> Outcome[Plane]:
        if not isinstance(cast("object", axis), str) or not axis:
            return Failure(_no_axis(axis, "an axis has a name"))
        listed = list_files(
            store, folder=folder, pattern=pattern, recursive=recursive, dispatcher=used
        )
        if not is_successful(listed):
            return Failure(listed.failure())
        keys = listed.unwrap()
        if not keys:
            return Failure(_nothing(target, pattern))
        first = _plane(used, readable, keys[0])
        if not is_successful(first):
            return Failure(first.failure())
        planes = _Planes(used, readable, keys, first.unwrap().payload.spec)
        if axis in planes.spec.axes:
            return Failure(_no_axis(axis, f"the files have that axis: {planes.spec.axes}"))
        read_from = f"{target.key}/{pattern or '**'}".lstrip("/")
        event = Event(read_from, Load[object](readable), 0, __version__)
        checked = _checked(planes)
        return checked.map(lambda _: _stack(planes, first.unwrap(), axis, (target.key, event)))

    return on_folder(store, folder, used, stacked)


def _stack(planes: _Planes, first: Plane, axis: str, named: tuple[Key, Event]) -> Plane:
    spec, (folder, event) = planes.spec, named
    known = len(spec.axes) == len(spec.shape)
    whole = ArraySpec(
        (len(planes.keys), *spec.shape),
        spec.dtype,
        (axis, *spec.axes) if known else (),
        (1, *spec.blocks),
    )

    def read(region: Region) -> Outcome[HostArray]:
        return and_then(box_of(region, whole.shape), lambda box: _read(planes, box))

    return Item(
        f"{folder or 'stack'}{_suffix(planes)}",
        LazyArray(whole, read),
        _with_axis(first.metadata, axis),
        (event,),
    )


def _with_axis(metadata: Metadata, axis: str) -> Metadata:
    if not metadata.axes:
        return evolve(metadata, axes=(), scale=(), unit=())
    return evolve(
        metadata,
        axes=(axis, *metadata.axes),
        scale=(1.0, *metadata.scale) if metadata.scale else (),
        unit=("", *metadata.unit) if metadata.unit else (),
    )


def _suffix(planes: _Planes) -> str:
    key = planes.keys[0]
    codec = planes.dispatcher.registry.find_codec_for(key)
    suffix = codec.map(lambda it: suffix_of(key, it.format.suffixes)).value_or(None)
    return key[-len(suffix) :] if suffix else ""


def _checked(planes: _Planes) -> Outcome[None]:
    """Look at the header of each file, as far as its format lets that be read alone."""
    for key in planes.keys[1:]:
        found = _lazily(planes.dispatcher, planes.store, key)
        if not is_successful(found):
            if isinstance(found.failure(), UnsupportedOperation):
                continue
            return Failure(found.failure())
        problem = _difference(planes, key, found.unwrap().payload.spec)
        if problem is not None:
            return Failure(problem)
    return Success(None)


def _read(planes: _Planes, box: Sequence[range]) -> Outcome[HostArray]:
    """Read a region, file by file."""
    rows, inner = box[0], tuple(slice(part.start, part.stop) for part in box[1:])
    # Of a region without files the first says the dtype: its name alone may not be known to NumPy.
    numbers = rows or range(1)
    stack: HostArray | None = None
    for place, number in enumerate(numbers):
        part = _read_one(planes, planes.keys[number], inner)
        if not is_successful(part):
            return part
        if stack is None:
            shape = (len(rows), *part.unwrap().shape)
            room = _room(shape, part.unwrap().dtype)
            if not is_successful(room):
                return room
            stack = room.unwrap()
        if rows:
            stack[place] = part.unwrap()
    return Success(cast("HostArray", stack))


def _room(shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> Outcome[HostArray]:
    try:
        return Success(aligned_empty(shape, dtype))
    except (MemoryError, ValueError):
        message = f"This process cannot get the memory for a region of the shape {shape}."
        return Failure(TooLarge("", None, message, "Read smaller regions."))


def _read_one(planes: _Planes, key: Key, region: Region) -> Outcome[HostArray]:
    found = _plane(planes.dispatcher, planes.store, key)
    if not is_successful(found):
        return Failure(found.failure())
    plane = found.unwrap().payload
    problem = _difference(planes, key, plane.spec)
    return Failure(problem) if problem is not None else plane.read(region)


def _difference(planes: _Planes, key: Key, spec: ArraySpec) -> StorageError | None:
    wanted = planes.spec
    if (spec.shape, spec.dtype) == (wanted.shape, wanted.dtype):
        return None
    return UnsupportedPayload(
        key,
        planes.store,
        f"{key!r} holds {spec.dtype} of the shape {spec.shape}; in a stack with "
        f"{planes.keys[0]!r} it would have to be {wanted.dtype} of the shape {wanted.shape}.",
        "Give a pattern that leaves it out, or save it anew in the shape and dtype of the others.",
    )


def _lazily(dispatcher: Dispatcher, store: Source[Payload], key: Key) -> Outcome[Plane]:
    return cast("Outcome[Plane]", dispatcher.run(Load[object](store, None, lazy=True), key))


def _plane(dispatcher: Dispatcher, store: Source[Payload], key: Key) -> Outcome[Plane]:
    """Give one file as a lazy array, loaded whole where its format is not read in parts."""
    lazy = _lazily(dispatcher, store, key)
    if is_successful(lazy) or not isinstance(lazy.failure(), UnsupportedOperation):
        return lazy
    loaded = dispatcher.run(Load[object](store), key)
    return and_then(loaded, lambda item: _on_host(dispatcher, store, item))


def _on_host(dispatcher: Dispatcher, store: object, item: Item[object]) -> Outcome[Plane]:
    payload = payload_on_host(item.payload, dispatcher.registry.find_owner)
    if not is_successful(payload):
        return Failure(payload.failure())
    array = payload.unwrap()
    if not is_host_array(array):
        return Failure(
            UnsupportedPayload(
                item.key,
                store,
                f"{item.key!r} holds no array, and only arrays can be stacked.",
                "Give a pattern that leaves it out.",
            )
        )
    spec = ArraySpec(array.shape, str(array.dtype), item.metadata.axes, array.shape)
    return Success(Item(item.key, LazyArray(spec, _reading(array)), item.metadata))


def _reading(array: HostArray) -> Callable[[Region], Outcome[HostArray]]:
    return lambda region: Success(array[region])


def _nothing(target: Target, pattern: str | None) -> NotFound:
    what = "file" if pattern is None else f"file that fits {pattern!r}"
    where = f" below {target.key!r}" if target.key else ""
    return NotFound(
        target.key,
        target.config,
        f"There is no {what}{where}.",
        "See list_files(store) for the keys there are.",
    )


def _no_axis(given: object, problem: str) -> InvalidSpec:
    message = f"The axis of a stack cannot be {given!r}: {problem}."
    return InvalidSpec("", None, message, "Give a name such as 'z' or 't'.", "axis")
