"""What others have written into a Zarr store, and what is said of damage."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr_access import (
    ARRAY,
    delete,
    error_of,
    fresh_store,
    got,
    listed,
    made_by_zarr_python,
    path_of,
    put,
    status,
)

from polystore import (
    Metadata,
    ZarrConfig,
    is_successful,
    load,
)

Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def store(tmp_path: Path) -> ZarrConfig:
    return ZarrConfig(root=tmp_path / "plate.zarr")


@pytest.fixture
def rows(tmp_path: Path) -> ZarrConfig:
    """A store in which each row of `ARRAY` is a chunk."""
    return ZarrConfig(root=tmp_path / "plate.zarr", chunks=(1, 20), shards=())


def test_others_arrays_are_read_and_listed(store: ZarrConfig) -> None:
    group = made_by_zarr_python(store)
    group.create_array("plain", data=ARRAY, attributes={"lab": 3}, dimension_names=("y", "x"))
    group.create_array("sharded", data=ARRAY, chunks=(2, 5), shards=(10, 10))
    group.create_group("deep").create_array("big-endian", data=ARRAY.astype(">u2"))
    assert listed(store) == ("deep/big-endian", "plain", "sharded")
    for key in listed(store):
        assert got(store, key).tolist() == ARRAY.tolist()
        assert status(store, key).unwrap().nbytes == 400
    metadata = load(store)("plain").unwrap().metadata
    assert metadata == Metadata(axes=("y", "x"), attributes={"lab": 3})
    put(store, "plain", ARRAY + 1, "replace").unwrap()
    assert got(store, "plain").tolist() == (ARRAY + 1).tolist()


def test_a_chunk_that_others_left_out_is_the_fill_value(store: ZarrConfig) -> None:
    array = made_by_zarr_python(store).create_array(
        "a", shape=(10, 20), chunks=(5, 20), dtype="u2", fill_value=7
    )
    array[:5] = 1
    assert np.unique(got(store, "a")).tolist() == [1, 7]


def test_codecs_beyond_the_specification_are_read_as_zarr_python_does(store: ZarrConfig) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from zarr.codecs.numcodecs import Zlib

        made_by_zarr_python(store).create_array("a", data=ARRAY, compressors=Zlib(level=1))
        assert got(store, "a").tolist() == ARRAY.tolist()
    # zarr-python warns of them, and warnings are errors here
    assert error_of(load(store)("a")) == "UnsupportedPayload"


def test_python_objects_are_not_read(store: ZarrConfig) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made_by_zarr_python(store).create_array("a", shape=(2,), dtype="variable_length_bytes")
    assert error_of(load(store)("a")) == "UnsupportedPayload"


def change_document(store: ZarrConfig, key: str, change: Change) -> None:
    path = path_of(store, f"{key}/zarr.json")
    fields = json.loads(path.read_bytes())
    change(fields)
    path.write_text(json.dumps(fields))


def chunked(shape: list[int]) -> Change:
    return lambda fields: fields["chunk_grid"]["configuration"].update(chunk_shape=shape)


def shaped(shape: list[int]) -> Change:
    return lambda fields: fields.update(shape=shape)


def noted(**notes: object) -> Change:
    return lambda fields: fields["attributes"]["polystore"].update(notes)


def both(one: Change, other: Change) -> Change:
    return lambda fields: (one(fields), other(fields))


EVENT = {"key": "a", "step": None, "nbytes": 1, "version": "1"}

CHANGES: dict[str, tuple[Change, str]] = {
    "negative shape": (shaped([-1, 20]), "Corrupt"),
    "shape of text": (lambda d: d.update(shape="abc"), "Corrupt"),
    "no shape": (lambda d: d.pop("shape"), "Corrupt"),
    "huge": (shaped([10**9, 10**9]), "TooLarge"),
    "huge and empty": (shaped([0, 10**30]), "Corrupt"),
    "one chunk too large": (chunked([10**9, 10**9]), "TooLarge"),
    "no chunk": (chunked([0, 20]), "Corrupt"),
    "too many chunks": (
        both(lambda d: d.update(shape=[10**5, 10**5]), chunked([1, 1])),
        "TooLarge",
    ),
    "too many axes": (
        both(lambda d: d.update(shape=[1] * 70), chunked([1] * 70)),
        "UnsupportedPayload",
    ),
    "another type": (lambda d: d.update(data_type="float64"), "Corrupt"),
    "a type of others": (lambda d: d.update(data_type="posit16"), "UnsupportedPayload"),
    "no type": (lambda d: d.update(data_type=None), "Corrupt"),
    "a codec of others": (lambda d: d["codecs"].append({"name": "x"}), "UnsupportedPayload"),
    "no codecs": (lambda d: d.update(codecs=[]), "Corrupt"),
    "codecs that are none": (lambda d: d.update(codecs=5), "Corrupt"),
    "a wrong fill value": (lambda d: d.update(fill_value="x"), "Corrupt"),
    "another grid": (lambda d: d.update(chunk_grid={"name": "x"}), "UnsupportedPayload"),
    "transformed": (
        lambda d: d.update(storage_transformers=[{"name": "x"}]),
        "UnsupportedPayload",
    ),
    "of no kind": (lambda d: d.update(node_type="blob"), "Corrupt"),
    "of version 2": (lambda d: d.update(zarr_format=2), "Corrupt"),
    "an endless event": (noted(history=[EVENT | {"nbytes": 1e400}]), "Corrupt"),
    "damaged notes": (lambda d: d["attributes"]["polystore"].update(history=5), "Corrupt"),
    "damaged metadata": (lambda d: d["attributes"]["polystore"].update(metadata=[1]), "Corrupt"),
    "later notes": (
        lambda d: d["attributes"]["polystore"].update(version=2),
        "UnsupportedOperation",
    ),
    "a group": (lambda d: d.update(node_type="group"), "NotAFile"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_document(store: ZarrConfig, name: str) -> None:
    change, error = CHANGES[name]
    put(store, "a", ARRAY).unwrap()
    change_document(store, "a", change)
    assert error_of(load(store)("a")) == error


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=60) | st.text('[]{}:,"truefalsn10e ', max_size=60).map(str.encode))
def test_any_bytes_as_a_document(content: bytes) -> None:
    with fresh_store() as store:
        put(store, "a", ARRAY).unwrap()
        path_of(store, "a/zarr.json").write_bytes(content)
        assert error_of(load(store)("a")) == "Corrupt"
        assert error_of(status(store, "a")) == "Corrupt"
        assert listed(store) == ("a",)
        put(store, "a", ARRAY, "replace").unwrap()
        assert got(store, "a").tolist() == ARRAY.tolist()


def test_a_document_nested_too_deeply(store: ZarrConfig) -> None:
    put(store, "a", ARRAY).unwrap()
    path_of(store, "a/zarr.json").write_text("[" * 100_000)
    assert error_of(load(store)("a")) == "Corrupt"


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 9), st.integers(0, 2**32), st.integers(1, 255))
def test_a_changed_byte_anywhere_in_a_chunk(row: int, place: int, change: int) -> None:
    with fresh_store() as fresh:
        store = evolve(fresh, chunks=(1, 20), shards=())
        put(store, "a", ARRAY).unwrap()
        path = path_of(store, f"a/c/{row}/0")
        content = bytearray(path.read_bytes())
        content[place % len(content)] ^= change
        path.write_bytes(content)
        assert error_of(load(store)("a")) == "Corrupt"


@pytest.mark.parametrize("size", [0, 3, 10])
def test_a_shortened_chunk(rows: ZarrConfig, size: int) -> None:
    store = rows
    put(store, "a", ARRAY).unwrap()
    os.truncate(path_of(store, "a/c/3/0"), size)
    assert error_of(load(store)("a")) == "Corrupt"


def test_a_chunk_that_is_far_too_long(tmp_path: Path) -> None:
    store = ZarrConfig(root=tmp_path / "plate.zarr", max_bytes=2**20)
    put(store, "a", ARRAY).unwrap()
    os.truncate(path_of(store, "a/c/0/0"), 2**40)  # a hole: the file system need not have so much
    assert error_of(load(store)("a")) == "Corrupt"


def test_a_missing_chunk_of_ours_is_damage_and_not_zeros(rows: ZarrConfig) -> None:
    store = rows
    put(store, "a", np.zeros((10, 20), "u2")).unwrap()
    assert len(list(path_of(store, "a/c").rglob("0"))) == 11, "zeros are written too"
    path_of(store, "a/c/3/0").unlink()
    assert error_of(load(store)("a")) == "Corrupt"
    assert "c/3/0" in load(store)("a").failure().message


def test_a_damaged_group_is_not_replaced(store: ZarrConfig) -> None:
    put(store, "g/a", ARRAY).unwrap()
    path_of(store, "g/zarr.json").write_text("{")
    assert error_of(put(store, "g", ARRAY, "replace")) == "NotAFile"
    assert error_of(delete(store, "g")) == "NotAFile"
    assert error_of(put(store, "g/b", ARRAY)) == "Corrupt"
    assert got(store, "g/a").tolist() == ARRAY.tolist()


def test_the_limit_is_the_configs(tmp_path: Path) -> None:
    small = ZarrConfig(root=tmp_path / "plate.zarr", max_bytes=5000)
    put(small, "a", np.zeros(5000, "u1")).unwrap()
    put(small, "b", np.zeros(5001, "u1")).unwrap()
    assert is_successful(load(small)("a"))
    assert error_of(load(small)("b")) == "TooLarge"
