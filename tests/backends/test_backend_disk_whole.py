"""Files on disk are whole or not there: killed, crowded out, raced, and on a full disk."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from multiprocessing.synchronize import Barrier as ProcessBarrier
from pathlib import Path

import pytest
from both_ways import Write, both_ways, written
from disk_access import error_of, everything, get, listed, meanwhile, put
from hypothesis import given
from hypothesis import strategies as st

from polystore import DiskConfig, Encoded, IfExists, is_successful
from polystore.backends.whole import HIDDEN_FILE, SWEEP_AFTER_S, write_whole

MB = 2**20


@pytest.fixture
def disk(tmp_path: Path) -> DiskConfig:
    (tmp_path / "root").mkdir()
    return DiskConfig(root=tmp_path / "root")


# The two ways.


@both_ways
@given(st.lists(st.binary(max_size=20), max_size=20), st.booleans(), st.booleans())
def test_both_ways_write_the_same(
    write: Write, buffers: list[bytes], replace: bool, there: bool
) -> None:
    whole = b"".join(buffers)
    with tempfile.TemporaryDirectory() as root:
        if there:
            Path(root, "a").write_bytes(b"old")
        done = written(write, root, "a", Encoded(tuple(buffers), len(whole)), replace=replace)
        assert done == (replace or not there)
        assert everything(Path(root)) == {"a": whole if done else b"old"}


@both_ways
@pytest.mark.parametrize("replace", [False, True])
def test_a_folder_is_never_replaced(write: Write, disk: DiskConfig, replace: bool) -> None:
    Path(disk.root, "a").mkdir()
    encoded = Encoded((b"1",), 1)
    if replace:
        with pytest.raises(IsADirectoryError):
            written(write, disk.root, "a", encoded, replace=True)
    else:
        assert not written(write, disk.root, "a", encoded)
    assert everything(Path(disk.root)) == {"a": None}


class CutError(Exception):
    """What goes wrong in the middle."""


def cut_short(content: bytes, raised: BaseException) -> Iterator[bytes]:
    yield content
    raise raised


@both_ways
@pytest.mark.parametrize("nbytes", [10, 3 * MB])
@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize(
    "raised", [CutError(), OSError(5, "broken"), KeyboardInterrupt(), MemoryError()]
)
def test_what_raises_in_the_middle_leaves_nothing(
    write: Write, disk: DiskConfig, raised: BaseException, nbytes: int, replace: bool
) -> None:
    Path(disk.root, "old").write_bytes(b"old")
    encoded = Encoded(cut_short(b"1" * (nbytes // 2), raised), nbytes)
    with pytest.raises(type(raised)):
        written(write, disk.root, "old" if replace else "new", encoded, replace=replace)
    assert everything(Path(disk.root)) == {"old": b"old"}


@both_ways
@pytest.mark.parametrize("announced", [0, 1, 9, 11, 3 * MB])
def test_more_or_less_than_was_announced_is_a_bug_and_leaves_nothing(
    write: Write, disk: DiskConfig, announced: int
) -> None:
    for buffers in ((b"12345", b"67890"), iter((b"12345", b"67890"))):
        with pytest.raises(ValueError, match="10 bytes came"):
            written(write, disk.root, "a", Encoded(buffers, announced))
    assert everything(Path(disk.root)) == {}


# Killed.


def saves_half(write: Write, root: str, replace: bool, pipe: Connection) -> None:
    """Write a file, and stand still in the middle of it."""

    def content() -> Iterator[bytes]:
        yield b"half" * 100
        pipe.send("in the middle")
        pipe.recv()
        yield b"half" * 100

    written(write, root, "a", Encoded(content(), 800), replace=replace)


@both_ways
@pytest.mark.parametrize("replace", [False, True])
def test_a_killed_save_is_not_there(
    write: Write, disk: DiskConfig, replace: bool, processes: ForkServerContext
) -> None:
    if replace:
        put(disk, "a", b"old").unwrap()
    before = listed(disk)
    here, there = processes.Pipe()
    child = processes.Process(target=saves_half, args=(write, disk.root, replace, there))
    child.start()
    there.close()
    assert here.recv() == "in the middle"
    in_the_middle = everything(Path(disk.root))
    hidden = [name for name in in_the_middle if name != "a"]
    assert listed(disk) == before

    # However old it is: a living process holds it.
    for name in hidden:
        make_old(Path(disk.root, name))
    assert listed(disk) == before
    assert everything(Path(disk.root)).keys() == in_the_middle.keys()

    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    assert get(disk, "a").value_or(None) == (b"old" if replace else None)
    assert listed(disk) == before
    assert everything(Path(disk.root)) == ({"a": b"old"} if replace else {})
    assert hidden == [] if write is write_whole else len(hidden) == 1


def make_old(path: Path) -> None:
    long_ago = path.stat().st_mtime - SWEEP_AFTER_S - 1
    os.utime(path, (long_ago, long_ago))


def test_only_old_hidden_files_are_swept(disk: DiskConfig) -> None:
    root = Path(disk.root)
    (root / "below").mkdir()
    old, fresh = f"{HIDDEN_FILE}1", f"{HIDDEN_FILE}2"
    kept = [fresh, ".polystore-of-another-kind", "visible", ".hidden"]
    for name in (old, f"below/{old}", *kept):
        (root / name).touch()
        if name != fresh:
            make_old(root / name)
    (root / f"{HIDDEN_FILE}folder").mkdir()
    (root / f"{HIDDEN_FILE}link").symlink_to("visible")
    (root / f"{HIDDEN_FILE}nowhere").symlink_to("missing")
    os.mkfifo(root / f"{HIDDEN_FILE}pipe")  # opening it would wait for a writer
    make_old(root / f"{HIDDEN_FILE}pipe")
    assert listed(disk) == ([".hidden", "visible"], [])
    left = everything(root)
    assert set(kept) < left.keys()
    assert f"{HIDDEN_FILE}pipe" in left
    assert old not in left
    assert f"below/{old}" not in left


# Races.


def saves_in_a_race(
    root: str, who: int, if_exists: IfExists, start: ProcessBarrier, pipe: Connection
) -> None:
    outcomes: list[str] = []
    for turn in range(20):
        start.wait(60)
        content = f"{who:04}".encode() * 500
        outcome = put(DiskConfig(root=root), f"folder{turn}/a", content, if_exists)
        done = str(outcome.unwrap()) if is_successful(outcome) else error_of(outcome)
        outcomes.append(done)
    pipe.send(outcomes)


@pytest.mark.parametrize("if_exists", ["fail", "skip", "replace"])
def test_of_many_processes_one_is_first(
    disk: DiskConfig, if_exists: IfExists, processes: ForkServerContext
) -> None:
    start = processes.Barrier(4)
    pipes = [processes.Pipe(duplex=False) for _ in range(4)]
    children = [
        processes.Process(target=saves_in_a_race, args=(disk.root, who, if_exists, start, there))
        for who, (_, there) in enumerate(pipes)
    ]
    for child in children:
        child.start()
    for _, there in pipes:
        there.close()
    outcomes: list[list[str]] = [here.recv() for here, _ in pipes]
    for child in children:
        child.join()
    loser = {"fail": "AlreadyExists", "skip": "False", "replace": "True"}[if_exists]
    for turn in range(20):
        found = sorted(each[turn] for each in outcomes)
        assert found == sorted(["True", *[loser] * 3])
        content = get(disk, f"folder{turn}/a").unwrap()
        assert len(content) == 2000
        assert content == content[:4] * 500
        winners = [who for who, each in enumerate(outcomes) if each[turn] == "True"]
        assert int(content[:4]) in winners
        assert everything(Path(disk.root, f"folder{turn}")).keys() == {"a"}


@pytest.mark.parametrize("if_exists", ["fail", "skip"])
def test_of_many_threads_one_is_first(disk: DiskConfig, if_exists: IfExists) -> None:
    start = threading.Barrier(8)

    def race(who: int) -> list[bool]:
        won: list[bool] = []
        for turn in range(20):
            start.wait()
            won.append(put(disk, f"a{turn}", b"%d" % who, if_exists).value_or(False))
        return won

    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(race, range(8)))
    for turn in range(20):
        assert [get(disk, f"a{turn}").unwrap()] == [
            b"%d" % who for who, won in enumerate(results) if won[turn]
        ]


def test_a_reader_sees_the_old_or_the_new(disk: DiskConfig) -> None:
    contents = {bytes([letter]) * 300_000 for letter in b"abc"}
    put(disk, "a", b"a" * 300_000).unwrap()

    def replaces() -> None:
        for content in contents:
            put(disk, "a", content, "replace").unwrap()

    with meanwhile(replaces, threads=2):
        seen = {get(disk, "a").unwrap() for _ in range(300)}
    assert seen <= contents
    assert everything(Path(disk.root)).keys() == {"a"}


def test_folders_that_many_make_at_once_are_made(disk: DiskConfig) -> None:
    start = threading.Barrier(8)

    def race(who: int) -> list[bool]:
        done: list[bool] = []
        for turn in range(20):
            start.wait()
            done.append(is_successful(put(disk, f"{turn}/b/c/{who}", b"1")))
        return done

    with ThreadPoolExecutor(8) as threads:
        assert all(map(all, threads.map(race, range(8))))


def test_saves_beside_a_folder_that_is_removed_are_whole_or_typed_errors(disk: DiskConfig) -> None:
    folder = Path(disk.root, "folder")

    def removes() -> None:
        try:
            folder.rmdir()
        except OSError:
            (folder / "a").unlink(missing_ok=True)

    with meanwhile(removes):
        errors = {error_of(put(disk, "folder/a", b"1", "replace")) for _ in range(500)}
    assert errors <= {"", "Unavailable"}
