"""What a Zarr store holds, what goes along with it, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from types import EllipsisType
from typing import cast

import ml_dtypes
import numpy as np
import pytest
from attrs import evolve
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from zarr_access import error_of, everything, fresh_store, got, put, seen_by_zarr_python

from polystore import (
    ArraySpec,
    Event,
    Item,
    Json,
    LazyArray,
    Metadata,
    Region,
    ZarrConfig,
    apply,
    is_successful,
    load,
    save,
)
from polystore.core.outcome import Outcome, Success
from polystore.core.payload import HostArray
from polystore.core.unnamed import unnamed_json


@pytest.fixture
def store(tmp_path: Path) -> ZarrConfig:
    return ZarrConfig(root=tmp_path / "plate.zarr")


def assert_same(one: HostArray, other: HostArray) -> None:
    """Same dtype, shape and bits."""
    assert one.dtype == other.dtype
    assert one.shape == other.shape
    assert one.tobytes() == other.tobytes()


SCALARS = (
    hnp.boolean_dtypes()
    | hnp.integer_dtypes(endianness="?")
    | hnp.unsigned_integer_dtypes(endianness="?")
    | hnp.floating_dtypes(endianness="?")
    | hnp.complex_number_dtypes(endianness="?")
    | hnp.datetime64_dtypes(endianness="?")
    | hnp.timedelta64_dtypes(endianness="?")
    | hnp.byte_string_dtypes(endianness="?", max_len=9)
    | hnp.unicode_string_dtypes(endianness="?", max_len=9)
)
DTYPES = SCALARS | hnp.array_dtypes(SCALARS, max_size=3) | hnp.nested_dtypes(SCALARS)


@st.composite
def arrays(draw: st.DrawFn) -> HostArray:
    """Arrays of any dtype and layout, with any bits in them."""
    dtype = draw(DTYPES)
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=9))
    if dtype.kind in "US" or dtype.names or dtype.hasobject:
        array = draw(hnp.arrays(dtype, shape))
    else:
        size = int(np.prod(shape)) * dtype.itemsize
        array = np.frombuffer(draw(st.binary(min_size=size, max_size=size)), dtype).reshape(shape)
        if dtype.kind == "b":
            array = array.view("u1") > 0
    view = draw(st.sampled_from(["as it is", "reversed", "transposed", "every other"]))
    if view == "transposed":
        return array.T
    step = {"as it is": 1, "reversed": -1, "every other": 2}[view]
    index: tuple[EllipsisType | slice, ...] = (..., *[slice(None, None, step)] * array.ndim)
    return array[index]


@settings(max_examples=40, deadline=None)
@given(array=arrays(), chunk=st.sampled_from([1, 3, None]), shard=st.sampled_from([0, 2, None]))
@example(np.array(["NaT"], "M8"), 3, 0)  # zarr-python cannot read the fill value that it gives
@example(np.arange(5, dtype=">u2"), 2, 0)
@example(np.zeros(1, [("f0", "?")]), 1, 2)
@example(np.zeros((3, 0, 2), "f4"), 1, 0)
def test_what_is_loaded_is_what_was_saved(
    array: HostArray, chunk: int | None, shard: int | None
) -> None:
    with fresh_store() as fresh:
        chunks = None if chunk is None else (chunk,) * array.ndim
        shards = None if shard is None else () if chunk is None else (chunk * shard,) * array.ndim
        store = evolve(fresh, chunks=chunks, shards=shards if shard else ())
        saved = put(store, "a", array)
        if not is_successful(saved):
            assert error_of(saved) == "UnsupportedPayload"
            assert everything(store) == {}
            return
        loaded = got(store, "a")
        assert_same(loaded, array)
        assert loaded.flags.writeable
        assert loaded.ctypes.data % 64 == 0
        if array.dtype.names is None or not store.shards:  # zarr-python cannot read such shards
            assert_same(seen_by_zarr_python(store, "a").astype(array.dtype), array)


HELD = {
    "structured": np.array([(1, 2.5, "x")], [("a", "u2"), ("b", "f8"), ("c", "U2")]),
    "wide records": np.zeros(3, [("a", "S300"), ("b", "i8")]),
    "nested": np.ones(2, [("a", [("x", "i4"), ("y", "f4")])]),
    "raw": np.array([b"abc", b"\0\1\2"], "V3"),
    "float16": np.array([1, -0.0, np.nan, np.inf], "f2"),
    "float8": np.array([1, -0.0, np.nan], ml_dtypes.float8_e4m3fn),
    "bfloat16": np.array([1, -0.0, np.nan, np.inf], ml_dtypes.bfloat16),
    "32 dimensions": np.zeros((1,) * 32, "u1"),
    "many chunks, uneven": np.arange(5_000_003, dtype="u1"),
    "read-only": np.frombuffer(b"abcd", "u1"),
    "Fortran": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    "broadcast": np.broadcast_to(np.arange(3), (4, 3)),
}


@pytest.mark.parametrize("name", HELD)
def test_held(store: ZarrConfig, name: str) -> None:
    put(store, "a", HELD[name]).unwrap()
    assert_same(got(store, "a"), HELD[name])


@pytest.mark.parametrize("code", "bBhHiIlLqQpPefdgFDG")
def test_each_name_that_numpy_has_for_a_size_is_one_size(store: ZarrConfig, code: str) -> None:
    """As zarr-python sees it, int64 is another dtype where it is NumPy's longlong."""
    dtype = np.dtype(code)
    if dtype.itemsize > 16 or dtype.str in ("<f16", ">f16"):
        assert error_of(put(store, "a", np.arange(3).astype(dtype))) == "UnsupportedPayload"
        return
    fields = np.dtype([("x", code), ("y", "u1")])
    for given_dtype in (dtype, dtype.newbyteorder(">"), fields):
        array = np.arange(3).astype(given_dtype)
        put(store, "a", array, if_exists="replace").unwrap()
        read = got(store, "a")
        assert (read.dtype, read.tolist()) == (array.dtype, array.tolist())


def test_strings_of_any_length_are_held(store: ZarrConfig) -> None:
    texts = np.array(["a", "", "Größe" * 100], np.dtypes.StringDType())
    put(store, "a", texts).unwrap()
    assert got(store, "a").dtype == texts.dtype
    assert got(store, "a").tolist() == texts.tolist()


REFUSED: dict[str, object] = {
    "objects": np.array([1, "a"], object),
    "long double": np.zeros(2, "g"),
    "big-endian records": np.zeros(2, [("a", ">i4")]),
    "padded records": np.zeros(2, np.dtype([("a", "u1"), ("b", "i8")], align=True)),
    "records of arrays": np.zeros(2, [("a", "i4", (2,))]),
    "nothing at all": np.zeros(2, "V0"),
    "missing strings": np.array(["a", None], np.dtypes.StringDType(na_object=None)),
    "JSON": {"wells": 96},
    "text": "text",
    "a mapping of arrays": {"a": np.zeros(2)},
    "a list": [1, 2],
    "None": None,
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_before_anything_is_written(store: ZarrConfig, name: str) -> None:
    assert error_of(put(store, "a", REFUSED[name])) == "UnsupportedPayload"
    assert not Path(store.root).exists()


def test_options_are_refused(store: ZarrConfig) -> None:
    saved = save(store, options="zstd")(Item("a", np.zeros(2)))
    assert error_of(saved) == "UnsupportedPayload"


def test_arrays_of_other_frameworks_are_held(store: ZarrConfig) -> None:
    torch = pytest.importorskip("torch")
    put(store, "torch", torch.arange(6).reshape(2, 3)).unwrap()
    assert_same(got(store, "torch"), np.arange(6).reshape(2, 3))


def test_a_lazy_array_is_read_whole(store: ZarrConfig) -> None:
    whole = np.arange(12.0).reshape(3, 4)

    def read(region: Region) -> Outcome[HostArray]:
        return Success(whole[region])

    put(store, "a", LazyArray(ArraySpec((3, 4), "float64", ("y", "x"), (1, 4)), read)).unwrap()
    assert_same(got(store, "a"), whole)


def test_later_changes_reach_no_one_else(store: ZarrConfig) -> None:
    array = np.zeros((4, 4), "u2")
    put(store, "a", array).unwrap()
    array[:] = 1
    first = got(store, "a")
    first[:] = 2
    assert got(store, "a").max() == 0


TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
METADATA = st.builds(
    Metadata,
    axes=st.lists(TEXTS, max_size=3).map(tuple),
    scale=st.lists(NUMBERS, max_size=3).map(tuple),
    unit=st.lists(TEXTS, max_size=3).map(tuple),
    channel_names=st.lists(TEXTS, max_size=3).map(tuple),
    attributes=st.dictionaries(TEXTS, JSON, max_size=3),
)
EVENTS = st.lists(st.builds(Event, TEXTS, JSON, st.integers(0, 2**60), TEXTS), max_size=3)


@settings(max_examples=30, deadline=None)
@given(METADATA, EVENTS)
def test_metadata_and_history_come_back(metadata: Metadata, events: list[Event]) -> None:
    with fresh_store() as store:
        item = Item("a", np.zeros((2, 3)), metadata, tuple(events))
        saved = save(store)(item).unwrap()
        assert saved.dropped == ()
        loaded = load(store)("a").unwrap()
        assert loaded.metadata == metadata
        assert loaded.history[: len(events)] == tuple(events)
        step = {"save": {"sink": {"zarr": {"root": store.root}}}}
        assert loaded.history[len(events)].step == step


def test_axes_are_the_names_of_dimensions_too(store: ZarrConfig) -> None:
    put(store, "a", np.zeros((2, 3)), metadata=Metadata(axes=("y", "x"))).unwrap()
    fields = json.loads((Path(store.root) / "a" / "zarr.json").read_bytes())
    assert fields["dimension_names"] == ["y", "x"]
    assert seen_by_zarr_python(store, "a").shape == (2, 3)


def test_what_json_cannot_say_is_named(store: ZarrConfig) -> None:
    metadata = Metadata(
        axes=("y",),
        scale=(float("nan"),),
        channel_names=cast("tuple[str, ...]", (1,)),
        attributes=cast("dict[str, Json]", {"a": object()}),
    )
    saved = save(store)(Item("a", np.zeros(2), metadata)).unwrap()
    assert saved.dropped == ("scale", "channel_names", "attributes")
    assert load(store)("a").unwrap().metadata == Metadata(axes=("y",))


def test_a_step_without_a_spec_leaves_its_repr(store: ZarrConfig) -> None:
    def of_this_test(array: HostArray) -> HostArray:
        return array

    step = apply(of_this_test)  # it has no name that another process could know
    history = (Event("a", step, 0, "1"),)
    save(store)(Item("a", np.zeros(2), Metadata(), history)).unwrap()
    assert load(store)("a").unwrap().history[0].step == unnamed_json(step)
