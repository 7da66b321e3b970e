"""Writing a part of an array that is there: the files that it is in are made anew."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product

from attrs import evolve, frozen

from polystore.backends.zarr.elements.grid import Place, inside, overlap
from polystore.backends.zarr.elements.growing import GrowingShard, full_chunk, part_of
from polystore.backends.zarr.elements.meta import ArrayMeta, Chain
from polystore.backends.zarr.elements.pythonstore import write_by_zarr_python
from polystore.backends.zarr.elements.reading import read_elements
from polystore.backends.zarr.elements.refusals import damaged_elements
from polystore.backends.zarr.elements.shard import ABSENT, IndexForm, decode_index, index_nbytes
from polystore.backends.zarr.elements.workers import run_all
from polystore.backends.zarr.tree import Files, Growing
from polystore.core.errors import UnsupportedOperation
from polystore.core.outcome import (
    Failure,
    Outcome,
    StorageFailure,
    catch,
    guard,
    unwrap_or_raise,
)
from polystore.core.payload import HostArray
from polystore.core.records import Limits, Readable
from polystore.core.region import Box

__all__ = ["rewrite"]


@frozen
class _Job:
    """New elements for a box of an array, and the files that it is in: the old and the new."""

    old: Files
    new: Files
    meta: ArrayMeta
    box: Box
    array: HostArray
    below: str

    def name(self, place: Place) -> str:
        return self.below + self.meta.file_name(place)

    def is_all_of(self, part: Box) -> bool:
        return overlap(part, self.box) == part

    def changed(self, part: Box) -> HostArray:
        """Give a part of the array with its new elements; read only if some of it stay as they are.

        Raises `StorageFailure` if they cannot be read.
        """
        here = overlap(part, self.box)
        new = part_of(self.array, inside(here, [each.start for each in self.box]))
        if here == part:
            return new
        found = read_elements(self.old, self.meta, part, Limits().max_bytes, self.below)
        elements = unwrap_or_raise(found.outcome)
        part_of(elements, inside(here, [each.start for each in part]))[...] = new
        return elements


def rewrite(  # noqa: PLR0913 - files on two sides, and what goes where in them
    old: Files, new: Files, meta: ArrayMeta, box: Box, array: HostArray, below: str = ""
) -> Outcome[None]:
    """Create in `new` each file that a box of a stored array touches, with the box's new elements.

    `array` is as large as the box, and of the array's dtype. A chunk that is wholly in the box is
    not read from `old`, and one that is in the same file but outside of the box is copied as it is
    encoded. `Corrupt` if what has to be read is damaged, `UnsupportedOperation` where the chunks
    are of several sizes. Raises `OSError`.
    """
    job = _Job(old, new, meta, box, array, below)
    if meta.chain is None:
        if _is_irregular(meta):
            return Failure(_cannot())
        tasks: Iterator[Callable[[], None]]
        tasks = (partial(_by_zarr_python, job, place) for place in meta.grid.files_in(box))
    elif meta.index is None:
        tasks = (partial(_file, job, meta.chain, place) for place in meta.grid.files_in(box))
    else:
        each = partial(_shard, job, meta.chain, meta.index)
        tasks = (partial(each, place) for place in meta.grid.files_in(box))

    def work() -> None:
        if meta.chain is not None and meta.index is None:
            run_all(tasks, array.nbytes, new.waits)
            return
        for task in tasks:  # each has threads of its own
            task()

    return guard(
        work,
        catch(StorageFailure, lambda failure: failure.error),
        catch(ValueError, lambda error: damaged_elements(str(error))),
    )


def _is_irregular(meta: ArrayMeta) -> bool:
    chunks = meta.documents.fields.get("chunk_grid")
    return isinstance(chunks, dict) and chunks.get("name") != "regular"


def _cannot() -> UnsupportedOperation:
    return UnsupportedOperation(
        "",
        None,
        "A part of an array whose chunks are of several sizes cannot be saved.",
        "Load the array, change it, and save it whole.",
    )


def _by_zarr_python(job: _Job, place: Place) -> None:
    """Write a file as if it were an array of its own."""
    part = job.changed(job.meta.grid.box(place))
    documents = job.meta.documents
    fields = {**documents.fields, "shape": list(part.shape)}
    alone = evolve(job.meta, documents=evolve(documents, fields=fields))

    def create(_path: str) -> Growing:
        return job.new.create(job.name(place))

    files = evolve(job.new, create=create)
    write_by_zarr_python(files, alone, part)


def _file(job: _Job, chain: Chain, place: Place) -> None:
    part = job.changed(job.meta.grid.box(place))
    growing = job.new.create(job.name(place))
    growing.append(chain.encode(full_chunk(part, job.meta)))
    growing.finish()


def _shard(job: _Job, chain: Chain, form: IndexForm, place: Place) -> None:
    grid = job.meta.grid
    shard = GrowingShard(lambda: job.new.create(job.name(place)), form, grid.chunks_of_file)
    changes = list(grid.chunks_in(place, job.box))

    def change(chunk: Place) -> None:
        part = job.changed(grid.chunk_box(place, chunk))
        shard.put(chunk, chain.encode(full_chunk(part, job.meta)))

    if not job.is_all_of(grid.box(place)):
        _copy_others(job, form, place, shard, set(changes))
    nbytes = len(changes) * math.prod(grid.chunk) * job.meta.dtype.itemsize
    run_all((partial(change, chunk) for chunk in changes), nbytes, job.old.waits)
    shard.finish()


def _copy_others(
    job: _Job, form: IndexForm, place: Place, shard: GrowingShard, changes: set[Place]
) -> None:
    """Copy the chunks of a file that do not change, encoded as they are, in their order there."""
    name = job.name(place)
    source = job.old.open(name)
    if source is None:
        if job.meta.dense:
            raise ValueError(f"the file {name!r} is missing")
        return
    try:
        for chunk, offset, nbytes in _entries(job, form, source, name):
            if chunk not in changes:
                shard.put(chunk, [_content(source, offset, nbytes, name)])
    finally:
        source.close()


def _entries(
    job: _Job, form: IndexForm, source: Readable, name: str
) -> Iterator[tuple[Place, int, int]]:
    """Give where the chunks of a file are, those first that come first."""
    import numpy as np

    counts = job.meta.grid.chunks_of_file
    length = index_nbytes(form, math.prod(counts))
    start = 0 if form.at_start else max(0, source.size - length)
    index = bytes(_content(source, start, length, name))
    try:
        entries = decode_index(form, index, math.prod(counts))
    except ValueError as error:
        raise ValueError(f"the file {name!r} is not what it should be: {error}") from error
    chunks = list(product(*map(range, counts)))
    for number in np.argsort(entries[:, 0], kind="stable").tolist():
        offset, nbytes = entries[number].tolist()
        if offset != ABSENT:
            yield chunks[number], offset, nbytes


def _content(source: Readable, offset: int, nbytes: int, name: str) -> memoryview:
    import numpy as np

    content = np.empty(nbytes if offset + nbytes <= source.size else 0, np.uint8).data
    if source.read_into(offset, content) != nbytes:
        raise ValueError(f"the file {name!r} is cut off")
    return content
