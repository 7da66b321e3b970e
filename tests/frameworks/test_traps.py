"""Each trap between frameworks by its name, for each framework that could fall into it."""

from __future__ import annotations

import subprocess
import sys
import warnings
from typing import cast

import jax
import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
import torch

from polystore.core.errors import Lossy, UnknownFramework, UnsupportedPayload
from polystore.core.outcome import Failure, Outcome, Success, is_successful
from polystore.core.payload import HostArray, aligned_empty
from polystore.core.records import Framework, Transfer
from polystore.frameworks.handover import hand_over
from polystore.frameworks.jax import JAX
from polystore.frameworks.numpy import NUMPY
from polystore.frameworks.tensorflow import TENSORFLOW
from polystore.frameworks.torch import TORCH

FREE, SHARED, COPIED = Transfer(), Transfer(copy=False), Transfer(copy=True)
ALL: tuple[Framework[object], ...] = (NUMPY, TORCH, JAX, TENSORFLOW)

every = pytest.mark.parametrize("target", ALL, ids=lambda framework: framework.name)
others = pytest.mark.parametrize("target", ALL[1:], ids=lambda framework: framework.name)


def find_owner(value: object) -> Outcome[Framework[object]]:
    for framework in ALL:
        if framework.owns(value):
            return Success(framework)
    return Failure(UnknownFramework("", None, type(value).__name__, ""))


def given(value: object, target: Framework[object], transfer: Transfer = FREE) -> object:
    with jax.enable_x64(True):
        return hand_over(value, target, transfer, find_owner).unwrap()


def refused(value: object, target: Framework[object], transfer: Transfer = FREE) -> object:
    return hand_over(value, target, transfer, find_owner).failure()


def on_host(value: object) -> HostArray:
    return cast("HostArray", given(value, NUMPY))


def ones(shape: tuple[int, ...], dtype: str = "f4") -> HostArray:
    array = aligned_empty(shape, np.dtype(dtype))
    array[...] = 1
    return array


@every
def test_masked_arrays(target: Framework[object]) -> None:
    masked = np.ma.MaskedArray([1, 2], [True, False])
    for transfer in (FREE, SHARED, COPIED):
        assert isinstance(refused(masked, target, transfer), Lossy)
    assert on_host(given(np.ma.MaskedArray([1, 2], [False, False]), target)).tolist() == [1, 2]


NEGATIVE = """
import numpy as np
from polystore.core.errors import UnknownFramework
from polystore.core.outcome import Failure, Success
from polystore.core.payload import aligned_empty
from polystore.core.records import Transfer
from polystore.frameworks.handover import hand_over
from polystore.frameworks.jax import JAX
from polystore.frameworks.numpy import NUMPY
from polystore.frameworks.tensorflow import TENSORFLOW
from polystore.frameworks.torch import TORCH

def owner(value):
    return Success(next(it for it in (NUMPY, TORCH, JAX, TENSORFLOW) if it.owns(value)))

array = aligned_empty((4, 16), np.dtype("f4"))
array[...] = np.arange(64).reshape(4, 16)
for backwards in (array[::-1], array[:, ::-1], array[:1][::-1], array[:0, ::-1], array[::-2, 0]):
    for target in (TORCH, JAX, TENSORFLOW):
        there = hand_over(backwards, target, Transfer(), owner).unwrap()
        back = hand_over(there + 0, NUMPY, Transfer(), owner).unwrap()
        print(bool((back == backwards).all()) and back.shape == backwards.shape)
"""


def test_negative_strides_do_not_abort_the_process() -> None:
    command = [sys.executable, "-c", NEGATIVE]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ["True"] * 15


@pytest.mark.parametrize("source", [NUMPY, TORCH, TENSORFLOW], ids=lambda it: it.name)
def test_64_bits_without_x64(source: Framework[object]) -> None:
    for wide in (np.array([2**40 + 5]), np.array([2**63], "u8"), np.ones(2), np.ones(2, "c16")):
        value = given(wide, source)
        with jax.enable_x64(False):
            assert isinstance(refused(value, JAX), Lossy)
            allowed = hand_over(value, JAX, Transfer(casting="same_kind"), find_owner)
        assert is_successful(allowed)
        assert on_host(given(value, JAX)).tolist() == wide.tolist()


@every
def test_read_only_arrays(target: Framework[object]) -> None:
    array = ones((16,))
    array.flags.writeable = False
    there = given(array, target)
    assert on_host(there).tolist() == [1] * 16
    if isinstance(there, torch.Tensor):
        there += 1  # the memory may be mapped from a file
    assert array.tolist() == [1] * 16


@others
@pytest.mark.parametrize("dtype", [">i2", ">u4", ">i8", ">f2", ">f4", ">f8", ">c8", ">c16"])
def test_big_endian_arrays(target: Framework[object], dtype: str) -> None:
    array = np.arange(6).astype(dtype).reshape(2, 3)
    back = on_host(given(array, target))
    assert back.dtype == array.dtype.newbyteorder("=")
    assert back.tolist() == array.tolist()
    with jax.enable_x64(True):
        assert isinstance(refused(array, target, SHARED), UnsupportedPayload)


@every
@pytest.mark.parametrize("name", ["bfloat16", "float8_e5m2", "float8_e4m3fn"])
def test_bfloat16_and_float8(target: Framework[object], name: str) -> None:
    array = np.arange(256, dtype=np.uint8).view(getattr(ml_dtypes, name))
    for source in ALL:
        back = on_host(given(given(array, source), target))
        assert back.dtype == array.dtype
        assert back.tobytes() == array.tobytes()


@others
@pytest.mark.parametrize("offset", [0, 1, 4, 16])
def test_alignment(target: Framework[object], offset: int) -> None:
    array = ones((64,))[offset:]
    there = given(array, target)
    array[0] = 5
    shares = offset % 16 == 0 or target is TORCH
    assert on_host(there)[0] == (5 if shares else 1)


@every
def test_later_writes_show_where_memory_is_shared_and_not_in_a_copy(
    target: Framework[object],
) -> None:
    for source in ALL:
        array = ones((16,))
        first = given(array, source, SHARED)
        there, copied = given(first, target, SHARED), given(first, target, COPIED)
        array[3] = 7
        assert on_host(there).tolist()[3] == 7
        assert on_host(copied).tolist() == [1] * 16


@every
@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (1, 1, 1)])
def test_0d_and_empty_arrays(target: Framework[object], shape: tuple[int, ...]) -> None:
    for dtype in ("?", "u1", "f8", "c16"):
        for array in (np.ones(shape, dtype), np.ones((*shape, 2), dtype)[..., 0]):
            for source in ALL:
                back = on_host(given(given(array, source), target))
                assert back.shape == shape
                assert back.dtype == array.dtype
                assert (back == array).all()


@every
def test_non_compact_strides_and_fortran_order_arrive_as_they_are(
    target: Framework[object],
) -> None:
    array = aligned_empty((4, 6, 16), np.dtype("f4"))
    array[...] = np.arange(array.size).reshape(array.shape)
    tensor = cast("torch.Tensor", given(array, TORCH))
    fields = np.zeros(16, "f4,f4")
    fields["f1"] = np.arange(16)
    gaps = (array[::2], array[:, 1:3], array[..., ::3], array[0, :, 5], fields["f1"])
    orders = (array.T, array.transpose(1, 0, 2), np.asfortranarray(array), array[0].T[::4])
    tensors = (tensor[::2], tensor[..., ::3], tensor.permute(2, 0, 1), tensor[0].T[::4])
    for value in (*gaps, *orders, *tensors):
        expected = np.asarray(value)
        for transfer in (FREE, COPIED):
            back = on_host(given(value, target, transfer))
            assert (back.shape, back.dtype) == (expected.shape, expected.dtype)
            assert back.tolist() == expected.tolist()


@every
def test_broadcast_arrays(target: Framework[object]) -> None:
    for array in (np.broadcast_to(np.float32(3), (2, 4)), np.broadcast_to(ones((1, 4)), (3, 4))):
        assert on_host(given(array, target)).tolist() == array.tolist()
    expanded = torch.ones(1, 16).expand(3, 16)
    assert on_host(given(expanded, target)).tolist() == [[1] * 16] * 3


@every
def test_tensors_that_require_gradients(target: Framework[object]) -> None:
    tensor = torch.ones(16, requires_grad=True) * 2
    assert on_host(given(tensor, target)).tolist() == [2] * 16


@every
def test_conjugate_views(target: Framework[object]) -> None:
    tensor = torch.tensor([1 + 2j, 3 - 4j])
    for lazy in (tensor.conj(), tensor.conj().imag):
        expected = lazy.resolve_conj().resolve_neg().numpy().tolist()
        assert on_host(given(lazy, target)).tolist() == expected


@pytest.mark.parametrize("target", [NUMPY, JAX, TENSORFLOW], ids=lambda it: it.name)
def test_sparse_and_quantised_tensors_of_pytorch(target: Framework[object]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch says, once, that they are on their way out
        quantised = torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.quint8)
    for tensor in (torch.eye(2).to_sparse(), quantised):
        for transfer in (FREE, SHARED, COPIED):
            assert isinstance(refused(tensor, target, transfer), UnsupportedPayload)


def test_sparse_tensors_of_tensorflow() -> None:
    sparse = tf.SparseTensor([[0, 0]], [1], [2, 2])
    for target in ALL:
        for transfer in (FREE, SHARED, COPIED):
            assert isinstance(refused(sparse, target, transfer), UnsupportedPayload)
