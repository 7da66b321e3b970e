"""`.npz`, NumPy's archive: arrays by their names, each a `.npy` in a ZIP, and no metadata.

`numpy.load` opens what is written, and what `numpy.savez` and `savez_compressed` write is read. The
same arrays give the same bytes: the date of every member is 1980. Stored members are written from
the arrays' own memory and read straight into it.
"""

from __future__ import annotations

import errno
import os
import struct
import zlib
from collections.abc import Callable, Mapping
from functools import partial
from types import SimpleNamespace
from typing import IO, TypeAlias, TypeVar, cast
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from attrs import evolve, frozen

from polystore.configs import NPZ, NpzOptions
from polystore.core.errors import StorageError
from polystore.core.item import Item
from polystore.core.outcome import Failure, Outcome, Success, and_then, catch, guard, is_successful
from polystore.core.payload import HostArray, Payload
from polystore.core.records import Codec, Decoded, Encoded, Limits, Readable
from polystore.formats.npy import Layout, elements_of, layout_of, parts_of
from polystore.formats.refusals import (
    cannot_hold,
    damaged,
    foreign,
    host_array,
    kind_of,
    over_limit,
    reason_of,
)
from polystore.formats.stream import ReadableFile, Recorder

__all__ = ["NPZ_CODEC"]

T = TypeVar("T")
Arrays: TypeAlias = Mapping[str, HostArray]
Parts: TypeAlias = tuple[bytes, memoryview]

_NAME = ".npz file"
_SUFFIX = ".npy"
_SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06")  # a member comes first, or nothing but the end

_CHUNK = 2**20
"""Bytes that are read at a time: few enough to be in the cache still when they are summed."""

_RATIO = 1032
"""How many bytes one stored byte can become at most: Deflate says 258 of them in 2 bits."""

_DIRECTORY_MAX = 2**24
"""Bytes of names and places, of some 100,000 arrays. A longer list would take long to read."""

_ENTRY = 46 + 28
"""Bytes of the directory that a member takes beside its name: the fixed ones, and ZIP64's."""

_NAME_MAX = 2**16 - 1
"""Bytes. ZIP counts those of a name in 16 bits."""

_METHODS = {12: "with bzip2", 14: "with LZMA", 93: "with zstd", 95: "with xz"}
"""Compressions that ZIP has, and NumPy does not use."""

_DESCRIPTORS = (0, 12, 16, 20, 24)
"""Bytes that may follow a member: its sizes, where who wrote it did not know them before."""


def _encode(item: Item[Payload], options: object, /) -> Outcome[Encoded]:
    found = _parts(item)
    if not is_successful(found):
        return Failure(found.failure())
    parts = found.unwrap()
    compression: str = options.compression if isinstance(options, NpzOptions) else "none"
    if compression not in ("none", "deflate"):
        advice = "It has to be 'none' or 'deflate'. A type checker shows where it is set."
        return Failure(cannot_hold(".npz", f"the compression {compression!r:.80}", advice))
    file = Recorder(*(memory for _, memory in parts.values() if memory))
    _write(file, parts, deflated=compression == "deflate")
    return Success(Encoded(tuple(file.buffers()), file.size, item.metadata.present()))


def _parts(item: Item[Payload]) -> Outcome[dict[str, Parts]]:
    """Give what stands in each member, by its name; or why an array or a name cannot."""
    arrays: object = item.payload
    if not isinstance(arrays, Mapping):
        advice = "Save a mapping of names to arrays, or the array alone as .npy."
        return Failure(cannot_hold(".npz", kind_of(arrays), advice))
    parts: dict[str, Parts] = {}
    for name, array in cast("Mapping[object, Payload]", arrays).items():
        problem = _problem(name, cast("Mapping[object, Payload]", arrays))
        if problem is not None:
            return Failure(cannot_hold(".npz", *problem))
        one = and_then(host_array(Item("", array), ".npz"), parts_of)
        if not is_successful(one):
            return Failure(_of_member(str(name), one.failure()))
        parts[str(name)] = one.unwrap()
    if sum(_ENTRY + len(_SUFFIX) + len(name.encode()) for name in parts) > _DIRECTORY_MAX:
        advice = "Save them in several files, or in Zarr."
        return Failure(cannot_hold(".npz", f"as many as {len(parts)} arrays here", advice))
    return Success(parts)


def _problem(name: object, arrays: Mapping[object, Payload]) -> tuple[str, str] | None:
    """Say what is wrong with the name of an array, and what to do about it."""
    if not isinstance(name, str):
        return f"the name {name!r:.80}, which is no text", "Name arrays by strings."
    encoded = name.encode(errors="replace")
    if "\0" in name or encoded.decode() != name or len(encoded) + len(_SUFFIX) > _NAME_MAX:
        advice = "Name arrays by Unicode text of at most 65,000 bytes, without NUL."
        return f"the name {name!r:.80}", advice
    if name + _SUFFIX in arrays:
        advice = "Rename one: numpy.load would take them for each other."
        return f"both {name!r:.80} and the same with {_SUFFIX}", advice
    return None


def _of_member(name: str, error: StorageError) -> StorageError:
    return evolve(error, message=f"The array {name!r:.80}: {error.message}")


def _write(file: Recorder, parts: dict[str, Parts], *, deflated: bool) -> None:
    with ZipFile(cast("IO[bytes]", file), "w") as archive:
        for name, (header, content) in parts.items():
            member = ZipInfo(name + _SUFFIX)
            member.compress_type = ZIP_DEFLATED if deflated else ZIP_STORED
            member.file_size = len(header) + content.nbytes  # from it, ZIP64 is used where needed
            with archive.open(member, "w") as stream:
                stream.write(header)
                # A compressor is given little at a time, or it would make one large piece of it.
                for piece in _pieces(content) if deflated else (content,):
                    stream.write(piece)


def _pieces(memory: memoryview) -> list[memoryview]:
    return [memory[at : at + _CHUNK] for at in range(0, len(memory), _CHUNK)]


@frozen
class _Member:
    """An array in the archive: its name, its entry, what its header says, where its bytes begin."""

    name: str
    entry: ZipInfo
    layout: Layout
    start: int


def _decode(source: Readable, limits: Limits, /) -> Outcome[Decoded[Arrays]]:
    head = bytearray(min(source.size, 4))
    source.read_into(0, memoryview(head))
    if bytes(head) not in _SIGNATURES:
        return Failure(foreign(_NAME, source))
    file = ReadableFile(source)
    opened = _attempt(file, lambda: Success(_opened(file)))
    if not is_successful(opened):
        return Failure(opened.failure())
    archive = opened.unwrap()
    found = _attempt(file, lambda: _members(source, file, archive))
    if not is_successful(found):
        return Failure(found.failure())
    too_large = over_limit(sum(member.layout.nbytes for member in found.unwrap()), limits)
    if too_large is not None:
        return Failure(too_large)
    arrays: dict[str, HostArray] = {}
    for member in found.unwrap():
        one = _attempt(file, partial(_read, source, archive, member))
        if not is_successful(one):
            return Failure(_of_member(member.name, one.failure()))
        arrays[member.name] = one.unwrap()
    return Success(Decoded(arrays))


def _attempt(file: ReadableFile, action: Callable[[], Outcome[T]]) -> Outcome[T]:
    """Give the outcome, or what `zipfile` raises as `Corrupt`; an error of the source is raised."""
    found = guard(action, *_FROM_ZIPFILE)
    if file.failure is not None:
        raise file.failure
    return found.unwrap() if is_successful(found) else Failure(found.failure())


def _opened(file: ReadableFile) -> ZipFile:
    """Give the archive, its directory read, if that is of a bearable length."""

    def read(size: int = -1) -> bytes:
        if size > _DIRECTORY_MAX:
            raise ValueError(f"it claims a directory of {size} bytes")
        return file.read(size)

    def seek(offset: int, whence: int = os.SEEK_SET) -> int:
        # What `zipfile` looks for before the end may begin before the file: as of a file on disk,
        # it expects this error.
        if whence == os.SEEK_END and file.seek(0, os.SEEK_END) + offset < 0:
            raise OSError(errno.EINVAL, "a position before the beginning")
        return file.seek(offset, whence)

    view = SimpleNamespace(read=read, seek=seek, tell=file.tell, seekable=lambda: True)
    return ZipFile(cast("IO[bytes]", view))


def _members(source: Readable, file: ReadableFile, archive: ZipFile) -> Outcome[list[_Member]]:
    """Give the arrays in their order; `Corrupt` if one is none, or bytes belong to none or two."""
    members: dict[str, _Member] = {}
    spans: list[tuple[int, int]] = []
    for entry in archive.infolist():
        name = entry.filename.removesuffix(_SUFFIX)
        problem = _problem_of(entry)
        if name in members:
            problem = damaged(_NAME, "another array has the same name")
        if problem is not None:
            return Failure(_of_member(name, problem))
        archive.open(entry).close()
        start = file.tell()  # of the content: the entry's own header was read, and no more
        spans.append((entry.header_offset, start + entry.compress_size))
        if name.endswith("/") and not entry.file_size:
            continue  # a folder, as archivers put it before what is in it
        layout = layout_of(_content(source, archive, entry, start))
        if not is_successful(layout):
            return Failure(_of_member(name, layout.failure()))
        members[name] = _Member(name, entry, layout.unwrap(), start)
    reason = _untold(spans, archive.start_dir)
    return Success(list(members.values())) if reason is None else Failure(damaged(_NAME, reason))


def _untold(spans: list[tuple[int, int]], directory: int) -> str | None:
    """Say where bytes before the directory belong to no member, or to two of them."""
    end = 0
    for first, after in (*sorted(spans), (directory, directory)):
        if first - end not in _DESCRIPTORS:
            return f"its directory is wrong about what is between the bytes {end} and {first}"
        end = after
    return None


def _problem_of(entry: ZipInfo) -> StorageError | None:
    """Say why an entry of the directory is not read, if it is not."""
    stored = entry.compress_type == ZIP_STORED
    if entry.filename != entry.orig_filename:
        return damaged(_NAME, "a name has a NUL in it")
    if entry.flag_bits & 1:
        return cannot_hold("polystore's .npz", "encrypted arrays", "Write it again in the clear.")
    if not stored and entry.compress_type != ZIP_DEFLATED:
        method = _METHODS.get(entry.compress_type, f"by method {entry.compress_type}")
        advice = "Write it again with numpy.savez_compressed, which uses Deflate."
        return cannot_hold("polystore's .npz", f"arrays compressed {method}", advice)
    most = entry.compress_size if stored else _RATIO * (entry.compress_size + 1)
    if entry.file_size > most or (stored and entry.file_size != most):
        sizes = f"it claims {entry.file_size} bytes, and is stored in {entry.compress_size}"
        return damaged(_NAME, sizes)
    return None


def _content(source: Readable, archive: ZipFile, entry: ZipInfo, start: int) -> Readable:
    """Give what an entry holds, decompressed, to read its beginning from."""

    def read_into(offset: int, buffer: memoryview, /) -> int:
        view = buffer[: max(entry.file_size - offset, 0)]
        if entry.compress_type == ZIP_STORED:
            return source.read_into(start + offset, view)
        with archive.open(entry) as stream:
            stream.seek(offset)
            content = stream.read(len(view))
        view[: len(content)] = content
        return len(content)

    return Readable(entry.file_size, read_into, lambda: None)


def _read(source: Readable, archive: ZipFile, member: _Member) -> Outcome[HostArray]:
    if member.entry.compress_type == ZIP_STORED:
        return elements_of(member.layout, partial(_fill, source, member))
    return elements_of(member.layout, partial(_inflate, archive, member))


def _fill(source: Readable, member: _Member, memory: memoryview) -> int:
    """Fill the memory with stored elements, and give how many bytes there were of them."""
    first = bytearray(member.layout.start)
    source.read_into(member.start, memoryview(first))
    crc, at = zlib.crc32(first), member.start + len(first)
    for piece in _pieces(memory):
        if source.read_into(at, piece) != len(piece):
            return 0
        crc, at = zlib.crc32(piece, crc), at + len(piece)
    if crc != member.entry.CRC:
        raise ValueError("its checksum is wrong")
    return memory.nbytes


def _inflate(archive: ZipFile, member: _Member, memory: memoryview) -> int:
    """Fill the memory with elements that were compressed; `zipfile` checks their checksum."""
    with archive.open(member.entry) as stream:
        stream.read(member.layout.start)
        for piece in _pieces(memory):
            content = stream.read(len(piece))
            if len(content) != len(piece):
                return 0
            piece[:] = content
    return memory.nbytes


def _unreadable(error: Exception) -> StorageError:
    return damaged(_NAME, f"it cannot be unpacked ({reason_of(error)})")


_FROM_ZIPFILE = tuple(
    catch(kind, _unreadable)
    for kind in (
        BadZipFile,
        EOFError,
        LookupError,
        OverflowError,
        RuntimeError,
        ValueError,
        struct.error,
        zlib.error,
    )
)
"""What `zipfile` raises on bytes that are no whole archive, or not one that it knows."""


NPZ_CODEC: Codec[Arrays] = Codec(
    format=NPZ, encode=_encode, decode=_decode, open=None, options=NpzOptions
)
"""The record of `.npz`."""
