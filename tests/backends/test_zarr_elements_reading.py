"""What is read of an array is what zarr-python reads, whatever wrote it, and whichever part."""

from __future__ import annotations

from typing import Literal, TypeAlias, cast

import numpy as np
import pytest
from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st
from numcodecs.registry import get_codec
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, GzipCodec, TransposeCodec, ZstdCodec
from zarr_files import memory_files
from zarr_oracle import Oracle, told

from polystore.backends.zarr.elements.documents import documents_in
from polystore.backends.zarr.elements.interpret import array_meta
from polystore.backends.zarr.elements.meta import ArrayMeta
from polystore.backends.zarr.elements.reading import lazy_array, read_elements
from polystore.core.errors import TooLarge
from polystore.core.payload import ALIGNMENT, HostArray
from polystore.core.region import region_of, whole
from polystore.testing.arrays import filled

MAX = 2**24

Box: TypeAlias = tuple[range, ...]


def meta_of(content: dict[str, bytes]) -> ArrayMeta:
    documents = documents_in(memory_files(content)).unwrap()
    assert documents is not None
    return array_meta(documents).unwrap()


def read(content: dict[str, bytes], box: Box | None = None) -> HostArray:
    meta = meta_of(content)
    seen = read_elements(memory_files(content), meta, box or whole(meta.grid.shape), MAX)
    array = seen.outcome.unwrap()
    assert array.ctypes.data % ALIGNMENT == 0 or meta.chain is None
    return array


def same(one: HostArray, other: HostArray) -> bool:
    return (
        one.shape == other.shape and one.dtype == other.dtype and one.tobytes() == other.tobytes()
    )


@frozen
class Example:
    """An array, how it is cut, and a part of it."""

    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    shards: tuple[int, ...] | None
    box: Box


@st.composite
def examples(draw: st.DrawFn) -> Example:
    shape = tuple(draw(st.lists(st.integers(1, 9), max_size=4)))
    chunks = tuple(draw(st.integers(1, length + 1)) for length in shape)
    shards = tuple(chunk * draw(st.integers(1, 3)) for chunk in chunks)
    starts = [draw(st.integers(0, length)) for length in shape]
    stops = [draw(st.integers(a, length)) for a, length in zip(starts, shape, strict=True)]
    box = tuple(range(a, b) for a, b in zip(starts, stops, strict=True))
    # zarr-python cannot write shards of an array without axes.
    return Example(shape, chunks, draw(st.sampled_from((None, shards or None))), box)


V3_DTYPES = "b1 i1 u2 i4 u8 f2 f4 f8 c8 c16 M8[ns] m8[s] S3 U2 V5".split()

V2_DTYPES = [*V3_DTYPES, ">u2", ">f8", ">c16", ">M8[us]", ">U2", "i2,f4"]

V3_CODECS: dict[str, tuple[object, ...]] = {
    "none": (),
    "crc": (Crc32cCodec(),),
    "blosc": (BloscCodec(cname="zstd", shuffle="bitshuffle"), Crc32cCodec()),
    "lz4": (BloscCodec(cname="lz4", shuffle="shuffle", typesize=1),),
    "zstd": (ZstdCodec(level=1),),
    "checked zstd": (ZstdCodec(level=1, checksum=True), Crc32cCodec()),
    "gzip": (GzipCodec(level=1), Crc32cCodec()),
    "checksum inside": (Crc32cCodec(), ZstdCodec(level=1)),
    "two": (Crc32cCodec(), BloscCodec(cname="lz4"), Crc32cCodec()),
    "two compressors": (GzipCodec(level=1), BloscCodec(cname="lz4")),
}

V2_CODECS: dict[str, dict[str, object] | None] = {
    "none": None,
    "blosc": {"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1, "blocksize": 0},
    "auto": {"id": "blosc", "cname": "zstd", "clevel": 1, "shuffle": -1, "blocksize": 0},
    "zstd": {"id": "zstd", "level": 1},
    "gzip": {"id": "gzip", "level": 1},
    "zlib": {"id": "zlib", "level": 1},
    "lz4": {"id": "lz4", "acceleration": 1},
    "bz2": {"id": "bz2", "level": 1},
}


def check(example: Example, seen: Oracle) -> None:
    """Check a part, the whole, and the part read lazily."""
    part = np.array(seen.array[region_of(example.box)], seen.array.dtype)
    assert same(read(seen.content), seen.array)
    assert same(read(seen.content, example.box), part)
    lazy = lazy_array(memory_files(seen.content), meta_of(seen.content), MAX)
    assert same(lazy.read(region_of(example.box)).unwrap(), part)
    assert lazy.spec.shape == example.shape
    assert len(lazy.spec.blocks) == len(example.shape)
    assert lazy.spec.dtype == str(meta_of(seen.content).dtype)
    assert seen.array.dtype.names or np.dtype(lazy.spec.dtype) == seen.array.dtype


@settings(max_examples=60, deadline=None)
@given(
    examples(),
    st.sampled_from(V3_DTYPES),
    st.sampled_from(sorted(V3_CODECS)),
    st.sampled_from(("little", "big")),
    st.integers(0, 99),
)
def test_v3_is_read_as_zarr_python_reads_it(
    example: Example, dtype: str, codecs: str, endian: Literal["little", "big"], seed: int
) -> None:
    array = filled(seed, np.dtype(dtype), example.shape)
    shards = None if array.dtype.kind == "V" else example.shards  # zarr-python fails on both
    options = {"compressors": V3_CODECS[codecs], "serializer": BytesCodec(endian=endian)}
    if endian == "little" or array.dtype.kind in "SVb" or array.dtype.itemsize == 1:
        options.pop("serializer")
    check(example, told(array, example.chunks, shards, 3, options))


@settings(max_examples=60, deadline=None)
@given(
    examples(),
    st.sampled_from(V2_DTYPES),
    st.sampled_from(sorted(V2_CODECS)),
    st.sampled_from(("C", "F")),
    st.sampled_from((".", "/")),
)
def test_v2_is_read_as_zarr_python_reads_it(
    example: Example, dtype: str, codec: str, order: str, separator: str
) -> None:
    array = filled(len(example.shape), np.dtype(dtype), example.shape)
    config = V2_CODECS[codec]
    options = {
        "compressors": None if config is None else get_codec(config),
        "order": order,
        "chunk_key_encoding": {"name": "v2", "separator": separator},
    }
    check(example, told(array, example.chunks, None, 2, options))


UNUSUAL: dict[str, dict[str, object]] = {
    "strings": {"dtype": "str"},
    "transposed": {"filters": (TransposeCodec(order=(1, 0)),)},
    "transposed shards": {"filters": (TransposeCodec(order=(1, 0)),), "shards": (4, 4)},
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_what_the_engine_does_not_know_is_read_by_zarr_python(name: str) -> None:
    options = dict(UNUSUAL[name])
    array = np.arange(42).reshape(6, 7)
    if options.pop("dtype", None):
        array = array.astype(np.dtypes.StringDType())
    shards = cast("tuple[int, ...] | None", options.pop("shards", None))
    seen = told(array, (2, 2), shards, 3, options)
    meta = meta_of(seen.content)
    assert meta.chain is None
    for box in (whole((6, 7)), (range(1, 5), range(3, 7)), (range(0), range(7))):
        got = read(seen.content, box)
        assert got.dtype == seen.array.dtype
        assert np.array_equal(got, seen.array[region_of(box)])


def test_what_takes_too_much_memory_is_refused_before_anything_is_read() -> None:
    seen = told(np.zeros((8, 8), "u2"), (4, 4))
    meta, files = meta_of(seen.content), memory_files({})
    for box, most in ((whole((8, 8)), 127), ((range(1), range(1)), 31), (whole((8, 8)), 4 * 4095)):
        found = read_elements(files, meta, box, most)
        assert isinstance(found.outcome.failure(), TooLarge)
        assert found.complete
