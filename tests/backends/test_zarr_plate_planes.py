from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from plate_writers import (
    NAMES,
    about,
    document,
    listed_fields,
    map_files,
    plane,
    plate_at,
    save_planes,
    side_by_side,
)
from zarr_processes import at_operation, in_fork, kill, run

from polystore import (
    TIFF,
    AlreadyExists,
    ChunkStrategy,
    Corrupt,
    DiskConfig,
    InvalidKey,
    InvalidSpec,
    Item,
    LazyArray,
    Metadata,
    NotFound,
    OmeOptions,
    PlateNames,
    UnsupportedOperation,
    UnsupportedPayload,
    ZarrConfig,
    ZarrLayout,
    collect,
    compose,
    delete,
    exists,
    is_successful,
    list_files,
    load,
    move,
    save,
    stat,
)
from polystore.backends.zarr.plates.grouping import fields_of, stacked
from polystore.core.outcome import Outcome
from polystore.core.payload import HostArray

FILES = [
    f"A0{well}_s{field}_w{channel}.tif"
    for well in (1, 2)
    for field in (1, 2)
    for channel in (1, 2, 3)
]


def assert_plane(store: ZarrConfig, key: str) -> None:
    item = load(store)(key).unwrap()
    assert item.payload.dtype == np.uint16
    np.testing.assert_array_equal(item.payload, plane(key))
    assert item.metadata == about(key)


@pytest.mark.parametrize("version", ["0.5", "0.4"])
def test_planes_are_loaded_as_they_were_saved(tmp_path: Path, version: str) -> None:
    ome = OmeOptions(version="0.4") if version == "0.4" else OmeOptions()
    plate = ZarrConfig(root=tmp_path / "p", layout=ZarrLayout.PLATE, names=NAMES, ome=ome)
    save_planes(plate, FILES[::-1])
    for key in FILES:
        assert_plane(plate, key)
    assert list_files(plate).unwrap() == tuple(FILES)
    fields = ZarrConfig(root=plate.root, layout=ZarrLayout.PLATE, ome=ome)
    image = load(fields)("A/2/1").unwrap()
    expected = np.stack([plane(f"A02_s2_w{channel}.tif") for channel in (1, 2, 3)])
    np.testing.assert_array_equal(image.payload, expected)
    assert image.metadata.axes == ("c", "y", "x")
    assert image.metadata.scale == (1.0, 0.5, 0.25)
    assert image.metadata.unit[1:] == ("micrometer", "micrometer")
    assert image.metadata.channel_names == ("w1", "w2", "w3")


def test_a_field_grows_along_all_axes_that_the_names_have(tmp_path: Path) -> None:
    names = PlateNames("{row}{column}/t{t}_z{z:02}_{channel}.npy", first=0)
    plate = plate_at(tmp_path, names)
    keys = [f"C7/t{t}_z{z:02}_{c}.npy" for t, z, c in ((1, 2, 1), (0, 0, 0), (1, 0, 2), (0, 3, 1))]
    save_planes(plate, keys)
    for key in keys:
        assert_plane(plate, key)
    array = json.loads((Path(plate.root) / "C/7/0/0/zarr.json").read_text())
    assert array["shape"] == [2, 3, 4, 40, 33]
    assert array["dimension_names"] == ["t", "c", "z", "y", "x"]
    assert list_files(plate, folder="C7").unwrap() == tuple(sorted(keys))
    assert stat(plate, "C7").unwrap().kind == "folder"
    assert not exists(plate, "C7/t0_z01_0.npy").unwrap()
    assert stat(plate, keys[0]).unwrap().kind == "file"


def test_a_plane_that_was_never_saved_is_not_there(tmp_path: Path) -> None:
    plate = plate_at(tmp_path, NAMES)
    save_planes(plate, ["A01_s1_w3.tif", "A01_s1_w1.tif"])
    for key in ("A01_s1_w2.tif", "A01_s1_w4.tif", "A01_s2_w1.tif", "H12_s1_w1.tif"):
        assert isinstance(load(plate)(key).failure(), NotFound)
        assert isinstance(load(plate, lazy=True)(key).failure(), NotFound)
        assert not exists(plate, key).unwrap()
    error = load(plate_at(tmp_path))("A/1/0").failure()
    assert isinstance(error, NotFound)
    assert "c=1" in error.message
    assert isinstance(load(plate_at(tmp_path), lazy=True)("A/1/0").failure(), NotFound)
    assert listed_fields(plate) == {"A/1/0"}


def test_a_chunk_that_was_lost_is_corrupt(tmp_path: Path) -> None:
    plate = plate_at(tmp_path, NAMES)
    save_planes(plate, FILES)
    (Path(plate.root) / "A/1/0/0/c/1/0/0").unlink()
    assert isinstance(load(plate)("A01_s1_w2.tif").failure(), Corrupt)
    assert isinstance(load(plate_at(tmp_path))("A/1/0").failure(), Corrupt)
    assert_plane(plate, "A01_s1_w1.tif")


def test_each_plane_is_replaced_or_skipped_or_stays(tmp_path: Path) -> None:
    plate, key = plate_at(tmp_path, NAMES), "A01_s1_w2.tif"
    save_planes(plate, FILES)
    new = Item(key, plane("new"), Metadata(attributes={"new": True, "one": 1}))
    error = save(plate)(new).failure()
    assert isinstance(error, AlreadyExists)
    assert error.key == key
    assert save(plate, if_exists="skip")(new).unwrap().status == "skipped"
    assert_plane(plate, key)
    assert save(plate, if_exists="replace")(new).unwrap().status == "written"
    item = load(plate)(key).unwrap()
    np.testing.assert_array_equal(item.payload, plane("new"))
    assert item.metadata == new.metadata
    for other in FILES:
        if other != key:
            assert_plane(plate, other)


def test_a_lazy_plane_is_what_it_was_when_it_was_loaded(tmp_path: Path) -> None:
    plate, key = plate_at(tmp_path, NAMES), "A01_s1_w2.tif"
    save_planes(plate, FILES)
    lazy = load(plate, lazy=True)(key).unwrap()
    assert lazy.payload.spec.shape == (40, 33)
    save(plate, if_exists="replace")(Item(key, plane("new"))).unwrap()
    part = lazy.payload.read((slice(3, 9), slice(30, 40))).unwrap()
    np.testing.assert_array_equal(part, plane(key)[3:9, 30:40])
    assert not is_successful(lazy.payload.read((slice(3, 9),)))


@pytest.mark.parametrize(
    "array",
    [plane("a", (41, 33)), plane("a").astype("f4"), plane("a").astype(">u2"), plane("a")[None]],
)
def test_another_shape_or_dtype_is_no_plane_of_the_field(tmp_path: Path, array: HostArray) -> None:
    plate = plate_at(tmp_path, NAMES)
    save_planes(plate, ["A01_s1_w1.tif"])
    error = save(plate)(Item("A01_s1_w2.tif", array)).failure()
    assert isinstance(error, UnsupportedPayload)
    assert list_files(plate).unwrap() == ("A01_s1_w1.tif",)
    assert load(plate_at(tmp_path))("A/1/0").unwrap().payload.shape == (1, 40, 33)


def test_big_endian_planes_stay_so(tmp_path: Path) -> None:
    plate = plate_at(tmp_path, NAMES)
    for key in ("A01_s1_w1.tif", "A01_s1_w2.tif"):
        save(plate)(Item(key, plane(key).astype(">u2"))).unwrap()
        loaded = load(plate)(key).unwrap().payload
        assert loaded.dtype == np.dtype(">u2")
        np.testing.assert_array_equal(loaded, plane(key))


def test_what_cannot_be_done_with_planes_is_said(tmp_path: Path) -> None:
    plate, key = plate_at(tmp_path, NAMES), "A01_s1_w1.tif"
    save_planes(plate, [key])
    assert isinstance(delete(plate, key).failure(), UnsupportedOperation)
    assert "'A/1/0'" in delete(plate, key).failure().advice
    assert isinstance(move(plate, key, new_key="A01_s1_w2.tif").failure(), UnsupportedOperation)
    error = save(plate)(Item("A01_s1_w1.png", plane(key))).failure()
    assert isinstance(error, InvalidKey)
    assert NAMES.template in error.message
    assert isinstance(load(plate)("A/1/0").failure(), InvalidKey)
    together = ZarrConfig(
        root=tmp_path / "w", layout=ZarrLayout.PLATE, names=NAMES, chunk_strategy=ChunkStrategy.WELL
    )
    refused = save(together)(Item(key, plane(key))).failure()
    assert isinstance(refused, InvalidSpec)
    assert "one by one" in refused.message
    shared = ZarrConfig(root=tmp_path / "s", layout=ZarrLayout.PLATE, names=NAMES, chunks=(2, 8, 8))
    assert isinstance(save(shared)(Item(key, plane(key))).failure(), InvalidSpec)
    assert not (tmp_path / "w").exists()
    bad = plate_at(tmp_path, PlateNames("{row}.tif"))
    assert isinstance(save(bad)(Item(key, plane(key))).failure(), InvalidSpec)
    assert isinstance(list_files(bad).failure(), InvalidSpec)


def test_a_field_that_was_saved_whole_has_its_planes_but_does_not_grow(tmp_path: Path) -> None:
    plate, whole = plate_at(tmp_path, NAMES), plate_at(tmp_path)
    keys = FILES[:3]
    image = np.stack([plane(key) for key in keys])
    metadata = Metadata(axes=("c", "y", "x"), scale=(1, 2, 2), channel_names=("a", "b", "c"))
    save(whole)(Item("A/1/0", image, metadata)).unwrap()
    assert list_files(plate).unwrap() == tuple(keys)
    item = load(plate)(keys[1]).unwrap()
    np.testing.assert_array_equal(item.payload, plane(keys[1]))
    assert item.metadata == Metadata(axes=("y", "x"), scale=(2, 2), channel_names=("b",))
    error = save(plate)(Item("A01_s1_w4.tif", plane("x"))).failure()
    assert isinstance(error, UnsupportedOperation)
    delete(whole, "A/1/0").unwrap()
    save_planes(plate, keys)
    assert list_files(plate).unwrap() == tuple(keys)


def test_pyramids_are_those_of_the_whole_image(tmp_path: Path) -> None:
    ome = OmeOptions(levels=3)
    one_by_one = ZarrConfig(root=tmp_path / "a", layout=ZarrLayout.PLATE, names=NAMES, ome=ome)
    whole = ZarrConfig(root=tmp_path / "b", layout=ZarrLayout.PLATE, ome=ome)
    save_planes(one_by_one, FILES[2::-1])
    image_about = Metadata(
        axes=("c", "y", "x"), scale=(1, 0.5, 0.25), unit=("", "micrometer", "micrometer")
    )
    stack = np.stack([plane(key) for key in FILES[:3]])
    save(whole)(Item("A/1/0", stack, image_about)).unwrap()
    fields = ZarrConfig(root=one_by_one.root, layout=ZarrLayout.PLATE)
    for level in range(3):
        planes, image = (load(it)(f"A/1/0/{level}").unwrap().payload for it in (fields, whole))
        np.testing.assert_array_equal(planes, image)
        own, other = (
            json.loads((Path(it.root) / f"A/1/0/{level}/zarr.json").read_text())
            for it in (one_by_one, whole)
        )
        assert own == other
    ours, theirs = document(one_by_one, "A/1/0"), document(whole, "A/1/0")
    assert ours["multiscales"] == theirs["multiscales"]


def test_six_processes_save_the_planes_of_the_same_fields(tmp_path: Path) -> None:
    plate = plate_at(tmp_path, NAMES)
    acknowledged = side_by_side(plate, [FILES[part::6] for part in range(6)], save_planes)
    assert set(acknowledged) == set(FILES)
    assert list_files(plate).unwrap() == tuple(FILES)
    for key in FILES:
        assert_plane(plate, key)
    assert listed_fields(plate) == {"A/1/0", "A/1/1", "A/2/0", "A/2/1"}


def _save_until_killed(plate: ZarrConfig, number: int) -> None:
    at_operation(number, kill)
    save_planes(plate, ["A01_s1_w2.tif"])


def _killed_ever_later(base: Path) -> None:
    save_planes(plate_at(base / "warm", NAMES), FILES)
    number = 1
    while True:
        plate = plate_at(base / str(number), NAMES)
        save_planes(plate, ["A01_s1_w1.tif"])
        status = in_fork(partial(_save_until_killed, plate, number))
        for key in list_files(plate).unwrap():
            assert_plane(plate, key)
        assert "A01_s1_w1.tif" in list_files(plate).unwrap()
        save(plate, if_exists="skip")(
            Item("A01_s1_w2.tif", plane("A01_s1_w2.tif"), about("A01_s1_w2.tif"))
        ).unwrap()
        assert_plane(plate, "A01_s1_w2.tif")
        assert is_successful(load(plate_at(base / str(number)))("A/1/0"))
        if status == 0:
            break
        number += 9
    assert number > 30


def test_a_plane_comes_whole_or_not_when_its_writer_is_killed(tmp_path: Path) -> None:
    run(_killed_ever_later, tmp_path)


def test_a_folder_of_files_makes_a_plate_and_comes_back(tmp_path: Path) -> None:
    disk, plate = DiskConfig(root=tmp_path / "in"), plate_at(tmp_path, NAMES)
    for key in FILES:
        save(disk)(Item(key, plane(key), about(key))).unwrap()
    run(map_files, disk, plate, FILES)
    back = DiskConfig(root=tmp_path / "out")
    keys = list_files(plate).unwrap()
    assert not collect(compose(load(plate), save(back)).map(keys)).errors
    assert list_files(back).unwrap() == tuple(FILES)
    for key in FILES:
        first, again = load(disk)(key).unwrap(), load(back)(key).unwrap()
        np.testing.assert_array_equal(first.payload, again.payload)
        assert first.metadata == again.metadata
    done = collect(compose(load(disk, format=TIFF), save(plate, if_exists="skip")).map(FILES))
    assert not done.errors
    assert not done.saved


def test_the_files_of_a_field_are_saved_whole_in_one_go(tmp_path: Path) -> None:
    disk, plate = DiskConfig(root=tmp_path / "in"), plate_at(tmp_path)
    for key in FILES:
        save(disk)(Item(key, plane(key), about(key))).unwrap()

    def lazily(key: str) -> Outcome[Item[LazyArray]]:
        return load(disk, lazy=True)(key)

    for group in fields_of(NAMES, FILES).unwrap():
        save(plate)(stacked(group, lazily).unwrap()).unwrap()
    by_names = plate_at(tmp_path, NAMES)
    assert list_files(by_names).unwrap() == tuple(FILES)
    for key in FILES:
        np.testing.assert_array_equal(load(by_names)(key).unwrap().payload, plane(key))
    assert load(plate)("A/2/0").unwrap().metadata.channel_names == ("w1", "w2", "w3")


def test_a_field_without_some_of_its_files_is_said() -> None:
    error = fields_of(NAMES, ["A01_s1_w3.tif", "A01_s1_w1.tif"]).failure()
    assert isinstance(error, NotFound)
    assert "'A01_s1_w2.tif'" in error.message
    far = fields_of(NAMES, ["A01_s1_w1.tif", "A01_s1_w999999.tif"]).failure()
    assert isinstance(far, NotFound)
    assert isinstance(fields_of(NAMES, ["A01_s1_w1.tif", "notes.txt"]).failure(), InvalidKey)
