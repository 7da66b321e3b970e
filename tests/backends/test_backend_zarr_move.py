"""Moves in a Zarr store: whole to every reader, killed in the middle, and never lost."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from itertools import count
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from attrs import evolve
from store_access import children, keys, move
from zarr_access import (
    ARRAY,
    delete,
    error_of,
    everything,
    got,
    group_of,
    hidden_in,
    path_of,
    put,
    seen_by_zarr_python,
    status,
)
from zarr_processes import (
    SHAPE,
    SPAWN,
    interrupt,
    kill,
    put_value,
    run,
    stopped_ever_later,
    store_at,
    stores_in,
    value_at,
)

from polystore import IfExists, NotFound, Outcome, ZarrConfig, load
from polystore.backends.beneath import rename_new
from polystore.backends.heldfolder import hidden_name
from polystore.backends.zarr.folder import moving
from polystore.backends.zarr.folder.cloning import clone
from polystore.backends.zarr.folder.groups import group_folder
from polystore.core.item import Metadata

Job = Literal["array", "group", "replace", "link"]

every_job = pytest.mark.parametrize("job", ["array", "group", "replace", "link"])

MODES: tuple[IfExists, ...] = ("fail", "skip", "replace")

READS = 250


@pytest.fixture
def store(tmp_path: Path) -> ZarrConfig:
    return ZarrConfig(root=tmp_path / "plate.zarr")


def test_what_is_moved_is_as_it_was(store: ZarrConfig) -> None:
    metadata = Metadata(axes=("y", "x"), scale=(0.5, 0.5))
    put(store, "a", ARRAY, metadata=metadata).unwrap()
    put(store, "g/deep/b", ARRAY).unwrap()
    group_of(store, "g")
    before = everything(store)
    assert move(store, "a", "new/er/a").unwrap()
    assert move(store, "g", "new/h").unwrap()
    assert keys(store).unwrap() == ["new/er/a", "new/h/deep/b"]
    assert load(store)("new/er/a").unwrap().metadata == metadata
    for key in ("new/er/a", "new/h/deep/b"):
        assert seen_by_zarr_python(store, key).tolist() == ARRAY.tolist()
    assert sorted(group_of(store, "new").group_keys()) == ["er", "h"]
    move(store, "new/er/a", "a").unwrap()
    move(store, "new/h", "g").unwrap()
    assert {name: each for name, each in everything(store).items() if "new" not in name} == before
    assert hidden_in(store) == []


@pytest.mark.parametrize("to", ["array", "link", "broken link"])
@pytest.mark.parametrize("what", ["array", "link"])
def test_a_move_replaces_arrays_and_links(store: ZarrConfig, what: str, to: str) -> None:
    put(store, "kept", np.ones(3)).unwrap()
    put(store, "f/there", np.zeros(3)).unwrap()
    if to != "array":
        there = path_of(store, "f/there")
        there.rename(path_of(store, "aside"))
        there.symlink_to("../kept" if to == "link" else "nowhere")
    put(store, "f/target", ARRAY).unwrap()
    if what == "array":
        put(store, "here", ARRAY).unwrap()
    else:
        path_of(store, "here").symlink_to("target")
    assert error_of(move(store, "here", "f/there")) == "AlreadyExists"
    assert move(store, "here", "f/there", "skip").unwrap() is False
    assert move(store, "here", "f/there", "replace").unwrap() is True
    assert got(store, "f/there").tolist() == ARRAY.tolist()
    assert path_of(store, "f/there").is_symlink() == (what == "link")
    assert error_of(status(store, "here")) == "NotFound"
    assert got(store, "kept").tolist() == [1, 1, 1]
    assert hidden_in(store) == []


def test_what_stays_where_it_is(store: ZarrConfig) -> None:
    put(store, "a", ARRAY).unwrap()
    put(store, "g/b", ARRAY).unwrap()
    path_of(store, "plain").mkdir()
    path_of(store, "plain/notes.txt").write_text("x")
    path_of(store, "notes.txt").write_text("x")
    path_of(store, "l").symlink_to("g")
    before = everything(store)
    for old, new, error in (
        ("none", "new/x", "NotFound"),
        ("notes.txt", "new/x", "NotFound"),
        ("a/c", "new/x", "NotFound"),
        ("plain", "new/x", "NotAFile"),
        ("a", "__x", "InvalidKey"),
        ("g", "g/below", "InvalidKey"),
        ("g", "l/below", "InvalidKey"),
        ("a", "g/b/below", "NotADirectory"),
        ("a", "notes.txt/below", "NotADirectory"),
        ("a", "g", "AlreadyExists"),
        ("g", "a", "AlreadyExists"),
        ("a", "plain", "AlreadyExists"),
        ("a", "notes.txt", "AlreadyExists"),
    ):
        for mode in ("fail", "replace"):
            assert error_of(move(store, old, new, mode)) == error, (old, new, mode)
        assert everything(store) == before, (old, new)
    assert move(store, "a", "a").unwrap()
    path_of(store, "g/s").symlink_to("b")
    for mode in MODES:
        for name in ("b", "s"):
            assert move(store, f"g/{name}", f"l/{name}", mode).unwrap(), "it is there already"
    assert path_of(store, "g/s").is_symlink()
    path_of(store, "g/s").unlink()
    assert everything(store) == before


def test_without_hard_links_nothing_is_replaced(
    store: ZarrConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, "a", ARRAY).unwrap()
    put(store, "b", np.zeros(3)).unwrap()

    def link(*_arguments: object, **_named: object) -> None:
        raise PermissionError(1, "no hard links here")

    monkeypatch.setattr(os, "link", link)
    told = move(store, "a", "b", "replace")
    assert error_of(told) == "UnsupportedOperation"
    assert "copy(" in told.failure().advice
    assert (got(store, "a").tolist(), got(store, "b").tolist()) == (ARRAY.tolist(), [0, 0, 0])
    assert hidden_in(store) == []


@pytest.mark.parametrize("if_exists", MODES)
@pytest.mark.parametrize("there", [False, True])
def test_what_goes_while_it_is_moved_is_not_found(
    store: ZarrConfig, monkeypatch: pytest.MonkeyPatch, if_exists: IfExists, there: bool
) -> None:
    put(store, "a", ARRAY).unwrap()
    if there:
        put(store, "b", np.zeros(3)).unwrap()

    def group(
        config: ZarrConfig, path: str, last: str | None, version: Literal[2, 3] | None
    ) -> Outcome[int]:
        delete(store, "a").unwrap()
        return group_folder(config, path, last, version)

    monkeypatch.setattr(moving, "group_folder", group)
    error = move(store, "a", "b", if_exists).failure()
    assert (type(error), error.key) == (NotFound, "a")
    assert keys(store).unwrap() == ["b"] * there


def test_what_makes_room_while_something_is_moved_there_has_made_room(
    store: ZarrConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, "a", ARRAY).unwrap()
    put(store, "b", np.zeros(3)).unwrap()

    def rename(folder: int, old: str, new: str, into: int | None = None) -> None:
        try:
            rename_new(folder, old, new, into)
        except FileExistsError:
            delete(store, "b").unwrap()
            raise

    monkeypatch.setattr(moving, "rename_new", rename)
    assert move(store, "a", "b").unwrap()
    assert keys(store).unwrap() == ["b"]


def test_what_is_half_removed_replaces_nothing(
    store: ZarrConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, "a", ARRAY).unwrap()
    put(store, "b", np.zeros(3)).unwrap()

    def clone_rest(source: int, into: int) -> None:
        path_of(store, "a").rename(path_of(store, hidden_name()))
        os.unlink("zarr.json", dir_fd=source)
        clone(source, into)

    monkeypatch.setattr(moving, "clone", clone_rest)
    error = move(store, "a", "b", "replace").failure()
    assert (type(error), error.key) == (NotFound, "a")
    assert got(store, "b").tolist() == [0, 0, 0]


def prepare(job: Job) -> Callable[[ZarrConfig], None]:
    def prepared(store: ZarrConfig) -> None:
        store = evolve(store, chunks=SHAPE)  # each chunk is two operations to stop at
        put_value(store, "a" if job != "group" else "a/x", 1).unwrap()
        if job == "replace":
            put_value(store, "new/b", 2).unwrap()
        if job == "link":
            put_value(store, "new/b", 2).unwrap()
            path_of(store, "a").rename(path_of(store, "kept"))
            path_of(store, "a").symlink_to("kept")

    return prepared


def act(job: Job) -> Callable[[ZarrConfig], None]:
    def moved(store: ZarrConfig) -> None:
        move(store, "a", "new/b", "replace" if job in ("replace", "link") else "fail").unwrap()

    return moved


def stopped_moves(base: Path, job: Job, stop: Callable[[], None]) -> None:
    stopped_ever_later(base, prepare(job), act(job), stop)


@every_job
@pytest.mark.parametrize("stop", [kill, interrupt], ids=["killed", "interrupted"])
def test_a_move_that_is_stopped_has_been_or_not(
    tmp_path: Path, job: Job, stop: Callable[[], None]
) -> None:
    base = tmp_path / "stopped"
    run(stopped_moves, base, job, stop)
    below = "/x" if job == "group" else ""
    found: list[tuple[int | None, int | None]] = []
    for store in stores_in(base):
        if job == "link" and path_of(store, "new/b").is_symlink():
            assert path_of(store, "new/b").readlink() == Path("kept")
            found.append((1 if path_of(store, "a").is_symlink() else None, 1))
        else:
            found.append((value_at(store, f"a{below}"), value_at(store, f"new/b{below}")))
        assert all(path.name.startswith(".polystore-") for path in hidden_in(store))
        assert set(children(store).unwrap()) <= {"a", "kept", "new"}
    replaces = job in ("replace", "link")
    steps: list[tuple[int | None, int | None]] = [(1, 2 if replaces else None), (None, 1)]
    if replaces:
        steps.insert(1, (1, 1))  # under both keys, and never under none
    assert found == sorted(found, key=steps.index), found
    assert found[0] == steps[0]
    assert found[-1] == (None, 1)
    for store in stores_in(base):
        for path in hidden_in(store):
            os.utime(path, (0, 0), follow_symlinks=False)
        keys(store).unwrap()
        assert hidden_in(store) == [], "what is left is swept"


def moves_until_told(store: ZarrConfig, told: Event, ready: Event) -> None:
    for value in count(1):
        put_value(store, "g/a", value).unwrap()
        move(store, "g", "h/g").unwrap()
        move(store, "h/g/a", "b", "replace").unwrap()
        move(store, "h/g", "g").unwrap()
        ready.set()
        if told.is_set():
            return


@contextmanager
def moves_at_work(store: ZarrConfig) -> Generator[None]:
    told, ready = SPAWN.Event(), SPAWN.Event()
    mover = SPAWN.Process(target=moves_until_told, args=(store, told, ready))
    mover.start()
    try:
        ready.wait()
        yield
    finally:
        told.set()
        mover.join()
    assert mover.exitcode == 0


def test_a_reader_beside_a_mover_sees_whole_arrays(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    with moves_at_work(store):
        seen: list[int | None] = []
        for _ in range(READS):
            seen.append(value_at(store, "b"))
            value_at(store, "g/a")
            value_at(store, "h/g/a")
    values = [value for value in seen if value is not None]
    assert len(values) == READS, "it was gone"
    assert values == sorted(values), "it went back"
    assert len(set(values)) > 10, "nobody moved"
    assert hidden_in(store) == []
