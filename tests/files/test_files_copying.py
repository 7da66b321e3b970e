"""Copies and moves: whole or not there, and never a loss."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from attrs import evolve
from file_stores import SHELF, Shelf, ShelfConfig, Site, error_of, on_every_store, site_of

from polystore import (
    AlreadyExists,
    DiskConfig,
    Dispatcher,
    Encoded,
    IfExists,
    InvalidKey,
    InvalidSpec,
    Item,
    Key,
    LazyArray,
    MemoryConfig,
    Metadata,
    NotAFile,
    Outcome,
    Readable,
    Route,
    RouteConfig,
    Success,
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
from polystore.backends.memory import MEMORY, Memory
from polystore.files.streaming import PIECE

KINDS = ("disk", "memory", "zarr", "shelf")

on_every_pair = pytest.mark.parametrize(
    ("kind", "other"), list(itertools.product(KINDS, KINDS)), ids=str
)
on_moving = pytest.mark.parametrize("kind", ["disk", "memory", "zarr"])


@pytest.fixture
def site(kind: str, tmp_path: Path) -> Site:
    return site_of(kind, tmp_path).with_keys("a.npy", "p/bb.npy", "p/q/ccc.npy")


@pytest.fixture
def another(other: str, site: Site, tmp_path: Path) -> Site:
    return site_of(other, tmp_path / "other", site.dispatcher)


def keys_of(site: Site) -> tuple[str, ...]:
    listed = list_files(site.config, dispatcher=site.dispatcher)
    return listed.value_or(())


A, BB, CCC = (len(key) for key in ("a.npy", "p/bb.npy", "p/q/ccc.npy"))


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

    assert done("fail") == "AlreadyExists"
    assert done("skip") == "skipped"
    assert (another.load("t.npy").unwrap(), site.load("a.npy").unwrap()) == (7, A)
    assert done("replace") == "written"
    assert another.load("t.npy").unwrap() == A
    assert exists(site.config, "a.npy", dispatcher=run).unwrap() == (act is copy)


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


def test_a_move_to_another_format_makes_another_file_in_a_store_of_stores_too(
    tmp_path: Path,
) -> None:
    disk = DiskConfig(root=tmp_path)
    route = RouteConfig(routes=(Route(disk),))
    save(route)(Item("a.tif", np.zeros((2, 2), np.uint8))).unwrap()
    assert move(route, "a.tif", "b.npy").unwrap().status == "written"
    assert load(disk)("b.npy").unwrap().key == "b.npy"
    assert list_files(disk).unwrap() == ("b.npy",)


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


@on_every_store
def test_a_folder_is_not_copied_and_the_advice_says_how(site: Site) -> None:
    outcome = copy(site.config, "p", "x", dispatcher=site.dispatcher)
    if site.kind != "shelf":  # whose folders are no things
        error = outcome.failure()
        assert isinstance(error, NotAFile)
        assert "list_files" in error.advice


def test_bytes_move_and_are_never_decoded(tmp_path: Path) -> None:
    """Damaged files and files of no format are copied as they are; of any other format, not."""
    disk, other = DiskConfig(root=tmp_path / "a"), DiskConfig(root=tmp_path / "b")
    (tmp_path / "a").mkdir()
    content = os.urandom(2 * PIECE + 17)
    for name in ("broken.TIF", "what.bin", "none"):
        (tmp_path / "a" / name).write_bytes(content)
    (tmp_path / "a" / "empty.npy").touch()
    for key, new_key in (
        ("broken.TIF", "x/new.tiff"),
        ("what.bin", "what.dat"),
        ("none", "none"),
        ("empty.npy", "empty.npy"),
    ):
        copied = copy(disk, key, new_key, to=other).unwrap()
        assert (tmp_path / "b" / new_key).read_bytes() == (tmp_path / "a" / key).read_bytes()
        assert copied.nbytes == (tmp_path / "a" / key).stat().st_size
    assert error_of(copy(disk, "broken.TIF", "new.npy", to=other)) == "Corrupt"
    assert error_of(copy(disk, "what.bin", "new.npy", to=other)) == "UnknownFormat"
    assert error_of(copy(disk, "broken.TIF", "new.bin", to=other)) in {"Corrupt", "UnknownFormat"}
    assert error_of(move(disk, "broken.TIF", "new.npy")) == "Corrupt"
    assert (tmp_path / "a" / "broken.TIF").exists()
    assert not (tmp_path / "b" / "new.npy").exists()


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
    assert move(disk, "a.tif", "b.npy").unwrap().status == "written"
    assert list_files(disk).unwrap() == ("a.npy", "a.ome.tif", "b.npy")
    assert np.array_equal(
        cast(
            "np.ndarray[tuple[int, ...], np.dtype[np.uint16]]", load(disk)("b.npy").unwrap().payload
        ),
        array,
    )


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


def broken_source(size: int, gives: int, closed: list[bool]) -> Site:
    """Give a store whose content ends, or fails, before its size."""

    def read_into(offset: int, buffer: memoryview) -> int:
        if offset >= gives:
            return 0
        if gives == 1:
            raise OSError(5, "Input/output error")
        count = min(len(buffer), gives - offset, 1000)
        buffer[:count] = b"x" * count
        return count

    def get(_shelf: Shelf, _key: Key, /) -> Outcome[Readable]:
        return Success(Readable(size, read_into, lambda: closed.append(True)))

    run = Dispatcher(default_registry().extended(evolve(SHELF, get=get)).unwrap())
    return site_of("shelf", Path(), run)


@pytest.mark.parametrize("gives", [0, 1, 4000, PIECE + 1])
def test_a_source_that_breaks_leaves_nothing(tmp_path: Path, gives: int) -> None:
    closed: list[bool] = []
    disk, source = DiskConfig(root=tmp_path), broken_source(2 * PIECE, gives, closed)
    (tmp_path / "old.bin").write_bytes(b"old")
    for key in ("new.bin", "old.bin"):
        outcome = copy(
            source.config, "a.bin", key, to=disk, if_exists="replace", dispatcher=source.dispatcher
        )
        error = outcome.failure()
        assert isinstance(error, Unavailable)
        assert (error.key, error.config) == ("a.bin", source.config)
    assert [path.name for path in tmp_path.iterdir()] == ["old.bin"]
    assert (tmp_path / "old.bin").read_bytes() == b"old"
    assert closed == [True, True]


def test_short_reads_are_read_on(tmp_path: Path) -> None:
    source = broken_source(10_000, 10_000, [])
    disk = DiskConfig(root=tmp_path)
    copy(source.config, "a.bin", to=disk, dispatcher=source.dispatcher).unwrap()
    assert (tmp_path / "a.bin").read_bytes() == b"x" * 10_000


def test_a_copy_holds_a_piece_and_not_the_file(tmp_path: Path) -> None:
    held: list[int] = []

    def put(_shelf: Shelf, _key: Key, encoded: Encoded, _how: IfExists, /) -> Outcome[bool]:
        buffers = cast("Iterator[bytearray]", iter(encoded.buffers))
        held.extend(len(buffer) for buffer in buffers)
        return Success(True)

    run = Dispatcher(default_registry().extended(evolve(SHELF, put=put)).unwrap())
    with (tmp_path / "a.bin").open("wb") as file:
        file.truncate(5 * PIECE + 1)
    copied = copy(DiskConfig(root=tmp_path), "a.bin", to=ShelfConfig(), dispatcher=run).unwrap()
    assert (sum(held), max(held)) == (copied.nbytes, PIECE)


def test_a_skip_asks_before_anything_is_read(tmp_path: Path) -> None:
    disk = DiskConfig(root=tmp_path)
    (tmp_path / "b.npy").touch()
    (tmp_path / "a.tif").write_bytes(b"no TIFF")
    assert copy(disk, "a.tif", "b.npy", if_exists="skip").unwrap().status == "skipped"


def test_a_move_without_a_move_of_the_store_is_a_copy_and_a_deletion() -> None:
    run = Dispatcher(default_registry().extended(SHELF).unwrap())
    site = site_of("shelf", Path(), run).with_keys("a.npy")
    assert move(site.config, "a.npy", "b.npy", dispatcher=run).unwrap().status == "written"
    assert keys_of(site) == ("b.npy",)


def test_a_move_whose_deletion_fails_says_that_both_are_there(tmp_path: Path) -> None:
    undeletable = evolve(SHELF, delete=None)
    run = Dispatcher(default_registry().extended(undeletable).unwrap())
    site = site_of("shelf", tmp_path, run).with_keys("a.npy")
    error = error_of(move(site.config, "a.npy", to=DiskConfig(root=tmp_path), dispatcher=run))
    assert error == "UnsupportedOperation"
    assert list(tmp_path.iterdir()) == []
