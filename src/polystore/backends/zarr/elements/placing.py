"""One read of an array under way: chunks decoded to their places."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import cast

from attrs import field, frozen

from polystore.backends.zarr.elements.codecs import Chain
from polystore.backends.zarr.elements.grid import Place, inside, overlap
from polystore.backends.zarr.elements.meta import ArrayMeta
from polystore.backends.zarr.tree import Files
from polystore.core.payload import HostArray
from polystore.core.records import Readable
from polystore.core.region import Box, region_of

__all__ = ["Job", "decode", "fill", "named", "open_file", "read_part"]


@frozen
class Job:
    """One read: which part of which array, and into what.

    What is missing on the way is noted, and so is what has to be closed at the end.
    """

    files: Files
    meta: ArrayMeta
    chain: Chain
    box: Box
    below: str
    into: HostArray
    missing: list[str] = field(factory=list[str])
    opened: list[Readable] = field(factory=list[Readable])

    def name(self, place: Place) -> str:
        """Give the path of a file of the array."""
        return self.below + self.meta.file_name(place)


def open_file(job: Job, place: Place) -> Readable | None:
    """Open a file; for one that is missing, fill its place: `ValueError` if that is damage."""
    source = job.files.open(job.name(place))
    if source is None:
        job.missing.append(job.name(place))
        fill(job, job.meta.grid.box(place), "it is missing")
    return source


@contextmanager
def named(job: Job, place: Place) -> Generator[None]:
    """Say of which file a `ValueError` is."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{job.name(place)!r} is not what it should be: {error}") from error


def read_part(source: Readable, start: int, stop: int) -> memoryview:
    """Read a part of a file; `ValueError` if it is cut off."""
    import numpy as np

    content = np.empty(stop - start, np.uint8).data
    if source.read_into(start, content) != len(content):
        raise ValueError("it is cut off")
    return content


def _target(job: Job, wanted: Box) -> HostArray:
    """Give the place of a part of the array, all of which is wanted."""
    here = inside(wanted, tuple(indices.start for indices in job.box))
    # Without the ellipsis, what an array without axes gives is no array.
    index = cast("tuple[slice, ...]", (*region_of(here), ...))
    return job.into[index]


def fill(job: Job, part: Box, reason: str) -> None:
    """Fill the place of what is not there; `ValueError` with the reason if that is damage."""
    if job.meta.dense:
        raise ValueError(reason)
    _target(job, overlap(part, job.box))[...] = job.meta.fill


def decode(job: Job, content: memoryview, part: Box) -> None:
    """Decode a chunk to its place: without a copy where all of it is wanted, and lies together."""
    import numpy as np

    wanted = overlap(part, job.box)
    chunk, target = job.meta.grid.chunk, _target(job, wanted)
    if target.shape == chunk and target.flags.c_contiguous:
        job.chain.decode(content, target)
        return
    scratch = np.empty(chunk, job.meta.dtype)
    job.chain.decode(content, scratch)
    here = inside(wanted, tuple(indices.start for indices in part))
    target[...] = scratch[region_of(here)]
