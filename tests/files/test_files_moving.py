"""Moves: in one step, or a copy and then a deletion; and never a loss."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from attrs import evolve
from file_stores import SHELF, Shelf, ShelfConfig, Site, error_of, site_of

from polystore import (
    AlreadyExists,
    DiskConfig,
    Dispatcher,
    Encoded,
    Failure,
    IfExists,
    InvalidKey,
    Item,
    Key,
    NotAFile,
    Outcome,
    PermissionDenied,
    Route,
    RouteConfig,
    Unavailable,
    copy,
    create_symlink,
    default_registry,
    exists,
    is_symlink,
    list_files,
    load,
    move,
    save,
    stat,
)

on_moving = pytest.mark.parametrize("kind", ["disk", "memory", "zarr"])
CCC = len("p/q/ccc.npy")


@pytest.fixture
def site(kind: str, tmp_path: Path) -> Site:
    return site_of(kind, tmp_path).with_keys("a.npy", "p/bb.npy", "p/q/ccc.npy")


def keys_of(site: Site) -> tuple[str, ...]:
    listed = list_files(site.config, dispatcher=site.dispatcher)
    return listed.value_or(())


@pytest.mark.parametrize("act", [copy, move])
def test_the_same_file_in_another_guise_is_not_lost(tmp_path: Path, act: object) -> None:
    do = copy if act is copy else move
    site = site_of("disk", tmp_path).with_keys("p/a.npy")
    (tmp_path / "alias").symlink_to("disk")
    (tmp_path / "disk" / "q").symlink_to("p")
    guises = [
        (DiskConfig(root=tmp_path / "disk", durability="fsync"), "p/a.npy"),
        (DiskConfig(root=tmp_path / "alias"), "p/a.npy"),
        (DiskConfig(root=tmp_path / "disk" / "p"), "a.npy"),
        (DiskConfig(root=tmp_path), "disk/p/a.npy"),
        (site.config, "q/a.npy"),
    ]
    for config, key in guises:
        outcome = do(site.config, "p/a.npy", key, to=config, if_exists="replace")
        assert site.load("p/a.npy").unwrap() == len("p/a.npy"), (config, key, outcome)


def test_a_move_to_a_part_of_the_same_store_loses_nothing(tmp_path: Path) -> None:
    disk = DiskConfig(root=tmp_path)
    route = RouteConfig(routes=(Route(disk),))
    save(disk)(Item("a.json", 1)).unwrap()
    for source, sink in ((route, disk), (disk, route)):
        outcome = move(source, "a.json", to=sink, if_exists="replace")
        assert isinstance(outcome.failure(), InvalidKey)
    assert load(disk)("a.json").unwrap().payload == 1


def test_a_move_that_another_writer_runs_into_deletes_nothing(tmp_path: Path) -> None:
    """The source is replaced while the target is written: what was read is not what is there."""
    disk = DiskConfig(root=tmp_path)
    put = SHELF.put
    assert put is not None

    def slow(shelf: Shelf, key: Key, encoded: Encoded, if_exists: IfExists, /) -> Outcome[bool]:
        written = put(shelf, key, encoded, if_exists)
        save(disk, if_exists="replace")(Item("a.json", [2, 2])).unwrap()
        return written

    run = Dispatcher(default_registry().extended(evolve(SHELF, put=slow)).unwrap())
    save(disk)(Item("a.json", 1)).unwrap()
    outcome = move(disk, "a.json", to=ShelfConfig(), dispatcher=run)
    assert isinstance(outcome.failure(), Unavailable)
    assert load(disk)("a.json").unwrap().payload == [2, 2]


@on_moving
def test_a_folder_moves_with_all_below_it(site: Site) -> None:
    run = site.dispatcher
    moved = move(site.config, "p", "new/place", dispatcher=run).unwrap()
    assert (moved.key, moved.status) == ("new/place", "written")
    assert keys_of(site) == ("a.npy", "new/place/bb.npy", "new/place/q/ccc.npy")
    assert site.load("new/place/q/ccc.npy").unwrap() == CCC
    inside = move(site.config, "new", "new/place/deeper", dispatcher=run)
    assert isinstance(inside.failure(), InvalidKey)
    move(site.config, "new/place", "folder.npy", dispatcher=run).unwrap()
    for if_exists in ("fail", "replace"):
        outcome = move(site.config, "a.npy", "folder.npy", if_exists=if_exists, dispatcher=run)
        assert isinstance(outcome.failure(), (AlreadyExists, NotAFile))
    assert len(keys_of(site)) == 3


def test_a_link_is_copied_as_what_it_leads_to_and_moved_as_a_link(tmp_path: Path) -> None:
    disk, other = DiskConfig(root=tmp_path / "a"), DiskConfig(root=tmp_path / "b")
    save(disk)(Item("a.json", 1)).unwrap()
    create_symlink(disk, "link.json", "a.json").unwrap()
    create_symlink(disk, "gone.json", "nowhere.json").unwrap()
    copy(disk, "link.json", to=other).unwrap()
    assert not is_symlink(other, "link.json").unwrap()
    assert move(disk, "link.json", "other.json").unwrap().status == "written"
    assert is_symlink(disk, "other.json").unwrap()
    assert move(disk, "gone.json", "still.npy").unwrap().status == "written"
    assert stat(disk, "still.npy").unwrap().kind == "broken link"
    assert error_of(copy(disk, "still.npy", "x.npy")) == "NotFound"
    assert copy(disk, "a.json", "other.json", if_exists="replace").unwrap().status == "written"
    assert not is_symlink(disk, "other.json").unwrap()
    move(disk, "still.npy", "b.npy").unwrap()
    copy(disk, "a.json", "c.json").unwrap()
    assert load(disk)("a.json").unwrap().payload == 1


def test_a_move_without_a_move_of_the_store_is_a_copy_and_a_deletion() -> None:
    run = Dispatcher(default_registry().extended(SHELF).unwrap())
    site = site_of("shelf", Path(), run).with_keys("a.npy")
    assert move(site.config, "a.npy", "b.npy", dispatcher=run).unwrap().status == "written"
    assert keys_of(site) == ("b.npy",)


def test_a_store_without_deletions_is_not_moved_from(tmp_path: Path) -> None:
    undeletable = evolve(SHELF, delete=None)
    run = Dispatcher(default_registry().extended(undeletable).unwrap())
    site = site_of("shelf", tmp_path, run).with_keys("a.npy")
    error = error_of(move(site.config, "a.npy", to=DiskConfig(root=tmp_path), dispatcher=run))
    assert error == "UnsupportedOperation"
    assert list(tmp_path.iterdir()) == []


def test_a_move_that_cannot_delete_what_it_copied_says_that_both_are_there(tmp_path: Path) -> None:
    def delete(_shelf: Shelf, _key: Key, /) -> Outcome[None]:
        return Failure(PermissionDenied("", None, "No.", "Ask."))

    run = Dispatcher(default_registry().extended(evolve(SHELF, delete=delete)).unwrap())
    site, disk = site_of("shelf", tmp_path, run).with_keys("a.npy"), DiskConfig(root=tmp_path)
    error = move(site.config, "a.npy", "b.npy", to=disk, dispatcher=run).failure()
    assert isinstance(error, PermissionDenied)
    assert (error.key, error.config) == ("a.npy", site.config)
    assert "copied whole to 'b.npy'" in error.message
    assert exists(disk, "b.npy").unwrap()


@on_moving
def test_threads_that_move_one_thing_never_lose_it(kind: str, tmp_path: Path) -> None:
    site = site_of(kind, tmp_path).with_keys("0.npy")

    def moved(start: int) -> set[str]:
        keys = [f"{(start + step) % 3}.npy" for step in range(30)]
        return {
            error_of(move(site.config, old, new, if_exists="replace", dispatcher=site.dispatcher))
            for old, new in itertools.pairwise(keys)
        }

    with ThreadPoolExecutor(3) as executor:
        errors = set[str]().union(*executor.map(moved, range(3)))
    assert errors <= {"", "NotFound"}  # what was there may go on the way
    (left,) = keys_of(site)
    assert site.load(left).unwrap() == len("0.npy")
