from __future__ import annotations

import json
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polystore import Corrupt, UnsupportedOperation, is_successful
from polystore.backends.zarr.plates.metadata import (
    Plate,
    Version,
    Well,
    plate_in,
    well_in,
    with_plate,
    with_well,
)

VERSIONS: tuple[Version, ...] = ("0.5", "0.4")
ROWS = [*"ABCDEFGHIJKLMNOPQRSTUVWXYZ", "AA", "AB", "AF"]


def wells() -> st.SearchStrategy[list[str]]:
    each = st.tuples(st.sampled_from(ROWS), st.integers(1, 48)).map(lambda it: f"{it[0]}/{it[1]}")
    return st.lists(each, unique=True, min_size=1, max_size=20)


def sent(attributes: dict[str, object]) -> dict[str, object]:
    return cast("dict[str, object]", json.loads(json.dumps(attributes)))


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(VERSIONS), wells(), st.integers(1, 9))
def test_a_plate_is_read_as_it_was_written(version: Version, all_: list[str], count: int) -> None:
    plate = Plate().grown(all_, count)
    attributes = sent(with_plate({"theirs": 1}, plate, version))
    found = plate_in(attributes).unwrap()
    assert found is not None
    assert (found.rows, found.columns, found.wells) == (plate.rows, plate.columns, plate.wells)
    assert found.field_count == count
    assert found.others == {"version": version}
    assert attributes["theirs"] == 1
    assert sent(with_plate(attributes, found, version)) == attributes


@settings(max_examples=100, deadline=None)
@given(st.lists(wells(), min_size=1, max_size=4))
def test_wells_come_in_any_order_to_the_same_plate(parts: list[list[str]]) -> None:
    by_parts = Plate()
    for part in parts:
        by_parts = by_parts.grown(part, 1)
    at_once = Plate().grown([well for part in parts for well in part], 1)
    assert by_parts == at_once
    assert list(at_once.rows) == [row for row in ROWS if row in at_once.rows]
    assert list(at_once.columns) == sorted(at_once.columns, key=int)
    assert list(at_once.wells) == sorted(
        at_once.wells, key=lambda it: (ROWS.index(it.split("/")[0]), int(it.split("/")[1]))
    )


@settings(max_examples=100, deadline=None)
@given(wells(), wells())
def test_a_plate_without_what_came_is_what_it_was(before: list[str], more: list[str]) -> None:
    plate = Plate().grown(before, 1)
    new = [well for well in more if well not in before]
    assert plate.grown(new, 1).without(new) == plate


def test_rows_that_others_listed_without_wells_stay() -> None:
    theirs = Plate(rows=("A", "B", "C"), columns=("1", "2"), wells=("A/1",))
    both = theirs.grown(["B/2"], 1).without(["B/2"])
    assert both.rows == ("A", "C")
    assert theirs.grown(["A/2"], 1).without(["A/2"]).rows == ("A", "B", "C")


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(VERSIONS),
    st.lists(st.from_regex("[a-zA-Z0-9]{1,3}", fullmatch=True), unique=True, min_size=1),
)
def test_a_well_is_read_as_it_was_written(version: Version, fields: list[str]) -> None:
    attributes = sent(with_well({}, Well().of(fields), version))
    found = well_in(attributes).unwrap()
    assert found is not None
    assert set(found.fields) == set(fields)
    assert sent(with_well(attributes, found, version)) == attributes


def test_what_others_say_of_a_field_stays_with_it() -> None:
    image = {"path": "0", "acquisition": 3}
    attributes = {"ome": {"version": "0.5", "well": {"images": [image], "theirs": True}}}
    found = well_in(attributes).unwrap()
    assert found is not None
    again = with_well(attributes, found.of(["1", "0"]), "0.5")
    well = cast("dict[str, dict[str, object]]", again["ome"])["well"]
    assert well["images"] == [image, {"path": "1"}]
    assert well["theirs"] is True
    assert with_well(again, found.of([]), "0.5") == {"ome": {"version": "0.5"}} or "ome" not in (
        with_well(again, found.of([]), "0.5")
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_nothing_is_left_of_a_plate_or_well_that_is_empty(version: Version) -> None:
    plate = with_plate({"theirs": 1}, Plate().grown(["A/1"], 1), version)
    assert with_plate(plate, Plate(), version) == {"theirs": 1}
    well = with_well({"theirs": 1}, Well().of("0"), version)
    assert with_well(well, Well(), version) == {"theirs": 1}
    assert with_well({"theirs": 1}, Well(), version) == {"theirs": 1}


def test_what_stands_beside_a_plate_under_ome_stays() -> None:
    attributes = {"ome": {"version": "0.5", "bioformats2raw.layout": 3}}
    plate = with_plate(attributes, Plate().grown(["A/1"], 1), "0.4")
    assert "plate" in cast("dict[str, object]", plate["ome"])
    assert with_plate(plate, Plate(), "0.4") == attributes


def _plate(**changes: object) -> dict[str, object]:
    plate: dict[str, object] = {
        "version": "0.4",
        "rows": [{"name": "A"}, {"name": "B"}],
        "columns": [{"name": "1"}],
        "wells": [{"path": "B/1", "rowIndex": 1, "columnIndex": 0}],
    }
    return {"plate": {**plate, **changes}}


def test_a_plate_of_others_is_read() -> None:
    found = plate_in(_plate(acquisitions=[{"id": 1}])).unwrap()
    assert found is not None
    assert found.wells == ("B/1",)
    assert found.others["acquisitions"] == [{"id": 1}]
    older = plate_in(_plate(version="0.1", wells=[{"path": "B/1"}])).unwrap()
    assert older is not None
    assert older.wells == ("B/1",)


@pytest.mark.parametrize(
    "attributes",
    [
        {"plate": 1},
        {"ome": []},
        {"ome": {"version": "0.5", "plate": "A"}},
        _plate(rows=[{"name": "A"}]),
        _plate(rows=[{"name": "A"}, {"name": "A"}]),
        _plate(rows=["A", "B"]),
        _plate(rows=[{"name": "A-"}, {"name": "B"}]),
        _plate(rows=[{"name": "A/1"}, {"name": "B"}]),
        _plate(rows=[{"title": "A"}]),
        _plate(rows=None),
        _plate(columns={"name": "1"}),
        _plate(wells=[{"path": "B/1", "rowIndex": 0, "columnIndex": 0}]),
        _plate(wells=[{"path": "B/1"}, {"path": "B/1"}]),
        _plate(wells=[{"path": "../1"}]),
        _plate(wells=[{"path": "B"}]),
        _plate(wells=[7]),
        _plate(field_count=0),
        _plate(field_count="4"),
    ],
)
def test_a_plate_that_contradicts_itself_is_corrupt(attributes: dict[str, object]) -> None:
    assert isinstance(plate_in(attributes).failure(), Corrupt)


@pytest.mark.parametrize(
    "well", [1, {}, {"images": 1}, {"images": ["0"]}, {"images": [{"path": "0"}, {"path": "0"}]}]
)
def test_a_well_that_is_none_is_corrupt(well: object) -> None:
    assert isinstance(well_in({"well": well}).failure(), Corrupt)


@pytest.mark.parametrize("version", ["0.6", 5, None, [], "1.0"])
def test_a_version_that_is_not_known_is_said(version: object) -> None:
    assert isinstance(plate_in(_plate(version=version)).failure(), UnsupportedOperation)
    assert not is_successful(well_in({"ome": {"version": version, "well": {"images": []}}}))
