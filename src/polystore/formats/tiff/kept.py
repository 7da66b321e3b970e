"""Strips and tiles so large that they are decoded one at a time, and once for all parts of them."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable

from polystore.core.payload import HostArray
from polystore.core.records import Readable
from polystore.formats.box import read_fully

__all__ = ["LARGE", "Kept", "inflate"]

LARGE = 2**23
"""Bytes of a strip or tile, decoded, from which it is large. The usual ones have at most 1 MiB."""

_PIECE = 2**20


class Kept:
    """The large segment of a file that was decoded last, until as much was read as it holds.

    Threads take turns, so that no two of them are in memory.
    """

    __slots__ = ("_left", "_lock", "_offset", "_segment")

    def __init__(self) -> None:
        """Begin with none."""
        self._lock = threading.Lock()
        self._offset, self._left = 0, 0
        self._segment: HostArray | None = None

    def copy(
        self,
        offset: int,
        decode: Callable[[], HostArray],
        part: tuple[slice, ...],
        target: HostArray,
    ) -> None:
        """Copy a part of the segment that is at an offset of the file; raises what `decode` does.

        It is decoded if it is not the one that is kept.
        """
        with self._lock:
            segment = self._segment if offset == self._offset else None
            if segment is None:
                self._segment = None  # before there are two
                segment = decode()
                self._segment, self._offset, self._left = segment, offset, segment.size
            target[...] = segment[part]
            self._left -= target.size
            if self._left <= 0:
                self._segment = None


def inflate(source: Readable, offset: int, count: int, memory: memoryview) -> bool:
    """Decompress Deflate into memory, without all that is compressed in memory beside it.

    `False` if it does not give as much as the memory holds, or is damaged. Raises what the source
    raises.
    """
    inflater = zlib.decompressobj()
    piece, done, end = bytearray(_PIECE), 0, offset + count
    while not inflater.eof:  # which comes with the checksum, after the last byte
        content: bytes | memoryview = inflater.unconsumed_tail
        if not content and offset < end:
            content = memoryview(piece)[: min(_PIECE, end - offset)]
            read_fully(source, offset, content)
            offset += content.nbytes
        left = memory.nbytes - done
        try:
            found = inflater.decompress(content, max(1, min(_PIECE, left)))
        except zlib.error:
            return False
        if len(found) > left or not (found or content):
            return False
        memory[done : done + len(found)] = found
        done += len(found)
    return done == memory.nbytes
