"""Formats with one thing wrong in each, and the law that must say so."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import cast

import numpy as np
from attrs import define, evolve, frozen

from polystore.core.errors import NotFound, UnsupportedPayload
from polystore.core.item import Item, Metadata
from polystore.core.outcome import Failure, Outcome, is_successful
from polystore.core.payload import HostArray, Payload, is_host_array
from polystore.core.records import Codec, Decoded, Encoded, FileFormat, Limits, Readable
from polystore.core.rois import Roi, Rois
from polystore.core.table import Table
from polystore.formats.csv.codec import CSV_CODEC
from polystore.formats.json import JSON_CODEC
from polystore.formats.npy import NPY_CODEC
from polystore.formats.npz import NPZ_CODEC
from polystore.formats.roi.codec import ROI_CODEC
from polystore.formats.text import TEXT_CODEC
from polystore.formats.tiff.codec import TIFF_CODEC

__all__ = ["BROKEN_CODECS", "BrokenCodec", "decoded_by", "decoding"]

Encode = Callable[[Item[Payload], object], Outcome[Encoded]]
EVERY = "every dtype that is encoded is decoded with the same bits, or refused"
LAYOUTS = "every memory layout that is encoded is decoded with the same bits, or refused"
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
    return np.where(array == 0, array.dtype.type(0), array) if array.dtype.kind == "f" else array


def swapped(payload: object) -> object:
    array = cast("HostArray", payload)
    return array.byteswap() if array.dtype.kind in "iuf" else array


def transposed(payload: object) -> object:
    array = cast("HostArray", payload)
    return array.reshape(array.shape[::-1]).T if array.ndim == 2 else array


def cut_to_16_bits(payload: object) -> object:
    array = cast("HostArray", payload)
    return array[: 2**16 - 1] if array.ndim else array


def rounded(array: HostArray) -> HostArray:
    return array.astype("f4").astype("f8") if array.dtype == np.float64 else array


def mutating(item: Item[Payload], options: object, /) -> Outcome[Encoded]:
    array = item.payload
    if is_host_array(array) and array.flags.writeable and array.size > 1:
        array[...] = array.reshape(-1)[0]
    return NPY_CODEC.encode(item, options)


COUNTER = itertools.count()


def with_a_count(encoded: Encoded) -> Encoded:
    count = next(COUNTER).to_bytes(4, "little")
    return evolve(encoded, buffers=(*encoded.buffers, count), nbytes=encoded.nbytes + 4)


def refusing_without_a_word(item: Item[Payload], options: object, /) -> Outcome[Encoded]:
    refused = NPY_CODEC.encode(item, options)
    return refused if is_successful(refused) else Failure(UnsupportedPayload("", None, "", ""))


def refusing_oddly(item: Item[Payload], options: object, /) -> Outcome[Encoded]:
    refused = NPY_CODEC.encode(item, options)
    return refused if is_successful(refused) else Failure(NotFound("", None, "No.", "Look."))


def raising(item: Item[Payload], options: object, /) -> Outcome[Encoded]:
    if array_of(item).dtype.hasobject:
        raise TypeError("no objects")
    return NPY_CODEC.encode(item, options)


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


def columns_sorted(payload: object) -> object:
    return Table(dict(sorted(cast("Table", payload).columns.items())))


def without_positions(payload: object) -> object:
    return Rois(Roi(it.name, it.shape) for it in cast("Rois", payload).regions)


def without_empty_ones(payload: object) -> object:
    arrays = cast("Mapping[str, HostArray]", payload)
    return {name: array for name, array in arrays.items() if array.size}


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


BROKEN_CODECS: tuple[BrokenCodec, ...] = (
    BrokenCodec("int16 comes back as int32", EVERY, decoding(no_int16)),
    BrokenCodec("-0.0 is lost", ARRAYS, evolve(NPY_CODEC, encode=encoding(no_negative_zero))),
    BrokenCodec("bytes are swapped", ARRAYS, decoding(swapped)),
    BrokenCodec("0-d gets an axis", ARRAYS, evolve(NPY_CODEC, encode=encoding(np.atleast_1d))),
    BrokenCodec("memory order is forgotten", LAYOUTS, decoding(transposed)),
    BrokenCodec("float64 is rounded", EVERY, evolve(NPY_CODEC, encode=encoding(rounded))),
    BrokenCodec(
        "axes beyond 16 bits are cut",
        "a large array that is encoded is decoded the same, or refused",
        decoding(cut_to_16_bits),
    ),
    BrokenCodec("encode raises", EVERY, evolve(NPY_CODEC, encode=raising)),
    BrokenCodec(
        "a size that is not its own",
        "a store of files saves and loads the format by its suffix",
        encoded_as(lambda it: evolve(it, nbytes=0)),
    ),
    BrokenCodec(
        "options of any class",
        "a store of files refuses options of another class",
        evolve(cast("Codec[object]", NPY_CODEC), encode=with_options, options=object),
    ),
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
    BrokenCodec("writes into the item", PURE, evolve(NPY_CODEC, encode=mutating)),
    BrokenCodec("two runs differ", PURE, encoded_as(with_a_count)),
    BrokenCodec(
        "nbytes is wrong",
        "nbytes is the sum of the buffers",
        encoded_as(lambda it: evolve(it, nbytes=it.nbytes + 1)),
    ),
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
        "columns are sorted",
        "an encoded table is decoded the same, or refused",
        decoding(columns_sorted, CSV_CODEC),
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
)
"""Each is caught by its law; tests/testing/test_broken_codecs.py checks it."""
