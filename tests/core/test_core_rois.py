"""Regions are values: equal by what they say, whatever they were made from."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from attrs.exceptions import FrozenInstanceError

from polystore.core.rois import (
    Ellipse,
    Line,
    Mask,
    Points,
    Polygon,
    Polyline,
    Position,
    Rectangle,
    Roi,
    Rois,
    Shape,
)

SHAPES = [
    *(Polygon([(0, 1), (2, 3.5)]), Polyline([(0, 1), (2, 3.5)]), Points([(0, 1), (2, 3.5)])),
    *(Rectangle(0, 1, 2, 3.5), Ellipse(0, 1, 2, 3.5), Line((0, 1), (2, 3.5))),
    *(Points([(0, 1)], counters=[3]), Points([(0, 1)], slices=[0]), Mask([[1, 0], [1, 1]], 2, 3)),
]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: type(shape).__name__)
def test_shapes_are_values(shape: Shape) -> None:
    region = Rois([Roi("a", shape, Position(c=1))])
    for other in (copy.deepcopy(region), pickle.loads(pickle.dumps(region))):
        assert other == region
        assert hash(other) == hash(region)
    assert [it for it in SHAPES if it == shape] == [shape]
    with pytest.raises(FrozenInstanceError):
        region.regions[0].name = "b"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]  # that is what is tried


def test_arrays_lists_and_tuples_make_the_same_points() -> None:
    expected = Polygon(((0.0, 1.0), (2.0, 3.5)))
    assert Polygon(np.array([[0, 1], [2, 3.5]])) == expected
    assert Polygon([[0, 1], [2, 3.5]]) == expected
    assert all(type(it) is float for point in expected.points for it in point)


def test_points_have_a_y_and_an_x() -> None:
    with pytest.raises(ValueError, match="unpack"):
        Polygon([(1, 2, 3)])


def test_numbers_of_numpy_become_pythons() -> None:
    assert type(Rectangle(np.float32(1), np.int64(2), 3, 4).top) is float
    assert type(Position(z=np.int64(3)).z) is int
    assert Position(z=np.int64(3)) == Position(z=3)


def test_a_mask_does_not_change_with_the_array_that_made_it() -> None:
    array = np.array([[True, False]])
    mask = Mask(array)
    array[0, 1] = True
    assert mask == Mask([[1, 0]])
    with pytest.raises(ValueError, match="read-only"):
        mask.pixels[0, 0] = False
    with pytest.raises(ValueError, match="read-only"):
        pickle.loads(pickle.dumps(mask)).pixels[0, 0] = False


def test_masks_differ_by_place_shape_and_pixels() -> None:
    masks = [Mask([[1, 0]]), Mask([[1, 0]], top=1), Mask([[1, 0]], left=1), Mask([[1], [0]])]
    masks += [Mask([[0, 1]]), Mask([[1, 0, 0]])]
    assert len(set(masks)) == len(masks)
    assert Mask([[1, 0]]) != "mask"


def test_a_mask_of_a_strided_array_is_its_elements() -> None:
    array = np.eye(4, dtype=np.uint8)[::-2, ::2] * 7
    assert Mask(array) == Mask(array.copy() != 0)


def test_counters_that_say_nothing_are_empty() -> None:
    assert Points([(0, 0), (1, 1)], [0, 0], [None, None]) == Points([(0, 0), (1, 1)])
