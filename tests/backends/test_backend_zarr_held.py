"""Lazy Zarr arrays read what was there when they were made, in forks too, and let go of it."""

from __future__ import annotations

import gc
import os
import signal
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from store_access import move
from zarr_access import ARRAY, delete, error_of, hidden_in, listed, put
from zarr_processes import full, put_value, run, start_fork, store_at, value_at, wait_for

from polystore import Item, LazyArray, ZarrConfig, list_files, load, save

ALL = (slice(None), slice(None))

KILLS = 12


@pytest.fixture
def store(tmp_path: Path) -> ZarrConfig:
    return store_at(tmp_path / "plate.zarr")


def lazily(store: ZarrConfig, key: str) -> LazyArray:
    return load(store, lazy=True)(key).unwrap().payload


@pytest.mark.parametrize("how", ["replace", "delete", "move", "move onto", "move its folder"])
def test_a_lazy_array_keeps_its_generation(store: ZarrConfig, how: str) -> None:
    put_value(store, "g/a", 1).unwrap()
    lazy = lazily(store, "g/a")
    if how == "replace":
        put_value(store, "g/a", 2, "replace").unwrap()
    elif how == "delete":
        delete(store, "g/a").unwrap()
    elif how == "move":
        move(store, "g/a", "b").unwrap()
    elif how == "move its folder":
        move(store, "g", "h").unwrap()
        put_value(store, "h/a", 2, "replace").unwrap()
    else:
        put_value(store, "b", 2).unwrap()
        move(store, "b", "g/a", "replace").unwrap()
    assert lazy.read(ALL).unwrap().tolist() == full(1).tolist()
    assert lazy.read((slice(2, 3), slice(4, 6))).unwrap().tolist() == [[1, 1]]
    del lazy
    gc.collect()
    assert hidden_in(store) == [], "nobody holds it any more"


def test_a_lazy_array_that_is_not_one_is_refused(store: ZarrConfig) -> None:
    put(store, "g/a", ARRAY).unwrap()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for key, error in (("g", "NotAFile"), ("none", "NotFound"), ("g/a/c", "NotFound")):
        assert error_of(load(store, lazy=True)(key)) == error
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def read_in_forks(store: ZarrConfig) -> None:
    put_value(store, "a", 1).unwrap()
    lazy = lazily(store, "a")
    told, tell = os.pipe()

    def child() -> None:
        os.read(told, 1)  # until the parent has let go of it
        assert lazy.read(ALL).unwrap().tolist() == full(1).tolist()

    pid = start_fork(child)
    put_value(store, "a", 2, "replace").unwrap()
    assert lazy.read(ALL).unwrap().tolist() == full(1).tolist()
    lazy = lazily(store, "a")
    gc.collect()
    os.write(tell, b"x")
    assert wait_for(pid) == 0


def test_a_forked_process_reads_on(store: ZarrConfig) -> None:
    run(read_in_forks, store)
    assert value_at(store, "a") == 2
    for path in hidden_in(store):  # the child ended without a word
        os.utime(path, (0, 0))
    assert listed(store) == ("a",)
    assert hidden_in(store) == []


def test_a_lazy_array_is_saved_where_it_came_from(store: ZarrConfig) -> None:
    noise = np.random.default_rng(0).integers(0, 99, (40, 50), "u2")
    put(store, "a", noise).unwrap()
    lazy = load(store, lazy=True)("a").unwrap()
    save(store, if_exists="replace")(Item("a", lazy.payload)).unwrap()
    assert load(store)("a").unwrap().payload.tolist() == noise.tolist()


def replace_forever(store: ZarrConfig) -> None:
    for value in range(1, 10**9):
        put_value(store, "a", value, "replace").unwrap()


def kill_at_random(store: ZarrConfig) -> None:
    """Kill forked writers after as many reads as a die says: at any moment of theirs."""
    put_value(store, "a", 0).unwrap()
    moments = np.random.default_rng(5)
    for _ in range(KILLS):
        pid = start_fork(partial(replace_forever, store))
        for _ in range(moments.integers(1, 30)):
            assert value_at(store, "a") is not None
        os.kill(pid, signal.SIGKILL)
        assert wait_for(pid) == -signal.SIGKILL
        assert list_files(store).unwrap() == ("a",)
        put_value(store, "a", 0, "replace").unwrap()
        assert value_at(store, "a") == 0


def test_writers_killed_at_random_moments_leave_a_store(store: ZarrConfig) -> None:
    run(kill_at_random, store)
    for path in hidden_in(store):
        os.utime(path, (0, 0))
    assert listed(store) == ("a",)
    assert hidden_in(store) == []
