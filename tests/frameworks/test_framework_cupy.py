"""What CuPy's record says without a device, and what it does on one."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from typing import TYPE_CHECKING, cast

import jax
import ml_dtypes
import numpy as np
import pytest
import torch

from polystore.core.errors import Lossy, MissingDependency, UnsupportedPayload
from polystore.core.item import Item
from polystore.core.outcome import Failure, Outcome, Success, is_successful
from polystore.core.payload import ALIGNMENT, HostArray
from polystore.core.records import Framework, Transfer
from polystore.frameworks.cupy import CUPY
from polystore.frameworks.handover import hand_over
from polystore.frameworks.jax import JAX
from polystore.frameworks.torch import TORCH
from polystore.steps.convert import convert

if TYPE_CHECKING:
    import cupy as cp

FREE, SHARED, COPIED = Transfer(), Transfer(copy=False), Transfer(copy=True)


def in_jax() -> jax.Array:
    return JAX.from_host(np.ones(2, "f4"), FREE).unwrap()


def has_device() -> bool:
    return is_successful(CUPY.from_host(np.zeros(1), FREE))


INSTALLED = importlib.util.find_spec("cupy") is not None
installed = pytest.mark.skipif(not INSTALLED, reason="needs CuPy")
deviceless = pytest.mark.skipif(
    not INSTALLED or has_device(), reason="needs CuPy, and no CUDA device"
)
on_device = pytest.mark.skipif(
    not INSTALLED or not has_device(), reason="needs CuPy and a CUDA device"
)


def find_owner(value: object) -> Outcome[Framework[object]]:
    frameworks: tuple[Framework[object], ...] = (CUPY, TORCH, JAX)
    for framework in frameworks:
        if framework.owns(value):
            return Success(framework)
    return Failure(UnsupportedPayload("", None, "nobody's", ""))


def made(array: HostArray, transfer: Transfer = FREE) -> cp.ndarray:
    return CUPY.from_host(array, transfer).unwrap()


def on_host(array: object) -> HostArray:
    return CUPY.to_host(cast("cp.ndarray", array), FREE).unwrap()


def placed(array: cp.ndarray, transfer: Transfer) -> Outcome[cp.ndarray]:
    assert CUPY.place is not None
    return CUPY.place(array, transfer)


def imported(array: object) -> Outcome[cp.ndarray]:
    assert CUPY.from_dlpack is not None
    return CUPY.from_dlpack(array, FREE)


@pytest.mark.skipif(INSTALLED, reason="needs an environment without CuPy")
def test_a_missing_package_is_named_with_its_extra() -> None:
    error = convert(to="cupy")(Item("a", np.zeros(3))).failure()
    assert isinstance(error, MissingDependency)
    assert (error.package, error.extra, error.key) == ("cupy", "cupy", "a")


OWNS = """
import sys, types
from polystore import convert
from polystore.frameworks.cupy import CUPY

convert(to="cupy")
print(CUPY.owns(1), [name for name in ("cupy", "numpy") if name in sys.modules])
sys.modules["cupy"] = types.ModuleType("cupy")
print(CUPY.owns(1))
"""


def test_owns_imports_nothing_and_survives_an_import_under_way() -> None:
    run = subprocess.run([sys.executable, "-c", OWNS], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == ["False []", "False"]


@pytest.mark.parametrize("value", [1, "text", np.zeros(2), torch.zeros(2), in_jax()])
def test_nothing_of_others_is_owned(value: object) -> None:
    assert not CUPY.owns(value)


def test_arrays_in_host_memory_are_not_taken_directly() -> None:
    for array in (torch.ones(2), in_jax(), np.ones(2)):
        assert "through the host" in imported(array).failure().message
    assert isinstance(imported(object()).failure(), UnsupportedPayload)


REFUSED = ("longdouble", "M8[ns]", "m8[s]", "U3", "S2", "V5", "i4,f8", "O", "T")


@pytest.mark.parametrize("name", REFUSED)
def test_what_cupy_does_not_hold_is_unsupported_before_it_is_asked(name: str) -> None:
    error = CUPY.from_host(np.zeros(3, name), FREE).failure()
    assert isinstance(error, UnsupportedPayload)
    assert "CuPy has no dtype" in error.message
    assert error.advice


@pytest.mark.parametrize("name", ["float8_e5m2", "float8_e4m3fn", "int4"])
def test_numbers_of_8_bits_and_fewer_are_unsupported(name: str) -> None:
    array = np.zeros(3, getattr(ml_dtypes, name))
    assert isinstance(CUPY.from_host(array, FREE).failure(), UnsupportedPayload)


@deviceless
@pytest.mark.parametrize("word", [None, "cuda", "cuda:0", "gpu", ""])
def test_a_machine_without_a_device_is_told(word: str | None) -> None:
    for copy in (None, True, False):
        error = CUPY.from_host(np.zeros(3), Transfer(word, copy)).failure()
        assert isinstance(error, UnsupportedPayload)
        assert "no CUDA device" in error.message
        assert "GPU" in error.advice


@on_device
@pytest.mark.parametrize("name", "? u1 i1 u2 i2 u4 i4 u8 i8 f2 f4 f8 c8 c16 Q L bfloat16".split())
def test_there_and_back_is_the_same_bits(name: str) -> None:
    dtype = np.dtype(getattr(ml_dtypes, name, name))
    whole = np.random.default_rng(5).integers(0, 2, (3, 4, 5)).astype(dtype)
    if dtype.kind in "fc":
        whole.reshape(-1)[:2] = np.nan, -0.0
    layouts = (whole, whole.T, whole[::-1, :, ::2], whole[:0], whole[0, 0, 0:1].reshape(()))
    for array in (*layouts, whole.astype(dtype.newbyteorder("S"))):
        there = made(array)
        back = on_host(there)
        assert CUPY.owns(there)
        assert back.shape == array.shape
        assert back.dtype == array.dtype.newbyteorder("=")
        assert back.tobytes() == array.astype(back.dtype, order="C").tobytes()
        assert back.ctypes.data % ALIGNMENT == 0


@on_device
def test_the_host_is_never_shared() -> None:
    array = np.ones(3)
    there = made(array)
    array[...] = 2
    assert on_host(there).tolist() == [1, 1, 1]
    assert isinstance(CUPY.from_host(array, SHARED).failure(), UnsupportedPayload)
    assert isinstance(CUPY.to_host(there, SHARED).failure(), UnsupportedPayload)


@on_device
def test_devices_and_copies() -> None:
    for word in ("cuda", "cuda:0"):
        there = made(np.arange(3), Transfer(word))
        assert there.device.id == 0
        assert placed(there, Transfer(word, False)).unwrap() is there
        copied = placed(there, Transfer(word, True)).unwrap()
        assert copied is not there
        assert on_host(copied).tolist() == [0, 1, 2]
    for word in ("", "cpu", "cuda:99", "cuda:x", "gpu:0"):
        for outcome in (CUPY.from_host(np.zeros(3), Transfer(word)), placed(there, Transfer(word))):
            assert repr(word) in outcome.failure().message
            assert "cuda:0" in outcome.failure().advice


@on_device
def test_structured_arrays_of_cupy_are_unsupported() -> None:
    import cupy as cp

    array = cp.asarray(np.zeros(3, "i4,f8"))
    assert isinstance(CUPY.to_host(array, FREE).failure(), UnsupportedPayload)


@on_device
def test_device_memory_is_shared_with_pytorch_and_jax() -> None:
    array = made(np.arange(6, dtype="f4"))
    for target in (TORCH, JAX):
        if not is_successful(target.from_host(np.zeros(1, "f4"), Transfer(device="cuda:0"))):
            pytest.skip(f"needs {target.name} with CUDA")
        there = hand_over(array, target, SHARED, find_owner).unwrap()
        back = cast("cp.ndarray", hand_over(there, CUPY, SHARED, find_owner).unwrap())
        array.fill(7)
        assert on_host(back).tolist() == [7] * 6
        array.fill(0)


@on_device
def test_wide_numbers_are_lossy_to_jax_without_x64() -> None:
    with jax.enable_x64(False):
        outcome = hand_over(made(np.array([2**40 + 5])), JAX, FREE, find_owner)
    assert isinstance(outcome.failure(), Lossy)
