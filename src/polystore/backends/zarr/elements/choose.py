"""Into which chunks and files a new array is cut: as its config says, or chosen by its shape."""

from __future__ import annotations

import math
from collections.abc import Sequence

from polystore.backends.zarr.elements.grid import Grid
from polystore.configs import ChunkStrategy, ZarrConfig, ZarrLayout
from polystore.core.errors import InvalidSpec
from polystore.core.outcome import Failure, Outcome, Success

__all__ = ["CHUNK_BYTES", "CHUNK_BYTES_MAX", "FILE_BYTES", "chosen_grid"]

CHUNK_BYTES = 2 * 2**20
"""The most that a chosen chunk takes before compression, unless one element takes more: a tile of
1024 x 1024 pixels of 16 bits. It is what two cores read and write fastest, and fits their caches.
"""

FILE_BYTES = 64 * 2**20
"""The most that a chosen file of chunks (a shard) takes before compression, up to 6 TiB."""

CHUNK_BYTES_MAX = 2**31 - 2**16
"""Blosc takes 32-bit lengths (its BLOSC_MAX_BUFFERSIZE is 2**31 - 33), and so do others."""

_FILES_MAX = 100_000  # of a larger array, the files are larger
_FILES_SANE = 2**32
"""Files of an array: at 0.1 ms for each, five days; ext4 has no more on a disk."""

_SHARD_LENGTH_MAX = 2**40
"""Of its length, the divisors are looked through."""

_SHARD_CHUNKS_MAX = 2**27
"""Chunks of one file: its index has 16 bytes for each, 2 GiB, which are in memory."""

_PLANE_BYTES = CHUNK_BYTES // 8  # a smaller plane shares its chunk with others
_CHANNELS = ("c", "s")


def chosen_grid(
    shape: tuple[int, ...], itemsize: int, axes: tuple[str, ...], config: ZarrConfig
) -> Outcome[Grid]:
    """Give the grid of a new array; `InvalidSpec` if the config's chunks do not suit its shape.

    Where the config leaves the choice, a chunk is a tile of the last two axes (an axis `c` or `s`
    at the end is never cut) of 1-2 MiB, or several small planes; a file is as many whole chunks as
    make up 64 MiB, rows and columns first. What is cut is cut evenly. In a plate, a file is a
    plane, or all planes, as its `chunk_strategy` says. `itemsize` is in bytes.

    >>> config = ZarrConfig(root="/data")
    >>> grid = chosen_grid((64, 1360, 1024), 2, ("z", "y", "x"), config).unwrap()
    >>> grid.chunk, grid.file
    ((1, 680, 1024), (22, 1360, 1024))
    >>> chosen_grid((), 8, (), config).unwrap().chunk
    ()
    """
    refused = _refused(len(shape), itemsize, config)
    if refused is not None:
        return Failure(refused)
    lengths = tuple(max(1, length) for length in shape)
    apart = config.layout is ZarrLayout.PLATE and config.chunk_strategy is ChunkStrategy.FIELD
    chunk = config.chunks or _chunk(config.shards or lengths, itemsize, axes, apart=apart)
    if config.shards and config.chunks is None:
        chunk = tuple(map(_divisor, config.shards, chunk))
    if config.shards is not None:
        return _sane(Grid(shape, config.shards or chunk, chunk))
    if config.layout is ZarrLayout.PLATE:
        rows = _first_of_plane(axes, len(shape)) if apart else 0
        file = tuple(
            -(-length // step) * step if axis >= rows else step
            for axis, (length, step) in enumerate(zip(lengths, chunk, strict=True))
        )
    else:
        file = _file(lengths, chunk, itemsize)
    return Success(Grid(shape, file, chunk))


def _sane(grid: Grid) -> Outcome[Grid]:
    """Refuse the files of a config where there are too many, or too many chunks in one."""
    if grid.file_count > _FILES_SANE:
        reason = (
            f"{grid.file} makes {grid.file_count} files, and at most {_FILES_SANE} are written."
        )
        return Failure(_invalid("shards" if grid.is_sharded else "chunks", reason))
    chunks = math.prod(grid.chunks_of_file)
    if chunks > _SHARD_CHUNKS_MAX:
        reason = (
            f"{grid.file} has {chunks} chunks in a file, which has at most {_SHARD_CHUNKS_MAX}."
        )
        return Failure(_invalid("shards", reason))
    return Success(grid)


def _refused(ndim: int, itemsize: int, config: ZarrConfig) -> InvalidSpec | None:
    for where, steps in (("chunks", config.chunks), ("shards", config.shards)):
        if steps is not None and len(steps) != ndim and (steps or where == "chunks"):
            return _invalid(where, f"{steps} has {len(steps)} lengths, and the array {ndim} axes.")
        if steps and min(steps) < 1:
            return _invalid(where, f"{steps} has a length below 1.")
    if config.shards and max(config.shards) > _SHARD_LENGTH_MAX:
        return _invalid("shards", f"{config.shards} has a length above {_SHARD_LENGTH_MAX}.")
    chunks, shards = config.chunks, config.shards
    if chunks and shards and any(a % b for a, b in zip(shards, chunks, strict=True)):
        return _invalid("shards", f"{shards} is no multiple of the chunks {chunks}.")
    if chunks and math.prod(chunks) * itemsize > CHUNK_BYTES_MAX:
        reason = f"{chunks} of {itemsize} bytes an element is more than 2 GiB."
        return _invalid("chunks", reason)
    return None


def _invalid(where: str, reason: str) -> InvalidSpec:
    return InvalidSpec(
        "",
        None,
        f"The config's {where} do not suit this array: {reason}",
        f"Give one length per axis, or leave {where} out to have them chosen.",
        where,
    )


def _first_of_plane(axes: Sequence[str], ndim: int) -> int:
    """Give which axis is the rows of a plane; the columns, and channels at the end, follow it."""
    channels_last = len(axes) == ndim > 2 and axes[-1] in _CHANNELS
    return max(0, ndim - (3 if channels_last else 2))


def _chunk(
    lengths: tuple[int, ...], itemsize: int, axes: tuple[str, ...], *, apart: bool
) -> tuple[int, ...]:
    ndim = len(lengths)
    rows = _first_of_plane(axes, ndim)
    chunk = [1] * rows + list(lengths[rows:])
    room = max(1, CHUNK_BYTES // max(1, itemsize))
    tiled = range(rows, min(rows + 2, ndim))  # channels at the end only if nothing else is left
    while math.prod(chunk) > room:
        axis = max(tiled, key=lambda it: chunk[it])
        axis = axis if chunk[axis] > 1 else ndim - 1
        if chunk[axis] == 1:
            break
        chunk[axis] = -(-chunk[axis] // 2)
    if apart or math.prod(chunk) * itemsize > _PLANE_BYTES:
        return tuple(chunk)
    for axis in _leading(axes, ndim, rows):
        count = max(1, room // 2 // math.prod(chunk))
        chunk[axis] = _even(lengths[axis], count)
    return tuple(chunk)


def _leading(axes: tuple[str, ...], ndim: int, rows: int) -> list[int]:
    """Give the axes before a plane, those first along which planes are to share a chunk."""
    leading = list(reversed(range(rows)))
    if len(axes) != ndim:
        return leading
    return sorted(leading, key=lambda axis: axes[axis] in _CHANNELS)


def _even(length: int, most: int) -> int:
    """Give a step of at most `most` that cuts a length into nearly equal parts.

    >>> _even(1360, 1024), _even(3, 8)
    (680, 3)
    """
    return -(-length // -(-length // most))


def _divisor(length: int, about: int) -> int:
    """Give the divisor of a length that is nearest to another number, as a ratio.

    >>> _divisor(1360, 1000), _divisor(4096, 1024)
    (1360, 1024)
    """
    small = [n for n in range(1, math.isqrt(length) + 1) if length % n == 0]
    return min([*small, *(length // n for n in small)], key=lambda n: max(n / about, about / n))


def _file(lengths: tuple[int, ...], chunk: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Give how much of an array one file holds: whole rows of chunks, then planes, then more."""
    file = list(chunk)
    nbytes = max(FILE_BYTES, math.prod(lengths) * itemsize // _FILES_MAX)
    room = max(1, nbytes // max(1, math.prod(chunk) * itemsize))
    for axis in reversed(range(len(chunk))):
        count = -(-lengths[axis] // chunk[axis])
        taken = _even(count, room) if count > room else count
        file[axis] = chunk[axis] * taken
        if taken < count:
            break
        room //= count
    return tuple(file)
