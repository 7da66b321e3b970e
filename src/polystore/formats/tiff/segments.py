"""The strips and tiles of a TIFF, decoded into one array, each at its place.

tifffile knows how a segment is to be decoded, and this decides where it goes: whole strips are
decompressed into the array itself, so that nothing is held twice; what has to be unpacked, cut or
converted goes through tifffile's own function. Segments are read by position and decoded
in as many threads as tifffile would take.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from attrs import field, frozen

from polystore.core.payload import HostArray, bytes_of
from polystore.core.records import Buffer, Readable
from polystore.core.region import Box, lengths, whole
from polystore.formats.box import read_box, read_fully
from polystore.formats.quiet import quiet
from polystore.formats.tiff.compressions import DEFLATE, NONE, STREAMS
from polystore.formats.tiff.kept import LARGE, Kept, inflate
from polystore.formats.tiff.streams import check_image

if TYPE_CHECKING:
    from typing import Any

    import numpy as np
    from tifffile import TiffFrame, TiffPage

    Page: TypeAlias = TiffPage | TiffFrame

__all__ = ["Paged", "fill", "paged"]

_SMALL = 14336
"""Bytes. Below it a segment is not worth a thread (tifffile's own measure, for LZW)."""


@frozen
class Paged:
    """Pages of one layout, in a file, and how their segments are decoded. Safe to share.

    `segments` is how many strips or tiles a page has; an array of the pages has the axes page,
    separate samples, depth, length, width, samples.
    """

    source: Readable
    pages: Sequence[Page]
    key: TiffPage
    dtype: np.dtype[Any]
    segments: int
    decompress: Callable[..., Buffer] | None
    unpredict: Callable[..., object] | None
    swap: bool
    kept: Kept = field(factory=Kept, eq=False)

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the six axes."""
        return len(self.pages), *self.key.shaped

    @property
    def segment_shape(self) -> tuple[int, ...]:
        """What a strip or tile covers of separate samples, depth, length and width, or less."""
        key = self.key
        if key.is_tiled:
            return 1, key.tiledepth, key.tilelength, key.tilewidth
        return 1, 1, key.rowsperstrip, key.imagewidth


def paged(source: Readable, pages: Sequence[Page], key: TiffPage, dtype: np.dtype[Any]) -> Paged:
    """Prepare to decode pages like `key`, while the file that tifffile made of them is open."""
    from tifffile import TIFF

    unpredict: Callable[..., object] | None = None
    if key.compression != NONE or key.predictor != 1 or key.fillorder != 1:
        # Imported here: without it, tifffile would call the file unreadable.
        from imagecodecs import delta_decode as unpredict
    _ = key.shaped  # this and the others are made on first use: not by several threads at once
    if not key.is_final:
        _ = key.decode, key.jpegheader
    return Paged(
        source,
        pages,
        key,
        dtype,
        1 if key.is_final else math.prod(key.chunked),
        TIFF.DECOMPRESSORS[key.compression] if key.compression in STREAMS else None,
        unpredict,
        swap=(key.parent.byteorder == ">") is (sys.byteorder == "little") and dtype.itemsize > 1,
    )


@frozen
class _Job:
    """What is to be decoded: which box of the pages, and the array of its shape that takes it.

    Along the four axes between pages and samples, `lengths` are those of the pages, `covers` those
    of a segment, `counts` how many segments there are, and `grid`, after the pages, which of them.
    """

    paged: Paged
    box: Box
    array: HostArray
    grid: Box
    lengths: tuple[int, ...]
    covers: tuple[int, ...]
    counts: tuple[int, ...]


def fill(pages: Paged, box: Box, array: HostArray) -> None:
    """Decode the box of the pages into the array, which is C-ordered, native and of its size.

    Only the segments that the box touches are read. Raises what tifffile, imagecodecs and the
    source raise; `ValueError` if a segment is not whole.
    """
    from tifffile import TIFF

    if array.size == 0:
        return
    target = array.reshape(lengths(box))
    if pages.key.is_final:
        for number, plane in zip(box[0], target, strict=True):
            start = pages.pages[number].dataoffsets[0]
            read_box(pages.source, start, pages.shape[1:], box[1:], plane)
            if pages.swap:
                plane.byteswap(inplace=True)
        return
    sizes, covers = pages.shape[1:5], pages.segment_shape
    grid = (
        range(indices.start // cover, (indices.stop - 1) // cover + 1)
        for indices, cover in zip(box[1:5], covers, strict=True)
    )
    counts = tuple(-(-size // cover) for size, cover in zip(sizes, covers, strict=True))
    job = _Job(pages, box, target, (box[0], *grid), sizes, covers, counts)
    total = math.prod(lengths(job.grid))
    large = pages.key.nbytes // pages.segments >= _SMALL and pages.key.compression != NONE
    workers = min(TIFF.MAXWORKERS, total) if large else 1
    if workers < 2:
        _decode_all(job, range(total))
    else:
        _decode_in_threads(job, total, workers)


def _decode_in_threads(job: _Job, total: int, workers: int) -> None:
    from concurrent.futures import ThreadPoolExecutor

    step = math.ceil(total / (8 * workers))
    batches = [range(first, min(first + step, total)) for first in range(0, total, step)]
    with ThreadPoolExecutor(workers) as pool:
        for _ in pool.map(partial(_decode_all, job), batches):
            pass


def _decode_all(job: _Job, numbers: range) -> None:
    is_strip = _is_whole_strip(job.paged.key)
    is_whole = is_strip and job.box == whole(job.paged.shape)
    with quiet():
        for number in numbers:
            if is_whole and _decode_rows(job, *divmod(number, job.paged.segments)):
                continue
            left, place = number, list[int]()
            for indices in reversed(job.grid):
                left, within = divmod(left, len(indices))
                place.insert(0, indices[within])
            _decode(job, place, is_strip)


def _decode_rows(job: _Job, number: int, index: int) -> bool:
    """Decode a strip of rows to its place, where all is wanted; `False` as `_decode_strip`."""
    rows, strips = job.covers[2], job.counts[2]
    sample, below = divmod(index, strips * job.counts[1])
    plane, strip = divmod(below, strips)
    target = job.array[number, sample, plane, strip * rows : (strip + 1) * rows]
    return _decode_strip(job.paged, job.paged.pages[number], index, target)


def _decode(job: _Job, place: list[int], is_strip: bool) -> None:
    """Decode the segment at a place: the number of its page, and its own along four axes."""
    import numpy as np

    pages, number = job.paged, place[0]
    index, shape = 0, list[int]()
    # What of the segment is wanted, in terms of the array (there) and of the segment (here).
    there: list[int | slice] = [number - job.box[0].start]
    here: list[slice] = []
    for axis, at in enumerate(place[1:]):
        index = index * job.counts[axis] + at
        first = at * job.covers[axis]
        last = min(first + job.covers[axis], job.lengths[axis])
        wanted = job.box[axis + 1]
        low, high = max(first, wanted.start), min(last, wanted.stop)
        shape.append(last - first)
        there.append(slice(low - wanted.start, high - wanted.start))
        here.append(slice(low - first, high - first))
    here.append(slice(job.box[5].start, job.box[5].stop))
    target, page, covered = job.array[tuple(there)], pages.pages[number], (*shape, pages.shape[5])
    is_all = target.shape == covered

    def decoded() -> HostArray:
        if is_strip:
            strip: HostArray = target if is_all else np.empty(covered, target.dtype)
            if _decode_strip(pages, page, index, strip):
                return strip
        return _decoded(pages, page, index, covered)

    if not is_all and math.prod(covered) * target.dtype.itemsize >= LARGE:
        pages.kept.copy(page.dataoffsets[index], decoded, tuple(here), target)
        return
    segment = decoded()
    if segment is not target:
        target[...] = segment[tuple(here)]


def _decoded(pages: Paged, page: Page, index: int, shape: tuple[int, ...]) -> HostArray:
    """Decode a segment as tifffile does, and give the part of it that lies in its image."""
    key = pages.key
    content = bytearray(page.databytecounts[index])
    read_fully(pages.source, page.dataoffsets[index], memoryview(content))
    check_image(key, content)
    segment, _, _ = key.decode(
        content, index, jpegtables=page.jpegtables, jpegheader=key.jpegheader, _fullsize=False
    )
    if segment is None:
        raise ValueError("a strip or tile is missing")
    _, depth, length, width, _ = shape
    inside = segment[None, :depth, :length, :width]
    if inside.shape != shape:
        raise ValueError("a strip or tile is smaller than its place")
    return inside


def _is_whole_strip(key: TiffPage) -> bool:
    """Whether the decompressed bytes of a strip are its samples as they stand in memory."""
    return (
        not key.is_tiled
        and (key.compression == NONE or key.compression in STREAMS)
        and key.dtype is not None
        and key.bitspersample == key.dtype.itemsize * 8
        and key.sampleformat != 5  # complex integers
        and key.fillorder == 1
        and key.predictor in (1, 2)
        and not key.is_subsampled
    )


def _decode_strip(pages: Paged, page: Page, index: int, strip: HostArray) -> bool:
    """Decompress a strip into memory of its size; `False` if tifffile has to look at it."""
    memory = bytes_of(strip)
    count = page.databytecounts[index]
    if pages.decompress is None:
        if count < memory.nbytes:
            return False
        read_fully(pages.source, page.dataoffsets[index], memory)
    elif pages.key.compression in DEFLATE and min(count, memory.nbytes) >= LARGE:
        if not inflate(pages.source, page.dataoffsets[index], count, memory):
            return False
    else:
        content = bytearray(count)
        read_fully(pages.source, page.dataoffsets[index], memoryview(content))
        try:
            written = memoryview(pages.decompress(content, out=memory)).nbytes
        except (RuntimeError, ValueError):
            return False
        if written != memory.nbytes:
            return False
    if pages.swap:
        strip.byteswap(inplace=True)
    if pages.key.predictor == 2 and pages.unpredict is not None:
        pages.unpredict(strip, axis=-2, out=strip)
    return True
