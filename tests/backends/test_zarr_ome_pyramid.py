"""Halving an image: against the definition, in plain NumPy and with exact numbers."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from polystore.backends.zarr.ome.pyramid import (
    Downsampling,
    factors,
    halved,
    halved_shape,
    level_count,
)
from polystore.core.payload import HostArray

INTEGERS = ["?", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", ">u2", ">i8"]
FLOATS = ["f2", "f4", "f8", ">f4"]
SHAPES = hnp.array_shapes(min_dims=2, max_dims=4, min_side=1, max_side=7)


def fours(image: HostArray) -> list[list[float]]:
    """Give, for each pixel of the halved image, those that it is made of, as Python's numbers."""
    row, column = factors(image.shape)[-2:]
    return [
        plane[y : y + row, x : x + column].ravel().tolist()
        for plane in image.reshape(-1, *image.shape[-2:])
        for y in range(0, plane.shape[0], row)
        for x in range(0, plane.shape[1], column)
    ]


def images(dtypes: list[str]) -> st.SearchStrategy[HostArray]:
    return st.sampled_from(dtypes).flatmap(lambda it: hnp.arrays(np.dtype(it), SHAPES))


@given(images(INTEGERS))
def test_the_mean_of_integers_is_exact_and_its_halves_go_up(image: HostArray) -> None:
    exact = [
        math.floor(Fraction(sum(map(int, four)), len(four)) + Fraction(1, 2))
        for four in fours(image)
    ]
    made = halved(image, "mean")
    assert made.shape == halved_shape(image.shape)
    assert made.dtype == image.dtype.newbyteorder("=")
    assert list(map(int, made.ravel().tolist())) == exact


@given(images(FLOATS))
def test_the_mean_of_floats_is_in_their_own_precision(image: HostArray) -> None:
    made = halved(image, "mean")
    assert made.dtype == image.dtype.newbyteorder("=")
    wide = np.longdouble
    smallest = float(np.finfo(made.dtype).smallest_subnormal)
    for found, four in zip(made.ravel().tolist(), fours(image), strict=True):
        with np.errstate(all="ignore"):
            pixels = np.array(four, wide)
            mean = pixels.mean()
            room = 4 * np.abs(pixels).max() * np.finfo(made.dtype).eps + 4 * smallest
        if np.isfinite(mean):
            assert abs(wide(found) - mean) <= room, (four, found)
        else:
            assert np.array_equal(wide(found), mean, equal_nan=True), (four, found)


@given(images([*INTEGERS, *FLOATS]))
def test_nearest_is_the_first_of_each_four(image: HostArray) -> None:
    made = halved(image, "nearest")
    assert made.shape == halved_shape(image.shape)
    first = [four[0] for four in fours(image)]
    assert np.array_equal(
        made.ravel(), np.array(first, made.dtype), equal_nan=made.dtype.kind == "f"
    )


@pytest.mark.parametrize("how", ["mean", "nearest"])
@pytest.mark.parametrize("dtype", ["u2", "f4", "u8"])
def test_bands_of_a_plane_are_halved_like_the_plane(how: Downsampling, dtype: str) -> None:
    plane = np.random.default_rng(5).integers(0, 60000, (1201, 1031)).astype(dtype)
    whole = halved(plane, how)
    for first in range(0, 1201, 400):
        part = halved(plane[first : first + 400], how)
        assert np.array_equal(part, whole[first // 2 : first // 2 + len(part)])


def test_what_is_halved_is_not_shared_and_its_source_may_lie_in_any_order() -> None:
    image = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)
    turned = image.transpose(2, 1, 0)
    assert np.array_equal(halved(turned, "mean"), halved(turned.copy(), "mean"))
    one = np.ones((1, 1), np.uint16)
    for how in ("mean", "nearest"):
        assert not np.shares_memory(halved(one, how), one)


@settings(max_examples=200)
@given(SHAPES, st.one_of(st.none(), st.integers(1, 9)))
def test_there_are_as_many_levels_as_wanted_and_no_more_than_halving_gives(
    shape: tuple[int, ...], wanted: int | None
) -> None:
    count = level_count(shape, wanted)
    shapes = [shape]
    while shapes[-1] != halved_shape(shapes[-1]):
        shapes.append(halved_shape(shapes[-1]))
    assert count == (1 if wanted is None else min(wanted, len(shapes)))


def test_nobody_says_how_many_levels() -> None:
    assert [level_count((1, n), None) for n in (256, 257, 512, 513, 2160)] == [1, 2, 2, 3, 5]
