"""`polystore preview`: which part is read, in which colours, and what has no picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from commands_typed import NAMES, here, typed, write_planes, write_stack
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from polystore import (
    PNG,
    ArraySpec,
    DiskConfig,
    HostArray,
    Json,
    LazyArray,
    Metadata,
    Success,
    load,
    write,
)
from polystore.cli.projection import Shown, drawn, shown_of
from polystore.core.payload import Region

__all__ = ["here"]

pytestmark = pytest.mark.usefixtures("here")

Capsys = pytest.CaptureFixture[str]


def picture(path: str) -> HostArray:
    return load(DiskConfig(root="."), format=PNG)(path).unwrap().payload


def test_an_image_is_as_large_as_asked_and_in_colours(capsys: Capsys) -> None:
    write_stack()
    typed(capsys, "copy", "stack.ome.tif", "a.zarr", "--layout", "image")
    said = typed(capsys, "preview", "a.zarr", "a.png", "--size", "120")
    assert (said.status, said.out) == (0, "a.png: 80 x 120 pixels, of a.zarr/1\n")
    pixels = picture("a.png")
    assert pixels.shape == (120, 80, 3)
    assert pixels[..., 2].max() == 0  # two channels: red and green
    assert pixels[..., :2].max() > 200
    assert typed(capsys, "preview", "a.zarr", "b.png").out.startswith("b.png: 200 x 300 pixels")


def test_the_resolution_that_is_read_is_the_coarsest_that_is_large_enough(capsys: Capsys) -> None:
    write_stack()
    typed(capsys, "copy", "stack.ome.tif", "a.zarr", "--layout", "image")
    for path in Path("a.zarr/0").rglob("*"):
        if path.is_file() and path.name != "zarr.json":
            path.write_bytes(b"not to be read")
    assert typed(capsys, "preview", "a.zarr", "a.png", "--size", "150").status == 0
    assert typed(capsys, "preview", "a.zarr", "b.png", "--size", "151").status == 2


def test_a_plate_is_a_sheet_of_its_wells(capsys: Capsys) -> None:
    write_planes()
    typed(capsys, "copy", "tiffs", "p.zarr", "--layout", "plate", "--names", NAMES)
    said = typed(capsys, "preview", "p.zarr", "p.png", "--size", "256")
    assert (said.status, "the first field of 4 wells" in said.out) == (0, True)
    assert said.out.splitlines()[1:] == ["  1 A/1/0  2 A/2/0", "  3 B/1/0  4 B/2/0"]
    assert max(picture("p.png").shape) <= 256
    said = typed(capsys, "preview", "tiffs", "t.png")
    assert (said.status, "a sheet of 16 images" in said.out) == (0, True)
    assert "  1 A01_s1_w1.tif  2 A01_s1_w2.tif  3 " in said.out


def test_a_picture_is_not_replaced_unless_told(capsys: Capsys) -> None:
    np.save("a.npy", np.eye(8))
    assert typed(capsys, "preview", "a.npy", "a.png").status == 0
    assert typed(capsys, "preview", "a.npy", "a.png").status == 1
    assert typed(capsys, "preview", "a.npy", "a.png", "--if-exists", "replace").status == 0


@pytest.mark.parametrize("array", [np.arange(3), np.zeros(()), np.zeros((0, 4)), np.array([["a"]])])
def test_what_is_no_image_is_said(capsys: Capsys, array: HostArray) -> None:
    np.save("a.npy", array)
    said = typed(capsys, "preview", "a.npy", "a.png")
    assert said.status == 2
    assert "no picture" in said.err
    assert not Path("a.png").exists()


def test_neither_is_a_text_or_another_format(capsys: Capsys) -> None:
    write("a.json", {"a": 1}).unwrap()
    assert "no picture" in typed(capsys, "preview", "a.json", "a.png").err
    np.save("a.npy", np.eye(8))
    assert typed(capsys, "preview", "a.npy", "a.jpg").status == 2


shapes = npst.array_shapes(min_dims=2, max_dims=5, max_side=7)


@given(
    npst.arrays(st.sampled_from(["u1", "i2", "f4", "c8", "?"]), shapes),
    st.integers(1, 10),
    st.booleans(),
)
def test_every_array_of_numbers_has_a_picture_of_that_size(
    array: HostArray, size: int, lazily: bool
) -> None:
    def read(region: Region) -> Success[HostArray]:
        return Success(array[region])

    spec = ArraySpec(array.shape, str(array.dtype), (), array.shape)
    payload = LazyArray(spec, read) if lazily else array
    pixels = drawn(payload, (), Shown(), size).unwrap()
    assert pixels.dtype == np.uint8
    assert pixels.shape[2] == 3
    assert max(pixels.shape[:2]) <= max(size, 1)
    assert np.array_equal(pixels, drawn(array, (), Shown(), size).unwrap())


def test_a_picture_of_pixels_as_they_are_is_these() -> None:
    image = np.random.default_rng(0).integers(0, 255, (9, 11, 3), np.uint8)
    assert np.array_equal(drawn(image, ("y", "x", "c"), Shown(), 11).unwrap(), image)
    assert np.array_equal(drawn(image, (), Shown(), 20).unwrap(), image)


def test_channels_have_the_colours_and_windows_that_the_image_says() -> None:
    channels: list[Json] = [
        {"color": "0000FF", "window": {"start": 0, "end": 100}},
        {"color": "FF0000", "window": {"start": 0, "end": 200}, "active": False},
        {"color": "00FF00", "window": {"start": 100, "end": 200}},
    ]
    image = np.zeros((3, 4, 4), "u2")
    image[0, 0, 0], image[1, 0, 1], image[2, 0, 2], image[2, 0, 3] = 50, 200, 150, 999
    pixels = drawn(image, ("c", "y", "x"), shown_of({"channels": channels}), 4).unwrap()
    assert pixels[0].tolist() == [[0, 0, 128], [0, 0, 0], [0, 128, 0], [0, 255, 0]]


WRONG: list[dict[str, Json]] = [
    {"channels": 3},
    {"channels": [None, {"color": "zz", "window": "wide"}]},
    {"rdefs": {"defaultZ": -1}},
]


@pytest.mark.parametrize("omero", WRONG)
def test_settings_that_are_wrong_are_left_out(omero: dict[str, Json]) -> None:
    shown = shown_of(omero)
    image = np.arange(50).reshape(2, 5, 5)
    assert drawn(image, ("c", "y", "x"), shown, 5).unwrap().shape == (5, 5, 3)


def test_z_is_in_the_middle_and_time_at_its_beginning() -> None:
    image = np.zeros((3, 5, 4, 4), "u1")
    image[0, 2] = np.arange(16).reshape(4, 4)
    image[2, 0] = 99
    pixels = drawn(image, ("t", "z", "y", "x"), Shown(), 4).unwrap()
    assert pixels.max() == 255


def test_a_large_plane_is_read_in_bands() -> None:
    asked: list[int] = []

    def read(region: Region) -> Success[HostArray]:
        asked.append(region[0].stop - region[0].start)
        return Success(np.zeros((asked[-1], 4_000), np.uint8))

    array = LazyArray(ArraySpec((40_000, 4_000), "uint8", ("y", "x"), (512, 512)), read)
    assert drawn(array, ("y", "x"), Shown(), 100).unwrap().shape == (100, 10, 3)
    assert sum(asked) == 40_000
    assert max(asked) * 4_000 * 8 <= 2**25


def test_metadata_without_axes_means_the_last_two(capsys: Capsys) -> None:
    write("a.zarr", np.arange(48).reshape(3, 4, 4), metadata=Metadata()).unwrap()
    assert typed(capsys, "preview", "a.zarr", "a.png").status == 0
    assert picture("a.png").shape == (4, 4, 3)
