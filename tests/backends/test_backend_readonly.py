"""A read-only store gives what the store behind it gives, and changes nothing in it."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from polystore import (
    TIFF,
    DiskConfig,
    HostArray,
    InvalidKey,
    InvalidSpec,
    Item,
    MemoryConfig,
    NotFound,
    Outcome,
    Payload,
    ReadOnly,
    ReadOnlyConfig,
    Sink,
    UnsupportedOperation,
    ZarrConfig,
    compose,
    copy,
    create_symlink,
    default_dispatcher,
    delete,
    delete_tree,
    ensure_directory,
    exists,
    from_spec,
    is_successful,
    list_dir,
    list_files,
    load,
    locked,
    move,
    save,
    stat,
    to_spec,
)

STORES: dict[str, Callable[[Path], object]] = {
    "disk": lambda folder: DiskConfig(root=folder),
    "memory": lambda folder: MemoryConfig(name=str(folder)),
    "zarr": lambda folder: ZarrConfig(root=folder / "a.zarr"),
}


@pytest.fixture(params=STORES)
def inner(request: pytest.FixtureRequest, tmp_path: Path) -> DiskConfig:
    """Give a store of each kind; its static type is that of the one that takes most."""
    store = cast("DiskConfig", STORES[request.param](tmp_path))
    for key in ("a.npy", "b/c.npy"):
        save(store)(Item(key, np.arange(3))).unwrap()
    return store


def test_it_gives_what_the_store_behind_it_gives(inner: DiskConfig) -> None:
    seen = ReadOnlyConfig(inner)
    assert list_files(seen) == list_files(inner)
    assert list_dir(seen) == list_dir(inner)
    assert stat(seen, "a.npy") == stat(inner, "a.npy")
    for key in list_files(seen).unwrap():
        one, other = load(seen)(key).unwrap(), load(inner)(key).unwrap()
        assert np.array_equal(cast("HostArray", one.payload), cast("HostArray", other.payload))
        assert one.metadata == other.metadata


def changes(seen: ReadOnlyConfig[Payload]) -> dict[str, Outcome[object]]:
    sink = cast("DiskConfig", seen)
    return {
        "save": save(sink)(Item("new.npy", np.arange(2))),
        "replace": save(sink, if_exists="replace")(Item("a.npy", np.arange(2))),
        "skip": save(sink, if_exists="skip")(Item("a.npy", np.arange(2))),
        "pipeline": compose(load(seen), save(sink, if_exists="skip"))("a.npy"),
        "delete": delete(sink, "a.npy"),
        "delete_tree": delete_tree(sink, "b"),
        "move": move(sink, "a.npy", "d.npy"),
        "copy": copy(seen, "a.npy", "d.npy", to=sink),
        "ensure_directory": ensure_directory(sink, "folder"),
        "create_symlink": create_symlink(sink, "link.npy", "a.npy"),
        "locked": locked(sink, "a.npy", lambda: exists(seen, "a.npy")),
    }


def test_nothing_changes_it(inner: DiskConfig) -> None:
    seen = ReadOnlyConfig(inner)
    before = [(key, stat(inner, key)) for key in list_files(inner).unwrap()]
    for name, outcome in changes(seen).items():
        assert not is_successful(outcome), name
        assert isinstance(outcome.failure(), ReadOnly), (name, outcome)
        assert outcome.failure().config == seen, name
    assert [(key, stat(inner, key)) for key in list_files(inner).unwrap()] == before


def test_its_keys_are_those_of_the_store_behind_it(tmp_path: Path) -> None:
    disk, zarr = DiskConfig(root=tmp_path / "p"), ZarrConfig(root=tmp_path / "p.zarr")
    save(disk)(Item("a.npy", np.arange(3))).unwrap()
    for seen in (ReadOnlyConfig(disk), ReadOnlyConfig(ReadOnlyConfig(disk))):
        assert load(seen)(tmp_path / "p/a.npy").unwrap().key == "a.npy"
        assert isinstance(load(seen)(tmp_path / "q/a.npy").failure(), InvalidKey)
    error = load(ReadOnlyConfig(zarr))("a/zarr.json").failure()
    assert isinstance(error, InvalidKey)
    assert "reserved" in error.message


def test_its_errors_are_about_it(inner: DiskConfig) -> None:
    seen = ReadOnlyConfig(inner)
    error = load(seen)("b.npy").failure()
    assert isinstance(error, NotFound)
    assert (error.key, error.config) == ("b.npy", seen)
    assert list_files(seen, folder="none").failure().config == seen


def test_what_the_store_behind_it_cannot_do_it_cannot(tmp_path: Path) -> None:
    memory = ReadOnlyConfig(MemoryConfig(name=str(tmp_path)))
    opened = default_dispatcher().open(memory).unwrap()
    assert opened.backend.get is None
    assert opened.backend.load_lazy is None
    assert isinstance(load(memory, lazy=True)("a").failure(), UnsupportedOperation)
    # and it is copied from, item by item
    save(cast("MemoryConfig", memory.inner))(Item("a.npy", np.arange(3))).unwrap()
    copied = copy(memory, "a.npy", to=DiskConfig(root=tmp_path))
    assert copied.unwrap().status == "written"


def test_it_reads_lazily_and_as_a_format(tmp_path: Path) -> None:
    disk = DiskConfig(root=tmp_path)
    save(disk)(Item("a.tif", np.arange(6, dtype="u1").reshape(2, 3))).unwrap()
    seen = ReadOnlyConfig(disk)
    assert load(seen, format=TIFF)("a.tif").unwrap().payload.tolist() == [[0, 1, 2], [3, 4, 5]]
    lazy = load(seen, lazy=True)("a.tif").unwrap().payload
    assert lazy.read((slice(1), slice(1))).unwrap().tolist() == [[0]]


@pytest.mark.parametrize("wrong", ["plate", None, ["plate"]])
def test_what_is_no_store_is_refused(wrong: object) -> None:
    config = ReadOnlyConfig(cast("DiskConfig", wrong))
    assert type(load(config)("a").failure()).__name__ == "BackendNotRegistered"


def test_it_pickles_and_goes_through_json(inner: DiskConfig) -> None:
    seen = ReadOnlyConfig(ReadOnlyConfig(inner))
    assert pickle.loads(pickle.dumps(seen)) == seen
    assert from_spec(json.loads(json.dumps(to_spec(seen).unwrap()))).unwrap() == seen


def test_no_sink_is_what_it_is() -> None:
    assert not issubclass(ReadOnlyConfig, Sink)


def test_stores_in_more_levels_than_python_can_follow_are_refused() -> None:
    deep = ReadOnlyConfig(MemoryConfig())
    for _ in range(3000):
        deep = ReadOnlyConfig(cast("MemoryConfig", deep))
    error = load(deep)("a").failure()
    assert isinstance(error, InvalidSpec)
    assert "levels" in str(error)
    assert isinstance(to_spec(deep).failure(), InvalidSpec)
