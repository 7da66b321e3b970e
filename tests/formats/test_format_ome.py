"""OME-TIFF: what other programs see in ours, what is seen in theirs, and what OME cannot hold."""

from __future__ import annotations

import io
from typing import Any
from xml.etree.ElementTree import Element, fromstring

import numpy as np
import pytest
import tifffile
from bytes_source import joined, source_of
from numpy.typing import NDArray
from test_format_tiff import decoded, imwrite

from polystore.configs import OME_TIFF, TiffOptions
from polystore.core.errors import UnsupportedPayload
from polystore.core.item import Item, Metadata
from polystore.core.records import Limits
from polystore.formats.tiff import OME_TIFF_CODEC

STACK: NDArray[Any] = np.arange(2 * 3 * 4 * 5 * 6).reshape(2, 3, 4, 5, 6)
KNOWN = Metadata(
    axes=("t", "c", "z", "y", "x"),
    scale=(250.0, 1.0, 0.7, 0.1, 1 / 3),
    unit=("millisecond", "", "micrometer", "nanometer", "angstrom"),
    channel_names=("DAPI", "<GFP>", "\N{GREEK SMALL LETTER ALPHA} & \u03b2"),
    attributes={"well": "A01"},
)


def written(array: NDArray[Any], metadata: Metadata = Metadata(), options: object = None) -> bytes:
    return joined(OME_TIFF_CODEC.encode(Item("x", array, metadata), options).unwrap())


def pixels_of(xml: str) -> Element:
    root = fromstring(xml)  # noqa: S314 - our own
    return next(each for each in root.iter() if each.tag.endswith("Pixels"))


@pytest.mark.parametrize("compression", ["none", "deflate", "lzw", "packbits", "zstd"])
def test_others_see_what_is_known(compression: Any) -> None:  # noqa: ANN401 - a literal
    array = STACK.astype(np.uint16)
    content = written(array, KNOWN, TiffOptions(compression))
    with tifffile.TiffFile(io.BytesIO(content)) as tif:
        assert tif.is_ome
        assert (tif.series[0].axes, tif.series[0].shape) == ("TCZYX", array.shape)
        assert np.array_equal(tif.asarray(), array)
        xml = tif.ome_metadata or ""
    pixels = pixels_of(xml)
    assert pixels.get("DimensionOrder") == "XYZCT"
    assert pixels.get("Type") == "uint16"
    assert [pixels.get(f"Size{axis}") for axis in "XYZCT"] == ["6", "5", "4", "3", "2"]
    steps = {axis: pixels.get(f"PhysicalSize{axis}") for axis in "XYZ"}
    assert steps == {"X": repr(1 / 3), "Y": "0.1", "Z": "0.7"}
    units = [pixels.get(f"PhysicalSize{axis}Unit") for axis in "XYZ"]
    assert units == ["\u00c5", "nm", "\u00b5m"]
    assert (pixels.get("TimeIncrement"), pixels.get("TimeIncrementUnit")) == ("250.0", "ms")
    names = [each.get("Name") for each in pixels if each.tag.endswith("Channel")]
    assert tuple(names) == KNOWN.channel_names


def test_what_ome_says_itself_is_not_noted() -> None:
    known = Metadata(axes=KNOWN.axes, scale=KNOWN.scale, unit=KNOWN.unit)
    content = written(STACK.astype(np.int32), known)
    assert b"Annotation" not in content
    assert decoded(content).metadata == known


@pytest.mark.parametrize(
    ("axes", "order"),
    [("tzcyx", "XYCZT"), ("zctyx", "XYTCZ"), ("cyx", "XYCZT"), ("tyx", "XYTZC"), ("yx", "XYZCT")],
)
def test_planes_may_come_in_any_order(axes: str, order: str) -> None:
    shape = (2, 3, 4, 5, 6)[-len(axes) :]
    array = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    content = written(array, Metadata(axes=tuple(axes)))
    with tifffile.TiffFile(io.BytesIO(content)) as tif:
        assert tif.series[0].axes == axes.upper()
        assert pixels_of(tif.ome_metadata or "").get("DimensionOrder") == order
        assert np.array_equal(tif.asarray(), array)
    got = decoded(content)
    assert np.array_equal(got.payload, array)
    assert got.metadata == Metadata(axes=tuple(axes))


def test_samples_are_one_channel() -> None:
    array = np.arange(2 * 5 * 6 * 3, dtype=np.uint8).reshape(2, 5, 6, 3)
    known = Metadata(axes=("z", "y", "x", "c"), channel_names=("red", "green", "blue"))
    content = written(array, known)
    with tifffile.TiffFile(io.BytesIO(content)) as tif:
        assert (tif.series[0].axes, tif.pages.first.samplesperpixel) == ("ZYXS", 3)
        pixels = pixels_of(tif.ome_metadata or "")
    channels = [each for each in pixels if each.tag.endswith("Channel")]
    assert [each.get("SamplesPerPixel") for each in channels] == ["3"]
    assert (pixels.get("SizeC"), pixels.get("DimensionOrder")) == ("3", "XYCZT")
    got = decoded(content)
    assert np.array_equal(got.payload, array)
    assert got.metadata == known


BIO_FORMATS = """<?xml version="1.0" encoding="UTF-8"?>
<!-- Warning: this comment is an OME-XML metadata block -->
<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"
 UUID="urn:uuid:0"><Instrument ID="Instrument:0"/><Image ID="Image:0" Name="a.nd2">
<Pixels BigEndian="false" DimensionOrder="XYCZT" ID="Pixels:0" PhysicalSizeX="0.325"
 PhysicalSizeXUnit="&#181;m" PhysicalSizeY="0.325" PhysicalSizeZ="300" PhysicalSizeZUnit="nm"
 SizeC="2" SizeT="1" SizeX="19" SizeY="17" SizeZ="3" Type="uint16" TimeIncrement="0.5">
<Channel Color="-1" ID="Channel:0:0" Name="DAPI" SamplesPerPixel="1"><LightPath/></Channel>
<Channel ID="Channel:0:1" SamplesPerPixel="1"/>
{planes}</Pixels></Image></OME>"""


def bio_formats(xml: str = BIO_FORMATS) -> tuple[bytes, NDArray[Any]]:
    array = np.arange(6 * 17 * 19, dtype=np.uint16).reshape(3, 2, 17, 19)
    planes = "".join(
        f'<TiffData FirstC="{plane % 2}" FirstT="0" FirstZ="{plane // 2}" IFD="{plane}" '
        'PlaneCount="1"><UUID FileName="a.ome.tif">urn:uuid:0</UUID></TiffData>'
        for plane in range(6)
    )
    text = xml.replace("{planes}", planes)
    return imwrite(array, metadata=None, photometric="minisblack", description=text.encode()), array


def test_what_bio_formats_writes_is_read() -> None:
    content, array = bio_formats()
    got = decoded(content)
    assert np.array_equal(got.payload, array)
    assert got.metadata == Metadata(
        axes=("z", "c", "y", "x"),
        scale=(300.0, 1.0, 0.325, 0.325),
        unit=("nanometer", "", "micrometer", "micrometer"),
        channel_names=("DAPI", ""),
    )


@pytest.mark.parametrize(
    ("old", "new", "unit"),
    [
        ('"nm"', '"furlong"', "furlong"),
        ('"nm"', '"reference frame"', ""),
        ('"nm"', '"\u00c5"', "angstrom"),
        ('"nm"', '"\u03bcm"', "micrometer"),  # the Greek letter
    ],
)
def test_units_have_their_names_in_ome_zarr(old: str, new: str, unit: str) -> None:
    content, _ = bio_formats(BIO_FORMATS.replace(old, new))
    assert decoded(content).metadata.unit[0] == unit


def test_what_tifffile_writes_is_read() -> None:
    array = STACK[0].astype(np.float32)
    told = {
        "axes": "CZYX",
        "Channel": {"Name": ["a", "b", "c"]},
        "PhysicalSizeX": 0.25,
        "PhysicalSizeXUnit": "mm",
    }
    got = decoded(imwrite(array, ome=True, metadata=told))
    assert np.array_equal(got.payload, array)
    assert got.metadata == Metadata(
        axes=("c", "z", "y", "x"),
        scale=(1.0, 1.0, 1.0, 0.25),
        unit=("", "", "", "millimeter"),
        channel_names=("a", "b", "c"),
    )


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (b'"0.7"', b'"0.9"', {"scale": (250.0, 1.0, 0.9, 0.1), "unit": KNOWN.unit[:4]}),
        (b'Name="DAPI"', b'Name="HOEC"', {"channel_names": ("HOEC", "b")}),
        (b'"XYZCT"', b'"XYCZT"', {"axes": ("t", "z", "c", "y")}),
    ],
)
def test_what_another_program_changed_counts(
    old: bytes, new: bytes, expected: dict[str, object]
) -> None:
    """The note beside it tells an axis x of length 1, units that OME lacks, and attributes."""
    array = np.arange(2 * 2 * 2 * 5, dtype=np.uint8).reshape(2, 2, 2, 5, 1)
    known = Metadata(
        axes=("t", "c", "z", "y", "x"),
        scale=(250.0, 1.0, 0.7, 0.1, 0.5),
        unit=("millisecond", "", "micrometer", "nanometer", "parrot"),
        channel_names=("DAPI", "b"),
        attributes={"well": "A01"},
    )
    content = written(array, known)
    got = decoded(content)
    assert got.metadata == known
    changed = decoded(content.replace(old, new)).metadata
    assert changed.attributes == known.attributes
    for name, value in expected.items():
        kept = getattr(changed, name)
        assert kept[: len(value)] == value  # type: ignore[arg-type]
    if "scale" in expected or "axes" in expected:
        assert "parrot" not in changed.unit
    else:
        assert (changed.scale, changed.unit) == (known.scale, known.unit)


def test_a_changed_order_of_planes_counts() -> None:
    array = np.arange(2 * 2 * 5 * 6, dtype=np.uint8).reshape(2, 1, 2, 5, 6)
    known = Metadata(axes=KNOWN.axes, attributes={"well": "A01"})
    content = written(array, known)
    assert decoded(content).metadata == known
    changed = decoded(content.replace(b'"XYZCT"', b'"XYTCZ"'))
    assert changed.metadata == Metadata(axes=("z", "t", "y", "x"), attributes={"well": "A01"})
    assert changed.payload.shape == (2, 2, 5, 6)


@pytest.mark.parametrize(
    ("array", "axes", "words"),
    [
        (np.zeros((4, 5), np.int64), (), "dtype"),
        (np.zeros((4, 5), np.float16), (), "dtype"),
        (np.zeros(5, np.uint8), (), "axes"),
        (np.zeros((2,) * 6, np.uint8), (), "axes"),
        (np.zeros((4, 5), np.uint8), ("x", "y"), "axes"),
        (np.zeros((3, 4, 5), np.uint8), ("p", "y", "x"), "axes"),
        (np.zeros((3, 4, 5), np.uint8), ("time", "y", "x"), "axes"),
        (np.zeros((3, 4, 5, 2), np.uint8), ("c", "y", "x", "c"), "axes"),
        (np.zeros((3, 4, 2), np.bool_), ("y", "x", "c"), "axes"),
        (np.zeros((3, 0), np.uint8), ("y", "x"), "empty"),
    ],
)
def test_what_ome_cannot_hold_is_refused(
    array: NDArray[Any], axes: tuple[str, ...], words: str
) -> None:
    error = OME_TIFF_CODEC.encode(Item("x", array, Metadata(axes=axes)), None).failure()
    assert isinstance(error, UnsupportedPayload)
    assert error.message.startswith("OME-TIFF")
    assert words in error.message


def test_its_options_have_no_kind() -> None:
    refused = OME_TIFF_CODEC.encode(
        Item("x", STACK.astype(np.uint8)), TiffOptions(kind="imagej")
    ).failure()
    assert isinstance(refused, UnsupportedPayload)


def test_any_tiff_is_read_under_its_suffix() -> None:
    assert OME_TIFF_CODEC.format == OME_TIFF
    content = imwrite(STACK[0, 0].astype(np.uint8), photometric="minisblack")
    got = OME_TIFF_CODEC.decode(source_of(content), Limits()).unwrap()
    assert np.array_equal(got.payload, STACK[0, 0])


def test_the_same_item_makes_the_same_bytes() -> None:
    array = STACK.astype(np.uint16)
    assert written(array, KNOWN) == written(array, KNOWN)
