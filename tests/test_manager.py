"""A `FileManager` does by name what the functions do on a config: all of it, and nothing else."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TypeAlias, cast

import attrs
import numpy as np
import pytest

import polystore
from polystore import (
    TIFF,
    BackendNotRegistered,
    DiskConfig,
    Dispatcher,
    FileManager,
    Item,
    MemoryConfig,
    Place,
    ReadOnlyConfig,
    Registry,
    Success,
    ZarrConfig,
    compose,
    convert,
    default_dispatcher,
    default_registry,
    fold,
    load,
    rename,
    save,
)
from polystore.files import asking, copying, linking, listing, locking, removing, stack

MODULES: tuple[ModuleType, ...] = (asking, copying, linking, listing, locking, removing, stack)

Operation: TypeAlias = Callable[..., object]

OPERATIONS: dict[str, Operation] = {
    name: function
    for module in MODULES
    for name in module.__all__
    if name in polystore.__all__
    and inspect.isfunction(function := cast("Operation", getattr(module, name)))
}
"""The functions of `polystore.files`, by name."""


@pytest.fixture
def stores(tmp_path: Path) -> FileManager:
    """Give a manager with a dispatcher of its own: what goes to the default one is not found."""
    plate = DiskConfig(root=tmp_path / "plate")
    manager = FileManager(
        {
            "disk": plate,
            "view": DiskConfig(root=tmp_path / "view", links_to=(plate,)),
            "memory": MemoryConfig(name="manager"),
            "zarr": ZarrConfig(root=tmp_path / "plate.zarr"),
        },
        Dispatcher(default_registry()),
    )
    for key in ("a/f10.tif", "a/f2.tif", "b.tif"):
        manager.save(Item(key, np.arange(6, dtype="u2").reshape(2, 3)), "disk").unwrap()
    manager.save(Item("notes.json", {"tries": 1}), "disk").unwrap()
    manager.create_symlink("link", "disk", "b.tif").unwrap()
    return manager


def test_it_has_every_file_operation_with_the_same_parameters() -> None:
    """Of what is given, only the store is another: its name, once or for both ends."""
    assert len(OPERATIONS) > 15
    for name, function in OPERATIONS.items():
        direct = set(inspect.signature(function).parameters) - {"store", "source", "dispatcher"}
        method = inspect.signature(getattr(FileManager, name)).parameters
        named = set(method) - {"self", "backend", "target_backend", "from_"}
        assert named == direct, name
        for parameter in named - {"to"}:
            there = inspect.signature(function).parameters[parameter]
            assert method[parameter].default == there.default, (name, parameter)
            assert method[parameter].annotation == there.annotation or name in (
                "create_symlink",  # a place is a name and a key
                "update",  # any payload
            ), (name, parameter)


def unchanged(value: object) -> object:
    return value


KEYS = ("a", "b.tif", "link", "none")

Call: TypeAlias = tuple[Callable[[FileManager], object], Callable[[Dispatcher], object]]


def as_functions(stores: FileManager) -> dict[str, Call]:
    """Give each operation by name, and on the config: neither changes what the other sees."""
    disk, view = stores.store("disk").unwrap(), stores.store("view").unwrap()
    p = polystore
    return {
        "exists": (
            lambda m: [m.exists(key, "disk") for key in KEYS],
            lambda d: [p.exists(disk, key, dispatcher=d) for key in KEYS],
        ),
        "is_file": (
            lambda m: [m.is_file(key, "disk") for key in KEYS],
            lambda d: [p.is_file(disk, key, dispatcher=d) for key in KEYS],
        ),
        "is_dir": (
            lambda m: [m.is_dir(key, "disk") for key in KEYS],
            lambda d: [p.is_dir(disk, key, dispatcher=d) for key in KEYS],
        ),
        "is_symlink": (
            lambda m: [m.is_symlink(key, "disk") for key in KEYS],
            lambda d: [p.is_symlink(disk, key, dispatcher=d) for key in KEYS],
        ),
        "stat": (lambda m: m.stat("b.tif", "disk"), lambda d: p.stat(disk, "b.tif", dispatcher=d)),
        "list_files": (
            lambda m: m.list_files("disk", folder="a", pattern="*f*", suffixes=".tif"),
            lambda d: p.list_files(disk, folder="a", pattern="*f*", suffixes=".tif", dispatcher=d),
        ),
        "iter_files": (
            lambda m: sorted(map(str, m.iter_files("disk", folder="a"))),
            lambda d: sorted(map(str, p.iter_files(disk, folder="a", dispatcher=d))),
        ),
        "list_image_files": (
            lambda m: m.list_image_files("disk", recursive=False),
            lambda d: p.list_image_files(disk, recursive=False, dispatcher=d),
        ),
        "list_dir": (
            lambda m: m.list_dir("disk", folder="a"),
            lambda d: p.list_dir(disk, "a", dispatcher=d),
        ),
        "find_file": (
            lambda m: m.find_file("f2.tif", "disk"),
            lambda d: p.find_file(disk, "f2.tif", dispatcher=d),
        ),
        "collect_dirs_and_files": (
            lambda m: m.collect_dirs_and_files("disk"),
            lambda d: p.collect_dirs_and_files(disk, dispatcher=d),
        ),
        "load_stack": (
            lambda m: m.load_stack("disk", folder="a", axis="t").map(spec_of),
            lambda d: p.load_stack(disk, folder="a", axis="t", dispatcher=d).map(spec_of),
        ),
        "ensure_directory": (
            lambda m: m.ensure_directory("a", "disk"),
            lambda d: p.ensure_directory(disk, "a", dispatcher=d),
        ),
        "delete": (
            lambda m: m.delete("none", "disk"),
            lambda d: p.delete(disk, "none", dispatcher=d),
        ),
        "delete_tree": (
            lambda m: m.delete_tree("none", "disk"),
            lambda d: p.delete_tree(disk, "none", dispatcher=d),
        ),
        "copy": (
            lambda m: m.copy("b.tif", "c.tif", from_="disk", to="view", if_exists="replace"),
            lambda d: p.copy(disk, "b.tif", "c.tif", to=view, if_exists="replace", dispatcher=d),
        ),
        "move": (
            lambda m: (
                m.copy("b.tif", "m.tif", from_="disk"),
                m.move("m.tif", "n.tif", from_="disk", to="view", if_exists="replace"),
            ),
            lambda d: (
                p.copy(disk, "b.tif", "m.tif", dispatcher=d),
                p.move(disk, "m.tif", "n.tif", to=view, if_exists="replace", dispatcher=d),
            ),
        ),
        "create_symlink": (
            lambda m: (
                m.create_symlink(
                    "l.tif", "view", "b.tif", target_backend="disk", if_exists="replace"
                ),
                m.stat("l.tif", "view").map(lambda it: it.link),
            ),
            lambda d: (
                p.create_symlink(
                    view, "l.tif", Place(disk, "b.tif"), if_exists="replace", dispatcher=d
                ),
                p.stat(view, "l.tif", dispatcher=d).map(lambda it: it.link),
            ),
        ),
        "mirror": (
            lambda m: m.mirror(from_="disk", to="view", folder="a", if_exists="replace"),
            lambda d: p.mirror(disk, view, folder="a", if_exists="replace", dispatcher=d),
        ),
        "update": (
            lambda m: m.update("notes.json", "disk", lambda it: it or 1, 2.0),
            lambda d: p.update(disk, "notes.json", lambda it: it or 1, 2.0, dispatcher=d),
        ),
        "locked": (
            lambda m: m.locked("b.tif", "disk", lambda: Success(7), 2.0),
            lambda d: p.locked(disk, "b.tif", lambda: Success(7), 2.0, dispatcher=d),
        ),
    }


def spec_of(item: Item[polystore.LazyArray]) -> object:
    return item.key, item.payload.spec, item.metadata


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_by_name_is_the_function_on_the_config(name: str, stores: FileManager) -> None:
    by_name, direct = as_functions(stores)[name]
    direct(stores.dispatcher)  # so that what is to be made is there
    given = by_name(stores)
    configs = {config for _, config in stores.stores}
    assert not configs & default_dispatcher().pool.configs(), "it ran on the default dispatcher"
    assert given == direct(stores.dispatcher)


@pytest.mark.parametrize("config", ["plate", 3, None, [], {}, object()])
def test_a_store_that_is_no_config_is_an_error_when_it_is_used(config: object) -> None:
    stores = FileManager({"odd": cast("DiskConfig", config)})
    for outcome in (stores.load("a.npy", "odd"), stores.save(Item("a.npy", 1), "odd")):
        assert isinstance(outcome.failure(), BackendNotRegistered)


@pytest.mark.parametrize("stores", [3, "disk", {1: MemoryConfig()}, [MemoryConfig()]])
def test_what_is_no_mapping_of_names_is_refused_at_once(stores: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        FileManager(cast("dict[str, MemoryConfig]", stores))


def test_it_is_a_value(tmp_path: Path) -> None:
    disk, memory = DiskConfig(root=tmp_path), MemoryConfig()
    manager = FileManager({"disk": disk, "memory": memory})
    same = FileManager({"memory": memory, "disk": disk})
    assert manager == same
    assert hash(manager) == hash(same)
    assert manager != FileManager({"disk": disk})
    assert manager != attrs.evolve(manager, dispatcher=Dispatcher(Registry.of().unwrap()))
    assert attrs.evolve(manager) == manager
    assert attrs.evolve(manager, stores={"disk": disk}).names == ("disk",)
    assert repr(manager) == f"FileManager({{'disk': {disk!r}, 'memory': {memory!r}}})"
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        manager.stores = ()  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue] - that it is refused


def test_a_change_of_the_mapping_does_not_reach_it() -> None:
    named = {"memory": MemoryConfig()}
    manager = FileManager(named)
    named["other"] = MemoryConfig(name="other")
    assert manager.names == ("memory",)


def test_it_pickles_with_the_default_dispatcher_and_stays_itself(tmp_path: Path) -> None:
    manager = FileManager({"disk": DiskConfig(root=tmp_path)})
    back = cast("FileManager", pickle.loads(pickle.dumps(manager)))
    assert back == manager
    assert back.dispatcher is default_dispatcher()
    manager.save(Item("a.json", 1), "disk").unwrap()
    assert back.load("a.json", "disk").unwrap().payload == 1


def test_a_pipeline_takes_the_stores_by_their_names(stores: FileManager) -> None:
    disk, zarr = stores.store("disk").unwrap(), stores.store("zarr", ZarrConfig).unwrap()
    pipeline = compose(
        load(stores.store("disk", DiskConfig).unwrap(), format=TIFF),
        convert(to="numpy"),
        rename(suffix=""),
        save(zarr),
    )
    assert stores.run(pipeline, "b.tif").unwrap().key == "b"
    assert np.array_equal(
        cast("polystore.HostArray", stores.load("b", "zarr").unwrap().payload),
        stores.load("b.tif", "disk", format=TIFF).unwrap().payload,
    )
    assert disk not in default_dispatcher().pool.configs()


def test_the_kind_of_a_store_is_checked(stores: FileManager) -> None:
    error = stores.store("zarr", DiskConfig).failure()
    assert isinstance(error, BackendNotRegistered)
    assert error.message == "The store 'zarr' is a ZarrConfig, and no DiskConfig."


def test_copies_and_moves_between_names(stores: FileManager) -> None:
    stores.copy("notes.json", from_="disk", to="memory").unwrap()
    assert stores.load("notes.json", "memory").unwrap().payload == {"tries": 1}
    stores.move("notes.json", "old/notes.json", from_="memory").unwrap()
    assert stores.list_files("memory").unwrap() == ("old/notes.json",)
    kind = fold(stores.copy("notes.json", from_="disk"), str, lambda e: type(e).__name__)
    assert kind != "BackendNotRegistered"


def test_a_store_that_cannot_says_so(tmp_path: Path) -> None:
    stores = FileManager({"raw": ReadOnlyConfig(DiskConfig(root=tmp_path))})
    assert not isinstance(stores.save(Item("a.json", 1), "raw").failure(), BackendNotRegistered)
    assert list(tmp_path.iterdir()) == []
