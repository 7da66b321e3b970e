"""TIFF as tifffile writes and reads it: the same bytes out, the same arrays and axes in."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import imagecodecs
import numpy as np
import pytest
import tifffile
from bytes_source import joined, source_of
from numpy.typing import NDArray

from polystore.configs import TiffOptions
from polystore.core.errors import UnsupportedPayload
from polystore.core.item import Item, Metadata
from polystore.core.outcome import is_successful
from polystore.core.payload import ALIGNMENT, HostArray
from polystore.core.records import Decoded, Limits, Readable
from polystore.formats.tiff import TIFF_CODEC

PLATE = Path(__file__).parents[3] / "shared" / "data" / "cellprofiler"

GRAY = (np.arange(32 * 48) % 251).astype(np.uint8).reshape(32, 48)
DEEP = (np.arange(40 * 33) % 1000).astype(np.uint16).reshape(40, 33)
STACK = (np.arange(5 * 17 * 19) % 999).astype(np.uint16).reshape(5, 17, 19)
RGB = np.stack([GRAY, GRAY // 2, GRAY // 3], -1)


def written(write: Callable[[io.BytesIO], object]) -> bytes:
    """Give what tifffile writes; it warns that it guesses, and that it will cease to."""
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write(stream)
    return stream.getvalue()


def imwrite(array: HostArray, **how: Any) -> bytes:  # noqa: ANN401 - tifffile's own keywords
    return written(lambda stream: tifffile.imwrite(stream, array, **how))


def encoded(array: HostArray, metadata: Metadata = Metadata(), options: object = None) -> bytes:
    return joined(TIFF_CODEC.encode(Item("x", array, metadata), options).unwrap())


def decoded(content: bytes) -> Decoded[HostArray]:
    return TIFF_CODEC.decode(source_of(content), Limits()).unwrap()


def pages(*arrays: HostArray) -> bytes:
    """Give a TIFF of pages that nothing describes."""

    def write(stream: io.BytesIO) -> None:
        order: Literal["<", ">"] = ">" if arrays[0].dtype.byteorder == ">" else "<"
        with tifffile.TiffWriter(stream, shaped=False, byteorder=order) as writer:
            for array in arrays:
                writer.write(array, contiguous=False, metadata=None, photometric="minisblack")

    return written(write)


def pyramid() -> bytes:
    def write(stream: io.BytesIO) -> None:
        with tifffile.TiffWriter(stream) as writer:
            writer.write(STACK, subifds=1, photometric="minisblack")
            writer.write(STACK[:, ::2, ::2], subfiletype=1, photometric="minisblack")

    return written(write)


READABLE: dict[str, bytes] = {
    "plain": imwrite(GRAY),
    "big-endian": imwrite(DEEP.astype(">u2"), byteorder=">"),
    "big-endian, pages": imwrite(STACK.astype(">u2"), byteorder=">", photometric="minisblack"),
    "big-endian, deflate": imwrite(DEEP.astype(">u2"), byteorder=">", compression="zlib"),
    "bigtiff": imwrite(DEEP, bigtiff=True),
    "stack": imwrite(STACK, photometric="minisblack"),
    "separate pages": pages(*STACK),
    "big-endian, separate pages": pages(*STACK.astype(">u2")),
    "deflate": imwrite(STACK, compression="zlib", photometric="minisblack"),
    "lzw": imwrite(DEEP, compression="lzw", rowsperstrip=7),
    "packbits": imwrite(DEEP, compression="packbits", rowsperstrip=7),
    "zstd": imwrite(DEEP, compression="zstd", rowsperstrip=7),
    "lzma": imwrite(DEEP, compression="lzma"),
    "strips": imwrite(DEEP, rowsperstrip=7),
    "predictor": imwrite(DEEP, compression="zlib", predictor=2, rowsperstrip=9),
    "big-endian predictor": imwrite(
        DEEP.astype(">u2"), byteorder=">", compression="lzw", predictor=2, rowsperstrip=9
    ),
    "float predictor": imwrite(DEEP.astype("f4"), compression="zlib", predictor=3),
    "tiles": imwrite(DEEP, tile=(16, 16)),
    "lzw tiles": imwrite(DEEP, tile=(16, 16), compression="lzw"),
    "tiles larger than the image": imwrite(DEEP, tile=(128, 128), compression="zlib"),
    "volume tiles": imwrite(STACK, tile=(16, 16, 16), compression="zlib"),
    "rgb": imwrite(RGB),
    "planar rgb": imwrite(np.moveaxis(RGB, -1, 0), photometric="rgb", planarconfig="separate"),
    "planar rgb, deflate": imwrite(
        np.moveaxis(RGB, -1, 0), photometric="rgb", planarconfig="separate", compression="zlib"
    ),
    "bool": imwrite(GRAY > 100),
    "bool, deflate": imwrite(GRAY > 100, compression="zlib"),
    "reversed bits": imwrite(DEEP, extratags=[("FillOrder", 3, 1, 2, True)]),
    "12 bits": imwrite(DEEP, bitspersample=12),
    "palette": imwrite(GRAY, photometric="palette", colormap=np.zeros((3, 256), np.uint16)),
    "imagej": imwrite(STACK, imagej=True, metadata={"axes": "ZYX"}),
    "imagej rgb": imwrite(RGB[None], imagej=True),
    "ome": imwrite(STACK.reshape(1, 5, 1, 17, 19), ome=True, metadata={"axes": "TZCYX"}),
    "jpeg": imwrite(GRAY, compression="jpeg"),
    "jpeg tiles": imwrite(RGB, compression="jpeg", tile=(16, 16)),
    "jpeg 2000": imwrite(DEEP, compression="jpeg2000"),
    "complex": imwrite(DEEP.astype(np.complex128)),
    "pyramid": pyramid(),
    "empty": imwrite(np.zeros((0, 3), np.uint8)),
}


@pytest.mark.parametrize("name", READABLE)
def test_it_reads_what_tifffile_reads(name: str) -> None:
    content = READABLE[name]
    got = decoded(content).payload
    expected = tifffile.imread(io.BytesIO(content))
    assert got.dtype == expected.dtype  # native, whatever the file's byte order is
    assert got.shape == expected.shape
    assert got.tobytes() == expected.tobytes()
    assert got.ctypes.data % ALIGNMENT == 0 or got.size == 0


@pytest.mark.skipif(not PLATE.exists(), reason="the shared images are not here")
def test_real_images_are_as_tifffile_reads_them() -> None:
    paths = sorted(PLATE.rglob("*.tif"))
    assert len(paths) == 7
    for path in paths:
        got = decoded(path.read_bytes())
        expected = tifffile.imread(path)
        assert got.payload.dtype == expected.dtype
        assert np.array_equal(got.payload, expected)
        assert got.metadata == Metadata(axes=("y", "x"))  # 72 dots per inch are no physical size


Compression: TypeAlias = Literal["none", "deflate", "lzw", "packbits", "zstd"]


@pytest.mark.parametrize("compression", get_args(Compression))
@pytest.mark.parametrize(
    ("array", "how"),
    [
        (GRAY, {}),
        (DEEP.astype(">u2"), {}),
        (DEEP[::-1].T, {}),
        (np.array(7, np.int16), {}),
        (np.arange(100000, dtype=np.float32), {}),
        (np.arange(300 * 400, dtype=np.float64).reshape(300, 400), {}),
        (GRAY > 100, {}),
        (RGB, {}),
        (np.stack([DEEP] * 4, -1), {}),
        (STACK, {"photometric": "minisblack"}),
        (
            np.arange(3 * 300 * 400, dtype=np.int32).reshape(3, 300, 400),
            {"photometric": "minisblack"},
        ),
        (RGB.astype("f4"), {"photometric": "minisblack", "planarconfig": "contig"}),
    ],
    ids=lambda value: str(getattr(value, "shape", "")),
)
def test_the_file_is_the_one_that_tifffile_writes(
    array: NDArray[Any], how: dict[str, str], compression: Compression
) -> None:
    names = {"none": None, "deflate": "zlib"}
    expected = imwrite(array, compression=names.get(compression, compression), **how)
    assert encoded(array, options=TiffOptions(compression=compression)) == expected


def test_pixels_stay_in_the_arrays_own_memory() -> None:
    array = np.zeros((3, 512, 512), np.float32)
    buffers = list(TIFF_CODEC.encode(Item("x", array), None).unwrap().buffers)
    views = [np.asarray(memoryview(buffer)) for buffer in buffers]
    (shared,) = (view for view in views if np.shares_memory(view, array))
    assert shared.nbytes == array.nbytes


def test_a_small_file_is_read_at_once_and_written_as_one() -> None:
    encoded = TIFF_CODEC.encode(Item("x", GRAY), None).unwrap()
    assert len(list(encoded.buffers)) == 1
    source = source_of(joined(encoded))
    asked: list[int] = []

    def read_into(offset: int, buffer: memoryview) -> int:
        asked.append(len(buffer))
        return source.read_into(offset, buffer)

    counted = Readable(source.size, read_into, source.close)
    assert np.array_equal(TIFF_CODEC.decode(counted, Limits()).unwrap().payload, GRAY)
    assert asked == [source.size]


@pytest.mark.parametrize(
    ("axes", "shape", "dtype", "samples"),
    [
        (("t", "z", "c", "y", "x"), (2, 3, 4, 5, 6), "u2", 1),
        (("y", "x", "c"), (5, 6, 3), "u1", 3),
        (("y", "x", "c"), (5, 6, 2), "f4", 2),
        (("z", "y", "x"), (5, 6, 3), "u1", 1),  # three columns are no colors
        (("c", "y", "x"), (3, 5, 6), "u1", 1),
        (("x",), (7,), "u1", 1),
        (("z", "y", "x", "c"), (1, 1, 1, 1), "u1", 1),
    ],
)
def test_axes_are_kept(
    axes: tuple[str, ...], shape: tuple[int, ...], dtype: str, samples: int
) -> None:
    array = np.arange(np.prod(shape)).astype(dtype).reshape(shape)
    content = encoded(array, Metadata(axes=axes))
    got = decoded(content)
    assert got.metadata == Metadata(axes=axes)
    assert np.array_equal(got.payload, array)
    with tifffile.TiffFile(io.BytesIO(content)) as tif:
        assert tif.pages.first.samplesperpixel == samples


@pytest.mark.parametrize(
    "axes",
    [
        *(("time", "y", "x"), ("Y", "x", "c"), ("y", "y", "x")),
        *(("q", "y", "x"), ("i", "y", "x"), ("s", "y", "x")),  # these mean something else in a TIFF
    ],
)
def test_axes_that_tifffile_cannot_say_are_noted(axes: tuple[str, ...]) -> None:
    result = TIFF_CODEC.encode(Item("x", STACK, Metadata(axes=axes)), None).unwrap()
    assert result.dropped == ()
    got = decoded(joined(result))
    assert np.array_equal(got.payload, STACK)
    assert got.metadata == Metadata(axes=axes)


def test_axes_of_another_number_are_dropped_aloud() -> None:
    result = TIFF_CODEC.encode(Item("x", STACK, Metadata(axes=("y", "x"))), None).unwrap()
    assert result.dropped == ("axes",)


@pytest.mark.parametrize(
    ("name", "axes"),
    [
        ("plain", ("y", "x")),
        ("rgb", ("y", "x", "c")),
        ("planar rgb", ("c", "y", "x")),
        ("imagej", ("z", "y", "x")),
        ("ome", ("z", "y", "x")),
        ("stack", ()),  # pages of what, the file does not say
        ("separate pages", ()),
    ],
)
def test_axes_have_their_names_in_ome_zarr(name: str, axes: tuple[str, ...]) -> None:
    assert decoded(READABLE[name]).metadata.axes == axes


MICROMETERS = ("micrometer", "micrometer")


@pytest.mark.parametrize(
    ("how", "scale", "unit"),
    [
        (
            {"imagej": True, "resolution": (2, 4), "metadata": {"axes": "YX", "unit": "um"}},
            (0.25, 0.5),
            MICROMETERS,
        ),
        ({"imagej": True, "resolution": (2, 4), "metadata": {"axes": "YX"}}, (), ()),
        (
            {"ome": True, "metadata": {"axes": "YX", "PhysicalSizeX": 0.1, "PhysicalSizeY": 0.2}},
            (0.2, 0.1),
            MICROMETERS,
        ),
        (
            {"resolution": (100, 50), "resolutionunit": 3},
            (0.02, 0.01),
            ("centimeter", "centimeter"),
        ),
        ({"resolution": (72, 72), "resolutionunit": 2}, (), ()),
        ({"resolution": (2, 2)}, (), ()),
    ],
)
def test_scale_is_what_the_file_truly_says(
    how: dict[str, Any], scale: tuple[float, ...], unit: tuple[str, ...]
) -> None:
    metadata = decoded(imwrite(DEEP, **how)).metadata
    assert (metadata.scale, metadata.unit) == (scale, unit)


def test_further_series_are_named() -> None:
    got = decoded(pages(GRAY, DEEP, GRAY))
    assert np.array_equal(got.payload, np.stack([GRAY, GRAY]))
    other = {"name": "", "shape": [40, 33], "dtype": "uint16", "axes": "yx"}
    assert got.metadata.attributes == {"other_series": [other]}
    assert decoded(READABLE["pyramid"]).metadata.attributes == {}


def test_pages_that_imagej_leaves_out_are_counted() -> None:
    content = imwrite(STACK, metadata=None, description="ImageJ=1.11a\nimages=3\nslices=3\n")
    got = decoded(content)
    assert got.payload.shape == (3, 17, 19)
    assert got.metadata.attributes == {"other_pages": 2}


def test_a_palette_gives_its_indices() -> None:
    assert np.array_equal(decoded(READABLE["palette"]).payload, GRAY)


@pytest.mark.parametrize("options", [TiffOptions("deflate", 1), TiffOptions("zstd", 19)])
def test_levels_are_taken(options: TiffOptions) -> None:
    assert np.array_equal(decoded(encoded(STACK, options=options)).payload, STACK)


@pytest.mark.parametrize(
    "options",
    [
        TiffOptions("deflate", 10),
        TiffOptions("zstd", 23),
        TiffOptions("lzw", 1),
        TiffOptions("none", 1),
    ],
)
def test_levels_that_there_are_not_are_refused(options: TiffOptions) -> None:
    refused = TIFF_CODEC.encode(Item("x", GRAY), options)
    assert isinstance(refused.failure(), UnsupportedPayload)


def test_beyond_4_gib_it_is_a_bigtiff() -> None:
    try:
        huge = np.zeros((2**16, 2**16), np.uint8)  # never touched: it takes addresses, no memory
    except MemoryError:
        pytest.skip("this machine gives no addresses away")
    result = TIFF_CODEC.encode(Item("x", huge), None).unwrap()
    head, *_ = result.buffers
    assert bytes(memoryview(head)[:4]) == b"II+\0"
    assert result.nbytes > huge.nbytes
    assert encoded(GRAY)[:4] == b"II*\0"


@pytest.mark.parametrize("codec", ["lerc", "jpegxl", "webp", "png", "jpegxr"])
def test_a_compression_that_is_not_decoded_is_named(codec: str) -> None:
    image = RGB if codec == "webp" else GRAY
    if not getattr(imagecodecs, codec.upper()).available:
        pytest.skip(f"imagecodecs was built without {codec}")
    outcome = TIFF_CODEC.decode(source_of(imwrite(image, compression=codec)), Limits())
    assert not is_successful(outcome)
    assert codec.upper() in outcome.failure().message
