from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polystore import (
    InvalidKey,
    InvalidSpec,
    PlateNames,
    ZarrConfig,
    ZarrLayout,
    is_successful,
    load,
)
from polystore.backends.zarr.plates.names import (
    AXES,
    Plane,
    axes_of,
    channel_names,
    checked,
    formatted,
    parsed,
)

TEMPLATE = PlateNames("{row}{column:02}_s{field}_w{channel}.tif")

COUNTED: tuple[str, ...] = ("field", "channel", "z", "t")


@st.composite
def templates(draw: st.DrawFn) -> PlateNames:
    """Templates of any order and separation, some with a name twice; not all are good ones."""
    names = ["row", "column", *draw(st.lists(st.sampled_from(COUNTED), unique=True))]
    names += draw(st.lists(st.sampled_from(names), max_size=2))
    text = draw(st.sampled_from(["", "p", "7", "Channel "]))
    for name in draw(st.permutations(names)):
        text += "{" + name + draw(st.sampled_from(["", ":02", ":03", ":d"])) + "}"
        text += draw(st.sampled_from(["", "_", "0", "s", "A", "-1-", "{{", "/"]))
    numbers = st.integers(0, 2)
    return PlateNames(
        text + ".tif", draw(numbers | st.dictionaries(st.sampled_from(COUNTED), numbers))
    )


def planes() -> st.SearchStrategy[Plane]:
    numbers = st.integers(0, 12) | st.integers(0, 1200)
    rows = st.from_regex(re.compile("[A-Z]{1,2}"), fullmatch=True)
    return st.builds(Plane, rows, numbers, numbers, numbers, numbers, numbers)


@settings(max_examples=200, deadline=None)
@given(templates(), planes())
def test_a_name_that_was_made_is_read_as_it_was_meant(names: PlateNames, plane: Plane) -> None:
    made = formatted(names, plane)
    if is_successful(made):
        assert parsed(names, made.unwrap()).unwrap() == plane
    else:
        assert isinstance(made.failure(), (InvalidKey, InvalidSpec))
        bad_template = isinstance(made.failure(), InvalidSpec)
        assert bad_template != is_successful(checked(names))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_name_that_was_read_is_made_as_it_was(data: st.DataObject) -> None:
    names = data.draw(templates().filter(lambda it: is_successful(checked(it))))
    shape = re.sub(r"\\{row[^}]*\\}", "[A-Z0-9]{1,3}", re.escape(names.template))
    shape = re.sub(r"\\{[a-z]+[^}]*\\}", "[0-9]{1,4}", shape.replace(r"\{\{", "ö"))
    key = data.draw(st.from_regex(re.compile(shape, re.ASCII), fullmatch=True)).replace("ö", "{")
    found = parsed(names, key)
    if is_successful(found):
        assert formatted(names, found.unwrap()).unwrap() == key
    else:
        error = found.failure()
        assert isinstance(error, InvalidKey)
        assert repr(names.template) in error.message
        assert error.key == key


@settings(max_examples=100, deadline=None)
@given(st.text("{}:row column02dz!_.", max_size=24), st.text(max_size=12))
def test_no_template_and_no_name_raises(template: str, key: str) -> None:
    found = parsed(PlateNames(template), key)
    assert is_successful(found) or isinstance(found.failure(), (InvalidKey, InvalidSpec))


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{row}{column}{field}.tif", "'column' and 'field' stand side by side"),
        ("{row}{column}0{field}.tif", "'column' and 'field' stand side by side"),
        ("{row:d}{column}.tif", "'row' and 'column' stand side by side"),
        ("{row}{column}{column}.tif", "'column' and 'column' stand side by side"),
        ("{row}_s{field}.tif", "does not name 'column'"),
        ("{column}.tif", "does not name 'row'"),
        ("{row}{column}_{well}.tif", "'well'"),
        ("{row}{column}_{}.tif", "''"),
        ("{row}{column:2}.tif", "'column' is formatted"),
        ("{row}{column:x}.tif", "'column' is formatted"),
        ("{row!r}{column}.tif", "'row' is formatted"),
        ("{row}{column", "expected '}'"),
        ("{row}{column.real}.tif", "'column.real'"),
    ],
)
def test_what_is_no_template_is_said(template: str, words: str) -> None:
    error = parsed(PlateNames(template), "A01.tif").failure()
    assert isinstance(error, InvalidSpec)
    assert error.where == "names"
    assert words in error.message
    assert formatted(PlateNames(template), Plane("A", 1)).failure() == error


def test_numbers_side_by_side_are_told_apart_by_their_digits() -> None:
    names = PlateNames("{row:02}{column:02}{field:02}{channel}.tif")
    assert parsed(names, "0212051.tif").unwrap() == Plane("B", 12, 4, 0)
    assert isinstance(formatted(names, Plane("B", 112)).failure(), InvalidKey)


@pytest.mark.parametrize(
    "key",
    [
        "A1_s1_w1.tif",  # one digit where the template says two
        "A001_s1_w1.tif",
        "a01_s1_w1.tif",
        "A01_s0_w1.tif",  # counted from 1
        "A01_s01_w1.tif",
        "A+1_s1_w1.tif",
        "A01_s1_w1.TIF",
        "A01_s1_w1.tif\n",
        "AAA01_s1_w1.tif",
        "A\u0660\u0661_s1_w1.tif",  # digits, and not ASCII ones
        "A01_s1_w9999999.tif",
    ],
)
def test_what_the_template_would_not_have_made_is_no_name(key: str) -> None:
    error = parsed(TEMPLATE, key).failure()
    assert isinstance(error, InvalidKey)
    assert TEMPLATE.template in error.message


VITRA = "Channel {channel}-{column:02}-{row}-{column:02}-{field:02}.tif"

HUMAN = "AS_09125_050116030001_{row}{column:02}f{field:02}d{channel}.tif"


@pytest.mark.parametrize(
    ("names", "key", "plane"),
    [
        (PlateNames(VITRA, {"field": 0}), "Channel 2-12-A-12-00.tif", Plane("A", 12, channel=1)),
        (PlateNames(HUMAN, 0), "AS_09125_050116030001_D03f00d2.tif", Plane("D", 3, channel=2)),
        (PlateNames("{row}/{row:02}{column:02}.tif"), "D/0403.tif", Plane("D", 3)),
        (PlateNames("{row}{row}{column}.tif"), "AAAA3.tif", Plane("AA", 3)),
    ],
)
def test_names_of_microscopes_are_read_and_made(names: PlateNames, key: str, plane: Plane) -> None:
    assert parsed(names, key).unwrap() == plane
    assert formatted(names, plane).unwrap() == key


def test_what_a_name_says_twice_must_be_the_same() -> None:
    error = parsed(PlateNames(VITRA, {"field": 0}), "Channel 1-02-A-12-00.tif").failure()
    assert isinstance(error, InvalidKey)
    assert "two values for 'column'" in error.message
    assert "channel, z and t from 1, field from 0" in error.advice
    rows = parsed(PlateNames("{row}/{row:02}{column:02}.tif"), "D/0303.tif").failure()
    assert "two values for 'row'" in rows.message


def test_first_numbers_by_name_are_a_value() -> None:
    names = PlateNames(VITRA, {"z": 2, "field": 0})
    assert names == PlateNames(VITRA, (("field", 0), ("z", 2)))
    assert hash(names) == hash(PlateNames(VITRA, {"field": 0, "z": 2}))


@pytest.mark.parametrize(
    "first",
    [{"feild": 0}, {"column": 0}, {"field": -1}, {"field": True}, (("z", 0), ("z", 1)), -1],
)
def test_first_numbers_that_are_none_are_said(
    tmp_path: Path, first: int | Mapping[str, int] | tuple[tuple[str, int], ...]
) -> None:
    names = PlateNames(VITRA, first)
    plate = ZarrConfig(root=tmp_path / "p.zarr", layout=ZarrLayout.PLATE, names=names)
    error = load(plate)("Channel 1-01-A-01-00.tif").failure()
    assert isinstance(error, InvalidSpec)
    assert error.where == "PlateNames.first"
    assert "field, channel, z, t" in error.message


def test_rows_go_on_after_z() -> None:
    digits = PlateNames("r{row:02}c{column:02}.tif")
    assert parsed(digits, "r27c48.tif").unwrap() == Plane("AA", 48)
    assert parsed(digits, "r32c01.tif").unwrap().row == "AF"
    assert parsed(TEMPLATE, "AF48_s1_w1.tif").unwrap().row == "AF"
    assert isinstance(parsed(digits, "r00c01.tif").failure(), InvalidKey)


@pytest.mark.parametrize("plane", [Plane("A", 1, z=1), Plane("a", 1), Plane("A", -1), Plane("", 1)])
def test_a_plane_that_has_no_name_is_refused(plane: Plane) -> None:
    error = formatted(TEMPLATE, plane).failure()
    assert isinstance(error, InvalidKey)
    assert TEMPLATE.template in error.message


def test_axes_are_those_of_the_names_in_the_order_of_ome_zarr() -> None:
    names = PlateNames("{z}_{channel}_{row}{column}.tif")
    assert axes_of(names).unwrap() == ("c", "z", "y", "x")
    assert AXES == ("t", "c", "z")
    assert axes_of(PlateNames("{row}{column}.tif")).unwrap() == ("y", "x")


@pytest.mark.parametrize(
    ("template", "first", "expected"),
    [
        ("{row}{column}_w{channel}.tif", 1, ("w1", "w2")),
        ("Channel {channel}-{row}{column}.tif", 0, ("Channel 0", "Channel 1")),
        ("{channel}-{row}{column}.tif", 1, ("c1", "c2")),
        ("{row}{column}f{field}d{channel}.tif", {"channel": 0}, ("d0", "d1")),
        (VITRA, {"field": 0}, ("Channel 1", "Channel 2")),
    ],
)
def test_channels_are_called_as_in_the_names(
    template: str, first: int | Mapping[str, int], expected: tuple[str, ...]
) -> None:
    assert channel_names(PlateNames(template, first), 2) == expected
