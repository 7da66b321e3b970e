"""What PyTorch's record makes of tensors that are more than their memory, and of devices."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Protocol, cast

import jax
import ml_dtypes
import numpy as np
import pytest
import torch

from polystore.core.dtypes import CARRIERS
from polystore.core.errors import Lossy, UnsupportedPayload
from polystore.core.outcome import Failure, Outcome, Success, is_successful
from polystore.core.payload import HostArray, aligned_empty
from polystore.core.records import Framework, Transfer
from polystore.frameworks.handover import hand_over
from polystore.frameworks.jax import JAX
from polystore.frameworks.numpy import NUMPY
from polystore.frameworks.torch import TORCH

FREE = Transfer()

cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def torchs(value: object) -> Outcome[Framework[object]]:
    if TORCH.owns(value):
        return Success(TORCH)
    return Failure(UnsupportedPayload("", None, "not PyTorch's", ""))


def placed(tensor: torch.Tensor, transfer: Transfer) -> Outcome[torch.Tensor]:
    assert TORCH.place is not None
    return TORCH.place(tensor, transfer)


def imported(array: object, transfer: Transfer) -> Outcome[torch.Tensor]:
    assert TORCH.from_dlpack is not None
    return TORCH.from_dlpack(array, transfer)


def in_jax(array: HostArray) -> jax.Array:
    return JAX.from_host(array, FREE).unwrap()


class Nested(Protocol):
    def nested_tensor(
        self, tensors: list[torch.Tensor], *, layout: torch.layout = torch.strided
    ) -> torch.Tensor: ...


def nested(layout: torch.layout) -> torch.Tensor:
    maker = cast("Nested", torch.nested)
    return maker.nested_tensor([torch.ones(2), torch.ones(3)], layout=layout)


def child(code: str) -> str:
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout


def fake() -> torch.Tensor:
    from torch._subclasses import FakeTensorMode

    with FakeTensorMode():
        return torch.ones(2)


def mask_of() -> torch.Tensor:
    from torch.masked import masked_tensor

    return cast("torch.Tensor", masked_tensor(torch.ones(2), torch.tensor([True, False])))


ODD: dict[str, Callable[[], torch.Tensor]] = {
    "sparse": lambda: torch.eye(2).to_sparse(),
    "csr": lambda: torch.eye(2).to_sparse_csr(),
    "mkldnn": lambda: torch.eye(2).to_mkldnn(),
    "nested": lambda: nested(torch.strided),
    "jagged": lambda: nested(torch.jagged),
    "quantised": lambda: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.quint8),
    "meta": lambda: torch.ones(2, device="meta"),
    "masked": mask_of,
    "fake": fake,
    "complex32": lambda: torch.zeros(2, dtype=torch.int32).view(torch.complex32),
    "bits4x2": lambda: torch.zeros(2, dtype=torch.uint8).view(torch.bits4x2),
    "bits8": lambda: torch.zeros(2, dtype=torch.uint8).view(torch.bits8),
}


ADVICE = {"sparse": "to_dense", "quantised": "dequantize", "nested": "unbind", "masked": "get_data"}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("target", [NUMPY, JAX], ids=["numpy", "jax"])
def test_what_is_more_than_its_memory_is_unsupported(name: str, target: Framework[object]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch says of most of these that they are in beta
        tensor = ODD[name]()
        for copy in (None, True, False):
            error = hand_over(tensor, target, Transfer(copy=copy), torchs).failure()
            assert isinstance(error, UnsupportedPayload)
            assert error.message.startswith("The tensor ")
            assert ADVICE.get(name, "") in error.advice
        assert placed(tensor, FREE).unwrap() is tensor


def test_gradients_are_left_behind_but_not_the_memory() -> None:
    tensor = torch.ones(3, requires_grad=True)
    array = TORCH.to_host(tensor, Transfer(copy=False)).unwrap()
    assert array.ctypes.data == tensor.data_ptr()
    parameter = torch.nn.Parameter(torch.ones(3))
    assert TORCH.to_host(parameter, FREE).unwrap().tolist() == [1, 1, 1]
    there = cast("jax.Array", hand_over(tensor, JAX, FREE, torchs).unwrap())
    assert there.unsafe_buffer_pointer() == tensor.data_ptr()


def test_gradients_stay_within_pytorch() -> None:
    tensor = torch.ones(3, requires_grad=True)
    assert hand_over(tensor, TORCH, FREE, torchs).unwrap() is tensor
    assert cast(
        "torch.Tensor", hand_over(tensor, TORCH, Transfer(copy=True), torchs).unwrap()
    ).grad_fn


@pytest.mark.parametrize("target", [NUMPY, JAX], ids=["numpy", "jax"])
def test_lazy_conjugates_and_negatives_arrive_computed(target: Framework[object]) -> None:
    tensor = torch.tensor([1 + 2j, 3 - 4j])
    for lazy in (tensor.conj(), tensor.conj().imag):
        assert lazy.is_conj() or lazy.is_neg()
        there = hand_over(lazy, target, FREE, torchs).unwrap()
        assert np.array_equal(np.asarray(there), lazy.resolve_conj().resolve_neg().numpy())
        refused = hand_over(lazy, target, Transfer(copy=False), torchs)
        assert isinstance(refused.failure(), UnsupportedPayload)


def test_jax_does_not_take_a_lazy_negative_directly() -> None:
    """PyTorch exports it by DLPack without a word, with the sign lost."""

    class OnGpu:
        dtype = torch.float32

        def __dlpack_device__(self) -> tuple[int, int]:
            return 2, 0

        def is_neg(self) -> bool:
            return True

    assert JAX.from_dlpack is not None
    for negative in (torch.tensor([1 + 2j]).conj().imag, OnGpu()):
        assert "through the host" in JAX.from_dlpack(negative, FREE).failure().message


def test_inside_vmap_it_is_an_error_value() -> None:
    seen: list[bool] = []

    def convert(tensor: torch.Tensor) -> torch.Tensor:
        seen.append(is_successful(TORCH.to_host(tensor, FREE)))
        return tensor

    torch.func.vmap(convert)(torch.ones(2, 2))
    assert seen == [False]


def test_expanded_tensors_share() -> None:
    tensor = torch.ones(1, 3).expand(4, 3)
    array = TORCH.to_host(tensor, Transfer(copy=False)).unwrap()
    assert array.strides == (0, 4)
    assert (array == 1).all()


def test_0d_arrays_and_tensors_stay_0d_and_share() -> None:
    array = np.full((), 3, np.float32)
    tensor = TORCH.from_host(array, Transfer(copy=False)).unwrap()
    assert tensor.shape == ()
    assert tensor.data_ptr() == array.ctypes.data
    back = TORCH.to_host(tensor, Transfer(copy=False)).unwrap()
    assert type(back) is np.ndarray
    assert back.shape == ()
    assert back.ctypes.data == array.ctypes.data


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 2**40)])
def test_empty_arrays_and_tensors_keep_their_shape(shape: tuple[int, ...]) -> None:
    for array in (np.empty(shape, np.int16), np.empty(shape, np.int16)[::-1].T):
        tensor = TORCH.from_host(array, FREE).unwrap()
        assert tensor.shape == array.shape
        assert tensor.dtype == torch.int16
        assert TORCH.to_host(tensor, FREE).unwrap().shape == array.shape


def test_broadcast_arrays_share() -> None:
    array = np.lib.stride_tricks.as_strided(np.ones(1, np.float32), (2, 3), (0, 0))
    tensor = TORCH.from_host(array, Transfer(copy=False)).unwrap()
    assert tensor.stride() == (0, 0)
    assert tensor.data_ptr() == array.ctypes.data


def test_a_later_write_shows_on_both_sides_unless_a_copy_was_asked_for() -> None:
    array = aligned_empty((3,), np.dtype("f4"))
    array[...] = 0
    shared = TORCH.from_host(array, FREE).unwrap()
    own = TORCH.from_host(array, Transfer(copy=True)).unwrap()
    there = cast("jax.Array", hand_over(shared, JAX, FREE, torchs).unwrap())
    array[0] = 7
    shared[1] = 8
    assert shared.numpy().tolist() == [7, 8, 0]
    assert np.asarray(there).tolist() == [7, 8, 0]
    assert array.tolist() == [7, 8, 0]
    assert own.numpy().tolist() == [0, 0, 0]


def test_a_mask_is_not_lost() -> None:
    """`torch.from_numpy` takes a masked array, and the mask is gone."""
    masked = np.ma.masked_equal(np.arange(3.0), 1)
    error = hand_over(masked, TORCH, FREE, lambda _: Success(NUMPY)).failure()
    assert isinstance(error, Lossy)


@pytest.mark.parametrize("dtype", [">u2", ">f4", ">c16"])
def test_big_endian_arrays_arrive_native(dtype: str) -> None:
    array = np.array([1, 258], dtype)
    tensor = TORCH.from_host(array, FREE).unwrap()
    back = TORCH.to_host(tensor, FREE).unwrap()
    assert back.dtype.isnative
    assert back.tolist() == array.tolist()
    refused = TORCH.from_host(array, Transfer(copy=False))
    assert isinstance(refused.failure(), UnsupportedPayload)


@pytest.mark.parametrize("name", CARRIERS)
def test_bfloat16_and_float8_share_bit_for_bit(name: str) -> None:
    dtype = np.dtype(getattr(ml_dtypes, name))
    array = np.arange(256, dtype=np.uint8).view(dtype)
    tensor = TORCH.from_host(array, Transfer(copy=False)).unwrap()
    assert str(tensor.dtype) == f"torch.{name}"
    assert tensor.data_ptr() == array.ctypes.data
    back = TORCH.to_host(tensor, Transfer(copy=False)).unwrap()
    assert back.dtype == dtype
    assert back.tobytes() == array.tobytes()


def test_read_only_memory_is_not_given_to_pytorch() -> None:
    array = aligned_empty((3,), np.dtype("f4"))
    array[...] = 1
    array.flags.writeable = False
    TORCH.from_host(array, FREE).unwrap()[0] = 5
    assert array.tolist() == [1, 1, 1]


def test_memory_that_tensors_cannot_have_is_copied() -> None:
    field = np.zeros(2, "f8,c16")["f1"]  # 16 bytes wide, in steps of 24
    misaligned = np.frombuffer(bytearray(b"-" + np.arange(4.0).tobytes()), np.uint8)[1:].view("f8")
    for array in (field, misaligned):
        assert array.flags.writeable
        assert TORCH.from_host(array, FREE).unwrap().numpy().tolist() == array.tolist()
        refused = TORCH.from_host(array, Transfer(copy=False))
        assert isinstance(refused.failure(), UnsupportedPayload)


NEGATIVE = """
import numpy as np
from polystore.core.records import Transfer
from polystore.frameworks.torch import TORCH

backwards = np.arange(6, dtype="f4").reshape(2, 3)[:, ::-1]
print(TORCH.from_dlpack(backwards, Transfer()).failure().advice)
print(TORCH.from_host(backwards, Transfer()).unwrap().tolist())
print(TORCH.from_host(backwards, Transfer(copy=False)).failure().advice)
"""


def test_a_negative_stride_does_not_abort_the_process() -> None:
    assert child(NEGATIVE).splitlines() == [
        "Copy the array first.",
        "[[2.0, 1.0, 0.0], [5.0, 4.0, 3.0]]",
        "Allow a copy, with copy=None.",
    ]


FREED = """
import torch
from polystore import Item, convert
from polystore.core.outcome import Success
from polystore.core.records import Transfer
from polystore.frameworks.handover import hand_over
from polystore.frameworks.jax import JAX
from polystore.frameworks.numpy import NUMPY
from polystore.frameworks.tensorflow import TENSORFLOW
from polystore.frameworks.torch import TORCH

freed, cut, part = torch.randn(3), torch.randn(2**20), torch.randn(8)
views = [freed, cut.view(2**10, 2**10).T, part[4:], part[::7]]
freed.untyped_storage().resize_(0)
cut.untyped_storage().resize_(2**22 - 1)
part.untyped_storage().resize_(28)
for tensor in views:
    for target in (NUMPY, JAX, TENSORFLOW):
        for copy in (None, True, False):
            asked = Transfer(copy=copy)
            error = hand_over(tensor, target, asked, lambda _: Success(TORCH)).failure()
            print(type(error).__name__, "freed" in error.message)
    error = convert(to="torch", copy=True)(Item("a", tensor)).failure()
    print(type(error).__name__, "freed" in error.message)
    assert convert(to="torch")(Item("a", tensor)).unwrap().payload is tensor
empty = torch.ones(3)[3:]
empty.untyped_storage().resize_(0)
assert convert(to="torch", copy=True)(Item("a", empty)).unwrap().payload.shape == (0,)
assert TORCH.to_host(part[:7], Transfer(copy=True)).unwrap().shape == (7,)
"""


def test_a_tensor_whose_storage_was_freed_is_not_read() -> None:
    assert child(FREED).splitlines() == ["UnsupportedPayload True"] * 40


@pytest.mark.parametrize(
    "word", ["", "cudaa", "cuda:x", "cuda:99", "meta", "cpu:7", "cpu:", "a:b:c"]
)
def test_a_device_that_is_not_there_is_an_error_that_says_which_are(word: str) -> None:
    asked = Transfer(device=word)
    for outcome in (
        TORCH.from_host(np.zeros(2), asked),
        placed(torch.zeros(2), asked),
        imported(in_jax(np.zeros(2, "f4")), asked),
    ):
        assert isinstance(outcome.failure(), UnsupportedPayload)
        assert repr(word) in outcome.failure().message
        assert "cpu" in outcome.failure().advice


@pytest.mark.parametrize("word", ["cpu", "cpu:0"])
def test_the_cpu_is_where_host_arrays_are(word: str) -> None:
    array, tensor = np.ones(3), torch.ones(3)
    assert TORCH.from_host(array, Transfer(word, False)).unwrap().data_ptr() == array.ctypes.data
    assert placed(tensor, Transfer(word, False)).unwrap() is tensor
    assert placed(tensor, Transfer(word, True)).unwrap().data_ptr() != tensor.data_ptr()


@cuda
def test_to_a_gpu_and_back() -> None:
    for word in ("cuda", "cuda:0"):
        array = np.arange(6, dtype="f4")[::-1]
        tensor = TORCH.from_host(array, Transfer(word)).unwrap()
        assert tensor.device == torch.device("cuda:0")
        assert TORCH.to_host(tensor, FREE).unwrap().tolist() == array.tolist()
        assert isinstance(
            TORCH.from_host(array, Transfer(word, False)).failure(), UnsupportedPayload
        )
        assert isinstance(TORCH.to_host(tensor, Transfer(copy=False)).failure(), UnsupportedPayload)
        assert placed(tensor, Transfer(word, False)).unwrap() is tensor
        assert placed(tensor, Transfer("cpu")).unwrap().device.type == "cpu"
        assert placed(tensor, Transfer(word, True)).unwrap().data_ptr() != tensor.data_ptr()


@cuda
def test_gpu_memory_is_shared_with_jax() -> None:
    if not is_successful(JAX.from_host(np.zeros(1, "f4"), Transfer(device="gpu:0"))):
        pytest.skip("needs JAX with CUDA")
    tensor = torch.arange(6, dtype=torch.float32, device="cuda:0")
    there = cast("jax.Array", hand_over(tensor, JAX, Transfer(copy=False), torchs).unwrap())
    assert there.unsafe_buffer_pointer() == tensor.data_ptr()
    back = imported(there, Transfer(copy=False)).unwrap()
    assert back.data_ptr() == tensor.data_ptr()
    wide = torch.tensor([2**40 + 5], device="cuda:0")
    assert not is_successful(hand_over(wide, JAX, FREE, torchs))


def test_owns_imports_nothing_and_survives_an_import_under_way() -> None:
    assert child(
        "import sys, types\n"
        "from polystore.frameworks.torch import TORCH\n"
        "from polystore.frameworks.jax import JAX\n"
        "from polystore.frameworks.numpy import NUMPY\n"
        "every = (TORCH, JAX, NUMPY)\n"
        "print([it.owns(1) for it in every])\n"
        "print([name for name in ('torch', 'jax', 'numpy', 'ml_dtypes') if name in sys.modules])\n"
        "sys.modules.update({it.name: types.ModuleType(it.name) for it in every})\n"
        "print([it.owns(1) for it in every])\n"
    ).splitlines() == ["[False, False, False]", "[]", "[False, False, False]"]
