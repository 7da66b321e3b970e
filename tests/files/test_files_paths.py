"""`read`, `write` and `list_files`: one path at a time, and every key of a store."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import pytest

from polystore import (
    NPY,
    Casting,
    DiskConfig,
    HostArray,
    IfExists,
    InvalidKey,
    InvalidSpec,
    Item,
    Metadata,
    NotFound,
    ZarrConfig,
    apply,
    compose,
    convert,
    is_host_array,
    list_files,
    load,
    read,
    save,
    write,
)
from polystore.configs import Durability

ARRAY = np.arange(6, dtype=np.uint16).reshape(2, 3)


@pytest.mark.parametrize(
    "name", ["a.npy", "new/folder/a.tif", "a b.png", "p.zarr/A/1", "q.ZARR/a.tif"]
)
def test_what_is_written_to_a_path_is_read_from_it(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    assert write(path, ARRAY).unwrap().status == "written"
    payload = read(path).unwrap().payload
    assert is_host_array(payload)
    assert np.array_equal(payload, ARRAY)


def test_a_relative_path_is_taken_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write("a.npy", ARRAY).unwrap()
    assert np.array_equal(read(tmp_path / "a.npy", format=NPY).unwrap().payload, ARRAY)
    assert isinstance(read("b.npy").failure(), NotFound)


@pytest.mark.parametrize("path", [None, 3, b"a.npy", ARRAY, "a\0b.npy"], ids=repr)
def test_what_is_no_path_is_an_error(path: object) -> None:
    wrong = cast("str", path)
    assert isinstance(read(wrong).failure(), InvalidKey)
    assert isinstance(write(wrong, ARRAY).failure(), InvalidKey)


def test_suffixes_are_one_or_several(tmp_path: Path) -> None:
    store = DiskConfig(root=tmp_path)
    for name in ("f10.TIF", "f2.tif", "notes.txt", "a/f1.npy"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert list_files(store, suffixes=".tif").unwrap() == ("f2.tif", "f10.TIF")
    assert list_files(store, suffixes=(".npy", ".txt")).unwrap() == ("a/f1.npy", "notes.txt")
    assert list_files(store, folder="a").unwrap() == ("a/f1.npy",)
    assert isinstance(list_files(store, folder="../x").failure(), InvalidKey)


# A type checker refuses these; a notebook does not.
def test_a_choice_that_there_is_not_is_an_error_and_nothing_is_written(tmp_path: Path) -> None:
    disk = DiskConfig(root=tmp_path)
    item = Item("a.npy", ARRAY)
    wrong = save(disk, if_exists=cast("IfExists", "overwrite"))
    assert isinstance(wrong(item).failure(), InvalidSpec)
    casting = convert(to="numpy", casting=cast("Casting", "sure"))
    assert isinstance(casting(item).failure(), InvalidSpec)
    unsure = DiskConfig(root=tmp_path, durability=cast("Durability", "fsyn"))
    assert isinstance(save(unsure)(item).failure(), InvalidSpec)
    assert list(tmp_path.iterdir()) == []


def test_a_batch_takes_many_keys(tmp_path: Path) -> None:
    disk = DiskConfig(root=tmp_path)
    pipeline = compose(load(disk))
    for wrong in ("a.npy", Path("a.npy"), list_files(disk)):
        ((_, outcome),) = pipeline.map(cast("list[str]", wrong))
        error = outcome.failure()
        assert isinstance(error, InvalidKey)
        assert "A batch takes many keys" in error.message


def test_apply_forgets_the_axes_when_their_number_changes(tmp_path: Path) -> None:
    zarr = ZarrConfig(root=tmp_path / "a.zarr")
    known = Metadata(axes=("y", "x"), scale=(0.5, 0.5), unit=("um", "um"), channel_names=("DAPI",))
    item = Item("a", ARRAY, known)

    def twice(array: HostArray) -> HostArray:
        return 2 * array

    def projection(array: HostArray) -> HostArray:
        return np.asarray(array.sum())

    assert apply(twice)(item).unwrap().metadata == known
    projected = apply(projection)(item).unwrap()
    assert projected.metadata == Metadata(channel_names=("DAPI",))
    save(zarr)(projected).unwrap()
    assert load(zarr)("a").unwrap().metadata == projected.metadata
