"""An array of which parts were saved later is not what the pipeline made that saved it first."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from polystore import (
    AlreadyExists,
    DiskConfig,
    Item,
    ZarrConfig,
    compose,
    convert,
    load,
    rename,
    save,
)
from polystore.core.outcome import is_successful

ARRAY = np.arange(64).reshape(8, 8)


@pytest.fixture
def disk(tmp_path: Path) -> DiskConfig:
    disk = DiskConfig(root=tmp_path)
    save(disk)(Item("a.npy", ARRAY)).unwrap()
    return disk


def test_a_part_that_was_saved_is_noted_once_and_not_skipped(disk: DiskConfig) -> None:
    zarr = ZarrConfig(root=Path(disk.root) / "z", chunks=(2, 2))
    document = Path(disk.root) / "z" / "x" / "zarr.json"
    pipeline = compose(load(disk), convert(to="numpy"), rename("x"), save(zarr, if_exists="skip"))
    pipeline("a.npy").unwrap()
    assert pipeline("a.npy").unwrap().status == "skipped"
    before = document.read_bytes()
    wrong = save(zarr, region=[(0, 9), (0, 2)])(Item("x", np.zeros((9, 2), int)))
    assert not is_successful(wrong)
    assert document.read_bytes() == before
    save(zarr, region=[(0, 4), (0, 4)])(Item("x", np.zeros((4, 4), int))).unwrap()
    noted = document.stat()
    save(zarr, region=[(4, 6), (0, 2)])(Item("x", np.zeros((2, 2), int))).unwrap()
    after = document.stat()
    assert (noted.st_mtime_ns, noted.st_size) == (after.st_mtime_ns, after.st_size)
    again = pipeline("a.npy").failure()
    assert isinstance(again, AlreadyExists)
    assert "save_region" in again.message
    item = load(zarr)("x").unwrap()
    assert [event.step for event in item.history].count({"save_region": {}}) == 1
    assert np.array_equal(np.asarray(item.payload)[4:, 2:], ARRAY[4:, 2:])
    assert not np.any(np.asarray(item.payload)[:4, :4])


def test_nothing_is_noted_where_nothing_says_how_it_was_made(disk: DiskConfig) -> None:
    zarr = ZarrConfig(root=Path(disk.root) / "z", chunks=(2, 2))
    save(zarr)(Item("x", ARRAY)).unwrap()
    document = Path(disk.root) / "z" / "x" / "zarr.json"
    before = document.read_bytes()
    save(zarr, region=[(0, 2), (0, 2)])(Item("x", np.zeros((2, 2), int))).unwrap()
    assert document.read_bytes() == before


def test_parts_that_are_saved_side_by_side_are_all_there_and_noted_once(disk: DiskConfig) -> None:
    zarr = ZarrConfig(root=Path(disk.root) / "z", chunks=(2, 2))
    compose(load(disk), convert(to="numpy"), rename("x"), save(zarr))("a.npy").unwrap()

    def saved(number: int) -> bool:
        row, column = divmod(number, 4)
        region = [(2 * row, 2 * row + 2), (2 * column, 2 * column + 2)]
        part = np.full((2, 2), number)
        return is_successful(save(zarr, region=region)(Item("x", part)))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(saved, range(16)))
    item = load(zarr)("x").unwrap()
    assert [event.step for event in item.history].count({"save_region": {}}) == 1
    wanted = np.arange(16).reshape(4, 4).repeat(2, 0).repeat(2, 1)
    assert np.array_equal(np.asarray(item.payload), wanted)
