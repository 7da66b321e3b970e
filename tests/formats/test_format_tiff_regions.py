"""A region of a TIFF is the slice of it, and no more is read than the parts that it touches."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import tifffile
from bytes_source import joined, source_of
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from test_format_tiff import DEEP, READABLE, RGB, STACK, imwrite
from test_format_tiff_hostile import measured, tiff

from polystore.configs import TiffOptions
from polystore.core.errors import Corrupt, TooLarge, UnsupportedOperation
from polystore.core.item import Item, Metadata
from polystore.core.outcome import is_successful
from polystore.core.payload import ALIGNMENT, LazyArray, Region
from polystore.core.records import Decoded, Limits, Readable
from polystore.formats.tiff import OME_TIFF_CODEC, TIFF_CODEC
from polystore.formats.tiff.samples import Samples, blocks_of, read_samples
from polystore.formats.tiff.segments import paged

WIDE = (np.arange(6 * 70 * 90) % 65521).astype(np.uint16).reshape(2, 3, 70, 90)

PARTED: dict[str, bytes] = {
    "hyperstack": joined(
        TIFF_CODEC.encode(
            Item("x", STACK[None, :, None], Metadata(axes=tuple("tzcyx"))),
            TiffOptions(kind="imagej"),
        ).unwrap()
    ),
    "ome, deflate": joined(
        OME_TIFF_CODEC.encode(Item("x", WIDE[:, :, None]), TiffOptions("deflate")).unwrap()
    ),
    "pages": imwrite(WIDE, photometric="minisblack"),
    "pages of strips": imwrite(WIDE, photometric="minisblack", rowsperstrip=7),
    "big-endian strips": imwrite(
        WIDE.astype(">u2"), byteorder=">", photometric="minisblack", rowsperstrip=7,
        compression="lzw", predictor=2,
    ),
    "tiles": imwrite(WIDE, photometric="minisblack", tile=(32, 16), compression="zstd"),
    "plain tiles": imwrite(WIDE, photometric="minisblack", tile=(32, 16)),
    "volumes": imwrite(
        WIDE[0], photometric="minisblack", volumetric=True, tile=(2, 16, 16), compression="zlib"
    ),
    "planar": imwrite(
        WIDE, photometric="minisblack", planarconfig="separate", tile=(32, 32), compression="zlib"
    ),
    "rgb strips": imwrite(RGB, compression="packbits", rowsperstrip=5),
    "samples": imwrite(
        np.moveaxis(WIDE, 1, -1), photometric="minisblack", planarconfig="contig",
        rowsperstrip=11, compression="lzw",
    ),
    "one axis": imwrite(np.arange(5000, dtype=np.int32), compression="zlib"),
}  # fmt: skip

ALL = READABLE | PARTED


def opened(content: bytes, limits: Limits = Limits()) -> Decoded[LazyArray]:
    assert TIFF_CODEC.open is not None
    return TIFF_CODEC.open(source_of(content), limits).unwrap()


@st.composite
def regions(draw: st.DrawFn, shape: tuple[int, ...]) -> Region:
    """Give slices as NumPy takes them: open, negative, empty, beyond the end."""
    return tuple(
        slice(
            draw(st.none() | st.integers(-length - 2, length + 2)),
            draw(st.none() | st.integers(-length - 2, length + 2)),
            draw(st.sampled_from((None, 1))),
        )
        for length in shape
    )


@given(st.sampled_from(sorted(ALL)), st.data())
def test_a_region_is_the_slice(name: str, data: st.DataObject) -> None:
    whole = TIFF_CODEC.decode(source_of(ALL[name]), Limits()).unwrap()
    got = opened(ALL[name])
    assert got.metadata == whole.metadata
    spec = got.payload.spec
    assert (spec.shape, spec.dtype) == (whole.payload.shape, str(whole.payload.dtype))
    assert (spec.axes, len(spec.blocks)) == (whole.metadata.axes, len(spec.shape))
    assert all(1 <= block <= max(n, 1) for block, n in zip(spec.blocks, spec.shape, strict=True))
    for _ in range(4):
        region = data.draw(regions(spec.shape))
        part = got.payload.read(region).unwrap()
        expected = whole.payload[region]
        assert (part.shape, part.dtype) == (expected.shape, expected.dtype)
        assert part.tobytes() == expected.tobytes()
        assert part.ctypes.data % ALIGNMENT == 0 or part.size == 0
        assert part.flags.writeable


@pytest.mark.parametrize("name", sorted(ALL))
def test_block_by_block_it_is_the_array(name: str) -> None:
    whole = TIFF_CODEC.decode(source_of(ALL[name]), Limits()).unwrap().payload
    got = opened(ALL[name]).payload
    joint = np.zeros_like(whole)
    counts = [-(-n // block) for n, block in zip(whole.shape, got.spec.blocks, strict=True)]
    for place in np.ndindex(*counts):
        region = tuple(
            slice(at * block, (at + 1) * block)
            for at, block in zip(place, got.spec.blocks, strict=True)
        )
        joint[region] = got.read(region).unwrap()
    assert joint.tobytes() == whole.tobytes()


BLOCKS = {
    "hyperstack": (1, 1, 1, 17, 19),
    "pages": (1, 1, 70, 90),
    "pages of strips": (1, 1, 70, 90),  # which lie in one piece
    "big-endian strips": (1, 1, 7, 90),
    "tiles": (1, 1, 32, 16),
    "volumes": (2, 16, 16),
    "planar": (1, 1, 32, 32),
    "samples": (1, 11, 90, 3),
}


def counting(content: bytes) -> tuple[Readable, list[int]]:
    inner = source_of(content)
    asked: list[int] = []

    def read_into(offset: int, buffer: memoryview, /) -> int:
        asked.append(len(buffer))
        return inner.read_into(offset, buffer)

    return Readable(inner.size, read_into, inner.close), asked


def read_parts(content: bytes, region: Region) -> list[int]:
    source, asked = counting(content)
    assert TIFF_CODEC.open is not None
    array = TIFF_CODEC.open(source, Limits()).unwrap().payload
    asked.clear()
    array.read(region).unwrap()
    return asked


def test_only_what_is_touched_is_read() -> None:
    region = (slice(1, 2), slice(0, 2), slice(30, 34), slice(20, 24))
    assert len(read_parts(PARTED["tiles"], region)) == 2 * 2
    assert len(read_parts(PARTED["big-endian strips"], region)) == 2 * 1
    assert len(read_parts(PARTED["planar"], region)) == 2 * 2
    assert sum(read_parts(PARTED["pages"], region)) <= 2 * 4 * 90 * 2
    inner = (slice(1, 2), slice(None), slice(None), slice(None))
    assert read_parts(PARTED["pages"], inner) == [WIDE[1].nbytes]
    empty = (slice(1, 1), slice(None), slice(None), slice(None))
    assert read_parts(PARTED["pages"], empty) == []


def test_a_narrow_region_of_a_large_image_takes_little_memory() -> None:
    large = np.zeros((2048, 8192), np.uint8)
    for how in ({}, {"tile": (256, 256), "compression": "zlib"}):
        array = opened(imwrite(large, **how)).payload
        region = (slice(0, 2048), slice(5000, 5010))
        array.read(region).unwrap()
        with measured() as peak:
            array.read(region).unwrap()
        assert peak[0] < 2**21 + 2**18


@pytest.mark.parametrize("name", ["tiles", "big-endian strips", "pages", "jpeg tiles"])
def test_regions_are_read_in_threads(name: str) -> None:
    whole = TIFF_CODEC.decode(source_of(ALL[name]), Limits()).unwrap().payload
    array = opened(ALL[name]).payload
    chance = np.random.default_rng(7)
    work: list[Region] = [
        tuple(slice(*sorted(chance.integers(0, n + 1, 2).tolist())) for n in whole.shape)
        for _ in range(60)
    ]
    with ThreadPoolExecutor(8) as pool:
        parts: list[NDArray[Any]] = [each.unwrap() for each in pool.map(array.read, work)]
    for region, part in zip(work, parts, strict=True):
        assert part.tobytes() == whole[region].tobytes()


@pytest.mark.parametrize(
    "region",
    [
        (slice(None),),
        (slice(None),) * 3,
        (slice(0, 4, 2), slice(None)),
        (slice(4, 0, -1), slice(None)),
        (slice(0.5, None), slice(None)),
        (3, slice(None)),
    ],
)
def test_what_is_no_region_is_told(region: Any) -> None:  # noqa: ANN401 - wrong on purpose
    error = opened(READABLE["lzw"]).payload.read(region).failure()
    assert isinstance(error, UnsupportedOperation)
    assert "slice" in error.message


def test_the_limit_is_one_of_regions() -> None:
    array = opened(imwrite(np.zeros((2048, 2048), np.uint8)), Limits(2**20)).payload
    assert isinstance(array.read((slice(None), slice(None))).failure(), TooLarge)
    assert array.read((slice(0, 512), slice(None))).unwrap().nbytes == 2**20


def test_damage_is_told_where_it_is() -> None:
    content = bytearray(PARTED["big-endian strips"])
    with_damage = bytes(content[:-400]) + bytes(400)
    array = opened(with_damage).payload
    first = (slice(0, 1), slice(None), slice(None), slice(None))
    assert np.array_equal(array.read(first).unwrap(), WIDE[:1])
    outcome = array.read((slice(None),) * 4)
    assert not is_successful(outcome)
    assert isinstance(outcome.failure(), Corrupt)
    assert TIFF_CODEC.open is not None
    assert isinstance(TIFF_CODEC.open(source_of(tiff()), Limits()).failure(), Corrupt)


@pytest.mark.parametrize("name", sorted(BLOCKS))
def test_blocks_are_the_files_own_parts(name: str) -> None:
    assert opened(PARTED[name]).payload.spec.blocks == BLOCKS[name]


def test_pixels_of_the_last_rows_need_nothing_after_them() -> None:
    array = opened(imwrite(DEEP)).payload
    assert np.array_equal(array.read((slice(30, 40), slice(0, 20))).unwrap(), DEEP[30:, :20])


def test_axes_that_go_across_pages_are_read_whole() -> None:
    """No file that tifffile reads is like that today."""
    content = imwrite(STACK, photometric="minisblack", compression="zlib")
    with tifffile.TiffFile(io.BytesIO(content)) as tif:
        series = tif.series[0]
        pages = [page for page in series if page is not None]
        prepared = paged(source_of(content), pages, series.keyframe, np.dtype(np.uint16))
        flat = Samples((STACK.size,), None, 0, prepared)
        part = np.empty(400, np.uint16)
        read_samples(flat, (range(300, 700),), part)
    assert np.array_equal(part, STACK.ravel()[300:700])
    assert blocks_of(flat, flat.shape) == flat.shape
