"""Folders of a disk store: made, looked into, and deleted when nothing is in them."""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path

import pytest
from disk_access import (
    children,
    delete,
    error_of,
    everything,
    get,
    listed,
    make_folder,
    meanwhile,
    put,
    status,
)
from hypothesis import given
from hypothesis import strategies as st

from polystore import DiskConfig, is_successful
from polystore.backends.disk import DISK
from polystore.backends.disk.listing import PAGE_MAX
from polystore.backends.filelock import LOCK_FILE
from polystore.backends.whole import HIDDEN_FILE, SWEEP_AFTER_S

names = st.sampled_from(("a", "b", "c d", "é", ".x", "back\\slash", ".polystore-x"))
keys = st.lists(names, min_size=1, max_size=3).map("/".join)
nodes = st.dictionaries(keys, st.sampled_from(("file", "folder", "link", "pipe")), max_size=10)


@pytest.fixture
def disk(tmp_path: Path) -> DiskConfig:
    return DiskConfig(root=tmp_path / "root")


def build(root: Path, wanted: dict[str, str]) -> None:
    for key, kind in wanted.items():
        path = root / key
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            continue
        if os.path.lexists(path):
            continue
        if kind == "file":
            path.touch()
        elif kind == "folder":
            path.mkdir()
        elif kind == "link":
            path.symlink_to("missing")
        else:
            os.mkfifo(path)


def kind_of(path: Path) -> str:
    if path.is_symlink():
        return "link"
    return "file" if path.is_file() else "folder" if path.is_dir() else "pipe"


@given(nodes)
def test_children_are_what_is_there(wanted: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as base:
        root = Path(base)
        build(root, wanted)
        disk = DiskConfig(root=base)
        keys: list[str] = []
        waiting = [""]
        while waiting:
            folder = waiting.pop()
            found, errors = children(disk, folder)
            there = {path.name: kind_of(path) for path in (root / folder).iterdir()}
            shown = {name: kind for name, kind in there.items() if not name.startswith(".poly")}
            odd = [name for name, kind in shown.items() if "\\" in name and kind != "pipe"]
            above = f"{folder}/" if folder else ""
            assert errors == ["InvalidKey"] * len(odd)
            assert found == {
                above + name: "other" if kind == "pipe" else kind
                for name, kind in shown.items()
                if name not in odd
            }
            waiting.extend(key for key, kind in found.items() if kind == "folder")
            keys.extend(key for key, kind in found.items() if kind in ("file", "link"))
        assert sorted(keys) == listed(disk)[0]


def test_children_come_some_at_a_time(disk: DiskConfig) -> None:
    Path(disk.root).mkdir()
    for i in range(PAGE_MAX + 10):
        Path(disk.root, str(i)).touch()
    assert DISK.children is not None
    pages = [page.unwrap() for page in DISK.children(disk, "")]
    assert [len(page) for page in pages] == [PAGE_MAX, 10]


def test_what_is_no_folder_has_no_children(disk: DiskConfig, tmp_path: Path) -> None:
    put(disk, "wells/a", b"1").unwrap()
    root = Path(disk.root)
    (root / "out").symlink_to(tmp_path)
    (root / "in").symlink_to("wells")
    (root / "nowhere").symlink_to("missing")
    cases = {"well": "NotFound", "wells/a": "NotADirectory", "wells/a/b": "NotADirectory"}
    for folder, error in {**cases, "out": "InvalidKey", "nowhere": "NotFound"}.items():
        assert children(disk, folder) == ({}, [error])
    assert children(disk, "in") == ({"in/a": "file"}, [])
    later = DiskConfig(root=root / "later")
    assert children(later) == ({}, ["NotFound"])


def test_a_folder_is_made_with_those_above_it_and_stays(disk: DiskConfig) -> None:
    for _ in range(2):
        assert make_folder(disk, "a/b/c").unwrap() is None
    assert everything(Path(disk.root)) == {"a": None, "a/b": None, "a/b/c": None}
    assert status(disk, "a/b/c").unwrap().kind == "folder"
    put(disk, "a/b/c/d", b"1").unwrap()
    delete(disk, "a/b/c/d").unwrap()
    assert listed(disk) == ([], [])
    assert children(disk, "a/b") == ({"a/b/c": "folder"}, [])


def test_what_stands_in_the_way_of_a_folder_is_said(disk: DiskConfig, tmp_path: Path) -> None:
    put(disk, "a", b"1").unwrap()
    root = Path(disk.root)
    (root / "in").symlink_to(".")
    (root / "nowhere").symlink_to("missing")
    (root / "out").symlink_to(tmp_path)
    os.mkfifo(root / "pipe")
    (root / "to a").symlink_to("a")
    before = everything(tmp_path)
    for key in ("a", "a/b", "to a", "to a/b", "pipe", "pipe/b"):
        assert error_of(make_folder(disk, key)) == "NotADirectory"
    assert error_of(make_folder(disk, "nowhere")) == "AlreadyExists"
    assert error_of(make_folder(disk, "nowhere/b")) == "Unavailable"
    assert error_of(make_folder(disk, "out")) == "AlreadyExists"
    assert error_of(make_folder(disk, "out/b")) == "InvalidKey"
    assert make_folder(disk, "in").unwrap() is None
    assert everything(tmp_path) == before
    assert make_folder(disk, "in/b").unwrap() is None
    assert (root / "b").is_dir()


def test_an_empty_folder_is_deleted_and_no_other(disk: DiskConfig) -> None:
    put(disk, "a/b/c", b"1").unwrap()
    put(disk, "a/d", b"1").unwrap()
    for key, count in (("a", "2 names"), ("a/b", "1 name")):
        error = delete(disk, key).failure()
        assert (type(error).__name__, error.key, error.config) == ("NotAFile", key, disk)
        assert count in error.message
        assert "delete_tree" in error.advice
    for key in ("a/b/c", "a/b", "a/d", "a"):
        assert delete(disk, key).unwrap() is None
        assert error_of(delete(disk, key)) == "NotFound"
    assert everything(Path(disk.root)) == {}


def test_a_link_is_deleted_and_never_what_it_leads_to(disk: DiskConfig) -> None:
    make_folder(disk, "empty").unwrap()
    put(disk, "a", b"1").unwrap()
    for target in ("empty", "a", "missing", "link", "..", "/"):
        Path(disk.root, "link").symlink_to(target)
        assert delete(disk, "link").unwrap() is None
    assert everything(Path(disk.root)) == {"a": b"1", "empty": None}


def test_a_pipe_is_not_ours_to_delete(disk: DiskConfig) -> None:
    make_folder(disk, "folder").unwrap()
    os.mkfifo(Path(disk.root, "folder/pipe"))
    assert error_of(delete(disk, "folder/pipe")) == "NotAFile"
    assert error_of(delete(disk, "folder")) == "NotAFile"
    assert Path(disk.root, "folder/pipe").is_fifo()


def test_a_folder_is_empty_where_the_dead_have_left_something(disk: DiskConfig) -> None:
    folder = Path(disk.root, "folder")
    folder.mkdir(parents=True)
    (folder / f"{HIDDEN_FILE}1").write_text("half")
    (folder / f"{LOCK_FILE}2").touch()
    (folder / f"{HIDDEN_FILE}3").symlink_to("x")
    (folder / ".polystore-folder-4").mkdir()
    assert listed(disk) == ([], [])
    assert delete(disk, "folder").unwrap() is None
    assert everything(Path(disk.root)) == {}


@pytest.mark.parametrize("name", [f"{HIDDEN_FILE}1", f"{LOCK_FILE}2"])
def test_a_folder_that_others_work_in_is_not_empty(disk: DiskConfig, name: str) -> None:
    folder = Path(disk.root, "folder")
    folder.mkdir(parents=True)
    with (folder / name).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        error = delete(disk, "folder").failure()
        assert type(error).__name__ == "NotAFile"
        assert "work in" in error.message
        assert (folder / name).exists()
    assert delete(disk, "folder").unwrap() is None


@pytest.mark.parametrize("name", [".polystore-unknown", ".polystore-folder-1/file"])
def test_what_is_hidden_and_unknown_is_not_deleted(disk: DiskConfig, name: str) -> None:
    path = Path(disk.root, "folder", name)
    path.parent.mkdir(parents=True)
    path.touch()
    assert error_of(delete(disk, "folder")) == "NotAFile"
    assert path.exists()
    visible = Path(disk.root, "folder/visible")
    visible.touch()
    leftover = Path(disk.root, "folder", f"{HIDDEN_FILE}1")
    leftover.touch()
    assert error_of(delete(disk, "folder")) == "NotAFile"
    assert leftover.exists()  # nothing goes where the folder stays


def test_old_hidden_links_are_swept(disk: DiskConfig) -> None:
    root = Path(disk.root)
    root.mkdir()
    long_ago = root.stat().st_mtime - SWEEP_AFTER_S - 1
    for name in (f"{HIDDEN_FILE}1", f"{HIDDEN_FILE}2", ".polystore-other"):
        (root / name).symlink_to("x")
    for name in (f"{HIDDEN_FILE}1", ".polystore-other"):
        os.utime(root / name, (long_ago, long_ago), follow_symlinks=False)
    assert listed(disk) == ([], [])
    assert everything(root).keys() == {f"{HIDDEN_FILE}2", ".polystore-other"}


def test_a_folder_that_is_deleted_beside_its_writers_loses_nothing(disk: DiskConfig) -> None:
    make_folder(disk, "folder").unwrap()
    errors: set[str] = set()

    def deletes() -> None:
        errors.add(error_of(delete(disk, "folder")))

    with meanwhile(deletes):
        for turn in range(400):
            saved = put(disk, "folder/a", b"%d" % turn)
            assert error_of(saved) in ("", "Unavailable")
            if is_successful(saved):
                assert get(disk, "folder/a").unwrap() == b"%d" % turn
                delete(disk, "folder/a").unwrap()
    assert errors <= {"", "NotFound", "NotAFile"}


def test_fsync_makes_and_deletes_too(tmp_path: Path) -> None:
    disk = DiskConfig(root=tmp_path / "made", durability="fsync")
    make_folder(disk, "a/b").unwrap()
    assert error_of(delete(disk, "a")) == "NotAFile"
    delete(disk, "a/b").unwrap()
    delete(disk, "a").unwrap()
    assert everything(tmp_path) == {"made": None}
