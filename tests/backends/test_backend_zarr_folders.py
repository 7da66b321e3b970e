"""Groups of a Zarr store: made, seen, and deleted when they are empty, and nothing else."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from store_access import children, keys, lock, make_folder
from zarr_access import (
    ARRAY,
    ZARR_PYTHON,
    delete,
    error_of,
    everything,
    group_of,
    hidden_in,
    path_of,
    put,
    seen_by_zarr_python,
    status,
)
from zarr_processes import (
    interrupt,
    kill,
    put_value,
    run,
    stopped_ever_later,
    store_at,
    stores_in,
    value_at,
)

from polystore import Stat, ZarrConfig, is_successful
from polystore.backends.heldfolder import HIDDEN_FOLDER, lock_new, pin
from polystore.core.key import HIDDEN_PREFIX


@pytest.fixture
def store(tmp_path: Path) -> ZarrConfig:
    return ZarrConfig(root=tmp_path / "plate.zarr")


def test_a_folder_is_a_group(store: ZarrConfig) -> None:
    make_folder(store, "a/b").unwrap()
    make_folder(store, "a").unwrap()
    assert sorted(group_of(store).group_keys()) == ["a"]
    assert sorted(group_of(store, "a").group_keys()) == ["b"]
    assert status(store, "a").unwrap().kind == "folder"
    assert keys(store).unwrap() == []
    put(store, "c", ARRAY).unwrap()
    path_of(store, "to c").symlink_to("c")
    path_of(store, "to nothing").symlink_to("nothing")
    before = everything(store)
    assert error_of(make_folder(store, "to c")) == "NotADirectory"
    assert error_of(make_folder(store, "to nothing")) == "AlreadyExists"
    assert error_of(make_folder(store, "c")) == "NotADirectory"
    assert error_of(make_folder(store, "c/d")) == "NotADirectory"
    assert error_of(make_folder(store, "__d")) == "InvalidKey"
    assert everything(store) == before


def test_what_stands_in_a_folder(store: ZarrConfig) -> None:
    put(store, "a", ARRAY).unwrap()
    put(store, "g/b", ARRAY).unwrap()
    make_folder(store, "empty").unwrap()
    path_of(store, "plain").mkdir()
    path_of(store, "damaged").mkdir()
    path_of(store, "damaged/zarr.json").write_text("{")
    path_of(store, "old").mkdir()
    path_of(store, "old/.zarray").write_text("{}")
    path_of(store, "notes.txt").write_text("x")
    path_of(store, "in").symlink_to("a")
    path_of(store, "out").symlink_to("..")
    path_of(store, f"{HIDDEN_FOLDER}x").mkdir()
    assert children(store).unwrap() == {
        **dict.fromkeys(("a", "damaged", "old"), "file"),
        **dict.fromkeys(("g", "empty", "plain"), "folder"),
        **dict.fromkeys(("in", "out"), "link"),
        "notes.txt": "other",
    }
    assert children(store, "g").unwrap() == {"g/b": "file"}
    assert error_of(children(store, "a")) == "NotADirectory"
    assert error_of(children(store, "a/c")) == "NotADirectory"
    assert error_of(children(store, "none")) == "NotFound"
    path_of(store, "back\\slash").mkdir()
    assert error_of(children(store)) == "InvalidKey"


def test_an_empty_group_goes_and_nothing_else(store: ZarrConfig) -> None:
    ZARR_PYTHON.create_group(store.root, attributes={"kept": 1})
    put(store, "full/a", ARRAY).unwrap()
    make_folder(store, "above/below").unwrap()
    make_folder(store, "foreign").unwrap()
    path_of(store, "foreign/notes.txt").write_text("x")
    make_folder(store, "holds a plain one").unwrap()
    path_of(store, "holds a plain one/plain").mkdir()
    path_of(store, "plain").mkdir()
    path_of(store, "other").mkdir()
    path_of(store, "other/notes.txt").write_text("x")
    before = everything(store)
    ours = ("full", "above", "foreign", "holds a plain one")
    for key in (*ours, "plain", "other"):
        told = delete(store, key)
        assert error_of(told) == "NotAFile"
        whole = "delete_tree" in told.failure().advice
        assert whole == (key in ours)
        if key in ("plain", "other"):
            assert "a Zarr config does not remove a plain folder" in told.failure().message
    assert everything(store) == before
    for key in ("above/below", "above"):
        delete(store, key).unwrap()
        assert error_of(status(store, key)) == "NotFound"


@pytest.mark.parametrize("target", ["a", "g", "nowhere", "l", "..", "notes.txt"])
def test_a_link_goes_alone(store: ZarrConfig, target: str) -> None:
    put(store, "a", ARRAY).unwrap()
    put(store, "g/b", ARRAY).unwrap()
    path_of(store, "notes.txt").write_text("x")
    before = everything(store)
    path_of(store, "l").symlink_to(target)
    delete(store, "l").unwrap()
    assert everything(store) == before
    assert not path_of(store, "l").is_symlink()


def leave_behind(group: Path) -> None:
    """Leave what writers leave that are killed, a moment ago."""
    (group / f"{HIDDEN_FOLDER}1").mkdir()
    (group / f"{HIDDEN_FOLDER}1" / "zarr.json").write_text("{}")
    (group / f"{HIDDEN_FOLDER}2").symlink_to("nowhere")
    (group / f"{HIDDEN_PREFIX}new-3").write_text("{}")


def test_what_dead_writers_left_counts_as_nothing(store: ZarrConfig) -> None:
    make_folder(store, "g").unwrap()
    leave_behind(path_of(store, "g"))
    delete(store, "g").unwrap()
    assert set(everything(store)) == {"zarr.json"}


@pytest.mark.parametrize("hold", [lock_new, pin], ids=["a writer", "a reader"])
def test_what_is_held_in_a_group(store: ZarrConfig, hold: Callable[[int], object]) -> None:
    """A writer at work keeps its group; what a reader still reads is kept for it elsewhere."""
    make_folder(store, "g").unwrap()
    hidden = path_of(store, f"g/{HIDDEN_FOLDER}1")
    hidden.mkdir()
    (hidden / "chunk").write_text("x")
    held = os.open(hidden, os.O_RDONLY)
    try:
        hold(held)
        if hold is pin:
            delete(store, "g").unwrap()
            assert [path.parent for path in hidden_in(store)] == [Path(store.root)]
        else:
            assert error_of(delete(store, "g")) == "NotAFile"
            assert sorted(group_of(store).group_keys()) == ["g"]
        os.close(os.open("chunk", os.O_RDONLY, dir_fd=held))  # it is still there
    finally:
        os.close(held)


@pytest.mark.parametrize("failure", [None, KeyboardInterrupt])
def test_a_group_that_cannot_be_removed_stays_one(
    store: ZarrConfig, monkeypatch: pytest.MonkeyPatch, failure: type[BaseException] | None
) -> None:
    """Something comes into it at the last moment, or Ctrl-C."""
    make_folder(store, "g").unwrap()
    before = everything(store)
    rmdir = os.rmdir

    def too_late(name: str, *, dir_fd: int) -> None:
        if failure is not None:
            raise failure
        path_of(store, "g/new").mkdir()
        rmdir(name, dir_fd=dir_fd)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rmdir", too_late)
        if failure is None:
            assert error_of(delete(store, "g")) == "NotAFile"
            rmdir(path_of(store, "g/new"))
        else:
            with pytest.raises(failure):
                delete(store, "g")
    assert everything(store) == before


def test_a_save_beside_deletions_of_its_group_is_not_lost(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    told = threading.Event()

    def delete_group() -> int:
        gone = 0
        while not told.is_set():
            gone += is_successful(delete(store, "g"))
        return gone

    with ThreadPoolExecutor(2) as threads:
        deleters = [threads.submit(delete_group) for _ in range(2)]
        saved = 0
        try:
            for value in range(60):
                written = put_value(store, "g/a", value)
                if is_successful(written):
                    saved += 1
                    assert value_at(store, "g/a") == value
                    delete(store, "g/a").unwrap()
                else:
                    assert error_of(written) == "Unavailable"
        finally:
            told.set()
        assert sum(deleter.result() for deleter in deleters) > 1
    assert saved > 1
    assert hidden_in(store) == []


def prepare(store: ZarrConfig) -> None:
    make_folder(store, "f/g").unwrap()
    leave_behind(path_of(store, "f/g"))


def act(store: ZarrConfig) -> None:
    delete(store, "f/g").unwrap()


@pytest.mark.parametrize("stop", [kill, interrupt], ids=["killed", "interrupted"])
def test_a_deletion_that_is_stopped_leaves_a_store(
    tmp_path: Path, stop: Callable[[], None]
) -> None:
    base = tmp_path / "stopped"
    run(stopped_ever_later, base, prepare, act, stop)
    found: list[str] = []
    for store in stores_in(base):
        there = status(store, "f/g")
        found.append(there.unwrap().kind if is_successful(there) else "gone")
        assert keys(store).unwrap() == []
        assert put(store, "f/g/a", ARRAY).unwrap() == "written"
        assert seen_by_zarr_python(store, "f/g/a").tolist() == ARRAY.tolist()
    assert sorted(set(found), key=found.index) == ["folder", "gone"]


def test_a_lock_shows_nowhere(store: ZarrConfig) -> None:
    with lock(store, "a").unwrap():
        assert error_of(lock(store, "a")) == "LockTimeout"
        assert children(store).unwrap() == {}
        put(store, "a", ARRAY).unwrap()
        with lock(store, "b").unwrap():
            pass
    assert hidden_in(store) == []


def test_a_link_says_where_it_leads(store: ZarrConfig) -> None:
    put(store, "f/a", ARRAY).unwrap()
    path_of(store, "g").symlink_to("f")
    path_of(store, "file").symlink_to("notes.txt")
    path_of(store, "notes.txt").write_text("x")
    found = status(store, "g").unwrap()
    assert (found.kind, found.link) == ("folder", "f")
    assert status(store, "g/a").unwrap().link is None
    assert status(store, "file").unwrap() == Stat("broken link", None, None, "notes.txt")
    assert keys(store).unwrap() == ["f/a", "file"]
