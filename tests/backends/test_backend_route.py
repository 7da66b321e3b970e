"""A routed store: each item where its route leads, and one key one item in all of them."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import pytest
from attrs import evolve
from routes_made import error_of, zarr_and_disk

from polystore import (
    TIFF,
    AlreadyExists,
    Array,
    DiskConfig,
    Dispatcher,
    HostArray,
    IfExists,
    InvalidKey,
    InvalidSpec,
    Item,
    LazyArray,
    MemoryConfig,
    NotADirectory,
    NotAFile,
    NotFound,
    Outcome,
    Payload,
    ReadOnly,
    ReadOnlyConfig,
    Rois,
    Route,
    RouteConfig,
    Saved,
    Table,
    UnsupportedOperation,
    UnsupportedPayload,
    ZarrConfig,
    compose,
    default_dispatcher,
    default_registry,
    delete,
    ensure_directory,
    exists,
    is_dir,
    is_successful,
    list_dir,
    list_files,
    load,
    locked,
    move,
    save,
    stat,
    update,
)
from polystore.backends.memory import MEMORY
from polystore.backends.route import Routes
from polystore.core.payload import is_host_array

# Where an item goes.


@pytest.fixture
def plate(tmp_path: Path) -> RouteConfig:
    return zarr_and_disk(str(tmp_path))


def test_a_pipeline_saves_a_mixed_stream_to_one_place_and_reads_it_back(plate: RouteConfig) -> None:
    items: list[Item[Payload]] = [
        Item("A01", np.arange(6).reshape(2, 3)),
        Item("A01.json", {"rows": 8}),
        Item("notes/a.txt", "text"),
        Item("cells.csv", Table({"area": np.array([3, 4])})),
        Item("cells.roi.zip", Rois([])),
        Item("A02.npz", {"a": np.arange(3), "b": np.arange(2)}),
    ]
    source = MemoryConfig(name=f"source {plate}")
    for item in items:
        save(source)(item).unwrap()
    keys = [item.key for item in items]
    for key, saved in compose(load(source), save(plate)).map(keys):
        assert saved.unwrap() == Saved(str(key), plate, "written", saved.unwrap().nbytes)
    zarr, disk = (route.store for route in plate.routes)
    assert list_files(zarr).unwrap() == ("A01",)
    assert set(list_files(disk).unwrap()) == {*keys} - {"A01"}
    assert set(list_files(plate).unwrap()) == {*keys}
    for key, outcome in compose(load(plate)).map(keys):
        assert type(outcome.unwrap().payload) is type(load(source)(key).unwrap().payload)
    assert set(list_dir(plate).unwrap()) == {*keys, "notes"} - {"notes/a.txt"}


def lazily(array: HostArray, folder: Path) -> LazyArray:
    save(DiskConfig(root=folder), if_exists="replace")(Item("lazy.tif", array)).unwrap()
    return load(DiskConfig(root=folder), format=TIFF, lazy=True)("lazy.tif").unwrap().payload


def test_what_is_no_numpy_array_is_an_array_too(plate: RouteConfig, tmp_path: Path) -> None:
    import torch

    arrays: list[Array | LazyArray] = [torch.arange(3), lazily(np.arange(3, dtype="u2"), tmp_path)]
    for number, array in enumerate(arrays):
        save(plate)(Item[Payload](f"{number}", array)).unwrap()
    assert list_files(plate.routes[0].store).unwrap() == ("0", "1")


def test_what_no_route_takes_is_refused_with_the_routes(tmp_path: Path) -> None:
    disk = DiskConfig(root=tmp_path)
    arrays = RouteConfig((Route(disk, ("array",)), Route(disk, suffixes=(".json",))))
    for key, payload in (("a.txt", "text"), ("b.npz", {"a": np.arange(3)})):
        error = save(arrays)(Item[Payload](key, payload)).failure()
        assert isinstance(error, UnsupportedPayload)
        assert (error.key, error.config) == (key, arrays)
        assert "the kinds array to disk; any kind with a suffix of .json to disk" in error.advice
    assert list(tmp_path.iterdir()) == []
    assert save(arrays)(Item("a.JSON", 1)).unwrap().status == "written"


def test_a_suffix_hides_what_other_routes_would_not_have_saved(tmp_path: Path) -> None:
    disk, memory = DiskConfig(root=tmp_path), MemoryConfig(name=str(tmp_path))
    routes = RouteConfig((Route(disk, suffixes=(".json",)), Route(memory)))
    save(disk)(Item("seen.json", 1)).unwrap()
    save(disk)(Item("hidden.txt", "text")).unwrap()
    assert list_files(routes).unwrap() == ("seen.json",)
    assert list_dir(routes).unwrap() == ("seen.json",)
    assert isinstance(load(routes)("hidden.txt").failure(), NotFound)
    assert not exists(routes, "hidden.txt").unwrap()
    assert isinstance(delete(routes, "hidden.txt").failure(), NotFound)
    assert save(routes)(Item("hidden.txt", "other")).unwrap().status == "written"
    assert load(disk)("hidden.txt").unwrap().payload == "text"
    assert load(routes)("hidden.txt").unwrap().payload == "other"
    save(disk)(Item("below.txt", "text")).unwrap()
    save(routes)(Item("below.txt/a", "a")).unwrap()
    assert list_files(routes, folder="below.txt").unwrap() == ("below.txt/a",)


def test_a_name_that_a_store_reserves_is_no_key_there_and_one_elsewhere(plate: RouteConfig) -> None:
    error = save(plate)(Item("a/zarr.json", np.arange(3))).failure()
    assert isinstance(error, InvalidKey)
    assert "reserved by the zarr store" in error.message
    save(plate)(Item("a/zarr.json", {"x": 1})).unwrap()
    assert load(plate)("a/zarr.json").unwrap().payload == {"x": 1}


def test_skip_asks_all_routes_before_it_loads(plate: RouteConfig, tmp_path: Path) -> None:
    save(plate)(Item("a.json", {"x": 1})).unwrap()
    nowhere = load(DiskConfig(root=tmp_path / "no such folder"))
    skipped = compose(nowhere, save(plate, if_exists="skip"))("a.json").unwrap()
    assert skipped == Saved("a.json", plate, "skipped", 0)


def test_what_is_replaced_in_another_store_goes_only_once_the_new_is_whole(
    plate: RouteConfig,
) -> None:
    save(plate)(Item("a.json", {"old": 1})).unwrap()
    unsaveable = Item[Payload]("a.json", np.array([object()]))
    assert not is_successful(save(plate, if_exists="replace")(unsaveable))
    assert load(plate)("a.json").unwrap().payload == {"old": 1}
    save(plate, if_exists="replace")(Item("a.json", np.arange(3))).unwrap()
    assert list_files(plate.routes[1].store).unwrap() == ()


# What stores can be put together.


def test_one_store_can_have_many_routes(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("root")
    disk = DiskConfig(root=tmp_path / "root")
    ensure_directory(disk, "made").unwrap()
    synced = DiskConfig(root=tmp_path / "link", durability="fsync")
    routes = RouteConfig((Route(synced, suffixes=(".json",)), Route(disk), Route(disk)))
    modes: tuple[IfExists, ...] = ("fail", "replace")
    for if_exists in modes:
        save(routes, if_exists=if_exists)(Item("a.json", 1)).unwrap()
    assert isinstance(save(routes)(Item("a.json", 1)).failure(), AlreadyExists)
    assert list_files(routes).unwrap() == ("a.json",)
    handle = default_dispatcher().open(routes).unwrap().handle
    assert isinstance(handle, Routes)
    assert len(handle.parts) == 1
    assert {id(each.part) for each in handle.taking} == {id(handle.parts[0])}


def overlapping(folder: str) -> list[RouteConfig]:
    disk, inside = DiskConfig(root=folder), DiskConfig(root=f"{folder}/inside")
    return [
        RouteConfig((Route(ZarrConfig(root=folder), ("array",)), Route(disk))),
        RouteConfig((Route(disk, ("json",)), Route(inside))),
        RouteConfig((Route(inside, ("json",)), Route(disk))),
        RouteConfig((Route(DiskConfig(root=f"{folder}/link/inside"), ("json",)), Route(disk))),
        RouteConfig(
            (Route(disk, ("json",)), Route(RouteConfig((Route(disk), Route(MemoryConfig())))))
        ),
    ]


@pytest.mark.parametrize("number", range(5))
def test_stores_that_overlap_are_refused(tmp_path: Path, number: int) -> None:
    (tmp_path / "link").symlink_to(".")
    routes = overlapping(str(tmp_path))[number]
    error = save(routes)(Item("a.json", 1)).failure()
    assert isinstance(error, InvalidSpec)
    assert "overlap" in error.message
    assert error.where == "route.routes"


@pytest.mark.parametrize(
    ("route", "where"),
    [
        (Route(MemoryConfig(), kinds=cast("tuple[()]", "array")), "kinds"),
        (Route(MemoryConfig(), kinds=cast("tuple[()]", ("images",))), "kinds"),
        (Route(MemoryConfig(), suffixes=("json",)), "suffixes"),
        (Route(MemoryConfig(), suffixes=cast("tuple[()]", ".json")), "suffixes"),
    ],
)
def test_a_wrong_route_says_where(route: Route, where: str) -> None:
    error = load(RouteConfig((route,)))("a").failure()
    assert isinstance(error, InvalidSpec)
    assert error.where == f"route.routes[0].{where}"


def test_no_routes_and_no_stores_are_refused() -> None:
    assert isinstance(load(RouteConfig(()))("a").failure(), InvalidSpec)
    no_route = cast("Route", MemoryConfig())
    assert isinstance(load(RouteConfig((no_route,)))("a").failure(), InvalidSpec)
    no_store = Route(cast("MemoryConfig", "plate"))
    assert error_of(load(RouteConfig((no_store,)))("a")) == "BackendNotRegistered"


def test_a_route_to_what_is_only_read_is_read_and_not_changed(tmp_path: Path) -> None:
    disk, memory = DiskConfig(root=tmp_path), MemoryConfig(name=str(tmp_path))
    save(disk)(Item("a.json", 1)).unwrap()
    below = cast("MemoryConfig", ReadOnlyConfig(disk))
    routes = RouteConfig((Route(memory, ("json",)), Route(below)))
    assert load(routes)("a.json").unwrap().payload == 1
    assert isinstance(save(routes)(Item("b.txt", "b")).failure(), ReadOnly)
    assert isinstance(delete(routes, "a.json").failure(), ReadOnly)
    assert isinstance(move(routes, "a.json", "b.json").failure(), ReadOnly)
    assert isinstance(save(routes)(Item("a.json", 2)).failure(), AlreadyExists)
    error = save(routes, if_exists="replace")(Item("a.json", 2)).failure()
    assert isinstance(error, ReadOnly)
    assert "is saved, and the old one could not be deleted" in error.message


# Folders, links and locks.


def test_a_folder_that_two_stores_have_is_one(plate: RouteConfig) -> None:
    save(plate)(Item("B02/a", np.arange(3))).unwrap()
    save(plate)(Item("B02/a.json", {"x": 1})).unwrap()
    assert is_dir(plate, "B02").unwrap()
    assert list_dir(plate).unwrap() == ("B02",)
    assert isinstance(delete(plate, "B02").failure(), NotAFile)
    move(plate, "B02", "C/03").unwrap()
    assert set(list_files(plate).unwrap()) == {"C/03/a", "C/03/a.json"}
    save(plate)(Item("D/a.json", 1)).unwrap()
    save(plate)(Item("e.json", 1)).unwrap()
    for there in ("D", "e.json"):
        assert isinstance(move(plate, "C", there).failure(), AlreadyExists)
        assert move(plate, "C", there, if_exists="skip").unwrap().status == "skipped"
    delete(plate, "e.json").unwrap()
    assert isinstance(move(plate, "C", "D/a.json/C").failure(), NotADirectory)
    assert isinstance(move(plate, "C", "C/C").failure(), InvalidKey)
    assert set(list_files(plate).unwrap()) == {"C/03/a", "C/03/a.json", "D/a.json"}


def test_a_folder_is_made_beside_what_is_there(plate: RouteConfig) -> None:
    assert ensure_directory(plate, "a/b").unwrap() == "a/b"
    assert ensure_directory(plate, "a/b").unwrap() == "a/b"
    assert is_dir(plate, "a/b").unwrap()
    save(plate)(Item("a/b/x.json", 1)).unwrap()
    assert not is_successful(ensure_directory(plate, "a/b/x.json"))
    assert not is_successful(ensure_directory(plate, "a/b/x.json/y"))
    delete(plate, "a/b/x.json").unwrap()
    delete(plate, "a/b").unwrap()
    assert not exists(plate, "a/b").unwrap()


def test_a_listing_of_no_folder_is_one_error(plate: RouteConfig) -> None:
    save(plate)(Item("a.json", 1)).unwrap()
    assert isinstance(list_files(plate, folder="none").failure(), NotFound)
    assert isinstance(list_files(plate, folder="a.json").failure(), NotADirectory)


def test_a_broken_link_is_there(plate: RouteConfig, tmp_path: Path) -> None:
    save(plate)(Item("a.json", 1)).unwrap()
    (tmp_path / "p/b.json").symlink_to("nowhere")
    assert stat(plate, "b.json").unwrap().kind == "broken link"
    assert isinstance(save(plate)(Item("b.json", np.arange(3))).failure(), AlreadyExists)
    assert list_files(plate).unwrap() == ("a.json", "b.json")
    save(plate, if_exists="replace")(Item("b.json", np.arange(3))).unwrap()
    assert not (tmp_path / "p/b.json").is_symlink()
    assert is_host_array(load(plate)("b.json").unwrap().payload)


def test_reading_and_writing_back_is_under_one_lock(plate: RouteConfig) -> None:
    def counted(run: Payload | None) -> Payload:
        return {"tries": 1 + cast("dict[str, int]", run or {"tries": 0})["tries"]}

    for _ in range(3):
        update(plate, "run.json", counted).unwrap()
    assert load(plate)("run.json").unwrap().payload == {"tries": 3}

    def again() -> Outcome[None]:
        return locked(plate, "run.json", lambda: delete(plate, "run.json"), timeout=0)

    assert error_of(locked(plate, "run.json", again)) == "LockTimeout"


def test_a_lazy_load_looks_through_the_routes(plate: RouteConfig) -> None:
    disk = cast("DiskConfig", plate.routes[1].store)
    save(disk)(Item("a.tif", np.arange(6, dtype="u2").reshape(2, 3))).unwrap()
    lazy = load(plate, lazy=True)("a.tif").unwrap().payload
    assert lazy.read((slice(1, 2), slice(0, 3))).unwrap().tolist() == [[3, 4, 5]]
    assert isinstance(load(plate, lazy=True)("b.tif").failure(), NotFound)
    save(plate)(Item("z", np.arange(3))).unwrap()
    lazy = load(plate, lazy=True)("z").unwrap().payload
    assert lazy.read((slice(1, 3),)).unwrap().tolist() == [1, 2]
    assert load(plate, region=slice(1, 3))("z").unwrap().payload.tolist() == [1, 2]
    assert isinstance(load(plate, format=TIFF)("a.tif").unwrap().payload, np.ndarray)


def test_a_store_that_cannot_say_what_it_holds_is_refused_beside_another(tmp_path: Path) -> None:
    blind = default_registry().replacing(evolve(MEMORY, stat=None)).unwrap()
    dispatcher = Dispatcher(blind)
    alone = RouteConfig((Route(MemoryConfig()),))
    both = RouteConfig((Route(MemoryConfig()), Route(DiskConfig(root=tmp_path))))
    assert dispatcher.run(save(alone), Item[Payload]("a", 1)).unwrap().status == "written"
    error = dispatcher.run(save(both), Item[Payload]("a", 1)).failure()
    assert isinstance(error, UnsupportedOperation)
    dispatcher.pool.close()
