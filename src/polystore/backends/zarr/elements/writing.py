"""Writing the elements of an array: chunks, encoded on both cores, into growing files."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial

from attrs import frozen

from polystore.backends.zarr.elements.grid import Place, covered, inside, overlap
from polystore.backends.zarr.elements.growing import (
    Put,
    full_chunk,
    is_of,
    part_of,
    plain_files,
    shard_files,
)
from polystore.backends.zarr.elements.meta import ArrayMeta, Chain
from polystore.backends.zarr.elements.pythonstore import write_by_zarr_python
from polystore.backends.zarr.elements.regions import read_whole, write_regions
from polystore.backends.zarr.elements.rewriting import rewrite
from polystore.backends.zarr.elements.workers import run_all
from polystore.backends.zarr.tree import Files
from polystore.core.outcome import Outcome, Success, is_successful
from polystore.core.payload import HostArray, LazyArray
from polystore.core.region import Box, lengths, whole

__all__ = ["ArrayWriter", "array_writer", "rewrite", "write_elements"]

_TASK_BYTES = 2**20  # smaller chunks are written several at a time


@frozen
class ArrayWriter:
    """The elements of a new array, to be given block by block, by any threads and in any order.

    - `write(start, block)`: the block begins at the beginning of a chunk and ends, on each axis,
      at the end of one or of the array. No chunk is written twice. It is encoded before `write`
      returns, in the thread that calls. Raises `OSError`, and `ValueError` for another block.
    - `finish()`: called once, last: the files that lack chunks are ended as they are.

    A file of chunks grows as they come, so that memory holds none of it but its index.
    """

    write: Callable[[Place, HostArray], None]
    finish: Callable[[], None]


def array_writer(files: Files, meta: ArrayMeta, below: str = "") -> ArrayWriter:
    """Give a writer of the elements of a new array, whose chain must be known.

    `below` is `""`, or the path of the array below the node with a slash at its end. A block must
    have the dtype of the array, in either byte order. Chunks that reach beyond the array are filled
    with its fill value.
    """
    if meta.chain is None:
        raise ValueError("the codecs of this array are zarr-python's")
    if meta.index is None:
        return ArrayWriter(_Blocks(meta, meta.chain, plain_files(files, meta, below)), _nothing)
    put, finish = shard_files(files, meta, meta.index, below)
    return ArrayWriter(_Blocks(meta, meta.chain, put), finish)


def _nothing() -> None:
    pass


@frozen
class _Blocks:
    """Cuts a block into chunks, and encodes them."""

    meta: ArrayMeta
    chain: Chain
    put: Put

    def __call__(self, start: Place, block: HostArray) -> None:
        grid = self.meta.grid
        box = tuple(range(a, a + b) for a, b in zip(start, block.shape, strict=True))
        _refuse_others(self.meta, box, block)
        for cell in covered(box, grid.chunk):
            numbers = list(map(divmod, cell, grid.chunks_of_file))
            place, chunk = tuple(a for a, _ in numbers), tuple(b for _, b in numbers)
            part = part_of(block, inside(grid.chunk_box(place, chunk), start))
            self.put(place, chunk, self.chain.encode(full_chunk(part, self.meta)))


def _refuse_others(meta: ArrayMeta, box: Box, block: HostArray) -> None:
    if not is_of(block.dtype, meta.dtype):
        raise ValueError(f"a block of {block.dtype}, and the array is of {meta.dtype}")
    for part, step, length in zip(box, meta.grid.chunk, meta.grid.shape, strict=True):
        if part.start % step or part.stop > length or (part.stop % step and part.stop != length):
            raise ValueError(f"the block {box} is no chunks of {meta.grid}")


def write_elements(
    files: Files, meta: ArrayMeta, source: HostArray | LazyArray, below: str = ""
) -> Outcome[None]:
    """Write all elements of a new array, every chunk of it; raises `OSError`.

    A lazy array is read region by region, one after the other, while what was read before is
    encoded: memory holds about 100 MiB of it. What its `read` says where it fails comes back as it
    is; `Corrupt` where it gives an array of another shape or dtype. What zarr-python has to write,
    such as strings of any length, is read whole.
    """
    if meta.chain is None:
        return _by_zarr_python(files, meta, source, below)
    writer = array_writer(files, meta, below)
    tasks_of = partial(_encoding, writer, meta)
    if isinstance(source, LazyArray):
        written = write_regions(source, meta, tasks_of, files.waits)
        if not is_successful(written):
            return written
    else:
        run_all(tasks_of(whole(meta.grid.shape), source), source.nbytes, files.waits)
    writer.finish()
    return Success(None)


def _by_zarr_python(
    files: Files, meta: ArrayMeta, source: HostArray | LazyArray, below: str
) -> Outcome[None]:
    everything = (
        read_whole(source, meta.dtype) if isinstance(source, LazyArray) else Success(source)
    )
    return everything.map(lambda array: write_by_zarr_python(files, meta, array, below))


def _encoding(
    writer: ArrayWriter, meta: ArrayMeta, box: Box, block: HostArray
) -> Iterator[Callable[[], None]]:
    """Give the tasks of writing a block, which is in a box of the array: some chunks for each."""
    step = _task_shape(meta, lengths(box))
    origin = tuple(part.start for part in box)
    for cell in covered(box, step):
        task = tuple(range(n * a, (n + 1) * a) for n, a in zip(cell, step, strict=True))
        here = overlap(task, box)
        start = tuple(part.start for part in here)
        yield partial(writer.write, start, part_of(block, inside(here, origin)))


def _task_shape(meta: ArrayMeta, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Give how much of a block one task writes: as many chunks as are worth a task."""
    step = list(meta.grid.chunk)
    several = _TASK_BYTES // max(1, math.prod(step) * meta.dtype.itemsize)
    for axis in reversed(range(len(step))):
        count = max(1, min(several, -(-shape[axis] // step[axis])))
        step[axis] *= count
        several //= count
    return tuple(step)
