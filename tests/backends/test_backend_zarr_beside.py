"""Readers and writers of Zarr beside each other: threads, processes, forks."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import count
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Literal, get_args

import pytest
from zarr_access import delete, hidden_in
from zarr_processes import (
    CHUNKS,
    SHAPE,
    SPAWN,
    in_fork,
    put_value,
    run,
    start_fork,
    store_at,
    value_at,
    wait_for,
    warm_up,
)

from polystore import ZarrConfig, fold, list_files
from polystore.backends import beneath
from polystore.backends.zarr.folder import files
from polystore.core.key import natural_order
from polystore.core.outcome import Outcome
from polystore.core.records import IfExists

READS = 1500

Rewrite = Literal["replace beside", "replace", "delete"]


def word(outcome: Outcome[str]) -> str:
    return fold(outcome, str, lambda error: type(error).__name__)


def replace_until_told(store: ZarrConfig, told: Event, ready: Event) -> None:
    for value in count(1):
        put_value(store, "a", value, "replace").unwrap()
        ready.set()
        if told.is_set():
            return


@contextmanager
def writers_at_work(store: ZarrConfig, number: int) -> Generator[None]:
    told, ready = SPAWN.Event(), SPAWN.Event()
    writers = [
        SPAWN.Process(target=replace_until_told, args=(store, told, ready)) for _ in range(number)
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
    store = store_at(tmp_path)
    with writers_at_work(store, 1):
        seen = [value_at(store, "a") for _ in range(READS)]
    values = [value for value in seen if value is not None]
    assert len(values) == READS, "it was gone"
    assert values == sorted(values), "it went back"
    assert len(set(values)) > 10, "nobody wrote"
    assert hidden_in(store) == []


def test_a_reader_beside_two_writers_sees_one_array(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    with writers_at_work(store, 2):
        for _ in range(READS // 20):
            assert value_at(store, "a") is not None
            assert list_files(store).unwrap() == ("a",)
    assert hidden_in(store) == []


def rewrite(store: ZarrConfig, how: Rewrite) -> None:
    """Replace or delete the array that is being read, and do not spare its reader."""
    if how == "delete":
        delete(store, "a").unwrap()
    else:
        put_value(store, "a", 2, "replace").unwrap()
    if how != "replace beside":
        for path in hidden_in(store):
            shutil.rmtree(path)


def before_read(monkeypatch: pytest.MonkeyPatch, number: int, act: Callable[[], None]) -> None:
    """Call `act` before the n-th file is read from now on, once: a chunk, or a `zarr.json`."""
    opened = beneath.open_beneath
    reads = count(1)

    def stopping(folder: int, path: str, flags: int) -> int:
        if next(reads) == number:
            act()
        return opened(folder, path, flags)

    monkeypatch.setattr(files, "open_beneath", stopping)


@pytest.mark.parametrize("how", get_args(Rewrite))
def test_a_load_gives_one_generation_whenever_it_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: Rewrite
) -> None:
    allowed: set[int | None] = {1, None if how == "delete" else 2}
    number = 0
    while True:
        number += 1
        store = store_at(tmp_path / str(number))
        put_value(store, "a", 1).unwrap()
        rewritten = threading.Event()

        def act(store: ZarrConfig = store, rewritten: threading.Event = rewritten) -> None:
            rewrite(store, how)
            rewritten.set()

        with monkeypatch.context() as patch:
            before_read(patch, number, act)
            assert value_at(store, "a") in allowed
        assert hidden_in(store) == [], "the reader was the last to hold what was replaced"
        if not rewritten.is_set():
            break
    assert number > SHAPE[0] // CHUNKS[0], "it was rewritten before each chunk"


def save_part(store: ZarrConfig, part: int) -> None:
    for number in range(part, 96, 6):
        put_value(store, f"plate {number % 3}/f{number}.tif", number).unwrap()


def save_in_forks(root: Path) -> None:
    warm_up(store_at(root.with_name("warm")))
    store = store_at(root)
    pids = [start_fork(partial(save_part, store, part)) for part in range(6)]
    assert [wait_for(pid) for pid in pids] == [0] * 6


def test_six_forked_processes_make_one_store(tmp_path: Path) -> None:
    root = tmp_path / "plate.zarr"
    run(save_in_forks, root)
    keys = [f"plate {number % 3}/f{number}.tif" for number in range(96)]
    assert list_files(store_at(root)).unwrap() == tuple(sorted(keys, key=natural_order))
    for number, key in enumerate(keys):
        assert value_at(store_at(root), key) == number


def use_in_a_fork(store: ZarrConfig) -> None:
    """Fork while this process has zarr-python's threads, and save and load on both sides."""
    put_value(store, "parent", 1).unwrap()

    def child() -> None:
        assert value_at(store, "parent") == 1
        put_value(store, "child", 2).unwrap()

    assert in_fork(child) == 0
    assert value_at(store, "child") == 2


def test_a_fork_after_use_reads_and_writes(tmp_path: Path) -> None:
    run(use_in_a_fork, store_at(tmp_path / "plate.zarr"))


def test_threads_save_in_parallel(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    keys = [f"{number % 5}/{number}" for number in range(64)]
    with ThreadPoolExecutor(8) as pool:
        outcomes = pool.map(partial(put_value, store), keys, range(64))
        assert [outcome.unwrap() for outcome in outcomes] == ["written"] * 64
        assert list(pool.map(partial(value_at, store), keys)) == list(range(64))


@pytest.mark.parametrize("if_exists", ["fail", "skip", "replace"])
def test_of_many_writers_one_wins(tmp_path: Path, if_exists: IfExists) -> None:
    store = store_at(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        tries = pool.map(partial(put_value, store, "g/a", if_exists=if_exists), range(32))
        words = [word(outcome) for outcome in tries]
    others = {"fail": "AlreadyExists", "skip": "skipped", "replace": "written"}[if_exists]
    assert sorted(words) == sorted(["written", *[others] * 31])
    value = value_at(store, "g/a")
    assert value is not None
    assert words[value] == "written"
    assert hidden_in(store) == []


def test_an_array_and_a_folder_of_one_name_exclude_each_other(tmp_path: Path) -> None:
    """Whoever comes first of `a` and `a/b`, the other is refused, also when they come at once."""
    with ThreadPoolExecutor(8) as pool:
        for number in range(32):
            store = store_at(tmp_path / str(number))
            words = [word(it) for it in pool.map(partial(put_value, store, value=1), ["a", "a/b"])]
            assert words in (["written", "NotADirectory"], ["NotAFile", "written"])
            assert list_files(store).unwrap() == (("a",) if words[0] == "written" else ("a/b",))
            assert hidden_in(store) == []
