"""Arrays in Zarr are whole to every reader: killed, failing, racing and forked writers included.

The writers are real processes. A process is stopped at an exact place by an audit hook of Python's
own, which is called before each operation on files: at the n-th it kills, raises, or writes.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import count
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pytest

from polystore import (
    Item,
    NoSpace,
    NotFound,
    ZarrConfig,
    fold,
    is_successful,
    list_files,
    load,
    save,
)
from polystore.backends.wholefolder import HIDDEN_FOLDER, pin
from polystore.backends.zarr import document, node, store
from polystore.core.key import HIDDEN_PREFIX, Key, natural_order
from polystore.core.outcome import Outcome
from polystore.core.payload import HostArray
from polystore.core.records import IfExists
from polystore.dispatch import default_dispatcher

SHAPE = (8, 16)
SMALL_CHUNKS = 64
"""Bytes: an array of 512 bytes then has eight chunks."""

READS = 2000

SPAWN = multiprocessing.get_context("spawn")

Job = Literal["replace", "fail", "delete"]
Rewrite = Literal["replace beside", "replace", "delete"]


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "CHUNK_BYTES", SMALL_CHUNKS)


def full(value: int) -> HostArray:
    return np.full(SHAPE, value, "u4")


def put(root: Path, key: str, value: int, if_exists: IfExists = "fail") -> Outcome[str]:
    saved = save(ZarrConfig(root=root), if_exists=if_exists)(Item(key, full(value)))
    return saved.map(lambda it: it.status)


def value_at(root: Path, key: str) -> int | None:
    """Give the one value that all elements have; `None` if nothing is stored."""
    loaded = load(ZarrConfig(root=root))(key)
    if not is_successful(loaded):
        assert isinstance(loaded.failure(), NotFound), loaded
        return None
    values = set(loaded.unwrap().payload.ravel().tolist())
    assert loaded.unwrap().payload.shape == SHAPE
    assert len(values) == 1, f"a mixture of {values}"
    return int(values.pop())


def delete(root: Path, key: str) -> Outcome[None]:
    opened = default_dispatcher().open(ZarrConfig(root=root)).unwrap()
    assert opened.backend.delete is not None
    return opened.backend.delete(opened.handle, Key(key))


def hidden_in(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.name.startswith(HIDDEN_PREFIX)]


def run_job(root: Path, job: Job) -> None:
    if job == "delete":
        delete(root, "a").unwrap()
    else:
        put(root, "a", 2, job).unwrap()


def at_operation(number: int, act: Callable[[], None]) -> None:
    """Call `act` before the n-th operation on the file system from now on, once, in any thread."""
    operations = count(1)

    def hook(event: str, _arguments: object) -> None:
        on_files = event == "open" or event.startswith(("os.", "fcntl.", "shutil."))
        if on_files and next(operations) == number:
            act()

    sys.addaudithook(hook)


def start_fork(action: Callable[[], None]) -> int:
    """Start `action` in a forked child; give its process number."""
    pid = os.fork()
    if pid == 0:
        try:
            action()
            os._exit(0)
        finally:
            os._exit(1)
    return pid


def wait_for(pid: int) -> int:
    """Give the exit status of a child, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def in_fork(action: Callable[[], None]) -> int:
    return wait_for(start_fork(action))


def warm_up(root: Path) -> None:
    """Do all jobs once, so that the forked children import nothing."""
    document.CHUNK_BYTES = SMALL_CHUNKS
    put(root, "a", 1).unwrap()
    put(root, "a", 2, "replace").unwrap()
    delete(root, "a").unwrap()


def killed_jobs(base: Path, job: Job) -> None:
    """Run a job in children that are killed ever later, each on a store of its own."""
    warm_up(base.with_name("warm"))
    for number in count(1):
        root = base / str(number)

        def killed(root: Path = root, number: int = number) -> None:
            if job != "fail":
                put(root, "a", 1).unwrap()
            at_operation(number, lambda: os.kill(os.getpid(), signal.SIGKILL))
            run_job(root, job)

        status = in_fork(killed)
        if status == 0:
            return
        assert status == -signal.SIGKILL, status


def interrupted_jobs(base: Path, job: Job) -> None:
    """Do as `killed_jobs` does, but raise: Ctrl-C in the main thread."""
    warm_up(base.with_name("warm"))

    def interrupt() -> None:
        main = threading.current_thread() is threading.main_thread()
        raise KeyboardInterrupt if main else RuntimeError

    for number in count(1):
        root = base / str(number)

        def interrupted(root: Path = root, number: int = number) -> None:
            if job != "fail":
                put(root, "a", 1).unwrap()
            at_operation(number, interrupt)
            run_job(root, job)

        if in_fork(interrupted) == 0:
            return


def run(target: Callable[..., None], *arguments: object) -> None:
    process = SPAWN.Process(target=target, args=arguments)
    process.start()
    process.join()
    assert process.exitcode == 0


def roots_in(base: Path) -> list[Path]:
    return sorted(base.iterdir(), key=lambda path: int(path.name))


BEFORE_AND_AFTER: dict[Job, tuple[int | None, int | None]] = {
    "replace": (1, 2),
    "fail": (None, 2),
    "delete": (1, None),
}
JOBS = pytest.mark.parametrize("job", list(BEFORE_AND_AFTER))


@JOBS
def test_a_killed_writer_leaves_the_old_or_the_new(tmp_path: Path, job: Job) -> None:
    base = tmp_path / "killed"
    run(killed_jobs, base, job)
    before, after = BEFORE_AND_AFTER[job]
    found: list[int | None] = []
    for root in roots_in(base):
        value = value_at(root, "a")
        found.append(value)
        plate = ZarrConfig(root=root)
        if (root / "zarr.json").exists():
            assert list_files(plate).unwrap() == (() if value is None else ("a",))
        for path in hidden_in(root):
            os.utime(path, (0, 0))
        assert put(root, "a", 3, "replace").unwrap() == "written"
        assert value_at(root, "a") == 3
        assert list_files(plate).unwrap() == ("a",)
        assert hidden_in(root) == []
    steps = found.count(before), found.count(after)
    assert found == [before] * steps[0] + [after] * steps[1]
    assert min(steps) > 2, steps


@JOBS
def test_an_exception_anywhere_leaves_the_old_or_the_new(tmp_path: Path, job: Job) -> None:
    base = tmp_path / "interrupted"
    run(interrupted_jobs, base, job)
    before, after = BEFORE_AND_AFTER[job]
    for root in roots_in(base):
        value = value_at(root, "a")
        assert value in (before, after)
        # Only what was replaced or deleted already may be left: nobody sees it, and it is swept.
        assert value == after or hidden_in(root) == []


def save_under_a_limit(root: Path, nbytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (nbytes, resource.RLIM_INFINITY))
    noise = np.random.default_rng(0).integers(0, 2**32, (64, 64), "u4")
    saved = save(ZarrConfig(root=root), if_exists="replace")(Item("a", noise))
    assert isinstance(saved.failure(), NoSpace), saved
    saved = save(ZarrConfig(root=root))(Item("new", noise))
    assert isinstance(saved.failure(), NoSpace), saved


@pytest.mark.parametrize("nbytes", [64, 4096], ids=["for the document", "for a chunk"])
def test_without_room_the_old_array_stays(tmp_path: Path, nbytes: int) -> None:
    put(tmp_path, "a", 1).unwrap()
    run(save_under_a_limit, tmp_path, nbytes)
    assert value_at(tmp_path, "a") == 1
    assert list_files(ZarrConfig(root=tmp_path)).unwrap() == ("a",)
    assert hidden_in(tmp_path) == []


def replace_until_told(root: Path, told: Event, ready: Event) -> None:
    document.CHUNK_BYTES = SMALL_CHUNKS
    for value in count(1):
        put(root, "a", value, "replace").unwrap()
        ready.set()
        if told.is_set():
            return


@contextmanager
def writers_at_work(root: Path, number: int) -> Generator[None]:
    told, ready = SPAWN.Event(), SPAWN.Event()
    writers = [
        SPAWN.Process(target=replace_until_told, args=(root, told, ready)) for _ in range(number)
    ]
    for writer in writers:
        writer.start()
    try:
        ready.wait()
        yield
    finally:
        told.set()
        for writer in writers:
            writer.join()
    assert [writer.exitcode for writer in writers] == [0] * number


def test_a_reader_beside_a_writer_sees_one_array(tmp_path: Path) -> None:
    with writers_at_work(tmp_path, 1):
        seen = [value_at(tmp_path, "a") for _ in range(READS)]
    values = [value for value in seen if value is not None]
    assert len(values) == READS, "it was gone"
    assert values == sorted(values), "it went back"
    assert len(set(values)) > 10, "nobody wrote"
    assert hidden_in(tmp_path) == []


def test_a_reader_beside_two_writers_sees_one_array(tmp_path: Path) -> None:
    with writers_at_work(tmp_path, 2):
        assert None not in [value_at(tmp_path, "a") for _ in range(READS // 10)]
    assert list_files(ZarrConfig(root=tmp_path)).unwrap() == ("a",)


def rewrite(root: Path, how: Rewrite) -> None:
    """Replace or delete the array that is being read, and do not wait for its reader."""
    if how == "delete":
        delete(root, "a").unwrap()
    else:
        put(root, "a", 2, "replace").unwrap()
    if how != "replace beside":
        for path in hidden_in(root):
            shutil.rmtree(path)


def before_read(monkeypatch: pytest.MonkeyPatch, number: int, act: Callable[[], None]) -> None:
    """Call `act` before the n-th file is read from now on, once: a chunk, or a `zarr.json`."""
    read_file = node.read_file
    reads = count(1)

    def stopping(folder: int, path: str, part: slice = slice(None)) -> bytes:
        if next(reads) == number:
            act()
        return read_file(folder, path, part)

    monkeypatch.setattr(node, "read_file", stopping)
    monkeypatch.setattr(store, "read_file", stopping)


@pytest.mark.parametrize("how", get_args(Rewrite))
def test_a_load_gives_one_generation_whenever_it_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: Rewrite
) -> None:
    allowed: set[int | None] = {1, None if how == "delete" else 2}
    number = 0
    while True:
        number += 1
        root = tmp_path / str(number)
        put(root, "a", 1).unwrap()
        rewritten = threading.Event()

        def act(root: Path = root, rewritten: threading.Event = rewritten) -> None:
            rewrite(root, how)
            rewritten.set()

        with monkeypatch.context() as patch:
            before_read(patch, number, act)
            assert value_at(root, "a") in allowed
        assert hidden_in(root) == [], "the reader was the last to hold what was replaced"
        if not rewritten.is_set():
            break
    assert number > len(full(0)), "it was rewritten before each chunk"


def save_part(root: Path, part: int) -> None:
    for number in range(part, 96, 6):
        put(root, f"plate {number % 3}/f{number}.tif", number).unwrap()


def save_in_forks(root: Path) -> None:
    warm_up(root.with_name("warm"))
    pids = [start_fork(partial(save_part, root, part)) for part in range(6)]
    assert [wait_for(pid) for pid in pids] == [0] * 6


def test_six_forked_processes_make_one_store(tmp_path: Path) -> None:
    root = tmp_path / "plate.zarr"
    run(save_in_forks, root)
    keys = [f"plate {number % 3}/f{number}.tif" for number in range(96)]
    assert list_files(ZarrConfig(root=root)).unwrap() == tuple(sorted(keys, key=natural_order))
    for number, key in enumerate(keys):
        assert value_at(root, key) == number


def use_in_a_fork(root: Path) -> None:
    """Fork while this process has zarr-python's threads, and save and load on both sides."""
    put(root, "parent", 1).unwrap()

    def child() -> None:
        assert value_at(root, "parent") == 1
        put(root, "child", 2).unwrap()

    assert in_fork(child) == 0
    assert value_at(root, "child") == 2


def test_a_fork_after_use_reads_and_writes(tmp_path: Path) -> None:
    run(use_in_a_fork, tmp_path / "plate.zarr")


def test_threads_save_in_parallel(tmp_path: Path) -> None:
    keys = [f"{number % 5}/{number}" for number in range(64)]
    with ThreadPoolExecutor(8) as pool:
        outcomes = pool.map(partial(put, tmp_path), keys, range(64))
        assert [outcome.unwrap() for outcome in outcomes] == ["written"] * 64
        assert list(pool.map(partial(value_at, tmp_path), keys)) == list(range(64))


@pytest.mark.parametrize("if_exists", ["fail", "skip", "replace"])
def test_of_many_writers_one_wins(tmp_path: Path, if_exists: IfExists) -> None:
    with ThreadPoolExecutor(8) as pool:
        tries = pool.map(partial(put, tmp_path, "g/a", if_exists=if_exists), range(32))
        outcomes = [fold(outcome, str, lambda error: type(error).__name__) for outcome in tries]
    others = {"fail": "AlreadyExists", "skip": "skipped", "replace": "written"}[if_exists]
    assert sorted(outcomes) == sorted(["written", *[others] * 31])
    value = value_at(tmp_path, "g/a")
    assert value is not None
    assert outcomes[value] == "written"
    assert hidden_in(tmp_path) == []


def test_an_array_and_a_folder_of_one_name_exclude_each_other(tmp_path: Path) -> None:
    """Whoever comes first of `a` and `a/b`, the other is refused, also when they come at once."""
    with ThreadPoolExecutor(8) as pool:
        for number in range(32):
            root = tmp_path / str(number)
            both = pool.map(partial(put, root, value=1), ["a", "a/b"])
            outcomes = [fold(outcome, str, lambda error: type(error).__name__) for outcome in both]
            assert outcomes in (["written", "NotADirectory"], ["NotAFile", "written"])
            listed = ("a",) if outcomes[0] == "written" else ("a/b",)
            assert list_files(ZarrConfig(root=root)).unwrap() == listed
            assert hidden_in(root) == []


def test_the_sweeper_leaves_what_is_held_or_new(tmp_path: Path) -> None:
    put(tmp_path, "a", 1).unwrap()
    names = [f"{HIDDEN_FOLDER}{word}" for word in ("old", "new", "held")]
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "zarr.json").write_text("{}")
        os.utime(tmp_path / name, None if name.endswith("new") else (0, 0))
    held = os.open(tmp_path / names[2], os.O_RDONLY)
    try:
        pin(held)
        assert list_files(ZarrConfig(root=tmp_path)).unwrap() == ("a",)
        assert sorted(path.name for path in hidden_in(tmp_path)) == sorted(names[1:])
    finally:
        os.close(held)
