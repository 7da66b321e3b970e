"""Links that a disk store makes: where they lead, what they replace, and where none may lead."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
from attrs import evolve
from disk_access import (
    children,
    error_of,
    everything,
    get,
    link,
    lock,
    make_folder,
    meanwhile,
    move,
    put,
)

from polystore import DiskConfig, IfExists, InvalidSpec, Item, Place, ZarrConfig, load, save

IF_EXISTS: tuple[IfExists, ...] = ("fail", "replace", "skip")


@pytest.fixture
def plate(tmp_path: Path) -> DiskConfig:
    disk = DiskConfig(root=tmp_path / "plate")
    put(disk, "A01.txt", b"A01.txt").unwrap()
    return disk


@pytest.fixture
def view(tmp_path: Path, plate: DiskConfig) -> DiskConfig:
    (tmp_path / "view").mkdir()
    return DiskConfig(root=tmp_path / "view", links_to=(plate,))


def without(view: DiskConfig) -> DiskConfig:
    return evolve(view, links_to=())


def test_a_link_within_a_store_moves_with_it(tmp_path: Path) -> None:
    disk = DiskConfig(root=tmp_path / "root")
    put(disk, "a/b/c", b"1").unwrap()
    for key in ("x", "a/x", "a/b/x", "a/d/e/x", "é/x"):
        assert link(disk, key, Place(disk, "a/b/c")).unwrap() is True
        assert get(disk, key).unwrap() == b"1"
    Path(disk.root).rename(tmp_path / "moved")
    assert get(DiskConfig(root=tmp_path / "moved"), "a/d/e/x").unwrap() == b"1"


def test_a_link_below_a_linked_folder_leads_where_it_should(tmp_path: Path) -> None:
    disk = DiskConfig(root=tmp_path)
    make_folder(disk, "deep/er/real").unwrap()
    Path(tmp_path, "short").symlink_to("deep/er/real")
    put(disk, "a", b"1").unwrap()
    assert link(disk, "short/x", Place(disk, "a")).unwrap()
    assert link(disk, "short/new/x", Place(disk, "a")).unwrap()
    assert get(disk, "short/x").unwrap() == b"1"
    assert get(disk, "deep/er/real/x").unwrap() == b"1"
    assert get(disk, "short/new/x").unwrap() == b"1"


@pytest.mark.parametrize("there", ["file", "link", "broken", "folder", "link to folder"])
@pytest.mark.parametrize("if_exists", IF_EXISTS)
def test_if_exists_decides(tmp_path: Path, there: str, if_exists: IfExists) -> None:
    disk = DiskConfig(root=tmp_path / "root")
    put(disk, "target", b"1").unwrap()
    path = Path(disk.root, "key")
    if there == "file":
        path.write_bytes(b"old")
    elif there == "folder":
        path.mkdir()
    else:
        path.symlink_to({"link": "other", "broken": "missing"}.get(there, "."))
    put(disk, "other", b"other").unwrap()
    before = everything(Path(disk.root))
    outcome = link(disk, "key", Place(disk, "target"), if_exists)
    if there == "folder":
        assert error_of(outcome) == "NotAFile"
    elif if_exists == "fail":
        assert error_of(outcome) == ("NotAFile" if there == "link to folder" else "AlreadyExists")
    elif if_exists == "skip":
        assert outcome.unwrap() is False
    else:
        assert outcome.unwrap() is True
        assert get(disk, "key").unwrap() == b"1"
        assert get(disk, "other").unwrap() == b"other"
        before["key"] = None
    assert everything(Path(disk.root)) == before


def test_places_that_no_link_may_lead_to_are_refused(
    view: DiskConfig, plate: DiskConfig, tmp_path: Path
) -> None:
    error = link(without(view), "a", Place(plate, "A01.txt")).failure()
    assert (type(error).__name__, error.key) == ("UnsupportedOperation", "a")
    assert error.config == without(view)
    assert f"links_to=(DiskConfig(root={plate.root!r}),)" in error.advice
    zarr = ZarrConfig(root=plate.root)
    assert error_of(link(view, "a", Place(zarr, "A01"))) == "UnsupportedOperation"
    for key in ("../secret", "", "/etc/passwd", "a/../b", ".polystore-x", "a\0b"):
        assert error_of(link(view, "a", Place(plate, key))) == "InvalidKey"
        assert error_of(link(view, "a", Place(view, key))) == "InvalidKey"
    odd = DiskConfig(root="/\ud800")
    assert error_of(link(evolve(view, links_to=(odd,)), "a", Place(odd, "x"))) == "InvalidKey"
    assert everything(tmp_path / "view") == {}
    assert link(view, "a", Place(plate, f"{plate.root}/A01.txt")).unwrap()
    assert get(view, "a").unwrap() == b"A01.txt"


@pytest.mark.parametrize("root", ["/\0", "/\ud800", "/" + "x" * 256])
@pytest.mark.parametrize("key", ["a", "a/b"])
def test_a_root_that_is_no_path_is_an_error(root: str, key: str) -> None:
    disk = DiskConfig(root=root)
    for outcome in (
        link(disk, key, Place(disk, "x/y")),
        make_folder(disk, key),
        move(disk, key, "new"),
        lock(disk, key),
    ):
        assert error_of(outcome) == "InvalidKey"
    assert children(disk) == ({}, ["InvalidKey"])


@pytest.mark.parametrize("wrong", [("/data",), (ZarrConfig(root="/data"),), DiskConfig(root="/")])
def test_links_lead_to_stores_on_disk_only(tmp_path: Path, wrong: object) -> None:
    disk = evolve(DiskConfig(root=tmp_path), links_to=cast("tuple[DiskConfig, ...]", wrong))
    error = load(disk)("a.txt").failure()
    assert isinstance(error, InvalidSpec)
    assert error.where == "disk.links_to"


def test_a_link_is_replaced_in_one_step(tmp_path: Path) -> None:
    disk = DiskConfig(root=tmp_path)
    for key in ("a", "b"):
        put(disk, key, key.encode()).unwrap()
    link(disk, "x", Place(disk, "a")).unwrap()

    def replaces() -> None:
        for key in ("b", "a"):
            link(disk, "x", Place(disk, key), "replace").unwrap()

    with meanwhile(replaces, threads=2):
        seen = {get(disk, "x").unwrap() for _ in range(500)}
    assert seen <= {b"a", b"b"}
    assert everything(tmp_path).keys() == {"a", "b", "x"}


def test_items_go_through_linked_keys(view: DiskConfig, plate: DiskConfig) -> None:
    save(plate)(Item("numbers.json", [1, 2])).unwrap()
    link(view, "n.json", Place(plate, "numbers.json")).unwrap()
    assert load(view)("n.json").unwrap().payload == [1, 2]
    assert save(view, if_exists="skip")(Item("n.json", [3])).unwrap().status == "skipped"
    assert save(view, if_exists="replace")(Item("n.json", [3])).unwrap().status == "written"
    assert load(plate)("numbers.json").unwrap().payload == [1, 2]


def test_fsync_links_too(tmp_path: Path) -> None:
    disk = DiskConfig(root=tmp_path / "made", durability="fsync")
    assert link(disk, "a/b/x", Place(disk, "missing")).unwrap()
    assert everything(tmp_path / "made").keys() == {"a", "a/b", "a/b/x"}
