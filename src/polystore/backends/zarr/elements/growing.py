"""New files that grow by encoded chunks: one chunk each, or many with an index (shards)."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from polystore.backends.zarr.elements.grid import Place
from polystore.backends.zarr.elements.meta import ArrayMeta
from polystore.backends.zarr.elements.shard import ABSENT, IndexForm, encode_index, index_nbytes
from polystore.backends.zarr.tree import Files, Growing
from polystore.core.payload import HostArray
from polystore.core.records import Buffer
from polystore.core.region import Box, lengths, region_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["GrowingShard", "Put", "full_chunk", "is_of", "part_of", "plain_files", "shard_files"]

Put = Callable[[Place, Place, Sequence[Buffer]], None]
"""Takes an encoded chunk: of which file, which chunk of it, and its bytes. Raises `OSError`."""


class GrowingShard:
    """A file of chunks that grows by one chunk at a time, of any thread; its index comes last."""

    __slots__ = ("_entries", "_form", "_growing", "_kept", "_lock", "_make", "_offset")

    _entries: NDArray[np.uint64]

    def __init__(self, make: Callable[[], Growing], form: IndexForm, counts: Place) -> None:
        """Begin with no chunk; the file is made with the first one. `counts` is of its chunks."""
        import numpy as np

        self._make, self._form = make, form
        self._growing: Growing | None = None
        self._kept: list[Buffer] = []
        self._offset = index_nbytes(form, math.prod(counts)) if form.at_start else 0
        self._lock = threading.Lock()
        self._entries = np.full((*counts, 2), ABSENT, np.uint64)

    def put(self, chunk: Place, content: Sequence[Buffer]) -> None:
        """Add an encoded chunk; raises `OSError`."""
        nbytes = sum(memoryview(buffer).nbytes for buffer in content)
        with self._lock:
            if self._form.at_start:  # all have to be known before the first is written
                self._kept.extend(content)
            else:
                if self._growing is None:
                    self._growing = self._make()
                self._growing.append(content)
            self._entries[chunk] = (self._offset, nbytes)
            self._offset += nbytes

    def finish(self) -> None:
        """Add the index, and end the file; raises `OSError`. Called once, last."""
        growing = self._growing or self._make()
        growing.append([encode_index(self._form, self._entries.reshape(-1, 2)), *self._kept])
        growing.finish()


def plain_files(files: Files, meta: ArrayMeta, below: str) -> Put:
    """Give what puts each chunk into a file of its own."""

    def put(place: Place, _chunk: Place, content: Sequence[Buffer]) -> None:
        growing = files.create(below + meta.file_name(place))
        growing.append(content)
        growing.finish()

    return put


def shard_files(
    files: Files, meta: ArrayMeta, form: IndexForm, below: str
) -> tuple[Put, Callable[[], None]]:
    """Give what puts chunks into their shards, and what ends those that lack some at the end.

    A shard is ended as soon as all of its chunks that are in the array were put.
    """
    grid = meta.grid
    lock = threading.Lock()
    shards: dict[Place, GrowingShard] = {}
    left: dict[Place, int] = {}

    def shard_at(place: Place) -> GrowingShard:
        with lock:
            shard = shards.get(place)
            if shard is None:
                name = below + meta.file_name(place)
                shard = GrowingShard(lambda: files.create(name), form, grid.chunks_of_file)
                shards[place] = shard
                steps = zip(lengths(grid.box(place)), grid.chunk, strict=True)
                left[place] = math.prod(-(-length // step) for length, step in steps)
            return shard

    def put(place: Place, chunk: Place, content: Sequence[Buffer]) -> None:
        shard = shard_at(place)
        shard.put(chunk, content)
        with lock:
            left[place] -= 1
            complete = not left[place]
            if complete:
                del shards[place]
        if complete:
            shard.finish()

    def finish() -> None:
        for shard in shards.values():
            shard.finish()

    return put, finish


def part_of(array: HostArray, box: Box) -> HostArray:
    """Give a part of an array, shared; of one without axes all of it, which NumPy would copy."""
    return array[region_of(box)] if box else array


def is_of(dtype: np.dtype[Any], other: np.dtype[Any]) -> bool:
    """Whether two data types are one but for the byte order."""
    return dtype == other or dtype.newbyteorder("=") == other.newbyteorder("=")


def full_chunk(part: HostArray, meta: ArrayMeta) -> HostArray:
    """Give what is in a chunk as a C-ordered array of its whole shape: shared where it is one.

    Beyond the part, it is filled with the array's fill value. The part may have the other byte
    order.
    """
    import numpy as np

    if part.shape == meta.grid.chunk:
        return np.ascontiguousarray(part, meta.dtype).reshape(part.shape)  # 0-d ones get an axis
    chunk = np.full(meta.grid.chunk, meta.fill, meta.dtype)
    chunk[tuple(map(slice, part.shape))] = part
    return chunk
