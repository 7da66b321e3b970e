"""A function of blocks, with enough halo, is the function of the whole; what goes wrong is said."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polystore import (
    ArraySpec,
    DiskConfig,
    FunctionFailed,
    HostArray,
    InvalidSpec,
    Item,
    LazyArray,
    Lossy,
    MapBlocks,
    MemoryConfig,
    Metadata,
    Outcome,
    Region,
    Success,
    UnsupportedPayload,
    ZarrConfig,
    compose,
    from_spec,
    is_successful,
    load,
    map_blocks,
    rename,
    save,
    to_spec,
)
from polystore.core.region import box_of

RNG = np.random.default_rng(0)


def lazy_of(
    array: HostArray, blocks: tuple[int, ...], reads: list[Region] | None = None
) -> LazyArray:
    def read(region: Region) -> Outcome[HostArray]:
        if reads is not None:
            reads.append(region)
        assert all(0 <= it.start <= it.stop <= n for it, n in zip(region, array.shape, strict=True))
        return Success(np.array(array[region]))

    return LazyArray(ArraySpec(array.shape, str(array.dtype), (), blocks), read)


def item_of(array: HostArray, blocks: tuple[int, ...]) -> Item[LazyArray]:
    return Item("a", lazy_of(array, blocks), Metadata(scale=(0.5,) * array.ndim))


def largest_near(reach: int) -> Callable[[HostArray], HostArray]:
    """Give a local filter: the largest of the elements at most so far away along each axis."""

    def filtered(array: HostArray) -> HostArray:
        for axis in range(array.ndim):
            found = array.copy()
            for shift in range(1, min(reach, array.shape[axis] - 1) + 1):
                ahead, behind = [slice(None)] * array.ndim, [slice(None)] * array.ndim
                ahead[axis], behind[axis] = slice(shift, None), slice(None, -shift)
                np.maximum(found[tuple(behind)], array[tuple(ahead)], out=found[tuple(behind)])
                np.maximum(found[tuple(ahead)], array[tuple(behind)], out=found[tuple(ahead)])
            array = found
        return array

    return filtered


def whole(array: LazyArray) -> HostArray:
    return array.read(tuple(slice(0, length) for length in array.spec.shape)).unwrap()


@given(st.data())
def test_a_local_filter_is_that_of_the_whole_array(data: st.DataObject) -> None:
    shape = data.draw(st.lists(st.integers(0, 9), max_size=3).map(tuple))
    blocks = tuple(data.draw(st.integers(1, max(length, 1))) for length in shape)
    reach = data.draw(st.integers(0, 3))
    more = data.draw(st.integers(0, 2))
    array = RNG.integers(0, 99, shape, "u1")
    expected = largest_near(reach)(array)
    item = map_blocks(largest_near(reach), halo=reach + more)(item_of(array, blocks)).unwrap()
    assert item.metadata.scale == (0.5,) * len(shape)
    assert item.payload.spec == ArraySpec(shape, "uint8", (), blocks)
    for _ in range(3):  # also of blocks that were kept
        bounds = [data.draw(st.tuples(st.integers(0, n), st.integers(0, n))) for n in shape]
        region = tuple(slice(min(it), max(it)) for it in bounds)
        found = item.payload.read(region).unwrap()
        assert np.array_equal(found, expected[region])
        found += 1  # what is kept is not what was given


def number_of_block(array: HostArray) -> HostArray:
    return np.full_like(array, int(array.flat[0]) % 251)


def test_whatever_region_is_read_blocks_are_computed_whole() -> None:
    array = np.arange(9 * 10, dtype="u1").reshape(9, 10)
    item = map_blocks(number_of_block)(item_of(array, (4, 3))).unwrap()
    everything = whole(item.payload)
    assert everything[5, 4] == array[4, 3]
    for region in ((slice(5, 6), slice(4, 5)), (slice(3, 9), slice(1, 8))):
        assert np.array_equal(item.payload.read(region).unwrap(), everything[region])


def test_no_more_is_read_than_the_blocks_and_their_halo() -> None:
    array = np.zeros((100, 100), "u1")
    reads: list[Region] = []
    item = Item("a", lazy_of(array, (10, 20), reads))
    mapped = map_blocks(np.invert, halo=(2, 3))(item).unwrap().payload
    assert reads == []
    assert mapped.read((slice(12, 18), slice(0, 20))).unwrap().shape == (6, 20)
    assert reads == [(slice(8, 22), slice(0, 23))]
    mapped.read((slice(18, 20), slice(3, 5))).unwrap()
    assert len(reads) == 1  # the rest of a block was kept


def test_it_is_read_in_threads() -> None:
    array = RNG.integers(0, 99, (40, 40), "u1")
    mapped = map_blocks(largest_near(2), halo=2)(item_of(array, (7, 9))).unwrap().payload
    expected = largest_near(2)(array)
    regions = [(slice(a, a + 6), slice(b, b + 6)) for a in range(0, 34, 3) for b in range(0, 34, 3)]
    with ThreadPoolExecutor(4) as pool:
        for region, found in zip(regions, pool.map(mapped.read, regions), strict=True):
            assert np.array_equal(found.unwrap(), expected[region])


def brighter(array: HostArray) -> HostArray:
    return array.astype("f4") + 0.5


def test_another_dtype_is_said_first() -> None:
    item = item_of(np.arange(6, dtype="u1").reshape(2, 3), (1, 3))
    mapped = map_blocks(brighter, dtype="float32")(item).unwrap().payload
    assert mapped.spec.dtype == "float32"
    assert whole(mapped).tolist() == [[0.5, 1.5, 2.5], [3.5, 4.5, 5.5]]
    error = map_blocks(brighter)(item).unwrap().payload.read((slice(1, 2), slice(0, 3))).failure()
    assert isinstance(error, Lossy)
    assert (error.key, "[1:2, 0:3]" in error.message) == ("a", True)
    assert "dtype='float32'" in error.advice


def failing(array: HostArray) -> HostArray:
    if array.flat[0] > 2:
        raise ZeroDivisionError("three")
    return array


def narrower(array: HostArray) -> HostArray:
    return array[:, :2]


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (failing, "In the block [1:2, 0:3]: The function failing failed on 'a': ZeroDivisionErr"),
        (narrower, "was given the block [1:2, 0:3] of 'a', and gave an array of the shape (1, 2)"),
        (cast("Callable[[HostArray], HostArray]", len), "and gave a int."),
    ],
)
def test_a_function_that_fails_names_the_block(
    function: Callable[[HostArray], HostArray], words: str
) -> None:
    item = item_of(np.arange(6, dtype="u1").reshape(2, 3), (1, 3))
    error = map_blocks(function)(item).unwrap().payload.read((slice(1, 2), slice(1, 2))).failure()
    assert isinstance(error, FunctionFailed)
    assert words in error.message


def test_what_cannot_be_mapped_is_refused() -> None:
    step = cast("Any", map_blocks(np.invert))
    assert isinstance(step(Item("a", np.zeros(3))).failure(), UnsupportedPayload)
    item = item_of(np.zeros((2, 3)), (1, 3))
    for wrong, where in (
        (map_blocks(np.invert, halo=(1,)), "map_blocks.halo"),
        (map_blocks(np.invert, halo=-1), "map_blocks.halo"),
        (map_blocks(np.invert, halo=cast("int", 0.5)), "map_blocks.halo"),
        (map_blocks(np.invert, dtype="flaot"), "map_blocks.dtype"),
        (map_blocks(np.invert, dtype=cast("str", 3)), "map_blocks.dtype"),
        (map_blocks(cast("Callable[[HostArray], HostArray]", 3)), "map_blocks.function"),
    ):
        error = wrong(item).failure()
        assert isinstance(error, InvalidSpec)
        assert error.where == where


def test_from_store_to_store(tmp_path: Path) -> None:
    disk, zarr = DiskConfig(root=tmp_path / "raw"), ZarrConfig(root=tmp_path / "a.zarr")
    array = RNG.integers(0, 2**16, (5, 60, 70), "u2")
    save(disk)(Item("a.tif", array)).unwrap()
    save(disk)(Item("a.npy", array)).unwrap()
    for key in ("a.tif", "a.npy"):
        mapped = compose(load(disk, lazy=True), map_blocks(largest_near(3), halo=3))
        save(disk)(mapped(key).unwrap()).failure()  # there already
        compose(mapped, rename(suffix=""), save(zarr, if_exists="replace"))(key).unwrap()
        assert np.array_equal(load(zarr)("a").unwrap().payload, largest_near(3)(array))
    again = compose(load(zarr, lazy=True), map_blocks(largest_near(3), halo=3), rename("b.npy"))
    compose(again, save(disk))("a").unwrap()
    assert np.array_equal(
        load(disk, region=slice(2, 3))("b.npy").unwrap().payload, largest_near(6)(array)[2:3]
    )


def test_a_failure_in_a_block_fails_the_save(tmp_path: Path) -> None:
    zarr = ZarrConfig(root=tmp_path / "a.zarr")
    item = item_of(np.arange(6, dtype="u1").reshape(2, 3), (1, 3))
    broken = map_blocks(failing)(item).unwrap()
    for store in (zarr, DiskConfig(root=tmp_path), MemoryConfig(name=str(tmp_path))):
        outcome = save(store)(Item("b.npy", broken.payload))
        if store is zarr or not is_successful(outcome):
            assert isinstance(outcome.failure(), FunctionFailed)
    assert not is_successful(load(zarr)("b.npy"))


def test_it_goes_to_json_and_back() -> None:
    step = map_blocks(number_of_block, halo=(1, 2), dtype="uint8")
    name = f"{__name__}:number_of_block"
    spec = to_spec(step).unwrap()
    assert spec == {"map_blocks": {"function": name, "halo": [1, 2], "dtype": "uint8"}}
    assert from_spec(spec, {name: number_of_block}).unwrap() == step
    assert to_spec(map_blocks(number_of_block, halo=3)).unwrap() == {
        "map_blocks": {"function": name, "halo": 3}
    }
    wrong = from_spec({"map_blocks": {"function": name, "halo": [1, "2"]}}, {name: number_of_block})
    assert isinstance(wrong.failure(), InvalidSpec)
    assert isinstance(step, MapBlocks)


def test_a_function_may_be_slow_in_one_thread_while_others_read() -> None:
    """The guard of what is kept is not held while the function runs."""
    begun, go_on = threading.Event(), threading.Event()

    def waits_for_the_other(array: HostArray) -> HostArray:
        if array.flat[0] == 0:
            begun.set()
            assert go_on.wait(60)
        else:
            go_on.set()
        return array

    array = np.arange(2, dtype="u1")
    mapped = map_blocks(waits_for_the_other)(item_of(array, (1,))).unwrap().payload
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(mapped.read, (slice(0, 1),))
        assert begun.wait(60)
        second = pool.submit(mapped.read, (slice(1, 2),))
        assert second.result(60).unwrap().tolist() == [1]
        assert first.result(60).unwrap().tolist() == [0]


def test_the_regions_of_an_empty_array() -> None:
    mapped = map_blocks(np.invert, halo=1)(item_of(np.zeros((0, 3), "u1"), (1, 3))).unwrap().payload
    assert whole(mapped).shape == (0, 3)
    box = box_of((slice(None), slice(1)), (0, 3)).unwrap()
    assert mapped.read(tuple(slice(it.start, it.stop) for it in box)).unwrap().shape == (0, 1)
