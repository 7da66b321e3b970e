"""Moves in a disk store: one step, nothing replaced unasked, nothing out of the root."""

from __future__ import annotations

import errno
import os
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias

import pytest
from disk_access import error_of, everything, get, listed, meanwhile, move, put
from hypothesis import example, given
from hypothesis import strategies as st

from polystore import DiskConfig, IfExists
from polystore.backends.beneath import exchange, link_new, open_root, rename_new
from polystore.backends.disk import changes
from polystore.backends.wholefolder import rename_folder_new

KINDS = ("file", "link", "broken link", "link to folder", "folder", "empty folder")

kinds = st.sampled_from(KINDS)
modes: st.SearchStrategy[IfExists] = st.sampled_from(("fail", "replace", "skip"))
places = st.sampled_from(("x", "made/x", "made/deep/x", "x y.é"))

Shape: TypeAlias = "dict[str, bytes | str | None]"
"""What stands below a folder: content of files, text of links, `None` for folders."""


@pytest.fixture
def disk(tmp_path: Path) -> DiskConfig:
    (tmp_path / "root").mkdir()
    return DiskConfig(root=tmp_path / "root")


def make(path: Path, kind: str, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "file":
        path.write_text(content)
    elif kind.endswith("folder") and kind.startswith("link"):
        path.symlink_to("/")
    elif kind.endswith("link"):
        path.symlink_to("missing" if kind.startswith("broken") else "/etc/hosts")
    else:
        path.mkdir()
        if kind == "folder":
            (path / "below").mkdir()
            (path / "below/file").write_text(content)


def shape(path: Path) -> Shape:
    """Give what stands at a path and below it, by its relative path."""
    if path.is_symlink():
        return {"": str(path.readlink())}
    if path.is_file():
        return {"": path.read_bytes()}
    found: Shape = {"": None}
    for child in path.iterdir() if path.exists() else ():
        found |= {f"{child.name}/{name}": it for name, it in shape(child).items()}
    return found


def is_folder(kind: str) -> bool:
    return kind in ("folder", "empty folder")


@given(kinds, st.none() | kinds, places, places.map(lambda key: f"to/{key}"), modes)
@example("folder", "empty folder", "x", "to/x", "replace")  # a plain rename would replace it
@example("file", "empty folder", "x", "to/x", "replace")
@example("empty folder", "file", "x", "to/x", "replace")
@example("broken link", "broken link", "x", "to/x", "replace")
def test_what_is_moved_is_there_and_nowhere_else(
    kind: str, there: str | None, old: str, new: str, if_exists: IfExists
) -> None:
    with tempfile.TemporaryDirectory() as root:
        disk = DiskConfig(root=root)
        make(Path(root, old), kind, "moved")
        if there is not None:
            make(Path(root, new), there, "stood there")
        before, stood = shape(Path(root, old)), shape(Path(root, new))
        outcome = move(disk, old, new, if_exists)
        folders = is_folder(kind) or (there is not None and is_folder(there))
        if there is None or (if_exists == "replace" and not folders):
            assert outcome.unwrap() is True
            assert not os.path.lexists(f"{root}/{old}")
            assert shape(Path(root, new)) == before
        else:
            if if_exists == "skip":
                assert outcome.unwrap() is False
            else:
                error = outcome.failure()
                assert (type(error).__name__, error.key) == ("AlreadyExists", new)
                assert "if_exists" in error.advice
            assert shape(Path(root, old)) == before
            assert shape(Path(root, new)) == stood
        assert not [name for name in everything(Path(root)) if ".polystore-" in name]


@pytest.mark.parametrize("kind", KINDS)
def test_to_where_it_is_nothing_happens(disk: DiskConfig, kind: str) -> None:
    root = Path(disk.root)
    make(root / "a/x", kind, "content")
    before = shape(root)
    modes: tuple[IfExists, ...] = ("fail", "replace", "skip")
    for if_exists in modes:
        assert move(disk, "a/x", "a/x", if_exists).unwrap() is True
        assert shape(root) == before
    for if_exists in modes:
        assert error_of(move(disk, "a/missing", "a/missing", if_exists)) == "NotFound"


def test_two_names_of_one_file_become_one(disk: DiskConfig) -> None:
    """A rename between them does nothing, and says that it is done."""
    root = Path(disk.root)
    (root / "old").write_text("content")
    (root / "new").hardlink_to(root / "old")
    assert error_of(move(disk, "old", "new")) == "AlreadyExists"
    assert move(disk, "old", "new", "replace").unwrap() is True
    assert everything(root) == {"new": b"content"}


@pytest.mark.parametrize("new", ["d/x", "d/below/x", "d/d", "link/x", "link/deep/x"])
def test_a_folder_does_not_go_into_itself(disk: DiskConfig, new: str) -> None:
    root = Path(disk.root)
    make(root / "d", "folder", "content")
    (root / "link").symlink_to("d/below")
    modes: tuple[IfExists, ...] = ("fail", "replace", "skip")
    for if_exists in modes:
        error = move(disk, "d", new, if_exists).failure()
        assert (type(error).__name__, error.key, error.config) == ("InvalidKey", new, disk)
    assert get(disk, "d/below/file").unwrap() == b"content"


def test_nothing_goes_onto_a_folder_that_it_is_in(disk: DiskConfig) -> None:
    put(disk, "a/b/c", b"1").unwrap()
    modes: tuple[IfExists, ...] = ("fail", "replace")
    for if_exists in modes:
        for old, new in (("a/b/c", "a"), ("a/b/c", "a/b"), ("a/b", "a")):
            assert error_of(move(disk, old, new, if_exists)) == "AlreadyExists"
    assert listed(disk) == (["a/b/c"], [])


def test_what_is_missing_is_not_found_and_makes_nothing(disk: DiskConfig) -> None:
    put(disk, "a", b"1").unwrap()
    for old in ("b", "b/c", "a/b"):
        error = move(disk, old, "new/deep").failure()
        assert (type(error).__name__, error.key, error.config) == ("NotFound", old, disk)
    assert error_of(move(disk, "a", "a/b")) == "InvalidKey"
    put(disk, "c", b"2").unwrap()
    assert error_of(move(disk, "c", "a/b")) == "NotADirectory"
    assert error_of(move(disk, "c", "a/b/c", "skip")) == "NotADirectory"
    assert everything(Path(disk.root)) == {"a": b"1", "c": b"2"}
    later = DiskConfig(root=f"{disk.root}/later")
    assert error_of(move(later, "a", "b")) == "NotFound"
    assert not Path(later.root).exists()


def test_what_goes_and_comes_while_it_is_moved_was_not_found(
    disk: DiskConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(disk, "a", b"1").unwrap()
    path = Path(disk.root, "a")

    def rename(folder: int, old: str, new: str, into: int | None = None) -> None:
        path.rename(path.with_name("away"))
        try:
            rename_new(folder, old, new, into)
        finally:
            path.with_name("away").rename(path)

    monkeypatch.setattr(changes, "rename_new", rename)
    error = move(disk, "a", "b").failure()
    assert (type(error).__name__, error.key) == ("NotFound", "a")
    assert everything(Path(disk.root)) == {"a": b"1"}


def test_a_pipe_is_not_moved(disk: DiskConfig) -> None:
    os.mkfifo(Path(disk.root, "pipe"))
    put(disk, "a", b"1").unwrap()
    assert error_of(move(disk, "pipe", "b")) == "NotAFile"
    assert error_of(move(disk, "a", "pipe")) == "AlreadyExists"
    assert everything(Path(disk.root)).keys() == {"a", "pipe"}


def test_keys_longer_than_paths_go_are_moved(disk: DiskConfig) -> None:
    long = "/".join(["x" * 255] * 17)
    put(disk, long, b"1").unwrap()
    assert move(disk, long, f"{long[:-1]}y").unwrap()
    assert move(disk, "x" * 255, "short").unwrap()
    assert listed(disk) == ([f"short/{long[256:-1]}y"], [])
    assert move(disk, "short", "x" * 255).unwrap()


def test_fsync_moves_too(tmp_path: Path) -> None:
    disk = DiskConfig(root=tmp_path, durability="fsync")
    put(disk, "a/b/c", b"1").unwrap()
    assert move(disk, "a/b", "d/e/f").unwrap()
    assert move(disk, "d/e/f/c", "top").unwrap()
    assert everything(tmp_path) == {"a": None, "d": None, "d/e": None, "d/e/f": None, "top": b"1"}


# Without RENAME_NOREPLACE.


def renames(source: int, target: int, names: tuple[str, str]) -> None:
    rename_new(source, *names, target)


def links(source: int, target: int, names: tuple[str, str]) -> None:
    link_new(source, *names, target)


@pytest.mark.parametrize(
    ("kind", "rename"),
    [
        ("file", links),
        ("broken link", links),
        ("folder", rename_folder_new),
        ("empty folder", rename_folder_new),
        *((kind, renames) for kind in KINDS),
    ],
)
def test_each_way_moves_between_folders_and_replaces_nothing(
    tmp_path: Path, kind: str, rename: Callable[[int, int, tuple[str, str]], None]
) -> None:
    for folder in ("from", "to"):
        (tmp_path / folder).mkdir()
    source, target = open_root(str(tmp_path / "from")), open_root(str(tmp_path / "to"))
    try:
        make(tmp_path / "from/old", kind, "moved")
        before = shape(tmp_path / "from/old")
        for there in KINDS:
            make(tmp_path / f"to/{there}", there, "stood there")
            stood = shape(tmp_path / f"to/{there}")
            with pytest.raises(OSError, match=there) as caught:
                rename(source, target, ("old", there))
            assert caught.value.errno in (errno.EEXIST, errno.EOPNOTSUPP)
            assert shape(tmp_path / f"to/{there}") == stood
        try:
            rename(source, target, ("old", "new"))
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP or not is_folder(kind):
                raise
            pytest.skip("this file system has no RENAME_NOREPLACE")
        assert shape(tmp_path / "to/new") == before
        assert not os.path.lexists(tmp_path / "from/old")
    finally:
        os.close(source)
        os.close(target)


# Beside others.


def test_a_folder_is_at_one_place_at_every_moment(disk: DiskConfig) -> None:
    put(disk, "a/file", b"1").unwrap()

    def there_and_back() -> None:
        move(disk, "a", "b").unwrap()
        move(disk, "b", "a").unwrap()

    with meanwhile(there_and_back):
        seen = {tuple(path.name for path in Path(disk.root).iterdir()) for _ in range(2000)}
    assert seen <= {("a",), ("b",)}


def test_of_many_one_gets_the_key(disk: DiskConfig) -> None:
    start = threading.Barrier(6)

    def race(who: int) -> list[str]:
        done: list[str] = []
        for turn in range(30):
            put(disk, f"{turn}/from{who}", b"%d" % who).unwrap()
            start.wait()
            done.append(error_of(move(disk, f"{turn}/from{who}", f"{turn}/to/x")))
        return done

    with ThreadPoolExecutor(6) as threads:
        results = list(threads.map(race, range(6)))
    for turn in range(30):
        (winner,) = (who for who, done in enumerate(results) if done[turn] == "")
        assert [done[turn] for done in results].count("AlreadyExists") == 5
        left = {f"from{who}": b"%d" % who for who in range(6) if who != winner}
        found = everything(Path(disk.root, str(turn)))
        assert found == {"to": None, "to/x": b"%d" % winner, **left}


def test_what_two_move_at_once_is_moved_once(disk: DiskConfig) -> None:
    start = threading.Barrier(2)

    def race(who: int) -> list[str]:
        done: list[str] = []
        for turn in range(50):
            if who == 0:
                put(disk, f"{turn}/old", b"1").unwrap()
            start.wait()
            done.append(error_of(move(disk, f"{turn}/old", f"{turn}/new{who}")))
        return done

    with ThreadPoolExecutor(2) as threads:
        one, other = threads.map(race, range(2))
    assert all(sorted(pair) == ["", "NotFound"] for pair in zip(one, other, strict=True))


def test_no_move_gets_out_through_a_folder_that_is_swapped(
    disk: DiskConfig, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    Path(disk.root, "folder").mkdir()
    Path(disk.root, "link").symlink_to(outside)
    root = open_root(disk.root)
    errors: set[str] = set()
    try:
        exchange(root, "folder", "link")
        with meanwhile(lambda: exchange(root, "folder", "link")):
            for turn in range(1000):
                put(disk, f"mine{turn}", b"mine").unwrap()
                errors.add(error_of(move(disk, f"mine{turn}", f"folder/{turn}")))
                errors.add(error_of(move(disk, "folder/secret", f"stolen{turn}")))
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        pytest.skip("this file system cannot exchange names")
    finally:
        os.close(root)
    assert everything(outside) == {"secret": b"secret"}
    assert not list(Path(disk.root).glob("stolen*"))
    assert errors <= {"", "InvalidKey", "NotFound"}
