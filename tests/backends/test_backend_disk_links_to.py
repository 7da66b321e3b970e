"""Links of a disk store into the stores that its config names, and into nothing else."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from attrs import evolve
from disk_access import (
    children,
    delete,
    error_of,
    everything,
    get,
    link,
    listed,
    make_folder,
    meanwhile,
    move,
    put,
    status,
)

from polystore import (
    DiskConfig,
    IfExists,
    Place,
    Stat,
    from_spec,
    load,
    to_spec,
)
from polystore.backends.beneath import exchange, open_root
from polystore.backends.walk import within

IF_EXISTS: tuple[IfExists, ...] = ("fail", "replace", "skip")


@pytest.fixture
def plate(tmp_path: Path) -> DiskConfig:
    disk = DiskConfig(root=tmp_path / "plate")
    for key in ("A01.txt", "wells/B02.txt", "wells/deep/C03.txt"):
        put(disk, key, key.encode()).unwrap()
    return disk


@pytest.fixture
def view(tmp_path: Path, plate: DiskConfig) -> DiskConfig:
    (tmp_path / "view").mkdir()
    return DiskConfig(root=tmp_path / "view", links_to=(plate,))


def without(view: DiskConfig) -> DiskConfig:
    return evolve(view, links_to=())


def test_a_link_to_another_store_is_followed_by_who_names_it(
    view: DiskConfig, plate: DiskConfig
) -> None:
    assert link(view, "made/a.txt", Place(plate, "A01.txt")).unwrap() is True
    text = f"{plate.root}/A01.txt"
    assert os.readlink(f"{view.root}/made/a.txt") == text  # noqa: PTH115 - the text itself
    assert get(view, "made/a.txt").unwrap() == b"A01.txt"
    assert load(view)("made/a.txt").unwrap().payload == "A01.txt"
    found = status(view, "made/a.txt").unwrap()
    assert (found.kind, found.nbytes, found.link) == ("file", 7, text)
    assert listed(view) == (["made/a.txt"], [])
    assert error_of(get(without(view), "made/a.txt")) == "InvalidKey"
    assert "links_to" in str(get(without(view), "made/a.txt").failure())
    broken = status(without(view), "made/a.txt").unwrap()
    assert broken == Stat("broken link", None, None, text)
    assert listed(without(view)) == (["made/a.txt"], [])


def test_what_is_below_a_linked_folder_is_there(view: DiskConfig, plate: DiskConfig) -> None:
    link(view, "raw/wells", Place(plate, "wells")).unwrap()
    Path(view.root, "all").symlink_to(plate.root)
    Path(view.root, "slash").symlink_to(f"{plate.root}//wells/./")
    assert get(view, "raw/wells/B02.txt").unwrap() == b"wells/B02.txt"
    assert get(view, "slash/B02.txt").unwrap() == b"wells/B02.txt"
    assert get(view, "all/wells/deep/C03.txt").unwrap() == b"wells/deep/C03.txt"
    assert status(view, "raw/wells").unwrap().kind == "folder"
    found = status(view, "raw/wells/B02.txt").unwrap()
    assert (found.kind, found.link) == ("file", None)
    assert error_of(get(view, "raw/wells")) == "NotAFile"
    assert error_of(get(view, "raw/wells/b02.txt")) == "NotFound"
    assert "'raw/wells/B02.txt'" in str(get(view, "raw/wells/b02.txt").failure())
    # Links to folders are not entered, but may be asked for.
    assert listed(view) == ([], [])
    assert listed(view, "raw/wells") == (["raw/wells/B02.txt", "raw/wells/deep/C03.txt"], [])
    assert listed(view, "raw/wells/deep") == (["raw/wells/deep/C03.txt"], [])
    assert children(view) == ({"all": "link", "raw": "folder", "slash": "link"}, [])
    assert children(view, "raw/wells")[0] == {
        "raw/wells/B02.txt": "file",
        "raw/wells/deep": "folder",
    }


@pytest.mark.parametrize("if_exists", IF_EXISTS)
def test_nothing_is_changed_through_a_link_to_another_store(
    view: DiskConfig, plate: DiskConfig, if_exists: IfExists
) -> None:
    link(view, "wells", Place(plate, "wells")).unwrap()
    link(view, "a.txt", Place(plate, "A01.txt")).unwrap()
    put(view, "mine", b"1").unwrap()
    before = everything(Path(plate.root))
    for key in ("wells/B02.txt", "wells/new", "wells/new/deep"):
        assert error_of(put(view, key, b"1", if_exists)) == "InvalidKey"
        assert error_of(delete(view, key)) == "InvalidKey"
        assert error_of(move(view, key, "stolen", if_exists)) == "InvalidKey"
        assert error_of(move(view, "mine", key, if_exists)) == "InvalidKey"
        assert error_of(link(view, key, Place(plate, "A01.txt"), if_exists)) == "InvalidKey"
        error = put(view, key, b"1", if_exists).failure()
        for outcome in (delete(view, key), move(view, key, "stolen"), move(view, "mine", key)):
            assert str(outcome.failure()) == str(error)
        assert "in that store itself" in error.advice
    assert error_of(make_folder(view, "wells/new")) == "InvalidKey"
    assert make_folder(view, "wells/deep").unwrap() is None  # it is there
    # What is replaced, moved or deleted is the link.
    put(view, "a.txt", b"new", "replace").unwrap()
    assert get(view, "a.txt").unwrap() == b"new"
    assert move(view, "wells", "made/wells").unwrap()
    assert get(view, "made/wells/B02.txt").unwrap() == b"wells/B02.txt"
    assert delete(view, "made/wells").unwrap() is None
    assert everything(Path(plate.root)) == before


def test_links_go_on_as_the_store_that_they_lead_to_says(tmp_path: Path) -> None:
    far = DiskConfig(root=tmp_path / "far")
    middle = DiskConfig(root=tmp_path / "middle", links_to=(far,))
    near = DiskConfig(root=tmp_path / "near", links_to=(middle,))
    put(far, "a.txt", b"far").unwrap()
    link(middle, "m.txt", Place(far, "a.txt")).unwrap()
    link(near, "n.txt", Place(middle, "m.txt")).unwrap()
    link(near, "again.txt", Place(near, "n.txt")).unwrap()
    assert get(near, "again.txt").unwrap() == b"far"
    # The near one names the middle one only, and a middle one that names nothing leads nowhere.
    Path(near.root, "straight.txt").symlink_to(f"{far.root}/a.txt")
    assert error_of(get(near, "straight.txt")) == "InvalidKey"
    shut = evolve(near, links_to=(without(middle),))
    assert error_of(get(shut, "n.txt")) == "InvalidKey"
    assert status(shut, "n.txt").unwrap().kind == "broken link"


def test_circles_between_stores_end(tmp_path: Path) -> None:
    one, other = (str(tmp_path / name) for name in ("one", "other"))
    both = (DiskConfig(root=one), DiskConfig(root=other))
    # A config cannot hold itself: each link needs one more that allows it.
    for _ in range(60):
        both = (DiskConfig(root=one, links_to=both), DiskConfig(root=other, links_to=both))
    for root, target in ((one, other), (other, one)):
        Path(root).mkdir()
        Path(root, "a").symlink_to(f"{target}/a")
        Path(root, "folder").symlink_to(target)
    assert error_of(get(both[0], "a")) == "InvalidKey"
    assert status(both[0], "a").unwrap().kind == "broken link"
    assert listed(both[0]) == (["a"], [])
    assert listed(both[0], "folder/folder/folder") == (["folder/folder/folder/a"], [])


def test_a_root_is_the_nearest_of_those_that_are_named(tmp_path: Path) -> None:
    inner = DiskConfig(root=tmp_path / "data/plate")
    put(inner, "a", b"1").unwrap()
    (tmp_path / "data/secret").write_bytes(b"2")
    (tmp_path / "data/plate/up").symlink_to("../secret")
    outer = DiskConfig(root=tmp_path / "data")
    view = DiskConfig(root=tmp_path / "view", links_to=(outer, inner))
    link(view, "a", Place(inner, "a")).unwrap()
    link(view, "up", Place(inner, "up")).unwrap()
    assert get(view, "a").unwrap() == b"1"
    assert error_of(get(view, "up")) == "InvalidKey"
    assert get(evolve(view, links_to=(outer,)), "up").unwrap() == b"2"
    # A place below a root that is named is allowed, whatever config names it.
    wide = evolve(view, links_to=(outer,))
    assert link(wide, "b", Place(inner, "a")).unwrap()
    assert get(wide, "b").unwrap() == b"1"


@pytest.mark.parametrize(
    "target",
    [
        "{plate}/../secret",
        "{plate}/wells/../../secret",
        "{plate}s/secret",
        "{plate}/up",
        "{plate}/absolute",
        "{view}/../secret",
        "../plate/A01.txt",  # leads there, but not by the root's path
        "/proc/self/root{plate}/A01.txt",
    ],
)
def test_no_link_leads_around_the_roots(
    view: DiskConfig, plate: DiskConfig, tmp_path: Path, target: str
) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "plates").mkdir()
    (tmp_path / "plates/secret").write_bytes(b"secret")
    Path(plate.root, "up").symlink_to("../secret")
    Path(plate.root, "absolute").symlink_to(tmp_path / "secret")
    Path(view.root, "link").symlink_to(target.format(plate=plate.root, view=view.root))
    assert error_of(get(view, "link")) == "InvalidKey"
    assert status(view, "link").unwrap().kind == "broken link"
    assert listed(view) == (["link"], [])


def test_a_link_to_a_store_that_is_gone_is_broken(view: DiskConfig, plate: DiskConfig) -> None:
    link(view, "a", Place(plate, "missing")).unwrap()
    link(view, "b", Place(plate, "A01.txt")).unwrap()
    Path(plate.root).rename(f"{plate.root} away")
    for key in ("a", "b"):
        assert status(view, key).unwrap().kind == "broken link"
        error = get(view, key).failure()
        assert type(error).__name__ == "NotFound"
        assert plate.root in error.message
    assert listed(view) == (["a", "b"], [])
    assert not Path(plate.root).exists()


def test_configs_that_name_others_go_through_json(view: DiskConfig) -> None:
    assert from_spec(to_spec(load(view)).unwrap()).unwrap() == load(view)


def test_no_load_gets_out_through_a_linked_folder_that_is_swapped(
    view: DiskConfig, plate: DiskConfig, tmp_path: Path
) -> None:
    outside = tmp_path / "outside/wells"
    outside.mkdir(parents=True)
    (outside / "B02.txt").write_bytes(b"secret")
    Path(plate.root, "other").symlink_to(outside)
    link(view, "raw", Place(plate, "wells")).unwrap()
    root = open_root(plate.root)
    seen: set[bytes | str] = set()
    try:
        exchange(root, "wells", "other")
        with meanwhile(lambda: exchange(root, "wells", "other")):
            for _ in range(1000):
                outcome = get(view, "raw/B02.txt")
                seen.add(outcome.value_or(b"") or error_of(outcome))
                assert set(listed(view, "raw")[0]) <= {"raw/B02.txt", "raw/deep/C03.txt"}
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        pytest.skip("this file system cannot exchange names")
    finally:
        os.close(root)
    assert seen <= {b"wells/B02.txt", "InvalidKey"}


@pytest.mark.parametrize(
    ("path", "root", "rest"),
    [
        ("/data/plate/a", "/data/plate", "a"),
        ("/data/plate", "/data/plate/", "."),
        ("//data/./plate//a/", "/data/plate", "a/."),
        ("/data/plate/../a", "/data/plate", "../a"),
        ("/data/x/../plate/a", "/data/x/../plate", "a"),
        ("/a/b", "/", "a/b"),
        ("/data/plates", "/data/plate", None),
        ("/data/x/../plate/a", "/data/plate", None),
        ("/data", "/data/plate", None),
    ],
)
def test_a_path_is_within_a_root_by_its_parts(path: str, root: str, rest: str | None) -> None:
    assert within(path, root) == rest
