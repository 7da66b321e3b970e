"""ImageJ's words in a TIFF: what tifffile reads of ours, and what is read of ImageJ's own."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import tifffile
from bytes_source import joined, source_of
from numpy.typing import NDArray
from test_format_tiff import decoded, imwrite

from polystore.configs import TiffOptions
from polystore.core.errors import UnsupportedPayload
from polystore.core.item import Item, Metadata
from polystore.core.records import Limits, Readable
from polystore.formats.tiff import TIFF_CODEC

STACK: NDArray[Any] = np.arange(2 * 3 * 4 * 5 * 6, dtype=np.uint16).reshape(2, 3, 4, 5, 6)
KNOWN = Metadata(
    axes=("t", "z", "c", "y", "x"),
    scale=(250.0, 700.0, 1.0, 0.1, 1 / 3),
    unit=("millisecond", "nanometer", "", "micrometer", "micrometer"),
    channel_names=("DAPI", "", "a=b\nc", "\u00b5"),
    attributes={"path": "C:\\users", "well": "\u00fc"},
)
ROUNDED = (0.25, 0.7, 1.0, 0.1, 1 / 3)


def written(array: NDArray[Any], metadata: Metadata = Metadata(), options: object = None) -> bytes:
    return joined(TIFF_CODEC.encode(Item("x", array, metadata), options).unwrap())


def kind_of(content: bytes) -> str:
    with tifffile.TiffFile(io.BytesIO(content)) as tif:
        return tif.series[0].kind


def test_others_see_what_is_known() -> None:
    content = written(STACK, KNOWN)
    with tifffile.TiffFile(io.BytesIO(content)) as tif:
        assert (tif.series[0].kind, tif.series[0].axes) == ("imagej", "TZCYX")
        assert np.array_equal(tif.asarray(), STACK)
        told: dict[str, Any] = tif.imagej_metadata or {}
        x, y = (tif.pages.first.tags.valueof(code) for code in (282, 283))
        assert tif.pages.first.tags.valueof(296) == 1
    assert (x, y) == ((3, 1), (10, 1))
    assert {key: told[key] for key in ("images", "channels", "slices", "frames")} == {
        "images": 24,
        "channels": 4,
        "slices": 3,
        "frames": 2,
    }
    assert (told["unit"], told["spacing"], told["finterval"]) == ("micron", 0.7, 0.25)
    assert told["hyperstack"] is True
    assert told["Labels"] == [*KNOWN.channel_names] * 6
    assert decoded(content).metadata == KNOWN


@pytest.mark.parametrize(
    ("dtype", "shape", "axes", "unit", "kind"),
    [
        ("u1", (4, 5), "yx", "micrometer", "imagej"),
        (">u2", (4, 5), "yx", "micrometer", "imagej"),
        ("f4", (4, 5), "yx", "furlong", "imagej"),
        ("u1", (4, 5), "yx", "", "shaped"),  # there is nothing to tell
        ("u1", (4, 5), "yx", "second", "shaped"),
        ("u1", (3, 4, 5), "zyx", "", "imagej"),
        ("u1", (4, 5, 3), "yxc", "micrometer", "imagej"),
        ("u1", (2, 4, 5, 3), "tyxc", "", "imagej"),
        ("u2", (4, 5, 3), "yxc", "micrometer", "shaped"),
        ("u1", (4, 5, 4), "yxc", "micrometer", "shaped"),
        ("i2", (4, 5), "yx", "micrometer", "shaped"),
        ("f8", (4, 5), "yx", "micrometer", "shaped"),
        ("u1", (2, 3, 4, 5), "czyx", "micrometer", "shaped"),  # another order
        ("u1", (3, 4, 5), "pyx", "micrometer", "shaped"),
    ],
)
def test_imagej_is_told_where_it_can_be(
    dtype: str, shape: tuple[int, ...], axes: str, unit: str, kind: str
) -> None:
    array = np.arange(np.prod(shape)).astype(dtype).reshape(shape)
    known = Metadata(axes=tuple(axes), scale=(0.5,) * len(axes), unit=(unit,) * len(axes))
    content = written(array, known)
    assert kind_of(content) == kind
    got = decoded(content)
    assert np.array_equal(got.payload, array)
    assert got.metadata == known
    assert kind_of(written(array, known, TiffOptions(kind="plain"))) == "shaped"
    forced = TIFF_CODEC.encode(Item("x", array, known), TiffOptions(kind="imagej"))
    holds = dtype in ("u1", ">u2", "f4") and axes in ("yx", "zyx")
    assert kind == "imagej" or holds or isinstance(forced.failure(), UnsupportedPayload)


def test_what_imagej_cannot_unpack_is_plain() -> None:
    assert kind_of(written(STACK, KNOWN, TiffOptions("zstd"))) == "shaped"
    refused = TIFF_CODEC.encode(Item("x", STACK, KNOWN), TiffOptions("zstd", kind="imagej"))
    assert isinstance(refused.failure(), UnsupportedPayload)
    assert kind_of(written(STACK, KNOWN, TiffOptions("deflate"))) == "imagej"


def test_without_axes_only_a_wish_makes_it_imagejs() -> None:
    assert kind_of(written(STACK)) == "shaped"
    content = written(STACK, options=TiffOptions(kind="imagej"))
    assert kind_of(content) == "imagej"
    assert decoded(content).metadata == Metadata()


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (b"spacing=0.7", b"spacing=0.9", {"scale": (0.25, 0.9, 1.0, 0.1, 1 / 3)}),
        (b"unit=micron", b"unit=micran", {"scale": ROUNDED}),
        (b"finterval=0.25", b"finterval=0.75", {"scale": (0.75, *ROUNDED[1:])}),
        (b"D\0A\0P\0I\0", b"d\0a\0p\0i\0", {"scale": KNOWN.scale}),
        (b"slices=3\nframes=2", b"frames=3\nslices=2", {}),  # the size of a step is the same
        (b"polystore={", b"polystore=[", {"scale": ROUNDED, "attributes": {}}),
    ],
)
def test_what_another_program_changed_counts(
    old: bytes, new: bytes, expected: dict[str, object]
) -> None:
    content = written(STACK, KNOWN)
    assert old in content
    got = decoded(content.replace(old, new)).metadata
    assert got.axes == KNOWN.axes
    for name, value in ({"attributes": KNOWN.attributes} | expected).items():
        assert getattr(got, name) == value, name


def test_a_changed_label_of_one_channel_counts() -> None:
    known = Metadata(axes=("y", "x"), channel_names=("DAPI",))
    content = written(STACK[0, 0, 0], known)
    assert decoded(content).metadata == known
    changed = content.replace("DAPI".encode("utf-16-le"), "file".encode("utf-16-le"))
    assert decoded(changed).metadata == Metadata(axes=("y", "x"))


@pytest.mark.parametrize("step", [0.0123456789, 123.456, 1 / 3, 1e-8, 2e8])
def test_resolution_is_as_near_as_two_integers_are(step: float) -> None:
    known = Metadata(axes=("y", "x"), scale=(step, step), unit=("inch", "inch"))
    content = written(STACK[0, 0, 0], known)
    with tifffile.TiffFile(io.BytesIO(content)) as tif:
        pixels, units = tif.pages.first.tags.valueof(282)
    assert units / pixels == pytest.approx(step, rel=1e-8)
    assert decoded(content).metadata == known


TEXT = "ImageJ=1.53t\nimages={planes}\nchannels={channels}\nslices={slices}\nhyperstack=true\n"


def of_imagej(channels: int, slices: int, labels: list[str] | None, more: str = "") -> bytes:
    array = np.arange(channels * slices * 20, dtype=np.uint8).reshape(-1, 4, 5)
    text = TEXT.format(planes=len(array), channels=channels, slices=slices) + more
    tags = tifffile.tifffile.imagej_metadata_tag({"Labels": labels} if labels else {}, ">")
    return imwrite(
        array,
        metadata=None,
        photometric="minisblack",
        description=text,
        byteorder=">",
        extratags=list(tags),
        resolution=((2, 1), (4, 1)),
        resolutionunit=1,
    )


@pytest.mark.parametrize(
    ("channels", "slices", "labels", "names"),
    [
        (2, 3, ["a", "b"] * 3, ("a", "b")),
        (2, 3, ["a", "b"], ("a", "b")),
        (2, 3, ["1", "2", "3", "4", "5", "6"], ()),  # of slices
        (2, 3, ["", ""] * 3, ()),
        (2, 3, ["a"], ()),
        (1, 3, ["a"] * 3, ()),
        (1, 1, ["a.tif"], ()),  # of a file
        (2, 3, None, ()),
    ],
)
def test_labels_are_names_where_they_agree(
    channels: int, slices: int, labels: list[str] | None, names: tuple[str, ...]
) -> None:
    got = decoded(of_imagej(channels, slices, labels))
    assert got.metadata.channel_names == names


def test_units_and_intervals_of_imagej_are_read() -> None:
    more = "unit=\\u00B5m\nspacing=2\nfinterval=3.5\ntunit=min\n"
    got = decoded(of_imagej(1, 3, None, more)).metadata
    assert got == Metadata(axes=("z", "y", "x"), scale=(2.0, 0.25, 0.5), unit=("micrometer",) * 3)
    frames = of_imagej(1, 3, None, more).replace(b"slices=3", b"frames=3")
    got = decoded(frames).metadata
    assert (got.axes[0], got.scale[0], got.unit[0]) == ("t", 3.5, "minute")


def huge() -> NDArray[Any]:
    try:
        return np.zeros((9, 2**15, 2**14), np.uint8)  # never touched: it takes no memory
    except MemoryError:
        pytest.skip("this machine gives no addresses away")


def test_beyond_4_gib_imagej_has_one_directory() -> None:
    array = huge()
    known = Metadata(axes=("t", "y", "x"), scale=(2.0, 1.0, 1.0), unit=("second", "", ""))
    plain = TIFF_CODEC.encode(Item("x", array, known), None).unwrap()
    assert bytes(memoryview(next(iter(plain.buffers)))[:4]) == b"II+\0"
    options = TiffOptions(kind="imagej")
    encoded = TIFF_CODEC.encode(Item("x", array, known), options).unwrap()
    buffers = [memoryview(buffer) for buffer in encoded.buffers]
    (place,) = (number for number, buffer in enumerate(buffers) if len(buffer) == array.nbytes)
    assert np.shares_memory(np.asarray(buffers[place]), array)
    head = b"".join(map(bytes, buffers[:place]))
    assert head[:4] == b"II*\0"
    assert sum(map(len, buffers[place + 1 :])) < 2**10

    def read_into(offset: int, buffer: memoryview, /) -> int:
        buffer[:] = head[offset : offset + len(buffer)].ljust(len(buffer), b"\0")
        return len(buffer)

    assert TIFF_CODEC.open is not None
    source = Readable(encoded.nbytes, read_into, lambda: None)
    got = TIFF_CODEC.open(source, Limits()).unwrap()
    assert got.payload.spec.shape == array.shape
    assert got.metadata == known
    region = (slice(8, 9), slice(-2, None), slice(None))
    assert not got.payload.read(region).unwrap().any()
    refused = TIFF_CODEC.encode(Item("x", array, known), TiffOptions("lzw", kind="imagej"))
    assert isinstance(refused.failure(), UnsupportedPayload)


def test_planes_that_java_cannot_hold_are_plain() -> None:
    array = np.broadcast_to(np.uint8(0), (2**16, 2**15))
    refused = TIFF_CODEC.encode(
        Item("x", array, Metadata(axes=("y", "x"))), TiffOptions(kind="imagej")
    )
    assert "2**31" in refused.failure().message


def test_labels_lie_in_the_byte_order_of_the_file() -> None:
    for order in "<>":
        array = STACK.astype(f"{order}u2")
        got = TIFF_CODEC.decode(source_of(written(array, KNOWN)), Limits()).unwrap()
        assert got.metadata == KNOWN
        assert np.array_equal(got.payload, STACK)
