"""Verification sees every bit: what differs in Zarr is found, and what is the same is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from polystore import (
    NPY,
    Corrupt,
    DiskConfig,
    HostArray,
    Item,
    NotFound,
    ZarrConfig,
    compose,
    is_successful,
    load,
    save,
)
from polystore.cli.demo import row_of
from polystore.cli.readback import difference, read_back

numbers = st.one_of(
    npst.boolean_dtypes(),
    npst.integer_dtypes(endianness="?"),
    npst.floating_dtypes(endianness="?"),
    npst.complex_number_dtypes(endianness="?"),
)
arrays = npst.arrays(numbers, npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))


@given(arrays)
def test_the_same_bits_are_equal_whatever_the_order_of_bytes_and_axes(array: HostArray) -> None:
    native = array.astype(array.dtype.newbyteorder("="))
    assert difference(array, native) == ""
    assert difference(array, np.asfortranarray(native).reshape(array.shape, order="A")) == ""
    assert difference(array.T, native.T) == ""


@given(arrays, st.data())
def test_any_one_flipped_bit_is_found_where_it_is(array: HostArray, data: st.DataObject) -> None:
    assume(array.size)
    stored = array.astype(array.dtype.newbyteorder("="), order="C")
    bits = stored.reshape(-1).view("u1")
    place = data.draw(st.integers(0, bits.size - 1))
    bits[place] ^= 1 << data.draw(st.integers(0, 7))
    index = np.unravel_index(place // array.itemsize, array.shape)
    where = tuple(int(i) for i in index)
    found = difference(array, stored)
    assert found == f"1 of {array.size} elements differ, the first at {where}"


@given(arrays, arrays)
def test_another_dtype_or_shape_is_a_difference(one: HostArray, other: HostArray) -> None:
    assume((one.dtype.newbyteorder("="), one.shape) != (other.dtype.newbyteorder("="), other.shape))
    assert difference(one, other) != ""


def test_what_is_no_array_differs() -> None:
    assert "str" in difference("text", np.zeros(3))


@pytest.fixture
def plate(tmp_path: Path) -> tuple[DiskConfig, ZarrConfig]:
    """An image that has gone from disk to Zarr."""
    disk, store = DiskConfig(root=tmp_path / "disk"), ZarrConfig(root=tmp_path / "a.zarr")
    image = np.arange(600, dtype="u2").reshape(20, 30)
    assert is_successful(save(disk)(Item("well 1/A01.npy", image)))
    assert is_successful(compose(load(disk, format=NPY), save(store))("well 1/A01.npy"))
    return disk, store


KEY = "well 1/A01.npy"


def test_what_arrived_is_equal(plate: tuple[DiskConfig, ZarrConfig]) -> None:
    back = read_back(*plate, KEY)
    assert back.unwrap().difference == ""
    assert back.unwrap().image.shape == (20, 30)
    assert row_of(1, KEY, 0.0, back).equal == "yes"


def test_one_element_changed_in_zarr_is_found(plate: tuple[DiskConfig, ZarrConfig]) -> None:
    # zarr takes fsspec's mappings too, a type that is unknown where fsspec is not installed
    # zarr takes fsspec's mappings too, whose type is unknown without fsspec
    array = zarr.open_array(f"{plate[1].root}/{KEY}", mode="r+")  # pyright: ignore[reportUnknownMemberType]
    array[3, 4] = 7
    back = read_back(*plate, KEY)
    assert back.unwrap().difference == "1 of 600 elements differ, the first at (3, 4)"
    row = row_of(1, KEY, 0.0, back)
    assert row.equal == "NO"
    assert "(3, 4)" in str(row.problem)


@pytest.mark.parametrize("damaged", ["well 1/A01.npy/zarr.json", "zarr.json"])
def test_damaged_metadata_is_an_error(plate: tuple[DiskConfig, ZarrConfig], damaged: str) -> None:
    (Path(plate[1].root) / damaged).write_text("{")
    assert isinstance(read_back(*plate, KEY).failure(), Corrupt)


def test_a_damaged_chunk_is_an_error_or_a_difference(
    plate: tuple[DiskConfig, ZarrConfig],
) -> None:
    folder = Path(plate[1].root) / KEY
    for file in folder.rglob("*"):
        if file.is_file() and file.name != "zarr.json":
            content = bytearray(file.read_bytes())
            content[len(content) // 2] ^= 0xFF
            file.write_bytes(content)
    assert row_of(1, KEY, 0.0, read_back(*plate, KEY)).equal != "yes"


def test_a_lost_chunk_is_a_difference(plate: tuple[DiskConfig, ZarrConfig]) -> None:
    folder = Path(plate[1].root) / KEY
    for file in folder.rglob("*"):
        if file.is_file() and file.name != "zarr.json":
            file.unlink()
    assert row_of(1, KEY, 0.0, read_back(*plate, KEY)).equal == "NO"


def test_what_is_not_in_zarr_is_an_error(plate: tuple[DiskConfig, ZarrConfig]) -> None:
    assert isinstance(read_back(*plate, "B01.npy").failure(), Corrupt)
    assert isinstance(read_back(*plate, "well 1").failure(), Corrupt)


def test_a_file_that_went_away_is_an_error(plate: tuple[DiskConfig, ZarrConfig]) -> None:
    (Path(plate[0].root) / KEY).unlink()
    assert isinstance(read_back(*plate, KEY).failure(), NotFound)
