from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from plate_writers import (
    CYX,
    NAMES,
    WELLS,
    assert_listed,
    document,
    field,
    listed_fields,
    plate_at,
    save_fields,
    side_by_side,
)
from zarr_processes import at_operation, in_fork, kill, run

from polystore import (
    AlreadyExists,
    Corrupt,
    DiskConfig,
    InvalidKey,
    Item,
    NotAFile,
    NotFound,
    OmeOptions,
    UnsupportedOperation,
    ZarrConfig,
    ZarrLayout,
    copy,
    delete,
    delete_tree,
    is_successful,
    list_dir,
    list_files,
    load,
    move,
    save,
    stat,
)

FIELDS = ["A/1/0", "A/1/1", "A/2/0", "B/1/0", "B/1/10", "B/1/2"]


def test_fields_are_images_and_are_listed(tmp_path: Path) -> None:
    plate = plate_at(tmp_path)
    save_fields(plate, FIELDS)
    assert_listed(plate, FIELDS)
    assert list_files(plate).unwrap() == (
        "A/1/0",
        "A/1/1",
        "A/2/0",
        "B/1/0",
        "B/1/2",
        "B/1/10",
    )
    found = document(plate)["plate"]
    assert found == {
        "version": "0.5",
        "name": "plate",
        "rows": [{"name": "A"}, {"name": "B"}],
        "columns": [{"name": "1"}, {"name": "2"}],
        "wells": [
            {"path": "A/1", "rowIndex": 0, "columnIndex": 0},
            {"path": "A/2", "rowIndex": 0, "columnIndex": 1},
            {"path": "B/1", "rowIndex": 1, "columnIndex": 0},
        ],
        "field_count": 3,
    }
    assert document(plate, "B/1")["well"] == {
        "version": "0.5",
        "images": [{"path": "0"}, {"path": "2"}, {"path": "10"}],
    }
    assert list_dir(plate, "A/1").unwrap() == ("A/1/0", "A/1/1")
    assert stat(plate, "A/1").unwrap().kind == "folder"
    assert stat(plate, "A/1/0").unwrap().kind == "file"
    lazy = load(plate, lazy=True)("A/1/0").unwrap().payload
    part = lazy.read((slice(1, 2), slice(0, 5), slice(0, 31))).unwrap()
    np.testing.assert_array_equal(part, field("A/1/0")[1:2, :5])


def test_a_plate_of_version_0_4_has_its_metadata_beside(tmp_path: Path) -> None:
    plate = ZarrConfig(
        root=tmp_path / "p.zarr", layout=ZarrLayout.PLATE, ome=OmeOptions(version="0.4")
    )
    save_fields(plate, ["A/1/0", "B/2/0"])
    root = json.loads((Path(plate.root) / ".zattrs").read_text())
    assert root["plate"]["version"] == "0.4"
    assert [well["path"] for well in root["plate"]["wells"]] == ["A/1", "B/2"]
    well = json.loads((Path(plate.root) / "B/2/.zattrs").read_text())
    assert well == {"well": {"version": "0.4", "images": [{"path": "0"}]}}
    np.testing.assert_array_equal(load(plate)("B/2/0").unwrap().payload, field("B/2/0"))


@pytest.mark.parametrize(
    "key", ["a.tif", "A", "A/1", "A/1/0/1", "A/1/0/labels", "A/1/0/labels/a/b", "A-/1/0", "A/1/ö"]
)
def test_only_fields_and_labels_are_saved(tmp_path: Path, key: str) -> None:
    plate = plate_at(tmp_path)
    error = save(plate)(Item(key, field("x"), CYX)).failure()
    assert isinstance(error, InvalidKey)
    assert "row/column/field" in error.advice
    assert not Path(plate.root).exists()


def test_keys_that_are_read_say_what_they_are(tmp_path: Path) -> None:
    plate = plate_at(tmp_path)
    save_fields(plate, ["A/1/0"])
    assert isinstance(load(plate)("A01.tif").failure(), InvalidKey)
    assert isinstance(load(plate)("A/1").failure(), NotAFile)
    assert isinstance(load(plate)("A/2/0").failure(), NotFound)
    assert isinstance(save(plate)(Item("A/1/0", field("x"), CYX)).failure(), AlreadyExists)
    level = load(plate)("A/1/0/0").unwrap()
    np.testing.assert_array_equal(level.payload, field("A/1/0"))


def test_labels_are_below_their_field(tmp_path: Path) -> None:
    plate = plate_at(tmp_path)
    save_fields(plate, ["A/1/0"])
    nuclei = (field("A/1/0") > 9).astype(np.uint8)
    save(plate)(Item("A/1/0/labels/nuclei", nuclei, CYX)).unwrap()
    assert list_files(plate).unwrap() == ("A/1/0",)
    assert list_files(plate, folder="A/1/0/labels").unwrap() == ("A/1/0/labels/nuclei",)
    np.testing.assert_array_equal(load(plate)("A/1/0/labels/nuclei").unwrap().payload, nuclei)
    assert listed_fields(plate) == {"A/1/0"}
    delete(plate, "A/1/0/labels/nuclei").unwrap()
    assert list_files(plate, folder="A/1/0/labels").unwrap() == ()


def test_what_is_deleted_is_not_listed(tmp_path: Path) -> None:
    plate = plate_at(tmp_path)
    save_fields(plate, FIELDS)
    left = set(FIELDS)
    for key in ("B/1/10", "A/2/0", "A/1/0", "A/1/1"):
        delete(plate, key).unwrap()
        left.discard(key)
        assert listed_fields(plate) == left == set(list_files(plate).unwrap())
    found = document(plate)["plate"]
    assert isinstance(found, dict)
    assert (found["rows"], found["columns"]) == ([{"name": "B"}], [{"name": "1"}])
    assert found["field_count"] == 2
    assert isinstance(delete(plate, "A/1/0").failure(), NotFound)
    delete_tree(plate, "B").unwrap()
    assert document(plate) == {}


def test_a_field_moves_to_another_place_on_the_plate(tmp_path: Path) -> None:
    plate = plate_at(tmp_path)
    save_fields(plate, ["A/1/0", "A/1/1"])
    move(plate, "A/1/0", new_key="C/3/7").unwrap()
    assert listed_fields(plate) == {"C/3/7", "A/1/1"}
    np.testing.assert_array_equal(load(plate)("C/3/7").unwrap().payload, field("A/1/0"))
    assert isinstance(move(plate, "C/3/7", new_key="A/1/1").failure(), AlreadyExists)
    assert isinstance(move(plate, "C/3/7", new_key="x.tif").failure(), InvalidKey)
    assert isinstance(move(plate, "C/4/7", new_key="C/3/8").failure(), NotFound)
    assert listed_fields(plate) == {"C/3/7", "A/1/1"}


def test_a_field_is_copied_to_another_plate_and_listed(tmp_path: Path) -> None:
    plate, other = plate_at(tmp_path), plate_at(tmp_path / "other")
    save_fields(plate, ["A/1/0"])
    copy(plate, "A/1/0", to=other).unwrap()
    assert_listed(other, ["A/1/0"])
    copy(plate, "A/1/0", to=plate, new_key="A/1/1").unwrap()
    assert listed_fields(plate) == {"A/1/0", "A/1/1"}


def test_a_skipped_field_that_nobody_listed_is_listed(tmp_path: Path) -> None:
    plate = plate_at(tmp_path)
    images = ZarrConfig(root=plate.root, layout=ZarrLayout.IMAGE)
    save_fields(images, ["A/1/0"])
    saved = save(plate, if_exists="skip")(Item("A/1/0", field("A/1/0"), CYX)).unwrap()
    assert saved.status == "skipped"
    assert_listed(plate, ["A/1/0"])


def test_a_plate_in_a_store_of_objects_lists_what_is_there(tmp_path: Path) -> None:
    objects = DiskConfig(root=tmp_path)
    plate = ZarrConfig(root="plate.zarr", store=objects, layout=ZarrLayout.PLATE)
    images = ZarrConfig(root="plate.zarr", store=objects, layout=ZarrLayout.IMAGE)
    on_disk = plate_at(tmp_path)
    save_fields(plate, ["A/1/0", "B/1/0"])
    os.utime(tmp_path / "plate.zarr/A/zarr.json", ns=(0, 0))
    save_fields(plate, ["A/1/1"])
    save_fields(images, ["A/5/0", "C/7/1"])
    save_fields(plate, ["B/2/0"])
    there = {"A/1/0", "A/1/1", "A/5/0", "B/1/0", "B/2/0", "C/7/1"}
    assert listed_fields(on_disk) == there == set(list_files(plate).unwrap())
    delete(plate, "B/1/0").unwrap()
    assert listed_fields(on_disk) == there - {"B/1/0"}
    by_names = evolve(plate, root="names.zarr", names=NAMES)
    refused = save(by_names)(Item("A01_s1_w1.tif", field("x")[0])).failure()
    assert isinstance(refused, UnsupportedOperation)
    assert not (tmp_path / "names.zarr").exists()


def test_a_row_of_which_all_was_listed_is_looked_at_again_once_it_changes(tmp_path: Path) -> None:
    plate = plate_at(tmp_path)
    images = ZarrConfig(root=plate.root, layout=ZarrLayout.IMAGE)
    save_fields(plate, ["A/1/0"])
    os.utime(Path(plate.root) / "A", ns=(0, 0))  # a change long ago is one that is over
    save_fields(plate, ["B/1/0"])
    noted = json.loads((Path(plate.root) / "zarr.json").read_text())["attributes"]["polystore"]
    assert list(noted["rows"]) == ["A"]
    save_fields(images, ["A/5/0", "C/7/1"])
    save_fields(plate, ["B/2/0"])
    assert listed_fields(plate) == {"A/1/0", "A/5/0", "B/1/0", "B/2/0", "C/7/1"}


def test_damaged_metadata_of_a_plate_is_left_as_it_is(tmp_path: Path) -> None:
    plate = plate_at(tmp_path)
    save_fields(plate, ["A/1/0"])
    path = Path(plate.root) / "zarr.json"
    text = path.read_text().replace('"rowIndex": 0', '"rowIndex": 5')
    path.write_text(text)
    error = save(plate)(Item("B/1/0", field("B/1/0"), CYX)).failure()
    assert isinstance(error, Corrupt)
    assert path.read_text() == text
    assert list_files(plate).unwrap() == ("A/1/0",)
    assert is_successful(load(plate)("A/1/0"))


def test_what_others_say_of_a_plate_stays(tmp_path: Path) -> None:
    plate = plate_at(tmp_path)
    save_fields(plate, ["A/1/0"])
    path = Path(plate.root) / "zarr.json"
    text = json.loads(path.read_text())
    text["attributes"]["theirs"] = [1]
    text["attributes"]["ome"]["plate"]["acquisitions"] = [{"id": 7}]
    text["attributes"]["ome"]["plate"]["rows"].append({"name": "H"})
    path.write_text(json.dumps(text))
    save_fields(plate, ["A/2/0"])
    delete(plate, "A/1/0").unwrap()
    after = json.loads(path.read_text())["attributes"]
    assert after["theirs"] == [1]
    assert after["ome"]["plate"]["acquisitions"] == [{"id": 7}]
    assert after["ome"]["plate"]["rows"] == [{"name": "A"}, {"name": "H"}]


@settings(max_examples=12, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.sampled_from(FIELDS)), max_size=12))
def test_the_lists_are_what_is_there(
    tmp_path_factory: pytest.TempPathFactory, acts: list[tuple[bool, str]]
) -> None:
    plate = plate_at(tmp_path_factory.mktemp("plate"))
    there: set[str] = set()
    save_fields(plate, ["H/12/0"])
    for saves, key in acts:
        if saves:
            save(plate, if_exists="replace")(Item(key, field(key), CYX)).unwrap()
            there.add(key)
        else:
            assert is_successful(delete(plate, key)) == (key in there)
            there.discard(key)
        assert listed_fields(plate) == {*there, "H/12/0"}


def test_six_processes_add_all_wells_of_a_new_plate(tmp_path: Path) -> None:
    plate = plate_at(tmp_path)
    keys = [f"{well}/0" for well in WELLS[::4]]
    acknowledged = side_by_side(plate, [keys[part::6] for part in range(6)])
    assert set(acknowledged) == set(keys)
    assert_listed(plate, keys)
    assert listed_fields(plate) == set(keys)


def _save_until_killed(plate: ZarrConfig, number: int) -> None:
    at_operation(number, kill)
    save_fields(plate, ["B/2/0"])


def _killed_ever_later(base: Path) -> None:
    save_fields(plate_at(base / "warm"), ["A/1/0"])
    number, unlisted = 1, 0
    while True:
        plate = plate_at(base / str(number))
        save_fields(plate, ["A/1/0"])
        status = in_fork(partial(_save_until_killed, plate, number))
        there = set(list_files(plate).unwrap())
        assert listed_fields(plate) <= there
        unlisted += listed_fields(plate) != there
        for key in there:
            np.testing.assert_array_equal(load(plate)(key).unwrap().payload, field(key))
        save_fields(plate, ["C/3/0"])
        assert listed_fields(plate) == {*there, "C/3/0"} == set(list_files(plate).unwrap())
        if status == 0:
            break
        number += 7
    assert number > 50
    assert unlisted


def test_what_a_killed_writer_left_is_whole_and_listed_by_the_next(tmp_path: Path) -> None:
    run(_killed_ever_later, tmp_path)
