"""Formats that hold little: volumes of float32, or whole tiles of 16 pixels; and broken ones."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable

import numpy as np
from attrs import evolve

from polystore.core.errors import Corrupt, TooLarge, UnsupportedPayload
from polystore.core.item import Item
from polystore.core.outcome import Failure, Outcome, Success
from polystore.core.payload import HostArray, Payload, is_host_array
from polystore.core.records import Codec, Decoded, Encoded, FileFormat, Limits, Readable

__all__ = ["SCRATCH", "TILES", "UNREAD", "VOLUMES"]

Read = Callable[[Readable, int, int], "bytes | None"]
DTYPES = {code: np.dtype(code) for code in ("B", "H", "f")}
RAW: FileFormat[object] = FileFormat("raw volumes", (".raw",))
HEAD = struct.Struct("<cB3Q")


def is_volume(array: HostArray) -> bool:
    return array.ndim == 3 and array.dtype == np.dtype("f")


def is_tiled(array: HostArray) -> bool:
    return array.ndim == 2 and array.size > 0 and not any(it % 16 for it in array.shape)


def encoding(
    holds: Callable[[HostArray], bool],
) -> Callable[[Item[Payload], object], Outcome[Encoded]]:
    def encode(item: Item[Payload], options: object, /) -> Outcome[Encoded]:
        array = item.payload
        known = is_host_array(array) and array.dtype in DTYPES.values() and holds(array)
        if options is not None or not is_host_array(array) or not known:
            return Failure(UnsupportedPayload("", None, "It is not held.", "Give it another."))
        shape = (*array.shape, 1, 1, 1)[:3]
        code = array.dtype.char.encode()
        content = HEAD.pack(code, array.ndim, *shape) + array.tobytes()
        return Success(Encoded((content,), len(content), item.metadata.present()))

    return encode


def damaged(why: str) -> Outcome[Decoded[object]]:
    return Failure(Corrupt("", None, f"It is damaged: {why}.", "Write it again."))


def whole(source: Readable, start: int, count: int) -> bytes | None:
    """Give so many bytes; `None` where the file ends before."""
    content, done = bytearray(count), 0
    while done < count:
        read = source.read_into(start + done, memoryview(content)[done:])
        if not read:
            return None
        done += read
    return bytes(content)


def decode(source: Readable, limits: Limits, /) -> Outcome[Decoded[object]]:
    return decoded(source, limits, whole)


def decoded(source: Readable, limits: Limits, read: Read) -> Outcome[Decoded[object]]:
    head = whole(source, 0, HEAD.size)
    if head is None:
        return damaged("it ends in its head")
    code, ndim, *lengths = HEAD.unpack(head)
    dtype, shape = DTYPES.get(code.decode("latin-1")), tuple(lengths[:ndim])
    nbytes = math.prod(shape) * dtype.itemsize if dtype is not None else 0
    if dtype is None or ndim > 3 or source.size != HEAD.size + nbytes:
        return damaged("its head says otherwise")
    if nbytes > limits.max_bytes:
        return Failure(TooLarge("", None, "It is too large.", "Allow more."))
    content = read(source, HEAD.size, nbytes)
    if content is None:
        return damaged("it ends in its elements")
    try:
        return Success(Decoded(np.frombuffer(bytearray(content), dtype).reshape(shape)))
    except ValueError:  # an empty array with axes beyond any memory
        return damaged("it has no such shape")


def in_new_memory(source: Readable, start: int, count: int) -> bytes | None:
    """Give what one read leaves in memory that nobody has cleared."""
    memory = np.empty(count, np.uint8)
    source.read_into(start, memory.data)
    return memory.tobytes()


SHARED = bytearray(2**20)


def in_scratch(source: Readable, limits: Limits, /) -> Outcome[Decoded[object]]:
    """Decode from memory that all decodes share."""
    if source.size > len(SHARED):
        return decode(source, limits)
    content = whole(source, 0, source.size)
    if content is None:
        return damaged("it is cut")
    SHARED[: source.size] = content
    whole(source, 0, 1)  # a library looks at the kind of file once more

    def read_into(offset: int, buffer: memoryview, /) -> int:
        part = SHARED[offset : min(offset + len(buffer), source.size)]
        buffer[: len(part)] = part
        return len(part)

    return decode(Readable(source.size, read_into, source.close), limits)


def unread(source: Readable, limits: Limits, /) -> Outcome[Decoded[object]]:
    return decoded(source, limits, in_new_memory)


VOLUMES: Codec[object] = Codec(RAW, encoding(is_volume), decode, None)
TILES: Codec[object] = Codec(RAW, encoding(is_tiled), decode, None)
SCRATCH: Codec[object] = evolve(TILES, decode=in_scratch)
UNREAD: Codec[object] = evolve(VOLUMES, decode=unread)
