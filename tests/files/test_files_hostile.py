"""Whatever a file operation is given, its failure is a value, about a store and a key."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias, cast

import pytest
from attrs import frozen
from file_stores import Site, site_of

from polystore import (
    DiskConfig,
    IfExists,
    Item,
    MemoryConfig,
    Outcome,
    Payload,
    Place,
    ReadOnlyConfig,
    Route,
    RouteConfig,
    Store,
    Success,
    Unexpected,
    VirtualConfig,
    VirtualItem,
    ZarrConfig,
    collect_dirs_and_files,
    copy,
    create_symlink,
    delete,
    delete_tree,
    ensure_directory,
    exists,
    find_file,
    is_successful,
    is_symlink,
    iter_files,
    list_dir,
    list_files,
    list_image_files,
    load,
    load_stack,
    locked,
    mirror,
    move,
    save,
    stat,
    update,
)

Key: TypeAlias = str
"""What the operations are given for one, whatever it is."""


@frozen
class Given:
    """A store, and something that is taken for a key, a folder, a pattern, an option."""

    store: Store[Payload, Payload]
    key: Key
    other: DiskConfig


def _ran(given: Given) -> Iterator[Outcome[object]]:
    """Do everything to a store with something that may be anything."""
    store, key, disk = given.store, given.key, given.other
    for ask in (stat, exists, is_symlink, list_dir, collect_dirs_and_files, find_file):
        yield ask(store, key)
    yield list_files(store, folder=key)
    yield list_files(store, pattern=key)
    yield list_files(store, suffixes=key)
    yield list_image_files(store, pattern=key)
    yield from iter_files(store, folder=key)
    for change in (ensure_directory, delete, delete_tree):
        yield change(store, key)
    yield copy(store, key, "new.json")
    yield copy(disk, "a.json", key, to=store)
    yield copy(disk, "a.json", to=cast("Store[Payload, Payload]", key))
    yield copy(disk, "a.json", to=store, if_exists=cast("IfExists", key))
    yield move(store, key, "new.json")
    yield move(disk, "none.json", key, to=store)
    yield create_symlink(store, key, "a.json")
    yield create_symlink(store, "link", key)
    yield create_symlink(store, "link", Place(store, key))
    yield mirror(store, disk, folder=key)
    yield mirror(disk, cast("Store[Payload, Payload]", key))
    yield locked(store, key, lambda: Success(1), 0)
    yield locked(store, "a", lambda: Success(1), cast("float", key))
    yield locked(store, "a", cast("Callable[[], Outcome[int]]", key), 0)
    yield update(store, key, lambda payload: payload, 0)
    yield load_stack(store, folder=key)
    yield load_stack(store, axis=key)


HOSTILE: tuple[object, ...] = (
    *(None, 3, b"x", 1.5, [], {}, object(), Path("/"), Path("..")),
    *("", ".", "..", "/", "a\0b", "a\\b", "x" * 300, "a/" * 200 + "b", "\ud800", "a\nb", "~"),
)

STORES: dict[str, Callable[[DiskConfig, Path], object]] = {
    "disk": lambda _disk, folder: DiskConfig(root=folder / "store"),
    "memory": lambda _disk, folder: MemoryConfig(name=str(folder)),
    "zarr": lambda _disk, folder: ZarrConfig(root=folder / "store.zarr"),
    "readonly": lambda disk, _folder: ReadOnlyConfig(disk),
    "virtual": lambda disk, _folder: VirtualConfig({"v": VirtualItem(Place(disk, "a.json"))}),
    "route": lambda _disk, folder: RouteConfig(routes=(Route(DiskConfig(root=folder / "r")),)),
    "none": lambda _disk, _folder: None,
    "text": lambda _disk, folder: str(folder),
    "list": lambda _disk, _folder: [],
}


@pytest.mark.parametrize("kind", STORES)
def test_every_failure_is_a_value(kind: str, tmp_path: Path) -> None:
    disk = DiskConfig(root=tmp_path / "other")
    save(disk)(Item("a.json", 1)).unwrap()
    store = cast("Store[Payload, Payload]", STORES[kind](disk, tmp_path))
    failed = 0
    for key in HOSTILE:
        for outcome in _ran(Given(store, cast("str", key), disk)):
            if is_successful(outcome):
                continue
            failed += 1
            error = outcome.failure()
            assert not isinstance(error, Unexpected), error.traceback
            assert error.config is not None or store is None
            assert error.message.endswith((".", "?", ":"))
            assert error.advice
    assert failed > 200
    assert load(disk)("a.json").unwrap().payload == 1


def names_in(site: Site) -> tuple[str, ...]:
    return list_files(site.config, dispatcher=site.dispatcher).unwrap()


@pytest.mark.parametrize("kind", ["disk", "zarr"])
def test_nothing_outside_of_the_root_is_touched(kind: str, tmp_path: Path) -> None:
    site = site_of(kind, tmp_path).with_keys("a.npy")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine.npy").touch()
    root = Path(cast("DiskConfig", site.config).root)
    (root / "out").symlink_to(outside)
    run, before = site.dispatcher, sorted(outside.iterdir())
    for key in ("out/mine.npy", "out", "out/new", "../outside/mine.npy", str(outside)):
        for outcome in (
            delete_tree(site.config, key, dispatcher=run),
            ensure_directory(site.config, f"{key}/x", dispatcher=run),
            copy(site.config, "a.npy", f"{key}/b.npy", if_exists="replace", dispatcher=run),
            move(site.config, "a.npy", f"{key}/b.npy", if_exists="replace", dispatcher=run),
            copy(site.config, f"{key}/mine.npy", "c.npy", dispatcher=run),
            list_files(site.config, folder=f"{key}/x", dispatcher=run),
            load_stack(site.config, folder=f"{key}/x", dispatcher=run),
        ):
            assert not is_successful(cast("Outcome[object]", outcome)), key
    assert sorted(outside.iterdir()) == before
    assert names_in(site)[0] == "a.npy"
