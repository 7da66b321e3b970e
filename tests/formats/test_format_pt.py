"""`.pt` as PyTorch writes and reads it: whose memory it is, what is shared, what is refused."""

from __future__ import annotations

import io
import tracemalloc
from collections import OrderedDict
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, cast

import ml_dtypes
import numpy as np
import pytest
import torch
from bytes_source import joined, source_of
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pt_archive import Call, Stored, archive, pickled, rebuild, rebuilt, torchs_own

from polystore.core.dtypes import CARRIERS
from polystore.core.dtypes import PLAIN_DTYPES as COMMON
from polystore.core.errors import Lossy, UnsupportedPayload
from polystore.core.item import Item, Metadata
from polystore.core.outcome import is_successful
from polystore.core.payload import HostArray, Payload
from polystore.core.records import Encoded, Limits, Readable, Transfer
from polystore.formats.pt import PT_CODEC
from polystore.frameworks.torch import TORCH
from polystore.testing.arrays import arrays

Tensors = dict[str, torch.Tensor]

DTYPES = (
    *(np.dtype(name) for name in sorted(COMMON)),
    *(np.dtype(name).newbyteorder(">") for name in ("u2", "i8", "f4", "f8", "c8")),
    np.dtype("ulonglong"),
    *(np.dtype(getattr(ml_dtypes, name)) for name in CARRIERS),
)
"""Every dtype that a `.pt` can hold, as NumPy has it."""


def encoded(payload: Payload) -> Encoded:
    return PT_CODEC.encode(Item("x", payload), None).unwrap()


def decoded(content: bytes) -> object:
    return PT_CODEC.decode(source_of(content), Limits()).unwrap().payload


def tensor(content: bytes) -> torch.Tensor:
    found = decoded(content)
    assert type(found) is torch.Tensor
    return found


def tensors(content: bytes) -> Tensors:
    found = decoded(content)
    assert type(found) is dict
    return cast("Tensors", found)


def bits(value: torch.Tensor | HostArray) -> bytes:
    """Give the elements in C order and native byte order."""
    array = value if isinstance(value, np.ndarray) else TORCH.to_host(value, Transfer()).unwrap()
    return array.astype(array.dtype.newbyteorder("=")).tobytes()


def values(tensor: torch.Tensor) -> list[object]:
    return cast("list[object]", TORCH.to_host(tensor, Transfer()).unwrap().tolist())


def large(payload: Payload, nbytes: int) -> memoryview:
    """Give the one buffer of an encoded payload that has so many bytes."""
    views = [memoryview(buffer) for buffer in encoded(payload).buffers]
    (found,) = (view for view in views if view.nbytes == nbytes)
    return found


def name_of(dtype: object) -> str:
    return str(dtype).removeprefix("torch.")


@given(arrays(st.sampled_from(DTYPES)))
def test_what_pytorch_reads_of_it_is_what_was_saved(array: NDArray[Any]) -> None:
    content = joined(encoded(array))
    ours, theirs = tensor(content), torch.load(io.BytesIO(content), weights_only=True)
    for found in (ours, cast("torch.Tensor", theirs)):
        assert found.shape == array.shape
        assert name_of(found.dtype) == np.asarray(array).dtype.newbyteorder("=").name
        assert bits(found) == bits(np.asarray(array))
    assert ours.stride() == theirs.stride()
    assert ours.data_ptr() % 64 == 0


@given(st.dictionaries(st.text(max_size=3), arrays(st.sampled_from(DTYPES)), max_size=4))
def test_arrays_by_their_names_come_back_in_their_order(named: dict[str, NDArray[Any]]) -> None:
    found = tensors(joined(encoded(named)))
    assert list(found) == list(named)
    for name, array in named.items():
        assert found[name].shape == array.shape
        assert bits(found[name]) == bits(np.asarray(array))


@given(arrays())
def test_dtypes_that_pytorch_lacks_are_refused(array: NDArray[Any]) -> None:
    outcome = PT_CODEC.encode(Item("x", array), None)
    held = array.dtype.name in COMMON or array.dtype.name in CARRIERS
    assert is_successful(outcome) == held
    if not held:
        assert isinstance(outcome.failure(), UnsupportedPayload)


def test_odd_strides_along_an_axis_of_length_1_do_not_matter() -> None:
    three = np.lib.stride_tricks.as_strided(np.ones(3), (1,), (3,))
    for odd in (np.ones((1, 3))[::-1], np.ones((3, 1))[:, ::-1], three):
        found = tensor(joined(encoded(odd)))
        assert bits(found) == bits(odd)
        assert found.is_contiguous()
        assert min(found.stride()) > 0


def test_pytorch_maps_it_too(tmp_path: Path) -> None:
    array = np.arange(100_000, dtype=np.float32)
    path = tmp_path / "x.pt"
    path.write_bytes(joined(encoded({"a": array, "b": array[:3]})))
    mapped = cast("Tensors", torch.load(path, weights_only=True, mmap=True))
    assert bits(mapped["a"]) == bits(array)
    assert mapped["a"].data_ptr() % 64 == 0


def test_the_same_arrays_give_the_same_bytes() -> None:
    array = np.ones((2, 3), np.float16)
    assert joined(encoded({"a": array})) == joined(encoded({"a": array.copy()}))


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_a_large_array_is_not_copied_in_whatever_memory_order(order: tuple[int, ...]) -> None:
    array = np.zeros((64, 64, 256), np.float32)
    array.flags.writeable = False
    tracemalloc.start()
    found = np.frombuffer(large({"weight": array.transpose(order)}, array.nbytes), np.uint8)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.ctypes.data == array.ctypes.data
    assert peak < array.nbytes / 10


def test_the_buffers_keep_the_memory_that_they_are_of() -> None:
    array = np.full(2**20, 7, np.uint8)
    # The encoder makes a copy of it, which nothing else knows.
    content = large(array[::2], 2**19)
    assert isinstance(content.obj, np.ndarray)
    assert (np.frombuffer(content, np.uint8) == 7).all()


def test_a_slice_does_not_bring_its_base_along() -> None:
    base = np.arange(2**20, dtype=np.float32)
    assert encoded(base[10:20]).nbytes < 2000
    assert encoded(base[:: 2**18]).nbytes < 2000
    assert encoded(np.broadcast_to(base[:4], (3, 4))).nbytes < 2000


def test_names_of_the_same_memory_share_it_again() -> None:
    weight = np.arange(2**16, dtype=np.float32)
    one = encoded({"encoder": weight})
    tied = encoded({"encoder": weight, "decoder": weight.reshape(256, 256)})
    assert tied.nbytes < one.nbytes + 1000
    found = tensors(joined(tied))
    assert found["encoder"].data_ptr() == found["decoder"].data_ptr()
    theirs = cast("Tensors", torch.load(io.BytesIO(joined(tied)), weights_only=True))
    assert theirs["encoder"].data_ptr() == theirs["decoder"].data_ptr()


def test_memory_under_two_dtypes_is_saved_as_two_arrays() -> None:
    """torch.save raises on it: "Cannot save multiple tensors … as different types"."""
    memory = np.arange(2**16, dtype=np.float32)
    named = {"a": memory, "b": memory.view(np.int32), "c": memory[:9], "d": memory.view(np.int32)}
    found = tensors(joined(encoded(named)))
    for name, array in named.items():
        assert bits(found[name]) == bits(array)


@pytest.mark.parametrize("payload", [None, 1.5, "text", {"a": [1]}, {"a": {"b": np.ones(1)}}, [1]])
def test_what_is_no_array_is_refused(payload: Payload) -> None:
    assert isinstance(PT_CODEC.encode(Item("x", payload), None).failure(), UnsupportedPayload)


def test_the_name_of_what_is_refused_is_said() -> None:
    named = {"mean": np.ones(2), "dates": np.zeros(2, "M8[s]")}
    error = PT_CODEC.encode(Item("x", named), None).failure()
    assert isinstance(error, UnsupportedPayload)
    assert "'dates'" in error.message
    assert "datetime64[s]" in error.message


def test_names_that_are_no_text_are_refused() -> None:
    numbered = cast("Mapping[str, HostArray]", {3: np.ones(2)})
    assert isinstance(PT_CODEC.encode(Item("x", numbered), None).failure(), UnsupportedPayload)


class Part(StrEnum):
    """Names as an enumeration has them, which `torch.save` would write as code."""

    BODY = "body"


class Twin(str):
    """A name that is equal to none, whatever its text."""

    __slots__ = ()
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other


def test_names_of_subclasses_of_text_become_plain_text() -> None:
    content = joined(encoded({np.str_("mean"): np.ones(2), Part.BODY: np.zeros(3)}))
    assert {name: values(it) for name, it in tensors(content).items()} == {
        "mean": [1, 1],
        "body": [0, 0, 0],
    }
    theirs = cast("Tensors", torch.load(io.BytesIO(content), weights_only=True))
    assert [type(name) for name in theirs] == [str, str]


def test_names_that_become_one_are_refused() -> None:
    twins: dict[str, HostArray] = {Twin("a"): np.ones(2), Twin("a"): np.zeros(2)}
    assert len(twins) == 2
    assert isinstance(PT_CODEC.encode(Item("x", twins), None).failure(), UnsupportedPayload)


def test_masked_elements_are_refused() -> None:
    masked = np.ma.masked_equal(np.arange(6), 4)
    assert isinstance(PT_CODEC.encode(Item("x", {"a": masked}), None).failure(), Lossy)


def test_elements_are_not_left_out_where_torch_save_would() -> None:
    with torch.serialization.skip_data():
        outcome = PT_CODEC.encode(Item("x", np.ones(2)), None)
    assert "skip_data" in outcome.failure().advice


def test_metadata_is_named_as_dropped() -> None:
    known = Metadata(axes=("x",), attributes={"well": "A01"})
    dropped = PT_CODEC.encode(Item("x", np.ones(2), known), None).unwrap().dropped
    assert dropped == ("axes", "attributes")


def test_a_state_dict_is_its_tensors() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    state = cast("OrderedDict[str, torch.Tensor]", model.state_dict())
    found = tensors(torchs_own(state))
    assert list(found) == list(state)
    assert all(bits(found[name]) == bits(state[name]) for name in state)


def test_parameters_and_gradients_come_as_plain_tensors() -> None:
    weight = torch.nn.Parameter(torch.arange(3.0))
    for saved in (weight, torch.arange(3.0).requires_grad_()):
        found = tensor(torchs_own(saved))
        assert values(found) == [0, 1, 2]
        assert not found.requires_grad
        assert found.is_leaf


def test_views_of_one_storage_share_it_and_only_what_they_use_is_read() -> None:
    base = torch.arange(2.0**20)
    content = torchs_own({"a": base[1000:1010:3], "b": base[1009:1011], "empty": base[5:5]})
    tracemalloc.start()
    found = tensors(content)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert values(found["a"]) == [1000, 1003, 1006, 1009]
    found["b"][0] = 7
    assert found["a"][3] == 7
    assert found["empty"].shape == (0,)
    assert peak < 2**20


def test_an_expanded_tensor_stays_one() -> None:
    found = tensor(torchs_own(torch.ones(1).expand(1000, 1000)))
    assert found.stride() == (0, 0)
    assert found.sum() == 10**6


def test_lazy_conjugates_and_negatives_have_their_values() -> None:
    lazy = torch.tensor([1 + 2j]).conj()
    assert lazy.is_conj()
    assert lazy.imag.is_neg()
    assert values(tensor(torchs_own(lazy))) == [1 - 2j]
    assert values(tensor(torchs_own(lazy.imag))) == [-2]


def test_loading_takes_no_more_than_the_elements() -> None:
    content = joined(encoded(np.zeros(2**22, np.float32)))

    def read_into(offset: int, buffer: memoryview, /) -> int:
        part = memoryview(content)[offset : offset + len(buffer)]
        buffer[: len(part)] = part
        return len(part)

    tracemalloc.start()
    outcome = PT_CODEC.decode(Readable(len(content), read_into, lambda: None), Limits())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert is_successful(outcome)
    assert peak < 1.1 * 2**24


def test_tensors_of_a_gpu_come_to_the_host() -> None:
    content = archive({"data.pkl": pickled(rebuilt(2, 0, (2,), (1,))), "data/0": b"\0" * 8})
    assert b"cuda:3" in content
    assert tensor(content).device.type == "cpu"


def test_big_endian_files_are_read() -> None:
    numbers = np.array([1 + 2j, 3], ">c8")
    counts = np.array([1, 258], ">u2")
    stored = Stored(torch.ComplexFloatStorage, "0", 2)
    untyped = Stored(torch.UntypedStorage, "1", 4)
    named = {
        "numbers": Call(rebuild(2), (stored, 0, (2,), (1,), False, {})),
        "counts": Call(rebuild(3), (untyped, 0, (2,), (1,), False, {}, torch.uint16)),
    }
    records = {
        "data.pkl": pickled(named),
        "byteorder": b"big",
        "data/0": numbers.tobytes(),
        "data/1": counts.tobytes(),
    }
    found = tensors(archive(records))
    assert values(found["numbers"]) == [1 + 2j, 3]
    assert values(found["counts"]) == [1, 258]


def test_nothing_is_shared_with_the_file() -> None:
    content = bytearray(joined(encoded(np.zeros(2**16, np.uint8))))
    found = tensor(bytes(content))
    found += 1
    assert content.count(1) < 2**15
    assert tensor(bytes(content)).sum() == 0
