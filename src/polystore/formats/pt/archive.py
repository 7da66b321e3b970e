"""The archive that a `.pt` is: an uncompressed ZIP, whose directory is not trusted."""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from itertools import pairwise

from attrs import frozen

from polystore.core.records import Readable
from polystore.formats.stream import ReadableFile

__all__ = ["DIRECTORY_MAX", "Record", "content_of_record", "directory", "read_record"]

DIRECTORY_MAX = 8 * 2**20
"""Bytes. A file of 100 000 tensors has less, and Python reads that much in two seconds."""

_HEADER = struct.Struct("<4s22xHH")
"""Of a ZIP's local header (APPNOTE 4.3.7): its signature, and the lengths of name and extra."""

_ENCRYPTED = 1  # the flag, in APPNOTE 4.4.4


@frozen
class Record:
    """A file in the archive: its name, where its header begins, and its bytes.

    `end` is where the next header, or the directory, begins; `checksum` is the CRC-32 of the bytes,
    or 0 where PyTorch was told to compute none (`set_crc32_options`, `skip_data`); `plain` is
    whether the bytes stand there as they are: not compressed, not encrypted.
    """

    name: str
    offset: int
    nbytes: int
    end: int
    checksum: int
    plain: bool


class _Tail:
    """A file for `zipfile`, which gives no more at once than a directory may have."""

    __slots__ = ("_file", "_most")

    def __init__(self, file: ReadableFile, most: int) -> None:
        self._file = file
        self._most = most

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        try:
            return self._file.seek(offset, whence)
        except ValueError as error:
            # What files raise, and zipfile expects, for a position before the beginning.
            raise OSError("before the beginning") from error

    def read(self, size: int = -1, /) -> bytes:
        content = self._file.read(min(size, self._most + 1) if size >= 0 else self._most + 1)
        if len(content) > self._most:
            raise ValueError(f"its directory has more than {self._most} bytes")
        return content


def directory(source: Readable, most: int = DIRECTORY_MAX) -> dict[str, Record]:
    """Give the files of the archive by their names, in the order in which they stand.

    `most` is how many bytes the directory may have; Python takes some 30 times as many for it.
    `ValueError`, or what `zipfile` raises, for a directory that cannot be true: files that overlap
    or lie outside, two of one name.
    """
    file = ReadableFile(source)
    try:
        with zipfile.ZipFile(_Tail(file, most)) as archive:
            infos = sorted(archive.infolist(), key=lambda info: info.header_offset)
            last = archive.start_dir
    finally:
        if file.failure is not None:
            raise file.failure
    offsets = [*(info.header_offset for info in infos), last]
    found: dict[str, Record] = {}
    for info, (start, end) in zip(infos, pairwise(offsets), strict=True):
        name = info.filename
        if start < 0 or start + _HEADER.size + info.compress_size > end or end > source.size:
            raise ValueError("its records overlap, or lie outside of it")
        if name in found:
            raise ValueError("two of its records have the same name")
        stored = info.compress_type == zipfile.ZIP_STORED and not info.flag_bits & _ENCRYPTED
        plain = stored and info.compress_size == info.file_size
        found[name] = Record(name, start, info.file_size, end, info.CRC, plain)
    return found


def read_record(source: Readable, record: Record, first: int, buffer: memoryview) -> None:
    """Fill the buffer with the bytes of a file from `first` on.

    `ValueError` if they are not where the directory says, not plain, or, where they are all that
    the file has, not those of its checksum.
    """
    start = _start_of(source, record) + first
    if buffer.nbytes and source.read_into(start, buffer) != buffer.nbytes:
        raise ValueError("it ended while it was read")
    whole = buffer.nbytes == record.nbytes and record.checksum != 0
    if whole and zlib.crc32(buffer) != record.checksum:
        raise ValueError("one of its records has another checksum than when it was written")


def _start_of(source: Readable, record: Record) -> int:
    if not record.plain:
        raise ValueError("one of its records is compressed or encrypted, as PyTorch's never are")
    header = bytearray(_HEADER.size)
    count = source.read_into(record.offset, memoryview(header))
    signature, name, extra = _HEADER.unpack(header)
    start = record.offset + _HEADER.size + int(name) + int(extra)
    if count != len(header) or signature != b"PK\3\4" or start + record.nbytes > record.end:
        raise ValueError("one of its records is not where its directory says")
    return start


def content_of_record(source: Readable, record: Record, most: int) -> bytes:
    """Give the bytes of a small file; `ValueError` if they are over `most`, or not all there."""
    if record.nbytes > most:
        raise ValueError(f"it has {record.nbytes} bytes where there are {most} at most")
    content = bytearray(record.nbytes)
    read_record(source, record, 0, memoryview(content))
    return bytes(content)
