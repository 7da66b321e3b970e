"""Serialised tensors: the bytes that TensorFlow writes and reads, and nothing else."""

from __future__ import annotations

import itertools
import tracemalloc
from pathlib import Path
from typing import Protocol, cast

import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
from bytes_source import joined, source_of
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays as plain_arrays

from polystore import TF, DiskConfig, Item, Metadata, load, save
from polystore.core.errors import Corrupt, Lossy, TooLarge, UnsupportedPayload
from polystore.core.outcome import is_successful
from polystore.core.payload import ALIGNMENT, HostArray
from polystore.core.records import Limits, Readable, Transfer
from polystore.formats.tf import TF_HOST_CODEC
from polystore.formats.tf.values import read_varint, varint
from polystore.frameworks.tensorflow import TENSORFLOW
from polystore.testing.arrays import arrays

PLAIN = "? u1 i1 u2 i2 u4 i4 u8 i8 f2 f4 f8 c8 c16".split()
FLOAT8 = ("float8_e5m2", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e4m3b11fnuz")
SMALL = (*FLOAT8, "float8_e5m2fnuz", "int4", "uint4", "int2", "uint2", "float4_e2m1fn")
QUANTISED = {"qint8": "i1", "quint8": "u1", "qint16": "i2", "quint16": "u2", "qint32": "i4"}
SERIALISED = (*map(np.dtype, PLAIN), np.dtype(ml_dtypes.bfloat16))
"""The dtypes that `tf.io.serialize_tensor` has a kernel for."""

DTYPES = (
    *SERIALISED,
    *(np.dtype(getattr(ml_dtypes, name)) for name in SMALL),
    *(np.dtype([(name, carrier)]) for name, carrier in QUANTISED.items()),
)


class Message(Protocol):
    def SerializeToString(self) -> bytes: ...  # noqa: N802 - protobuf's name


class Io(Protocol):
    def serialize_tensor(self, tensor: tf.Tensor) -> tf.Tensor: ...
    def parse_tensor(self, serialized: bytes, out_type: tf.DType) -> tf.Tensor: ...


class Typed(Protocol):
    """The functions of `tensorflow` that its stubs lack, or leave a type unknown in."""

    @property
    def io(self) -> Io: ...
    def make_tensor_proto(
        self, values: object, dtype: str | None = None, shape: list[int] | None = None
    ) -> Message: ...


TYPED = cast("Typed", tf)


def encoded(array: HostArray) -> bytes:
    return joined(TF_HOST_CODEC.encode(Item("x", array), None).unwrap())


def decoded(content: bytes) -> HostArray:
    return TF_HOST_CODEC.decode(source_of(content), Limits()).unwrap().payload


def error_of(content: bytes, limits: Limits = Limits()) -> object:
    return TF_HOST_CODEC.decode(source_of(content), limits).failure()


def same(one: HostArray, other: HostArray) -> bool:
    native = other.astype(other.dtype.newbyteorder("="), order="C")
    if one.dtype.hasobject:
        return one.shape == other.shape and one.tolist() == other.tolist()
    return (one.shape, one.dtype) == (native.shape, native.dtype) and (
        one.tobytes() == native.tobytes()
    )


def tensor_of(array: HostArray) -> tf.Tensor:
    return TENSORFLOW.from_host(array, Transfer()).unwrap()


@given(arrays(st.sampled_from(DTYPES)))
def test_what_is_written_is_what_tensorflow_writes_and_reads(array: HostArray) -> None:
    array = np.asarray(array)
    content = encoded(array)
    back = decoded(content)
    assert same(back, array)
    assert back.flags.writeable
    assert back.ctypes.data % ALIGNMENT == 0
    tensor = tensor_of(array)
    if array.dtype in SERIALISED:
        assert TYPED.io.serialize_tensor(tensor).numpy() == content
    parsed = TYPED.io.parse_tensor(content, tensor.dtype)
    assert same(TENSORFLOW.to_host(parsed, Transfer()).unwrap(), array)


@given(arrays())
def test_other_dtypes_are_refused(array: HostArray) -> None:
    outcome = TF_HOST_CODEC.encode(Item("x", array), None)
    dtype = array.dtype if array.dtype.isnative else array.dtype.newbyteorder("=")
    held = dtype in DTYPES
    if held or (array.dtype == object and not array.size):
        assert is_successful(outcome)
    else:
        assert isinstance(outcome.failure(), UnsupportedPayload | Lossy)
        assert outcome.failure().advice


TEXTS = st.one_of(st.binary(max_size=20), st.integers(100, 300).map(lambda n: b"\xff" * n))


@given(plain_arrays(object, st.sampled_from([(), (0,), (3,), (2, 2), (2, 0)]), elements=TEXTS))
def test_strings_come_back(array: HostArray) -> None:
    content = encoded(array)
    assert same(decoded(content), array)
    assert TYPED.io.serialize_tensor(tensor_of(array)).numpy() == content
    assert same(np.array(TYPED.io.parse_tensor(content, tf.string).numpy(), object), array)


@pytest.mark.parametrize(
    "array",
    [np.array(["a"], object), np.array([b"a", None], object), np.array(["a"]), np.array([b"a"])],
    ids=["str", "None", "U", "S"],
)
def test_other_strings_are_refused(array: HostArray) -> None:
    assert isinstance(TF_HOST_CODEC.encode(Item("x", array), None).failure(), UnsupportedPayload)


VALUES = st.sampled_from([*SERIALISED, *(np.dtype(getattr(ml_dtypes, name)) for name in SMALL)])


@given(arrays(VALUES))
def test_elements_in_fields_by_their_type_are_read(array: HostArray) -> None:
    array = np.array(array)
    try:
        content = TYPED.make_tensor_proto(array).SerializeToString()
    except TypeError:  # some of the float8 have no field in TensorFlow itself
        return
    back = decoded(content)
    if array.dtype.kind == "c":  # through Python's floats, which lose what a NaN carries
        np.testing.assert_array_equal(back, array)
    else:
        assert same(back, array)


@given(st.integers(0, 2**63 - 1))
def test_numbers_of_7_bits_a_byte(number: int) -> None:
    assert read_varint(b"!" + varint(number) + b"!", 1) == (number, 1 + len(varint(number)))


def test_many_whole_numbers_are_read_in_pieces() -> None:
    array = np.random.default_rng(1).integers(0, 2**16, 1_500_000, np.uint16)
    assert same(decoded(TYPED.make_tensor_proto(array).SerializeToString()), array)


def test_one_element_stands_for_all_up_to_a_bound() -> None:
    for value, dtype in ((1.5, "float32"), (-7, "int32"), (True, "bool"), (2, "int64")):
        content = TYPED.make_tensor_proto(value, dtype, [10, 2]).SerializeToString()
        assert decoded(content).tolist() == [[value, value]] * 10
    content = TYPED.make_tensor_proto(1.5, "float32", [10_000, 20_000]).SerializeToString()
    assert isinstance(error_of(content), TooLarge)


HEADER = b"\x08\x01\x12\x04\x12\x02\x08\x03"  # float32, of 3 elements
WHOLE = HEADER + b"\x22\x0c" + bytes(12)

DAMAGED = {
    "cut before the elements": HEADER,  # of which `parse_tensor` makes zeros
    "cut in the elements": WHOLE[:-1],
    "cut in the header": WHOLE[:6],
    "surplus": WHOLE + b"\0",
    "an unknown field": WHOLE + b"\x98\x06\x01",
    "another field first": HEADER + b"\x18\x00\x22\x0c" + bytes(12),
    "twice": WHOLE + b"\x22\x0c" + bytes(12),
    "a field of another dtype": HEADER + b"\x3a\x03\x01\x02\x03",
    "two values for three": HEADER + b"\x2a\x08" + bytes(8),
    "two whole numbers for three": b"\x08\x03\x12\x04\x12\x02\x08\x03\x3a\x02\x01\x02",
    "four whole numbers for three": b"\x08\x03\x12\x04\x12\x02\x08\x03\x3a\x04\x01\x02\x03\x04",
    "a value for none": b"\x08\x03\x12\x02\x12\x00\x3a\x01\x01",
    "fewer bytes than it claims": HEADER + b"\x22\xff\xff\xff\xff\x0f" + bytes(12),
    "a needless byte": b"\x08\x01\x12\x84\x00\x12\x02\x08\x03\x22\x0c" + bytes(12),
    "a named axis": b"\x08\x01\x12\x07\x12\x05\x08\x03\x12\x01a\x22\x0c" + bytes(12),
    "an unknown rank": b"\x08\x01\x12\x02\x18\x01\x22\x04" + bytes(4),
    "a negative length": b"\x08\x01\x12\x0d\x12\x0b\x08" + b"\xff" * 9 + b"\x01" + b"\x22\x00",
    "a product past 64 bits": b"\x08\x01\x12\x18"
    + (b"\x12\x0a\x08" + b"\xff" * 8 + b"\x7f")[:12] * 2,
    "no elements, past 64 bits": b"\x08\x01\x12\x0e\x12\x00\x12\x0a\x08" + b"\x80" * 8 + b"\x40",
    "no strings, past 64 bits": b"\x08\x07\x12\x0e\x12\x00\x12\x0a\x08" + b"\x80" * 8 + b"\x40",
    "too many axes": b"\x08\x01\x12\x82\x01" + b"\x12\x00" * 65,
    "a whole number too large": b"\x08\x04\x12\x00\x3a\x02\xac\x02",
    "a whole number past 64 bits": b"\x08\x09\x12\x00\x52\x0b" + b"\x80" * 10 + b"\x01",
    "an unended number": b"\x08\x09\x12\x00\x52\x01\x80",
    "a bool of 2": b"\x08\x0a\x12\x00\x5a\x01\x02",
    "strings too few": b"\x08\x07\x12\x04\x12\x02\x08\x02\x42\x01a\x42",
    "one string for all": b"\x08\x07\x12\x04\x12\x02\x08\x02\x42\x06aaaaaa",
    "strings too many": b"\x08\x07\x12\x00\x42\x01a\x42\x01a",
    "a string cut": b"\x08\x07\x12\x00\x42\x05aa",
    "strings as memory": b"\x08\x07\x12\x00\x22\x08" + bytes(8),
    "a resource": b"\x08\x14\x12\x00",
}


@pytest.mark.parametrize("name", DAMAGED)
def test_what_is_not_whole_is_corrupt(name: str) -> None:
    error = error_of(DAMAGED[name])
    assert isinstance(error, Corrupt)
    assert error.message.startswith("This ")
    assert error.advice
    assert decoded(WHOLE).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "empty"),
        (bytes(100), "zeros"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "a PNG image"),
        (b'{"wells": 96}', "JSON text"),
        (b"\x08\x63\x12\x00", "of no format known here"),
        (b"\x08", "of no format known here"),
    ],
)
def test_other_content_is_told(content: bytes, kind: str) -> None:
    error = error_of(content)
    assert isinstance(error, Corrupt)
    assert f"is {kind}" in error.message


def test_arbitrary_bytes_are_no_tensors() -> None:
    source = np.random.default_rng(3)
    for length in source.integers(0, 30, 3000):
        content = b"\x08" + source.bytes(int(length))
        assert not is_successful(TF_HOST_CODEC.decode(source_of(content), Limits()))


def test_flips_and_cuts_are_decoded_as_they_claim_or_refused() -> None:
    files = [
        encoded(np.arange(6, dtype=np.int16).reshape(2, 3)),
        encoded(np.array([b"one", b"", b"three"], object)),
        TYPED.make_tensor_proto([2**40, -1, 7], "int64").SerializeToString(),
        TYPED.make_tensor_proto([1, 2, 300], "uint16").SerializeToString(),
    ]
    for content in files:
        for place, mask in itertools.product(range(len(content)), (1, 2, 4, 8, 16, 32, 64, 128)):
            flipped = bytearray(content)
            flipped[place] ^= mask
            outcome = TF_HOST_CODEC.decode(source_of(bytes(flipped)), Limits(2**20))
            assert is_successful(outcome) or isinstance(outcome.failure(), Corrupt | TooLarge)
        for length in range(len(content)):
            assert isinstance(error_of(content[:length]), Corrupt)


def test_more_than_the_limit_is_too_large() -> None:
    assert isinstance(error_of(encoded(np.zeros(100)), Limits(799)), TooLarge)
    assert isinstance(error_of(encoded(np.array([b"a"] * 100, object)), Limits(3000)), TooLarge)
    one_for_all = b"\x08\x01\x12\x08\x12\x06\x08\xff\xff\xff\xff\x7f\x2a\x04" + bytes(4)
    assert isinstance(error_of(one_for_all), TooLarge)


def test_more_than_2_gib_is_refused_before_it_is_copied() -> None:
    """`tf.io.parse_tensor` ends the process on it."""
    huge = np.broadcast_to(np.uint8(0), (2**31,))
    error = TF_HOST_CODEC.encode(Item("x", huge), None).failure()
    assert isinstance(error, UnsupportedPayload)
    assert ".npy" in error.advice


def test_the_arrays_own_memory_is_written() -> None:
    array = np.arange(1000)
    _, content = TF_HOST_CODEC.encode(Item("x", array), None).unwrap().buffers
    assert np.frombuffer(memoryview(content), array.dtype).ctypes.data == array.ctypes.data


def test_a_load_takes_little_more_than_the_array() -> None:
    content = encoded(np.zeros(2**22))
    source = source_of(content)
    tracemalloc.start()
    try:
        array = TF_HOST_CODEC.decode(source, Limits()).unwrap().payload
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak - len(content) < 1.1 * array.nbytes  # the source gives a copy of its own


def test_a_failing_read_passes_and_a_short_one_is_corrupt() -> None:
    content = encoded(np.zeros(2000))

    def short(offset: int, buffer: memoryview, /) -> int:
        part = content[offset : offset + len(buffer)][: 1024 if offset == 0 else 100]
        buffer[: len(part)] = part
        return len(part)

    def broken(offset: int, buffer: memoryview, /) -> int:
        raise OSError("gone")

    ended = TF_HOST_CODEC.decode(Readable(len(content), short, lambda: None), Limits())
    assert isinstance(ended.failure(), Corrupt)
    with pytest.raises(OSError, match="gone"):
        TF_HOST_CODEC.decode(Readable(len(content), broken, lambda: None), Limits())


def test_a_load_gives_a_tensor_in_the_memory_that_was_read_into(tmp_path: Path) -> None:
    disk = DiskConfig(root=str(tmp_path))
    item = Item("a.TF", np.arange(6, dtype=">f4").reshape(2, 3), Metadata(axes=("y", "x")))
    assert save(disk)(item).unwrap().dropped == ("axes",)
    tensor = load(disk, format=TF)("a.TF").unwrap().payload
    assert isinstance(tensor, tf.Tensor)
    assert tensor.numpy().tolist() == [[0, 1, 2], [3, 4, 5]]
    memory = np.frombuffer(cast("memoryview", tensor), np.uint8)
    assert memory.ctypes.data % ALIGNMENT == 0
    assert (tmp_path / "a.TF").read_bytes() == TYPED.io.serialize_tensor(tensor).numpy()


@pytest.mark.parametrize("value", [["a", "bc"], [1.5, 2.5], [True], 3])
def test_tensors_are_saved_and_come_back(tmp_path: Path, value: object) -> None:
    disk = DiskConfig(root=str(tmp_path))
    tensor = tf.constant(cast("list[float]", value))
    save(disk)(Item("t.tf", cast("HostArray", tensor))).unwrap()
    back = cast("tf.Tensor", load(disk, format=TF)("t.tf").unwrap().payload)
    assert back.dtype == tensor.dtype
    assert np.array_equal(back.numpy(), tensor.numpy())
    foreign = cast("HostArray", tf.constant(["a"]))
    assert not is_successful(save(disk)(Item("t.npy", foreign)))
    assert not (tmp_path / "t.npy").exists()
