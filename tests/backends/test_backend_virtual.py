"""A virtual store: its items are those of other stores, or parts of them, under other keys."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from attrs import evolve
from virtual_stack import METADATA, stack

from polystore import (
    TIFF,
    DiskConfig,
    Dispatcher,
    Failure,
    FileFormat,
    FunctionFailed,
    HostArray,
    InvalidKey,
    InvalidSpec,
    Item,
    Key,
    LazyArray,
    Load,
    MemoryConfig,
    Metadata,
    NotADirectory,
    NotAFile,
    NotFound,
    Outcome,
    Payload,
    Place,
    ReadOnly,
    ReadOnlyConfig,
    Route,
    RouteConfig,
    UnsupportedOperation,
    UnsupportedPayload,
    VirtualConfig,
    VirtualItem,
    ZarrConfig,
    compose,
    default_dispatcher,
    default_registry,
    exists,
    is_dir,
    is_successful,
    list_dir,
    list_files,
    load,
    save,
    stat,
)
from polystore.core.payload import ArraySpec, Region
from polystore.core.records import Backend


@pytest.fixture
def memory(tmp_path: Path) -> MemoryConfig:
    config = MemoryConfig(name=str(tmp_path))
    save(config)(Item("stack", stack(), METADATA)).unwrap()
    return config


# Items.


def test_an_item_comes_from_another_store_under_another_key(memory: MemoryConfig) -> None:
    places = {
        "whole": VirtualItem(Place(memory, "stack")),
        "t1/gfp": VirtualItem(Place(memory, "stack"), (1, 1)),
        "top": VirtualItem(Place(memory, "stack"), ((0, 1), 0, (0, 2), (1, 3))),
    }
    views = VirtualConfig(places)
    assert load(views)("whole").unwrap().payload.tolist() == stack().tolist()
    gfp = load(views)("t1/gfp").unwrap()
    assert gfp.payload.tolist() == stack()[1, 1].tolist()
    assert gfp.key == "t1/gfp"
    assert gfp.metadata == Metadata(
        axes=("y", "x"),
        scale=(0.5, 0.25),
        unit=("micrometer", "micrometer"),
        channel_names=("gfp",),
    )
    assert load(views)("top").unwrap().payload.tolist() == stack()[:1, 0, :2, 1:3].tolist()


def test_what_is_loaded_is_memory_of_its_own(memory: MemoryConfig) -> None:
    views = VirtualConfig({"a": VirtualItem(Place(memory, "stack"), (0,))})
    array = load(views)("a").unwrap().payload
    array[...] = 7
    assert array.base is None or array.base.nbytes < stack().nbytes
    assert load(views)("a").unwrap().payload.tolist() == stack()[0].tolist()


@pytest.mark.parametrize(
    ("index", "where", "words"),
    [
        ((2,), "[0]", "the axis has 2 elements"),
        ((-1,), "[0]", "the axis has 2 elements"),
        ((0, (1, 4)), "[1]", "the axis has 3 elements"),
        ((0, (2, 1)), "[1]", "the axis has 3 elements"),
        ((0, 0, 0, 0, 0), "", "names 5 axes, and the array has 4"),
    ],
)
def test_an_index_that_does_not_fit_says_where(
    memory: MemoryConfig, index: object, where: str, words: str
) -> None:
    item = VirtualItem(Place(memory, "stack"), cast("tuple[int]", index))
    views = VirtualConfig({"a": item})
    for error in (load(views)("a").failure(), load(views, lazy=True)("a").failure()):
        if isinstance(error, UnsupportedOperation):  # memory has nothing lazily
            continue
        assert isinstance(error, InvalidSpec)
        assert error.where == f"virtual.items['a'].index{where}"
        assert words in error.message
        assert (error.key, error.config) == ("a", views)


def test_what_is_no_array_is_refused(memory: MemoryConfig) -> None:
    save(memory)(Item("wells", {"rows": 8})).unwrap()
    save(memory)(Item("arrays", {"a": np.arange(3)})).unwrap()
    for index in ((), (0,)):
        for key in ("wells", "arrays"):
            views = VirtualConfig({"a": VirtualItem(Place(memory, key), index)})
            assert isinstance(load(views)("a").failure(), UnsupportedPayload)


def test_an_array_of_a_framework_comes_to_the_host(memory: MemoryConfig) -> None:
    import torch

    save(memory)(Item("tensor", torch.arange(6).reshape(2, 3))).unwrap()
    views = VirtualConfig({"a": VirtualItem(Place(memory, "tensor"), (1,))})
    assert load(views)("a").unwrap().payload.tolist() == [3, 4, 5]


def test_numpys_numbers_are_numbers(memory: MemoryConfig) -> None:
    item = VirtualItem(Place(memory, "stack"), (np.int64(1), (np.int64(0), np.int64(2))))
    assert item == VirtualItem(Place(memory, "stack"), (1, (0, 2)))
    assert {type(part) for part in item.index} == {int, tuple}


# Only what is asked for is read.


def counting(name: str, regions: list[Region]) -> Dispatcher:
    """Give a dispatcher whose disk notes which regions are read, and never loads whole arrays."""
    record = default_dispatcher().backend(DiskConfig(root="x")).unwrap()

    def load_lazy(
        handle: object, key: Key, format: FileFormat[object] | None, /
    ) -> Outcome[Item[LazyArray]]:
        assert record.load_lazy is not None

        def noted(item: Item[LazyArray]) -> Item[LazyArray]:
            def read(region: Region) -> Outcome[HostArray]:
                regions.append(region)
                return item.payload.read(region)

            return Item(item.key, LazyArray(item.payload.spec, read), item.metadata)

        return record.load_lazy(handle, key, format).map(noted)

    def no_load(*_: object) -> Outcome[Item[Payload]]:
        return Failure(NotFound("", None, f"{name} loads nothing whole.", "Never."))

    noting: Backend[object, object] = evolve(record, load_lazy=load_lazy, load=no_load)
    return Dispatcher(default_registry().replacing(noting).unwrap())


def test_only_the_part_is_read(tmp_path: Path) -> None:
    disk = DiskConfig(root=tmp_path)
    save(disk)(Item("stack.tif", stack(), METADATA)).unwrap()
    views = VirtualConfig({"a": VirtualItem(Place(disk, "stack.tif"), (1, 1, (1, 3)))})
    regions: list[Region] = []
    dispatcher = counting("it", regions)
    item = dispatcher.run(load(views), "a").unwrap()
    assert item.payload.tolist() == stack()[1, 1, 1:3].tolist()
    assert regions == [(slice(1, 2), slice(1, 2), slice(1, 3), slice(0, 5))]
    regions.clear()
    lazy = dispatcher.run(load(views, lazy=True), "a").unwrap()
    assert lazy.payload.spec == ArraySpec((2, 5), "uint16", ("y", "x"), (2, 5))
    assert lazy.metadata == item.metadata
    assert lazy.payload.read((slice(1, 2), slice(None, 2))).unwrap().tolist() == [[90, 91]]
    assert regions == [(slice(1, 2), slice(1, 2), slice(2, 3), slice(0, 2))]
    dispatcher.pool.close()


@pytest.mark.parametrize("suffix", [".npy", ".tif", ".png"])
def test_formats_that_are_not_read_in_parts_are_read_whole(tmp_path: Path, suffix: str) -> None:
    disk = DiskConfig(root=tmp_path)
    array = np.arange(12, dtype="u1").reshape(3, 4)
    save(disk)(Item("a" + suffix, array)).unwrap()
    views = VirtualConfig({"row": VirtualItem(Place(disk, "a" + suffix), (1,))})
    assert load(views)("row").unwrap().payload.tolist() == [4, 5, 6, 7]
    lazy = load(views, lazy=True)("row")
    assert is_successful(lazy) == (suffix != ".png")


def test_a_format_is_that_of_the_file_behind(tmp_path: Path) -> None:
    disk = DiskConfig(root=tmp_path)
    save(disk)(Item("a.tif", np.arange(4, dtype="u1").reshape(2, 2))).unwrap()
    (tmp_path / "a.tif").rename(tmp_path / "a.bin")
    views = VirtualConfig({"a": VirtualItem(Place(disk, str(tmp_path / "a.bin")), (0,))})
    assert load(views, format=TIFF)("a").unwrap().payload.tolist() == [0, 1]
    assert type(load(views)("a").failure()).__name__ == "UnknownFormat"


# Keys and folders.


def plate(memory: MemoryConfig) -> VirtualConfig:
    items = {
        f"{well}/t{t}": VirtualItem(Place(memory, "stack"), (t,))
        for well in ("A1", "B/2")
        for t in (0, 1)
    }
    return VirtualConfig(items)


def test_folders_are_parts_of_keys(memory: MemoryConfig) -> None:
    views = plate(memory)
    assert list_files(views).unwrap() == ("A1/t0", "A1/t1", "B/2/t0", "B/2/t1")
    assert list_files(views, folder="B").unwrap() == ("B/2/t0", "B/2/t1")
    assert list_dir(views).unwrap() == ("A1", "B")
    assert list_dir(views, "B").unwrap() == ("B/2",)
    assert is_dir(views, "B").unwrap()
    assert stat(views, "A1/t1").unwrap().kind == "file"
    assert exists(views, "A1/t1").unwrap()
    assert not exists(views, "A1/t7").unwrap()
    assert isinstance(load(views)("B").failure(), NotAFile)
    assert isinstance(list_files(views, folder="C").failure(), NotFound)
    assert isinstance(list_files(views, folder="A1/t0").failure(), NotADirectory)
    assert load(views)("A1/t7").failure().advice == "Did you mean 'A1/t1'?"
    assert isinstance(save(cast("DiskConfig", views))(Item("a", 1)).failure(), ReadOnly)


@pytest.mark.parametrize(
    ("keys", "error"),
    [
        (("a", "a"), InvalidSpec),
        (("a", "a/b"), InvalidSpec),
        (("a/b", "a"), InvalidSpec),
        (("a/b/c", "a/b"), InvalidSpec),
        (("a", "a/b/c"), InvalidSpec),
        (("../a",), InvalidKey),
        (("",), InvalidKey),
    ],
)
def test_keys_that_cannot_stand_together_are_refused(
    memory: MemoryConfig, keys: tuple[str, ...], error: type
) -> None:
    item = VirtualItem(Place(memory, "stack"))
    views = VirtualConfig(tuple((key, item) for key in keys))
    assert isinstance(load(views)("x").failure(), error)
    assert isinstance(list_files(views).failure(), error)


def test_an_item_that_is_nowhere_is_said_to_come_from_there(memory: MemoryConfig) -> None:
    views = VirtualConfig({"a": VirtualItem(Place(memory, "none"))})
    for error in (load(views)("a").failure(), stat(views, "a").failure()):
        assert isinstance(error, NotFound)
        assert (error.key, error.config) == ("a", views)
        assert error.message.startswith("'a' comes from 'none' of another store.")
    assert not exists(views, "a").unwrap()
    assert list_files(views).unwrap() == ("a",)


def test_the_history_of_an_item_tells_of_its_key_alone(
    memory: MemoryConfig, tmp_path: Path
) -> None:
    views = plate(memory)
    item = load(views)("A1/t0").unwrap()
    assert item.history[-1].step == Load(
        VirtualConfig({"A1/t0": VirtualItem(Place(memory, "stack"), (0,))})
    )
    zarr = ZarrConfig(root=tmp_path / "a.zarr")
    compose(load(views), save(zarr))("B/2/t1").unwrap()
    loaded = load(zarr)("B/2/t1").unwrap().history[1].step
    assert "B/2/t1" in json.dumps(loaded)
    assert "A1" not in json.dumps(loaded)


# Functions.


def plane(key: str) -> VirtualItem | None:
    name, _, number = key.partition("/")
    return VirtualItem(Place(MemoryConfig(name), "stack"), (int(number),)) if number else None


def broken(key: str) -> VirtualItem | None:
    raise LookupError(key)


def test_a_function_says_where_a_key_comes_from() -> None:
    source = MemoryConfig("planes")
    save(source, if_exists="replace")(Item("stack", stack())).unwrap()
    views = VirtualConfig(plane, keys=("planes/0", "planes/1"))
    assert list_files(views).unwrap() == ("planes/0", "planes/1")
    assert load(views)("planes/1").unwrap().payload.tolist() == stack()[1].tolist()
    assert load(VirtualConfig(plane))("planes/0").unwrap().key == "planes/0"
    assert isinstance(load(views)("none").failure(), NotFound)
    assert isinstance(load(views)("planes").failure(), NotAFile)
    assert is_dir(views, "planes").unwrap()
    assert isinstance(load(views)("planes/x").failure(), FunctionFailed)


def test_what_a_function_raises_is_its_failure() -> None:
    views = VirtualConfig(broken, keys=("a",))
    for error in (load(views)("a").failure(), stat(views, "a").failure()):
        assert isinstance(error, FunctionFailed)
        assert "LookupError: a" in error.message
        assert "in broken" in error.traceback
        assert (error.key, error.config) == ("a", views)
    assert list_files(views).unwrap() == ("a",)


@pytest.mark.parametrize("given", ["a.npy", 3, ("a", "b")])
def test_what_is_no_virtual_item_is_refused(given: object) -> None:
    def function(_key: str) -> VirtualItem | None:
        return cast("VirtualItem", given)

    assert isinstance(load(VirtualConfig(function))("a").failure(), InvalidSpec)
    pairs = cast("tuple[tuple[str, VirtualItem], ...]", (("a", given),))
    assert isinstance(load(VirtualConfig(pairs))("a").failure(), InvalidSpec)


def test_keys_beside_a_mapping_are_refused(memory: MemoryConfig) -> None:
    views = VirtualConfig({"a": VirtualItem(Place(memory, "stack"))}, keys=("a",))
    assert isinstance(load(views)("a").failure(), InvalidSpec)


# Stores of stores.


def test_virtual_and_routed_and_read_only_stores_go_together(
    memory: MemoryConfig, tmp_path: Path
) -> None:
    routes = RouteConfig((Route(memory, ("array",)), Route(DiskConfig(root=tmp_path))))
    behind = ReadOnlyConfig(routes)
    views = VirtualConfig({"a/b": VirtualItem(Place(behind, "stack"), (1,))})
    again = VirtualConfig({"c": VirtualItem(Place(ReadOnlyConfig(views), "a/b"), (2,))})
    assert load(again)("c").unwrap().payload.tolist() == stack()[1, 2].tolist()
    assert pickle.loads(pickle.dumps(again)) == again


def test_ten_thousand_items_are_hashed_once() -> None:
    hashes: list[str] = []

    class Counted(str):
        __slots__ = ()

        def __hash__(self) -> int:
            hashes.append(self)
            return super().__hash__()

    place = Place(MemoryConfig("many"), Counted("stack"))
    views = VirtualConfig({f"{n // 100}/{n}": VirtualItem(place, (n,)) for n in range(10_000)})
    assert hash(views) == hash(views)
    list_files(views).unwrap()
    before = len(hashes)
    for n in range(100):
        load(views)(f"0/{n}")
    assert len(hashes) - before <= 100 * 10  # those of one item at a time
