"""Into which chunks and files a new Zarr array is cut."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polystore import (
    ChunkStrategy,
    InvalidSpec,
    ZarrConfig,
    ZarrLayout,
    is_successful,
)
from polystore.backends.zarr.elements.choose import CHUNK_BYTES, FILE_BYTES, chosen_grid
from polystore.backends.zarr.elements.grid import Grid

DEFAULT = ZarrConfig(root="/data")

LENGTHS = st.one_of(
    st.integers(0, 40), st.sampled_from([64, 512, 1024, 1360, 2048]), st.integers(0, 10**8)
)
SHAPES = st.lists(LENGTHS, max_size=5).map(tuple)
ITEMSIZES = st.sampled_from([1, 2, 4, 8, 16, 4096])


def grid_of(
    shape: tuple[int, ...], itemsize: int = 2, axes: str = "", config: ZarrConfig = DEFAULT
) -> Grid:
    return chosen_grid(shape, itemsize, tuple(axes), config).unwrap()


@st.composite
def shapes_and_axes(draw: st.DrawFn) -> tuple[tuple[int, ...], str]:
    shape = draw(SHAPES)
    if draw(st.booleans()):
        return shape, ""
    names = draw(st.permutations("tczyx"))
    return shape, "".join(names[: len(shape)])


@given(shapes_and_axes(), ITEMSIZES)
def test_what_is_chosen_is_a_grid_of_few_files_in_small_chunks(
    made: tuple[tuple[int, ...], str], itemsize: int
) -> None:
    shape, axes = made
    grid = grid_of(shape, itemsize, axes)
    assert grid.shape == shape
    assert len(grid.chunk) == len(grid.file) == len(shape)
    assert min(grid.chunk, default=1) >= 1
    assert all(a % b == 0 for a, b in zip(grid.file, grid.chunk, strict=True))
    assert math.prod(grid.chunk) * itemsize <= CHUNK_BYTES
    nbytes = math.prod(shape) * itemsize
    assert grid.file_count <= 1 + 8 * min(nbytes / FILE_BYTES, 100_000)


@given(shapes_and_axes(), ITEMSIZES)
def test_chunks_are_cut_evenly(made: tuple[tuple[int, ...], str], itemsize: int) -> None:
    shape, axes = made
    grid = grid_of(shape, itemsize, axes)
    for length, step in zip(shape, grid.chunk, strict=True):
        count = -(-length // step)
        # Halved again and again, a length is rounded up each time: at most by one element a chunk.
        assert 0 <= count * step - length < max(count, 2)


@given(shapes_and_axes(), ITEMSIZES)
def test_a_small_array_is_one_file(made: tuple[tuple[int, ...], str], itemsize: int) -> None:
    shape, axes = made
    if 0 < math.prod(shape) * itemsize <= FILE_BYTES // 2:
        assert grid_of(shape, itemsize, axes).file_count == 1


@pytest.mark.parametrize(
    ("shape", "itemsize", "axes", "chunk", "file"),
    [
        ((), 8, "", (), ()),
        ((0, 5), 2, "yx", (1, 5), (1, 5)),
        ((5,), 2, "x", (5,), (5,)),
        ((64, 1024, 1024), 2, "zyx", (1, 1024, 1024), (32, 1024, 1024)),
        ((1024, 1360), 2, "yx", (1024, 680), (1024, 1360)),
        ((2048, 2048), 4, "yx", (512, 1024), (2048, 2048)),
        ((20000, 20000), 2, "yx", (625, 1250), (1250, 20000)),
        ((3000, 4000, 3), 1, "yxs", (750, 500, 3), (3000, 4000, 3)),
        ((3000, 4000, 3), 1, "yxc", (750, 500, 3), (3000, 4000, 3)),
        ((100, 3, 64, 64), 2, "tcyx", (100, 1, 64, 64), (100, 3, 64, 64)),
        ((3, 64, 64), 2, "cyx", (3, 64, 64), (3, 64, 64)),
        ((10**6, 32, 32), 1, "tyx", (1024, 32, 32), (63488, 32, 32)),
        ((10**7, 4), 8, "", (39063, 4), (2031276, 4)),
        ((3,), 10**7, "x", (1,), (3,)),
    ],
)
def test_chosen(
    shape: tuple[int, ...],
    itemsize: int,
    axes: str,
    chunk: tuple[int, ...],
    file: tuple[int, ...],
) -> None:
    grid = grid_of(shape, itemsize, axes)
    assert (grid.chunk, grid.file) == (chunk, file)


def test_what_the_config_says_is_kept() -> None:
    config = ZarrConfig(root="/data", chunks=(2, 100), shards=(8, 300))
    assert grid_of((5, 50), config=config) == Grid((5, 50), (8, 300), (2, 100))


def test_no_shards_are_files_of_one_chunk() -> None:
    grid = grid_of((64, 1024, 1024), config=ZarrConfig(root="/data", shards=()))
    assert grid.file == grid.chunk == (1, 1024, 1024)


def test_shards_are_chosen_for_chunks() -> None:
    grid = grid_of((64, 1024, 1024), config=ZarrConfig(root="/data", chunks=(1, 256, 256)))
    assert (grid.chunk, grid.file) == ((1, 256, 256), (32, 1024, 1024))


SHARDS = st.one_of(  # of at most 10**8 elements: a file may have 2**27 chunks
    st.lists(st.integers(1, 5000), min_size=1, max_size=2),
    st.lists(st.integers(1, 100), min_size=3, max_size=4),
).map(tuple)


@given(SHARDS, ITEMSIZES)
def test_chunks_are_chosen_for_shards(shards: tuple[int, ...], itemsize: int) -> None:
    shape = tuple(2 * length + 1 for length in shards)
    grid = grid_of(shape, itemsize, config=ZarrConfig(root="/data", shards=shards))
    assert grid.file == shards
    assert all(a % b == 0 for a, b in zip(grid.file, grid.chunk, strict=True))


@pytest.mark.parametrize(
    ("where", "config", "words"),
    [
        ("chunks", ZarrConfig(root="/d", chunks=(1, 5)), "has 2 lengths, and the array 3 axes"),
        ("chunks", ZarrConfig(root="/d", chunks=()), "has 0 lengths"),
        ("chunks", ZarrConfig(root="/d", chunks=(1, 0, 5)), "has a length below 1"),
        ("chunks", ZarrConfig(root="/d", chunks=(1, 2**16, 2**15)), "more than 2 GiB"),
        ("shards", ZarrConfig(root="/d", shards=(1, 5)), "has 2 lengths"),
        ("shards", ZarrConfig(root="/d", shards=(1, -3, 5)), "has a length below 1"),
        (
            "shards",
            ZarrConfig(root="/d", chunks=(1, 4, 4), shards=(1, 6, 8)),
            "is no multiple of the chunks",
        ),
        ("shards", ZarrConfig(root="/d", shards=(1, 2**62, 2**62)), "has a length above"),
        ("shards", ZarrConfig(root="/d", shards=(1, 2**40, 2**40)), "chunks in a file"),
    ],
)
def test_what_does_not_suit_is_refused(where: str, config: ZarrConfig, words: str) -> None:
    found = chosen_grid((3, 40, 50), 2, (), config)
    assert not is_successful(found)
    error = found.failure()
    assert isinstance(error, InvalidSpec)
    assert error.where == where
    assert words in error.message


def test_more_files_than_any_disk_has_are_refused() -> None:
    config = ZarrConfig(root="/d", chunks=(16, 16), shards=())
    assert grid_of((2**20, 2**20), config=config).file_count == 2**32
    found = chosen_grid((2**20, 2**20 + 1), 2, (), config)
    assert not is_successful(found)
    assert "files" in found.failure().message


PLATE = ZarrConfig(root="/data", layout=ZarrLayout.PLATE)
WELL = ZarrConfig(root="/data", layout=ZarrLayout.PLATE, chunk_strategy=ChunkStrategy.WELL)


@given(st.lists(st.integers(1, 3000), min_size=2, max_size=5).map(tuple), ITEMSIZES)
def test_a_file_of_a_plate_holds_one_plane_of_a_field(
    shape: tuple[int, ...], itemsize: int
) -> None:
    grid = grid_of(shape, itemsize, "tczyx"[-len(shape) :], PLATE)
    assert grid.file_count == math.prod(shape[:-2])
    assert grid.file[:-2] == (1,) * (len(shape) - 2)


@given(st.lists(st.integers(1, 3000), min_size=2, max_size=5).map(tuple), ITEMSIZES)
def test_a_file_of_a_plate_holds_all_planes_of_a_well(
    shape: tuple[int, ...], itemsize: int
) -> None:
    assert grid_of(shape, itemsize, "tczyx"[-len(shape) :], WELL).file_count == 1
