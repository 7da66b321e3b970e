"""Formats with one thing wrong in each, and the law that must say so."""

from __future__ import annotations

import itertools
import struct
import warnings
from collections.abc import Callable, Mapping
from typing import cast

import numpy as np
from attrs import define, evolve, frozen

from polystore.core.errors import NotFound, UnsupportedPayload
from polystore.core.item import Item, Metadata
from polystore.core.outcome import Failure, Outcome, Success, is_successful
from polystore.core.payload import HostArray, LazyArray, Payload, Region, is_host_array
from polystore.core.records import Codec, Decoded, Encoded, FileFormat, Limits, Readable
from polystore.core.rois import Roi, Rois
from polystore.core.table import Table
from polystore.formats.csv.codec import CSV_CODEC
from polystore.formats.json import JSON_CODEC
from polystore.formats.npy import NPY_CODEC
from polystore.formats.npz import NPZ_CODEC
from polystore.formats.refusals import damaged
from polystore.formats.roi.codec import ROI_CODEC
from polystore.formats.text import TEXT_CODEC
from polystore.formats.tiff.codec import TIFF_CODEC

__all__ = ["BROKEN_CODECS", "SPINS", "BrokenCodec"]

Encode = Callable[[Item[Payload], object], Outcome[Encoded]]
EVERY = "every dtype that is encoded is decoded with the same bits, or refused"
ARRAYS = "an encoded array is decoded with the same bits, or refused"
DAMAGED = "damaged bytes are decoded or refused, and decode ends"
FOREIGN_BYTES = "foreign bytes are decoded or refused, and decode ends"
PURE = "encode gives the same bytes again, and leaves the item as it was"
OWN = "what is decoded is writable memory of its own"
SUFFIXES = "a format's suffixes are lower-case and begin with a dot"


@frozen
class BrokenCodec:
    """A record, what is wrong with it in a word, and the law that must catch it."""

    word: str
    law: str
    codec: Codec[object]


def array_of(item: Item[Payload]) -> HostArray:
    return cast("HostArray", item.payload)


def encoding(change: Callable[[HostArray], HostArray], codec: Codec[object] = NPY_CODEC) -> Encode:
    """Give an encoder that changes the array first."""

    def encode(item: Item[Payload], options: object, /) -> Outcome[Encoded]:
        payload = item.payload
        kept = change(payload) if is_host_array(payload) else payload
        return codec.encode(Item(item.key, kept, item.metadata), options)

    return encode


def decoding(change: Callable[[object], object], codec: Codec[object] = NPY_CODEC) -> Codec[object]:
    """Give a codec whose decoder changes the payload afterwards."""

    def decode(source: Readable, limits: Limits, /) -> Outcome[Decoded[object]]:
        found = codec.decode(source, limits)
        return found.map(lambda it: Decoded(change(it.payload), it.metadata))

    return evolve(codec, decode=decode)


def encoded_as(change: Callable[[Encoded], Encoded]) -> Codec[object]:
    """Give a codec whose encoder says something else of what it made."""

    def encode(item: Item[Payload], options: object, /) -> Outcome[Encoded]:
        return NPY_CODEC.encode(item, options).map(change)

    return evolve(NPY_CODEC, encode=encode)


def no_int16(payload: object) -> object:
    array = cast("HostArray", payload)
    return array.astype(np.int32) if array.dtype == np.int16 else array


def no_negative_zero(array: HostArray) -> HostArray:
    return array + 0 if array.dtype.kind == "f" else array


def swapped(payload: object) -> object:
    array = cast("HostArray", payload)
    return array.byteswap() if array.dtype.kind in "iuf" else array


def transposed(payload: object) -> object:
    array = cast("HostArray", payload)
    return array.reshape(array.shape[::-1]).T if array.ndim == 2 else array


def rounded(array: HostArray) -> HostArray:
    return array.astype("f4").astype("f8") if array.dtype == np.float64 else array


def quietly(payload: object) -> object:
    cast("HostArray", payload).flags.writeable = False
    return payload


def mutating(item: Item[Payload], options: object, /) -> Outcome[Encoded]:
    array = item.payload
    if is_host_array(array) and array.flags.writeable and array.size > 1:
        array[...] = array.reshape(-1)[0]
    return NPY_CODEC.encode(item, options)


COUNTER = itertools.count()


def with_a_count(encoded: Encoded) -> Encoded:
    count = next(COUNTER).to_bytes(4, "little")
    return evolve(encoded, buffers=(*encoded.buffers, count), nbytes=encoded.nbytes + 4)


KEPT: dict[bytes, HostArray] = {}


def content_of(source: Readable) -> bytes:
    content = bytearray(source.size)
    source.read_into(0, memoryview(content))
    return bytes(content)


def remembering(source: Readable, limits: Limits, /) -> Outcome[Decoded[object]]:
    """Decode, and give the array of the last time for the same bytes."""
    found = NPY_CODEC.decode(source, limits)
    return found.map(lambda it: Decoded(KEPT.setdefault(content_of(source), it.payload)))


def refusing_without_a_word(item: Item[Payload], options: object, /) -> Outcome[Encoded]:
    refused = NPY_CODEC.encode(item, options)
    return refused if is_successful(refused) else Failure(UnsupportedPayload("", None, "", ""))


def refusing_oddly(item: Item[Payload], options: object, /) -> Outcome[Encoded]:
    refused = NPY_CODEC.encode(item, options)
    return refused if is_successful(refused) else Failure(NotFound("", None, "No.", "Look."))


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


def refusing(_item: Item[Payload], _options: object, /) -> Outcome[Encoded]:
    return Failure(UnsupportedPayload("", None, "It holds nothing.", "Use another."))


def as_floats(value: object) -> object:
    if isinstance(value, dict):
        return {key: as_floats(it) for key, it in cast("dict[str, object]", value).items()}
    if isinstance(value, list):
        return [as_floats(it) for it in cast("list[object]", value)]
    return float(value) if type(value) is int and abs(value) < 2**53 else value


def one_row_less(payload: object) -> object:
    table = cast("Table", payload)
    return Table({name: column[:-1] for name, column in table.columns.items()})


def without_positions(payload: object) -> object:
    return Rois(Roi(it.name, it.shape) for it in cast("Rois", payload).regions)


def without_empty_ones(payload: object) -> object:
    arrays = cast("Mapping[str, HostArray]", payload)
    return {name: array for name, array in arrays.items() if array.size}


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
        whole = lazy.read(tuple(slice(0, length) for length in lazy.spec.shape))
        return whole.map(lambda array: array[region].copy())

    return LazyArray(lazy.spec, read)


def opening_hastily(source: Readable, limits: Limits, /) -> Outcome[Decoded[LazyArray]]:
    assert TIFF_CODEC.open is not None
    content = content_of(source)
    struct.unpack_from("<4I", content)
    return TIFF_CODEC.open(source, limits)


@define
class LooseOptions:
    """Options that can be changed, and so have no hash."""

    level: int = 1


def with_options(item: Item[Payload], _options: object, /) -> Outcome[Encoded]:
    return NPY_CODEC.encode(item, None)


def forgetting(source: Readable, limits: Limits, /) -> Outcome[Decoded[object]]:
    return TIFF_CODEC.decode(source, limits).map(lambda it: Decoded(it.payload, Metadata()))


def with_suffixes(*suffixes: str) -> Codec[object]:
    return evolve(NPY_CODEC, format=FileFormat("npy", suffixes))


def decoded_by(
    decode: Callable[[Readable, Limits], Outcome[Decoded[object]]],
) -> Codec[object]:
    return evolve(cast("Codec[object]", NPY_CODEC), decode=decode)


SPINS = decoded_by(spinning)
"""It never ends, and never reads: each try takes its seconds, and the test makes one."""

BROKEN_CODECS: tuple[BrokenCodec, ...] = (
    BrokenCodec("int16 comes back as int32", EVERY, decoding(no_int16)),
    BrokenCodec("-0.0 is lost", ARRAYS, evolve(NPY_CODEC, encode=encoding(no_negative_zero))),
    BrokenCodec("bytes are swapped", ARRAYS, decoding(swapped)),
    BrokenCodec("0-d gets an axis", ARRAYS, evolve(NPY_CODEC, encode=encoding(np.atleast_1d))),
    BrokenCodec("memory order is forgotten", ARRAYS, decoding(transposed)),
    BrokenCodec("float64 is rounded", EVERY, evolve(NPY_CODEC, encode=encoding(rounded))),
    BrokenCodec("refuses silently", EVERY, evolve(NPY_CODEC, encode=refusing_without_a_word)),
    BrokenCodec("refuses oddly", EVERY, evolve(NPY_CODEC, encode=refusing_oddly)),
    BrokenCodec(
        "metadata is not named",
        "metadata is decoded the same, or named as dropped",
        encoded_as(lambda it: evolve(it, dropped=())),
    ),
    BrokenCodec(
        "metadata is not decoded",
        "metadata is decoded the same, or named as dropped",
        evolve(cast("Codec[object]", TIFF_CODEC), decode=forgetting),
    ),
    BrokenCodec(
        "what was not there is named",
        "metadata is decoded the same, or named as dropped",
        encoded_as(lambda it: evolve(it, dropped=("color",))),
    ),
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
    BrokenCodec("writes into the item", PURE, evolve(NPY_CODEC, encode=mutating)),
    BrokenCodec("two runs differ", PURE, encoded_as(with_a_count)),
    BrokenCodec(
        "nbytes is wrong",
        "nbytes is the sum of the buffers",
        encoded_as(lambda it: evolve(it, nbytes=it.nbytes + 1)),
    ),
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
    BrokenCodec("prints", "decode prints, logs and warns nothing", decoded_by(printing)),
    BrokenCodec("warns", "decode prints, logs and warns nothing", decoded_by(warning)),
    BrokenCodec("closes the source", "decode leaves the source open", decoded_by(closing)),
    BrokenCodec("holds nothing", "a format holds something", evolve(NPY_CODEC, encode=refusing)),
    BrokenCodec("a suffix of capitals", SUFFIXES, with_suffixes(".NPY")),
    BrokenCodec("a suffix without a dot", SUFFIXES, with_suffixes("npy")),
    BrokenCodec(
        "a suffix that no key has",
        "a registry finds a format by its suffixes",
        with_suffixes(".n/y"),
    ),
    BrokenCodec(
        "integers become floats",
        "encoded JSON is decoded the same, or refused",
        decoding(as_floats, JSON_CODEC),
    ),
    BrokenCodec(
        "blanks are cut off",
        "encoded text is decoded the same, or refused",
        decoding(lambda it: cast("str", it).strip(), TEXT_CODEC),
    ),
    BrokenCodec(
        "a row is lost",
        "an encoded table is decoded the same, or refused",
        decoding(one_row_less, CSV_CODEC),
    ),
    BrokenCodec(
        "positions are lost",
        "encoded regions are decoded the same, or refused",
        decoding(without_positions, ROI_CODEC),
    ),
    BrokenCodec(
        "empty arrays are lost",
        "encoded arrays by names are decoded the same, or refused",
        decoding(without_empty_ones, NPZ_CODEC),
    ),
    BrokenCodec(
        "options without a hash",
        "options are values: equal to their copy, hashable, pickled",
        evolve(cast("Codec[object]", NPY_CODEC), encode=with_options, options=LooseOptions),
    ),
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
    BrokenCodec("any region is taken", "what is no region is refused", opening(with_any_step)),
    BrokenCodec(
        "opening raises",
        "damaged bytes are opened and read, or refused",
        evolve(TIFF_CODEC, open=opening_hastily),
    ),
)
"""Each is caught by its law; tests/testing/test_broken_codecs.py checks it."""
