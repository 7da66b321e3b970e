"""Decoders with one thing wrong in each, and the law that must say so."""

from __future__ import annotations

import itertools
import struct
import warnings
from collections.abc import Callable
from typing import cast

import numpy as np
from attrs import evolve
from broken_codecs import BrokenCodec, decoded_by, decoding
from raw_volumes import SCRATCH, UNREAD

from polystore.core.errors import UnsupportedPayload
from polystore.core.item import Item
from polystore.core.outcome import Failure, Outcome, Success, is_successful
from polystore.core.payload import HostArray, LazyArray, Payload, Region, is_host_array
from polystore.core.records import Codec, Decoded, Encoded, FileFormat, Limits, Readable
from polystore.formats.npy import NPY_CODEC
from polystore.formats.refusals import damaged
from polystore.formats.tiff.codec import TIFF_CODEC

__all__ = ["BROKEN_DECODERS", "SPINS"]

DAMAGED = "damaged bytes are decoded or refused, and decode ends"
FOREIGN_BYTES = "foreign bytes are decoded or refused, and decode ends"
OWN = "what is decoded is writable memory of its own"


def content_of(source: Readable) -> bytes:
    content = bytearray(source.size)
    source.read_into(0, memoryview(content))
    return bytes(content)


def quietly(payload: object) -> object:
    cast("HostArray", payload).flags.writeable = False
    return payload


KEPT: dict[bytes, HostArray] = {}


def remembering(source: Readable, limits: Limits, /) -> Outcome[Decoded[object]]:
    """Decode, and give the array of the last time for the same bytes."""
    found = NPY_CODEC.decode(source, limits)
    return found.map(lambda it: Decoded(KEPT.setdefault(content_of(source), it.payload)))


def raising_on_nothing(source: Readable, limits: Limits, /) -> Outcome[Decoded[object]]:
    if not source.size:
        raise IndexError("no first byte")
    return NPY_CODEC.decode(source, limits)


# A format as one writes it in haste: how many bytes, then the bytes.
def raw_encode(item: Item[Payload], _options: object, /) -> Outcome[Encoded]:
    array = item.payload
    if is_host_array(array) and array.dtype == np.uint8 and array.ndim == 1:
        content = struct.pack("<I", array.size) + array.tobytes()
        return Success(Encoded((content,), len(content), item.metadata.present()))
    return Failure(UnsupportedPayload("", None, "It holds bytes.", "Give it bytes."))


RAW: FileFormat[object] = FileFormat("raw", (".raw",))


def raw(decode: Callable[[Readable, Limits], Outcome[Decoded[object]]]) -> Codec[object]:
    def encode(item: Item[Payload], options: object, /) -> Outcome[Encoded]:
        array = item.payload
        flat = array.reshape(-1) if is_host_array(array) else array
        return raw_encode(Item(item.key, flat, item.metadata), options)

    return Codec(RAW, encode, decode, None)


def trusting(source: Readable, _limits: Limits, /) -> Outcome[Decoded[object]]:
    head = bytearray(4)
    source.read_into(0, memoryview(head))
    (size,) = struct.unpack("<I", bytes(head))
    array = np.zeros(size, np.uint8)  # which takes no memory before it is written to
    count = source.read_into(4, array.data[: source.size])
    return Success(Decoded(array)) if count == size else Failure(damaged("raw", "it is cut"))


def unpacking(source: Readable, _limits: Limits, /) -> Outcome[Decoded[object]]:
    content = content_of(source)
    (size,) = struct.unpack_from("<I", content)
    return Success(Decoded(np.frombuffer(bytearray(content[4 : 4 + size]), np.uint8)))


def waiting(source: Readable, _limits: Limits, /) -> Outcome[Decoded[object]]:
    content = bytearray(max(source.size - 4, 0))
    head = bytearray(4)
    source.read_into(0, memoryview(head))
    size, done = min(int.from_bytes(head, "little"), 2**16), 0
    while done < size:
        done += source.read_into(4 + done, memoryview(content)[done:])
    return Success(Decoded(np.frombuffer(content, np.uint8)))


def spinning(source: Readable, limits: Limits, /) -> Outcome[Decoded[object]]:
    while not source.size:
        pass
    return NPY_CODEC.decode(source, limits)


def sized(source: Readable, _limits: Limits, /) -> Outcome[Decoded[object]]:
    """Decode, and take what was not read for zeros."""
    if source.size < 4:
        return Failure(damaged("raw", "it is cut"))
    content = np.zeros(source.size, np.uint8)
    source.read_into(0, content.data)
    return Success(Decoded(content[4:].copy()))


def boundless(source: Readable, _limits: Limits, /) -> Outcome[Decoded[object]]:
    return NPY_CODEC.decode(source, Limits())


def swallowing(source: Readable, limits: Limits, /) -> Outcome[Decoded[object]]:
    try:
        return NPY_CODEC.decode(source, limits)
    except OSError:
        return Failure(damaged("file", "it cannot be read"))


def printing(source: Readable, limits: Limits, /) -> Outcome[Decoded[object]]:
    found = NPY_CODEC.decode(source, limits)
    if not is_successful(found):
        print("odd file")
    return found


def warning(source: Readable, limits: Limits, /) -> Outcome[Decoded[object]]:
    found = NPY_CODEC.decode(source, limits)
    if not is_successful(found):
        warnings.warn("odd file", stacklevel=1)
    return found


def closing(source: Readable, limits: Limits, /) -> Outcome[Decoded[object]]:
    found = NPY_CODEC.decode(source, limits)
    source.close()
    return found


def opening(change: Callable[[LazyArray], LazyArray]) -> Codec[object]:
    """Give TIFF with other lazy arrays."""

    def open_lazily(source: Readable, limits: Limits, /) -> Outcome[Decoded[LazyArray]]:
        assert TIFF_CODEC.open is not None
        found = TIFF_CODEC.open(source, limits)
        return found.map(lambda it: Decoded(change(it.payload), it.metadata))

    return evolve(TIFF_CODEC, open=open_lazily)


def from_the_start(lazy: LazyArray) -> LazyArray:
    def read(region: Region, /) -> Outcome[HostArray]:
        steps = all(part.step in (None, 1) for part in region)
        moved = tuple(slice(0, part.stop - part.start) for part in region) if steps else region
        return lazy.read(moved)

    return LazyArray(lazy.spec, read)


def of_other_shape(lazy: LazyArray) -> LazyArray:
    return evolve(lazy, spec=evolve(lazy.spec, shape=lazy.spec.shape[::-1]))


def with_any_step(lazy: LazyArray) -> LazyArray:
    def read(region: Region, /) -> Outcome[HostArray]:
        if len(region) != len(lazy.spec.shape):
            return lazy.read(region)
        whole = lazy.read(tuple(slice(0, length) for length in lazy.spec.shape))
        return whole.map(lambda array: array[region].copy())

    return LazyArray(lazy.spec, read)


def opening_hastily(source: Readable, limits: Limits, /) -> Outcome[Decoded[LazyArray]]:
    assert TIFF_CODEC.open is not None
    content = content_of(source)
    struct.unpack_from("<4I", content)
    return TIFF_CODEC.open(source, limits)


def opening_without_limits(source: Readable, _limits: Limits, /) -> Outcome[Decoded[LazyArray]]:
    assert TIFF_CODEC.open is not None
    return TIFF_CODEC.open(source, Limits())


def opening_eagerly(source: Readable, limits: Limits, /) -> Outcome[Decoded[LazyArray]]:
    assert TIFF_CODEC.open is not None
    content_of(source)
    return TIFF_CODEC.open(source, limits)


COUNTED = itertools.count()


def counting(source: Readable, limits: Limits, /) -> Outcome[Decoded[object]]:
    """Decode, and move the elements on by as many as were decoded before."""
    found = NPY_CODEC.decode(source, limits)
    return found.map(lambda it: Decoded(np.roll(it.payload, next(COUNTED))))


SPINS = decoded_by(spinning)
"""It never ends, and never reads: each try takes its seconds, and the test makes one."""

BROKEN_DECODERS: tuple[BrokenCodec, ...] = (
    BrokenCodec("raises on no bytes", FOREIGN_BYTES, decoded_by(raising_on_nothing)),
    BrokenCodec("raises on a cut file", DAMAGED, raw(unpacking)),
    BrokenCodec("waits for what was cut", DAMAGED, raw(waiting)),
    BrokenCodec(
        "allocates what is claimed",
        "decode allocates little, whatever the bytes claim",
        raw(trusting),
    ),
    BrokenCodec("gives read-only arrays", OWN, decoding(quietly)),
    BrokenCodec("gives one array twice", OWN, decoded_by(remembering)),
    BrokenCodec(
        "max_bytes is ignored", "what takes more than max_bytes is TooLarge", decoded_by(boundless)
    ),
    BrokenCodec(
        "an OSError is damage",
        "an OSError of the source is raised, and not taken for damage",
        decoded_by(swallowing),
    ),
    BrokenCodec(
        "zeros for what is missing",
        "a file that ends while it is read is refused, or nothing of it is missing",
        raw(sized),
    ),
    BrokenCodec(
        "new memory for what is missing",
        "a file that ends while it is read is refused, or nothing of it is missing",
        UNREAD,
    ),
    BrokenCodec(
        "decodes in shared memory",
        "files that are decoded at once are what each is alone",
        SCRATCH,
    ),
    BrokenCodec("prints", "decode prints, logs and warns nothing", decoded_by(printing)),
    BrokenCodec("warns", "decode prints, logs and warns nothing", decoded_by(warning)),
    BrokenCodec("closes the source", "decode leaves the source open", decoded_by(closing)),
    BrokenCodec(
        "another region is read",
        "a region that is read is the slice of the whole",
        opening(from_the_start),
    ),
    BrokenCodec(
        "the spec is of another shape",
        "a lazy array has the shape, dtype and metadata of the decoded one",
        opening(of_other_shape),
    ),
    BrokenCodec(
        "a region knows no limit",
        "a region that takes more than max_bytes is TooLarge",
        evolve(TIFF_CODEC, open=opening_without_limits),
    ),
    BrokenCodec(
        "opening reads all",
        "opening a large file reads little of it",
        evolve(TIFF_CODEC, open=opening_eagerly),
    ),
    BrokenCodec("gives another array the next time", OWN, decoded_by(counting)),
    BrokenCodec("any region is taken", "what is no region is refused", opening(with_any_step)),
    BrokenCodec(
        "opening raises",
        "damaged bytes are opened and read, or refused",
        evolve(TIFF_CODEC, open=opening_hastily),
    ),
)
"""Each is caught by its law; tests/testing/test_broken_codecs.py checks it."""
