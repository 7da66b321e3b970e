"""Copies of Zarr arrays as they are stored, and whether an array was made by some history."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from attrs import evolve
from store_access import link, opened
from zarr_access import (
    ARRAY,
    ZARR_PYTHON,
    error_of,
    everything,
    got,
    hidden_in,
    made_by_zarr_python,
    path_of,
    put,
)

from polystore import (
    NPY,
    DiskConfig,
    Event,
    Gzip,
    IfExists,
    Item,
    Key,
    Outcome,
    ZarrConfig,
    ZarrLayout,
    apply,
    load,
    save,
)
from polystore.core.payload import HostArray


@pytest.fixture
def store(tmp_path: Path) -> ZarrConfig:
    return ZarrConfig(root=tmp_path / "plate.zarr")


@pytest.fixture
def other(tmp_path: Path) -> ZarrConfig:
    return ZarrConfig(root=tmp_path / "other.zarr")


def copied(
    store: ZarrConfig, key: str, to: ZarrConfig, new_key: str, if_exists: IfExists = "fail"
) -> Outcome[bool]:
    here, there = opened(store), opened(to)
    assert here.backend.copy is not None
    return here.backend.copy(here.handle, Key(key), there.handle, Key(new_key), if_exists)


def files_of(store: ZarrConfig, key: str) -> dict[str, bytes | None]:
    return everything(ZarrConfig(root=path_of(store, key)))


def test_a_copy_is_the_same_files(store: ZarrConfig, other: ZarrConfig) -> None:
    """Of arrays of others too, with what only they know."""
    put(store, "g/a", ARRAY).unwrap()
    path_of(store, "g/a/notes.txt").write_text("x")
    group = made_by_zarr_python(evolve(store, root=path_of(store, "v2")), 2)
    group.create_array("b", data=ARRAY, chunks=(3, 7), attributes={"lab": 3})
    ZARR_PYTHON.open_group(store.root).create_array("c", data=ARRAY, shards=(4, 10), chunks=(2, 5))
    link(store, "l", "c").unwrap()
    for key, end in (("g/a", "g/a"), ("v2/b", "v2/b"), ("c", "c"), ("l", "c")):
        outcome = copied(store, key, other, f"new/{key}")
        if key == "v2/b":  # the new store's groups are of version 3
            assert error_of(outcome) == "UnsupportedOperation"
            continue
        assert outcome.unwrap()
        assert files_of(other, f"new/{key}") == files_of(store, end)
        assert got(other, f"new/{key}").tolist() == ARRAY.tolist()
    assert copied(store, "g/a", store, "g/b").unwrap()
    assert files_of(store, "g/b") == files_of(store, "g/a")
    assert hidden_in(store) == hidden_in(other) == []


def test_a_copy_replaces_or_skips_as_a_save_does(store: ZarrConfig, other: ZarrConfig) -> None:
    put(store, "a", ARRAY).unwrap()
    put(other, "b", np.zeros(3)).unwrap()
    put(other, "g/c", np.zeros(3)).unwrap()
    assert error_of(copied(store, "a", other, "b")) == "AlreadyExists"
    assert copied(store, "a", other, "b", "skip").unwrap() is False
    assert error_of(copied(store, "a", other, "g", "replace")) == "NotAFile"
    assert error_of(copied(store, "none", other, "d")) == "NotFound"
    put(store, "f/a", ARRAY).unwrap()
    assert error_of(copied(store, "f", other, "d")) == "NotAFile"
    assert got(other, "b").tolist() == [0, 0, 0]
    assert copied(store, "a", other, "b", "replace").unwrap()
    assert got(other, "b").tolist() == ARRAY.tolist()


def test_what_would_be_stored_otherwise_is_not_copied(store: ZarrConfig, other: ZarrConfig) -> None:
    cut = evolve(store, chunks=(2, 5), shards=(4, 10), compressor=Gzip())
    put(cut, "a", ARRAY).unwrap()
    for config in (
        other,
        evolve(other, chunks=(2, 5), shards=(4, 10), compressor=Gzip()),
        evolve(other, layout=ZarrLayout.IMAGE),
    ):
        assert copied(store, "a", config, "a", "replace").unwrap(), config
    for config in (
        evolve(other, chunks=(2, 5), shards=()),
        evolve(other, chunks=(5, 5), shards=(10, 10), compressor=Gzip()),
        evolve(other, compressor=None),
    ):
        told = copied(store, "a", config, "b")
        assert error_of(told) == "UnsupportedOperation", config
        assert "Load it" in told.failure().advice
    assert sorted({name.partition("/")[0] for name in everything(other)}) == ["a", "zarr.json"]


def made_by(store: ZarrConfig, key: str, history: tuple[Event, ...]) -> bool:
    there = opened(store)
    assert there.backend.made_by is not None
    return there.backend.made_by(there.handle, Key(key), history).unwrap()


def double(array: HostArray) -> HostArray:
    return array * 2


def test_what_made_an_array_is_known(store: ZarrConfig, other: ZarrConfig, tmp_path: Path) -> None:
    disk = DiskConfig(root=tmp_path / "disk")
    save(disk)(Item("a.npy", ARRAY)).unwrap()

    def of_this_test(array: HostArray) -> HostArray:
        return array

    loaded = load(disk, format=NPY)("a.npy").unwrap()
    functions: list[Callable[[HostArray], HostArray]] = [double, of_this_test, lambda array: array]
    for function in functions:
        item = apply(function)(loaded).unwrap()
        save(store, if_exists="replace")(item).unwrap()
        assert made_by(store, "a.npy", item.history)
        assert made_by(store, "a.npy", ())
        renamed = tuple(evolve(event, key="b.npy") for event in item.history)
        assert not made_by(store, "a.npy", renamed)
        assert not made_by(store, "a.npy", item.history[:1])
        again = save(other, if_exists="replace")(load(store)("a.npy").unwrap()).unwrap()
        assert again.status == "written"
        assert made_by(other, "a.npy", load(store)("a.npy").unwrap().history)
    assert not made_by(store, "a.npy", apply(double)(loaded).unwrap().history)


def test_what_has_no_history_may_be_made_by_any(store: ZarrConfig) -> None:
    made_by_zarr_python(store).create_array("a", data=ARRAY)
    assert made_by(store, "a", (Event("b", {"load": {}}, 0, "1"),))
