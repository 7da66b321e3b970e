"""Copies and moves: whole or not there, and never a loss."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from attrs import evolve
from file_stores import Site, error_of, on_every_store, site_of

from polystore import (
    NPY,
    AlreadyExists,
    DiskConfig,
    Dispatcher,
    IfExists,
    InvalidSpec,
    Item,
    Key,
    LazyArray,
    MemoryConfig,
    Metadata,
    NotAFile,
    Outcome,
    copy,
    default_registry,
    exists,
    list_files,
    load,
    move,
    save,
)
from polystore.backends.memory import MEMORY, Memory

KINDS = ("disk", "memory", "zarr", "shelf")

# Out of a store of files into one that holds none, a file would be converted: it is not moved. Nor
# is what Zarr stores, but to Zarr: only there it is copied with all that stands in it.
CONVERTS = {(kind, other) for kind in ("disk", "shelf") for other in ("memory", "zarr")} | {
    ("zarr", other) for other in ("disk", "memory", "shelf")
}

on_every_pair = pytest.mark.parametrize(
    ("kind", "other"), list(itertools.product(KINDS, KINDS)), ids=str
)

A, BB = len("a.npy"), len("p/bb.npy")


@pytest.fixture
def site(kind: str, tmp_path: Path) -> Site:
    return site_of(kind, tmp_path).with_keys("a.npy", "p/bb.npy", "p/q/ccc.npy")


@pytest.fixture
def another(other: str, site: Site, tmp_path: Path) -> Site:
    return site_of(other, tmp_path / "other", site.dispatcher)


def keys_of(site: Site) -> tuple[str, ...]:
    listed = list_files(site.config, dispatcher=site.dispatcher)
    return listed.value_or(())


@on_every_pair
def test_a_copy_is_the_item_and_the_item_stays(site: Site, another: Site) -> None:
    copied = copy(
        site.config, "p/bb.npy", "x/y.npy", to=another.config, dispatcher=site.dispatcher
    ).unwrap()
    assert (copied.key, copied.config, copied.status) == ("x/y.npy", another.config, "written")
    assert another.load("x/y.npy").unwrap() == BB
    assert site.load("p/bb.npy").unwrap() == BB


@on_every_pair
def test_a_move_is_a_copy_and_the_item_goes(site: Site, another: Site) -> None:
    run = site.dispatcher
    if (site.kind, another.kind) in CONVERTS:
        refused = move(site.config, "p/bb.npy", to=another.config, dispatcher=run)
        assert error_of(refused) == "UnsupportedOperation"
        assert (len(keys_of(site)), keys_of(another)) == (3, ())
        return
    moved = move(site.config, "p/bb.npy", to=another.config, dispatcher=run).unwrap()
    assert (moved.key, moved.config, moved.status) == ("p/bb.npy", another.config, "written")
    assert another.load("p/bb.npy").unwrap() == BB
    assert keys_of(site) == ("a.npy", "p/q/ccc.npy")


@on_every_pair
@pytest.mark.parametrize("do", [copy, move], ids=["copy", "move"])
def test_what_is_there_stays_unless_told_otherwise(site: Site, another: Site, do: object) -> None:
    act, run = copy if do is copy else move, site.dispatcher
    another.save("t.npy", 7).unwrap()

    def done(if_exists: IfExists) -> str:
        outcome = act(
            site.config, "a.npy", "t.npy", to=another.config, if_exists=if_exists, dispatcher=run
        )
        return outcome.unwrap().status if error_of(outcome) == "" else error_of(outcome)

    converts = act is move and (site.kind, another.kind) in CONVERTS
    assert done("fail") == ("UnsupportedOperation" if converts else "AlreadyExists")
    assert done("skip") == "skipped"
    assert (another.load("t.npy").unwrap(), site.load("a.npy").unwrap()) == (7, A)
    assert done("replace") == ("UnsupportedOperation" if converts else "written")
    assert another.load("t.npy").unwrap() == (7 if converts else A)
    stays = act is copy or converts
    assert exists(site.config, "a.npy", dispatcher=run).unwrap() == stays


@on_every_pair
@pytest.mark.parametrize("do", [copy, move], ids=["copy", "move"])
def test_what_cannot_be_done_changes_nothing(site: Site, another: Site, do: object) -> None:
    act, run = copy if do is copy else move, site.dispatcher
    before = keys_of(site)
    for key, new_key, expected in (
        ("none.npy", "x.npy", {"NotFound"}),
        ("a.npy", "../x.npy", {"InvalidKey"}),
        ("../a.npy", "x.npy", {"InvalidKey"}),
        ("", "x.npy", {"InvalidKey"}),
        ("a.npy", "", {"InvalidKey"}),
        ("a.npy", ".polystore-x", {"InvalidKey"}),
        ("p", "x", {"NotAFile", "UnknownFormat", "NotFound"}),
    ):
        outcome = act(site.config, key, new_key, to=another.config, dispatcher=run)
        assert error_of(outcome) in expected, (key, new_key)
        assert outcome.failure().config in {site.config, another.config}
    wrong = cast("IfExists", "always")
    outcome = act(site.config, "a.npy", "x.npy", if_exists=wrong, dispatcher=run)
    assert isinstance(outcome.failure(), InvalidSpec)
    assert keys_of(site) == before
    assert keys_of(another) == ()


@on_every_store
def test_onto_itself_nothing_is_lost(site: Site) -> None:
    run = site.dispatcher
    for if_exists in ("replace", "skip"):
        for act in (copy, move):
            done = act(site.config, "a.npy", if_exists=if_exists, dispatcher=run).unwrap()
            assert done.status == "skipped"
    assert isinstance(copy(site.config, "a.npy", dispatcher=run).failure(), AlreadyExists)
    assert move(site.config, "a.npy", "a.npy", dispatcher=run).unwrap().status == "skipped"
    for act in (copy, move):
        assert error_of(act(site.config, "none.npy", dispatcher=run)) == "NotFound"
    assert site.load("a.npy").unwrap() == A


@on_every_store
def test_a_folder_is_not_copied_and_the_advice_says_how(site: Site) -> None:
    outcome = copy(site.config, "p", "x", dispatcher=site.dispatcher)
    if site.kind != "shelf":  # whose folders are no things
        error = outcome.failure()
        assert isinstance(error, NotAFile)
        assert "list_files" in error.advice


def test_another_suffix_is_another_format_with_the_metadata(tmp_path: Path) -> None:
    disk, memory = DiskConfig(root=tmp_path), MemoryConfig(name=str(tmp_path))
    known = Metadata(axes=("y", "x"), scale=(0.5, 0.5), unit=("micrometer", "micrometer"))
    array = np.arange(12, dtype=np.uint16).reshape(3, 4)
    save(disk)(Item("a.tif", array, known)).unwrap()
    assert copy(disk, "a.tif", "a.ome.tif").unwrap().status == "written"
    assert load(disk)("a.ome.tif").unwrap().metadata == load(disk)("a.tif").unwrap().metadata
    assert "scale" in copy(disk, "a.tif", "a.npy").unwrap().dropped
    assert copy(disk, "a.tif", to=memory).unwrap().status == "written"
    kept = load(memory)("a.tif").unwrap()
    assert kept.metadata.scale == (0.5, 0.5)
    assert [type(event.step).__name__ for event in kept.history][:2] == ["Load", "Save"]
    assert not isinstance(kept.payload, LazyArray)
    assert list_files(disk).unwrap() == ("a.npy", "a.ome.tif", "a.tif")
    assert np.array_equal(load(disk, format=NPY)("a.npy").unwrap().payload, array)


def test_a_key_that_is_a_folder_is_called_one_and_not_a_suffix(tmp_path: Path) -> None:
    disk, memory = DiskConfig(root=tmp_path), MemoryConfig(name=str(tmp_path))
    (tmp_path / "sub").mkdir()
    save(disk)(Item("p/a.tif", np.zeros((2, 2), np.uint8))).unwrap()
    save(memory)(Item("p/a.tif", np.zeros((2, 2), np.uint8))).unwrap()
    for store, act in ((disk, copy), (disk, move), (memory, copy), (memory, move)):
        error = act(store, "p/a.tif", "sub", to=disk).failure()
        assert isinstance(error, NotAFile)
        assert (error.key, error.config, error.message) == ("sub", disk, "'sub' is a folder.")
        assert "'sub/a.tif'" in error.advice
    for act in (copy, move):
        assert error_of(act(disk, "p/a.tif", "none")) == "UnknownFormat"


def test_a_store_of_this_process_is_given_what_a_load_gives(tmp_path: Path) -> None:
    """A lazy load gives host arrays, also of formats whose load gives a framework's."""

    def load_lazy(_memory: Memory, _key: Key, _format: object, /) -> Outcome[Item[LazyArray]]:
        raise AssertionError("it was loaded lazily")

    lazy = default_registry().replacing(evolve(MEMORY, load_lazy=load_lazy)).unwrap()
    site = site_of("memory", tmp_path, Dispatcher(lazy)).with_keys("a.npy")
    other = MemoryConfig(name=f"other of {tmp_path}")
    assert error_of(copy(site.config, "a.npy", to=other, dispatcher=site.dispatcher)) == ""
    disk = DiskConfig(root=tmp_path)
    lazily = copy(site.config, "a.npy", to=disk, dispatcher=site.dispatcher)
    assert error_of(lazily) == "Unexpected"
