"""Full disks leave what was there, and a save can outlast a crash: whole either way."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path

import numpy as np
import pytest
from both_ways import Write, both_ways, written
from disk_access import (
    delete,
    error_of,
    everything,
    get,
    listed,
    move,
    put,
    put_buffers,
)

from polystore import DiskConfig, Encoded, IfExists, Item, Success, save

MB = 2**20


@pytest.fixture
def disk(tmp_path: Path) -> DiskConfig:
    (tmp_path / "root").mkdir()
    return DiskConfig(root=tmp_path / "root")


def saves_beyond_a_limit(root: str, pipe: Connection) -> None:
    """Save more than this process may have in one file: the system's answer to a full quota."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (MB // 2, MB // 2))
    disk = DiskConfig(root=root)
    pipe.send(
        [
            error_of(put(disk, "new", b"1" * size, if_exists))
            for size in (MB - 1, 4 * MB)  # with and without its blocks reserved
            for if_exists in ("fail", "skip", "replace")
        ]
        + [
            error_of(put_buffers(disk, "new", iter([b"1"] * (MB - 1)), MB - 1)),
            error_of(put(disk, "old", b"1" * 4 * MB, "replace")),
            error_of(put(disk, "folder/small", b"1")),
        ]
    )


def test_no_room_in_a_quota_is_no_space(disk: DiskConfig, processes: ForkServerContext) -> None:
    put(disk, "old", b"old").unwrap()
    here, there = processes.Pipe(duplex=False)
    child = processes.Process(target=saves_beyond_a_limit, args=(disk.root, there))
    child.start()
    there.close()
    errors = here.recv()
    child.join()
    assert errors == ["NoSpace"] * 8 + [""]
    found = everything(Path(disk.root))
    assert found == {"old": b"old", "folder": None, "folder/small": b"1"}


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Give a function that mounts a file system; skips where that is not allowed."""
    mounted: list[Path] = []

    def mount(*options: str) -> Path:
        folder = tmp_path / f"mounted{len(mounted)}"
        folder.mkdir()
        if os.geteuid() != 0:
            pytest.skip("only root mounts file systems")
        result = subprocess.run(
            ["mount", *options, str(folder)], capture_output=True, text=True, check=False
        )
        if result.returncode:
            pytest.skip(f"cannot mount here: {result.stderr.strip()}")
        mounted.append(folder)
        return folder

    yield mount
    for folder in reversed(mounted):
        subprocess.run(["umount", str(folder)], check=True)


TMPFS = ("-t", "tmpfs", "-o", "size=1m", "tmpfs")


@pytest.mark.parametrize("key", ["new", "folder/new"])
@pytest.mark.parametrize("kilobytes", [1000, 2000, 9000])
def test_a_full_disk_is_no_space_and_nothing_changes(
    mount: Callable[..., Path], kilobytes: int, key: str
) -> None:
    root = mount(*TMPFS)
    disk = DiskConfig(root=root)
    put(disk, "old", b"old" * 30_000).unwrap()
    before = everything(root)
    content = b"1" * 1024 * kilobytes
    modes: tuple[IfExists, ...] = ("fail", "skip", "replace")
    for if_exists in modes:
        outcome = put(disk, key, content, if_exists)
        assert error_of(outcome) == "NoSpace"
        assert "what was there before is untouched" in str(outcome.failure())
    assert error_of(put(disk, "old", content, "replace")) == "NoSpace"
    assert error_of(put_buffers(disk, key, iter([content]), len(content))) == "NoSpace"
    assert everything(root) == before | ({"folder": None} if "/" in key else {})
    assert put(disk, "small", b"1").unwrap()


@both_ways
def test_both_ways_leave_nothing_on_a_full_disk(mount: Callable[..., Path], write: Write) -> None:
    root = mount(*TMPFS)
    for size in (MB - 1, 2 * MB):
        with pytest.raises(OSError, match="No space"):
            written(write, str(root), "a", Encoded((b"1" * size, b"1" * size), 2 * size))
    assert everything(root) == {}


def test_a_disk_without_inodes_is_no_space(mount: Callable[..., Path]) -> None:
    root = mount("-t", "tmpfs", "-o", "size=1m,nr_inodes=3", "tmpfs")
    disk = DiskConfig(root=root)
    put(disk, "a", b"1").unwrap()
    put(disk, "b", b"1").unwrap()
    assert error_of(put(disk, "c", b"1")) == "NoSpace"
    assert error_of(put(disk, "folder/c", b"1")) == "NoSpace"
    assert everything(root) == {"a": b"1", "b": b"1"}


def test_a_file_system_that_can_only_be_read_is_read_only(
    mount: Callable[..., Path], disk: DiskConfig
) -> None:
    put(disk, "a", b"old").unwrap()
    root = mount("--bind", disk.root)
    subprocess.run(["mount", "-o", "remount,ro,bind", str(root)], check=True)
    frozen = DiskConfig(root=root)
    assert get(frozen, "a").unwrap() == b"old"
    modes: tuple[IfExists, ...] = ("fail", "skip", "replace")
    for if_exists in modes:
        for key in ("new", "folder/new"):
            assert error_of(put(frozen, key, b"1", if_exists)) == "ReadOnly"
    assert error_of(put(DiskConfig(root=root / "below"), "a", b"1")) == "ReadOnly"
    assert put(frozen, "a", b"1" * MB, "skip") == Success(False)
    assert everything(root) == {"a": b"old"}


def test_a_move_to_another_file_system_is_refused(
    mount: Callable[..., Path], disk: DiskConfig, tmp_path: Path
) -> None:
    other = mount(*TMPFS).relative_to(tmp_path)
    outer = DiskConfig(root=tmp_path)
    put(disk, "folder/a", b"1").unwrap()
    put(disk, "b", b"2").unwrap()
    modes: tuple[IfExists, ...] = ("fail", "skip", "replace")
    for if_exists in modes:
        for old in ("root/folder", "root/b"):
            error = move(outer, old, f"{other}/new", if_exists).failure()
            assert type(error).__name__ == "UnsupportedOperation"
            assert "Copy it" in error.advice
    assert listed(outer) == (["root/b", "root/folder/a"], [])
    assert error_of(delete(outer, str(other))) == "Unavailable"  # something is mounted there


# Durability.


def test_fsync_gives_the_same(tmp_path: Path) -> None:
    disk = DiskConfig(root=tmp_path / "made/root", durability="fsync")
    step, again = save(disk), save(disk, if_exists="replace")
    for key in ("a.npy", "b/c/d.npy"):
        step(Item(key, np.arange(3))).unwrap()
        again(Item(key, np.arange(4))).unwrap()
        assert error_of(step(Item(key, np.arange(5)))) == "AlreadyExists"
        assert get(disk, key).unwrap()[-8:] == np.int64(3).tobytes()
    assert listed(disk) == (["a.npy", "b/c/d.npy"], [])


TRACED = """
from polystore import DiskConfig, Encoded, Key
from polystore.backends.disk import DISK
import sys
disk = DiskConfig(root=sys.argv[1], durability="fsync")
DISK.put(disk, Key("folder/a"), Encoded((b"1",), 1), "fail").unwrap()
"""


def test_fsync_orders_content_then_name_then_folders(tmp_path: Path) -> None:
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    log, root = tmp_path / "log", tmp_path / "root"
    traced = [strace, "-y", "-o", str(log), "-e", "trace=fsync,linkat,renameat2,mkdir,mkdirat"]
    result = subprocess.run(
        [*traced, sys.executable, "-c", TRACED, str(root)],
        capture_output=True,
        text=True,
        check=False,
    )
    if "ptrace" in result.stderr:
        pytest.skip("tracing is not allowed here")
    assert result.returncode == 0, result.stderr
    calls = [line for line in log.read_text().splitlines() if line.endswith("= 0")]

    def place(*words: str) -> int:
        return next(i for i, line in enumerate(calls) if all(word in line for word in words))

    assert place("mkdir(", f'"{root}"') < place("fsync(", f"<{tmp_path}>")
    content = place("fsync(", f"<{root}/folder/")
    named = place('"a"')
    assert content < named < place("fsync(", f"<{root}/folder>") < place("fsync(", f"<{root}>")
