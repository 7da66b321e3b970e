"""All resolutions of an image, written in bounded memory: read once, halved and encoded at once.

A tile of the image is read, and every resolution of it that its rows and columns allow is made and
written by the thread that read it, while others do the same with theirs: so reading, halving and
encoding overlap without any queue between them. Where planes are too large for that, tiles give
the first few resolutions, and further ones are made from the last of those as it was stored.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from attrs import evolve, frozen

from polystore.backends.zarr.elements.plan import ArrayPlan, array_plan
from polystore.backends.zarr.elements.reading import read_elements
from polystore.backends.zarr.elements.regions import read_box
from polystore.backends.zarr.elements.workers import run_all
from polystore.backends.zarr.elements.writing import ArrayWriter, array_writer, write_elements
from polystore.backends.zarr.ome.omero import Sampler
from polystore.backends.zarr.ome.pyramid import Downsampling, halved, halved_shape
from polystore.backends.zarr.ome.tiling import Tiling, next_tiling
from polystore.backends.zarr.tree import Files
from polystore.configs import ZarrConfig
from polystore.core.errors import StorageError
from polystore.core.outcome import Failure, Outcome, Success, is_successful
from polystore.core.payload import ArraySpec, HostArray, Json, LazyArray
from polystore.core.region import Box, region_of

if TYPE_CHECKING:
    import numpy as np

__all__ = ["PlannedLevel", "plan_levels", "write_documents", "write_levels"]

_T = TypeVar("_T")

_NOTES: dict[str, Json] = {"polystore": {"version": 1, "dense": True}}
"""What we note about the array of a level; the rest is noted about the image."""

_Read: TypeAlias = Callable[[Box], Outcome[HostArray]]


@frozen
class PlannedLevel:
    """A resolution to be written: the path of its array below the image, and its plan."""

    path: str
    plan: ArrayPlan

    @property
    def below(self) -> str:
        """What its files' paths begin with."""
        return f"{self.path}/"


class _Stop(Exception):  # noqa: N818 - it is no error of its own
    """Carries an error out of a thread."""

    def __init__(self, error: StorageError) -> None:
        super().__init__(error)
        self.error = error


def plan_levels(
    spec: ArraySpec, dtype: np.dtype[Any], config: ZarrConfig, paths: Sequence[str]
) -> Outcome[tuple[PlannedLevel, ...]]:
    """Give the plans of an image's resolutions, the full one first, at these paths.

    All have the chunks of the full one, as far as they are so large: then the chunks of a tile
    become chunks of the next resolution, whichever tile it is. The full one keeps the byte order of
    the dtype.
    """
    zarr_format: Literal[2, 3] = 2 if config.ome.version == "0.4" else 3
    first = array_plan(spec, dtype, config, _NOTES, zarr_format)
    if not is_successful(first):
        return Failure(first.failure())
    levels = [PlannedLevel(paths[0], first.unwrap())]
    grid = levels[0].plan.meta.grid
    shape = spec.shape
    for path in paths[1:]:
        shape = halved_shape(shape)
        chunk = tuple(map(min, grid.chunk, shape))
        shards = config.shards
        if shards:
            counts = zip(grid.chunks_of_file, shape, chunk, strict=True)
            parts = (min(count, -(-length // step)) for count, length, step in counts)
            shards = tuple(step * count for step, count in zip(chunk, parts, strict=True))
        smaller = evolve(config, chunks=chunk, shards=shards)
        at = evolve(spec, shape=shape, dtype=dtype.newbyteorder("=").str)
        plan = array_plan(at, dtype.newbyteorder("="), smaller, _NOTES, zarr_format)
        if not is_successful(plan):
            return Failure(plan.failure())
        levels.append(PlannedLevel(path, plan.unwrap()))
    return Success(tuple(levels))


def write_levels(
    files: Files,
    levels: Sequence[PlannedLevel],
    source: HostArray | LazyArray,
    how: Downsampling,
    sampler: Sampler | None,
) -> Outcome[None]:
    """Write the elements of all levels, and show the sampler those of the smallest.

    What fails in the reading of a lazy source is as in `read_box`. Raises `OSError`.
    """
    read = _reader(source, levels[0])
    grids = [level.plan.meta.grid for level in levels]
    blocks = source.spec.blocks if isinstance(source, LazyArray) else None
    first, is_stored = 0, False
    while True:
        tiling = next_tiling(grids, first, blocks, _itemsize(levels))
        job = _Pass(files, levels, tiling, how, sampler, read, is_stored)
        try:
            _written(job)
        except _Stop as stop:
            return Failure(stop.error)
        if tiling.last == len(levels) - 1:
            return Success(None)
        first, is_stored, blocks = tiling.last, True, None
        read = partial(_stored, files, levels[first])


def _itemsize(levels: Sequence[PlannedLevel]) -> int:
    return levels[0].plan.meta.dtype.itemsize


@frozen
class _Pass:
    """One way through an image: from level `tiling.first`, as `read` gives it, to `tiling.last`.

    Unless the first `is_stored`, it is written too.
    """

    files: Files
    levels: Sequence[PlannedLevel]
    tiling: Tiling
    how: Downsampling
    sampler: Sampler | None
    read: _Read
    is_stored: bool


def _written(job: _Pass) -> None:
    tiling, levels = job.tiling, job.levels
    made = range(tiling.first + job.is_stored, tiling.last + 1)
    nbytes = tiling.size * _itemsize(levels)
    if tiling.count == 1:  # the cores share its chunks instead
        for number, block, start in _resolutions(job, next(tiling.boxes())):
            _sampled(job, number, block, start)
            if number in made:
                level = levels[number]
                _raised(write_elements(job.files, level.plan.meta, block, level.below))
        return
    writers = {n: array_writer(job.files, levels[n].plan.meta, levels[n].below) for n in made}
    run_all((partial(_tile, job, writers, box) for box in tiling.boxes()), nbytes)
    for writer in writers.values():
        writer.finish()


def _tile(job: _Pass, writers: dict[int, ArrayWriter], box: Box) -> None:
    for number, block, start in _resolutions(job, box):
        _sampled(job, number, block, start)
        if number in writers:
            writers[number].write(start, block)


def _sampled(job: _Pass, number: int, block: HostArray, start: tuple[int, ...]) -> None:
    if job.sampler is not None and number == len(job.levels) - 1:
        job.sampler.add(block, start)


def _resolutions(job: _Pass, box: Box) -> Iterator[tuple[int, HostArray, tuple[int, ...]]]:
    """Give a tile at each resolution of a pass: its number, the block, and where that begins."""
    block = _raised(job.read(box))
    start = tuple(part.start for part in box)
    for number in range(job.tiling.first, job.tiling.last + 1):
        yield number, block, start
        if number < job.tiling.last:
            before = job.levels[number].plan.meta.grid.shape
            after = job.levels[number + 1].plan.meta.grid.shape
            start = tuple(
                at if a == b else at // 2 for at, a, b in zip(start, before, after, strict=True)
            )
            block = halved(block, job.how)


def _raised(outcome: Outcome[_T]) -> _T:
    if not is_successful(outcome):
        raise _Stop(outcome.failure())
    return outcome.unwrap()


def _reader(source: HostArray | LazyArray, level: PlannedLevel) -> _Read:
    if not isinstance(source, LazyArray):
        return lambda box: Success(source[region_of(box)])
    dtype = level.plan.meta.dtype
    return lambda box: read_box(source, box, dtype)


def _stored(files: Files, level: PlannedLevel, box: Box) -> Outcome[HostArray]:
    return read_elements(files, level.plan.meta, box, sys.maxsize, level.below).outcome


def write_documents(files: Files, below: str, documents: Mapping[str, bytes]) -> None:
    """Write the metadata files of a node, attributes before what makes it a node of Zarr v2."""
    for name in sorted(documents):
        growing = files.create(below + name)
        growing.append([documents[name]])
        growing.finish()
