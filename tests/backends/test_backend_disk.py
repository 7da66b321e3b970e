"""The disk store: what it says of everything that can stand in a folder."""

from __future__ import annotations

import gc
import os
import pickle
import socketserver
import stat
import tempfile
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from disk_access import delete, error_of, everything, get, listed, put, put_buffers, status
from hypothesis import given
from hypothesis import strategies as st

from polystore import (
    Buffer,
    DiskConfig,
    HostArray,
    IfExists,
    Item,
    Key,
    list_files,
    load,
    save,
)
from polystore.backends.disk import DISK
from polystore.core.payload import is_host_array

IF_EXISTS: tuple[IfExists, ...] = ("fail", "replace", "skip")
every_mode = pytest.mark.parametrize("if_exists", IF_EXISTS)


@pytest.fixture
def disk(tmp_path: Path) -> DiskConfig:
    return DiskConfig(root=tmp_path / "root")


@given(st.lists(st.binary(max_size=40), max_size=20), st.sampled_from(IF_EXISTS), st.booleans())
def test_what_was_put_is_what_is_got(
    buffers: list[bytes], if_exists: IfExists, gathered: bool
) -> None:
    with tempfile.TemporaryDirectory() as root:
        config = DiskConfig(root=root)
        whole = b"".join(buffers)
        given_as = tuple(buffers) if gathered else iter(buffers)
        assert put_buffers(config, "a/b.bin", given_as, len(whole), if_exists).unwrap()
        assert get(config, "a/b.bin").unwrap() == whole
        assert status(config, "a/b.bin").unwrap().nbytes == len(whole)
        assert everything(Path(root)) == {"a": None, "a/b.bin": whole}


@pytest.mark.parametrize("size", [2**20 - 1, 2**20, 5 * 2**20 + 3])
@pytest.mark.parametrize("pieces", [1, 2, 40])
def test_large_content_is_written_whole(disk: DiskConfig, size: int, pieces: int) -> None:
    whole = np.random.default_rng(0).bytes(size)
    step = -(-size // pieces)
    buffers = tuple(whole[start : start + step] for start in range(0, size, step))
    assert put_buffers(disk, "a.bin", buffers, size).unwrap()
    assert get(disk, "a.bin").unwrap() == whole


def test_buffers_of_any_form_are_their_bytes(disk: DiskConfig) -> None:
    grid = np.arange(12, dtype=">u2").reshape(3, 4)
    forms: list[HostArray] = [grid, grid[:, ::2], grid.T, np.empty((0, 3))]
    buffers: tuple[Buffer, ...] = (*(cast("Buffer", form) for form in forms), bytearray(b"x"), b"y")
    whole = b"".join(form.tobytes() for form in forms) + b"xy"
    assert put_buffers(disk, "tuple", buffers, len(whole)).unwrap()
    assert put_buffers(disk, "iterator", iter(buffers), len(whole)).unwrap()
    assert get(disk, "tuple").unwrap() == get(disk, "iterator").unwrap() == whole


@every_mode
def test_if_exists_decides(disk: DiskConfig, if_exists: IfExists) -> None:
    put(disk, "a", b"old").unwrap()
    outcome = put(disk, "a", b"new", if_exists)
    if if_exists == "fail":
        assert "if_exists" in str(outcome.failure())
        assert error_of(outcome) == "AlreadyExists"
    else:
        assert outcome.unwrap() == (if_exists == "replace")
    assert get(disk, "a").unwrap() == (b"new" if if_exists == "replace" else b"old")
    assert len(everything(Path(disk.root))) == 1


def test_files_have_the_permissions_that_others_have(disk: DiskConfig) -> None:
    before = os.umask(0o027)
    try:
        put(disk, "folder/a", b"1").unwrap()
        put(disk, "folder/a", b"2", "replace").unwrap()
    finally:
        os.umask(before)
    root = Path(disk.root)
    assert stat.S_IMODE((root / "folder/a").stat().st_mode) == 0o640
    assert stat.S_IMODE((root / "folder").stat().st_mode) == 0o750
    assert (root / "folder/a").stat().st_nlink == 1


def test_a_missing_root_is_made_by_a_save_and_by_nothing_else(disk: DiskConfig) -> None:
    for outcome in (get(disk, "a"), status(disk, "a"), delete(disk, "a"), list_files(disk)):
        assert error_of(outcome) == "NotFound"
        assert disk.root in str(outcome.failure())
    assert not Path(disk.root).exists()
    assert put(disk, "a", b"1").unwrap()
    assert listed(disk) == (["a"], [])


@every_mode
def test_a_root_that_is_a_file_is_no_folder(tmp_path: Path, if_exists: IfExists) -> None:
    (tmp_path / "root").write_text("precious")
    for root in (tmp_path / "root", tmp_path / "root/below"):
        disk = DiskConfig(root=root)
        for key in ("a", "a/b"):
            for outcome in (
                put(disk, key, b"1", if_exists),
                get(disk, key),
                status(disk, key),
                delete(disk, key),
                list_files(disk),
            ):
                assert error_of(outcome) == "NotADirectory"
    assert (tmp_path / "root").read_text() == "precious"


def test_a_root_that_leads_nowhere_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "root").symlink_to("missing")
    disk = DiskConfig(root=tmp_path / "root")
    assert error_of(put(disk, "a", b"1")) == "NotADirectory"
    assert error_of(get(disk, "a")) == "NotFound"
    (tmp_path / "root").unlink()
    (tmp_path / "root").symlink_to("root")
    assert error_of(put(disk, "a", b"1")) == "InvalidKey"
    assert error_of(get(disk, "a")) == "InvalidKey"


@pytest.mark.parametrize("root", ["/a\0b", "/\ud800", "/" + "x" * 256, "/x" * 3000])
def test_a_root_that_is_no_path_is_an_error(root: str) -> None:
    disk = DiskConfig(root=root)
    for outcome in (put(disk, "a", b"1"), get(disk, "a"), status(disk, "a/b"), list_files(disk)):
        assert error_of(outcome) == "InvalidKey"


def test_a_root_may_be_as_long_as_paths_go(tmp_path: Path) -> None:
    part = "r" * 200
    while len(str(tmp_path / part)) < 4090:
        tmp_path = tmp_path / part
    disk = DiskConfig(root=tmp_path)
    key = "k" * 255  # together longer than the system takes
    assert put(disk, key, b"1").unwrap()
    assert get(disk, key).unwrap() == b"1"
    assert listed(disk) == ([key], [])
    assert delete(disk, key).unwrap() is None


@every_mode
def test_a_folder_is_no_file(disk: DiskConfig, if_exists: IfExists) -> None:
    put(disk, "wells/A01.npy", b"1").unwrap()
    put(disk, "wells/B01.npy", b"1").unwrap()
    for content in (b"1", b"1" * 2**20):
        assert error_of(put(disk, "wells", content, if_exists)) == "NotAFile"
    found = get(disk, "wells").failure()
    assert "a folder of 2 files" in str(found)
    assert "pipeline.map" in str(found)
    assert status(disk, "wells").unwrap().kind == "folder"
    assert error_of(delete(disk, "wells")) == "NotAFile"
    assert listed(disk) == (["wells/A01.npy", "wells/B01.npy"], [])


@every_mode
def test_a_file_is_no_folder(disk: DiskConfig, if_exists: IfExists) -> None:
    put(disk, "a", b"1").unwrap()
    for key in ("a/b", "a/b/c"):
        assert error_of(put(disk, key, b"2", if_exists)) == "NotADirectory"
        for outcome in (get(disk, key), status(disk, key), delete(disk, key)):
            assert error_of(outcome) == "NotFound"
    assert error_of(list_files(disk, folder="a")) == "NotADirectory"
    assert everything(Path(disk.root)) == {"a": b"1"}


@pytest.mark.parametrize("key", ["special", "folder/special"])
@pytest.mark.parametrize("kind", ["fifo", "socket", "device"])
def test_a_pipe_a_socket_or_a_device_is_no_file_and_nothing_waits_for_it(
    disk: DiskConfig, kind: str, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(disk.root, key)
    path.parent.mkdir(parents=True)
    monkeypatch.chdir(path.parent)  # a socket's path must be short
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        socketserver.UnixStreamServer(path.name, socketserver.BaseRequestHandler).server_close()
    elif os.geteuid() != 0:
        pytest.skip("only root makes device files")
    else:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))  # reads as zeros without end
    for outcome in (get(disk, key), status(disk, key), put(disk, key, b"1", "skip")):
        assert error_of(outcome) == "NotAFile"
        assert "a pipe, a socket or a device" in str(outcome.failure())
    assert error_of(put(disk, key, b"1", "fail")) == "NotAFile"
    assert listed(disk) == ([], [])
    assert put(disk, key, b"1", "replace").unwrap()
    assert get(disk, key).unwrap() == b"1"


def test_a_missing_key_is_answered_with_the_near_one(disk: DiskConfig) -> None:
    for key in ("wells/A01.npy", "wells/B02.npy"):
        put(disk, key, b"1").unwrap()
    assert "'wells/A01.npy'" in str(get(disk, "wells/a1.npy").failure())
    assert "'wells/B02.npy'" in str(load(disk)("wells/B2").failure())
    assert "already in the key" in str(get(disk, "root/wells/A01.npy").failure())
    assert "list_files" in str(get(disk, "other/deep/key.npy").failure())


def test_the_near_key_is_found_in_a_folder_of_many(disk: DiskConfig) -> None:
    root = Path(disk.root)
    root.mkdir()
    for i in range(3000):
        (root / f"img_{i:05}_ch{i % 3}.tif").touch()
    assert "Did you mean 'img_0" in str(get(disk, "IMG_2999_ch2.tif").failure())
    assert "'img_02999_ch2.tif'" in str(get(disk, "img_02999_ch2.tiff").failure())


def test_a_key_may_be_longer_than_paths_go(disk: DiskConfig) -> None:
    long = "/".join(["x" * 255] * 17)  # linux/limits.h: a path has 4096 bytes
    assert put(disk, long, b"1").unwrap()
    assert error_of(put(disk, long, b"2")) == "AlreadyExists"
    assert put(disk, long, b"3", "replace").unwrap()
    assert get(disk, long).unwrap() == b"3"
    assert status(disk, long).unwrap().nbytes == 1
    assert listed(disk) == ([long], [])
    delete(disk, long).unwrap()
    assert listed(disk) == ([], [])


def test_a_key_of_more_folders_than_python_has_frames_is_one(disk: DiskConfig) -> None:
    key = "d/" * 1100 + "a"
    assert put(disk, key, b"1").unwrap()
    assert get(disk, key).unwrap() == b"1"
    assert listed(disk) == ([key], [])
    top = Path(disk.root)
    for _ in range(1100):  # shutil.rmtree would need more of Python's stack than there is
        (top / "d").rename(top / "old")
        for below in (top / "old").iterdir():
            below.rename(top / below.name)
        (top / "old").rmdir()


def test_a_file_that_shrinks_while_it_is_read_gives_what_is_there(disk: DiskConfig) -> None:
    put(disk, "a", b"12345678").unwrap()
    assert DISK.get is not None
    source = DISK.get(disk, Key("a")).unwrap()
    os.truncate(Path(disk.root, "a"), 3)
    content = bytearray(8)
    assert source.read_into(0, memoryview(content)) == 3
    assert source.read_into(5, memoryview(content)) == 0
    source.close()


def test_closing_twice_closes_nothing_else(disk: DiskConfig) -> None:
    put(disk, "a", b"1").unwrap()
    assert DISK.get is not None
    source = DISK.get(disk, Key("a")).unwrap()
    source.close()
    with Path(disk.root, "a").open("rb") as other:  # it has the number that the source had
        source.close()
        assert other.read() == b"1"
    with pytest.raises(OSError, match="Bad file descriptor"):
        source.read_into(0, memoryview(bytearray(1)))


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_nothing_stays_open(disk: DiskConfig, tmp_path: Path) -> None:
    put(disk, "folder/a", b"1").unwrap()
    Path(disk.root, "out").symlink_to(tmp_path)
    gc.collect()
    before = open_files()
    for key in ("a", "folder/a", "folder", "folder/a/b", "out/x", "missing", "x" * 256):
        get(disk, key)
        status(disk, key)
        for mode in IF_EXISTS:
            put(disk, key, b"2", mode)
            put(disk, key, b"2" * 2**20, mode)
        delete(disk, key)
    listed(disk)
    assert DISK.list is not None
    next(DISK.list(disk, ""))  # dropped after its first page
    assert DISK.get is not None
    DISK.get(disk, Key("out")).value_or(None)  # dropped unread
    assert open_files() == before


def test_arrays_go_through_it(disk: DiskConfig) -> None:
    array = np.arange(6, dtype=">f4").reshape(2, 3)
    saved = save(disk)(Item("deep/er/a.npy", array)).unwrap()
    assert (saved.status, saved.key, saved.config) == ("written", "deep/er/a.npy", disk)
    assert saved.nbytes == Path(disk.root, "deep/er/a.npy").stat().st_size
    back = load(disk)("deep/er/a.npy").unwrap()
    assert is_host_array(back.payload)
    assert back.payload.dtype == array.dtype
    assert back.payload.tobytes() == array.tobytes()


def test_the_first_of_what_is_wrong_is_said(disk: DiskConfig) -> None:
    put(disk, "notes.xyz", b"1").unwrap()
    put(disk, "wells/A01.npy", b"1").unwrap()
    assert error_of(load(disk)("notes.xyz")) == "UnknownFormat"
    assert error_of(load(disk)("missing.xyz")) == "NotFound"
    assert error_of(load(disk)("wells")) == "NotAFile"
    assert error_of(load(disk)("wells/A01.npy")) == "Corrupt"


def test_a_config_is_an_address(disk: DiskConfig) -> None:
    assert pickle.loads(pickle.dumps(disk)) == disk
    assert hash(disk) == hash(DiskConfig(root=disk.root))
