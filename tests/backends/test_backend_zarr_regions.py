"""Regions of Zarr arrays: all of one comes in one step, and writers side by side lose nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from store_access import move, opened
from zarr_access import (
    ARRAY,
    error_of,
    everything,
    fresh_store,
    got,
    hidden_in,
    listed,
    made_by_zarr_python,
    path_of,
    put,
    seen_by_zarr_python,
    status,
)
from zarr_processes import (
    SHAPE,
    SPAWN,
    full,
    interrupt,
    kill,
    put_value,
    run,
    start_fork,
    stopped_ever_later,
    store_at,
    stores_in,
    value_at,
    wait_for,
)

from polystore import Item, Key, Outcome, Region, Saved, ZarrConfig, is_successful, load
from polystore.core.payload import HostArray

READS = 200

WHOLE = (slice(None), slice(None))


@pytest.fixture
def store(tmp_path: Path) -> ZarrConfig:
    return ZarrConfig(root=tmp_path / "plate.zarr", chunks=(2, 5), shards=(4, 10))


def put_region(store: ZarrConfig, key: str, array: HostArray, region: Region) -> Outcome[Saved]:
    there = opened(store)
    assert there.backend.save_region is not None
    return there.backend.save_region(there.handle, Key(key), Item(key, array), region)


@st.composite
def regions(draw: st.DrawFn, shape: tuple[int, ...]) -> Region:
    bounds = (sorted((draw(st.integers(0, n)), draw(st.integers(0, n)))) for n in shape)
    return tuple(slice(a, b) for a, b in bounds)


@settings(max_examples=settings().max_examples // 3)
@given(
    st.lists(regions(ARRAY.shape), min_size=1, max_size=4),
    st.sampled_from([((2, 5), (4, 10)), ((3, 7), ()), ((10, 20), ()), ((1, 1), (10, 3))]),
)
def test_a_region_is_an_assignment(
    parts: list[Region], grid: tuple[tuple[int, ...], tuple[int, ...]]
) -> None:
    with fresh_store() as fresh:
        store = evolve(fresh, chunks=grid[0], shards=grid[1])
        expected = ARRAY.copy()
        put(store, "g/a", expected).unwrap()
        for number, region in enumerate(parts):
            value = expected[region] + number + 1
            before = status(store, "g/a").unwrap().etag
            saved = put_region(store, "g/a", value, region).unwrap()
            assert (saved.status, saved.nbytes) == ("written", value.nbytes)
            assert value.size == 0 or status(store, "g/a").unwrap().etag != before
            expected[region] = value
        assert got(store, "g/a").tolist() == expected.tolist()
        assert seen_by_zarr_python(store, "g/a").tolist() == expected.tolist()
        assert hidden_in(store) == []


def test_what_does_not_fit_changes_nothing(store: ZarrConfig) -> None:
    put(store, "g/a", ARRAY).unwrap()
    before = everything(store)
    two = (slice(0, 2), slice(0, 2))
    for key, array, region, error in (
        ("g/a", np.zeros((2, 3), "u2"), two, "UnsupportedPayload"),
        ("g/a", np.zeros((2, 2), "i2"), two, "Lossy"),
        ("g/a", np.zeros((2, 2), ">u2"), two, "Lossy"),
        ("g/a", np.zeros((3, 2), "u2"), (slice(8, 11), slice(0, 2)), "UnsupportedPayload"),
        ("g/a", np.zeros((2, 2), "u2"), (slice(0, 2),), "UnsupportedOperation"),
        ("g/b", np.zeros((2, 2), "u2"), two, "NotFound"),
        ("g/a/c", np.zeros((2, 2), "u2"), two, "NotFound"),
        ("g", np.zeros((2, 2), "u2"), two, "NotAFile"),
    ):
        assert error_of(put_region(store, key, array, region)) == error, (key, region)
    assert everything(store) == before


def test_a_region_of_anothers_array(store: ZarrConfig) -> None:
    """Chunks that are not there are the fill value, and come with the first region in them."""
    group = made_by_zarr_python(store)
    group.create_array("a", shape=(10, 20), chunks=(5, 5), dtype="u2", fill_value=7)
    put_region(store, "a", ARRAY[3:7, 3:9], (slice(3, 7), slice(3, 9))).unwrap()
    expected = np.full((10, 20), 7)
    expected[3:7, 3:9] = ARRAY[3:7, 3:9]
    assert got(store, "a").tolist() == expected.tolist()
    assert seen_by_zarr_python(store, "a").tolist() == expected.tolist()


def test_a_region_by_way_of_a_link_is_one_of_what_it_leads_to(store: ZarrConfig) -> None:
    put(store, "f/a", ARRAY).unwrap()
    path_of(store, "l").symlink_to("f/a")
    path_of(store, "g").symlink_to("f")
    for number, key in enumerate(("l", "g/a")):
        put_region(store, key, np.full((10, 20), number, "u2"), WHOLE).unwrap()
        assert got(store, "f/a").max() == number
    assert path_of(store, "l").is_symlink()
    assert hidden_in(store) == []


def add_one(store: ZarrConfig, rows: slice) -> None:
    for column in range(0, 20, 3):  # across the borders of chunks and of files
        region = rows, slice(column, column + 3)
        value = load(store)("a").unwrap().payload[region] + 1
        put_region(store, "a", value, region).unwrap()


@pytest.mark.parametrize("rows", [1, 3, 4], ids=["in one chunk", "unaligned", "aligned"])
def test_threads_on_neighbouring_regions_lose_nothing(store: ZarrConfig, rows: int) -> None:
    put(store, "a", np.zeros((12, 20), "u2")).unwrap()
    with ThreadPoolExecutor(4) as pool:
        parts = [slice(start, start + rows) for start in range(0, 12, rows)]
        list(pool.map(partial(add_one, store), parts))
    assert np.unique(got(store, "a")).tolist() == [1]
    assert hidden_in(store) == []


def add_in_forks(root: str) -> None:
    store = ZarrConfig(root=root)
    add_one(store, slice(0, 0))
    parts = [slice(start, min(start + 5, 12)) for start in range(0, 12, 5)]
    pids = [start_fork(partial(add_one, store, part)) for part in parts]
    assert [wait_for(pid) for pid in pids] == [0] * len(parts)


def test_processes_on_neighbouring_regions_lose_nothing(store: ZarrConfig) -> None:
    put(store, "a", np.zeros((12, 20), "u2")).unwrap()
    run(add_in_forks, store.root)
    assert np.unique(got(store, "a")).tolist() == [1]
    assert hidden_in(store) == []


def act(store: ZarrConfig) -> None:
    put_region(store, "a", full(2), WHOLE).unwrap()


def prepare(chunks: tuple[int, ...]) -> Callable[[ZarrConfig], None]:
    def prepared(store: ZarrConfig) -> None:
        put_value(evolve(store, chunks=chunks), "a", 1).unwrap()

    return prepared


def stopped_regions(base: Path, chunks: tuple[int, ...], stop: Callable[[], None]) -> None:
    warm = store_at(base.with_name("warm too"))
    prepare(chunks)(warm)
    act(warm)
    stopped_ever_later(base, prepare(chunks), act, stop)


@pytest.mark.parametrize("chunks", [(4, 16), SHAPE], ids=["two files", "one file"])
@pytest.mark.parametrize("stop", [kill, interrupt], ids=["killed", "interrupted"])
def test_a_region_that_is_stopped_is_there_or_not(
    tmp_path: Path, chunks: tuple[int, ...], stop: Callable[[], None]
) -> None:
    base = tmp_path / "stopped"
    run(stopped_regions, base, chunks, stop)
    found: list[int] = []
    for store in stores_in(base):
        found.append(value_at(store, "a") or 0)
        assert listed(store) == ("a",)
        put_region(store, "a", full(3), WHOLE).unwrap()  # nobody holds the lock
        assert value_at(store, "a") == 3
        for path in hidden_in(store):
            os.utime(path, (0, 0))
        assert listed(store) == ("a",)
        assert hidden_in(store) == [], "what is left is swept"
    assert found == sorted(found)
    assert set(found) == {1, 2}
    assert len(found) > 10


def patch_until_told(store: ZarrConfig, told: Event, ready: Event) -> None:
    for value in count(1):
        put_region(store, "a", full(value), WHOLE).unwrap()
        ready.set()
        if told.is_set():
            return


def test_a_reader_beside_a_writer_of_regions_sees_one_array(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    put_value(store, "a", 0).unwrap()
    told, ready = SPAWN.Event(), SPAWN.Event()
    writer = SPAWN.Process(target=patch_until_told, args=(store, told, ready))
    writer.start()
    try:
        ready.wait()
        seen = [value_at(store, "a") for _ in range(READS)]
    finally:
        told.set()
        writer.join()
    assert writer.exitcode == 0
    values = [value for value in seen if value is not None]
    assert len(values) == READS, "it was gone"
    assert values == sorted(values), "it went back"
    assert len(set(values)) > 5, "nobody wrote"
    assert hidden_in(store) == []


def test_regions_and_replacements_beside_each_other_are_whole(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    put_value(store, "a", 0).unwrap()

    def replace(value: int) -> None:
        put_value(store, "a", value, "replace").unwrap()

    def patch(value: int) -> None:
        put_region(store, "a", full(value), WHOLE).unwrap()

    with ThreadPoolExecutor(4) as pool:
        for number in range(1, 12):
            tries = [pool.submit(replace if i % 2 else patch, 4 * number + i) for i in range(4)]
            assert value_at(store, "a") is not None
            for each in tries:
                each.result()
            assert value_at(store, "a") in range(4 * number, 4 * number + 4)
    assert hidden_in(store) == []


def test_a_region_goes_along_with_its_array_or_finds_none(tmp_path: Path) -> None:
    """Where the array is moved onto another meanwhile, which gives its files second names."""
    store = store_at(tmp_path)
    with ThreadPoolExecutor(1) as pool:
        for _ in range(20):
            put_value(store, "a", 1).unwrap()
            put_value(store, "b", 0, "replace").unwrap()
            patched = pool.submit(put_region, store, "a", full(2)[:1], (slice(0, 1), slice(None)))
            move(store, "a", "b", "replace").unwrap()
            outcome = patched.result()
            first = 2 if is_successful(outcome) else 1
            assert first == 2 or error_of(outcome) == "NotFound"
            assert got(store, "b")[:, 0].tolist() == [first] + [1] * (SHAPE[0] - 1)
    assert hidden_in(store) == []
