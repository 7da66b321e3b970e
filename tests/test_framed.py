"""Formats whose load gives a framework's own arrays: `.jax` and `.cupy`, and those of others."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any, cast

import jax
import ml_dtypes
import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from polystore import (
    JAX_ARRAY,
    NPY,
    Array,
    Decoded,
    DiskConfig,
    FileFormat,
    Item,
    Limits,
    Metadata,
    Outcome,
    Transfer,
    load,
    save,
)
from polystore.core.errors import Corrupt, Lossy, MissingDependency, UnsupportedPayload
from polystore.core.outcome import Success, is_successful
from polystore.core.payload import HostArray
from polystore.core.records import Encoded, Readable
from polystore.formats.npy import ML_NPY_CODEC, NPY_CODEC
from polystore.framed import CUPY_CODEC, JAX_CODEC, framed
from polystore.frameworks.jax import JAX
from polystore.frameworks.numpy import NUMPY
from polystore.frameworks.torch import TORCH
from polystore.testing.arrays import PLAIN_DTYPES, arrays


def registered() -> tuple[np.dtype[Any], ...]:
    """Give every dtype that `ml_dtypes` has."""
    kinds = cast("dict[str, object]", vars(ml_dtypes)).values()
    classes = [
        cast("type[np.float64]", kind)  # of any element
        for kind in kinds
        if isinstance(kind, type) and issubclass(kind, np.generic)
    ]
    return tuple(map(np.dtype, classes))


REGISTERED = registered()


def source_of(encoded: Encoded) -> Readable:
    content = b"".join(bytes(buffer) for buffer in encoded.buffers)
    assert len(content) == encoded.nbytes

    def read_into(offset: int, buffer: memoryview, /) -> int:
        part = content[offset : offset + len(buffer)]
        buffer[: len(part)] = part
        return len(part)

    return Readable(len(content), read_into, lambda: None)


def meaning(array: HostArray) -> tuple[object, ...]:
    """Give what has to be the same: shape, dtype, and the elements' own bits."""
    native = array.astype(array.dtype.newbyteorder("="), order="C")
    # What is above the bits of an integer of 1 to 4 bits is no part of its value.
    values = (
        native.astype(np.int8) if "int" in native.dtype.name and native.itemsize == 1 else native
    )
    return native.shape, native.dtype, values.tobytes()


def test_there_are_dtypes_to_test() -> None:
    assert {"bfloat16", "float8_e4m3fn", "int4"} < {dtype.name for dtype in REGISTERED}


@given(arrays(st.sampled_from((*PLAIN_DTYPES, *REGISTERED))))
def test_what_jax_is_given_comes_back_or_was_refused(array: NDArray[Any]) -> None:
    """The dtypes that an encoder takes are those that JAX takes: no more, and no fewer."""
    encoded = JAX_CODEC.encode(Item("x", array), None)
    with jax.enable_x64(True):
        assert is_successful(encoded) == is_successful(JAX.from_host(array, Transfer()))
        if not is_successful(encoded):
            assert isinstance(encoded.failure(), UnsupportedPayload)
            return
        loaded = JAX_CODEC.decode(source_of(encoded.unwrap()), Limits()).unwrap().payload
        assert isinstance(loaded, jax.Array)
        back = JAX.to_host(loaded, Transfer()).unwrap()
    assert meaning(back) == meaning(np.asarray(array))


@given(arrays(st.sampled_from((*PLAIN_DTYPES, *REGISTERED))))
def test_the_host_keeps_every_dtype_of_ml_dtypes(array: NDArray[Any]) -> None:
    plain = np.asarray(array)
    encoded = ML_NPY_CODEC.encode(Item("x", array), None).unwrap()
    got = ML_NPY_CODEC.decode(source_of(encoded), Limits()).unwrap().payload
    assert (got.dtype, got.shape, got.tobytes()) == (plain.dtype, plain.shape, plain.tobytes())
    assert got.flags.f_contiguous or not plain.flags.f_contiguous


@pytest.mark.parametrize("dtype", REGISTERED, ids=str)
def test_numpy_opens_the_file_and_gives_the_bits_under_their_name(
    dtype: np.dtype[Any], tmp_path: Path
) -> None:
    array = np.arange(2 * 3 * dtype.itemsize, dtype=np.uint8).view(dtype).reshape(2, 3)
    assert isinstance(NPY_CODEC.encode(Item("x", array), None).failure(), UnsupportedPayload)
    encoded = ML_NPY_CODEC.encode(Item("x", array), None).unwrap()
    (tmp_path / "a.npy").write_bytes(b"".join(map(bytes, encoded.buffers)))
    records: NDArray[Any] = np.load(tmp_path / "a.npy")
    assert records.dtype.names == (dtype.name,)
    assert records[dtype.name].tobytes() == records.view(dtype).tobytes() == array.tobytes()
    host = NPY_CODEC.decode(source_of(encoded), Limits()).unwrap().payload
    assert host.dtype == records.dtype


@pytest.mark.parametrize(
    ("dtype", "refused"),
    [
        (np.dtype([("bfloat16", "<u2")]), True),
        (np.dtype([("int4", "u1")]), True),
        (np.dtype([("bfloat16", ">u2")]), False),
        (np.dtype([("bfloat16", "<i2")]), False),
        (np.dtype([("bfloat16", "<u2", (1,))]), False),
        (np.dtype([("bfloat16", "<u2"), ("more", "u1")]), False),
        (np.dtype([(("title", "bfloat16"), "<u2")]), False),
        (np.dtype([("brain16", "<u2")]), False),
        (np.dtype([("finfo", "<u2")]), False),
    ],
    ids=str,
)
def test_records_that_would_come_back_as_numbers_are_refused(
    dtype: np.dtype[Any], refused: bool
) -> None:
    encoded = ML_NPY_CODEC.encode(Item("x", np.zeros(3, dtype)), None)
    assert is_successful(encoded) != refused
    if not refused:
        assert (
            ML_NPY_CODEC.decode(source_of(encoded.unwrap()), Limits()).unwrap().payload.dtype
            == dtype
        )


def test_records_of_a_bfloat16_are_refused_as_in_npy() -> None:
    records = np.zeros(3, [("weight", ml_dtypes.bfloat16)])
    assert isinstance(ML_NPY_CODEC.encode(Item("x", records), None).failure(), UnsupportedPayload)


@pytest.mark.parametrize(
    "array",
    [
        JAX.from_host(np.arange(6).astype("bfloat16").reshape(2, 3), Transfer()).unwrap(),
        torch.arange(6, dtype=torch.bfloat16).reshape(2, 3),
        np.arange(6).astype(ml_dtypes.bfloat16).reshape(2, 3),
    ],
    ids=["jax", "torch", "numpy"],
)
def test_an_array_of_any_framework_is_saved_and_loaded_as_jax(array: Array, tmp_path: Path) -> None:
    disk = DiskConfig(root=str(tmp_path))
    saved = save(disk)(Item("a.jax", array, Metadata(axes=("y", "x")))).unwrap()
    assert saved.dropped == ("axes",)
    loaded = load(disk, format=JAX_ARRAY)("a.jax").unwrap().payload
    assert isinstance(loaded, jax.Array)
    assert loaded.dtype == np.dtype("bfloat16")
    assert loaded.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_jax_shares_the_memory_that_was_read_into() -> None:
    decoded: list[HostArray] = []

    def decode(source: Readable, limits: Limits, /) -> Outcome[Decoded[HostArray]]:
        outcome = ML_NPY_CODEC.decode(source, limits)
        decoded.append(outcome.unwrap().payload)
        return outcome

    codec = framed(type(ML_NPY_CODEC)(NPY, ML_NPY_CODEC.encode, decode, None), JAX_ARRAY, JAX)
    for array in (np.ones((300, 200), np.float32), np.ones((300, 200), np.float32, order="F")):
        encoded = codec.encode(Item("x", array), None).unwrap()
        loaded = cast("jax.Array", codec.decode(source_of(encoded), Limits()).unwrap().payload)
        assert loaded.unsafe_buffer_pointer() == decoded[-1].ctypes.data


def test_what_jax_would_round_is_lossy_and_loads_to_the_host(tmp_path: Path) -> None:
    disk = DiskConfig(root=str(tmp_path))
    array = np.array([2**40 + 5])
    assert is_successful(save(disk)(Item("a.jax", array)))
    with jax.enable_x64(False):
        error = load(disk)("a.jax").failure()
    assert isinstance(error, Lossy)
    assert "jax_enable_x64" in error.advice
    assert "load(store, format=NPY)" in error.advice
    assert load(disk, format=NPY)("a.jax").unwrap().payload.tolist() == [2**40 + 5]


def test_no_other_format_is_advised_where_there_is_none() -> None:
    format: FileFormat[Array] = FileFormat("npy", (".lone",))
    codec = framed(NPY_CODEC, format, JAX)
    encoded = codec.encode(Item("x", np.array(["text"])), None).unwrap()
    error = codec.decode(source_of(encoded), Limits()).failure()
    assert isinstance(error, UnsupportedPayload)
    assert "format=" not in error.advice


def test_damage_is_told_as_the_codec_tells_it() -> None:
    encoded = JAX_CODEC.encode(Item("x", np.zeros(3)), None).unwrap()
    whole = source_of(encoded)
    cut = Readable(whole.size - 1, whole.read_into, whole.close)
    assert isinstance(JAX_CODEC.decode(cut, Limits()).failure(), Corrupt)


def test_a_framework_that_is_not_installed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = DiskConfig(root=str(tmp_path))
    assert is_successful(save(disk)(Item("a.cupy", np.arange(3.0))))
    monkeypatch.setitem(sys.modules, "cupy", None)
    error = load(disk)("a.cupy").failure()
    assert isinstance(error, MissingDependency)
    assert error.package == "cupy"
    assert load(disk, format=NPY)("a.cupy").unwrap().payload.tolist() == [0, 1, 2]


@pytest.mark.parametrize("dtype", ["f2", "c16", ">u4", "bfloat16"])
def test_cupy_is_given_what_it_holds(dtype: str) -> None:
    array: HostArray = np.zeros(3, dtype)
    assert is_successful(CUPY_CODEC.encode(Item("x", array), None))


@pytest.mark.parametrize("dtype", ["float8_e5m2", "S3", "M8[s]", "g"])
def test_what_cupy_lacks_is_refused(dtype: str) -> None:
    array: HostArray = np.zeros(3, dtype)
    error = CUPY_CODEC.encode(Item("x", array), None).failure()
    assert isinstance(error, UnsupportedPayload)
    assert ".npy" in error.advice


@pytest.mark.skipif(importlib.util.find_spec("cupy") is None, reason="CuPy is not installed")
@given(arrays(st.sampled_from([np.dtype(letter) for letter in "?bhiqBHIQefdFD"])))
@example(np.ones(3, ml_dtypes.bfloat16))
def test_what_cupy_is_given_comes_back(array: NDArray[Any]) -> None:
    from polystore.frameworks.cupy import CUPY

    if not is_successful(CUPY.from_host(np.zeros(1), Transfer())):
        pytest.skip("no CUDA device")
    encoded = CUPY_CODEC.encode(Item("x", array), None).unwrap()
    loaded = CUPY_CODEC.decode(source_of(encoded), Limits()).unwrap().payload
    assert CUPY.owns(loaded)
    back = CUPY.to_host(cast("Any", loaded), Transfer()).unwrap()
    assert meaning(back) == meaning(np.asarray(array))


def test_any_framework_can_have_a_format_of_its_own() -> None:
    array = np.arange(6).reshape(2, 3)
    encoded = NPY_CODEC.encode(Item("x", array), None).unwrap()
    tensors: FileFormat[torch.Tensor] = FileFormat("tensor", (".tensor",))
    tensor = framed(NPY_CODEC, tensors, TORCH).decode(source_of(encoded), Limits())
    assert tensor.unwrap().payload.equal(torch.arange(6).reshape(2, 3))
    host: FileFormat[HostArray] = FileFormat("host", (".host",))
    assert framed(NPY_CODEC, host, NUMPY).decode(source_of(encoded), Limits()) != Success(None)
