"""OME-Zarr images under the keys of stores of bytes: in files, in a database, in S3."""

from __future__ import annotations

import numpy as np
import pytest
from attrs import evolve
from zarr_objects_made import KINDS, dispatcher, new_zarr_in

from polystore import (
    Item,
    LazyArray,
    Metadata,
    OmeOptions,
    ZarrConfig,
    ZarrLayout,
    create_symlink,
    list_dir,
    list_files,
    load,
    save,
)
from polystore.backends.zarr.ome.pyramid import halved
from polystore.core.errors import NotADirectory
from polystore.core.payload import HostArray

KNOWN = Metadata(axes=("y", "x", "c"), scale=(2, 3, 1), unit=("nanometer", "nanometer", ""))


def picture(seed: int, shape: tuple[int, ...]) -> HostArray:
    return np.random.default_rng(seed).integers(0, 60000, shape).astype("u2")


def pixels_of(store: ZarrConfig, key: str) -> HostArray:
    array = dispatcher().run(load(store), key).unwrap().payload
    assert isinstance(array, np.ndarray)
    return array


in_both_versions = pytest.mark.parametrize(
    ("kind", "version"), [*((kind, "0.5") for kind in KINDS), ("disk", "0.4")]
)


@in_both_versions
def test_images_are_saved_read_and_replaced(kind: str, version: str) -> None:
    ome = OmeOptions(version="0.4" if version == "0.4" else "0.5", levels=3)
    store = evolve(new_zarr_in(kind), layout=ZarrLayout.IMAGE, ome=ome)
    run = dispatcher().run
    old, new = picture(1, (700, 300, 2)), picture(2, (310, 220, 2))
    assert run(save(store), Item("a/img", old, KNOWN)).unwrap().status == "written"
    lazy = run(load(store, lazy=True), "a/img").unwrap().payload
    assert isinstance(lazy, LazyArray)
    for image in (old, new):
        run(save(store, if_exists="replace"), Item("a/img", image, KNOWN)).unwrap()
        assert np.array_equal(pixels_of(store, "a/img"), image)
        assert run(load(store), "a/img").unwrap().metadata == KNOWN
    assert (
        run(save(store, if_exists="skip"), Item("a/img", old, KNOWN)).unwrap().status == "skipped"
    )
    label = (new[..., 0] // 9).astype("i4")
    run(save(store), Item("a/img/labels/nuclei", label)).unwrap()
    found = pixels_of(store, "a/img/labels/nuclei/1")
    assert np.array_equal(found, halved(label, "nearest"))


def keys(store: ZarrConfig, folder: str = "") -> set[str]:
    return set(list_files(store, folder=folder, dispatcher=dispatcher()).unwrap())


@in_both_versions
def test_listings_do_not_enter_images(kind: str, version: str) -> None:
    ome = OmeOptions(version="0.4" if version == "0.4" else "0.5", levels=2)
    images = evolve(new_zarr_in(kind), layout=ZarrLayout.IMAGE, ome=ome)
    plate = evolve(new_zarr_in(kind), layout=ZarrLayout.PLATE, ome=ome)
    pixels = Metadata(axes=("y", "x"))
    for store, image in ((images, "a/b/img"), (plate, "A/1/0")):
        for key in (image, f"{image}/labels/nuclei"):
            dispatcher().run(save(store), Item(key, picture(1, (40, 40)), pixels)).unwrap()
        folder, first = image.rpartition("/")[0], image.partition("/")[0]
        for above in ("", first, folder):
            assert keys(store, above) == {image}
        assert set(list_dir(store, dispatcher=dispatcher()).unwrap()) == {first}
        assert set(list_dir(store, folder, dispatcher=dispatcher()).unwrap()) == {image}
        entered = list_files(store, folder=image, dispatcher=dispatcher())
        assert isinstance(entered.failure(), NotADirectory)
        assert keys(store, f"{image}/labels") == {f"{image}/labels/nuclei"}
    create_symlink(images, "link", target="a/b/img", dispatcher=dispatcher()).unwrap()
    create_symlink(images, "folder", target="a", dispatcher=dispatcher()).unwrap()
    assert keys(images) == {"a/b/img", "link"}
    assert keys(images, "folder") == {"folder/b/img"}
