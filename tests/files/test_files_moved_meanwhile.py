"""A move between stores, and another writer who saves in the middle: what he saved is not lost.

The size and the time of what he saves are those of what was there, as within a tick of the clock.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
from attrs import evolve
from file_stores import SHELF, Shelf, ShelfConfig, Site, error_of, on_every_store, site_of

from polystore import (
    DiskConfig,
    Dispatcher,
    Encoded,
    IfExists,
    Key,
    Outcome,
    Stat,
    copy,
    create_symlink,
    default_registry,
    exists,
    move,
    stat,
)

OTHER = ShelfConfig(name="other")


def timeless(site: Site, *, etag: bool) -> Dispatcher:
    """Give a dispatcher in which the site's store tells no times, and no etags unless it is to."""
    backend = site.dispatcher.backend(site.config).unwrap()
    told = backend.stat
    assert told is not None

    def untimed(handle: object, key: Key, /) -> Outcome[Stat]:
        found = told(handle, key).map(lambda it: evolve(it, modified_ns=None))
        return found if etag else found.map(lambda it: evolve(it, etag=None))

    registry = site.dispatcher.registry.replacing(evolve(backend, stat=untimed)).unwrap()
    return Dispatcher(registry)


def with_writer(site: Site) -> Site:
    """Give a site where another writer saves `a.npy` whenever something is put into OTHER."""
    put = SHELF.put
    assert put is not None

    def slow(shelf: Shelf, key: Key, encoded: Encoded, if_exists: IfExists, /) -> Outcome[bool]:
        written = put(shelf, key, encoded, if_exists)
        if shelf.config == OTHER:
            here.save("a.npy", 2, "replace").unwrap()
        return written

    run = Dispatcher(default_registry().extended(evolve(SHELF, put=slow)).unwrap())
    here = Site(site.kind, site.config, run)
    here = Site(site.kind, site.config, timeless(here, etag=True))
    return here


@on_every_store
def test_what_another_writer_saves_is_not_deleted(kind: str, tmp_path: Path) -> None:
    site = with_writer(site_of(kind, tmp_path))
    site.save("a.npy", 1).unwrap()
    outcome = move(site.config, "a.npy", to=OTHER, dispatcher=site.dispatcher)
    if kind == "zarr":  # which is moved to Zarr alone
        assert error_of(outcome) == "UnsupportedOperation"
        return
    assert error_of(outcome) == "Unavailable"
    assert site.load("a.npy").unwrap() == 2
    assert exists(OTHER, "a.npy", dispatcher=site.dispatcher).unwrap()


def test_what_a_link_leads_to_is_watched(tmp_path: Path) -> None:
    site = with_writer(site_of("disk", tmp_path))
    site.save("a.npy", 1).unwrap()
    create_symlink(site.config, "link.npy", "a.npy").unwrap()
    outcome = move(site.config, "link.npy", to=OTHER, dispatcher=site.dispatcher)
    assert error_of(outcome) == "Unavailable"
    assert exists(site.config, "link.npy").unwrap()


@pytest.mark.parametrize(
    ("kind", "error"),
    [("disk", ""), ("shelf", ""), ("memory", "UnsupportedOperation")],
)
def test_a_store_without_etags_is_read_again_or_not_moved_from(
    kind: str, error: str, tmp_path: Path
) -> None:
    run = timeless(site_of(kind, tmp_path), etag=False)
    site = site_of(kind, tmp_path, run).with_keys("a.npy")
    outcome = move(site.config, "a.npy", to=OTHER, dispatcher=run)
    assert error_of(outcome) == error
    moved = error == ""
    assert exists(OTHER, "a.npy", dispatcher=run).unwrap() == moved
    assert exists(site.config, "a.npy", dispatcher=run).unwrap() != moved
    missing = move(site.config, "b.npy", to=OTHER, dispatcher=run)
    assert error_of(missing) == "NotFound"


@pytest.mark.parametrize("kind", ["disk", "memory", "zarr"])
def test_an_etag_is_of_one_content(kind: str, tmp_path: Path) -> None:
    site = site_of(kind, tmp_path).with_keys("a.npy")

    def etag() -> str | None:
        return stat(site.config, "a.npy", dispatcher=site.dispatcher).unwrap().etag

    told = [etag(), etag()]
    for value in range(3):
        site.save("a.npy", value, "replace").unwrap()
        site.load("a.npy").unwrap()
        told.append(etag())
    assert told[0] == told[1]
    assert len({*told}) == 4
    assert None not in told


LONG = "/".join(["x" * 250] * 17)


def test_a_key_longer_than_paths_is_not_moved_onto_itself(tmp_path: Path) -> None:
    site = site_of("disk", tmp_path)
    site.save(f"{LONG}/a.npy", 1).unwrap()
    (tmp_path / "alias").symlink_to("disk")
    synced = evolve(cast("DiskConfig", site.config), durability="fsync")
    within = DiskConfig(root=tmp_path / "disk" / ("x" * 250))
    for other, key in (
        (synced, f"{LONG}/a.npy"),
        (DiskConfig(root=tmp_path / "alias"), f"{LONG}/a.npy"),
        (within, f"{LONG[251:]}/a.npy"),
    ):
        for if_exists in ("replace", "skip"):
            outcome = move(site.config, f"{LONG}/a.npy", key, to=other, if_exists=if_exists)
            assert outcome.map(lambda saved: saved.status).value_or("") == "skipped"
            assert site.load(f"{LONG}/a.npy").unwrap() == 1
    moved = move(site.config, f"{LONG}/a.npy", f"{LONG}/b.npy", to=synced)
    assert moved.map(lambda saved: saved.status).value_or("") == "written"


@pytest.mark.parametrize("root", ["a\0b", "a\ud800b"])
def test_a_root_that_no_file_system_takes_is_no_bug_of_ours(root: str, tmp_path: Path) -> None:
    odd, site = DiskConfig(root=tmp_path / root), site_of("disk", tmp_path).with_keys("a.npy")
    assert error_of(copy(odd, "a.npy", "b.npy", to=site.config)) == "InvalidKey"
    assert error_of(copy(site.config, "a.npy", to=odd)) == "InvalidKey"
    assert error_of(move(site.config, "a.npy", to=odd)) == "InvalidKey"
    assert exists(site.config, "a.npy").unwrap()
