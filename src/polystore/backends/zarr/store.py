"""One array's folder as zarr-python's `Store`, by its descriptor.

All files come from the folder that was opened, whatever its name has come to mean since: one reader
sees one generation. What goes wrong is kept (`problem`, `missing`), because zarr-python would give
a missing chunk as zeros, and because a codec's exception does not tell damage from a failing disk.

zarr-python goes on with other chunks after one has failed, and after an interrupt, in its own
threads. `close` therefore waits for what is under way and refuses the rest: a descriptor is never
closed, and its number taken by another file, under a thread that still writes to it.
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

from polystore.backends.zarr.node import read_file, write_file

if TYPE_CHECKING:
    from zarr.core.buffer import Buffer, BufferPrototype

__all__ = ["FolderStore"]


class FolderStore(Store):
    """The files below a folder, for one read or one write. It closes no descriptor.

    `missing` is the key of a file that was asked for and is not there; with `dense`, asking for it
    is an error, and otherwise it reads as nothing. No more than `longest` bytes are read of any
    file. `problem` is the operating system's first
    error. Each file is written once, and in place: a folder is written before anybody can see it.
    """

    def __init__(
        self,
        folder: int,
        *,
        dense: bool = False,
        longest: int = sys.maxsize,
        read_only: bool = True,
    ) -> None:
        """Take the descriptor of a folder, which must stay open until `close`."""
        super().__init__(read_only=read_only)
        self.problem: OSError | None = None
        self.missing: str | None = None
        self._folder = folder
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
        """No: the folder is one array."""
        return False

    @override
    def close(self) -> None:
        """Wait for the reads and writes under way, and refuse all later ones."""
        with self._idle:
            self._closed = True
            self._idle.wait_for(lambda: self._under_way == 0)
        super().close()

    @contextmanager
    def _at_work(self) -> Generator[int]:
        with self._idle:
            if self._closed:
                raise OSError(errno.EBADF, "the reading or writing of the array has ended")
            self._under_way += 1
        try:
            yield self._folder
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

    def _read(self, key: str, part: slice) -> bytes | None:
        with self._at_work() as folder:
            try:
                content = read_file(folder, key, part, self._longest + 1)
            except FileNotFoundError:
                self.missing = key
                if self._dense:
                    raise
                return None
            if len(content) > self._longest:
                raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), key)
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
        with self._at_work() as folder:
            write_file(folder, key, content)

    @override
    async def exists(self, key: str) -> bool:
        """Whether the file is there."""
        return await asyncio.to_thread(self._exists, key)

    def _exists(self, key: str) -> bool:
        with self._at_work() as folder:
            try:
                os.stat(key, dir_fd=folder)
            except FileNotFoundError:
                return False
            return True

    # zarr-python asks for none of these when it reads or writes the elements of one array.

    @override
    async def delete(self, key: str) -> None:
        """Refuse: a whole array is replaced."""
        raise NotImplementedError

    @override
    def list(self) -> AsyncIterator[str]:
        """Refuse: the folder is one array."""
        raise NotImplementedError

    @override
    def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Refuse: the folder is one array."""
        raise NotImplementedError

    @override
    def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Refuse: the folder is one array."""
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
