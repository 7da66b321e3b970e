"""Copies and moves of images: what a load does not give of them, such as labels, is not lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from attrs import evolve

from polystore import (
    AlreadyExists,
    DiskConfig,
    InvalidKey,
    Item,
    MemoryConfig,
    Metadata,
    NotFound,
    Payload,
    ReadOnlyConfig,
    Sink,
    UnsupportedOperation,
    ZarrConfig,
    ZarrLayout,
    copy,
    list_files,
    load,
    move,
    save,
)
from polystore.configs import ChunkStrategy, OmeOptions, Zstd

ARRAY = np.arange(300 * 280, dtype="u2").reshape(300, 280)
LABEL = (ARRAY % 5).astype("u1")
KNOWN = Metadata(axes=("y", "x"), scale=(0.5, 0.25))


@pytest.fixture
def images(tmp_path: Path) -> ZarrConfig:
    images = ZarrConfig(root=tmp_path / "images.zarr", layout=ZarrLayout.IMAGE)
    save(images)(Item("img", ARRAY, KNOWN)).unwrap()
    save(images)(Item("img/labels/n", LABEL)).unwrap()
    return images


ANEW: dict[str, Callable[[ZarrConfig], ZarrConfig]] = {
    "chunks": lambda it: evolve(it, chunks=(64, 64)),
    "compressor": lambda it: evolve(it, compressor=Zstd()),
    "version": lambda it: evolve(it, ome=OmeOptions(version="0.4")),
    "levels": lambda it: evolve(it, ome=OmeOptions(levels=1)),
    "downsampling": lambda it: evolve(it, ome=OmeOptions(downsampling="nearest")),
    "axes": lambda it: evolve(it, ome=OmeOptions(axes=("y", "x"))),
    "plate": lambda it: evolve(it, layout=ZarrLayout.PLATE),
    "well": lambda it: evolve(it, layout=ZarrLayout.PLATE, chunk_strategy=ChunkStrategy.WELL),
}
"""Stores that would not hold an image as it is stored."""


@pytest.mark.parametrize("kind", ANEW)
def test_an_image_is_not_moved_where_it_would_be_made_anew(
    images: ZarrConfig, tmp_path: Path, kind: str
) -> None:
    other = ANEW[kind](evolve(images, root=str(tmp_path / "other.zarr")))
    error = move(images, "img", "A/1/0", to=other).failure()
    assert isinstance(error, UnsupportedOperation)
    assert (error.key, error.config) == ("img", images)
    assert error.advice == "Copy it, look at the copy, then delete it."
    assert np.array_equal(load(images)("img/labels/n").unwrap().payload, LABEL)
    assert not Path(other.root).exists()


@pytest.mark.parametrize("kind", ANEW)
def test_a_copy_that_is_made_anew_has_the_labels(
    images: ZarrConfig, tmp_path: Path, kind: str
) -> None:
    other = ANEW[kind](evolve(images, root=str(tmp_path / "other.zarr")))
    saved = copy(images, "img", "A/1/0", to=other).unwrap()
    assert (saved.key, saved.status, saved.dropped) == ("A/1/0", "written", ())
    assert np.array_equal(load(other)("A/1/0").unwrap().payload, ARRAY)
    assert list_files(other).unwrap() == ("A/1/0",)
    assert list_files(other, folder="A/1/0/labels").unwrap() == ("A/1/0/labels/n",)
    assert np.array_equal(load(other)("A/1/0/labels/n").unwrap().payload, LABEL)


def test_a_copy_without_labels_says_so_and_a_move_is_refused(
    images: ZarrConfig, tmp_path: Path
) -> None:
    sinks: list[object] = [
        ZarrConfig(root=tmp_path / "arrays.zarr"),
        MemoryConfig(name=str(tmp_path)),
        DiskConfig(root=tmp_path / "disk"),
    ]
    for sink in sinks:
        to = cast("Sink[Payload]", sink)
        for source in (images, ReadOnlyConfig(images)):
            saved = copy(source, "img", "i.tif", to=to, if_exists="replace").unwrap()
            assert "labels" in saved.dropped
        label = copy(images, "img/labels/n", "n.tif", to=to).unwrap()
        assert "labels" not in label.dropped
        error = move(images, "img", "j.tif", to=to).failure()
        assert isinstance(error, UnsupportedOperation)
    assert np.array_equal(load(images)("img/labels/n").unwrap().payload, LABEL)


def test_what_is_moved_as_it_is_stored_goes_with_its_labels(
    images: ZarrConfig, tmp_path: Path
) -> None:
    other = evolve(images, root=str(tmp_path / "other.zarr"))
    assert move(images, "img", to=other).unwrap().status == "written"
    assert np.array_equal(load(other)("img/labels/n").unwrap().payload, LABEL)
    assert list_files(images).unwrap() == ()


def test_a_plate_takes_fields_alone(images: ZarrConfig, tmp_path: Path) -> None:
    arrays = ZarrConfig(root=tmp_path / "arrays.zarr")
    save(arrays)(Item("a", ARRAY, KNOWN)).unwrap()
    plate = ZarrConfig(root=tmp_path / "plate.zarr", layout=ZarrLayout.PLATE)
    for source, key in ((images, "img"), (arrays, "a")):
        assert isinstance(copy(source, key, "nope", to=plate).failure(), InvalidKey)
    copy(arrays, "a", "B/2/0", to=plate).unwrap()
    assert list_files(plate).unwrap() == ("B/2/0",)
    assert load(plate)("B/2/0").unwrap().metadata == KNOWN


def test_a_level_keeps_its_scale(images: ZarrConfig, tmp_path: Path) -> None:
    known = load(images)("img/1").unwrap().metadata
    assert known.scale == (1.0, 0.5)
    for layout in (ZarrLayout.ARRAY, ZarrLayout.IMAGE):
        other = ZarrConfig(root=tmp_path / layout.value, layout=layout)
        assert copy(images, "img/1", "half", to=other).unwrap().dropped == ()
        assert load(other)("half").unwrap().metadata == known
        assert isinstance(move(images, "img/1", "b", to=other).failure(), UnsupportedOperation)


def test_a_copied_label_is_listed_and_belongs_to_an_image(
    images: ZarrConfig, tmp_path: Path
) -> None:
    other = evolve(images, root=str(tmp_path / "other.zarr"))
    assert isinstance(copy(images, "img/labels/n", to=other).failure(), NotFound)
    save(other)(Item("img", ARRAY, KNOWN)).unwrap()
    copy(images, "img/labels/n", to=other).unwrap()
    document = (Path(other.root) / "img/labels/zarr.json").read_text()
    assert '"n"' in document


@pytest.fixture
def disk(tmp_path: Path) -> DiskConfig:
    disk = DiskConfig(root=tmp_path / "raw")
    for key in ("a.npy", "b.npy"):
        save(disk)(Item(key, ARRAY)).unwrap()
    return disk


@pytest.mark.parametrize("layout", [ZarrLayout.ARRAY, ZarrLayout.IMAGE])
def test_only_the_same_copy_is_skipped(
    disk: DiskConfig, tmp_path: Path, layout: ZarrLayout
) -> None:
    one = ZarrConfig(root=tmp_path / "one.zarr", layout=layout)
    two = ZarrConfig(root=tmp_path / "two.zarr", layout=layout)
    small = evolve(one, root=str(tmp_path / "small.zarr"), compressor=Zstd())
    copy(disk, "a.npy", "x", to=one).unwrap()
    copy(disk, "b.npy", "y", to=one).unwrap()
    for to in (two, small):  # as it is stored, and made anew
        assert copy(one, "x", to=to).unwrap().status == "written"
        assert copy(one, "x", to=to, if_exists="skip").unwrap().status == "skipped"
        assert isinstance(copy(one, "y", "x", to=to, if_exists="skip").failure(), AlreadyExists)
    assert copy(disk, "a.npy", "x", to=one, if_exists="skip").unwrap().status == "skipped"
    error = copy(disk, "b.npy", "x", to=one, if_exists="skip").failure()
    assert isinstance(error, AlreadyExists)
    assert (error.key, error.config) == ("x", one)
    assert "has the key 'a.npy', and here it is 'b.npy'" in error.message


def test_what_nothing_is_noted_of_is_skipped(disk: DiskConfig, tmp_path: Path) -> None:
    zarr, memory = ZarrConfig(root=tmp_path / "a.zarr"), MemoryConfig(name=str(tmp_path))
    save(zarr)(Item("x", ARRAY)).unwrap()
    save(memory)(Item("x", ARRAY)).unwrap()
    for to in (zarr, memory):
        assert copy(disk, "b.npy", "x", to=to, if_exists="skip").unwrap().status == "skipped"
