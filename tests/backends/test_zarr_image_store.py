"""Stores of OME-Zarr images: what is saved comes back, and what cannot be held changes nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from polystore import (
    AlreadyExists,
    ArraySpec,
    InvalidKey,
    Item,
    LazyArray,
    Metadata,
    NotAFile,
    NotFound,
    OmeOptions,
    Success,
    TooLarge,
    UnsupportedOperation,
    UnsupportedPayload,
    ZarrConfig,
    ZarrLayout,
    delete,
    list_dir,
    list_files,
    load,
    move,
    save,
    stat,
)
from polystore.backends.zarr.ome.pyramid import halved
from polystore.core.payload import HostArray

DTYPES = ["?", "u1", "i1", "u2", ">u2", "i4", "u8", "f2", "f4", ">f8"]


def images(folder: Path, version: Literal["0.5", "0.4"] = "0.5") -> ZarrConfig:
    return ZarrConfig(root=folder, layout=ZarrLayout.IMAGE, ome=OmeOptions(version=version))


@st.composite
def axes_of_images(draw: st.DrawFn) -> tuple[str, ...]:
    other = draw(st.sampled_from(["", "c", "s", "angle"]))
    names = [
        "y",
        "x",
        *draw(st.sampled_from([[], ["z"], ["t"], ["t", "z"]])),
        *filter(None, [other]),
    ]
    return tuple(draw(st.permutations(names)))


@settings(max_examples=50)
@given(data=st.data(), version=st.sampled_from(["0.5", "0.4"]))
def test_what_is_saved_comes_back_whatever_the_order_of_its_axes(
    data: st.DataObject, version: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    store = images(tmp_path_factory.mktemp("store"), "0.4" if version == "0.4" else "0.5")
    axes = data.draw(axes_of_images())
    shape = tuple(data.draw(st.integers(1, 9)) for _ in axes)
    array = data.draw(hnp.arrays(np.dtype(data.draw(st.sampled_from(DTYPES))), shape))
    sizes = st.floats(1e-3, 1e3, allow_subnormal=False)
    count = dict(zip(axes, shape, strict=True)).get("c", 1)
    metadata = Metadata(
        axes=axes,
        scale=data.draw(st.just(()) | st.tuples(*[sizes] * len(axes))),
        unit=data.draw(
            st.just(()) | st.tuples(*[st.sampled_from(["", "micrometer", "um"])] * len(axes))
        ),
        channel_names=data.draw(
            st.just(()) | st.lists(st.text(max_size=3), min_size=count, max_size=count)
        ),
        attributes=data.draw(st.dictionaries(st.text(max_size=4), st.integers(), max_size=2)),
    )
    lazy = LazyArray(
        ArraySpec(shape, array.dtype.str, axes, shape), lambda region: Success(array[region].copy())
    )
    if data.draw(st.booleans()):
        saved = save(store)(Item("a/img", array, metadata)).unwrap()
    else:
        saved = save(store)(Item("a/img", lazy, metadata)).unwrap()
    for loaded in (load(store)("a/img").unwrap(), load(store, lazy=True)("a/img").unwrap()):
        assert loaded.metadata == evolve(metadata, attributes=loaded.metadata.attributes)
        if "attributes" not in saved.dropped:
            assert loaded.metadata.attributes == metadata.attributes
        found = loaded.payload
        pixels = (
            found.read((slice(None),) * array.ndim).unwrap()
            if isinstance(found, LazyArray)
            else found
        )
        assert isinstance(pixels, np.ndarray)
        assert pixels.dtype == array.dtype
        assert pixels.shape == array.shape
        assert pixels.tobytes() == array.tobytes()


REFUSED: dict[str, tuple[HostArray, Metadata]] = {
    "complex": (np.zeros((4, 4), "c8"), Metadata()),
    "text": (np.zeros((4, 4), "U3"), Metadata()),
    "a number": (np.array(3.0), Metadata()),
    "one axis": (np.zeros(4), Metadata()),
    "six axes": (np.zeros((1,) * 6), Metadata()),
    "nobody says its axes": (np.zeros((2, 3, 4)), Metadata()),
    "an axis twice": (np.zeros((2, 3, 4)), Metadata(axes=("y", "y", "x"))),
    "no columns": (np.zeros((2, 3)), Metadata(axes=("z", "y"))),
    "two other axes": (np.zeros((2, 2, 3, 4)), Metadata(axes=("c", "angle", "y", "x"))),
    "channels and samples": (np.zeros((2, 3, 4, 3)), Metadata(axes=("c", "y", "x", "s"))),
    "too many names": (np.zeros((3, 4)), Metadata(axes=("z", "y", "x"))),
    "no pixels": (np.zeros((0, 4)), Metadata()),
    "long doubles": (np.zeros((4, 4), np.longdouble), Metadata()),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_an_image_cannot_hold_is_refused_before_anything_is_written(
    what: str, tmp_path: Path
) -> None:
    array, metadata = REFUSED[what]
    failed = save(images(tmp_path / "store"))(Item("img", array, metadata)).failure()
    assert isinstance(failed, UnsupportedPayload)
    assert failed.key == "img"
    assert not (tmp_path / "store").exists()


def test_axes_of_the_config_are_those_of_items_that_do_not_say_theirs(tmp_path: Path) -> None:
    store = evolve(images(tmp_path), ome=OmeOptions(axes=("x", "y", "z"), levels=1))
    volume = np.arange(24).reshape(2, 3, 4)
    save(store)(Item("volume", volume)).unwrap()
    save(store)(Item("plane", volume[0])).unwrap()
    loaded = load(store)("volume").unwrap()
    assert np.array_equal(loaded.payload, volume)
    assert loaded.metadata.axes == ("x", "y", "z")
    assert load(store)("plane").unwrap().metadata.axes == ("y", "x")
    assert not (tmp_path / "volume" / "1").exists()


@pytest.mark.parametrize("version", ["0.5", "0.4"])
def test_a_region_is_written_at_every_level_as_if_the_whole_had_been(
    version: Literal["0.5", "0.4"], tmp_path: Path
) -> None:
    ome = OmeOptions(version=version, levels=3)
    store = evolve(images(tmp_path), chunks=(2, 32, 50), ome=ome)
    rng = np.random.default_rng(1)
    image = rng.integers(0, 60000, (301, 3, 270)).astype("u2")
    save(store)(Item("img", image, Metadata(axes=("y", "z", "x")))).unwrap()
    for _ in range(12):
        bounds = [sorted(rng.integers(0, n + 1, 2).tolist()) for n in image.shape]
        region = tuple(slice(low, high) for low, high in bounds)
        part = rng.integers(0, 60000, image[region].shape).astype("u2")
        image[region] = part
        save(store, region=region)(Item("img", part)).unwrap()
    level = image.transpose(1, 0, 2)
    assert np.array_equal(load(store)("img").unwrap().payload, image)
    for number in (1, 2):
        level = halved(level, "mean")
        assert np.array_equal(load(store)(f"img/{number}").unwrap().payload, level)
    level_alone = save(store, region=(slice(1), slice(1), slice(1)))(
        Item("img/1", np.zeros((1, 1, 1), "u2"))
    )
    assert isinstance(level_alone.failure(), UnsupportedOperation)


def test_a_region_of_a_label_is_halved_by_the_nearest(tmp_path: Path) -> None:
    """A mean of two objects would be a third one."""
    store = evolve(images(tmp_path), ome=OmeOptions(levels=3, downsampling="mean"))
    rng = np.random.default_rng(1)
    save(store)(Item("img", np.zeros((61, 50), "u2"))).unwrap()
    label = rng.integers(0, 9, (61, 50)).astype("u2") * 1000
    save(store)(Item("img/labels/cells", label)).unwrap()
    for region in (np.s_[3:40, 5:50], np.s_[60:, :1]):
        label[region] = rng.integers(0, 9, label[region].shape) * 1000
        part = Item("img/labels/cells", label[region].copy())
        save(store, region=region)(part).unwrap()
    for number in range(3):
        level = load(store)(f"img/labels/cells/{number}").unwrap().payload
        assert np.array_equal(level, label), number
        label = halved(label, "nearest")


def test_images_are_items_that_are_not_entered(tmp_path: Path) -> None:
    store = images(tmp_path)
    image = np.arange(600 * 300, dtype="u4").reshape(600, 300)
    for key in ("plate/a", "plate/b"):
        save(store)(Item(key, image)).unwrap()
    save(ZarrConfig(root=tmp_path))(Item("bare", image)).unwrap()
    assert list_files(store).unwrap() == ("bare", "plate/a", "plate/b")
    assert list_dir(store, "plate").unwrap() == ("plate/a", "plate/b")
    assert stat(store, "plate/a").unwrap().kind == "file"
    assert stat(store, "plate/a").unwrap().nbytes == image.nbytes
    assert stat(store, "plate").unwrap().kind == "folder"
    assert np.array_equal(load(store)("bare").unwrap().payload, image)
    assert isinstance(load(store)("plate").failure(), NotAFile)
    assert isinstance(load(store)("plate/c").failure(), NotFound)
    assert isinstance(load(evolve(store, max_bytes=1000))("plate/a").failure(), TooLarge)
    assert isinstance(save(store)(Item("plate/a", image)).failure(), AlreadyExists)
    skipped = save(store, if_exists="skip")(Item("plate/a", image)).unwrap()
    assert (skipped.status, skipped.nbytes) == ("skipped", 0)
    save(store, if_exists="replace")(Item("plate/a", image[:9])).unwrap()
    assert np.array_equal(load(store)("plate/a").unwrap().payload, image[:9])
    assert not save(store)(Item("plate/a/0/deep", image)).map(bool).value_or(False)
    move(store, "plate/a", "c").unwrap()
    delete(store, "plate/b").unwrap()
    assert list_files(store).unwrap() == ("bare", "c")


def labels_listed(image: Path) -> object:
    if (image / "labels" / "zarr.json").exists():
        return json.loads((image / "labels" / "zarr.json").read_text())["attributes"]["ome"][
            "labels"
        ]
    return json.loads((image / "labels" / ".zattrs").read_text())["labels"]


@pytest.mark.parametrize("version", ["0.5", "0.4"])
def test_labels_come_and_go_with_their_image_and_its_list(
    version: Literal["0.5", "0.4"], tmp_path: Path
) -> None:
    store = images(tmp_path, version)
    pixels = np.arange(2 * 700 * 300, dtype="u2").reshape(2, 700, 300)
    size = Metadata(axes=("c", "y", "x"), scale=(1, 0.5, 0.25), unit=("", "nanometer", "nanometer"))
    save(store)(Item("img", pixels, size)).unwrap()
    label = (pixels[0] // 7).astype("i4")
    save(store)(Item("img/labels/nuclei", label)).unwrap()
    save(store)(Item("img/labels/cells", label)).unwrap()
    assert labels_listed(tmp_path / "img") == ["nuclei", "cells"]
    assert list_files(store).unwrap() == ("img",)
    assert list_files(store, folder="img/labels").unwrap() == (
        "img/labels/cells",
        "img/labels/nuclei",
    )
    loaded = load(store)("img/labels/cells").unwrap()
    assert np.array_equal(loaded.payload, label)
    assert loaded.metadata == Metadata(
        axes=("y", "x"), scale=(0.5, 0.25), unit=("nanometer", "nanometer")
    )
    smaller = load(store)("img/labels/cells/1").unwrap().payload
    assert np.array_equal(smaller, halved(label, "nearest"))
    assert np.array_equal(load(store)("img").unwrap().payload, pixels)
    assert isinstance(save(store)(Item("img/labels/cells", label)).failure(), AlreadyExists)
    save(store, if_exists="replace")(Item("img/labels/cells", label + 1)).unwrap()
    assert labels_listed(tmp_path / "img") == ["nuclei", "cells"]
    for bad in (label.astype("f4"), label > 3):
        failed = save(store)(Item("img/labels/bad", bad)).failure()
        assert isinstance(failed, UnsupportedPayload)
    assert isinstance(save(store)(Item("none/labels/a", label)).failure(), NotFound)
    save(store)(Item("folder/img", pixels, size)).unwrap()
    assert isinstance(save(store)(Item("folder/labels/a", label)).failure(), InvalidKey)
    move(store, "img/labels/cells", "img/labels/membranes").unwrap()
    assert labels_listed(tmp_path / "img") == ["nuclei", "membranes"]
    delete(store, "img/labels/nuclei").unwrap()
    assert labels_listed(tmp_path / "img") == ["membranes"]
    failed = move(store, "folder/img", "img/labels/img").failure()
    assert isinstance(failed, UnsupportedOperation)
    other = images(tmp_path, "0.4" if version == "0.5" else "0.5")
    assert isinstance(save(other)(Item("img/labels/new", label)).failure(), UnsupportedOperation)
    delete(store, "img").unwrap()
    assert isinstance(load(store)("img/labels/membranes").failure(), NotFound)


def test_channels_with_empty_names_keep_them(tmp_path: Path) -> None:
    known = Metadata(axes=("y", "x"), channel_names=("",))
    save(images(tmp_path))(Item("img", np.zeros((4, 5), "u1"), known)).unwrap()
    assert load(images(tmp_path))("img").unwrap().metadata == known


def test_what_another_program_changed_since_counts(tmp_path: Path) -> None:
    store = images(tmp_path)
    known = Metadata(
        axes=("y", "x", "c"),
        scale=(2, 3, 1),
        unit=("nm", "nm", ""),
        channel_names=("a", "b"),
        attributes={"kept": 1},
    )
    save(store)(Item("img", np.zeros((9, 9, 2), "u1"), known)).unwrap()
    assert load(store)("img").unwrap().metadata == known
    document = json.loads((tmp_path / "img" / "zarr.json").read_text())
    ome = document["attributes"]["ome"]
    steps = ome["multiscales"][0]["datasets"][0]["coordinateTransformations"]
    steps[0]["scale"] = [1, 5, 3]
    ome["omero"]["channels"][1]["label"] = "GFP"
    document["attributes"]["new"] = True
    (tmp_path / "img" / "zarr.json").write_text(json.dumps(document))
    assert load(store)("img").unwrap().metadata == evolve(
        known, scale=(5, 3, 1), channel_names=("a", "GFP"), attributes={"kept": 1, "new": True}
    )
