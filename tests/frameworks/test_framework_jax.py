"""What JAX's record makes of x64, of arrays without elements, of shards, and of shared memory."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref
from collections.abc import Callable
from typing import Protocol, TypeAlias, cast

import jax
import ml_dtypes
import numpy as np
import pytest
import torch

from polystore.core.errors import Lossy, UnsupportedPayload
from polystore.core.outcome import Failure, Outcome, Success, is_successful
from polystore.core.payload import HostArray, aligned_empty
from polystore.core.records import Framework, Transfer
from polystore.frameworks.handover import hand_over
from polystore.frameworks.jax import JAX
from polystore.frameworks.numpy import NUMPY
from polystore.frameworks.torch import TORCH

FREE = Transfer()


def find_owner(value: object) -> Outcome[Framework[object]]:
    frameworks: tuple[Framework[object], ...] = (TORCH, JAX)
    for framework in frameworks:
        if framework.owns(value):
            return Success(framework)
    return Failure(UnsupportedPayload("", None, "not JAX's or PyTorch's", ""))


def placed(array: jax.Array, transfer: Transfer) -> Outcome[jax.Array]:
    assert JAX.place is not None
    return JAX.place(array, transfer)


def in_jax(array: HostArray) -> jax.Array:
    return JAX.from_host(array, FREE).unwrap()


Step: TypeAlias = Callable[[jax.Array], jax.Array]


class Typed(Protocol):
    """The functions of `jax` whose own annotations leave a type unknown."""

    def jit(self, fn: Step, *, donate_argnums: tuple[int, ...] = ()) -> Step: ...


def jitted(step: Step, *, donates: bool = False) -> Step:
    return cast("Typed", jax).jit(step, donate_argnums=(0,) if donates else ())


def plus_one(array: jax.Array) -> jax.Array:
    return array + 1


def child(code: str, **environment: str) -> list[str]:
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


def ones(shape: tuple[int, ...], dtype: str = "f4") -> HostArray:
    array = aligned_empty(shape, np.dtype(dtype))
    array[...] = 1
    return array


X64 = """
import numpy as np, torch
from polystore.core.outcome import fold, Success
from polystore.core.records import Transfer
from polystore.frameworks.handover import hand_over
from polystore.frameworks.jax import JAX
from polystore.frameworks.torch import TORCH

wide = np.array([2**40 + 5])
for outcome in (
    JAX.from_host(wide, Transfer()),
    hand_over(torch.from_numpy(wide), JAX, Transfer(), lambda _: Success(TORCH)),
    JAX.from_host(wide, Transfer(casting="same_kind")),
):
    print(fold(outcome, lambda array: array.item(), lambda error: type(error).__name__))
"""


def test_64_bits_are_exact_with_x64_and_lossy_without() -> None:
    assert child(X64, JAX_ENABLE_X64="1") == [str(2**40 + 5)] * 3
    assert child(X64, JAX_ENABLE_X64="0") == ["Lossy", "Lossy", "5"]


def test_lossy_says_both_ways_out() -> None:
    with jax.enable_x64(False):
        error = JAX.from_host(np.zeros(2), FREE).failure()
    assert isinstance(error, Lossy)
    assert "float64" in error.message
    assert "jax_enable_x64" in error.advice
    assert "same_kind" in error.advice


def test_an_array_made_under_x64_keeps_its_bits_outside() -> None:
    with jax.enable_x64(True):
        array = in_jax(np.array([2**40 + 5, -1]))
    with jax.enable_x64(False):
        assert JAX.to_host(array, FREE).unwrap().tolist() == [2**40 + 5, -1]
        copied = placed(array, Transfer(copy=True)).unwrap()
        assert np.asarray(copied).tolist() == [2**40 + 5, -1]
        tensor = cast("torch.Tensor", hand_over(array, TORCH, FREE, find_owner).unwrap())
        assert tensor.numpy().tolist() == [2**40 + 5, -1]


def test_deleted_and_donated_arrays_are_error_values() -> None:
    deleted, donated = (in_jax(np.ones(1000, "f4")) + number for number in (1, 2))
    deleted.delete()
    jitted(plus_one, donates=True)(donated).block_until_ready()
    for array in (deleted, donated):
        for copy in (None, True, False):
            for target in (NUMPY, TORCH, JAX):
                outcome = hand_over(array, target, Transfer(copy=copy), find_owner)
                assert isinstance(outcome.failure(), UnsupportedPayload)
                assert "deleted" in outcome.failure().message


def test_a_traced_array_passes_within_jax_and_is_an_error_value_elsewhere() -> None:
    seen: list[Outcome[object]] = []

    def traced(array: jax.Array) -> jax.Array:
        seen.append(hand_over(array, NUMPY, FREE, find_owner))
        seen.append(hand_over(array, TORCH, FREE, find_owner))
        seen.append(placed(array, Transfer(copy=True)))
        seen.append(placed(array, Transfer(device="cpu")))
        return placed(array, FREE).unwrap() + 1

    assert np.asarray(jitted(traced)(in_jax(ones((2,))))).tolist() == [2, 2]
    assert len(seen) == 4
    for outcome in seen:
        assert isinstance(outcome.failure(), UnsupportedPayload)
        assert "traced" in outcome.failure().message


def test_random_keys_are_unsupported_and_say_how() -> None:
    for target in (NUMPY, TORCH):
        error = hand_over(jax.random.key(0), target, FREE, find_owner).failure()
        assert isinstance(error, UnsupportedPayload)
        assert "key_data" in error.advice


SHARDED = """
import jax, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from polystore.core.outcome import Success, is_successful
from polystore.core.records import Transfer
from polystore.frameworks.handover import hand_over
from polystore.frameworks.jax import JAX
from polystore.frameworks.numpy import NUMPY
from polystore.frameworks.torch import TORCH

mesh = Mesh(np.array(jax.devices("cpu")), ("x",))
for spec in (PartitionSpec("x"), PartitionSpec()):
    array = jax.device_put(np.arange(4, dtype="f4"), NamedSharding(mesh, spec))
    for target in (NUMPY, TORCH, JAX):
        free = hand_over(array, target, Transfer(), lambda _: Success(JAX)).unwrap()
        kept = hand_over(array, target, Transfer(copy=False), lambda _: Success(JAX))
        print(target.name, np.asarray(free).tolist(), is_successful(kept))
one = JAX.from_host(np.arange(4, dtype="f4"), Transfer("cpu:1")).unwrap()
print(one.devices(), JAX.place(one, Transfer("cpu:1", False)).unwrap() is one)
for word in ("cpu", "cpu:0"):
    moved = JAX.place(one, Transfer(word)).unwrap()
    print(moved.devices(), moved.tolist(), is_successful(JAX.place(one, Transfer(word, False))))
print(JAX.place(one, Transfer("cpu:2")).failure().advice)
"""


def test_shards_are_gathered_and_devices_told_apart() -> None:
    lines = child(SHARDED, XLA_FLAGS="--xla_force_host_platform_device_count=2")
    numbers = "[0.0, 1.0, 2.0, 3.0]"
    # Replicas can be shared, shards of one array cannot. A tensor is never read-only memory's.
    assert lines == [
        f"numpy {numbers} False",
        f"torch {numbers} False",
        f"jax {numbers} True",
        f"numpy {numbers} True",
        f"torch {numbers} False",
        f"jax {numbers} True",
        "{CpuDevice(id=1)} True",
        f"{{CpuDevice(id=0)}} {numbers} False",
        f"{{CpuDevice(id=0)}} {numbers} False",
        "There is: cpu:0, cpu:1.",
    ]


@pytest.mark.parametrize("word", ["", ":0", "xx", "cpu:", "cpu:x", "cpu:-1", "cpu:99", "gpu:99"])
def test_a_device_that_is_not_there_is_an_error_that_says_which_are(word: str) -> None:
    for outcome in (
        JAX.from_host(ones((2,)), Transfer(device=word)),
        placed(in_jax(ones((2,))), Transfer(device=word)),
        hand_over(torch.zeros(2), JAX, Transfer(device=word), find_owner),
    ):
        assert isinstance(outcome.failure(), UnsupportedPayload)
        assert repr(word) in outcome.failure().message
        assert "cpu:0" in outcome.failure().advice


def test_256_megabytes_are_shared_and_kept_alive() -> None:
    array = aligned_empty((256, 1024, 1024), np.dtype("u1"))
    start, owner = array.ctypes.data, weakref.ref(cast("HostArray", array.base))
    there = JAX.from_host(array, Transfer(copy=False)).unwrap()
    assert there.unsafe_buffer_pointer() == start
    assert TORCH.from_host(array, Transfer(copy=False)).unwrap().data_ptr() == start
    del array
    gc.collect()
    assert owner() is not None
    back = JAX.to_host(there, Transfer(copy=False)).unwrap()
    assert back.ctypes.data == start
    del there, back
    gc.collect()
    assert owner() is None


def test_unaligned_memory_is_copied_unless_that_is_forbidden() -> None:
    array = ones((17,))[1:]
    assert JAX.from_host(array, FREE).unwrap().unsafe_buffer_pointer() != array.ctypes.data
    assert isinstance(JAX.from_host(array, Transfer(copy=False)).failure(), UnsupportedPayload)


def test_read_only_and_fortran_memory_is_shared() -> None:
    locked, turned = ones((2, 3)), ones((2, 3)).T
    locked.flags.writeable = False
    for array in (locked, turned):
        there = JAX.from_host(array, Transfer(copy=False)).unwrap()
        assert there.unsafe_buffer_pointer() == array.ctypes.data
        assert there.shape == array.shape


def test_a_copy_is_made_before_the_call_returns() -> None:
    array = ones((64, 1024, 1024), "u1")
    for there in (
        JAX.from_host(array, Transfer(copy=True)).unwrap(),
        placed(JAX.from_host(array, FREE).unwrap(), Transfer(copy=True)).unwrap(),
    ):
        array[...] = 9
        assert there.min() == there.max() == 1
        array[...] = 1


def test_donating_a_shared_array_does_not_write_to_its_owner() -> None:
    array = ones((1024,))
    there = JAX.from_host(array, Transfer(copy=False)).unwrap()
    jitted(plus_one, donates=True)(there).block_until_ready()
    assert array.min() == array.max() == 1


def test_what_is_still_being_computed_arrives_computed() -> None:
    def slow(array: jax.Array) -> jax.Array:
        for _ in range(30):
            array = array @ array * 0 + 1
        return array

    for target in (NUMPY, TORCH):
        running = jitted(slow)(in_jax(ones((400, 400))) + 1)
        assert np.asarray(hand_over(running, target, FREE, find_owner).unwrap()).min() == 1


def test_numpy_gets_jax_memory_read_only_and_pytorch_gets_it() -> None:
    array = in_jax(ones((4,))) + 1
    host = JAX.to_host(array, Transfer(copy=False)).unwrap()
    assert not host.flags.writeable
    assert host.ctypes.data == array.unsafe_buffer_pointer()
    assert JAX.to_host(array, Transfer(copy=True)).unwrap().flags.writeable
    tensor = hand_over(array, TORCH, Transfer(copy=False), find_owner).unwrap()
    assert cast("torch.Tensor", tensor).data_ptr() == array.unsafe_buffer_pointer()


def test_integers_of_4_bits_arrive_but_are_not_shared() -> None:
    array = np.array([-8, 7, 0]).astype(ml_dtypes.int4)
    there = JAX.from_host(array, FREE).unwrap()
    assert JAX.to_host(there, FREE).unwrap().astype("i1").tolist() == [-8, 7, 0]
    assert not is_successful(JAX.from_host(array, Transfer(copy=False)))
    assert not is_successful(JAX.to_host(there, Transfer(copy=False)))
