"""The memory store: snapshots both ways, and one winner."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import numpy as np
import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from polystore import (
    NPY,
    ArraySpec,
    HostArray,
    IfExists,
    Item,
    LazyArray,
    MemoryConfig,
    Metadata,
    Outcome,
    Region,
    Saved,
    Step,
    Success,
    TiffOptions,
    default_dispatcher,
    handles,
    is_successful,
    list_files,
    load,
    save,
)
from polystore.core.payload import is_host_array

MEMORY = MemoryConfig(name="test")
SAVE, LOAD = save(MEMORY), load(MEMORY)
REPLACE = save(MEMORY, if_exists="replace")


@pytest.fixture(autouse=True)
def emptied() -> Iterator[None]:
    with handles():
        yield


def error_of(outcome: Outcome[object]) -> str:
    return "" if is_successful(outcome) else type(outcome.failure()).__name__


def save_anything(payload: object) -> Outcome[Saved]:
    """Save what a type checker would refuse, too."""
    return default_dispatcher().run(cast("Step[object, Saved]", SAVE), Item("a", payload))


dtypes = st.sampled_from(("u1", ">i8", "<f4", "c16", "?", "S3", "<U4", "M8[ns]", "i4,f8")).map(
    np.dtype
)
arrays = npst.arrays(dtypes, npst.array_shapes(min_dims=0, min_side=0, max_dims=3, max_side=4))


@given(arrays, st.sampled_from(("as it is", "fortran", "reversed", "read-only", "strided")))
def test_arrays_come_back_bit_for_bit_in_memory_of_their_own(array: HostArray, form: str) -> None:
    if form == "fortran":
        array = np.asfortranarray(array)
    elif form == "reversed" and array.ndim:
        array = array[::-1]
    elif form == "strided" and array.ndim:
        array = array[..., ::2]
    array.flags.writeable = form != "read-only"
    wanted = array.tobytes()
    REPLACE(Item("a", array)).unwrap()
    back = LOAD("a").unwrap().payload
    assert is_host_array(back)
    assert (back.shape, back.dtype) == (array.shape, array.dtype)
    assert back.tobytes() == wanted
    assert not np.shares_memory(back, array)
    assert back.flags.writeable
    if array.flags.c_contiguous:
        assert back.ctypes.data % 64 == 0
    if array.flags.f_contiguous:
        assert back.flags.f_contiguous


@pytest.mark.parametrize(
    "payload",
    [
        {"a": [1, 2]},
        [1, [2]],
        "text",
        None,
        3.5,
        {"x": np.arange(3)},
        np.ma.masked_array([1, 2], [True, False]),
        np.array([[1], "a"], dtype=object),
        np.float32(1.5),
    ],
)
def test_anything_is_a_snapshot_both_ways(payload: object) -> None:
    before = copy.deepcopy(payload)
    save_anything(payload).unwrap()
    _spoil(payload)
    first = LOAD("a").unwrap().payload
    assert repr(first) == repr(before)
    _spoil(first)
    assert repr(LOAD("a").unwrap().payload) == repr(before)


def _spoil(value: object) -> None:
    if isinstance(value, dict):
        cast("dict[str, object]", value).clear()
    elif isinstance(value, list):
        cast("list[object]", value).append("spoilt")
    elif isinstance(value, np.ndarray) and value.ndim:
        value[0] = 0


def test_metadata_is_a_snapshot_too() -> None:
    wells: list[str] = ["A01"]
    SAVE(Item("a", 1, Metadata(axes=("y",), attributes={"wells": wells}))).unwrap()
    wells.append("spoilt")
    assert LOAD("a").unwrap().metadata == Metadata(axes=("y",), attributes={"wells": ["A01"]})


def test_a_lazy_array_is_read_when_it_is_saved() -> None:
    source = np.arange(6).reshape(2, 3)

    def read(region: Region) -> Outcome[HostArray]:
        return Success(source[region].copy())

    lazy = LazyArray(ArraySpec((2, 3), "int64", ("y", "x"), (1, 3)), read)
    SAVE(Item("a", lazy)).unwrap()
    source[...] = 0
    back = LOAD("a").unwrap().payload
    assert is_host_array(back)
    assert back.tolist() == [[0, 1, 2], [3, 4, 5]]


class Stubborn:
    """What cannot be copied."""

    def __deepcopy__(self, memo: object) -> Stubborn:
        raise ZeroDivisionError("no copies")


@pytest.mark.parametrize("payload", [Stubborn(), [Stubborn()], (i for i in "a"), threading.Lock()])
def test_what_cannot_be_copied_is_a_typed_error(payload: object) -> None:
    assert error_of(save_anything(payload)) == "UnsupportedPayload"
    assert list_files(MEMORY).unwrap() == ()


def test_what_memory_does_not_take_is_said() -> None:
    SAVE(Item("a.npy", 1)).unwrap()
    told = default_dispatcher().run(load(MEMORY, format=NPY), "a.npy")
    assert error_of(told) == "UnsupportedOperation"
    options = save(MEMORY, options=TiffOptions())(Item("b.tif", 1))
    assert error_of(options) == "UnsupportedPayload"
    assert "TiffOptions" in str(options.failure())


@pytest.mark.parametrize("if_exists", ["fail", "skip"])
def test_of_many_threads_one_is_first(if_exists: str) -> None:
    step = SAVE if if_exists == "fail" else save(MEMORY, if_exists="skip")
    start = threading.Barrier(8)

    def race(who: int) -> list[str]:
        done: list[str] = []
        for turn in range(50):
            start.wait()
            outcome = step(Item(f"folder/{turn}", who))
            done.append(outcome.unwrap().status if is_successful(outcome) else error_of(outcome))
        return done

    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(race, range(8)))
    loser = "AlreadyExists" if if_exists == "fail" else "skipped"
    for turn in range(50):
        found = [done[turn] for done in results]
        assert sorted(found) == sorted(["written", *[loser] * 7])
        assert LOAD(f"folder/{turn}").unwrap().payload == found.index("written")


def test_a_word_that_is_no_mode_replaces_nothing() -> None:
    SAVE(Item("a", 1)).unwrap()
    wrong = save(MEMORY, if_exists=cast("IfExists", "overwrite"))
    assert error_of(wrong(Item("a", 2))) != ""
    assert LOAD("a").unwrap().payload == 1


def test_a_key_is_no_folder_and_a_folder_no_key() -> None:
    SAVE(Item("a/b/c", 1)).unwrap()
    assert error_of(SAVE(Item("a/b", 2))) == "NotAFile"
    assert error_of(SAVE(Item("a/b/c/d", 2))) == "NotADirectory"
    assert "a folder of 1 item" in str(LOAD("a").failure())
    assert error_of(list_files(MEMORY, folder="a/b/c")) == "NotADirectory"
    assert error_of(list_files(MEMORY, folder="x")) == "NotFound"
    assert list_files(MEMORY, folder="a").unwrap() == ("a/b/c",)
    assert "'a/b/c'" in LOAD("a/b/d").failure().advice


@frozen
class Sized:
    """A payload that knows its size."""

    nbytes: int


@pytest.mark.parametrize(
    ("payload", "nbytes"),
    [
        (np.zeros(3, "u2"), 6),
        ({"x": np.zeros(3, "u2"), "y": np.zeros(2, "u1")}, 8),
        ({"x": np.zeros(3), "y": 1}, 0),
        ({}, 0),
        ("text", 0),
        (Sized(7), 7),
    ],
)
def test_what_was_saved_says_its_size(payload: object, nbytes: int) -> None:
    assert save_anything(payload).unwrap().nbytes == nbytes
