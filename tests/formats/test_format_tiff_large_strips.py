"""A large strip is decoded once for all regions that are read of it, and then let go."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tifffile
from attrs import evolve
from bytes_source import source_of
from numpy.typing import NDArray

from polystore.core.errors import Corrupt
from polystore.core.payload import LazyArray, Region
from polystore.core.records import Limits, Readable
from polystore.formats.tiff import TIFF_CODEC

LENGTH = 2304
NOISE: NDArray[np.uint16] = (
    np.random.default_rng(0).integers(0, 2**16, (2, LENGTH, LENGTH)).astype(np.uint16)
)
REGIONS: list[Region] = [
    (slice(page, page + 1), slice(row, row + 256), slice(column, column + 768))
    for page in range(2)
    for row in range(0, LENGTH, 256)
    for column in range(0, LENGTH, 768)
]
KINDS = ("zlib", "zlib, predicted", "zstd", "lzw")


def stored(kind: str) -> bytes:
    file = io.BytesIO()
    compression, _, predicted = kind.partition(", ")
    tifffile.imwrite(
        file,
        NOISE,
        photometric="minisblack",
        rowsperstrip=LENGTH,
        compression=compression,
        predictor=2 if predicted else None,
    )
    return file.getvalue()


def counted(source: Readable, counts: list[int]) -> Readable:
    read_into: Callable[[int, memoryview], int] = source.read_into

    def read(offset: int, memory: memoryview) -> int:
        counts.append(memory.nbytes)
        return read_into(offset, memory)

    return evolve(source, read_into=read)


def opened(source: Readable) -> LazyArray:
    assert TIFF_CODEC.open is not None
    return TIFF_CODEC.open(source, Limits()).unwrap().payload


@pytest.mark.parametrize("kind", KINDS)
def test_a_large_strip_is_read_once_and_let_go(kind: str) -> None:
    content, counts = stored(kind), list[int]()
    lazy = opened(counted(source_of(content), counts))
    tracemalloc.start()
    try:
        for region in REGIONS:
            assert np.array_equal(lazy.read(region).unwrap(), NOISE[region])
        left, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sum(counts) < 1.1 * len(content)
    assert left < 2**20
    if kind.startswith("zlib"):  # what is compressed is not in memory beside it
        assert peak < NOISE[0].nbytes + 6 * 2**20


@pytest.mark.parametrize("kind", KINDS)
def test_a_large_strip_is_read_by_threads(kind: str) -> None:
    lazy = opened(source_of(stored(kind)))
    with ThreadPoolExecutor(4) as pool:
        for region, found in zip(REGIONS, pool.map(lazy.read, REGIONS), strict=True):
            assert np.array_equal(found.unwrap(), NOISE[region])


def test_a_large_strip_that_is_damaged_is_corrupt() -> None:
    content = bytearray(stored("zlib"))
    content[len(content) // 4] ^= 1
    lazy = opened(source_of(bytes(content)))
    assert isinstance(lazy.read(REGIONS[0]).failure(), Corrupt)
    assert isinstance(lazy.read(REGIONS[0]).failure(), Corrupt)  # it is not kept
    assert np.array_equal(lazy.read(REGIONS[-1]).unwrap(), NOISE[REGIONS[-1]])
