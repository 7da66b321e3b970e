"""Plates by the names that microscopes give their files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from plate_writers import listed_fields, plane, plate_at, save_planes

from polystore import (
    TIFF,
    DiskConfig,
    InvalidKey,
    PlateNames,
    collect,
    compose,
    list_files,
    load,
    save,
)

REAL = Path(__file__).parents[3] / "shared" / "data" / "cellprofiler"

VITRA, HUMAN = REAL / "vitra", REAL / "human"

VITRA_NAMES = PlateNames(
    "Channel {channel}-{column:02}-{row}-{column:02}-{field:02}.tif", first={"field": 0}
)

HUMAN_NAMES = PlateNames("AS_09125_050116030001_{row}{column:02}f{field:02}d{channel}.tif", first=0)


@pytest.mark.parametrize(
    ("names", "keys", "field"),
    [
        (VITRA_NAMES, [f"Channel {it}-12-A-12-00.tif" for it in (1, 2)], "A/12/0"),
        (HUMAN_NAMES, [f"AS_09125_050116030001_D03f00d{it}.tif" for it in range(3)], "D/3/0"),
    ],
)
def test_the_names_of_microscopes_are_keys(
    tmp_path: Path, names: PlateNames, keys: list[str], field: str
) -> None:
    plate = plate_at(tmp_path, names)
    save_planes(plate, keys)
    assert list_files(plate).unwrap() == tuple(keys)
    assert listed_fields(plate) == {field}
    for key in keys:
        np.testing.assert_array_equal(load(plate)(key).unwrap().payload, plane(key))
    two = load(plate)("Channel 1-02-A-12-00.tif")
    assert isinstance(two.failure(), InvalidKey)


@pytest.mark.parametrize(
    ("folder", "names", "fields", "channels"),
    [
        (VITRA, VITRA_NAMES, ("A/1/0", "A/12/0"), ("Channel 1", "Channel 2")),
        (HUMAN, HUMAN_NAMES, ("D/3/0",), ("d0", "d1", "d2")),
    ],
)
def test_the_files_of_a_real_plate_come_back(
    tmp_path: Path,
    folder: Path,
    names: PlateNames,
    fields: tuple[str, ...],
    channels: tuple[str, ...],
) -> None:
    if not folder.is_dir():
        pytest.skip("the images of others are not here")
    disk, plate = DiskConfig(root=folder), plate_at(tmp_path, names)
    keys = list_files(disk).unwrap()
    assert not collect(compose(load(disk, format=TIFF), save(plate)).map(keys)).errors
    assert list_files(plate).unwrap() == keys
    assert listed_fields(plate) == set(fields)
    back = DiskConfig(root=tmp_path / "out")
    assert not collect(compose(load(plate), save(back)).map(keys)).errors
    for key in keys:
        first, again = load(disk)(key).unwrap(), load(back)(key).unwrap()
        np.testing.assert_array_equal(first.payload, again.payload)
    for field in fields:
        image = load(plate_at(tmp_path))(field).unwrap()
        assert len(image.payload) == len(channels)
        assert image.metadata.channel_names == channels
