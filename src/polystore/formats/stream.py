"""Files for libraries that want one: a `Readable` to read from, and a recorder to write to."""

from __future__ import annotations

import io
import os
import sys
from bisect import bisect_right
from collections.abc import Iterator

from polystore.core.records import Buffer, Readable

__all__ = ["ReadableFile", "Recorder", "read_small"]

_SMALL = 2**16
"""Bytes that are read at once where parts of them would be: many calls cost more than the rest."""


def read_small(source: Readable) -> bytes | None:
    """Give all that is in a small source; `None` for a large one, and one that ends too early.

    What ends before its size has shrunk, which whoever reads its parts finds out and says.
    """
    if source.size > _SMALL:
        return None
    content = bytearray(source.size)
    count = source.read_into(0, memoryview(content))
    return bytes(content) if count == source.size else None


class ReadableFile:
    """A `Readable` as a seekable binary file that is only read. Not safe to share between threads.

    An `OSError` of the store is raised, and kept in `failure`, because libraries take it for damage
    in the file and go on.

    >>> content = b"one two"
    >>> def read_into(offset: int, buffer: memoryview) -> int:
    ...     part = content[offset : offset + len(buffer)]
    ...     buffer[: len(part)] = part
    ...     return len(part)
    >>> file = ReadableFile(Readable(len(content), read_into, lambda: None))
    >>> file.seek(4), file.read()
    (4, b'two')
    """

    __slots__ = ("_position", "_source", "failure")

    def __init__(self, source: Readable) -> None:
        self._source = source
        self._position = 0
        self.failure: OSError | None = None

    def tell(self) -> int:
        """Give the position, in bytes from the beginning."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move, and give the new position; beyond the end is allowed, before the beginning not."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._source.size}
        if start[whence] + offset < 0:
            raise ValueError(f"negative position {start[whence] + offset}")
        self._position = start[whence] + offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        """Give up to `size` bytes, fewer only at the end; if it is negative, all that is left."""
        left = max(self._source.size - self._position, 0)
        buffer = bytearray(left if size < 0 else min(size, left))
        return bytes(memoryview(buffer)[: self.readinto(buffer)])

    def readinto(self, buffer: Buffer) -> int:
        """Fill the buffer as far as there are bytes, and give how many were read."""
        view = memoryview(buffer).cast("B")
        view = view[: max(self._source.size - self._position, 0)]
        if not view:
            return 0
        try:
            count = self._source.read_into(self._position, view)
        except OSError as error:
            self.failure = error
            raise
        self._position += count
        return count

    def fileno(self) -> int:
        """Raise: there is no descriptor."""
        raise io.UnsupportedOperation("fileno")

    def close(self) -> None:
        """Do nothing: who made the `Readable` closes it."""


_KEPT_FROM = 2**16
"""Bytes. Larger writes are kept as the buffers that they are; smaller ones are joined."""


class Recorder:
    """A binary file that is only written, and keeps what it is given instead of copying it.

    A large gap that was seeked over is kept as a gap, to be filled with memory that is there
    already: so a library writes a header around an array without touching it.

    >>> file = Recorder()
    >>> file.seek(2), file.write(b"tail"), file.seek(0), file.write(b"II"), file.tell()
    (2, 4, 0, 2, 2)
    >>> b"".join(file.buffers())
    b'IItail'
    >>> b"".join(file.buffers(3, memoryview(b"AI")))
    b'IItAIl'
    """

    __slots__ = ("_lent", "_parts", "_position", "_starts", "size")

    def __init__(self, *lent: memoryview) -> None:
        """Begin empty; a large write from `lent` memory is kept as it is, and never copied.

        >>> array = bytearray(2**16)
        >>> file = Recorder(memoryview(array))
        >>> count = file.write(memoryview(array))
        >>> array[0] = 1
        >>> memoryview(next(file.buffers()))[0]
        1
        """
        self._lent = sorted(map(_extent, lent))
        self._starts: list[int] = []
        self._parts: list[bytearray | bytes | memoryview | None] = []  # `None` is a gap
        self._position = 0
        self.size: int = 0

    def tell(self) -> int:
        """Give the position, in bytes from the beginning."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move, and give the new position; beyond the end makes a gap with the next write."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}
        self._position = start[whence] + offset
        return self._position

    def write(self, buffer: Buffer) -> int:
        """Put the buffer at the position, and give its length; large `bytes` are kept uncopied."""
        view = memoryview(buffer).cast("B")
        if not view:
            return 0
        over = min(max(self.size - self._position, 0), len(view))
        if over:
            self._write_over(view[:over])
        if self._position + over > self.size:
            self._append_gap(self._position + over - self.size)
        self._append(buffer if over == 0 and isinstance(buffer, bytes) else view[over:])
        self._position += len(view)
        return len(view)

    def flush(self) -> None:
        """Do nothing: there is nothing to write to."""

    def fileno(self) -> int:
        """Raise: there is no descriptor."""
        raise io.UnsupportedOperation("fileno")

    def buffers(self, offset: int = 0, memory: memoryview | None = None) -> Iterator[Buffer]:
        """Give all that was written, in order; at `offset`, `memory` stands in its place."""
        yield from self._between(0, offset)
        if memory is not None:
            yield memory
            offset += memory.nbytes
        yield from self._between(offset, self.size)

    def _between(self, first: int, last: int) -> Iterator[Buffer]:
        ends = [*self._starts[1:], self.size]
        for start, part, end in zip(self._starts, self._parts, ends, strict=False):
            low, high = max(first, start), min(last, end)
            if low < high:
                yield (
                    bytes(high - low)
                    if part is None
                    else memoryview(part)[low - start : high - start]
                )

    def _write_over(self, view: memoryview) -> None:
        position = self._position
        while view:
            index = bisect_right(self._starts, position) - 1
            end = self._starts[index + 1] if index + 1 < len(self._starts) else self.size
            count = min(end - position, len(view))
            part = self._parts[index]
            if part is None:
                self._write_into_gap(index, position, end, view[:count])
            else:
                patched = part if isinstance(part, bytearray) else bytearray(part)
                start = position - self._starts[index]
                patched[start : start + count] = view[:count]
                self._parts[index] = patched
            position += count
            view = view[count:]

    def _write_into_gap(self, index: int, position: int, end: int, view: memoryview) -> None:
        start, after = self._starts[index], position + len(view)
        pieces: list[tuple[int, bytearray | None]] = [(position, bytearray(view))]
        if start < position:
            pieces.insert(0, (start, None))
        if after < end:
            pieces.append((after, None))
        self._starts[index : index + 1] = [at for at, _ in pieces]
        self._parts[index : index + 1] = [part for _, part in pieces]

    def _append_gap(self, length: int) -> None:
        if length < _KEPT_FROM:
            self._append(bytes(length))
        else:
            self._starts.append(self.size)
            self._parts.append(None)
            self.size += length

    def _is_lent(self, buffer: bytes | memoryview) -> bool:
        if not self._lent:
            return False
        first, end = _extent(memoryview(buffer))
        # The nearest one. Of two that overlap it may be the wrong one: then this is copied.
        before = bisect_right(self._lent, (first, sys.maxsize)) - 1
        return before >= 0 and end <= self._lent[before][1]

    def _append(self, buffer: bytes | memoryview) -> None:
        last = self._parts[-1] if self._parts else None
        if len(buffer) >= _KEPT_FROM:
            self._starts.append(self.size)
            self._parts.append(buffer if self._is_lent(buffer) else bytes(buffer))
        elif isinstance(last, bytearray):
            last += buffer
        elif buffer:
            self._starts.append(self.size)
            self._parts.append(bytearray(buffer))
        self.size += len(buffer)


def _extent(view: memoryview) -> tuple[int, int]:
    """Give the addresses at which the memory of a view begins and ends."""
    import numpy as np

    address = np.frombuffer(view, np.uint8).ctypes.data if view.nbytes else 0
    return address, address + view.nbytes
