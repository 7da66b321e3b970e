"""New Zarr arrays in memory, written by us, and how they are read back; strategies for them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Literal, cast

import numpy as np
import zarr
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from zarr_files import memory_files

from polystore import (
    Blosc,
    Gzip,
    HostArray,
    Json,
    LazyArray,
    Outcome,
    Region,
    Success,
    ZarrConfig,
    Zstd,
)
from polystore.backends.zarr.elements.plan import ArrayPlan, array_plan
from polystore.backends.zarr.elements.reading import read_elements
from polystore.backends.zarr.elements.writing import write_elements
from polystore.core.payload import ArraySpec
from polystore.core.region import whole

OURS: dict[str, Json] = {"polystore": {"version": 1, "dense": True}}
LIMIT = 2**30

COMPRESSORS = st.sampled_from([Blosc(), Blosc("lz4", 5, "shuffle"), Zstd(), Gzip(1), None])


@st.composite
def configs(draw: st.DrawFn, shape: tuple[int, ...]) -> ZarrConfig:
    """Give chunks and files for an array: chosen, and any."""
    compressor = draw(COMPRESSORS)
    if draw(st.booleans()) or not shape:
        return ZarrConfig(root="/data", compressor=compressor)
    chunks = tuple(draw(st.integers(1, length + 2)) for length in shape)
    shards = draw(
        st.one_of(
            st.none(),
            st.just(()),
            st.tuples(*(st.integers(1, 3).map(step.__mul__) for step in chunks)),
        )
    )
    return ZarrConfig(root="/data", chunks=chunks, shards=shards, compressor=compressor)


DTYPES = st.sampled_from(
    [*"? i1 u2 <i4 >i4 >u2 f2 f4 f8 >f8 c8 c16 S5 U3".split(), "M8[ns]", "m8[10us]", "V7", ">M8[s]"]
).map(np.dtype)
SHAPES = npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=9)


def filled(shape: tuple[int, ...], dtype: np.dtype[np.generic], seed: int) -> HostArray:
    """Give an array of any bits; of text, such as NumPy can hold."""
    rng = np.random.default_rng(seed)
    if dtype.kind in "US":
        return rng.integers(0, 1000, shape).astype(dtype)
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(dtype)
    array: HostArray = np.empty(shape, dtype)
    array.reshape(-1).view("u1")[:] = rng.integers(0, 256, array.nbytes, np.uint8)
    return array


@st.composite
def arrays(draw: st.DrawFn) -> HostArray:
    return filled(draw(SHAPES), draw(DTYPES), draw(st.integers(0, 99)))


@st.composite
def arrays_and_configs(draw: st.DrawFn) -> tuple[HostArray, ZarrConfig]:
    array = draw(arrays())
    return array, draw(configs(array.shape))


def planned(array: HostArray, config: ZarrConfig, zarr_format: Literal[2, 3] = 3) -> ArrayPlan:
    spec = ArraySpec(array.shape, array.dtype.str, (), array.shape)
    return array_plan(spec, array.dtype, config, OURS, zarr_format).unwrap()


def stored(
    array: HostArray, config: ZarrConfig, zarr_format: Literal[2, 3] = 3
) -> tuple[ArrayPlan, dict[str, bytes]]:
    """Give the files of an array that was written."""
    plan = planned(array, config, zarr_format)
    content: dict[str, bytes] = {}
    write_elements(memory_files(content), plan.meta, array).unwrap()
    return plan, {**content, **plan.documents}


def loaded(plan: ArrayPlan, content: dict[str, bytes]) -> HostArray:
    box = whole(plan.meta.grid.shape)
    return read_elements(memory_files(content), plan.meta, box, LIMIT).outcome.unwrap()


def by_zarr_python(content: dict[str, bytes]) -> HostArray:
    from zarr.core.buffer import cpu
    from zarr.storage import MemoryStore

    buffers = {name: cpu.Buffer.from_bytes(each) for name, each in content.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of drafts of data types
        # Its annotations have an unknown part.
        opened = cast("Callable[[MemoryStore], HostArray]", vars(zarr)["open_array"])
        return np.asarray(opened(MemoryStore(dict(buffers), read_only=True))[...])


def lazily(array: HostArray, blocks: tuple[int, ...]) -> LazyArray:
    def read(region: Region) -> Outcome[HostArray]:
        return Success(array[region].copy() if region else array.copy())

    return LazyArray(ArraySpec(array.shape, array.dtype.str, (), blocks), read)


def same(one: HostArray, other: HostArray) -> bool:
    return (
        one.shape == other.shape and one.dtype == other.dtype and one.tobytes() == other.tobytes()
    )


def counted(shape: tuple[int, ...]) -> HostArray:
    return np.arange(np.prod(shape), dtype="u2").reshape(shape)


TILED = ZarrConfig(root="/data", chunks=(2, 16, 16), shards=(4, 32, 48))
"""Of an array of (5, 40, 50): 2 x 2 x 2 files of up to 2 x 2 x 3 chunks."""


STRINGS = np.array([["a", ""], ["long " * 99, "\U0001f600"]], np.dtypes.StringDType())
