"""Items and what is known of them: values."""

from __future__ import annotations

import pickle
from typing import Any, cast

import numpy as np
import pytest

from polystore import DiskConfig, Event, Item, Metadata, Saved, load, parse_key

METADATA = Metadata(axes=("y", "x"), scale=(0.5, 0.5), attributes={"plate": {"wells": 96}})


def test_metadata_says_what_it_holds() -> None:
    assert METADATA.present() == ("axes", "scale", "attributes")
    assert Metadata().present() == ()


def test_metadata_is_a_value() -> None:
    assert hash(METADATA) == hash(Metadata(axes=("y", "x"), scale=(0.5, 0.5)))
    assert Metadata(attributes={"a": 1}) != Metadata()


def test_an_item_can_have_any_key() -> None:
    assert Item("../x", 1).key == "../x"
    assert parse_key(Item("../x", 1).key).failure().key == "../x"


def test_items_and_what_became_of_them_pickle() -> None:
    disk = DiskConfig(root="/data")
    history = (Event("a.tif", load(disk), 8, "0.1"),)
    for value in (Item("a.tif", [1], METADATA, history), Saved("a.tif", disk, "written", 8)):
        assert pickle.loads(pickle.dumps(value)) == value


def test_metadata_takes_arrays_and_numbers_of_numpy() -> None:
    given = Metadata(axes=["y", "x"], scale=np.array([0.5, 2], np.float32), unit=["µm", "µm"])
    assert given == Metadata(axes=("y", "x"), scale=(0.5, 2.0), unit=("µm", "µm"))
    assert {type(step) for step in given.scale} == {float}
    assert hash(given) == hash(Metadata(axes=("y", "x"), scale=(0.5, 2.0), unit=("µm", "µm")))


@pytest.mark.parametrize("wrong", [None, [1, 2], "abc"])
def test_attributes_are_a_mapping(wrong: object) -> None:
    with pytest.raises(TypeError, match="mapping"):
        Metadata(attributes=cast("Any", wrong))
