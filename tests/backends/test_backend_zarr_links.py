"""Links of a Zarr store: an attribute that names another key, followed wherever a node is read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from store_access import children, keys, link, link_to, make_folder, move
from zarr_access import (
    ARRAY,
    delete,
    error_of,
    everything,
    got,
    group_of,
    hidden_in,
    listed,
    path_of,
    put,
    status,
)

from polystore import (
    DiskConfig,
    IfExists,
    MemoryConfig,
    OmeOptions,
    Stat,
    ZarrConfig,
    ZarrLayout,
    load,
)
from polystore.core.records import Place

MODES: tuple[IfExists, ...] = ("fail", "skip", "replace")


@pytest.fixture
def store(tmp_path: Path) -> ZarrConfig:
    return ZarrConfig(root=tmp_path / "plate.zarr")


def test_a_link_is_an_attribute_of_an_empty_group(store: ZarrConfig) -> None:
    put(store, "f/a", ARRAY).unwrap()
    assert link(store, "g/l", "f/a").unwrap()
    assert got(store, "g/l").tolist() == ARRAY.tolist()
    fields = json.loads(path_of(store, "g/l/zarr.json").read_bytes())
    assert fields["attributes"] == {"polystore": {"version": 1, "link": "f/a"}}
    assert list(group_of(store, "g/l").members()) == []
    found = status(store, "g/l").unwrap()
    there = status(store, "f/a").unwrap()
    assert found == Stat("file", there.nbytes, there.modified_ns, "f/a", there.etag)
    assert children(store, "g").unwrap() == {"g/l": "link"}
    assert listed(store) == ("f/a", "g/l")


def test_a_link_to_a_folder_is_no_key_and_leads_on(store: ZarrConfig) -> None:
    put(store, "f/deep/a", ARRAY).unwrap()
    link(store, "l", "f/deep").unwrap()
    link(store, "again", "l").unwrap()
    assert listed(store) == ("f/deep/a",)
    assert keys(store, "again").unwrap() == ["again/a"]
    assert children(store, "again").unwrap() == {"again/a": "file"}
    assert got(store, "again/a").tolist() == ARRAY.tolist()
    assert status(store, "again").unwrap().kind == "folder"
    assert status(store, "again/a").unwrap().link is None
    put(store, "again/b", np.zeros(3)).unwrap()
    assert got(store, "f/deep/b").tolist() == [0, 0, 0]
    make_folder(store, "again/group").unwrap()
    move(store, "again/b", "l/c").unwrap()
    delete(store, "again/group").unwrap()
    delete(store, "again/a").unwrap()
    assert keys(store).unwrap() == ["f/deep/c"]
    for mode in MODES[:2]:
        assert error_of(put(store, "again", ARRAY, mode)) == "NotAFile"
    put(store, "again", ARRAY, "replace").unwrap()
    assert keys(store).unwrap() == ["again", "f/deep/c"]


@pytest.mark.parametrize("target", ["nothing", "l", "m", "f/none/deep"])
def test_a_link_that_leads_nowhere(store: ZarrConfig, target: str) -> None:
    """Also in a circle, of one and of two."""
    make_folder(store, "f").unwrap()
    link(store, "m", "l").unwrap()
    link(store, "l", target).unwrap()
    for key in ("l", "m"):
        assert error_of(load(store)(key)) == ("InvalidKey" if target in "lm" else "NotFound")
        assert status(store, key).unwrap().kind == "broken link"
        for mode in MODES[:2]:
            assert error_of(put(store, key, ARRAY, mode)) == "AlreadyExists"
    assert listed(store) == ("l", "m")
    assert error_of(load(store)("l/x")) in {"NotFound", "InvalidKey"}
    assert error_of(put(store, "l/x", ARRAY)) in {"Unavailable", "InvalidKey"}
    assert error_of(keys(store, "l")) in {"NotADirectory", "InvalidKey"}
    put(store, "l", ARRAY, "replace").unwrap()
    assert got(store, "m").tolist() == ARRAY.tolist()
    assert hidden_in(store) == []


def test_what_is_done_to_a_link_leaves_what_it_leads_to(store: ZarrConfig) -> None:
    put(store, "a", ARRAY).unwrap()
    put(store, "b", np.zeros(3)).unwrap()
    before = everything(store)
    link(store, "l", "a").unwrap()
    assert error_of(link(store, "l", "b")) == "AlreadyExists"
    assert link(store, "l", "b", "skip").unwrap() is False
    assert link(store, "l", "b", "replace").unwrap()
    assert got(store, "l").tolist() == [0, 0, 0]
    assert error_of(move(store, "l", "b", "replace")) == "InvalidKey"  # it would lead to itself
    move(store, "l", "f/l").unwrap()
    assert got(store, "f/l").tolist() == [0, 0, 0]
    delete(store, "f/l").unwrap()
    delete(store, "f").unwrap()
    assert everything(store) == before


def test_where_a_link_cannot_lead(store: ZarrConfig, tmp_path: Path) -> None:
    put(store, "g/a", ARRAY).unwrap()
    before = everything(store)
    others = (DiskConfig(root=tmp_path), MemoryConfig(name="x"), ZarrConfig(root=tmp_path / "o"))
    for other in others:
        assert error_of(link_to(store, "l", Place(other, "g/a"))) == "UnsupportedOperation"
    for key in ("", "..", "a/../b", "zarr.json\0"):
        assert error_of(link_to(store, "l", Place(store, key))) == "InvalidKey"
    for mode in MODES:
        assert error_of(link(store, "g", "g/a", mode)) == "NotAFile"
        assert error_of(link(store, "g/a/l", "g/a", mode)) == "NotADirectory"
    assert everything(store) == before


@pytest.mark.parametrize("text", ["", "..", "/etc", "a/../b", "x\\u0000", 5, None, {"a": 1}])
def test_what_others_wrote_into_a_link_leads_nowhere_else(store: ZarrConfig, text: object) -> None:
    """A link that names no key is an empty group."""
    put(store, "a", ARRAY).unwrap()
    make_folder(store, "l").unwrap()
    path = path_of(store, "l/zarr.json")
    fields = json.loads(path.read_bytes())
    fields["attributes"] = {"polystore": {"version": 1, "link": text}}
    path.write_text(json.dumps(fields))
    assert status(store, "l").unwrap().kind == "folder"
    assert error_of(load(store)("l")) == "NotAFile"
    assert listed(store) == ("a",)


def test_a_link_in_version_2(tmp_path: Path) -> None:
    images = ZarrConfig(root=tmp_path, layout=ZarrLayout.IMAGE, ome=OmeOptions(version="0.4"))
    link(images, "g/l", "a").unwrap()
    assert {path.name for path in (tmp_path / "g/l").iterdir()} == {".zgroup", ".zattrs"}
    found = status(images, "g/l").unwrap()
    assert (found.kind, found.link) == ("broken link", "a")
