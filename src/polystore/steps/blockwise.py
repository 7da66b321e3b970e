"""How a function is applied to a lazy array, block by block, when it is read."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator
from itertools import product
from threading import Lock
from typing import TYPE_CHECKING, TypeAlias, cast

from attrs import evolve, field, frozen

from polystore.boundary import called
from polystore.core.errors import (
    FunctionFailed,
    InvalidSpec,
    Lossy,
    StorageError,
    TooLarge,
    UnsupportedPayload,
)
from polystore.core.item import Item
from polystore.core.outcome import Failure, Outcome, Success, catch, guard, is_successful
from polystore.core.payload import (
    ArraySpec,
    HostArray,
    LazyArray,
    Region,
    aligned_empty,
    is_host_array,
)
from polystore.core.records import Transfer
from polystore.core.region import Box, box_of, in_words, lengths, region_of
from polystore.frameworks.numpy import NUMPY

if TYPE_CHECKING:
    import numpy as np

    from polystore.steps.map_blocks import MapBlocks

__all__ = ["in_blocks"]

_Block: TypeAlias = tuple[int, ...]
"""The number of a block along each axis."""

_KEPT_BYTES = 2**26
"""What is kept of blocks that were read in part, for the reads of their other parts."""


def in_blocks(step: MapBlocks, item: Item[object]) -> Outcome[Item[object]]:
    """Give the item with an array that applies the function to each block that is read.

    `UnsupportedPayload` for an array that is not lazy, `InvalidSpec` for a halo of another number
    of axes or a dtype that NumPy does not know.
    """
    array = item.payload
    if not isinstance(array, LazyArray):
        return Failure(_not_lazy(array))
    spec = array.spec
    halo = step.halo if isinstance(step.halo, tuple) else (step.halo,) * len(spec.shape)
    if len(halo) != len(spec.shape):
        words = f"has {len(halo)} numbers, and the array has {len(spec.shape)} axes"
        return Failure(_wrong("halo", words, "Give one number, or one for each axis."))
    dtype = _dtype(spec.dtype if step.dtype is None else step.dtype)
    if not is_successful(dtype):
        return Failure(dtype.failure())
    name = spec.dtype if step.dtype is None else str(dtype.unwrap())
    mapped = ArraySpec(spec.shape, name, spec.axes, spec.blocks)
    blocks = _Blocks(step.function, array, halo, dtype.unwrap(), item.key)
    return Success(Item(item.key, LazyArray(mapped, blocks.read), item.metadata, item.history))


@frozen(eq=False)
class _Blocks:
    """A function over the blocks of an array; those that were read in part are kept for a while."""

    function: Callable[[HostArray], HostArray]
    source: LazyArray
    halo: tuple[int, ...]
    dtype: np.dtype[np.generic]
    key: str
    kept: OrderedDict[_Block, HostArray] = field(factory=OrderedDict[_Block, "HostArray"])
    guard: Lock = field(factory=Lock)

    def read(self, region: Region) -> Outcome[HostArray]:
        """Give a region of what the function makes of the array."""
        found = box_of(region, self.source.spec.shape)
        if not is_successful(found):
            return Failure(found.failure())
        box = found.unwrap()
        room = _room(lengths(box), self.dtype)
        if not is_successful(room):
            return room
        array = room.unwrap()
        for block in self._touched(box):
            core = self._core(block)
            part = _shared(core, box)
            computed = self._computed(block, whole=part == core)
            if not is_successful(computed):
                return computed
            array[_within(part, box)] = _cut(computed.unwrap(), part, core)
        return room

    def _touched(self, box: Box) -> Iterator[_Block]:
        if 0 in lengths(box):
            return iter(())
        spans = zip(box, self.source.spec.blocks, strict=True)
        return product(*(range(it.start // n, (it.stop - 1) // n + 1) for it, n in spans))

    def _core(self, block: _Block) -> Box:
        spec = self.source.spec
        axes = zip(block, spec.blocks, spec.shape, strict=True)
        return tuple(range(at * n, min((at + 1) * n, length)) for at, n, length in axes)

    def _computed(self, block: _Block, *, whole: bool) -> Outcome[HostArray]:
        """Give what the function makes of a block; it is kept where only a part is wanted now."""
        with self.guard:
            kept = self.kept.get(block)
        if kept is not None:
            return Success(kept)
        computed = self._called(block)
        if is_successful(computed) and not whole:
            copy = computed.unwrap().copy()  # the function may give the same memory again
            with self.guard:
                self.kept[block] = copy
                while len(self.kept) * copy.nbytes > _KEPT_BYTES and len(self.kept) > 1:
                    self.kept.popitem(last=False)
        return computed

    def _called(self, block: _Block) -> Outcome[HostArray]:
        core, shape = self._core(block), self.source.spec.shape
        axes = zip(core, self.halo, shape, strict=True)
        outer = tuple(
            range(max(it.start - halo, 0), min(it.stop + halo, length)) for it, halo, length in axes
        )
        read = self.source.read(region_of(outer))
        if not is_successful(read):
            return read
        made = called(self.function, read.unwrap(), self.key)
        if not is_successful(made):
            return Failure(_of_block(made.failure(), core))
        result = _array_of(made.unwrap())
        if not is_host_array(result) or result.shape != lengths(outer):
            return Failure(self._misshapen(result, outer))
        if result.dtype != self.dtype:
            return Failure(self._of_other_dtype(result, core))
        plain = NUMPY.to_host(result, Transfer())
        if not is_successful(plain):
            return Failure(evolve(_of_block(plain.failure(), core), key=self.key))
        return Success(_cut(plain.unwrap(), core, outer))

    def _misshapen(self, result: object, outer: Box) -> FunctionFailed:
        what = (
            f"an array of the shape {result.shape}"
            if is_host_array(result)
            else f"a {type(result).__name__}"
        )
        return FunctionFailed(
            self.key,
            None,
            f"The function {_name(self.function)} was given the block {in_words(outer)} of "
            f"{self.key!r}, and gave {what}.",
            "It must give a NumPy array as large as the block; use apply for other functions.",
            "",
        )

    def _of_other_dtype(self, result: HostArray, core: Box) -> Lossy:
        return Lossy(
            self.key,
            None,
            f"The function {_name(self.function)} made {result.dtype} of the block "
            f"{in_words(core)} of {self.key!r}, and {self.dtype} was said.",
            f"Say what it makes: map_blocks(function, dtype={str(result.dtype)!r}); or have it "
            "give that dtype.",
        )


def _array_of(result: object) -> object:
    """Give an array of no axes for a scalar: NumPy's functions make one of such an array."""
    import numpy as np

    return np.asarray(cast("object", result)) if isinstance(result, np.generic) else result


def _cut(array: HostArray, part: Box, whole: Box) -> HostArray:
    """Give a part of an array; also of one without axes, of which an index makes a scalar."""
    return array[_within(part, whole)] if part else array


def _shared(core: Box, box: Box) -> Box:
    pairs = zip(core, box, strict=True)
    return tuple(range(max(a.start, b.start), min(a.stop, b.stop)) for a, b in pairs)


def _within(part: Box, whole: Box) -> tuple[slice, ...]:
    """Give where a box lies in another one that holds it."""
    pairs = zip(part, whole, strict=True)
    return tuple(slice(a.start - b.start, a.stop - b.start) for a, b in pairs)


def _of_block(error: StorageError, core: Box) -> StorageError:
    return evolve(error, message=f"In the block {in_words(core)}: {error.message}")


def _name(function: object) -> str:
    return str(getattr(function, "__qualname__", repr(function)))


def _room(shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> Outcome[HostArray]:
    try:
        return Success(aligned_empty(shape, dtype))
    except (MemoryError, ValueError):
        words = f"This process cannot get the memory for {math.prod(shape)} elements."
        return Failure(TooLarge("", None, words, "Read smaller regions."))


def _dtype(name: str) -> Outcome[np.dtype[np.generic]]:
    import numpy as np

    def unknown(error: Exception) -> StorageError:
        return _wrong("dtype", f"is {name!r}, which NumPy does not know: {error}", "Name another.")

    def known() -> np.dtype[np.generic]:
        return np.dtype(name)

    return guard(known, *(catch(kind, unknown) for kind in (TypeError, ValueError, SyntaxError)))


def _wrong(field: str, words: str, advice: str) -> InvalidSpec:
    where = f"map_blocks.{field}"
    return InvalidSpec("", None, f"{where} {words}.", advice, where)


def _not_lazy(payload: object) -> UnsupportedPayload:
    return UnsupportedPayload(
        "",
        None,
        f"map_blocks is of lazy arrays, and this is a {type(payload).__name__}.",
        "Load it with lazy=True; or use apply, which calls the function once with all of it.",
    )
