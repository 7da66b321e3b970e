"""Between any two frameworks: the same bits there and back, or a typed error; sharing as asked."""

from __future__ import annotations

import itertools
from typing import Any, cast

import jax
import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from polystore.core.dtypes import PLAIN_DTYPES
from polystore.core.errors import Lossy, UnknownFramework, UnsupportedPayload
from polystore.core.outcome import Failure, Outcome, Success, and_then, is_successful
from polystore.core.payload import HostArray, aligned_empty
from polystore.core.records import Framework, Transfer
from polystore.frameworks.handover import hand_over
from polystore.frameworks.jax import JAX
from polystore.frameworks.numpy import NUMPY
from polystore.frameworks.tensorflow import TENSORFLOW
from polystore.frameworks.torch import TORCH
from polystore.testing.arrays import arrays, filled

FRAMEWORKS: dict[str, Framework[object]] = {
    "numpy": NUMPY,
    "torch": TORCH,
    "jax": JAX,
    "tensorflow": TENSORFLOW,
}
OTHERS = ("torch", "jax", "tensorflow")
PAIRS = list(itertools.product(FRAMEWORKS, FRAMEWORKS))

ML_DTYPES = (
    *("bfloat16", "complex32", "float8_e3m4", "float8_e4m3", "float8_e4m3b11fnuz"),
    *("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu"),
)
SMALL_INTS = ("int2", "int4", "uint2", "uint4")
IN_TORCH = PLAIN_DTYPES | {
    *("bfloat16", "float8_e4m3fn", "float8_e4m3fnuz"),
    *("float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu"),
}
IN_JAX = PLAIN_DTYPES | set(ML_DTYPES) - {"complex32"} | set(SMALL_INTS)
COPIED_BY_TENSORFLOW = {
    *("float8_e4m3b11fnuz", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz"),
    *SMALL_INTS,
}
IN_TENSORFLOW = PLAIN_DTYPES | {"bfloat16"} | COPIED_BY_TENSORFLOW
ONLY_WITH_X64 = {"int64", "uint64", "float64", "complex128"}
ONLY_IN_NUMPY = ("longdouble", "clongdouble", "M8[ns]", "m8[s]", "U3", "S2", "V5", "i4,f8")


def find_owner(value: object) -> Outcome[Framework[object]]:
    for framework in FRAMEWORKS.values():
        if framework.owns(value):
            return Success(framework)
    return Failure(UnknownFramework("", None, type(value).__name__, ""))


def dtype_named(name: str) -> np.dtype[Any]:
    known = name in ML_DTYPES or name in SMALL_INTS
    return np.dtype(getattr(ml_dtypes, name) if known else name)


NUMBERS = (*sorted(PLAIN_DTYPES), *ML_DTYPES, *SMALL_INTS)
_NATIVE = [dtype_named(name) for name in NUMBERS]
_SWAPPED = [it.newbyteorder("S") for it in _NATIVE if it.isbuiltin == 1 and it.itemsize > 1]
numbers = arrays(st.sampled_from(_NATIVE + _SWAPPED))


def bits(array: HostArray) -> tuple[object, ...]:
    """Give what must be the same: shape, dtype but for its byte order, and every bit."""
    native = array.astype(array.dtype.newbyteorder("="), order="C")
    return native.shape, native.dtype.name, native.tobytes()


def given_as(array: HostArray, name: str) -> object:
    """Give the array in a framework, sharing where it can; it must be able to hold it."""
    return hand_over(array, FRAMEWORKS[name], Transfer(), find_owner).unwrap()


def on_host(value: object) -> HostArray:
    return and_then(find_owner(value), lambda owner: owner.to_host(value, Transfer())).unwrap()


def holds(framework: str, dtype: str, *, x64: bool) -> type[object] | None:
    """Give the error with which a framework refuses a dtype, or `None` if it holds it."""
    if framework == "torch":
        return None if dtype in IN_TORCH else UnsupportedPayload
    if framework == "jax" and dtype in ONLY_WITH_X64 and not x64:
        return Lossy
    if framework == "tensorflow":
        return None if dtype in IN_TENSORFLOW else UnsupportedPayload
    return None if framework == "numpy" or dtype in IN_JAX else UnsupportedPayload


def address(value: object) -> int:
    if isinstance(value, torch.Tensor):
        return value.data_ptr()
    if isinstance(value, jax.Array):
        return value.unsafe_buffer_pointer()
    if isinstance(value, tf.Tensor):
        return np.frombuffer(cast("memoryview", value), np.uint8).ctypes.data
    return cast("HostArray", value).ctypes.data


@pytest.mark.parametrize("x64", [False, True], ids=["x32", "x64"])
@pytest.mark.parametrize(("first", "second"), PAIRS)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(array=numbers)
@example(array=np.array([2**40 + 5]))
@example(array=np.array([np.nan, -0.0, 5e-324]))
@example(array=np.zeros((1, 3), np.ulonglong)[::-1])
def test_there_and_back_is_the_same_bits_or_a_typed_error(
    first: str, second: str, x64: bool, array: HostArray
) -> None:
    with jax.enable_x64(x64):
        value: object = array
        for name in (first, second, "numpy"):
            outcome = hand_over(value, FRAMEWORKS[name], Transfer(), find_owner)
            refused = holds(name, array.dtype.name, x64=x64)
            if refused is not None:
                assert type(outcome.failure()) is refused
                return
            value = outcome.unwrap()
            assert FRAMEWORKS[name].owns(value)
        assert bits(cast("HostArray", value)) == bits(array)


@pytest.mark.parametrize(("first", "second"), PAIRS)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(array=numbers)
def test_copy_is_as_asked(first: str, second: str, array: HostArray) -> None:
    name = array.dtype.name
    with jax.enable_x64(True):
        if holds(first, name, x64=True) or holds(second, name, x64=True):
            return
        value = given_as(array, first)
        target = FRAMEWORKS[second]
        free = hand_over(value, target, Transfer(), find_owner).unwrap()
        copied = hand_over(value, target, Transfer(copy=True), find_owner).unwrap()
        shared = hand_over(value, target, Transfer(copy=False), find_owner)
        assert bits(on_host(copied)) == bits(array)
        on_its_own = FRAMEWORKS[first].to_host(value, Transfer(copy=True)).unwrap()
        assert bits(on_its_own) == bits(array)
        if array.size:
            assert address(value) not in (address(copied), address(on_its_own))
            assert is_successful(shared) == (address(free) == address(value))
        if is_successful(shared):
            assert address(shared.unwrap()) == address(value) or not array.size
        else:
            assert isinstance(shared.failure(), UnsupportedPayload)


@pytest.mark.parametrize(("first", "second"), PAIRS)
@pytest.mark.parametrize("name", sorted(PLAIN_DTYPES | {"bfloat16"}))
def test_aligned_memory_is_shared_between_all(first: str, second: str, name: str) -> None:
    array = aligned_empty((2, 3), dtype_named(name))
    array.view(np.uint8)[...] = 1
    with jax.enable_x64(True):
        there = hand_over(given_as(array, first), FRAMEWORKS[second], Transfer(), find_owner)
        assert address(there.unwrap()) == array.ctypes.data


@pytest.mark.parametrize("framework", OTHERS)
@pytest.mark.parametrize("name", ONLY_IN_NUMPY)
def test_what_only_numpy_holds_is_unsupported(framework: str, name: str) -> None:
    outcome = FRAMEWORKS[framework].from_host(np.zeros(3, name), Transfer())
    assert isinstance(outcome.failure(), UnsupportedPayload)
    assert outcome.failure().advice


@pytest.mark.parametrize("framework", OTHERS)
def test_objects_are_unsupported_also_when_casts_are_allowed(framework: str) -> None:
    for array in (np.array([None, 1]), np.array(["a"], np.dtypes.StringDType())):
        outcome = FRAMEWORKS[framework].from_host(array, Transfer(casting="same_kind"))
        assert isinstance(outcome.failure(), UnsupportedPayload)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    array=arrays(st.sampled_from([dtype_named(it) for it in (*sorted(PLAIN_DTYPES), "bfloat16")]))
)
@example(array=np.array([2**40 + 5]))
@example(array=np.array([1e300, np.nan, 1e-310]))
@example(array=np.array([1e300 + 1j]))
def test_same_kind_is_numpys_cast(array: HostArray) -> None:
    narrow = {"int64": "int32", "uint64": "uint32", "float64": "float32", "complex128": "complex64"}
    with jax.enable_x64(False):
        there = JAX.from_host(array, Transfer(casting="same_kind")).unwrap()
        back = JAX.to_host(there, Transfer()).unwrap()
    with np.errstate(all="ignore"):
        target = dtype_named(narrow.get(array.dtype.name, array.dtype.name))
        assert bits(back) == bits(array.astype(target, casting="same_kind"))


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("name", NUMBERS)
def test_same_kind_changes_no_dtype_that_is_held(framework: str, name: str) -> None:
    array: HostArray = filled(7, dtype_named(name), (4,))
    with jax.enable_x64(True):
        if holds(framework, name, x64=True) is None:
            allowed = Transfer(casting="same_kind")
            there = FRAMEWORKS[framework].from_host(array, allowed).unwrap()
            assert bits(on_host(there)) == bits(array)


@pytest.mark.parametrize("framework", OTHERS)
def test_longdouble_is_cast_to_64_bits_when_allowed(framework: str) -> None:
    with jax.enable_x64(True):
        for name, nearest in (("longdouble", "float64"), ("clongdouble", "complex128")):
            array = np.array([1, 2, 3], name) / 3
            asked = Transfer(casting="same_kind")
            back = on_host(FRAMEWORKS[framework].from_host(array, asked).unwrap())
            assert bits(back) == bits(array.astype(nearest))
