"""What NumPy's record makes of subclasses, scalars and masks."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import pytest

from polystore.core.errors import Lossy, TooLarge, UnsupportedPayload
from polystore.core.payload import ALIGNMENT, HostArray
from polystore.core.records import Transfer
from polystore.frameworks.numpy import NUMPY

FREE = Transfer()


def masked(array: HostArray, mask: HostArray) -> HostArray:
    return np.ma.MaskedArray(array, mask)


@pytest.mark.parametrize(
    "array",
    [
        masked(np.arange(2), np.array([False, True])),
        masked(np.zeros(2, "i4,i4"), np.array([(0, 0), (0, 1)], "?,?")),
        cast("HostArray", np.ma.masked),
    ],
    ids=["some", "a field", "the constant"],
)
def test_masked_elements_are_lossy(array: HostArray) -> None:
    for function in (NUMPY.to_host, NUMPY.place):
        assert function is not None
        assert isinstance(function(array, FREE).failure(), Lossy)


def test_subclasses_become_plain_and_share(tmp_path: Path) -> None:
    mapped = np.memmap(tmp_path / "mapped", "u1", "w+", shape=(2, 2))
    record = np.zeros((2, 2), [("a", "i4")]).view(np.recarray)
    matrix = np.zeros((2, 2)).view(np.matrix)
    for array in (mapped, record, matrix, masked(np.zeros((2, 2)), np.zeros((2, 2), bool))):
        plain = NUMPY.to_host(cast("HostArray", array), Transfer(copy=False)).unwrap()
        assert type(plain) is np.ndarray
        assert plain.shape == (2, 2)
        assert np.shares_memory(plain, np.asarray(array))


def test_scalars_are_0d_arrays_and_always_copies() -> None:
    for scalar in (np.float64(3), np.uint8(3), np.str_("a"), np.datetime64("2020-01-01"), np.True_):
        assert NUMPY.owns(scalar)
        array = NUMPY.to_host(cast("HostArray", scalar), FREE).unwrap()
        assert type(array) is np.ndarray
        assert array.shape == ()
        assert array.dtype == scalar.dtype
        assert array[()] == scalar
        refused = NUMPY.to_host(cast("HostArray", scalar), Transfer(copy=False))
        assert isinstance(refused.failure(), UnsupportedPayload)


@pytest.mark.parametrize("dtype", [">f4", "O", "U3", "M8[ns]", "i4,f8", "longdouble", "T"])
def test_a_copy_keeps_any_dtype(dtype: str) -> None:
    array = np.zeros((2, 3), dtype)[:, ::-1]
    copied = NUMPY.from_host(array, Transfer(copy=True)).unwrap()
    assert copied.dtype == array.dtype
    assert copied.dtype.byteorder == array.dtype.byteorder
    assert copied.flags.c_contiguous
    assert array.dtype.hasobject or copied.ctypes.data % ALIGNMENT == 0
    assert not np.shares_memory(copied, array)
    assert (copied == array).all()
    assert NUMPY.from_host(array, Transfer(copy=False)).unwrap() is array


def test_a_copy_larger_than_memory_is_an_error() -> None:
    huge = np.broadcast_to(np.uint8(1), (2**50,))
    assert isinstance(NUMPY.from_host(huge, Transfer(copy=True)).failure(), TooLarge)


def test_there_is_no_other_device() -> None:
    error = NUMPY.from_host(np.zeros(1), Transfer(device="cuda:0")).failure()
    assert isinstance(error, UnsupportedPayload)
    assert "cuda:0" in error.message
    assert "cpu" in error.advice
