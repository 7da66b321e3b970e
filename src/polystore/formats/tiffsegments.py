"""The strips and tiles of a TIFF, decoded into one array, each at its place.

tifffile knows how a segment is to be decoded, and this decides where it goes: whole strips are
decompressed into the array itself, so that nothing is held twice; what has to be unpacked, cut or
converted goes through tifffile's own function. Segments are read by position and decoded
in as many threads as tifffile would take.
"""

from __future__ import annotations

import math
import struct
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from attrs import frozen

from polystore.core.payload import HostArray, bytes_of
from polystore.core.records import Buffer, Readable
from polystore.formats.quiet import quiet

if TYPE_CHECKING:
    from tifffile import TiffFrame, TiffPage

    Page: TypeAlias = TiffPage | TiffFrame

__all__ = ["fill", "segment_problem", "unreadable"]

_NONE, _LZW, _PACKBITS, _LZMA = 1, 5, 32773, 34925
_DEFLATE = frozenset({8, 32946})
_ZSTD = frozenset({34926, 50000})
_FAX = frozenset({2, 3, 4})
_JPEG = frozenset({7, 33007, 34892})
_JPEG_2000 = frozenset({33003, 33004, 33005, 34712})
_STREAMS = _DEFLATE | _ZSTD | {_LZW, _PACKBITS, _LZMA}

_END_OF_IMAGE = b"\xff\xd9"  # of JPEG and JPEG 2000 alike; within an image nothing looks like it

_SMALL = 14336
"""Bytes. Below it a segment is not worth a thread (tifffile's own measure, for LZW)."""


def unreadable(key: TiffPage) -> str | None:
    """Say why pages like this one are not decoded here; `None` if they are.

    A codec whose stream carries an image size of its own would allocate what it claims: only those
    are decoded whose size can be read beforehand.
    """
    known = _STREAMS | _FAX | _JPEG | _JPEG_2000 | {_NONE}
    if key.dtype is None:
        bits, kind = key.bitspersample, int(key.sampleformat)
        return f"its samples, of {bits} bits in TIFF's format {kind}, are of no type known here"
    if key.compression not in known:
        name = getattr(key.compression, "name", "unknown")
        return f"its compression, {int(key.compression)} ({name}), is none that is decoded here"
    return None


def segment_problem(page: Page, key: TiffPage, size: int) -> str | None:
    """Say which strip or tile of a page is not in a file of this size; `None` if all are."""
    if key.is_final:
        offsets: Sequence[int] = page.dataoffsets[:1]
        counts: Sequence[int] = [key.nbytes]
        number = 1
    else:
        offsets, counts = page.dataoffsets, page.databytecounts
        number = math.prod(key.chunked)
    if min(len(offsets), len(counts)) < number:
        return (
            f"{number - min(len(offsets), len(counts))} of its {number} strips or tiles are missing"
        )
    for offset, count in zip(offsets[:number], counts[:number], strict=True):
        if offset <= 0 or count <= 0:
            return "a strip or tile is missing"
        if offset + count > size:
            return f"{offset + count - size} bytes of a strip or tile are missing at its end"
    return None


@frozen
class _Job:
    """What goes where: `array` is (pages, separate samples, depth, length, width, samples)."""

    source: Readable
    pages: Sequence[Page]
    key: TiffPage
    array: HostArray
    segments: int
    decompress: Callable[..., Buffer] | None
    unpredict: Callable[..., object] | None
    swap: bool


def fill(source: Readable, pages: Sequence[Page], key: TiffPage, array: HostArray) -> None:
    """Decode the pages into the array, which is as large as they are, C-ordered and native.

    Raises what tifffile, imagecodecs and the source raise; `ValueError` if a segment is not whole.
    """
    from tifffile import TIFF

    unpredict: Callable[..., object] | None = None
    if key.compression != _NONE or key.predictor != 1 or key.fillorder != 1:
        # Imported here: without it, tifffile would call the file unreadable.
        from imagecodecs import delta_decode as unpredict
    _ = key.decode  # made on first use, and then not by several threads at once
    segments = 1 if key.is_final else math.prod(key.chunked)
    job = _Job(
        source,
        pages,
        key,
        array.reshape(len(pages), *key.shaped),
        segments,
        TIFF.DECOMPRESSORS[key.compression] if key.compression in _STREAMS else None,
        unpredict,
        swap=(key.parent.byteorder == ">") is (sys.byteorder == "little") and array.itemsize > 1,
    )
    total = len(pages) * segments
    large = array.nbytes // max(total, 1) >= _SMALL and key.compression != _NONE
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
    with quiet():
        for number in numbers:
            _decode(job, *divmod(number, job.segments))


def _decode(job: _Job, number: int, index: int) -> None:
    page, key = job.pages[number], job.key
    if key.is_final:
        target = job.array[number]
        _read(job, page.dataoffsets[0], bytes_of(target))
        if job.swap:
            target.byteswap(inplace=True)
        return
    if _is_whole_strip(key) and _decode_strip(job, number, index):
        return
    stored = bytearray(page.databytecounts[index])
    _read(job, page.dataoffsets[index], memoryview(stored))
    _check_image(key, stored)
    segment, (s, d, h, w, _), shape = key.decode(
        stored, index, jpegtables=page.jpegtables, jpegheader=key.jpegheader, _fullsize=False
    )
    if segment is None:
        raise ValueError("a strip or tile is missing")
    depth, length, width = key.imagedepth - d, key.imagelength - h, key.imagewidth - w
    place = job.array[number, s, d : d + shape[0], h : h + shape[1], w : w + shape[2]]
    place[...] = segment[:depth, :length, :width]


def _read(job: _Job, offset: int, memory: memoryview) -> None:
    if job.source.read_into(offset, memory) != memory.nbytes:
        raise ValueError("it ended while it was read")


def _is_whole_strip(key: TiffPage) -> bool:
    """Whether the decompressed bytes of a strip are its samples as they stand in memory."""
    return (
        not key.is_tiled
        and (key.compression == _NONE or key.compression in _STREAMS)
        and key.dtype is not None
        and key.bitspersample == key.dtype.itemsize * 8
        and key.sampleformat != 5  # complex integers
        and key.fillorder == 1
        and key.predictor in (1, 2)
        and not key.is_subsampled
    )


def _decode_strip(job: _Job, number: int, index: int) -> bool:
    """Decompress a strip to its place in the array; `False` if tifffile has to look at it."""
    page, key = job.pages[number], job.key
    _, depth, length, _, _ = key.shaped
    rows = key.rowsperstrip
    strips = math.ceil(length / rows)
    sample, below = divmod(index, strips * depth)
    plane, strip = divmod(below, strips)
    target = job.array[number, sample, plane, strip * rows : (strip + 1) * rows]
    memory = bytes_of(target)
    count = page.databytecounts[index]
    if job.decompress is None:
        if count < memory.nbytes:
            return False
        _read(job, page.dataoffsets[index], memory)
    else:
        stored = bytearray(count)
        _read(job, page.dataoffsets[index], memoryview(stored))
        try:
            written = memoryview(job.decompress(stored, out=memory)).nbytes
        except (RuntimeError, ValueError):
            return False
        if written != memory.nbytes:
            return False
    if job.swap:
        target.byteswap(inplace=True)
    if key.predictor == 2 and job.unpredict is not None:
        job.unpredict(target, axis=-2, out=target)
    return True


def _check_image(key: TiffPage, stored: bytearray) -> None:
    """Raise `ValueError` if a stream that carries its own size is cut, or larger than its place."""
    if key.compression not in _JPEG | _JPEG_2000:
        return
    if key.jpegheader is None and _END_OF_IMAGE not in stored:
        # What is missing would be filled with gray, and nothing said.
        raise ValueError("a strip or tile ends in the middle of its JPEG image")
    if key.compression in _JPEG:
        claim = _jpeg_samples(key.jpegheader or stored)
    else:
        claim = _jpeg_2000_samples(stored)
    rows = key.tilelength if key.is_tiled else key.rowsperstrip
    columns = key.tilewidth if key.is_tiled else key.imagewidth
    # Some writers fill the last strip up to the others' height, or pad to whole blocks.
    if claim > 4 * max(rows, 64) * max(columns, 64) * max(key.samplesperpixel, 1):
        raise ValueError("a strip or tile claims to be larger than its place")


def _jpeg_samples(stream: bytes | bytearray) -> int:
    """Give how many samples a JPEG stream claims (ITU T.81, annex B)."""
    position = 2
    while position + 9 < len(stream) and stream[position] == 0xFF:
        marker, length = struct.unpack_from(">BH", stream, position + 1)
        if marker in (0xC0, 0xC1, 0xC2):  # baseline, extended, progressive
            height, width, components = struct.unpack_from(">HHB", stream, position + 5)
            return int(height * width * components)
        position += 2 + length
    raise ValueError("a strip or tile holds no JPEG image of a common kind")


def _jpeg_2000_samples(stream: bytearray) -> int:
    """Give how many samples a JPEG 2000 codestream claims (ITU T.800, annex A)."""
    start = stream.find(b"\xff\x4f\xff\x51", 0, 4096)
    if start < 0 or len(stream) < start + 42:
        raise ValueError("a strip or tile holds no JPEG 2000 image")
    right, bottom, left, top = struct.unpack_from(">4I", stream, start + 8)
    (components,) = struct.unpack_from(">H", stream, start + 40)
    return max(int(right - left), 1) * max(int(bottom - top), 1) * int(components)
