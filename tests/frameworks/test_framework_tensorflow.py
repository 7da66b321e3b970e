"""What TensorFlow's record makes of alignment, strings, symbolic tensors, and of shared memory."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Protocol, TypeAlias, cast

import jax
import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
import torch

from polystore.core.errors import UnsupportedPayload
from polystore.core.outcome import Failure, Outcome, Success, is_successful
from polystore.core.payload import HostArray, aligned_empty
from polystore.core.records import Framework, Transfer
from polystore.frameworks.handover import hand_over
from polystore.frameworks.jax import JAX
from polystore.frameworks.numpy import NUMPY
from polystore.frameworks.tensorflow import TENSORFLOW
from polystore.frameworks.torch import TORCH

FREE, SHARED, COPIED = Transfer(), Transfer(copy=False), Transfer(copy=True)


Step: TypeAlias = Callable[[tf.Tensor], tf.Tensor]


class Devices(Protocol):
    def list_logical_devices(self, device_type: str) -> list[object]: ...


class Variable(Protocol):
    @property
    def handle(self) -> object: ...
    def assign(self, value: list[float]) -> object: ...
    def assign_add(self, value: list[float]) -> object: ...


class Ragged(Protocol):
    def constant(self, rows: list[list[int]]) -> object: ...


class Typed(Protocol):
    """The functions of `tensorflow` that its stubs lack, or leave a type unknown in."""

    @property
    def config(self) -> Devices: ...
    @property
    def ragged(self) -> Ragged: ...
    def Variable(self, value: list[float]) -> Variable: ...  # noqa: N802 - TensorFlow's name
    def bitcast(self, tensor: tf.Tensor, type: str) -> tf.Tensor: ...
    def function(self, fn: Step, *, autograph: bool) -> Step: ...


TYPED = cast("Typed", tf)
gpu = pytest.mark.skipif(
    not TYPED.config.list_logical_devices("GPU"), reason="needs a TensorFlow that sees a GPU"
)


def find_owner(value: object) -> Outcome[Framework[object]]:
    frameworks: tuple[Framework[object], ...] = (TENSORFLOW, TORCH, JAX, NUMPY)
    for framework in frameworks:
        if framework.owns(value):
            return Success(framework)
    return Failure(UnsupportedPayload("", None, "nobody's", ""))


def made(array: HostArray, transfer: Transfer = FREE) -> tf.Tensor:
    return TENSORFLOW.from_host(array, transfer).unwrap()


def on_host(tensor: object, transfer: Transfer = FREE) -> HostArray:
    return TENSORFLOW.to_host(cast("tf.Tensor", tensor), transfer).unwrap()


def placed(tensor: object, transfer: Transfer) -> Outcome[tf.Tensor]:
    assert TENSORFLOW.place is not None
    return TENSORFLOW.place(cast("tf.Tensor", tensor), transfer)


def imported(array: object, transfer: Transfer) -> Outcome[tf.Tensor]:
    assert TENSORFLOW.from_dlpack is not None
    return TENSORFLOW.from_dlpack(array, transfer)


def address(tensor: tf.Tensor) -> int:
    return np.frombuffer(cast("memoryview", tensor), np.uint8).ctypes.data


def ones(shape: tuple[int, ...], dtype: str = "f4") -> HostArray:
    array = aligned_empty(shape, np.dtype(dtype))
    array[...] = 1
    return array


def test_aligned_memory_is_shared_and_later_writes_show() -> None:
    array = ones((2, 3))
    tensor = made(array, SHARED)
    back = on_host(tensor, SHARED)
    assert address(tensor) == array.ctypes.data == back.ctypes.data
    assert not back.flags.writeable
    array[0, 0] = 5
    assert back[0, 0] == 5
    assert tensor.numpy()[0, 0] == 5


def test_a_copy_shares_nothing() -> None:
    array = ones((2, 3))
    shared = made(array)
    copies = [made(array, COPIED), placed(shared, COPIED).unwrap()]
    host = on_host(shared, COPIED)
    assert host.flags.writeable
    array[...] = 9
    assert host.max() == 1
    assert all(tensor.numpy().max() == 1 for tensor in copies)


def test_read_only_memory_is_shared_and_not_written_to() -> None:
    array = ones((1024,))
    array.flags.writeable = False
    tensor = made(array, SHARED)
    assert address(tensor) == array.ctypes.data
    assert float(tf.reduce_sum(tensor * 2 + tensor).numpy()) == 3072
    assert array.min() == array.max() == 1


def test_256_megabytes_are_shared_and_kept_alive() -> None:
    array = aligned_empty((256, 1024, 1024), np.dtype("u1"))
    start, owner = array.ctypes.data, weakref.ref(cast("HostArray", array.base))
    tensor = made(array, SHARED)
    del array
    gc.collect()
    back = on_host(tensor, SHARED)
    assert address(tensor) == start == back.ctypes.data
    del tensor
    gc.collect()
    assert owner() is not None
    del back
    gc.collect()
    assert owner() is None


def test_jax_memory_is_shared_and_kept_alive() -> None:
    array = JAX.from_host(ones((1000,)), FREE).unwrap() + 1
    start = array.unsafe_buffer_pointer()
    tensor = cast("tf.Tensor", hand_over(array, TENSORFLOW, SHARED, find_owner).unwrap())
    del array
    gc.collect()
    assert address(tensor) == start
    back = cast("jax.Array", hand_over(tensor, JAX, SHARED, find_owner).unwrap())
    del tensor
    gc.collect()
    assert back.unsafe_buffer_pointer() == start
    assert back.min() == back.max() == 2


ONLY_COPIED = (
    *("float8_e4m3b11fnuz", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz"),
    *("float4_e2m1fn", "int2", "int4", "uint2", "uint4"),
)


@pytest.mark.parametrize("name", ONLY_COPIED)
def test_small_numbers_arrive_but_are_not_shared(name: str) -> None:
    array = np.array([0, 1, -1, 0.5]).astype(getattr(ml_dtypes, name))
    tensor = made(array)
    assert tensor.dtype.name == name
    assert on_host(tensor, SHARED).tobytes() == array.tobytes()
    assert on_host(tensor).dtype == array.dtype
    assert made(array[::-1]).numpy().tobytes() == array[::-1].tobytes()
    assert isinstance(TENSORFLOW.from_host(array, SHARED).failure(), UnsupportedPayload)
    again = placed(tensor, COPIED).unwrap()
    assert on_host(again).tobytes() == array.tobytes()


def test_pytorch_gets_what_tensorflow_does_not_export() -> None:
    array = np.array([0, 1, -1]).astype(ml_dtypes.float8_e5m2)
    there = cast("torch.Tensor", hand_over(made(array), TORCH, FREE, find_owner).unwrap())
    assert there.dtype == torch.float8_e5m2


def test_strings_are_arrays_of_bytes_and_always_copied() -> None:
    array = np.array([[b"a", b""], [b"\0\xff" * 100, b"end\0"]], object)
    tensor = made(array)
    assert tensor.dtype == tf.string
    back = on_host(tensor)
    assert back.dtype == array.dtype
    assert back.tolist() == array.tolist()
    for whole in (array[:0], array[0, 0:1].reshape(())):
        assert on_host(made(whole)).tolist() == whole.tolist()
        assert on_host(made(whole)).shape == whole.shape
    assert isinstance(TENSORFLOW.from_host(array, SHARED).failure(), UnsupportedPayload)
    assert isinstance(TENSORFLOW.to_host(tensor, SHARED).failure(), UnsupportedPayload)
    assert on_host(placed(tensor, COPIED).unwrap()).tolist() == array.tolist()
    for target in (TORCH, JAX):
        for value in (back, tensor):  # TensorFlow aborts the process when it exports strings
            refused = hand_over(value, target, FREE, find_owner)
            assert isinstance(refused.failure(), UnsupportedPayload)


@pytest.mark.parametrize(
    "array",
    [
        np.array(["a"], object),
        np.array([b"a", None], object),
        np.array([np.bytes_(b"a")], object),
        np.array(["a"]),
        np.array([b"a"]),
        np.array(["a"], np.dtypes.StringDType()),
    ],
    ids=["str", "None", "bytes_", "U", "S", "StringDType"],
)
def test_other_strings_would_come_back_as_others_and_are_refused(array: HostArray) -> None:
    error = TENSORFLOW.from_host(array, FREE).failure()
    assert isinstance(error, UnsupportedPayload)
    assert error.advice


def test_quantised_numbers_are_records_of_one_field() -> None:
    for name, dtype in (("qint8", "i1"), ("quint8", "u1"), ("qint16", "i2"), ("quint16", "u2"),
                        ("qint32", "i4")):  # fmt: skip
        tensor = TYPED.bitcast(made(np.array([1, 2, 3], dtype)), name)
        array = on_host(tensor, SHARED)
        assert array.dtype == np.dtype([(name, dtype)])
        assert array[name].tolist() == [1, 2, 3]
        aligned = aligned_empty((3,), array.dtype)
        aligned[...] = array
        back = made(aligned, SHARED)
        assert back.dtype.name == name
        assert address(back) == aligned.ctypes.data
        assert on_host(placed(back, COPIED).unwrap()).tobytes() == array.tobytes()
    other = np.zeros(2, [("qint8", "i4")])
    assert isinstance(TENSORFLOW.from_host(other, FREE).failure(), UnsupportedPayload)


@pytest.mark.parametrize("target", [NUMPY, TORCH, JAX])
def test_what_is_no_plain_tensor_is_unsupported_and_says_how(target: Framework[object]) -> None:
    dataset: object = tf.data.Dataset.range(3)
    variant: object = getattr(dataset, "_variant_tensor")  # noqa: B009 - private, and the only way
    odd: dict[str, object] = {
        "ragged.to_tensor": TYPED.ragged.constant([[1], [2, 3]]),
        "tf.sparse.to_dense": tf.SparseTensor([[0, 0]], [1], [2, 2]),
        "tf.convert_to_tensor": tf.IndexedSlices(tf.ones((1, 2)), tf.constant([0])),
        "the variable": TYPED.Variable([1.0]).handle,
        "the elements": variant,
    }
    for advice, value in odd.items():
        assert TENSORFLOW.owns(value)
        for transfer in (FREE, SHARED, COPIED):
            error = hand_over(value, target, transfer, find_owner).failure()
            assert isinstance(error, UnsupportedPayload)
            assert advice in error.advice
        assert isinstance(placed(value, COPIED).failure(), UnsupportedPayload)


def test_variables_are_read_as_they_are_now() -> None:
    variable = TYPED.Variable([1.0, 2.0])
    tensor = placed(variable, FREE).unwrap()
    array = on_host(variable)
    there = cast("torch.Tensor", hand_over(variable, TORCH, FREE, find_owner).unwrap())
    variable.assign([8.0, 9.0])
    variable.assign_add([1.0, 1.0])
    assert tensor.numpy().tolist() == array.tolist() == there.numpy().tolist() == [1, 2]
    assert on_host(variable).tolist() == [9, 10]


@pytest.mark.parametrize("target", [NUMPY, TORCH, JAX])
def test_a_symbolic_tensor_passes_within_tensorflow_and_is_an_error_value_elsewhere(
    target: Framework[object],
) -> None:
    seen: list[Outcome[object]] = []
    variable = TYPED.Variable([1.0])

    def traced(tensor: tf.Tensor) -> tf.Tensor:
        seen.append(hand_over(tensor, target, FREE, find_owner))
        seen.append(placed(tensor, COPIED))
        seen.append(placed(tensor, Transfer(device="cpu")))
        seen.append(TENSORFLOW.to_host(cast("tf.Tensor", variable), FREE))
        return placed(tensor, FREE).unwrap() + 1

    assert TYPED.function(traced, autograph=False)(tf.ones(2)).numpy().tolist() == [2, 2]
    assert len(seen) == 4
    for outcome in seen:
        assert isinstance(outcome.failure(), UnsupportedPayload)
        assert "symbolic" in outcome.failure().message


def test_arrays_become_tensors_with_elements_also_inside_a_function() -> None:
    arrays = (
        ones((2,)),
        np.ones(2, ml_dtypes.bfloat16),
        np.ones(2, ml_dtypes.float8_e5m2),
        np.array([b"a"], object),
    )
    tensors: list[tf.Tensor] = []

    def traced(tensor: tf.Tensor) -> tf.Tensor:
        tensors.extend(made(array) for array in arrays)
        return tensor

    TYPED.function(traced, autograph=False)(tf.ones(2))
    assert [on_host(it).tolist() for it in tensors] == [array.tolist() for array in arrays]


def test_gradients_conjugates_and_quantised_tensors_of_pytorch() -> None:
    wanting = torch.ones(16, requires_grad=True)
    there = cast("tf.Tensor", hand_over(wanting, TENSORFLOW, FREE, find_owner).unwrap())
    assert (address(there) == wanting.data_ptr()) == (wanting.data_ptr() % 64 == 0)
    lazy = torch.tensor([1 + 2j, 3 - 4j]).conj()
    for tensor in (lazy, lazy.imag):
        found = cast("tf.Tensor", hand_over(tensor, TENSORFLOW, FREE, find_owner).unwrap())
        assert np.array_equal(found.numpy(), tensor.resolve_conj().resolve_neg().numpy())
    for tensor in (torch.eye(2).to_sparse(), torch.ones(2, device="meta")):
        refused = hand_over(tensor, TENSORFLOW, FREE, find_owner)
        assert isinstance(refused.failure(), UnsupportedPayload)


def test_arrays_in_host_memory_are_not_taken_directly() -> None:
    for array in (torch.ones(2), JAX.from_host(ones((2,)), FREE).unwrap(), np.ones(2)):
        assert "through the host" in imported(array, FREE).failure().message


@pytest.mark.parametrize("word", ["", ":0", "xx", "cpu:", "cpu:x", "cpu:-1", "cpu:99", "gpu:99"])
def test_a_device_that_is_not_there_is_an_error_that_says_which_are(word: str) -> None:
    asked = Transfer(device=word)
    for outcome in (
        TENSORFLOW.from_host(ones((2,)), asked),
        placed(tf.ones(2), asked),
        hand_over(torch.zeros(2), TENSORFLOW, asked, find_owner),
    ):
        assert isinstance(outcome.failure(), UnsupportedPayload)
        assert repr(word) in outcome.failure().message
        assert "cpu:0" in outcome.failure().advice


@gpu
def test_to_a_gpu_and_back() -> None:
    for array in (np.arange(6, dtype="f4")[::-1], np.ones(3, ml_dtypes.bfloat16)):
        tensor = made(array, Transfer("gpu:0"))
        assert "gpu:0" in str(placed(tensor, Transfer("cpu", False)).failure())
        assert on_host(tensor).tolist() == array.tolist()
        assert not is_successful(TENSORFLOW.to_host(tensor, SHARED))
        assert not is_successful(TENSORFLOW.from_host(array, Transfer("gpu:0", False)))
        assert placed(tensor, Transfer("gpu", False)).unwrap() is tensor
        assert on_host(placed(tensor, Transfer("cpu")).unwrap()).tolist() == array.tolist()


@gpu
def test_gpu_memory_is_shared_with_pytorch() -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a PyTorch with CUDA")
    tensor = torch.arange(64, dtype=torch.float32, device="cuda:0")
    there = cast("tf.Tensor", hand_over(tensor, TENSORFLOW, SHARED, find_owner).unwrap())
    back = cast("torch.Tensor", hand_over(there, TORCH, SHARED, find_owner).unwrap())
    assert back.data_ptr() == tensor.data_ptr()
    assert on_host(there).tolist() == tensor.cpu().numpy().tolist()
    odd = hand_over(tensor[1:], TENSORFLOW, FREE, find_owner).unwrap()
    assert on_host(odd).tolist() == tensor[1:].cpu().numpy().tolist()
