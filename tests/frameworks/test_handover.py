"""The plan of a hand-over, and what `payload_on_host` makes of each kind of payload."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Protocol, cast

import jax
import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
import torch
from attrs import evolve

from polystore.core.errors import (
    Corrupt,
    Lossy,
    StorageError,
    TooLarge,
    UnknownFramework,
    UnsupportedPayload,
)
from polystore.core.item import Item
from polystore.core.outcome import Failure, Outcome, Success
from polystore.core.payload import (
    ArraySpec,
    HostArray,
    LazyArray,
    Payload,
    Region,
    aligned_empty,
    is_host_array,
)
from polystore.core.records import Framework, Transfer
from polystore.core.rois import Points, Roi, Rois
from polystore.core.table import Table
from polystore.frameworks.handover import hand_over, payload_on_host
from polystore.frameworks.jax import JAX
from polystore.frameworks.numpy import NUMPY
from polystore.frameworks.tensorflow import TENSORFLOW
from polystore.frameworks.torch import TORCH
from polystore.steps.convert import convert

FREE = Transfer()
OWN: tuple[Framework[object], ...] = (NUMPY, TORCH, JAX, TENSORFLOW)


def find_owner(value: object) -> Outcome[Framework[object]]:
    for framework in OWN:
        if framework.owns(value):
            return Success(framework)
    return Failure(UnknownFramework("", None, type(value).__name__, ""))


def in_jax(array: HostArray) -> jax.Array:
    return JAX.from_host(array, FREE).unwrap()


class Nested(Protocol):
    def nested_tensor(self, tensors: list[torch.Tensor]) -> torch.Tensor: ...


def lazy(read: Callable[[Region], Outcome[HostArray]]) -> LazyArray:
    return LazyArray(ArraySpec((2, 3), "uint8", ("y", "x"), (2, 3)), read)


def read_ones(region: Region) -> Outcome[HostArray]:
    return Success(np.ones((2, 3), "u1")[region])


def read_nothing(_region: Region) -> Outcome[HostArray]:
    return Failure(Corrupt("", None, "Truncated.", "Write it again."))


class Foreign:
    """An array of a framework that nobody registered."""

    dtype = "float32"

    @property
    def shape(self) -> tuple[int, ...]:
        raise RuntimeError("ragged")

    def __dlpack__(self) -> object:
        raise BufferError


@pytest.mark.parametrize(
    "payload",
    [
        *(None, True, 3, 2.5, "text", "", [1, "a", None], {"wells": 96, "rows": ["A", {"b": 1}]}),
        *({}, Table({"x": np.arange(2)}), Rois((Roi("a", Points(((1.0, 2.0),))),))),
    ],
)
def test_what_is_no_array_stays_the_same_object(payload: Payload) -> None:
    assert payload_on_host(payload, find_owner).unwrap() is payload


def test_numpy_arrays_stay_the_same_objects() -> None:
    array = np.arange(3)
    named = {"a": array, "b": np.zeros(2)}
    assert payload_on_host(array, find_owner).unwrap() is array
    assert payload_on_host(named, find_owner).unwrap() is named


def test_arrays_of_every_framework_come_to_the_host() -> None:
    half = torch.ones(2, dtype=torch.bfloat16)
    named = {
        "torch": half,
        "jax": in_jax(np.ones(2, "f4")),
        "tensorflow": tf.ones(2),
        "scalar": np.float64(3),
        "lazy": lazy(read_ones),
    }
    found = payload_on_host({**named, "note": "kept"}, find_owner).unwrap()
    arrays = cast("dict[str, HostArray]", found)
    assert list(arrays) == ["torch", "jax", "tensorflow", "scalar", "lazy", "note"]
    assert arrays.pop("note") == "kept"
    for array in arrays.values():
        assert type(array) is np.ndarray
    assert arrays["torch"].dtype == np.dtype(ml_dtypes.bfloat16)
    assert arrays["torch"].ctypes.data == half.data_ptr()
    assert arrays["scalar"].shape == ()
    assert arrays["lazy"].tolist() == [[1, 1, 1], [1, 1, 1]]
    for name, value in named.items():
        alone = payload_on_host(value, find_owner).unwrap()
        assert is_host_array(alone)
        assert np.array_equal(alone, arrays[name])


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (np.ma.MaskedArray([1, 2], [True, False]), Lossy),
        (torch.eye(2).to_sparse(), UnsupportedPayload),
        (tf.SparseTensor([[0, 0]], [1], [2, 2]), UnsupportedPayload),
        (Foreign(), UnknownFramework),
        (lazy(read_nothing), Corrupt),
    ],
    ids=["masked", "sparse", "sparse in TensorFlow", "foreign", "unreadable"],
)
def test_one_bad_array_is_the_error_of_all(bad: object, error: type[object]) -> None:
    assert type(payload_on_host(bad, find_owner).failure()) is error
    named = {"good": np.zeros(1), "bad": bad}
    assert type(payload_on_host(named, find_owner).failure()) is error
    assert type(hand_over(bad, NUMPY, FREE, find_owner).failure()) is error


def test_a_tensor_that_cannot_say_its_shape_is_an_error_value() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nested = cast("Nested", torch.nested).nested_tensor([torch.ones(2)])
    with pytest.raises(RuntimeError):
        _ = nested.shape
    assert isinstance(payload_on_host(nested, find_owner).failure(), UnsupportedPayload)


@pytest.mark.parametrize("payload", [None, 3, "text", [1], {"a": 1}, {"a": np.zeros(1)}, Rois(())])
def test_only_arrays_are_handed_over(payload: object) -> None:
    error = hand_over(payload, JAX, FREE, find_owner).failure()
    assert isinstance(error, UnsupportedPayload)
    assert type(payload).__name__ in error.message


@pytest.mark.parametrize("target", OWN, ids=lambda framework: framework.name)
def test_lazy_arrays_are_read_whole(target: Framework[object]) -> None:
    there = hand_over(lazy(read_ones), target, FREE, find_owner).unwrap()
    assert target.owns(there)
    assert np.asarray(there).tolist() == [[1, 1, 1], [1, 1, 1]]


def test_a_framework_of_four_functions_is_enough() -> None:
    plain: Framework[object] = evolve(
        cast("Framework[object]", TORCH), name="plain", from_dlpack=None, place=None
    )
    tensor, array = torch.ones(2), np.ones(2)
    owner: Outcome[Framework[object]] = Success(plain)
    assert hand_over(tensor, plain, Transfer(copy=False), lambda _: owner).unwrap() is tensor
    moved = hand_over(tensor, plain, Transfer(device="cpu", copy=True), lambda _: owner).unwrap()
    assert cast("torch.Tensor", moved).data_ptr() != tensor.data_ptr()
    there = hand_over(array, plain, Transfer(copy=False), find_owner).unwrap()
    assert cast("torch.Tensor", there).data_ptr() == array.ctypes.data


@pytest.mark.parametrize("kind", [Lossy, UnsupportedPayload])
def test_only_unsupported_sends_a_hand_over_through_the_host(
    kind: Callable[[str, object, str, str], StorageError],
) -> None:
    def declines(_array: object, _transfer: Transfer, /) -> Outcome[object]:
        return Failure(kind("", None, "Not directly.", ""))

    target: Framework[object] = evolve(cast("Framework[object]", TORCH), from_dlpack=declines)
    outcome = hand_over(in_jax(np.ones(2, "f4")), target, FREE, find_owner)
    if kind is Lossy:
        assert outcome.failure().message == "Not directly."
    else:
        assert target.owns(outcome.unwrap())


@pytest.mark.parametrize("target", OWN[1:], ids=lambda framework: framework.name)
def test_a_copy_that_memory_cannot_hold_is_an_error_value(target: Framework[object]) -> None:
    huge = np.broadcast_to(np.uint8(1), (2**50,))
    assert isinstance(hand_over(huge, target, FREE, find_owner).failure(), TooLarge)


def test_the_step_shares_what_a_load_allocated() -> None:
    array = aligned_empty((2, 3), np.dtype("u2"))
    array[...] = 7
    item = Item("a", array)
    there = convert(to="jax", copy=False)(item).unwrap().payload
    assert there.unsafe_buffer_pointer() == array.ctypes.data
    assert convert(to="torch", copy=False)(item).unwrap().payload.data_ptr() == array.ctypes.data
    tensor = convert(to="tensorflow", copy=False)(item).unwrap().payload
    assert np.frombuffer(cast("memoryview", tensor), np.uint8).ctypes.data == array.ctypes.data
    assert convert(to="numpy", copy=False)(item).unwrap().payload is array
    lost = convert(to="jax")(Item("a", np.ma.MaskedArray(array, array > 1)))
    assert isinstance(lost.failure(), Lossy)
    assert lost.failure().key == "a"


def test_masks_subclasses_and_scalars_are_seen_to_on_every_way() -> None:
    masked = np.ma.MaskedArray([1, 2], [True, False])
    for target in OWN:
        assert isinstance(hand_over(masked, target, FREE, find_owner).failure(), Lossy)
        scalar = hand_over(np.float32(3), target, FREE, find_owner).unwrap()
        assert target.owns(scalar)
        assert np.asarray(scalar).shape == ()
    assert (
        type(hand_over(np.eye(2).view(np.matrix), NUMPY, FREE, find_owner).unwrap()) is np.ndarray
    )
