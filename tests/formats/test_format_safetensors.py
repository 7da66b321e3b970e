"""safetensors as its library writes and reads it, and the files that only look like it."""

from __future__ import annotations

import json
import random
import string
import tracemalloc
from collections.abc import Mapping
from typing import Any, Protocol, cast

import ml_dtypes
import numpy as np
import pytest
import safetensors
import safetensors.numpy
import safetensors.torch
import torch
from bytes_source import joined, source_of
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from polystore import Item, Limits, Metadata
from polystore.core.errors import Corrupt, Lossy, StorageError, TooLarge, UnsupportedPayload
from polystore.core.outcome import is_successful
from polystore.core.payload import ALIGNMENT, HostArray, Payload
from polystore.core.records import Decoded
from polystore.formats.safetensors import SAFETENSORS_CODEC
from polystore.testing.arrays import arrays

DEFAULT = Limits()
NATIVE = tuple(np.dtype(letter) for letter in "?bhiqBHIQefdF")
"""What NumPy and the library both have."""

FLOATS = tuple(
    np.dtype(getattr(ml_dtypes, name))
    for name in (
        *("bfloat16", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz"),
    )
)
"""What PyTorch and the library's loader for it have, and NumPy has from `ml_dtypes`."""

SCALES = np.dtype(ml_dtypes.float8_e8m0fnu)
"""What the library and PyTorch both have, and the library loads for neither."""

NAMES = st.text(max_size=6).filter(lambda name: name != "__metadata__")


class _Deserialize(Protocol):
    def __call__(self, content: bytes, /) -> list[tuple[str, dict[str, Any]]]: ...


UNKNOWN = Metadata()
NOTHING: dict[str, HostArray] = {}


def encoded(payload: Payload, metadata: Metadata = UNKNOWN) -> bytes:
    return joined(SAFETENSORS_CODEC.encode(Item("x", payload, metadata), None).unwrap())


def decoded(content: bytes, limits: Limits = DEFAULT) -> Decoded[Mapping[str, HostArray]]:
    return SAFETENSORS_CODEC.decode(source_of(content), limits).unwrap()


def refusal(content: bytes, limits: Limits = DEFAULT) -> StorageError:
    return SAFETENSORS_CODEC.decode(source_of(content), limits).failure()


def with_header(header: object, content: bytes = b"") -> bytes:
    text = header.encode() if isinstance(header, str) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content


def _deserialized(content: bytes) -> list[tuple[str, dict[str, Any]]]:
    """Give what the library reads; its own stub names no types."""
    read = cast("_Deserialize", vars(safetensors)["deserialize"])
    return read(content)


def entry(dtype: str = "U8", shape: object = (1,), offsets: object = (0, 1)) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def same(one: Mapping[str, HostArray], other: Mapping[str, HostArray]) -> bool:
    """Whether they are the same under the same names: byte order apart, to the last bit."""
    return one.keys() == other.keys() and all(
        (got.dtype, got.shape, got.tobytes())
        == (there.dtype.newbyteorder("="), there.shape, there.astype(got.dtype).tobytes())
        for got, there in ((one[name], np.asarray(other[name])) for name in one)
    )


def numbers(dtypes: tuple[np.dtype[Any], ...]) -> st.SearchStrategy[dict[str, NDArray[Any]]]:
    return st.dictionaries(NAMES, arrays(st.sampled_from(dtypes)), max_size=5)


@given(numbers((*NATIVE, *FLOATS, SCALES, *(d.newbyteorder(">") for d in NATIVE))))
@example({})
@example({"": np.zeros(()), "b": np.zeros((0, 3), np.uint8), "a": np.zeros(3, ">f4")})
def test_what_goes_in_comes_out(arrays: dict[str, NDArray[Any]]) -> None:
    got = decoded(encoded(arrays)).payload
    assert same(got, arrays)
    assert list(got) == list(arrays)
    for array in got.values():
        assert array.ctypes.data % ALIGNMENT == 0 or array.size == 0
        assert array.flags.writeable


@given(numbers((*NATIVE, *(d.newbyteorder(">") for d in NATIVE))))
def test_the_library_reads_what_is_written(arrays: dict[str, NDArray[Any]]) -> None:
    assert same(safetensors.numpy.load(encoded(arrays)), arrays)


@given(numbers(NATIVE), st.none() | st.dictionaries(st.text(max_size=5), st.text(max_size=5)))
def test_what_the_library_writes_is_read(
    arrays: dict[str, NDArray[Any]], texts: dict[str, str] | None
) -> None:
    if not arrays:
        texts = texts or None  # of two empty ones the library makes what it cannot read
    dense = {name: np.array(array, order="C") for name, array in arrays.items()}
    got = decoded(safetensors.numpy.save(dense, texts))
    assert same(got.payload, dense)
    assert got.metadata.attributes == (texts or {})


@given(numbers(FLOATS))
def test_pytorch_reads_and_writes_the_narrow_floats_too(arrays: dict[str, NDArray[Any]]) -> None:
    content = encoded(arrays)
    tensors = safetensors.torch.load(content)
    for name, tensor in tensors.items():
        assert str(tensor.dtype) == f"torch.{arrays[name].dtype.name}"
        carrier = torch.int16 if tensor.itemsize == 2 else torch.uint8
        bits: NDArray[Any] = tensor.view(carrier).numpy()
        assert bits.tobytes() == arrays[name].tobytes()
    assert same(decoded(safetensors.torch.save(tensors)).payload, arrays)


def test_scale_factors_are_as_the_library_says_them() -> None:
    scales: HostArray = np.arange(6, dtype=np.uint8).view(SCALES)
    ((name, found),) = _deserialized(encoded({"x": scales}))
    assert (name, found["dtype"], found["shape"]) == ("x", "F8_E8M0", [6])
    tensor = torch.arange(6, dtype=torch.uint8).view(torch.float8_e8m0fnu)
    assert same(decoded(safetensors.torch.save({"x": tensor})).payload, {"x": scales})


def test_arrays_are_not_copied() -> None:
    held: dict[str, HostArray] = {
        "narrow": np.zeros(1001, np.uint8),
        "wide": np.zeros((64, 64)),
        "brain": np.zeros(7, ml_dtypes.bfloat16),
    }
    buffers = SAFETENSORS_CODEC.encode(Item("x", held), None).unwrap().buffers
    lent = [np.asarray(memoryview(buffer)) for buffer in buffers]
    for array in held.values():
        assert any(np.shares_memory(memory, array.view(np.uint8)) for memory in lent)


def test_each_array_begins_at_a_multiple_of_its_element() -> None:
    held: dict[str, HostArray] = {"a": np.zeros(3, "u1"), "b": np.zeros(2), "c": np.zeros(1, "u2")}
    content = encoded(held)
    length = int.from_bytes(content[:8], "little")
    fields = cast("dict[str, dict[str, Any]]", json.loads(content[8 : 8 + length]))
    starts = {name: fields[name]["data_offsets"][0] for name in fields}
    assert length % 8 == 0
    assert starts == {"b": 0, "c": 16, "a": 18}


@pytest.mark.parametrize(
    ("payload", "word"),
    [
        (np.zeros(3), "mapping"),
        ([1], "mapping"),
        ({"wells": 96}, "wells"),
        ({"x": np.zeros(3, np.complex128)}, "complex128"),
        ({"x": np.zeros(3, np.longdouble)}, "longdouble"),
        ({"x": np.zeros(3, "M8[s]")}, "datetime64"),
        ({"x": np.array(["a"])}, "<U1"),
        ({"x": np.zeros(3, [("a", "u1")])}, "'a'"),
        ({"x": np.array([print], object)}, "object"),
        ({"x": np.zeros(3, ml_dtypes.int4)}, "int4"),
        ({"x": np.zeros(3, ml_dtypes.float8_e4m3)}, "float8_e4m3"),
        ({"__metadata__": np.zeros(3)}, "__metadata__"),
        ({"\ud800": np.zeros(3)}, "Unicode"),
        ({0: np.zeros(3)}, "name 0"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_it_cannot_hold_is_refused(payload: Payload, word: str) -> None:
    error = SAFETENSORS_CODEC.encode(Item("x", payload), None).failure()
    assert isinstance(error, UnsupportedPayload)
    assert word in str(error).replace("float128", "longdouble")


def test_a_mask_would_be_lost_and_is_refused_by_its_name() -> None:
    item = Item("x", {"cells": np.ma.masked_equal(np.arange(6), 4)})
    error = SAFETENSORS_CODEC.encode(item, None).failure()
    assert isinstance(error, Lossy)
    assert "cells" in error.message


WORDS = st.text(string.ascii_lowercase, max_size=3)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=4,
)
ATTRIBUTES = st.dictionaries(st.text(max_size=4) | st.just("polystore"), JSON, max_size=3)


@given(
    st.builds(
        Metadata,
        axes=st.lists(WORDS, max_size=3).map(tuple),
        scale=st.lists(st.floats(allow_nan=False), max_size=3).map(tuple),
        unit=st.lists(WORDS, max_size=3).map(tuple),
        channel_names=st.lists(st.text(), max_size=2).map(tuple),
        attributes=ATTRIBUTES,
    )
)
@example(Metadata(attributes={"polystore": "text", "a": "\ud800", "\ud800": 1}))
@example(Metadata(attributes={"polystore": '{"axes": ["y"]}'}))
def test_all_metadata_comes_back(metadata: Metadata) -> None:
    known = SAFETENSORS_CODEC.encode(Item("x", NOTHING, metadata), None).unwrap()
    assert known.dropped == ()
    content = joined(known)
    assert decoded(content).metadata == metadata
    _deserialized(content)


def test_metadata_that_json_cannot_say_is_named() -> None:
    odd = Metadata(axes=("y",), attributes=cast("Any", {"taken": object(), "format": "pt"}))
    got = SAFETENSORS_CODEC.encode(Item("x", NOTHING, odd), None).unwrap()
    assert got.dropped == ("attributes",)
    assert decoded(joined(got)).metadata == Metadata(axes=("y",), attributes={"format": "pt"})


@pytest.mark.parametrize(
    "text", ["", "[]", "no JSON", '{"axes": "yx"}', '{"scale": [true]}', "[" * 9999]
)
def test_a_text_of_others_under_our_name_is_an_attribute(text: str) -> None:
    metadata = decoded(with_header({"__metadata__": {"polystore": text}})).metadata
    assert metadata == Metadata(attributes={"polystore": text})
    assert decoded(encoded(NOTHING, metadata)).metadata == metadata


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"\x89PNG\r\n\x1a\n" + bytes(99), "PNG"),
        (b'{"wells": [96]}', "JSON text"),
        (with_header(' {"x": 1}'), "no format"),
        (b"\xff" * 5 + b"\0\0\0{}", "claims a header of 1099511627775"),
        (with_header("{}")[:-1], "claims a header of 2"),
        (with_header("{}\0"), "Extra data"),
        (with_header('{"x'), "damaged"),
        (with_header("{" * 99_999), "damaged"),
        (with_header('{"x":' + "[" * 99_999), "RecursionError"),
        (with_header('{"x": NaN}'), "NaN"),
        (with_header('{"x": 1' + "0" * 5000 + "}"), "damaged"),
        (with_header({"x": None}), "'x'"),
        (with_header({"x": {"dtype": "U8", "shape": [1]}}, b"1"), "'x'"),
        (with_header({"x": entry() | {"strides": [1]}}, b"1"), "'x'"),
        (with_header({"x": entry(shape=[True])}, b"1"), "lengths"),
        (with_header({"x": entry(shape=[1.0])}, b"1"), "lengths"),
        (with_header({"x": entry(shape=[-1])}, b"1"), "lengths"),
        (with_header({"x": entry(shape=1)}, b"1"), "lengths"),
        (with_header({"x": entry(offsets=[0, 1, 2])}, b"1"), "offsets"),
        (with_header({"x": entry(dtype="U7")}, b"1"), "'U7'"),
        (with_header({"x": entry(shape=[2])}, b"1"), "1 bytes are not (2,) elements"),
        (with_header({"x": entry(shape=[2**70, 0], offsets=[0, 0])}), "damaged"),
        (with_header({"x": entry(shape=[1] * 65)}, b"1"), "dimension"),
        (with_header({"x": entry()}), "claims 1 bytes"),
        (with_header({"x": entry()}, b"12"), "there are 2"),
        (with_header({"x": entry(offsets=[1, 2])}, b"12"), "begin at byte 0"),
        (with_header({"x": entry(), "y": entry()}, b"1"), "begin at byte 1"),
        (with_header({"x": entry(offsets=[0, 2]), "y": entry(offsets=[1, 2])}, b"12"), "byte 2"),
        (with_header({"x": entry(), "y": entry(offsets=[1, 0])}, b"1"), "byte 1"),
        (with_header(f'{{"x": {json.dumps(entry())}, "x": {json.dumps(entry())}}}', b"1"), "twice"),
        (with_header({"__metadata__": {"a": 1}}), "more than text"),
        (with_header({"__metadata__": [1]}), "more than text"),
        (with_header({"__metadata__": {"a": "\ud800"}}), "more than text"),
        (with_header({"\ud800": entry()}, b"1"), "is not dtype"),
    ],
    ids=range(35),
)
def test_damage_is_told(content: bytes, reason: str) -> None:
    error = refusal(content)
    assert isinstance(error, Corrupt)
    assert reason in error.message


@pytest.mark.parametrize("dtype", ["F4", "F6_E2M3", "F6_E3M2"])
def test_elements_of_parts_of_a_byte_are_named(dtype: str) -> None:
    error = refusal(with_header({"x": entry(dtype, shape=[4], offsets=[0, 2])}, b"12"))
    assert isinstance(error, UnsupportedPayload)
    assert dtype in error.message


def test_metadata_may_be_null_as_the_library_takes_it() -> None:
    content = with_header('{"__metadata__": null}')
    _deserialized(content)
    assert decoded(content).metadata == Metadata()


def test_more_than_the_limit_is_too_large() -> None:
    held: dict[str, HostArray] = {"a": np.zeros(500), "b": np.zeros(500, np.uint8)}
    content = encoded(held)
    assert isinstance(refusal(content, Limits(4499)), TooLarge)
    assert decoded(content, Limits(4500)).payload.keys() == {"a", "b"}
    assert isinstance(refusal(with_header(f'{{"x": "{" " * 2**20}"}}'), Limits(2**20)), TooLarge)
    assert isinstance(refusal(with_header(f'{{"x": "{" " * 2**24}"}}')), TooLarge)


def test_a_header_that_would_not_be_read_is_not_written() -> None:
    item = Item("x", NOTHING, Metadata(attributes={"text": "x" * 2**24}))
    error = SAFETENSORS_CODEC.encode(item, None).failure()
    assert isinstance(error, UnsupportedPayload)
    assert "header" in error.message


TOKENS = (
    *("{", "}", "[", "]", ",", ":", '"', "0", "1", "-1", "1.0", "1e3", "null", "{}", "\\ud800"),
    *('"U8"', '"BF16"', '"shape"', '"dtype"', '"data_offsets"', '"__metadata__"', '"x"', " ", "\n"),
    *(str(2**63), str(2**64), "é", "\0"),
)


def test_no_header_is_taken_that_the_library_refuses() -> None:
    chance = random.Random(0)  # noqa: S311 - the same headers each time
    held: dict[str, HostArray] = {"x": np.arange(6, dtype="i2"), "y": np.zeros((2, 0, 3))}
    whole = encoded(held, Metadata(axes=("y", "x"), attributes={"format": "pt"}))
    start = 8 + int.from_bytes(whole[:8], "little")
    taken = 0
    for _ in range(4000):
        header = whole[8:start].decode()
        at, token = chance.randrange(len(header)), chance.choice(TOKENS)
        header = header[:at] + token + header[at + chance.choice((0, 1, len(token))) :]
        content = with_header(header, whole[start:])
        if is_successful(SAFETENSORS_CODEC.decode(source_of(content), DEFAULT)):
            _deserialized(content)
            taken += 1
    assert taken


def test_no_bytes_raise_or_take_memory() -> None:
    """Cut everywhere, and changed a thousand times: arrays, or an error; never much memory."""
    chance = random.Random(0)  # noqa: S311 - the same bytes each time
    held: dict[str, HostArray] = {
        "x": np.arange(6, dtype=">i2"),
        "y": np.zeros((2, 0, 3)),
        "z": np.ones((), "F"),
    }
    whole = encoded(held, Metadata(axes=("y", "x"), attributes={"format": "pt"}))
    tracemalloc.start()
    for length in range(len(whole)):
        assert isinstance(refusal(whole[:length]), Corrupt)
    for _ in range(5000):
        changed = bytearray(whole)
        for _ in range(chance.choice((1, 1, 2, 4))):
            changed[chance.randrange(len(whole))] = chance.randrange(256)
        outcome = SAFETENSORS_CODEC.decode(source_of(bytes(changed)), Limits(2**20))
        if not is_successful(outcome):
            assert isinstance(outcome.failure(), Corrupt | TooLarge | UnsupportedPayload)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**21
