"""Reading the elements of an array: a part of it, from the files that it is in."""

from __future__ import annotations

import errno
import math
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING

from polystore.backends.zarr.elements.codecs import longest
from polystore.backends.zarr.elements.grid import Place
from polystore.backends.zarr.elements.meta import ArrayMeta
from polystore.backends.zarr.elements.placing import Job, decode, named, open_file, read_part
from polystore.backends.zarr.elements.pythonstore import read_by_zarr_python
from polystore.backends.zarr.elements.refusals import damaged_elements, no_memory, too_large
from polystore.backends.zarr.elements.sharded import parts_of_shard, read_shard
from polystore.backends.zarr.elements.workers import run_all
from polystore.backends.zarr.tree import Files, Seen
from polystore.core.outcome import Failure, Outcome, and_then, catch, guard, is_successful
from polystore.core.payload import ArraySpec, HostArray, LazyArray, Region, aligned_empty
from polystore.core.region import Box, box_of, lengths

if TYPE_CHECKING:
    from polystore.core.errors import StorageError

__all__ = ["lazy_array", "read_elements"]

FILE_COST = 4096
"""Bytes that are reckoned for each file of a read, so that countless files are refused."""

FEW = 4
"""Files of chunks; of fewer, each is read by more than one thread."""

BLOCK = 2**18
"""Bytes of a chunk below which all of its file is the better block to read, unless that is long."""

_NO_CHUNK = (errno.EISDIR, errno.ENXIO, errno.ENOTDIR, errno.EXDEV, errno.ELOOP)
"""What is said of a chunk that is no file, or a link out of the array's folder."""


def read_elements(
    files: Files, meta: ArrayMeta, box: Box, max_bytes: int, below: str = ""
) -> Seen[HostArray]:
    """Read a part of an array into aligned memory of its own.

    `TooLarge`, before anything is read, for what takes more than `max_bytes`. `Corrupt` for files
    that are cut off, and for chunks that their codecs cannot decode; of a dense array for missing
    ones too, which are otherwise the fill value. Raises `OSError`.
    """
    if meta.chain is None:
        return read_by_zarr_python(files, meta, box, max_bytes, below)
    nbytes = math.prod(lengths(box)) * meta.dtype.itemsize
    most = max(nbytes, _overhead(meta, box))
    if most > max_bytes:
        return Seen(Failure(too_large(most, max_bytes)))
    array = guard(lambda: aligned_empty(lengths(box), meta.dtype), *_NO_MEMORY)
    if not is_successful(array):
        return Seen(array)
    job = Job(files, meta, meta.chain, box, below, array.unwrap())
    return Seen(_read(job, nbytes), not job.missing)


def lazy_array(files: Files, meta: ArrayMeta, max_bytes: int, below: str = "") -> LazyArray:
    """Give an array that is read part by part: the files must stay readable as long.

    Its blocks are chunks, or shards where chunks are small.
    """
    grid, itemsize = meta.grid, meta.dtype.itemsize
    chunk, file = math.prod(grid.chunk) * itemsize, math.prod(grid.file) * itemsize
    blocks = grid.file if chunk < BLOCK and file <= 64 * BLOCK else grid.chunk
    within = tuple(min(block, max(1, n)) for block, n in zip(blocks, grid.shape, strict=True))

    def read(region: Region) -> Outcome[HostArray]:
        box = box_of(region, grid.shape)
        return and_then(box, lambda it: read_elements(files, meta, it, max_bytes, below).outcome)

    return LazyArray(ArraySpec(grid.shape, _name_of(meta), meta.axes, within), read)


def _name_of(meta: ArrayMeta) -> str:
    return str(meta.dtype)


def _overhead(meta: ArrayMeta, box: Box) -> int:
    """Give the bytes that a read takes beside the array: a chunk, an index, and for each file."""
    if not all(box):
        return 0
    grid = meta.grid
    files = math.prod(
        -(-part.stop // step) - part.start // step
        for part, step in zip(box, grid.file, strict=True)
    )
    chunk = math.prod(grid.chunk) * meta.dtype.itemsize
    index = 0 if meta.index is None else 16 * math.prod(grid.chunks_of_file)
    return max(chunk, index, files * FILE_COST)


def _read(job: Job, nbytes: int) -> Outcome[HostArray]:
    def read() -> HostArray:
        try:
            run_all(_tasks(job), nbytes, job.files.waits)
        finally:
            for source in job.opened:
                source.close()
        return job.into

    return guard(read, *_CATCHES)


def _no_chunk(error: OSError) -> StorageError:
    if error.errno not in _NO_CHUNK:
        raise error
    return damaged_elements(f"something else is in the place of a chunk ({error.strerror})")


_NO_MEMORY = (
    catch(MemoryError, no_memory),
    catch(ValueError, no_memory),  # more elements along an empty axis than NumPy can count
)

_CATCHES = (
    catch(ValueError, lambda error: damaged_elements(str(error))),
    catch(MemoryError, no_memory),
    catch(OSError, _no_chunk),
)


def _tasks(job: Job) -> Iterator[Callable[[], object]]:
    """Give the work: a file, or a part of a file of many chunks, where there are few of those."""
    places = job.meta.grid.files_in(job.box)
    index = job.meta.index
    if index is None:
        yield from (partial(_read_file, job, place) for place in places)
        return
    few = list(islice(places, FEW))
    if len(few) == FEW:
        yield from (partial(read_shard, job, index, place) for place in chain(few, places))
        return
    for place in few:
        yield from parts_of_shard(job, index, place)


def _read_file(job: Job, place: Place) -> None:
    """Read a file that is one chunk."""
    grid = job.meta.grid
    with named(job, place):
        source = open_file(job, place)
        if source is None:
            return
        try:
            if source.size > longest(math.prod(grid.chunk) * job.meta.dtype.itemsize):
                raise ValueError(f"it has {source.size} bytes, and a chunk never so many")
            decode(job, read_part(source, 0, source.size), grid.box(place))
        finally:
            source.close()
