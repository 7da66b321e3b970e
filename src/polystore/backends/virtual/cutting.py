"""What an index takes of an array: which region, of which shape, and what is still known of it."""

from __future__ import annotations

from typing import TypeVar, cast

from attrs import evolve, frozen

from polystore.configs import VirtualIndex
from polystore.core.errors import InvalidSpec, StorageError
from polystore.core.item import Metadata
from polystore.core.outcome import Failure, Outcome, Success, and_then
from polystore.core.payload import ArraySpec, HostArray, LazyArray, Region, aligned_empty
from polystore.core.region import box_of

__all__ = ["Cut", "cut_array", "cut_lazily", "cut_metadata", "cut_of"]

T = TypeVar("T")


@frozen
class Cut:
    """The part of each axis that is taken, and the axes that are kept."""

    taken: tuple[range, ...]
    kept: tuple[int, ...]

    @property
    def region(self) -> Region:
        """The part, as one slice per axis."""
        return tuple(slice(part.start, part.stop) for part in self.taken)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape without the axes of which one element is taken."""
        return tuple(len(self.taken[axis]) for axis in self.kept)


def cut_of(index: VirtualIndex, shape: tuple[int, ...], where: str) -> Outcome[Cut]:
    """Give what an index takes of an array of that shape, or `InvalidSpec` if it does not fit.

    >>> cut_of((1, (0, 2)), (3, 4, 5), "index").unwrap()
    Cut(taken=(range(1, 2), range(0, 2), range(0, 5)), kept=(1, 2))
    >>> print(cut_of((3,), (3, 4), "index").failure().message)
    index[0] is 3, and the axis has 3 elements.
    """
    if not isinstance(cast("object", index), tuple):
        return Failure(_unfit(where, f"is {index!r}, and no tuple"))
    if len(index) > len(shape):
        return Failure(_unfit(where, f"names {len(index)} axes, and the array has {len(shape)}"))
    taken: list[range] = []
    for axis, (part, length) in enumerate(zip(index, shape, strict=False)):
        bounds = _bounds(part)
        if bounds is None:
            words = f"is {part!r}, and must be a number, or a pair of numbers"
            return Failure(_unfit(f"{where}[{axis}]", words))
        start, stop = bounds
        if not 0 <= start <= stop <= length:
            words = f"is {part!r}, and the axis has {length} elements"
            return Failure(_unfit(f"{where}[{axis}]", words))
        taken.append(range(start, stop))
    taken += map(range, shape[len(index) :])
    kept = (axis for axis in range(len(shape)) if not _is_number(index[axis : axis + 1]))
    return Success(Cut(tuple(taken), tuple(kept)))


def _is_number(part: VirtualIndex) -> bool:
    return bool(part) and isinstance(part[0], int)


def _bounds(part: object) -> tuple[int, int] | None:
    """Give the first and the last bound that a part of an index names; `None` if it is none."""
    if type(part) is int:
        return part, part + 1
    pair = cast("tuple[object, ...]", part) if isinstance(part, tuple) else ()
    if len(pair) != 2 or not all(type(bound) is int for bound in pair):
        return None
    return cast("tuple[int, int]", pair)


def _unfit(where: str, words: str) -> StorageError:
    advice = "Count from 0; a pair ends before its second number. Negative numbers are not taken."
    return InvalidSpec("", None, f"{where} {words}.", advice, where)


def cut_metadata(metadata: Metadata, cut: Cut, shape: tuple[int, ...]) -> Metadata:
    """Give what is still known of the part: a removed axis takes its name, scale and unit along.

    Of the channels' names, those of the channels that are taken; one of them, too, where their axis
    is removed. Where the axes are not known, neither is whose the names are.
    """
    axes = metadata.axes if len(metadata.axes) == len(shape) else ()
    names = metadata.channel_names
    if "c" in axes:
        part = cut.taken[axes.index("c")]
        names = names[part.start : part.stop] if len(names) == shape[axes.index("c")] else ()
    elif cut.shape != shape and not axes:
        names = ()
    if len(cut.kept) == len(shape):
        return evolve(metadata, channel_names=names)
    return evolve(
        metadata,
        axes=_of_kept(metadata.axes, cut),
        scale=_of_kept(metadata.scale, cut),
        unit=_of_kept(metadata.unit, cut),
        channel_names=names,
    )


def _of_kept(values: tuple[T, ...], cut: Cut) -> tuple[T, ...]:
    if len(values) != len(cut.taken):
        return ()
    return tuple(values[axis] for axis in cut.kept)


def cut_array(array: HostArray, cut: Cut) -> HostArray:
    """Give the part of an array, in memory of its own: the rest is not kept for it."""
    part = array[cut.region or ...].reshape(cut.shape)
    if part.nbytes == array.nbytes:
        return part
    if array.dtype.hasobject:
        return part.copy()
    fresh = aligned_empty(part.shape, part.dtype)
    fresh[...] = part
    return fresh


def cut_lazily(array: LazyArray, cut: Cut) -> LazyArray:
    """Give the part of a lazy array: its regions are read as regions of the whole."""

    def read(region: Region) -> Outcome[HostArray]:
        return and_then(box_of(region, cut.shape), of_box)

    def of_box(box: tuple[range, ...]) -> Outcome[HostArray]:
        parts = list(cut.region)
        for axis, wanted in zip(cut.kept, box, strict=True):
            start = cut.taken[axis].start
            # An empty range may lie anywhere, and must not lead outside.
            stop = max(wanted.start, wanted.stop)
            parts[axis] = slice(start + wanted.start, start + stop)
        shape = tuple(map(len, box))
        return array.read(tuple(parts)).map(lambda it: it.reshape(shape))

    spec = array.spec
    known = spec.axes if len(spec.axes) == len(cut.taken) else ()
    axes = tuple(known[axis] for axis in cut.kept) if known else ()
    blocks = tuple(min(spec.blocks[axis], max(len(cut.taken[axis]), 1)) for axis in cut.kept)
    return LazyArray(ArraySpec(cut.shape, spec.dtype, axes, blocks), read)
