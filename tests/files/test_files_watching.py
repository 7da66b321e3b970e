"""How far a long array was read is told, from whatever thread reads it."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from polystore import (
    ArraySpec,
    DiskConfig,
    FunctionFailed,
    HostArray,
    Item,
    LazyArray,
    Success,
    ZarrConfig,
    exists,
    load,
    map_blocks,
    save,
)
from polystore.files.watching import watched

ARRAY = np.arange(20 * 64 * 64, dtype="u2").reshape(20, 64, 64)


def lazily(folder: Path, array: HostArray = ARRAY) -> Item[LazyArray]:
    disk = DiskConfig(root=folder / "raw")
    save(disk, if_exists="replace")(Item("a.npy", array)).unwrap()
    return load(disk, lazy=True)("a.npy").unwrap()


def test_a_save_tells_how_far_it_has_come(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    zarr = ZarrConfig(root=tmp_path / "a.zarr", chunks=(2, 32, 64), shards=())

    def report(read: int, total: int) -> None:
        told.append((read, total))

    item = map_blocks(np.invert, halo=1)(lazily(tmp_path)).unwrap()
    save(zarr)(watched(item, report)).unwrap()
    assert np.array_equal(load(zarr)("a.npy").unwrap().payload, ~ARRAY)
    assert told[-1] == (ARRAY.size, ARRAY.size)
    assert told == sorted(told)
    assert {total for _, total in told} == {ARRAY.size}


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=2))
def test_what_is_told_is_what_was_read(pairs: list[tuple[int, int]]) -> None:
    array = np.zeros((4, 4), "u1")
    told: list[int] = []
    spec = ArraySpec(array.shape, "uint8", (), array.shape)
    inner = LazyArray(spec, lambda region: Success(np.array(array[region])))
    item = watched(Item("a", inner), lambda read, _total: told.append(read))
    region = tuple(slice(min(pair), max(pair)) for pair in pairs)
    for _ in range(3):
        item.payload.read(region).unwrap()
    size = math.prod(it.stop - it.start for it in region)
    assert told == [min(size * turn, 16) for turn in (1, 2, 3)]


def test_threads_tell_one_after_the_other(tmp_path: Path) -> None:
    told: list[int] = []
    item = watched(lazily(tmp_path), lambda read, _total: told.append(read))
    planes = [(slice(z, z + 1), slice(None), slice(None)) for z in range(20)]
    with ThreadPoolExecutor(4) as pool:
        assert all(outcome.unwrap().size for outcome in pool.map(item.payload.read, planes))
    assert told == [64 * 64 * (number + 1) for number in range(20)]


def test_a_report_that_fails_ends_the_save(tmp_path: Path) -> None:
    def stop(read: int, _total: int) -> None:
        raise RuntimeError(f"stopped at {read}")

    zarr = ZarrConfig(root=tmp_path / "a.zarr")
    error = save(zarr)(watched(lazily(tmp_path), stop)).failure()
    assert isinstance(error, FunctionFailed)
    assert "stop failed on 'a.npy': RuntimeError: stopped at" in error.message
    assert exists(zarr, "a.npy").unwrap() is False
