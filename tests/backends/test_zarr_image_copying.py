"""Copies of OME-Zarr images and of fields as they are stored: all of their files, with labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from image_processes import Version
from plate_writers import document, listed_fields
from store_access import opened
from zarr_access import error_of, everything, hidden_in, path_of

from polystore import (
    IfExists,
    Item,
    Key,
    Metadata,
    OmeOptions,
    Outcome,
    ZarrConfig,
    ZarrLayout,
    list_files,
    load,
    save,
)
from polystore.core.payload import HostArray

CYX = Metadata(axes=("c", "y", "x"), scale=(1, 0.5, 0.25), channel_names=("DAPI", "GFP"))
PIXELS = np.random.default_rng(0).integers(0, 60000, (2, 520, 300)).astype("u2")
LABEL = (PIXELS[0] // 9000).astype("u1")


def store_at(root: Path, layout: ZarrLayout, version: Version = "0.5") -> ZarrConfig:
    return ZarrConfig(root=root, layout=layout, ome=OmeOptions(version=version))


def copied(
    store: ZarrConfig, key: str, to: ZarrConfig, new_key: str, if_exists: IfExists = "fail"
) -> Outcome[bool]:
    here, there = opened(store), opened(to)
    assert here.backend.copy is not None
    return here.backend.copy(here.handle, Key(key), there.handle, Key(new_key), if_exists)


def files_of(store: ZarrConfig, key: str) -> dict[str, bytes | None]:
    return everything(ZarrConfig(root=path_of(store, key)))


def pixels_of(store: ZarrConfig, key: str) -> HostArray:
    return load(store)(key).unwrap().payload


def save_with_labels(store: ZarrConfig, key: str) -> None:
    save(store)(Item(key, PIXELS, CYX)).unwrap()
    for name in ("nuclei", "cells"):
        save(store)(Item(f"{key}/labels/{name}", LABEL)).unwrap()


@pytest.mark.parametrize("version", ["0.5", "0.4"])
def test_a_copy_of_an_image_is_the_same_files_and_has_its_labels(
    tmp_path: Path, version: Version
) -> None:
    store, other = (store_at(tmp_path / name, ZarrLayout.IMAGE, version) for name in "ab")
    save_with_labels(store, "g/img")
    assert copied(store, "g/img", other, "new/img").unwrap()
    files = files_of(store, "g/img")
    assert files_of(other, "new/img") == files
    assert len([name for name in files if "/c/" in name or "/0" in name]) > 3
    assert list_files(other).unwrap() == ("new/img",)
    labels = list_files(other, folder="new/img/labels").unwrap()
    assert labels == ("new/img/labels/cells", "new/img/labels/nuclei")
    for key in labels:
        assert np.array_equal(pixels_of(other, key), LABEL)
    ours, theirs = load(store)("g/img").unwrap(), load(other)("new/img").unwrap()
    assert np.array_equal(theirs.payload, PIXELS)
    assert theirs.metadata == ours.metadata
    assert theirs.history[:-1] == ours.history[:-1], "but that each was loaded from its store"
    assert hidden_in(other) == []


def test_a_copy_replaces_an_image_with_its_labels(tmp_path: Path) -> None:
    store, other = (store_at(tmp_path / name, ZarrLayout.IMAGE) for name in "ab")
    save(store)(Item("img", PIXELS, CYX)).unwrap()
    save_with_labels(other, "img")
    before = everything(other)
    assert error_of(copied(store, "img", other, "img")) == "AlreadyExists"
    assert copied(store, "img", other, "img", "skip").unwrap() is False
    assert everything(other) == before
    assert copied(store, "img", other, "img", "replace").unwrap()
    assert files_of(other, "img") == files_of(store, "img")
    assert error_of(copied(store, "none", other, "new")) == "NotFound"


@pytest.mark.parametrize("version", ["0.5", "0.4"])
def test_an_image_of_another_version_is_not_copied(tmp_path: Path, version: Version) -> None:
    store = store_at(tmp_path / "a", ZarrLayout.IMAGE, version)
    other = store_at(tmp_path / "b", ZarrLayout.IMAGE, "0.4" if version == "0.5" else "0.5")
    save(store)(Item("img", PIXELS, CYX)).unwrap()
    assert error_of(copied(store, "img", other, "img")) == "UnsupportedOperation"
    assert not (tmp_path / "b" / "img").exists()


def test_a_copy_of_a_field_is_the_same_files_and_is_listed(tmp_path: Path) -> None:
    plate, other = (store_at(tmp_path / name, ZarrLayout.PLATE) for name in "ab")
    save_with_labels(plate, "A/1/0")
    save(other)(Item("B/2/0", PIXELS, CYX)).unwrap()
    assert copied(plate, "A/1/0", other, "C/10/1").unwrap()
    assert files_of(other, "C/10/1") == files_of(plate, "A/1/0")
    assert np.array_equal(pixels_of(other, "C/10/1"), PIXELS)
    assert np.array_equal(pixels_of(other, "C/10/1/labels/cells"), LABEL)
    assert list_files(other).unwrap() == ("B/2/0", "C/10/1")
    assert listed_fields(other) == {"B/2/0", "C/10/1"}
    assert document(other)["plate"]
    assert error_of(copied(plate, "A/1/0", other, "img")) == "InvalidKey"
    assert hidden_in(other) == []
