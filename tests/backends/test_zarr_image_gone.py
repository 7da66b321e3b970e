"""Images that go while others save labels of them, or read what is in them."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import ParamSpec, TypeVar

import pytest
from zarr_access import (
    ARRAY,
    ZARR_PYTHON,
    delete,
    error_of,
    everything,
    group_of,
    hidden_in,
    listed,
    path_of,
    put,
)

from polystore import ZarrConfig, ZarrLayout, delete_tree, is_successful, load
from polystore.backends.zarr.folder import amending, groups
from polystore.backends.zarr.folder.node import open_end, open_folder
from polystore.backends.zarr.folder.tree import folder_tree
from polystore.backends.zarr.tree import Files
from polystore.core.key import Key
from polystore.core.outcome import Outcome, Success

P = ParamSpec("P")
T = TypeVar("T")

ALL = (slice(None), slice(None))
LABEL = "a/labels/n"


@pytest.fixture
def images(tmp_path: Path) -> ZarrConfig:
    return ZarrConfig(root=tmp_path / "images", layout=ZarrLayout.IMAGE)


def _nothing(_files: Files) -> Outcome[None]:
    return Success(None)


@pytest.mark.parametrize("layout", [ZarrLayout.IMAGE, ZarrLayout.PLATE])
def test_a_label_makes_no_group_where_its_image_was(tmp_path: Path, layout: ZarrLayout) -> None:
    store = ZarrConfig(root=tmp_path / "store", layout=layout)
    put(store, "A/1/0", ARRAY).unwrap()
    tree = folder_tree(store)
    before = everything(store)
    for image in ("A/1/1", "A/2/0"):
        assert error_of(tree.build(Key(f"{image}/labels/n"), "replace", _nothing)) == "NotFound"
        assert error_of(tree.amend(f"{image}/labels", lambda it: {**it, "b": 1})) == "NotFound"
    assert error_of(tree.amend("A/1/0/labels", lambda it: {**it, "b": 1})) == "NotFound"
    assert everything(store) == before


@pytest.mark.parametrize("replaced", [False, True])
def test_an_image_may_go_at_any_moment_of_a_save_of_its_label(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replaced: bool
) -> None:
    for number in count(1):
        store = ZarrConfig(root=tmp_path / str(number), layout=ZarrLayout.IMAGE)
        put(store, "a", ARRAY).unwrap()
        before = everything(store)
        left = number

        def now(store: ZarrConfig = store) -> None:
            nonlocal left
            left -= 1
            if left == 0 and replaced:
                put(store, "a", ARRAY, "replace").unwrap()
            elif left == 0:
                delete(store, "a").unwrap()

        with monkeypatch.context() as patch:
            patch.setattr(groups, "open_folder", _after(now, open_folder))
            patch.setattr(amending, "open_end", _after(now, open_end))
            done = put(store, LABEL, ARRAY)
        assert is_successful(done) or error_of(done) in ("NotFound", "Unavailable")
        if left <= 0 and not replaced:
            assert not path_of(store, "a").exists()
        if replaced and path_of(store, "a/labels").exists():
            names = group_of(store, "a/labels").attrs["ome"]
            assert names == {"version": "0.5", "labels": ["n"]}
            assert path_of(store, LABEL).exists()
        put(store, "a", ARRAY, "replace").unwrap()
        assert everything(store).keys() == before.keys(), "something was left"
        if left > 0:
            assert number > 5, "the tree opens folders in another way now"
            break


def _after(now: Callable[[], None], then: Callable[P, T]) -> Callable[P, T]:
    def called(*args: P.args, **kwargs: P.kwargs) -> T:
        now()
        return then(*args, **kwargs)

    return called


def _bar(store: ZarrConfig) -> None:
    put(store, "b", ARRAY).unwrap()
    for at in ("a", "a/labels"):
        ZARR_PYTHON.open_group(path_of(store, at), mode="a")


def test_an_empty_group_of_labels_bars_no_image(images: ZarrConfig) -> None:
    _bar(images)
    assert error_of(put(images, "a", ARRAY)) == "NotAFile"
    assert error_of(put(images, "a", ARRAY, "skip")) == "NotAFile"
    put(images, "a", ARRAY, "replace").unwrap()
    assert listed(images) == ("a", "b")
    delete(images, "a").unwrap()
    _bar_again(images)
    delete(images, "a").unwrap()
    assert not path_of(images, "a").exists()


def _bar_again(store: ZarrConfig) -> None:
    for at in ("a", "a/labels"):
        ZARR_PYTHON.open_group(path_of(store, at), mode="a")


@pytest.mark.parametrize("other", ["a/c", "a/labels/c", "a/labels"])
def test_a_group_of_labels_that_holds_anything_stays(images: ZarrConfig, other: str) -> None:
    _bar(images)
    if other == "a/labels":
        images = ZarrConfig(root=images.root, layout=ZarrLayout.ARRAY)
    else:
        ZARR_PYTHON.create_array(path_of(images, other), data=ARRAY)
    before = everything(images)
    assert error_of(put(images, "a", ARRAY, "replace")) == "NotAFile"
    assert error_of(delete(images, "a")) == "NotAFile"
    assert everything(images) == before


@pytest.mark.parametrize("layout", [ZarrLayout.IMAGE, ZarrLayout.ARRAY])
@pytest.mark.parametrize("what", ["replace", "delete", "the label"])
@pytest.mark.parametrize("key", [LABEL, "a/0", f"{LABEL}/0"])
def test_what_is_held_of_an_image_outlives_it(
    images: ZarrConfig, key: str, what: str, layout: ZarrLayout
) -> None:
    put(images, "a", ARRAY).unwrap()
    put(images, LABEL, ARRAY).unwrap()
    reader = ZarrConfig(root=images.root, layout=layout)
    if layout is ZarrLayout.ARRAY and key == LABEL:
        assert error_of(load(reader, lazy=True)(key)) == "NotAFile"
        return
    lazy = load(reader, lazy=True)(key).unwrap().payload
    if what == "delete":
        delete(images, "a").unwrap()
    else:
        put(images, LABEL if what == "the label" else "a", ARRAY + 1, "replace").unwrap()
    assert lazy.read(ALL).unwrap().tolist() == ARRAY.tolist()
    del lazy
    gc.collect()
    assert hidden_in(images) == [], "nobody holds it any more"


def test_a_pipe_in_the_place_of_a_document_keeps_a_tree_from_being_deleted(
    images: ZarrConfig,
) -> None:
    put(images, "g/a", ARRAY).unwrap()
    os.mkfifo(path_of(images, "g/.zattrs"))
    before = everything(images)
    assert error_of(delete_tree(images, "g")) == "NotAFile"
    assert everything(images) == before
    delete(images, "g/a").unwrap()
    assert "there is 1 name in it" in delete(images, "g").failure().message
    assert path_of(images, "g/zarr.json").exists()
