"""The contact sheet shows every image that can be shown, in its place, at full contrast."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from polystore import HostArray
from polystore.cli.sheet import (
    BACKGROUND,
    GAP,
    SHEET_WIDTH_MAX,
    Layout,
    contact_sheet,
    layout_for,
    thumbnail,
)

dtypes: st.SearchStrategy[np.dtype[np.generic]] = st.one_of(
    npst.boolean_dtypes(),
    npst.integer_dtypes(endianness="?"),
    npst.unsigned_integer_dtypes(endianness="?"),
    npst.floating_dtypes(endianness="?", sizes=(16, 32, 64)),
    npst.complex_number_dtypes(endianness="?"),
)
shapes = npst.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=9)


@given(npst.arrays(dtypes, shapes), st.integers(1, 40))
def test_any_numbers_with_pixels_give_a_picture(image: HostArray, side: int) -> None:
    picture = thumbnail(image, side)
    if image.size == 0:
        assert picture is None
    else:
        assert picture is not None
        assert picture.dtype == np.uint8
        assert picture.shape[2:] == (3,)
        assert max(picture.shape[:2]) == side


@pytest.mark.parametrize("image", [np.array(["a"]), np.array([object()]), np.zeros(2, "f4,i2")])
def test_what_holds_no_numbers_gives_none(image: HostArray) -> None:
    assert thumbnail(image, 8) is None


@given(st.integers(1, 50), st.integers(1, 50), st.integers(1, 40))
def test_the_proportions_stay(height: int, width: int, side: int) -> None:
    picture = thumbnail(np.zeros((height, width)), side)
    assert picture is not None
    scale = side / max(height, width)
    assert abs(picture.shape[0] - height * scale) < 1
    assert abs(picture.shape[1] - width * scale) < 1


@given(npst.arrays(npst.unsigned_integer_dtypes(), (7, 11), unique=True), st.integers(2, 30))
def test_the_contrast_is_full_whatever_the_range(image: HostArray, side: int) -> None:
    picture = thumbnail(image, side)
    assert picture is not None
    assert (picture.min(), picture.max()) == (0, 255)


def test_bright_is_bright_and_dark_is_dark() -> None:
    image = np.full((100, 60), 1000, "u2")
    image[:50, :30] = 3000
    picture = thumbnail(image, 50)
    assert picture is not None
    assert (picture[:25, :15] == 255).all()
    assert not picture[25:].any()
    assert not picture[:, 15:].any()


def test_pixels_are_averaged_not_picked() -> None:
    checks = np.indices((64, 64)).sum(axis=0) % 2
    checks[:8], checks[-8:] = 0, 1
    picture = thumbnail(checks, 32)
    assert picture is not None
    assert (picture[4:-4] == 128).all()


@given(st.integers(1, 50), st.integers(1, 50), st.integers(1, 40), st.integers(0, 255))
def test_an_even_image_stays_even(height: int, width: int, side: int, value: int) -> None:
    picture = thumbnail(np.full((height, width), value, "u1"), side)
    assert picture is not None
    assert picture.min() == picture.max()


def test_what_is_not_finite_is_black_and_spoils_nothing_else() -> None:
    image = np.array([[np.nan, 1.0], [np.inf, 2.0]])
    picture = thumbnail(image, 2)
    assert picture is not None
    assert picture[..., 0].tolist() == [[0, 0], [0, 255]]


def test_colours_are_kept_and_alpha_is_left_out() -> None:
    image = np.zeros((8, 8, 4), "u1")
    image[..., 0], image[4:, :, 2], image[..., 3] = 200, 100, 255
    picture = thumbnail(image, 8)
    assert picture is not None
    assert picture[0, 0].tolist() == [255, 0, 0]
    assert picture[7, 7].tolist() == [255, 0, 128]


def test_a_stack_shows_its_middle_plane() -> None:
    stack = np.zeros((3, 5, 8, 8), "u1")
    stack[1, 2, :4] = 9
    picture = thumbnail(stack, 8)
    assert picture is not None
    assert (picture[:4] == 255).all()
    assert not picture[4:].any()


@given(st.integers(0, 5000))
def test_the_sheet_has_a_bounded_size(count: int) -> None:
    layout = layout_for(count)
    assert layout.shown <= layout.columns * layout.columns
    assert GAP + layout.columns * (layout.side + GAP) <= SHEET_WIDTH_MAX


@settings(max_examples=20)
@given(st.integers(1, 30))
def test_every_tile_is_in_its_cell(count: int) -> None:
    layout = Layout(columns=4, side=60, shown=count)
    tiles = [np.full((60, 60, 3), i + 100, "u1") for i in range(count)]
    sheet = contact_sheet(tiles, layout)
    for i in range(count):
        top, left = GAP + i // 4 * 66, GAP + i % 4 * 66
        assert (sheet[top + 30 : top + 60, left : left + 60] == i + 100).all()
        assert (sheet[top - GAP : top, left : left + 60] == BACKGROUND).all()


def test_cells_are_numbered_each_differently() -> None:
    layout = layout_for(120)
    sheet = contact_sheet([np.zeros((layout.side,) * 2 + (3,), "u1")] * 120, layout)
    pitch = layout.side + GAP
    corners = {
        sheet[
            GAP + i // layout.columns * pitch : GAP + i // layout.columns * pitch + 14,
            GAP + i % layout.columns * pitch : GAP + i % layout.columns * pitch + 30,
        ].tobytes()
        for i in range(120)
    }
    assert len(corners) == 120


def test_an_image_without_a_picture_is_crossed_out() -> None:
    sheet = contact_sheet([None, np.zeros((50, 50, 3), "u1")], Layout(2, 50, 2))
    crossed, black = sheet[6:56, 6:56], sheet[6:56, 62:112]
    assert (crossed[25] != crossed[25, 0]).any()
    assert not black[25].any()
