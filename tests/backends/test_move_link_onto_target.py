"""A link that is moved replaces nothing that it leads to, in any store: it would be lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from store_access import Config, error_of, link_by_hand, move, stat
from store_access import link as make_link

from polystore import DiskConfig, Item, MemoryConfig, ZarrConfig, handles, load, save

on_every_store = pytest.mark.parametrize("kind", ["disk", "zarr", "memory"])


@pytest.fixture
def store(kind: str, tmp_path: Path) -> Iterator[Config]:
    with handles():
        if kind == "memory":
            yield MemoryConfig(name="onto-target")
        else:
            yield (DiskConfig if kind == "disk" else ZarrConfig)(root=tmp_path / "root")


def link(store: Config, key: str, to: str) -> None:
    if isinstance(store, MemoryConfig):
        make_link(store, key, to).unwrap()
    else:
        link_by_hand(store, key, to)


def put(store: Config, key: str) -> None:
    save(store)(Item(key, np.arange(3))).unwrap()


def value_at(store: Config, key: str) -> object:
    return np.asarray(load(store)(key).unwrap().payload).tolist()


@on_every_store
@pytest.mark.parametrize(
    ("links", "old", "new"),
    [
        ({"l.npy": "t.npy"}, "l.npy", "t.npy"),
        ({"l.npy": "f/u.npy"}, "l.npy", "f/u.npy"),
        ({"f/l.npy": "t.npy"}, "f/l.npy", "t.npy"),
        ({"l.npy": "m.npy", "m.npy": "t.npy"}, "l.npy", "t.npy"),
        ({"l.npy": "m.npy", "m.npy": "t.npy"}, "l.npy", "m.npy"),
        ({"g": "f", "l.npy": "g/u.npy"}, "l.npy", "f/u.npy"),
        ({"g": "f", "l.npy": "f/u.npy"}, "l.npy", "g/u.npy"),
        ({"g": "f", "l.npy": "g/u.npy"}, "l.npy", "g"),
        ({"l.npy": "none.npy"}, "l.npy", "none.npy"),
        ({"l.npy": "none/x.npy"}, "l.npy", "none/x.npy"),
    ],
)
def test_what_a_link_leads_to_is_not_lost(
    store: Config, links: dict[str, str], old: str, new: str
) -> None:
    for key in ("t.npy", "f/u.npy"):
        put(store, key)
    for key, to in links.items():
        link(store, key, to)
    before = {key: stat(store, key).map(lambda it: it.link).value_or(key) for key in links}
    assert error_of(move(store, old, new, "replace")) == "InvalidKey"
    assert {key: stat(store, key).map(lambda it: it.link).value_or(key) for key in links} == before
    for key in ("t.npy", "f/u.npy"):
        assert value_at(store, key) == [0, 1, 2]


@on_every_store
def test_a_link_replaces_what_it_does_not_lead_to(store: Config) -> None:
    for key in ("t.npy", "other.npy"):
        put(store, key)
    link(store, "l.npy", "m.npy")
    link(store, "m.npy", "t.npy")
    assert move(store, "l.npy", "other.npy", "replace").unwrap() is True
    assert value_at(store, "other.npy") == [0, 1, 2]
    assert move(store, "m.npy", "other.npy", "replace").unwrap() is True
    assert stat(store, "other.npy").unwrap().link == "t.npy"
    link(store, "in", "a")
    link(store, "a", "circle")
    link(store, "circle", "a")
    assert move(store, "in", "other.npy", "replace").unwrap() is True
    assert move(store, "t.npy", "other.npy", "replace").unwrap() is True
    assert value_at(store, "other.npy") == [0, 1, 2]


def test_a_link_that_leads_out_of_the_root_and_back_loses_nothing(tmp_path: Path) -> None:
    root = tmp_path / "root"
    disk = DiskConfig(root=root)
    put(disk, "t.npy")
    (root / "l.npy").symlink_to(root / "t.npy")
    (root / "up.npy").symlink_to("../root/./t.npy")
    for key in ("l.npy", "up.npy"):
        assert error_of(move(disk, key, "t.npy", "replace")) == "InvalidKey"
    assert value_at(disk, "t.npy") == [0, 1, 2]


def test_a_link_that_would_lead_to_itself_from_there_replaces_nothing(tmp_path: Path) -> None:
    disk = DiskConfig(root=tmp_path)
    put(disk, "f/other.npy")
    put(disk, "t.npy")
    (tmp_path / "f/l.npy").symlink_to("t.npy")
    assert error_of(move(disk, "f/l.npy", "t.npy", "replace")) == "InvalidKey"
    assert value_at(disk, "t.npy") == [0, 1, 2]
