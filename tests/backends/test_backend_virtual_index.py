"""What an index of a virtual item may be: it is made plain, or refused, when the item is made."""

from __future__ import annotations

from typing import cast

import pytest

from polystore import DiskConfig, Place, VirtualConfig, VirtualItem

PLACE = Place(DiskConfig(root="/data"), "stack.tif")


@pytest.mark.parametrize(
    "index",
    [(True,), ("0",), "0", ((0, 1, 2),), (None,), None, 1.5, slice(None), slice(0, 4, 2)],
    ids=repr,
)
def test_what_is_no_index_is_a_type_error_when_it_is_made(index: object) -> None:
    with pytest.raises(TypeError, match="is no index of a VirtualItem"):
        VirtualItem(PLACE, cast("tuple[int]", index))


def test_a_slice_is_a_pair_and_a_part_may_stand_alone() -> None:
    assert VirtualItem(PLACE, (slice(0, 2), slice(3))).index == ((0, 2), (0, 3))
    assert VirtualItem(PLACE, slice(1, 2, 1)).index == ((1, 2),)
    assert VirtualItem(PLACE, 1) == VirtualItem(PLACE, (1,))


def test_a_config_with_slices_is_hashed() -> None:
    views = VirtualConfig({"a": VirtualItem(PLACE, (0, slice(1, 3)))})
    assert hash(views) == hash(VirtualConfig({"a": VirtualItem(PLACE, (0, (1, 3)))}))
