"""All resolutions of an image, however it is cut into tiles: against halving it whole."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr_files import memory_files

from polystore import (
    ArraySpec,
    Corrupt,
    LazyArray,
    NotFound,
    OmeOptions,
    Region,
    Success,
    ZarrConfig,
    ZarrLayout,
)
from polystore.backends.zarr.elements.documents import documents_in
from polystore.backends.zarr.elements.grid import Grid
from polystore.backends.zarr.elements.interpret import array_meta
from polystore.backends.zarr.elements.reading import read_elements
from polystore.backends.zarr.ome import tiling
from polystore.backends.zarr.ome.levels import plan_levels, write_documents, write_levels
from polystore.backends.zarr.ome.omero import Sampler
from polystore.backends.zarr.ome.pyramid import Downsampling, halved, halved_shape
from polystore.backends.zarr.ome.tiling import next_tiling
from polystore.core.outcome import Failure, Outcome
from polystore.core.payload import HostArray
from polystore.core.region import whole

CONFIG = ZarrConfig(root="/unused", layout=ZarrLayout.IMAGE)
AXES = ("t", "c", "z", "y", "x")


def lazy_of(array: HostArray, blocks: Sequence[int]) -> LazyArray:
    spec = ArraySpec(array.shape, array.dtype.str, AXES[-array.ndim :], tuple(blocks))
    return LazyArray(spec, lambda region: Success(array[region].copy()))


def written(
    array: HostArray, source: HostArray | LazyArray, config: ZarrConfig, count: int
) -> list[HostArray]:
    """Write an image into memory, and give all of its levels as they are read back."""
    content: dict[str, bytes] = {}
    files = memory_files(content)
    spec = ArraySpec(array.shape, array.dtype.str, AXES[-array.ndim :], array.shape)
    paths = [str(number) for number in range(count)]
    levels = plan_levels(spec, array.dtype, config, paths).unwrap()
    write_levels(files, levels, source, config.ome.downsampling, None).unwrap()
    for level in levels:
        write_documents(files, level.below, level.plan.documents)
    found: list[HostArray] = []
    for path in paths:
        documents = documents_in(files, f"{path}/").unwrap()
        assert documents is not None
        meta = array_meta(documents).unwrap()
        assert meta.dense
        seen = read_elements(files, meta, whole(meta.grid.shape), 2**40, f"{path}/")
        found.append(seen.outcome.unwrap())
    return found


def expected(array: HostArray, how: Downsampling, count: int) -> list[HostArray]:
    levels = [array]
    for _ in range(count - 1):
        levels.append(halved(levels[-1], how))
    return levels


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let tiles be as small as those of an image that is a thousand times larger."""
    monkeypatch.setattr(tiling, "TILE_BYTES", 48 * 2**10)
    monkeypatch.setattr(tiling, "_ENOUGH", 8 * 2**10)
    monkeypatch.setattr(tiling, "_LEAST", 2 * 2**10)


SHAPES = st.tuples(
    st.lists(st.integers(1, 4), max_size=3), st.integers(1, 150), st.integers(1, 150)
).map(lambda it: (*it[0], *it[1:]))


@pytest.mark.usefixtures("small_tiles")
@settings(max_examples=60, suppress_health_check=[])
@given(data=st.data())
def test_levels_are_those_of_the_whole_image_however_it_is_cut(data: st.DataObject) -> None:
    shape = data.draw(SHAPES)
    chunk = tuple(data.draw(st.integers(1, max(1, n))) for n in shape[:-2])
    chunk = (*chunk, data.draw(st.integers(8, 60)), data.draw(st.integers(8, 60)))
    times = data.draw(st.none() | st.tuples(*[st.integers(1, 3)] * len(shape)))
    shards = times and tuple(a * b for a, b in zip(chunk, times, strict=True))
    version = data.draw(st.sampled_from(["0.5", "0.4"])) if shards is None else "0.5"
    how: Downsampling = data.draw(st.sampled_from(["mean", "nearest"]))
    count = data.draw(st.integers(1, 6))
    ome = OmeOptions(version="0.4" if version == "0.4" else "0.5", downsampling=how)
    config = evolve(CONFIG, chunks=chunk, shards=shards, ome=ome)
    size = int(np.prod(shape))
    array = (np.arange(size) * 7919 % 65521).astype("u2").reshape(shape)
    blocks = tuple(data.draw(st.integers(1, n)) for n in shape)
    source = lazy_of(array, blocks) if data.draw(st.booleans()) else array
    wanted = expected(array, how, count)
    for found, level in zip(written(array, source, config, count), wanted, strict=True):
        assert found.dtype == level.dtype
        assert np.array_equal(found, level)


@pytest.mark.parametrize("version", ["0.5", "0.4"])
def test_chosen_chunks_hold_large_images_and_foreign_byte_orders(version: str) -> None:
    config = evolve(CONFIG, ome=OmeOptions(version="0.4" if version == "0.4" else "0.5"))
    array = np.arange(3 * 1500 * 1100, dtype=">u4").reshape(3, 1500, 1100)
    found = written(array, lazy_of(array, (1, 100, 1100)), config, 4)
    assert found[0].dtype == array.dtype
    for level, wanted in zip(found, expected(array, "mean", 4), strict=True):
        assert np.array_equal(level, wanted)


def test_each_part_of_a_source_is_read_once_where_planes_fit() -> None:
    array = np.zeros((4, 700, 900, 3), "u1").transpose(3, 0, 1, 2)
    reads: list[Region] = []

    def read(region: Region) -> Outcome[HostArray]:
        reads.append(region)
        return Success(array[region].copy())

    spec = ArraySpec(array.shape, "uint8", ("c", "z", "y", "x"), (3, 1, 700, 900))
    written(array, LazyArray(spec, read), CONFIG, 3)
    pixels = sum(int(np.prod([part.stop - part.start for part in region])) for region in reads)
    assert pixels == array.size
    assert all(region[0] == slice(0, 3) for region in reads)


@pytest.mark.usefixtures("small_tiles")
def test_rows_that_are_decoded_whole_are_read_once() -> None:
    array = (np.arange(640 * 900) % 60000).astype("u2").reshape(640, 900)
    reads: list[Region] = []

    def read(region: Region) -> Outcome[HostArray]:
        reads.append(region)
        return Success(array[region].copy())

    config = evolve(CONFIG, chunks=(16, 64))
    spec = ArraySpec(array.shape, "uint16", ("y", "x"), (1, 900))
    found = written(array, LazyArray(spec, read), config, 4)
    for level, wanted in zip(found, expected(array, "mean", 4), strict=True):
        assert np.array_equal(level, wanted)
    assert all(region[1] == slice(0, 900) for region in reads)
    assert sum(region[0].stop - region[0].start for region in reads) == 640


def test_what_a_source_says_comes_back_and_a_wrong_block_is_damage() -> None:
    error = NotFound("", None, "It went.", "Look for it.")
    array = np.zeros((5, 1200, 1200), "u2")
    spec = ArraySpec(array.shape, "uint16", ("z", "y", "x"), (1, 1200, 1200))
    levels = plan_levels(spec, array.dtype, CONFIG, ["0", "1"]).unwrap()

    def gone(region: Region) -> Outcome[HostArray]:
        return Failure(error) if region[0].start > 1 else Success(array[region])

    def wrong(region: Region) -> Outcome[HostArray]:
        return Success(array[region].astype("u4"))

    failed = write_levels(memory_files({}), levels, LazyArray(spec, gone), "mean", None)
    assert failed.failure() is error
    failed = write_levels(memory_files({}), levels, LazyArray(spec, wrong), "mean", None)
    assert isinstance(failed.failure(), Corrupt)


@given(
    st.integers(1, 40000),
    st.integers(1, 40000),
    st.integers(1, 50),
    st.sampled_from([1, 2, 4, 8]),
    st.sampled_from([None, (1, 1, 40000), (1, 256, 256), (50, 16, 40000)]),
)
def test_tiles_take_little_memory_and_each_pass_goes_on(
    height: int, width: int, depth: int, itemsize: int, blocks: tuple[int, ...] | None
) -> None:
    shape: tuple[int, ...] = (depth, height, width)
    grids: list[Grid] = []
    for _ in range(9):
        chunk = (1, *(min(512, n) for n in shape[1:]))
        grids.append(Grid(shape, chunk, chunk))
        shape = halved_shape(shape)
    first = 0
    while True:
        tiles = next_tiling(grids, first, blocks, itemsize)
        assert np.prod(tiles.step) * itemsize <= tiling.TILE_BYTES
        assert tiles.last > first or blocks is not None
        for number, grid in enumerate(grids[first : tiles.last + 1]):
            for axis in (1, 2):
                small = -(-tiles.step[axis] // 2**number)
                assert small % grid.chunk[axis] == 0 or small >= grid.shape[axis]
        if tiles.last == len(grids) - 1:
            break
        first, blocks = tiles.last, None


def test_the_sample_of_an_image_does_not_depend_on_who_was_first() -> None:
    pixels = np.random.default_rng(3).normal(size=(2, 40, 300, 300)).astype("f4")
    pixels[0, 0, 0, :2] = np.nan, np.inf
    orders = [range(40), reversed(range(40))]
    windows: list[list[tuple[float, float]]] = []
    for order in orders:
        sampler = Sampler(pixels.shape, 0)
        for z in order:
            sampler.add(pixels[:, z : z + 1], (0, z, 0, 0))
        windows.append(sampler.windows())
    assert windows[0] == windows[1]
    for low, high in windows[0]:
        assert -3.4 < low < -2.8
        assert 2.8 < high < 3.4
