"""The files of a node as zarr-python's `Store`, and what it reads and writes through that.

What goes wrong is kept (`problem`, `missing`), because zarr-python would give a missing chunk as
zeros, and because a codec's exception does not tell damage from a failing disk.

zarr-python goes on with other chunks after one has failed, and after an interrupt, in its own
threads. `close` therefore waits for what is under way and refuses the rest: the files are never
closed under a thread that still uses them.
"""

from __future__ import annotations

import asyncio
import errno
import os
import sys
import threading
from collections.abc import AsyncIterator, Generator, Iterable
from contextlib import contextmanager
from typing import TYPE_CHECKING

from typing_extensions import override
from zarr.abc.store import (
    ByteRequest,
    OffsetByteRequest,
    RangeByteRequest,
    Store,
    SuffixByteRequest,
)

if TYPE_CHECKING:
    from zarr.core.buffer import Buffer, BufferPrototype

    from polystore.backends.zarr.tree import Files
    from polystore.core.records import Readable

__all__ = ["FilesStore"]


class FilesStore(Store):
    """The files of a node, below a path in it, for one read or one write.

    `missing` is the key of a file that was asked for and is not there; with `dense`, asking for it
    is an error, and otherwise it reads as nothing. A file of more than `longest` bytes is not read.
    `problem` is the operating system's first error. Each file is written once.
    """

    def __init__(
        self,
        files: Files,
        below: str = "",
        *,
        dense: bool = False,
        longest: int = sys.maxsize,
        read_only: bool = True,
    ) -> None:
        """Take the files of a node, which must stay readable until `close`."""
        super().__init__(read_only=read_only)
        self.problem: OSError | None = None
        self.missing: str | None = None
        self._files = files
        self._below = below
        self._dense = dense
        self._longest = longest
        self._idle = threading.Condition()
        self._under_way = 0
        self._closed = False

    @override
    def __eq__(self, value: object) -> bool:
        return self is value

    @override
    def __hash__(self) -> int:
        return id(self)

    @property
    @override
    def supports_writes(self) -> bool:
        """Yes, unless it was opened for reading."""
        return not self.read_only

    @property
    @override
    def supports_deletes(self) -> bool:
        """No: a whole array is replaced."""
        return False

    @property
    @override
    def supports_listing(self) -> bool:
        """No: zarr-python sees one array."""
        return False

    @override
    def close(self) -> None:
        """Wait for the reads and writes under way, and refuse all later ones."""
        with self._idle:
            self._closed = True
            self._idle.wait_for(lambda: self._under_way == 0)
        super().close()

    @contextmanager
    def _at_work(self) -> Generator[None]:
        with self._idle:
            if self._closed:
                raise OSError(errno.EBADF, "the reading or writing of the array has ended")
            self._under_way += 1
        try:
            yield
        except OSError as error:
            self.problem = self.problem or error
            raise
        finally:
            with self._idle:
                self._under_way -= 1
                self._idle.notify_all()

    @override
    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Give the bytes of a file, or of a part of it; `None` where there is none."""
        content = await asyncio.to_thread(self._read, key, _part(byte_range))
        return None if content is None else prototype.buffer.from_bytes(content)

    def _read(self, key: str, part: slice) -> bytearray | None:
        with self._at_work():
            source = self._files.open(self._below + key)
            if source is None:
                self.missing = key
                if self._dense:
                    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), key)
                return None
            try:
                return self._content(source, part, key)
            finally:
                source.close()

    def _content(self, source: Readable, part: slice, key: str) -> bytearray:
        start, stop, _ = part.indices(source.size)
        if stop - start > self._longest:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), key)
        content = bytearray(max(0, stop - start))
        del content[source.read_into(start, memoryview(content)) :]
        return content

    @override
    async def get_partial_values(
        self,
        prototype: BufferPrototype,
        key_ranges: Iterable[tuple[str, ByteRequest | None]],
    ) -> list[Buffer | None]:
        """Give the bytes of parts of files."""
        return [await self.get(key, prototype, byte_range) for key, byte_range in key_ranges]

    @override
    async def set(self, key: str, value: Buffer) -> None:
        """Write a file that is not there yet."""
        self._check_writable()
        await asyncio.to_thread(self._write, key, value.as_numpy_array().data)

    def _write(self, key: str, content: memoryview) -> None:
        with self._at_work():
            new = self._files.create(self._below + key)
            new.append([content])
            new.finish()

    @override
    async def exists(self, key: str) -> bool:
        """Whether the file is there."""
        return await asyncio.to_thread(self._exists, key)

    def _exists(self, key: str) -> bool:
        with self._at_work():
            source = self._files.open(self._below + key)
            if source is not None:
                source.close()
            return source is not None

    # zarr-python asks for none of these when it reads or writes the elements of one array.

    @override
    async def delete(self, key: str) -> None:
        """Refuse: a whole array is replaced."""
        raise NotImplementedError

    @override
    def list(self) -> AsyncIterator[str]:
        """Refuse: zarr-python sees one array."""
        raise NotImplementedError

    @override
    def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Refuse: zarr-python sees one array."""
        raise NotImplementedError

    @override
    def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Refuse: zarr-python sees one array."""
        raise NotImplementedError


def _part(byte_range: ByteRequest | None) -> slice:
    match byte_range:
        case None:
            return slice(None)
        case RangeByteRequest():
            return slice(byte_range.start, byte_range.end)
        case OffsetByteRequest():
            return slice(byte_range.offset, None)
        case SuffixByteRequest():
            return slice(-byte_range.suffix, None) if byte_range.suffix else slice(0)
