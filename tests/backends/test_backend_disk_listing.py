"""Listings of a disk store: every key once, and nothing that is odd in silence."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from descriptors import few_descriptors
from disk_access import error_of, get, listed
from hypothesis import given
from hypothesis import strategies as st

from polystore import DiskConfig, is_successful, list_files
from polystore.backends.disk import DISK
from polystore.backends.disk.listing import PAGE_MAX

names = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="/\\\0"), min_size=1, max_size=8
).filter(lambda name: name not in (".", ".."))
keys = st.lists(names, min_size=1, max_size=3).map("/".join)


@pytest.fixture
def disk(tmp_path: Path) -> DiskConfig:
    return DiskConfig(root=tmp_path)


@given(st.lists(keys, max_size=12))
def test_every_file_is_listed_once(wanted: list[str]) -> None:
    with tempfile.TemporaryDirectory() as root:
        made: set[str] = set()
        for key in wanted:
            try:
                Path(root, key).parent.mkdir(parents=True, exist_ok=True)
                Path(root, key).touch(exist_ok=False)
            except (FileExistsError, NotADirectoryError):
                continue
            made.add(key)
        disk = DiskConfig(root=root)
        assert listed(disk) == (sorted(made), [])
        assert set(list_files(disk).unwrap()) == made
        for folder in {key.partition("/")[0] for key in made if "/" in key}:
            assert listed(disk, folder)[0] == sorted(k for k in made if k.startswith(folder + "/"))


def test_a_folder_of_many_files_is_several_pages(disk: DiskConfig) -> None:
    count = PAGE_MAX + 10
    for i in range(count):
        Path(disk.root, str(i)).touch()
    assert DISK.list is not None
    pages = [page.unwrap() for page in DISK.list(disk, "")]
    assert len(pages) == 2
    assert all(len(page) <= PAGE_MAX for page in pages)
    assert {key for page in pages for key in page} == {str(i) for i in range(count)}


def test_names_that_are_no_keys_are_failures_beside_the_keys(disk: DiskConfig) -> None:
    root = os.fsencode(disk.root)
    for name in (b"good.tif", b"back\\slash.tif", b"not utf-8 \xff.tif"):
        Path(os.fsdecode(root + b"/" + name)).touch()
    Path(disk.root, "bad\\folder").mkdir()
    for i in range(100):
        Path(disk.root, "bad\\folder", str(i)).touch()
    assert listed(disk) == (["good.tif"], ["InvalidKey"] * 3)
    error = list_files(disk).failure()
    assert "Rename it" in error.advice
    assert error.config == disk
    assert str(error).encode()


def test_what_is_missing_or_no_folder_is_said(disk: DiskConfig) -> None:
    Path(disk.root, "wells").mkdir()
    Path(disk.root, "wells/A01.tif").touch()
    assert error_of(list_files(disk, folder="well")) == "NotFound"
    assert "'wells'" in str(list_files(disk, folder="well").failure())
    assert error_of(list_files(disk, folder="wells/A01.tif")) == "NotADirectory"
    assert error_of(list_files(disk, folder="wells/A01.tif/x")) == "NotADirectory"
    assert error_of(list_files(disk, folder="../wells")) == "InvalidKey"
    assert list_files(disk, folder="wells").unwrap() == ("wells/A01.tif",)


@pytest.mark.parametrize("instead", ["nothing", "a file", "a link inside", "a link out"])
def test_a_listing_goes_on_when_folders_are_removed_under_it(
    disk: DiskConfig, instead: str
) -> None:
    Path(disk.root, "top").touch()
    for name in "abc":
        Path(disk.root, name).mkdir()
        Path(disk.root, name, "file").touch()
    assert DISK.list is not None
    pages = DISK.list(disk, "")
    assert next(pages).unwrap() == ("top",)
    seen = next(pages).unwrap()
    for name in "abc":
        path = Path(disk.root, name)
        (path / "file").unlink()
        path.rmdir()
        if instead == "a file":
            path.touch()
        elif instead != "nothing":
            path.symlink_to("." if instead == "a link inside" else "..")
    rest = list(pages)
    assert len(seen) == 1
    assert all(is_successful(page) and page.unwrap() == () for page in rest)


def test_folders_deeper_than_paths_go_are_listed(tmp_path: Path) -> None:
    deep = "/".join(["d" * 250] * 20)
    here = os.open(tmp_path, os.O_RDONLY)
    for part in deep.split("/"):
        os.mkdir(part, dir_fd=here)
        below = os.open(part, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("file", os.O_CREAT, dir_fd=here))
    os.close(here)
    disk = DiskConfig(root=tmp_path)
    assert listed(disk) == ([f"{deep}/file"], [])
    assert get(disk, f"{deep}/file").unwrap() == b""


@pytest.mark.parametrize("kind", ["a file", "a link", "nothing"])
def test_a_listing_is_lazy(tmp_path: Path, kind: str) -> None:
    assert DISK.list is not None
    pages = DISK.list(DiskConfig(root=tmp_path / "later"), "")
    if kind == "a file":
        (tmp_path / "later").touch()
        assert error_of(next(pages)) == "NotADirectory"
    elif kind == "a link":
        (tmp_path / "later").symlink_to(tmp_path)
        assert is_successful(next(pages))
    else:
        assert error_of(next(pages)) == "NotFound"


def test_without_descriptors_no_folder_is_listed_as_a_file(disk: DiskConfig) -> None:
    """A link was a file when nobody could look at where it leads."""
    root = Path(disk.root)
    (root / "f").mkdir(parents=True)
    (root / "to folder").symlink_to("f")
    for number in range(3):
        (root / f"to file {number}").symlink_to("file")
    for name in ("file", "f/file"):
        (root / name).touch()
    for name, to in (("broken", "none"), ("out", "/"), ("circle", "circle")):
        (root / name).symlink_to(to)
    keys, _ = listed(disk)
    assert len(keys) == 8
    for free in range(8):
        with few_descriptors(free):
            found, errors = listed(disk)
        assert found == keys if not errors else set(found) < set(keys), free
        assert not errors or free < 7, "it goes on when there are some"
