"""Writing a lazy array region by region: one is read while the one before is written."""

from __future__ import annotations

import math
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, cast

from polystore.backends.zarr.elements.growing import is_of
from polystore.backends.zarr.elements.meta import ArrayMeta
from polystore.backends.zarr.elements.units import UNIT_BYTES, unit_boxes, unit_shape
from polystore.backends.zarr.elements.workers import run_all
from polystore.core.errors import Corrupt, FunctionFailed, StorageError
from polystore.core.outcome import Failure, Outcome, Success, is_outcome, is_successful
from polystore.core.payload import HostArray, LazyArray, is_host_array
from polystore.core.records import Transfer
from polystore.core.region import Box, in_words, lengths, region_of, whole
from polystore.frameworks.numpy import NUMPY

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Tasks", "read_box", "read_whole", "write_regions"]

Tasks = Callable[[Box, HostArray], Iterator[Callable[[], None]]]
"""Gives the tasks that write a part of an array: the box that it is in, and its elements."""


def write_regions(
    source: LazyArray, meta: ArrayMeta, tasks_of: Tasks, waits: bool = False
) -> Outcome[None]:
    """Read all of a lazy array, each region once, and write each; raises what the tasks raise.

    Regions are of about 32 MiB, or as large as the source's blocks up to 64 MiB. They are read one
    after the other; at most three are in memory. What fails in a read is as in `read_box`. `waits`
    is as in `run_all`.
    """
    grid, dtype = meta.grid, meta.dtype
    unit = unit_shape(grid, source.spec.blocks, dtype.itemsize)
    failures: list[StorageError] = []

    def tasks() -> Iterator[Callable[[], None]]:
        boxes = unit_boxes(grid, unit)
        ahead = math.prod(unit) * dtype.itemsize <= UNIT_BYTES * 3 // 2
        coming = _next_read(source, dtype, boxes)
        if coming is not None:
            yield coming.run
        while coming is not None:
            found = coming.wait()
            if not is_successful(found):
                failures.append(found.failure())
                return
            box, following = coming.box, _next_read(source, dtype, boxes)
            if following is not None and ahead:
                yield following.run
            yield from tasks_of(box, found.unwrap())
            del found  # before the next is read, where that comes after
            if following is not None and not ahead:
                yield following.run
            coming = following

    run_all(tasks(), math.prod(grid.shape) * dtype.itemsize, waits)
    return Failure(failures[0]) if failures else Success(None)


def read_whole(source: LazyArray, dtype: np.dtype[Any]) -> Outcome[HostArray]:
    """Read all of a lazy array at once, checked as `write_regions` does."""
    return read_box(source, whole(source.spec.shape), dtype)


def _next_read(source: LazyArray, dtype: np.dtype[Any], boxes: Iterator[Box]) -> _Reading | None:
    box = next(boxes, None)
    return None if box is None else _Reading(source, dtype, box)


class _Reading:
    """The reading of one region, once, by whichever thread comes first; others wait for it."""

    __slots__ = ("_claimed", "_done", "_dtype", "_outcome", "_source", "box")

    def __init__(self, source: LazyArray, dtype: np.dtype[Any], box: Box) -> None:
        self._source, self._dtype, self.box = source, dtype, box
        self._claimed = threading.Lock()
        self._done = threading.Event()
        self._outcome: Outcome[HostArray] | None = None

    def run(self) -> None:
        """Read it, unless that is done or under way."""
        if not self._claimed.acquire(blocking=False):
            return
        try:
            self._outcome = read_box(self._source, self.box, self._dtype)
        finally:
            self._done.set()

    def wait(self) -> Outcome[HostArray]:
        """Give what was read, once; where nobody has begun to read, the caller does."""
        self.run()
        self._done.wait()
        found, self._outcome = self._outcome, None
        if found is None:
            return Failure(_misread(self.box, "nothing"))
        return found


def read_box(source: LazyArray, box: Box, dtype: np.dtype[Any]) -> Outcome[HostArray]:
    """Read a part of a lazy array, by whoever made it: whatever that does becomes a value.

    A failure is given as it is. `FunctionFailed` where it raises, but for an `ImportError`, which
    passes; `Lossy` for masked elements; `Corrupt` for what is no array of the box's shape and of
    the dtype, in either byte order.
    """
    try:
        found = cast("object", source.read(region_of(box)))
    except ImportError:
        raise
    except Exception as raised:  # noqa: BLE001 - whoever reads it may raise anything
        return Failure(_raised(box, raised))
    if not is_outcome(found):
        return Failure(_misread(box, f"a {type(found).__name__}, and no Success or Failure"))
    if not is_successful(found):
        error = cast("object", found.failure())
        if isinstance(error, StorageError):
            return Failure(error)
        return Failure(_misread(box, f"a Failure of a {type(error).__name__}"))
    block = found.unwrap()
    if not is_host_array(block):
        return Failure(_misread(box, f"a {type(block).__name__}"))
    if block.shape != lengths(box) or not is_of(block.dtype, dtype):
        return Failure(_misread(box, f"one of the shape {block.shape} and dtype {block.dtype}"))
    return NUMPY.to_host(block, Transfer())


def _raised(box: Box, error: Exception) -> FunctionFailed:
    words = traceback.format_exception_only(error)[-1].strip()
    return FunctionFailed(
        "",
        None,
        f"The function that reads the lazy array failed on {in_words(box)}: {words}.",
        "Mend the function; the error's traceback shows where.",
        "".join(traceback.format_exception(error)),
    )


def _misread(box: Box, what: str) -> Corrupt:
    return Corrupt(
        "",
        None,
        f"The lazy array has other elements than it says: read({in_words(box)}) gave {what}.",
        "Mend the function that reads it, or the shape and dtype of its spec.",
    )
