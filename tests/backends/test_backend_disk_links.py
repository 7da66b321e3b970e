"""Links below the root of a disk store: followed inside, never out of it, however they change."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from disk_access import delete, error_of, everything, get, listed, meanwhile, put, status

from polystore import DiskConfig, IfExists, Stat, list_files
from polystore.backends.beneath import exchange, open_root

SECRET = b"secret"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "file").write_bytes(SECRET)
    (folder / "below").mkdir()
    return folder


@pytest.fixture
def disk(tmp_path: Path) -> DiskConfig:
    (tmp_path / "root/folder").mkdir(parents=True)
    (tmp_path / "root/file").write_bytes(b"mine")
    return DiskConfig(root=tmp_path / "root")


ways_out = pytest.mark.parametrize(
    ("name", "target", "key"),
    [
        ("link", "{outside}/file", "link"),
        ("link", "../outside/file", "link"),
        ("link", "{outside}/missing", "link"),
        ("link", "{outside}", "link/file"),
        ("link", "../outside", "link/file"),
        ("link", "../outside", "link/below/new"),
        ("link", "{outside}", "link"),
        ("folder/link", "../../outside", "folder/link/file"),
        ("folder/link", "../../outside/file", "folder/link"),
        ("link", "..", "link/outside/file"),
        ("link", "folder/../../outside/file", "link"),
        ("link", "{root}/file", "link"),  # an absolute link leaves the root, and comes back
        ("link", "../root/file", "link"),
        ("link", "/proc/self/root", "link/etc/passwd"),
        ("link", "link", "link"),
        ("link", "link/", "link/a"),
        ("folder/link", "../folder/link", "folder/link/a"),
    ],
)


@ways_out
def test_no_link_leads_out_or_in_a_circle(
    disk: DiskConfig, outside: Path, name: str, target: str, key: str
) -> None:
    root = Path(disk.root)
    (root / name).symlink_to(target.format(outside=outside, root=root))
    before = everything(root.parent)
    assert error_of(get(disk, key)) == "InvalidKey"
    if key == name:
        found = status(disk, key).unwrap()
        said = target.format(outside=outside, root=root)
        assert found == Stat("broken link", None, None, said)
    else:
        assert error_of(status(disk, key)) == "InvalidKey"
    modes: tuple[IfExists, ...] = ("fail", "skip", "replace")
    for if_exists in modes:
        for content in (b"new", b"new" * 2**20):
            outcome = put(disk, key, content, if_exists)
            if key != name:
                assert error_of(outcome) == "InvalidKey"
            elif if_exists != "replace":
                assert error_of(outcome) == "AlreadyExists"
                assert everything(root.parent) == before
    if key != name:
        assert error_of(delete(disk, key)) == "InvalidKey"
        assert everything(root.parent) == before
    assert everything(outside) == {"below": None, "file": SECRET}


@ways_out
def test_replacing_and_deleting_a_link_leave_alone_what_it_leads_to(
    disk: DiskConfig, outside: Path, name: str, target: str, key: str
) -> None:
    root = Path(disk.root)
    link = root / name
    link.symlink_to(target.format(outside=outside, root=root))
    assert put(disk, name, b"new", "replace").unwrap()
    assert not link.is_symlink()
    assert get(disk, name).unwrap() == b"new"
    link.unlink()
    link.symlink_to(target.format(outside=outside, root=root))
    delete(disk, name).unwrap()
    assert not link.is_symlink()
    assert everything(outside) == {"below": None, "file": SECRET}
    assert (root / "file").read_bytes() == b"mine"


def test_an_error_names_the_key_and_what_to_do(disk: DiskConfig, outside: Path) -> None:
    Path(disk.root, "link").symlink_to(outside)
    error = get(disk, "link/file").failure()
    assert "'link/file' leads out of the root through a link" in error.message
    assert "a config of its own" in error.advice
    assert error.config == disk
    assert SECRET.decode() not in str(error)


@pytest.mark.parametrize("target", ["file", "folder/../file", "./file", "other"])
def test_a_link_to_a_file_inside_is_that_file(disk: DiskConfig, target: str) -> None:
    root = Path(disk.root)
    (root / "other").symlink_to("folder/../file")
    (root / "link").symlink_to(target)
    assert get(disk, "link").unwrap() == b"mine"
    assert status(disk, "link").unwrap().kind == "file"
    assert error_of(put(disk, "link", b"new")) == "AlreadyExists"
    assert put(disk, "link", b"new", "skip").unwrap() is False
    assert put(disk, "link", b"new", "replace").unwrap()
    assert (root / "file").read_bytes() == b"mine"


@pytest.mark.parametrize("target", ["folder", "../root/folder", "folder/../folder"])
def test_a_link_to_a_folder_inside_is_that_folder(disk: DiskConfig, target: str) -> None:
    root = Path(disk.root)
    (root / "link").symlink_to(target)
    if target.startswith(".."):
        assert error_of(put(disk, "link/a", b"1")) == "InvalidKey"
        return
    assert put(disk, "link/a", b"1").unwrap()
    assert put(disk, "link/b/c", b"1").unwrap()
    assert (root / "folder/a").read_bytes() == b"1"
    assert get(disk, "link/b/c").unwrap() == b"1"
    assert error_of(get(disk, "link")) == "NotAFile"
    assert status(disk, "link").unwrap().kind == "folder"
    modes: tuple[IfExists, ...] = ("fail", "skip")
    for if_exists in modes:
        assert error_of(put(disk, "link", b"1", if_exists)) == "NotAFile"
    assert listed(disk, "link") == (["link/a", "link/b/c"], [])


def test_a_link_that_leads_nowhere_is_nothing_to_load_and_in_the_way_of_a_save(
    disk: DiskConfig,
) -> None:
    Path(disk.root, "link").symlink_to("missing")
    assert error_of(get(disk, "link")) == "NotFound"
    assert "a link to 'missing', which is not there" in str(get(disk, "link").failure())
    assert status(disk, "link").unwrap() == Stat("broken link", None, None, "missing")
    modes: tuple[IfExists, ...] = ("fail", "skip")
    for if_exists in modes:
        assert error_of(put(disk, "link", b"1", if_exists)) == "AlreadyExists"
    assert error_of(put(disk, "link/a", b"1")) == "Unavailable"
    assert "leads nowhere" in str(put(disk, "link/a", b"1").failure())
    assert not Path(disk.root, "missing").exists()


def test_a_listing_names_links_to_files_and_enters_none(disk: DiskConfig, outside: Path) -> None:
    root = Path(disk.root)
    (root / "folder/a").touch()
    links = {
        "to_file": "file",
        "out": "../outside/file",
        "circle": "circle",
        "to_folder": "folder",
        "out_to_folder": "../outside",
        "up": "..",
        "here": ".",
        "nowhere": "missing",
    }
    for name, target in links.items():
        (root / name).symlink_to(target)
    keys, errors = listed(disk)
    assert errors == []
    # Broken links can be deleted and replaced, so that they are keys: a load says what is wrong.
    broken = ["circle", "nowhere", "out", "out_to_folder", "up"]
    assert keys == sorted([*broken, "file", "folder/a", "to_file"])
    assert [key for key in keys if status(disk, key).unwrap().kind == "broken link"] == broken
    for key in ("circle", "out", "out_to_folder", "up"):
        assert error_of(get(disk, key)) == "InvalidKey"
    assert error_of(list_files(disk, folder="out_to_folder")) == "InvalidKey"
    assert error_of(list_files(disk, folder="up/outside")) == "InvalidKey"


def swapped(
    disk: DiskConfig, outside: Path, work: Callable[[int], object], turns: int = 1500
) -> None:
    """Do some work while a folder of the store is swapped for a link to a folder outside."""
    Path(disk.root, "link").symlink_to(outside)
    root = open_root(disk.root)
    try:
        exchange(root, "folder", "link")
        with meanwhile(lambda: exchange(root, "folder", "link")):
            for turn in range(turns):
                work(turn)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        pytest.skip("this file system cannot exchange names")
    finally:
        os.close(root)


def test_no_save_gets_out_through_a_folder_that_is_swapped(disk: DiskConfig, outside: Path) -> None:
    errors: set[str] = set()

    def saves(turn: int) -> None:
        errors.add(error_of(put(disk, f"folder/{turn}", b"mine")))
        errors.add(error_of(put(disk, "folder/below/same", b"mine", "replace")))

    swapped(disk, outside, saves)
    assert everything(outside) == {"below": None, "file": SECRET}
    assert errors <= {"", "InvalidKey"}


def test_no_load_gets_out_through_a_folder_that_is_swapped(disk: DiskConfig, outside: Path) -> None:
    Path(disk.root, "folder/file").write_bytes(b"inside")
    seen: set[bytes | str] = set()

    def loads(_turn: int) -> None:
        outcome = get(disk, "folder/file")
        seen.add(outcome.value_or(b"") or error_of(outcome))
        assert set(listed(disk)[0]) <= {"file", "folder", "link", "folder/file", "link/file"}

    swapped(disk, outside, loads)
    assert seen <= {b"inside", "InvalidKey"}


def test_no_delete_gets_out_through_a_folder_that_is_swapped(
    disk: DiskConfig, outside: Path
) -> None:
    def deletes(_turn: int) -> None:
        delete(disk, "folder/file")

    swapped(disk, outside, deletes)
    assert everything(outside) == {"below": None, "file": SECRET}
