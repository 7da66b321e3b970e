"""Locks of keys: one holder at a time, in threads and processes, and none left by the dead."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest
from disk_access import error_of, everything, get, listed, lock, put
from hypothesis import given
from hypothesis import strategies as st

from polystore import DiskConfig, is_successful
from polystore.backends.filelock import LOCK_FILE
from polystore.backends.whole import SWEEP_AFTER_S

LONG_S = 60.0


@pytest.fixture
def disk(tmp_path: Path) -> DiskConfig:
    return DiskConfig(root=tmp_path / "root")


def lock_files(config: DiskConfig) -> list[Path]:
    return sorted(Path(config.root).glob(f"{LOCK_FILE}*"))


keys = st.lists(st.text("aB.é ", min_size=1, max_size=3), min_size=1, max_size=3).map("/".join)


@given(st.lists(keys, unique=True, min_size=1, max_size=6))
def test_a_key_is_locked_once_and_beside_all_others(wanted: list[str]) -> None:
    with tempfile.TemporaryDirectory() as root:
        config = DiskConfig(root=root)
        held = [lock(config, key).unwrap() for key in wanted]
        for key in wanted:
            assert error_of(lock(config, key)) == "LockTimeout"
        assert listed(config) == ([], [])
        assert len(lock_files(config)) == len(wanted)
        for each in held:
            with each:
                pass
        for key in wanted:
            with lock(config, key).unwrap():
                assert error_of(lock(config, key)) == "LockTimeout"
        assert everything(Path(root)) == {}


def test_a_lock_is_let_go_on_the_way_out_and_when_it_is_forgotten(disk: DiskConfig) -> None:
    with pytest.raises(KeyboardInterrupt), lock(disk, "a").unwrap():
        raise KeyboardInterrupt
    lock(disk, "a").unwrap()  # never entered
    gc.collect()
    held = lock(disk, "a").unwrap()
    with held:
        pass
    with held:  # nothing is let go twice
        assert is_successful(lock(disk, "a"))
    assert everything(Path(disk.root)) == {}


def test_a_lock_needs_no_key_and_makes_none(disk: DiskConfig) -> None:
    with lock(disk, "deep/er/a").unwrap():
        assert listed(disk) == ([], [])
        assert put(disk, "deep/er/a", b"1").unwrap()  # a lock holds against locks only
    assert everything(Path(disk.root)) == {"deep": None, "deep/er": None, "deep/er/a": b"1"}


def test_a_time_that_is_over_is_an_error_that_says_how_long(disk: DiskConfig) -> None:
    with lock(disk, "a").unwrap():
        for seconds in (-1, 0, 0.01, float("nan")):
            error = lock(disk, "a", seconds).failure()
            assert (type(error).__name__, error.key, error.config) == ("LockTimeout", "a", disk)
        assert "0.01 seconds" in lock(disk, "a", 0.01).failure().message


def adds_one(config: DiskConfig, turns: int) -> None:
    """Read a number and write it back, as nobody may who holds no lock."""
    for _ in range(turns):
        with lock(config, "count", LONG_S).unwrap():
            count = int(get(config, "count").value_or(b"0"))
            put(config, "count", b"%d" % (count + 1), "replace").unwrap()


def test_nothing_is_lost_between_threads_and_processes(
    disk: DiskConfig, processes: ForkServerContext
) -> None:
    children = [processes.Process(target=adds_one, args=(disk, 40), daemon=True) for _ in range(2)]
    for child in children:
        child.start()
    with ThreadPoolExecutor(4) as threads:
        for each in [threads.submit(adds_one, disk, 40) for _ in range(4)]:
            each.result()
    for child in children:
        child.join()
        assert child.exitcode == 0
    assert get(disk, "count").unwrap() == b"240"
    assert everything(Path(disk.root)).keys() == {"count"}


def locks_and_stands_still(config: DiskConfig, pipe: Connection) -> None:
    with lock(config, "a", LONG_S).unwrap():
        pipe.send("locked")
        pipe.recv()


def test_who_is_killed_lets_go(disk: DiskConfig, processes: ForkServerContext) -> None:
    here, there = processes.Pipe()
    child = processes.Process(target=locks_and_stands_still, args=(disk, there), daemon=True)
    child.start()
    there.close()
    assert here.recv() == "locked"
    assert error_of(lock(disk, "a")) == "LockTimeout"
    (left,) = lock_files(disk)
    make_old(left)
    assert listed(disk) == ([], [])
    assert left.exists()  # however old: it is held

    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(lock, disk, "a", LONG_S)
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        with waiting.result().unwrap():
            assert error_of(lock(disk, "a")) == "LockTimeout"
    assert everything(Path(disk.root)) == {}


def make_old(path: Path) -> None:
    long_ago = path.stat().st_mtime - SWEEP_AFTER_S - 1
    os.utime(path, (long_ago, long_ago))


def test_the_file_of_the_dead_is_swept_when_it_is_old(disk: DiskConfig) -> None:
    with lock(disk, "a").unwrap():
        (file,) = lock_files(disk)
    file.touch()
    assert listed(disk) == ([], [])
    assert file.exists()
    with lock(disk, "a").unwrap():  # it is as good as a new one
        pass
    assert not file.exists()
    file.touch()
    make_old(file)
    assert listed(disk) == ([], [])
    assert not file.exists()


def test_a_file_that_is_removed_while_it_is_waited_for_is_not_mistaken(disk: DiskConfig) -> None:
    """Who waits for a file that is gone by then must not believe that it holds the key's lock."""
    inside = 0
    most = 0
    guard = threading.Lock()

    def holds() -> None:
        nonlocal inside, most
        for _ in range(200):
            with lock(disk, "a", LONG_S).unwrap():
                with guard:
                    inside += 1
                    most = max(most, inside)
                with guard:
                    inside -= 1

    with ThreadPoolExecutor(4) as threads:
        for each in [threads.submit(holds) for _ in range(4)]:
            each.result()
    assert most == 1


def test_a_root_that_was_removed_is_made_again(disk: DiskConfig) -> None:
    with lock(disk, "a").unwrap():
        (file,) = lock_files(disk)
        file.unlink()
        Path(disk.root).rmdir()
        with lock(disk, "a").unwrap():  # nobody can know of the other any more
            pass
        with lock(disk, "a").unwrap():
            other = lock_files(disk)
    assert len(other) == 1
    assert everything(Path(disk.root)) == {}


def test_letting_go_removes_no_lock_of_another(disk: DiskConfig) -> None:
    first = lock(disk, "a").unwrap()
    (file,) = lock_files(disk)
    file.unlink()
    with lock(disk, "a").unwrap():
        with first:
            pass
        assert file.exists()
        assert error_of(lock(disk, "a")) == "LockTimeout"


FORKS = """
import os, signal, sys
from polystore import DiskConfig, Key, is_successful
from polystore.backends.disk import DISK

disk = DiskConfig(root=sys.argv[1])
read, write = os.pipe()
held = DISK.lock(disk, Key("a"), 0).unwrap()
child = os.fork()
if child == 0:
    with held:  # leaving it must not let go of the parent's
        pass
    os.write(write, b"free" if is_successful(DISK.lock(disk, Key("a"), 0)) else b"held")
    signal.pause()
print(os.read(read, 4).decode())
with held:
    print(is_successful(DISK.lock(disk, Key("a"), 0)))
print(is_successful(DISK.lock(disk, Key("a"), 0)))  # though the child lives
os.kill(child, signal.SIGKILL)
os.waitpid(child, 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_holds_no_lock_of_its_parent(disk: DiskConfig) -> None:
    program = [sys.executable, "-c", FORKS, disk.root]
    result = subprocess.run(program, capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout.split() == ["held", "False", "True"]
    assert result.stderr == ""


def test_what_stands_where_the_lock_file_would_is_said(disk: DiskConfig, tmp_path: Path) -> None:
    with lock(disk, "a").unwrap():
        (file,) = lock_files(disk)
    file.symlink_to(tmp_path / "outside")
    assert error_of(lock(disk, "a")) == "InvalidKey"
    assert not (tmp_path / "outside").exists()
    file.unlink()
    file.mkdir()
    assert error_of(lock(disk, "a")) == "NotAFile"
    file.rmdir()
    (tmp_path / "root").rmdir()
    (tmp_path / "root").touch()
    assert error_of(lock(disk, "a")) == "NotADirectory"
