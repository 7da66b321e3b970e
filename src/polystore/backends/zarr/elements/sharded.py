"""Reading files of many chunks: the index first, then what is wanted of the rest."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import frozen

from polystore.backends.zarr.elements.codecs import longest
from polystore.backends.zarr.elements.grid import Place
from polystore.backends.zarr.elements.placing import (
    Job,
    decode,
    fill,
    named,
    open_file,
    read_part,
)
from polystore.backends.zarr.elements.shard import ABSENT, IndexForm, decode_index, index_nbytes
from polystore.core.records import Readable, readable_of
from polystore.core.region import Box

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["parts_of_shard", "read_shard"]

RUN = 4 * 2**20
"""The most bytes of a shard that are read at once, unless a single chunk has more."""

GAP = 2**12
"""Bytes between two chunks of a shard that are rather read than skipped."""

SMALL = 2**16
"""Bytes of a shard that is read at once, its index too, whatever is wanted of it."""


@frozen
class _Piece:
    """A chunk that is wanted: where in the file it is, and where in the array."""

    start: int
    stop: int
    part: Box


def read_shard(job: Job, form: IndexForm, place: Place) -> None:
    """Read what is wanted of a file of chunks."""
    source = _opened(job, place)
    if source is None:
        return
    try:
        for run in _runs(job, source, form, place):
            _read_run(job, source, place, run)
    finally:
        source.close()


def parts_of_shard(job: Job, form: IndexForm, place: Place) -> Iterator[Callable[[], object]]:
    """Read the index of a file of chunks; give the work of reading what is wanted of the rest.

    The file stays open: it is among those that the job closes at its end.
    """
    source = _opened(job, place)
    if source is not None:
        job.opened.append(source)
        for run in _runs(job, source, form, place):
            yield partial(_read_run, job, source, place, run)


def _opened(job: Job, place: Place) -> Readable | None:
    with named(job, place):
        source = open_file(job, place)
        if source is None or source.size > SMALL:
            return source
        try:
            return readable_of(bytes(read_part(source, 0, source.size)))
        finally:
            source.close()


def _runs(job: Job, source: Readable, form: IndexForm, place: Place) -> list[list[_Piece]]:
    """Give the wanted chunks in their order in the file, those together that are read at once."""
    with named(job, place):
        pieces = sorted(_pieces(job, source, form, place), key=lambda piece: piece.start)
    runs: list[list[_Piece]] = []
    for piece in pieces:
        run = runs[-1] if runs else []
        if run and piece.start - run[-1].stop <= GAP and piece.stop - run[0].start <= RUN:
            run.append(piece)
        else:
            runs.append([piece])
    return runs


def _pieces(job: Job, source: Readable, form: IndexForm, place: Place) -> Iterator[_Piece]:
    """Give the wanted chunks that are there, and fill the places of the others."""
    grid = job.meta.grid
    counts = grid.chunks_of_file
    index = _index(source, form, math.prod(counts))
    if job.meta.dense:
        _refuse_overlaps(index)
    limit = longest(math.prod(grid.chunk) * job.meta.dtype.itemsize)
    for chunk in grid.chunks_in(place, job.box):
        number = 0
        for at, count in zip(chunk, counts, strict=True):
            number = number * count + at
        start, nbytes = int(index[number, 0]), int(index[number, 1])
        part = grid.chunk_box(place, chunk)
        if start == nbytes == ABSENT:
            fill(job, part, "a chunk is missing in it")
        elif start + nbytes > source.size or nbytes > limit:
            raise ValueError("its index leads out of it")
        else:
            yield _Piece(start, start + nbytes, part)


def _index(source: Readable, form: IndexForm, count: int) -> NDArray[Any]:
    nbytes = index_nbytes(form, count)
    if nbytes > source.size:
        raise ValueError("it is cut off")
    start = 0 if form.at_start else source.size - nbytes
    return decode_index(form, bytes(read_part(source, start, start + nbytes)), count)


def _refuse_overlaps(index: NDArray[Any]) -> None:
    """Raise `ValueError` if two chunks share bytes: those that we wrote do not."""
    present = index[index[:, 0] != ABSENT]
    present = present[present[:, 0].argsort()]
    if len(present) > 1 and (present[1:, 0] - present[:-1, 0] < present[:-1, 1]).any():
        raise ValueError("two of its chunks overlap")


def _read_run(job: Job, source: Readable, place: Place, run: Sequence[_Piece]) -> None:
    with named(job, place):
        first = run[0].start
        content = read_part(source, first, max(piece.stop for piece in run))
        for piece in run:
            decode(job, content[piece.start - first : piece.stop - first], piece.part)
