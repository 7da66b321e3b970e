"""Opening below a folder: the walk does what the kernel does, and neither leaves the folder."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from polystore.backends.beneath import (
    LOOK,
    exchange,
    folder_beneath,
    has_openat2,
    link_new,
    open_beneath,
    open_key,
    open_root,
    rename_new,
)
from polystore.backends.walk import walk_beneath

Tree: TypeAlias = "Mapping[str, Tree] | str | None"
"""A folder by its names; a link by where it leads; `None` for a file."""

OUTSIDE = "{outside}"  # stands for the path of a folder beside the root

names = st.sampled_from("abc")
parts = st.sampled_from(("a", "b", "c", "..", ".", "", "missing"))
paths = st.lists(parts, max_size=5).map("/".join) | st.just(OUTSIDE + "/secret")
links = st.lists(parts, min_size=1, max_size=4).map("/".join).filter(bool) | st.sampled_from(
    (OUTSIDE, OUTSIDE + "/secret", "/", "/a", "../outside/secret", "a/../../outside")
)
leaves: st.SearchStrategy[Tree] = st.none() | links


def folders(children: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    return st.dictionaries(names, children, max_size=3)


trees = st.dictionaries(names, st.recursive(leaves, folders, max_leaves=6), max_size=3)
flags = st.sampled_from((os.O_RDONLY | os.O_NONBLOCK, LOOK, os.O_RDONLY | os.O_DIRECTORY))
follow = st.sampled_from((0, os.O_NOFOLLOW))

needs_openat2 = pytest.mark.skipif(
    not has_openat2(), reason="this kernel, or its sandbox, has no openat2"
)


def build(folder: Path, tree: Mapping[str, Tree], outside: Path) -> None:
    folder.mkdir()
    for name, content in tree.items():
        if content is None:
            (folder / name).touch()
        elif isinstance(content, str):
            (folder / name).symlink_to(content.replace(OUTSIDE, str(outside)))
        else:
            build(folder / name, content, outside)


def identity(fd: int) -> tuple[int, int]:
    try:
        found = os.fstat(fd)
        return found.st_dev, found.st_ino
    finally:
        os.close(fd)


def opened(action: Callable[[], int]) -> tuple[int, int] | str:
    """Give which file was opened, or the name of the error."""
    try:
        return identity(action())
    except OSError as error:
        return errno.errorcode[error.errno or 0]


def inside(root: Path) -> set[tuple[int, int]]:
    everything = (os.lstat(root), *(os.lstat(path) for path in root.rglob("*")))
    return {(found.st_dev, found.st_ino) for found in everything}


@needs_openat2
@given(trees, paths, flags, follow)
@example({"a": "b/", "b": None}, "a", os.O_RDONLY, 0)
@example({"a": None}, "a/.", os.O_RDONLY, 0)
@example({"a": None}, "a/..", os.O_RDONLY, 0)
@example({"a": {}, "b": "a/../c", "c": None}, "b", os.O_RDONLY, 0)
@example({"a": "a"}, "a", LOOK, 0)
@example({"a": {"b": "../.."}}, "a/b", LOOK, 0)
@example({"a": {}, "b": "a"}, "b/", os.O_RDONLY | os.O_DIRECTORY, os.O_NOFOLLOW)
def test_the_walk_does_what_the_kernel_does(
    tree: Mapping[str, Tree], path: str, how: int, no_follow: int
) -> None:
    with tempfile.TemporaryDirectory() as base:
        outside = Path(base, "outside")
        outside.mkdir()
        (outside / "secret").touch()
        build(Path(base, "root"), tree, outside)
        root = open_root(f"{base}/root")
        asked = path.replace(OUTSIDE, str(outside))
        try:
            by_kernel = opened(lambda: open_beneath(root, asked, how | no_follow))
            by_walk = opened(lambda: walk_beneath(root, asked, how | no_follow))
        finally:
            os.close(root)
        assert by_walk == by_kernel
        assert isinstance(by_walk, str) or by_walk in inside(Path(base, "root"))


@given(trees, st.lists(names, min_size=1, max_size=3).map("/".join), flags)
@example({"a": OUTSIDE}, "a", LOOK)
@example({"a": "b", "b": None}, "a", LOOK)
def test_a_key_opens_what_its_path_does(tree: Mapping[str, Tree], key: str, how: int) -> None:
    with tempfile.TemporaryDirectory() as base:
        outside = Path(base, "outside")
        outside.mkdir()
        build(Path(base, "root"), tree, outside)
        root = open_root(f"{base}/root")
        try:
            by_path = opened(lambda: open_beneath(root, key, how))
        finally:
            os.close(root)
        assert opened(lambda: open_key(f"{base}/root", key, how)) == by_path


def test_forty_links_are_followed_and_no_more(tmp_path: Path) -> None:
    root_file = tmp_path / "0"
    root_file.touch()
    for i in range(1, 42):
        (tmp_path / str(i)).symlink_to(str(i - 1))
    root = open_root(str(tmp_path))
    assert opened(lambda: open_beneath(root, "40", LOOK)) == identity(os.open(root_file, LOOK))
    assert opened(lambda: walk_beneath(root, "40", LOOK)) == identity(os.open(root_file, LOOK))
    assert opened(lambda: open_beneath(root, "41", LOOK)) == "ELOOP"
    assert opened(lambda: walk_beneath(root, "41", LOOK)) == "ELOOP"
    os.close(root)


def test_folders_are_made_as_deep_as_paths_go(tmp_path: Path) -> None:
    deep = "/".join("d" * 1300)  # deeper than Python's stack
    root = open_root(str(tmp_path))
    made = identity(folder_beneath(root, deep))
    assert identity(folder_beneath(root, deep)) == made
    for _ in range(1300):  # shutil.rmtree would need the stack, too
        (tmp_path / "d").rename(tmp_path / "old")
        if (tmp_path / "old/d").exists():
            (tmp_path / "old/d").rename(tmp_path / "d")
        (tmp_path / "old").rmdir()
    os.close(root)


def test_folders_are_made_through_links_that_stay_inside(tmp_path: Path) -> None:
    root_path = tmp_path / "root"
    (root_path / "real").mkdir(parents=True)
    (root_path / "link").symlink_to("real")
    (root_path / "up").symlink_to("real/../real")
    (root_path / "out").symlink_to(tmp_path)
    (root_path / "nowhere").symlink_to("missing")
    root = open_root(str(root_path))
    for path in ("link/a", "up/b/c"):
        os.close(folder_beneath(root, path))
    assert (root_path / "real/a").is_dir()
    assert (root_path / "real/b/c").is_dir()
    assert opened(lambda: folder_beneath(root, "out/x")) == "EXDEV"
    assert opened(lambda: folder_beneath(root, "nowhere/x")) == "ENOENT"
    assert not (tmp_path / "x").exists()
    os.close(root)


@pytest.mark.parametrize("root", ["/\0", "/\ud800"])
def test_a_root_that_is_no_path_is_an_error_of_the_system(root: str) -> None:
    assert opened(lambda: open_root(root)) == "EINVAL"
    assert opened(lambda: open_key(root, "a", os.O_RDONLY)) == "EINVAL"


@pytest.mark.parametrize("rename", [rename_new, link_new])
def test_a_rename_never_replaces(tmp_path: Path, rename: Callable[[int, str, str], None]) -> None:
    (tmp_path / "old").write_text("old")
    (tmp_path / "taken").write_text("taken")
    (tmp_path / "folder").mkdir()
    root = open_root(str(tmp_path))
    for name in ("taken", "folder"):
        with pytest.raises(FileExistsError):
            rename(root, "old", name)
    assert (tmp_path / "taken").read_text() == "taken"
    rename(root, "old", "new")
    os.close(root)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "new", "taken"]
    assert (tmp_path / "new").read_text() == "old"
    assert (tmp_path / "new").stat().st_nlink == 1


def test_folders_are_renamed_in_one_step_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    root = open_root(str(tmp_path))
    with pytest.raises(OSError, match="cannot save without replacing") as caught:
        link_new(root, "old", "new")
    assert caught.value.errno == errno.EOPNOTSUPP
    os.close(root)
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


def test_names_are_exchanged(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").mkdir()
    root = open_root(str(tmp_path))
    exchange(root, "a", "b")
    os.close(root)
    assert (tmp_path / "a").is_dir()
    assert (tmp_path / "b").read_text() == "a"
