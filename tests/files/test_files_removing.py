"""Folders made, and what is deleted: never the root, never what a link leads to."""

from __future__ import annotations

import os
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Never, cast

import numpy as np
import pytest
from attrs import evolve
from deleting import deletes_p
from file_stores import SHELF, Shelf, Site, error_of, on_every_store, site_of

from polystore import (
    DiskConfig,
    Dispatcher,
    Failure,
    InvalidKey,
    Item,
    Key,
    NotADirectory,
    NotAFile,
    Outcome,
    Payload,
    PermissionDenied,
    ReadOnly,
    ReadOnlyConfig,
    Save,
    Store,
    UnsupportedOperation,
    ZarrConfig,
    collect_dirs_and_files,
    copy,
    create_symlink,
    default_registry,
    delete,
    delete_tree,
    ensure_directory,
    exists,
    is_dir,
    list_dir,
    list_files,
    locked,
    move,
    save,
    update,
)
from polystore.backends.disk import DISK

on_folders = pytest.mark.parametrize("kind", ["disk", "memory", "zarr"])


@pytest.fixture
def site(kind: str, tmp_path: Path) -> Site:
    return site_of(kind, tmp_path).with_keys("a.npy", "p/b.npy", "p/q/c.npy", "p2/d.npy")


def keys_of(site: Site) -> tuple[str, ...]:
    return list_files(site.config, dispatcher=site.dispatcher).unwrap()


@on_folders
def test_a_folder_is_made_once_and_stays(site: Site) -> None:
    run = site.dispatcher
    for _ in range(2):
        assert ensure_directory(site.config, "x/y", dispatcher=run).unwrap() == "x/y"
    assert is_dir(site.config, "x/y", dispatcher=run).unwrap()
    assert error_of(ensure_directory(site.config, "a.npy/z", dispatcher=run)) == "NotADirectory"
    assert error_of(ensure_directory(site.config, "a.npy", dispatcher=run)) == "NotADirectory"
    assert error_of(ensure_directory(site.config, "", dispatcher=run)) == "InvalidKey"
    assert delete(site.config, "x/y", dispatcher=run).unwrap() is None
    assert is_dir(site.config, "x", dispatcher=run).unwrap()


@pytest.mark.parametrize("kind", ["shelf"])
def test_where_folders_are_parts_of_keys_none_is_made(site: Site) -> None:
    outcome = ensure_directory(site.config, "x", dispatcher=site.dispatcher)
    assert isinstance(outcome.failure(), UnsupportedOperation)


@on_every_store
def test_a_file_is_deleted_once(site: Site) -> None:
    run = site.dispatcher
    assert delete(site.config, "p/b.npy", dispatcher=run).unwrap() is None
    assert keys_of(site) == ("a.npy", "p2/d.npy", "p/q/c.npy")
    assert error_of(delete(site.config, "p/b.npy", dispatcher=run)) == "NotFound"


@on_folders
def test_a_folder_with_something_in_it_is_not_deleted(site: Site) -> None:
    error = delete(site.config, "p", dispatcher=site.dispatcher).failure()
    assert isinstance(error, NotAFile)
    assert "delete_tree" in error.advice
    assert len(keys_of(site)) == 4


@on_every_store
def test_a_tree_goes_with_all_below_it_and_nothing_beside_it(site: Site) -> None:
    run = site.dispatcher
    assert delete_tree(site.config, "p", dispatcher=run).unwrap() == 2
    assert keys_of(site) == ("a.npy", "p2/d.npy")
    assert not exists(site.config, "p", dispatcher=run).unwrap()
    assert error_of(delete_tree(site.config, "p", dispatcher=run)) == "NotFound"


@on_folders
def test_a_tree_of_empty_folders_goes(site: Site) -> None:
    run = site.dispatcher
    ensure_directory(site.config, "x/y/z", dispatcher=run).unwrap()
    ensure_directory(site.config, "x/w", dispatcher=run).unwrap()
    assert delete_tree(site.config, "x", dispatcher=run).unwrap() == 0
    assert "x" not in list_dir(site.config, dispatcher=run).unwrap()


@on_every_store
def test_a_file_is_no_tree(site: Site) -> None:
    error = delete_tree(site.config, "a.npy", dispatcher=site.dispatcher)
    assert error_of(error) == "NotADirectory"
    assert "delete" in error.failure().advice
    assert error_of(delete_tree(site.config, "a.npy/x", dispatcher=site.dispatcher)) in {
        "NotADirectory",
        "NotFound",
    }
    assert len(keys_of(site)) == 4


@on_every_store
def test_the_root_is_never_deleted(site: Site, tmp_path: Path) -> None:
    roots = ["", ".", "..", "/", "p/..", "p/../.."]
    roots += [str(tmp_path / name) + end for name in ("disk", "a.zarr") for end in ("", "/", "/.")]
    for root in roots:
        for key in (root, Path(root)):
            outcome = delete_tree(site.config, key, dispatcher=site.dispatcher)
            assert error_of(outcome) == "InvalidKey", root
            assert error_of(delete(site.config, key, dispatcher=site.dispatcher)) == "InvalidKey"
    assert len(keys_of(site)) == 4


def test_links_are_deleted_and_what_they_lead_to_stays(tmp_path: Path) -> None:
    site = site_of("disk", tmp_path).with_keys("keep/a.npy", "p/b.npy")
    root, run = tmp_path / "disk", site.dispatcher
    (root / "p" / "file").symlink_to("../keep/a.npy")
    (root / "p" / "folder").symlink_to("../keep")
    (root / "p" / "gone").symlink_to("nowhere")
    (root / "p" / "circle").symlink_to("../p")
    (root / "link").symlink_to("keep")
    assert error_of(delete_tree(site.config, "link", dispatcher=run)) == "NotADirectory"
    (root / "keep" / "sub").mkdir()
    assert error_of(delete_tree(site.config, "link/sub", dispatcher=run)) == "NotADirectory"
    assert (root / "keep" / "sub").is_dir()
    assert delete_tree(site.config, "p", dispatcher=run).unwrap() == 5
    assert keys_of(site) == ("keep/a.npy",)
    assert delete(site.config, "link", dispatcher=run).unwrap() is None
    assert keys_of(site) == ("keep/a.npy",)


def make_foreign(path: Path, kind: str) -> None:
    """Make what is no store's own, or not a Zarr store's."""
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "file":
        path.write_text("mine")
    else:
        path.mkdir()
        if kind == "damaged":
            (path / "zarr.json").write_text("{")
            (path / "below").mkdir()
            (path / "below" / "zarr.json").write_text("{")


@pytest.mark.parametrize(
    ("kind", "foreign"),
    [
        ("disk", "pipe"),
        *(("zarr", it) for it in ("pipe", "file", "folder", "damaged")),
    ],
)
@pytest.mark.parametrize("name", ["x", "back\\slash", ".zattrs", "\udcff"])
def test_what_is_not_the_store_s_own_keeps_the_whole_tree(
    site: Site, tmp_path: Path, kind: str, foreign: str, name: str
) -> None:
    """It is deep in the tree, and much of that is listed before it."""
    if kind == "zarr" and name == ".zattrs" and foreign in ("pipe", "file"):
        pytest.skip("a file of this name is a document of the group, and goes with it")
    config, run = site.config, site.dispatcher
    root = tmp_path / ("disk" if kind == "disk" else "a.zarr")
    shown = list_dir(config, "p/q", dispatcher=run).unwrap()
    make_foreign(root / "p/q" / name, foreign)
    before = sorted(root.rglob("*"))
    error = delete_tree(config, "p", dispatcher=run).failure()
    listed = name != "x" and foreign in ("folder", "damaged")  # and so its name has to be a key
    assert (type(error), error.key) == (InvalidKey if listed else NotAFile, f"p/q/{name}")
    assert sorted(root.rglob("*")) == before
    if foreign in ("pipe", "file"):
        assert list_dir(config, "p/q", dispatcher=run).unwrap() == shown


def test_a_plain_folder_of_a_zarr_store_keeps_the_groups_below_it(tmp_path: Path) -> None:
    site = site_of("zarr", tmp_path)
    plain = tmp_path / "a.zarr" / "plain"
    (plain / "empty").mkdir(parents=True)
    (plain / "below").mkdir()
    site.dispatcher.run(Save(ZarrConfig(root=plain / "below")), Item("b", np.arange(3))).unwrap()
    assert keys_of(site) == ("plain/below/b",)
    assert list_dir(site.config, dispatcher=site.dispatcher).unwrap() == ("plain",)
    for key in ("plain", "plain/empty"):
        for remove in (delete, delete_tree):
            error = remove(site.config, key, dispatcher=site.dispatcher).failure()
            assert (type(error), error.key) == (NotAFile, key)
    assert (plain / "empty").is_dir()
    assert delete_tree(site.config, "plain/below", dispatcher=site.dispatcher).unwrap() == 1


def test_a_tree_that_was_half_deleted_is_deleted_by_the_next_call() -> None:
    """As after a kill: `delete` refuses one key, once."""
    record, refused = SHELF.delete, ["p/2.npy"]
    assert record is not None

    def deleted(shelf: Shelf, key: Key, /) -> Outcome[None]:
        if key in refused:
            refused.clear()
            return Failure(PermissionDenied("", None, "No.", "Ask."))
        return record(shelf, key)

    run = Dispatcher(default_registry().extended(evolve(SHELF, delete=deleted)).unwrap())
    site = site_of("shelf", Path(), run).with_keys("p/1.npy", "p/2.npy", "p/3.npy", "q.npy")
    error = delete_tree(site.config, "p", dispatcher=run).failure()
    assert isinstance(error, PermissionDenied)
    assert (error.key, error.config) == ("p", site.config)
    assert "1 files below 'p' were deleted" in error.advice
    assert keys_of(site) == ("p/2.npy", "p/3.npy", "q.npy")
    assert delete_tree(site.config, "p", dispatcher=run).unwrap() == 2
    assert keys_of(site) == ("q.npy",)


def test_what_another_deletes_first_is_not_counted() -> None:
    record = SHELF.delete
    assert record is not None

    def deleted(shelf: Shelf, key: Key, /) -> Outcome[None]:
        if key == "p/2.npy":
            shelf.files.pop(key)
        return record(shelf, key)

    run = Dispatcher(default_registry().extended(evolve(SHELF, delete=deleted)).unwrap())
    site = site_of("shelf", Path(), run).with_keys("p/1.npy", "p/2.npy", "p/3.npy")
    assert delete_tree(site.config, "p", dispatcher=run).unwrap() == 2


@on_every_store
def test_a_store_that_can_only_be_read_changes_nothing(site: Site) -> None:
    view, run = ReadOnlyConfig(site.config), site.dispatcher
    before = collect_dirs_and_files(site.config, dispatcher=run).unwrap()
    changed: list[Outcome[object]] = [
        delete(as_sink(view), "a.npy", dispatcher=run),
        delete(as_sink(view), "p", dispatcher=run),
        delete_tree(as_sink(view), "p", dispatcher=run),
        ensure_directory(as_sink(view), "x", dispatcher=run),
        move(as_sink(view), "a.npy", "b.npy", dispatcher=run),
        move(as_sink(view), "a.npy", to=site.config, if_exists="replace", dispatcher=run),
        copy(view, "a.npy", "b.npy", dispatcher=run),
        copy(site.config, "a.npy", "b.npy", to=as_sink(view), dispatcher=run),
        create_symlink(as_sink(view), "l", "a.npy", dispatcher=run),
        locked(as_sink(view), "a.npy", lambda: save(site.config)(never()), dispatcher=run),
        update(as_sink(view), "a.npy", never, dispatcher=run),
    ]
    for outcome in changed:
        assert isinstance(outcome.failure(), ReadOnly)
        assert outcome.failure().config == view
    assert collect_dirs_and_files(site.config, dispatcher=run).unwrap() == before


def as_sink(view: ReadOnlyConfig[Payload]) -> Store[Payload, Payload]:
    """Give what a type checker would not take."""
    return cast("Store[Payload, Payload]", view)


def never(*_given: object) -> Never:
    raise AssertionError("it ran")


def test_a_folder_that_is_swapped_for_a_link_is_not_gone_through(tmp_path: Path) -> None:
    root = tmp_path / "root"
    disk = DiskConfig(root=root)
    run = Dispatcher(default_registry().replacing(evolve(DISK, delete=swapping(root))).unwrap())
    for key in ("keep/a.json", "keep/e/b.json", "p/A/a.json", "p/A/e/b.json", "p/B/e/b.json"):
        save(disk)(Item(key, 1)).unwrap()
    save(disk)(Item("p/first.json", 1)).unwrap()
    error = delete_tree(disk, "p", dispatcher=run).failure()
    assert isinstance(error, NotADirectory)
    assert "'p/A' is a link" in error.message
    assert "1 files below 'p' were deleted" in error.advice
    kept = {"keep/a.json", "keep/e/b.json", "p/B/e/b.json", "aside/a.json", "aside/e/b.json"}
    assert set(list_files(disk).unwrap()) == kept
    delete(disk, "p/A").unwrap()
    assert delete_tree(disk, "p").unwrap() == 1
    assert set(list_files(disk).unwrap()) == kept - {"p/B/e/b.json"}


def test_an_empty_folder_that_is_swapped_for_a_link_stays_one(tmp_path: Path) -> None:
    root = tmp_path / "root"
    disk = DiskConfig(root=root)
    run = Dispatcher(default_registry().replacing(evolve(DISK, delete=swapping(root))).unwrap())
    for key in ("keep/a.json", "p/first.json"):
        save(disk)(Item(key, 1)).unwrap()
    ensure_directory(disk, "p/A").unwrap()
    assert isinstance(delete_tree(disk, "p", dispatcher=run).failure(), NotADirectory)
    assert (root / "p/A").is_symlink()
    assert list_files(disk).unwrap() == ("keep/a.json",)


def swapping(root: Path) -> Callable[[DiskConfig, Key], Outcome[None]]:
    """Give a `delete` before whose first turn another process puts a link for the folder `p/A`."""
    record, waiting = DISK.delete, [root / "p/A"]
    assert record is not None

    def deleted(config: DiskConfig, key: Key, /) -> Outcome[None]:
        for folder in waiting:
            folder.rename(root / "aside")
            folder.symlink_to("../keep")
        waiting.clear()
        return record(config, key)

    return deleted


def test_two_processes_delete_a_tree_together(tmp_path: Path, processes: ForkServerContext) -> None:
    site = site_of("disk", tmp_path)
    for number in range(200):
        site.save(f"p/{number % 7}/{number}.npy").unwrap()
    with processes.Pool(2) as pool:
        counts = pool.map(deletes_p, [str(tmp_path / "disk")] * 2)
    assert sum(counts) <= 200
    assert list_dir(site.config, dispatcher=site.dispatcher).unwrap() == ()


@on_folders
def test_a_folder_to_be_made_may_be_named_with_a_slash(site: Site) -> None:
    made = ensure_directory(site.config, "p/new/", dispatcher=site.dispatcher)
    plain = ensure_directory(site.config, "p/new", dispatcher=site.dispatcher)
    assert made == plain
