"""TIFF to array: the first series of a file, all its pages as one array, and its axes.

tifffile says what is in the file. What it would believe, guess or fill with zeros is checked
first: a size that the bytes cannot hold, a missing strip, pages that differ.
"""

from __future__ import annotations

import io
import math
import operator
from typing import IO, TYPE_CHECKING, cast

from attrs import frozen

from polystore.core.errors import Corrupt, StorageError, TooLarge
from polystore.core.outcome import Failure, Outcome, Success, and_then, catch, guard, is_successful
from polystore.core.payload import ArraySpec, HostArray, LazyArray, Region
from polystore.core.records import Decoded, Limits, Readable, readable_of
from polystore.core.region import Box, box_of, lengths, whole
from polystore.formats.quiet import quiet
from polystore.formats.refusals import allocated, damaged, over_limit, reason_of
from polystore.formats.stream import ReadableFile, read_small
from polystore.formats.tiff.compressions import segment_problem, unreadable
from polystore.formats.tiff.ifd import Layout, Skeleton, survey
from polystore.formats.tiff.meta import known_of, unseen_pages
from polystore.formats.tiff.note import Known
from polystore.formats.tiff.omebounds import ome_problem, parse_ome
from polystore.formats.tiff.samples import Samples, blocks_of, read_samples, reshaped
from polystore.formats.tiff.segments import paged

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffFrame, TiffPage, TiffPageSeries

__all__ = ["decode", "open_lazily"]

_VALUE_BYTES = 40
"""What one value of a tag takes as a Python integer in a tuple: 32 bytes and a pointer of 8."""

_SMALL_TABLES = 2**20
"""Bytes of tags that are never too many: no limit is meant for these."""

_TILE = 2**26
"""Bytes. A tile may be larger than its image, and is decoded whole; no real one is larger still."""

_RATIOS = {
    1: 1,
    32773: 64,  # PackBits: 2 bytes say 128
    8: 1032,  # Deflate: 2 bits say 258 bytes
    32946: 1032,
    5: 2560,  # LZW: 12 bits say the longest string of a table of 4096
    34926: 2**15,  # Zstandard: 4 bytes say a block of 128 KiB
    50000: 2**15,
}
_OTHER_RATIO = 2**16
"""How many bytes one stored byte can become, by compression. No real image comes near."""


def decode(source: Readable, limits: Limits, /) -> Outcome[Decoded[HostArray]]:
    """Give the first series of a TIFF as one array of native byte order, and what is known of it.

    `Metadata.axes` are tifffile's, in lower case, with its `s` for samples (RGB) as `c`, which is
    their name in OME-Zarr; empty where the file does not say what an axis is (a plain sequence of
    pages). `scale`, `unit` and `channel_names` are those of OME-XML, of ImageJ, or of resolution
    tags in a metric unit (dots per inch are a print's); what polystore noted beside them is more
    exact, and counts as long as they were not changed. Where a file holds further series, their
    name, shape, dtype and axes are listed in `attributes["other_series"]`, and pages in no series
    are counted in `attributes["other_pages"]`; the lower levels of a pyramid are neither. Palette
    images give their indices.

    `Corrupt` for anything that is no whole TIFF, or in a compression that is not decoded here;
    `TooLarge` beyond the limits.
    """
    content = read_small(source)
    if content is None:
        return and_then(_opened(source, limits), lambda image: _decoded(image, limits))
    image = _opened(readable_of(content), limits, io.BytesIO(content))
    return and_then(image, lambda it: _decoded(it, limits))


def open_lazily(source: Readable, limits: Limits, /) -> Outcome[Decoded[LazyArray]]:
    """Give the same array to be read region by region, and the same metadata.

    A read takes the strips and tiles that its region touches, and memory for these and for the
    region; the limits are those of a region. Regions are as NumPy takes slices, one per axis and of
    step 1: `UnsupportedOperation` for others. Reads are safe in several threads. The source has to
    stay open; what it raises passes through.
    """
    return _opened(source, limits).map(lambda image: _lazy(image, limits))


@frozen
class _Image:
    """What a TIFF holds: where its samples are, and what is known of them."""

    samples: Samples
    known: Known


def _opened(source: Readable, limits: Limits, memory: io.BytesIO | None = None) -> Outcome[_Image]:
    """Say what a source holds; `memory`, if given, is all of it."""
    from tifffile import TIFF

    found = survey(source, TIFF.TAG_LOAD)
    if not is_successful(found):
        return Failure(found.failure())
    skeleton = found.unwrap()
    if skeleton.values * _VALUE_BYTES > _SMALL_TABLES:
        too_large = over_limit(skeleton.values * _VALUE_BYTES, limits)
        if too_large is not None:
            return Failure(too_large)
    file = ReadableFile(source)
    with quiet():
        read = guard(
            lambda: _read(memory or file, source, skeleton), catch(Exception, _from_tifffile)
        )
    if file.failure is not None:
        raise file.failure
    return and_then(read, lambda outcome: outcome)


def _decoded(image: _Image, limits: Limits) -> Outcome[Decoded[HostArray]]:
    shape = image.samples.shape
    array = _box(image.samples, whole(shape), limits)
    return array.map(lambda it: Decoded(it.reshape(image.known.shape), image.known.metadata))


def _lazy(image: _Image, limits: Limits) -> Decoded[LazyArray]:
    samples, known = image.samples, image.known

    def read(region: Region) -> Outcome[HostArray]:
        found = box_of(region, known.shape)
        if not is_successful(found):
            return Failure(found.failure())
        box = found.unwrap()
        if 0 in lengths(box):
            return allocated(lengths(box), samples.pages.dtype)
        array = _box(samples, reshaped(box, known.shape, samples.shape), limits)
        return array.map(lambda it: it.reshape(lengths(box)))

    dtype = str(samples.pages.dtype)
    blocks = blocks_of(samples, known.shape)
    spec = ArraySpec(known.shape, dtype, known.metadata.axes, blocks)
    return Decoded(LazyArray(spec, read), known.metadata)


def _box(samples: Samples, box: Box, limits: Limits) -> Outcome[HostArray]:
    """Give a box of the samples as an array of its shape."""
    nbytes = math.prod(lengths(box)) * samples.pages.dtype.itemsize
    too_large = over_limit(max(nbytes, samples.tile), limits)
    if too_large is not None:
        return Failure(too_large)
    room = allocated(lengths(box), samples.pages.dtype)
    if not is_successful(room):
        return room
    read = guard(
        lambda: read_samples(samples, box, room.unwrap()), catch(Exception, _from_tifffile)
    )
    return and_then(read, lambda _: room)


def _from_tifffile(error: Exception) -> StorageError:
    """Give the error for an exception: on damaged bytes tifffile raises nearly every class."""
    if isinstance(error, (ImportError, OSError)):
        raise error
    if isinstance(error, MemoryError):
        message = f"This machine has no memory for it: {error}."
        return TooLarge("", None, message, "Load it on a larger machine.")
    own = isinstance(error, ValueError) and str(error).startswith(("a ", "it "))
    return damaged("TIFF", str(error) if own else f"tifffile cannot read it ({reason_of(error)})")


def _read(file: ReadableFile | io.BytesIO, source: Readable, skeleton: Skeleton) -> Outcome[_Image]:
    from tifffile import TiffFile

    # Told nothing, tifffile takes a sample of the pages for all of them.
    uniform = None if len(set(skeleton.layouts)) == 1 else False
    # The other three would open other files, or make pages at a distance that the file chooses.
    with TiffFile(
        cast("IO[bytes]", file),
        is_uniform=uniform,
        is_mmstack=False,
        is_ndtiff=False,
        is_scanimage=False,
    ) as tif:
        ome = parse_ome(tif.ome_metadata) if tif.is_ome else None
        problem = None if ome is None else ome_problem(ome, skeleton.layouts)
        if tif.is_ome and ome is None:
            problem = "its OME-XML cannot be parsed, or defines entities"
        unseen = unseen_pages(tif, skeleton) if problem is None else 0
        problem = problem or _unseen_problem(tif, unseen)
        if problem is not None:
            return Failure(damaged("TIFF", problem))
        samples = _plan(tif.series[0], source, skeleton)
        known = known_of(tif, ome, unseen)
        return samples.map(lambda it: _Image(it, known))


def _unseen_problem(tif: TiffFile, unseen: int) -> str | None:
    if not tif.series:
        return "it holds no image"
    # A description that tifffile wrote itself covers all pages, or it is not what was written.
    if tif.series[0].kind == "shaped" and unseen:
        return "its description leaves out some of its pages"
    return None


def _plan(series: TiffPageSeries, source: Readable, skeleton: Skeleton) -> Outcome[Samples]:
    """Say where the samples of a series lie; `Corrupt` if they do not all lie in the file."""
    problem = unreadable(series.keyframe)
    if problem is not None:
        message = f"This TIFF cannot be read: {problem}."
        advice = "Save it in another compression, such as deflate, where it was made."
        return Failure(Corrupt("", None, message, advice))
    shape = tuple(operator.index(length) for length in series.shape)
    nbytes = math.prod(shape) * series.dtype.itemsize
    if nbytes > _most(series, source.size):
        reason = f"it claims {nbytes} bytes of samples, which its {source.size} bytes cannot hold"
        return Failure(damaged("TIFF", reason))
    tile = math.prod(series.keyframe.chunks) * series.dtype.itemsize
    if tile > max(4 * nbytes, _TILE):
        return Failure(damaged("TIFF", f"it claims tiles of {tile} bytes"))
    start = series.dataoffset if nbytes else 0
    problem = (
        _misfit(series, skeleton, nbytes, source.size)
        if start is None
        else _outside(start, nbytes, source.size)
    )
    if problem is not None:
        return Failure(damaged("TIFF", problem))
    key, dtype = series.keyframe, series.dtype.newbyteorder("=")
    pages = [page for page in series if page is not None] if start is None else []
    part = 0 if start is not None or key.is_final else tile
    return Success(Samples(shape, start, part, paged(source, pages, key, dtype)))


def _outside(start: int, nbytes: int, size: int) -> str | None:
    """Say what is missing of samples that lie in one piece; `None` if they are all there."""
    if nbytes and start < 8:
        return "its samples are missing"
    missing = start + nbytes - size
    return f"{missing} bytes are missing at its end" if missing > 0 else None


def _most(series: TiffPageSeries, size: int) -> int:
    """Give how many bytes of samples a file of this size can hold at most."""
    key = series.keyframe
    bits = cast("object", key.bitspersample)  # a tuple, where samples differ
    ratio = _RATIOS.get(key.compression, _OTHER_RATIO)
    return size * ratio * series.dtype.itemsize * 8 // max(bits if isinstance(bits, int) else 1, 1)


def _misfit(series: TiffPageSeries, skeleton: Skeleton, nbytes: int, size: int) -> str | None:
    """Say what keeps the pages of a series from being one array; `None` if they are."""
    key = series.keyframe
    pages = list(series)
    if any(page is None for page in pages):
        return f"{pages.count(None)} of its {len(pages)} planes are not in it, maybe in other files"
    if len(pages) * key.nbytes != nbytes:
        return f"its description says {nbytes} bytes, and its pages hold {len(pages) * key.nbytes}"
    expected = _layout(key, skeleton)
    for page in pages:
        if page is None:
            continue
        if _layout(page, skeleton) != expected:
            return "its pages differ in size or type"
        problem = segment_problem(page, key, size)
        if problem is not None:
            return problem
    return None


def _layout(page: TiffPage | TiffFrame, skeleton: Skeleton) -> Layout | None:
    """Give the layout of a page of the chain; sub-pages have none here."""
    return skeleton.layouts[page.index] if len(page.treeindex) == 1 else None
