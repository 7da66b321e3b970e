"""Memory: aligned, of any dtype, seen as bytes without a copy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from polystore import (
    ArraySpec,
    Failure,
    FunctionFailed,
    HostArray,
    Item,
    LazyArray,
    NotFound,
    aligned_empty,
    apply,
)
from polystore.core.payload import bytes_of, is_host_array

dtypes = st.sampled_from(
    ("u1", ">u2", "f4", "c16", "?", "S3", "<U2", "M8[ns]", "i4,f8", "3u2", "V5")
).map(np.dtype)
shapes = npst.array_shapes(min_dims=0, min_side=0, max_side=5)


@given(shapes, dtypes)
def test_what_we_allocate_is_aligned_and_ours(
    shape: tuple[int, ...], dtype: np.dtype[np.void]
) -> None:
    array = aligned_empty(shape, dtype)
    assert array.ctypes.data % 64 == 0
    assert array.shape[: len(shape)] == shape
    assert array.flags.c_contiguous
    assert array.flags.writeable
    assert array.nbytes == math.prod(shape) * dtype.itemsize


@given(npst.arrays(st.sampled_from(("u1", ">u2", "f4", "?", "S3", "M8[s]", "i4,f8")), shapes))
def test_the_bytes_are_the_memory_itself(array: HostArray) -> None:
    view = bytes_of(array)
    assert bytes(view) == array.tobytes()
    assert view.nbytes == array.nbytes
    if array.nbytes:
        view[0] ^= 0xFF
        assert bytes(view) == array.tobytes()


def test_the_bytes_of_what_may_not_be_written_may_not_be_written() -> None:
    array = np.arange(3)
    array.flags.writeable = False
    assert bytes_of(array).readonly


@pytest.mark.parametrize("value", [[1], 1, None, memoryview(b"1"), np.float32(1)])
def test_only_arrays_are_host_arrays(value: object) -> None:
    assert not is_host_array(value)
    assert is_host_array(np.array([1]))


def test_numpy_makes_no_array_of_one_object_of_a_lazy_array() -> None:
    spec = ArraySpec((2,), "uint8", ("x",), (2,))
    lazy = LazyArray(spec, lambda _: Failure(NotFound("a", None, "Not read.", "None.")))
    for make in (np.asarray, np.array):
        with pytest.raises(TypeError, match="region by region"):
            make(lazy)
    error = apply(np.asarray)(Item("a", lazy)).failure()
    assert isinstance(error, FunctionFailed)
    assert "region by region" in error.message
