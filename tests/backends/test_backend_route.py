"""A routed store: each item where its route leads, and one key one item in all of them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeAlias, cast

import numpy as np
import pytest
from attrs import evolve
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

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
    Json,
    Key,
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
    SaveOptions,
    Source,
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

Maker: TypeAlias = Callable[[str], RouteConfig]


def zarr_and_disk(folder: str) -> RouteConfig:
    zarr, disk = ZarrConfig(root=f"{folder}/p.zarr"), DiskConfig(root=f"{folder}/p")
    return RouteConfig(routes=(Route(zarr, kinds=("array",)), Route(disk)))


def disk_and_memory(folder: str) -> RouteConfig:
    disk, memory = DiskConfig(root=f"{folder}/p"), MemoryConfig(name=folder)
    return RouteConfig((Route(disk, kinds=("json",), suffixes=(".JSON",)), Route(memory)))


def nested(folder: str) -> RouteConfig:
    inner, memory = zarr_and_disk(folder), MemoryConfig(name=f"{folder} texts")
    return RouteConfig((Route(memory, kinds=("json",)), Route(inner), Route(memory)))


ROUTES: dict[str, Maker] = {
    "zarr and disk": zarr_and_disk,
    "disk and memory": disk_and_memory,
    "nested": nested,
}

keys = st.lists(st.sampled_from(("a.json", "b.json", "c 2.json")), min_size=1, max_size=3).map(
    "/".join
)
modes: st.SearchStrategy[IfExists] = st.sampled_from(("fail", "replace", "skip"))
payloads: st.SearchStrategy[Json | HostArray] = st.one_of(
    st.builds(np.full, st.sampled_from(((), (2, 3))), st.integers(0, 9), st.just("u1")),
    st.dictionaries(st.sampled_from("xy"), st.integers(0, 9)),
)


def error_of(outcome: Outcome[object]) -> str:
    return "" if is_successful(outcome) else type(outcome.failure()).__name__


def same(one: object, other: object) -> bool:
    if is_host_array(one) or is_host_array(other):
        assert is_host_array(one)
        assert is_host_array(other)
        return one.dtype == other.dtype and one.tobytes() == other.tobytes()
    return one == other


class RouteMachine(RuleBasedStateMachine):
    """A routed store of mixed items, and the dict that says what is in it."""

    def __init__(self, make: Maker) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp()
        self.config = make(self.folder)
        self.dispatcher = Dispatcher(default_registry())
        self.model: dict[str, Json | HostArray] = {}
        # Folders that have become empty stay, in some of the stores.
        self.folders_once: set[str] = set()

    def teardown(self) -> None:
        self.dispatcher.pool.close()
        shutil.rmtree(self.folder)

    def ancestors(self, key: str) -> list[str]:
        parts = key.split("/")
        return ["/".join(parts[:depth]) for depth in range(1, len(parts))]

    def below(self, folder: str) -> list[str]:
        return [key for key in self.model if key.startswith(folder + "/")]

    def is_below_item(self, key: str) -> bool:
        return any(folder in self.model for folder in self.ancestors(key))

    @rule(key=keys, value=payloads, if_exists=modes)
    def saves(self, key: str, value: Json | HostArray, if_exists: IfExists) -> None:
        step = save(self.config, if_exists=if_exists)
        outcome = self.dispatcher.run(step, Item[Payload](key, value))
        if self.is_below_item(key):
            assert error_of(outcome) == "NotADirectory"
        elif self.below(key):
            assert error_of(outcome) == "NotAFile"
        elif key in self.model and if_exists == "fail":
            assert error_of(outcome) == "AlreadyExists"
        elif key in self.model and if_exists == "skip":
            assert outcome.unwrap() == Saved(key, self.config, "skipped", 0)
        elif key in self.folders_once and not is_successful(outcome):
            assert error_of(outcome) == "NotAFile"
        else:
            assert outcome.unwrap().status == "written"
            assert (outcome.unwrap().key, outcome.unwrap().config) == (key, self.config)
            self.model[key] = value
            self.folders_once -= {key}
            self.folders_once.update(self.ancestors(key))
        if not is_successful(outcome):
            assert outcome.failure().config == self.config

    @rule(key=keys)
    def loads(self, key: str) -> None:
        outcome = self.dispatcher.run(load(self.config), key)
        if key in self.model:
            assert same(outcome.unwrap().payload, self.model[key])
        elif self.below(key):
            assert error_of(outcome) == "NotAFile"
        else:
            assert error_of(outcome) in ("NotFound", "NotAFile")

    @rule(key=keys)
    def asks(self, key: str) -> None:
        outcome = stat(self.config, key, dispatcher=self.dispatcher)
        if key in self.model:
            assert outcome.unwrap().kind == "file"
        elif self.below(key):
            assert outcome.unwrap().kind == "folder"
        elif is_successful(outcome):
            assert key in self.folders_once
        else:
            assert error_of(outcome) == "NotFound"

    @rule(key=keys)
    def deletes(self, key: str) -> None:
        outcome = delete(self.config, key, dispatcher=self.dispatcher)
        if key in self.model:
            outcome.unwrap()
            del self.model[key]
        elif self.below(key):
            assert error_of(outcome) == "NotAFile"
        elif is_successful(outcome):
            assert key in self.folders_once
        else:
            assert error_of(outcome) == "NotFound"

    @rule(old=keys, new=keys, if_exists=modes)
    def moves(self, old: str, new: str, if_exists: IfExists) -> None:
        outcome = move(self.config, old, new, if_exists=if_exists, dispatcher=self.dispatcher)
        moved = {key for key in self.model if key == old or key.startswith(old + "/")}
        if not is_successful(outcome):
            self.refuses_to_move(old, new, error_of(outcome))
        elif old == new:
            assert moved or old in self.folders_once
        elif outcome.unwrap().status == "skipped":
            assert if_exists == "skip"
            assert new in self.model or new in self.folders_once
        else:
            assert moved or old in self.folders_once
            assert moved == {old} or not self.below(new)
            went = {new + key.removeprefix(old): self.model.pop(key) for key in moved}
            self.model |= went
            self.folders_once.update(*(self.ancestors(key) for key in (new, *went)), {old, new})

    def refuses_to_move(self, old: str, new: str, error: str) -> None:
        if old not in self.model and not self.below(old) and old not in self.folders_once:
            assert error == "NotFound"
        elif new in self.model or new in self.folders_once:
            assert error in ("AlreadyExists", "NotAFile", "InvalidKey", "NotADirectory", "NotFound")
        else:
            below = new.startswith(old + "/") or self.is_below_item(new)
            gone = old not in self.model and not self.below(old)
            assert below or gone, error
            assert error in ("InvalidKey", "NotADirectory", "NotFound")

    @invariant()
    def lists_each_key_once(self) -> None:
        outcome = list_files(self.config, dispatcher=self.dispatcher)
        if self.model:
            assert sorted(outcome.unwrap()) == sorted(self.model)
        else:
            assert outcome.value_or(()) == ()

    @invariant()
    def each_key_is_in_one_store(self) -> None:
        places: dict[str, int] = {}
        for store in leaves(self.config):
            for key in list_files(store, dispatcher=self.dispatcher).value_or(()):
                places[key] = places.get(key, 0) + 1
        assert all(count == 1 for count in places.values()), places


def leaves(config: Source[object]) -> set[Source[object]]:
    if not isinstance(config, RouteConfig):
        return {config}
    found: set[Source[object]] = set()
    return found.union(*(leaves(route.store) for route in config.routes))


@pytest.mark.parametrize("routes", ROUTES)
def test_routes_are_one_dict(routes: str) -> None:
    machine = cast("type[RuleBasedStateMachine]", partial(RouteMachine, ROUTES[routes]))
    tries = max(settings().max_examples // 8, 10)  # each is many steps on real files
    run_state_machine_as_test(machine, settings=settings(max_examples=tries))


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
    assert isinstance(load(routes)("hidden.txt").failure(), NotFound)
    assert not exists(routes, "hidden.txt").unwrap()
    assert isinstance(delete(routes, "hidden.txt").failure(), NotFound)
    assert save(routes)(Item("hidden.txt", "other")).unwrap().status == "written"
    assert load(disk)("hidden.txt").unwrap().payload == "text"
    assert load(routes)("hidden.txt").unwrap().payload == "other"


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


def test_of_two_that_replace_at_once_one_is_kept(tmp_path: Path) -> None:
    disk, memory = DiskConfig(root=tmp_path), MemoryConfig(name=str(tmp_path))
    routes = RouteConfig((Route(memory, ("array",)), Route(disk)))
    others: list[Item[Payload]] = [Item("a.json", {"new": "longer"})]

    def save_then_be_overtaken(
        handle: object, key: Key, item: Item[Payload], how: SaveOptions, /
    ) -> Outcome[Saved]:
        assert record.save is not None
        saved = record.save(handle, key, item, how)
        while others:
            dispatcher.run(save(routes, if_exists="replace"), others.pop()).unwrap()
        return saved

    record = default_dispatcher().backend(memory).unwrap()
    slow = evolve(record, save=save_then_be_overtaken)
    dispatcher = Dispatcher(default_registry().replacing(slow).unwrap())
    save(disk)(Item("a.json", {"old": 1})).unwrap()
    step = save(routes, if_exists="replace")
    assert dispatcher.run(step, Item("a.json", np.arange(3))).unwrap().status == "written"
    assert dispatcher.run(load(routes), "a.json").unwrap().payload == {"new": "longer"}
    dispatcher.pool.close()


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
    assert isinstance(move(plate, "C", "D").failure(), AlreadyExists)
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
    assert isinstance(load(plate, lazy=True)("z").failure(), UnsupportedOperation)
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
