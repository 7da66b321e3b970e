"""Links of a disk store into the stores that its config names, and into nothing else."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator, Mapping
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
from hypothesis import example, given
from hypothesis import strategies as st

from polystore import (
    DiskConfig,
    IfExists,
    Item,
    Place,
    Stat,
    ZarrConfig,
    from_spec,
    load,
    save,
    to_spec,
)
from polystore.backends.beneath import LOOK, exchange, open_key, open_root
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


# Making links.


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


# Anything that can be built.

parts = st.sampled_from(("a", "b", "c", "..", ".", ""))
places = st.lists(parts, max_size=4).map("/".join)
targets = st.builds(
    "{}/{}".format, st.sampled_from(("{view}", "{plate}", "{far}", "{outside}", "")), places
) | places.filter(bool)
trees = st.dictionaries(
    st.lists(st.sampled_from("abc"), min_size=1, max_size=2).map("/".join),
    st.none() | targets,
    max_size=5,
)
keys = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map("/".join)
NAMES = ("view", "plate", "far", "outside")


def build(base: str, name: str, tree: Mapping[str, str | None]) -> None:
    Path(base, name).mkdir()
    roots = {each: f"{base}/{each}" for each in NAMES}
    for key, target in tree.items():
        path = Path(base, name, key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(exist_ok=False) if target is None else path.symlink_to(
                target.format(**roots)
            )
        except (FileExistsError, NotADirectoryError):
            continue


def inodes(*folders: str) -> Iterator[int]:
    for folder in folders:
        yield os.lstat(folder).st_ino
        yield from (os.lstat(path).st_ino for path in Path(folder).rglob("*"))


@given(trees, trees, trees, keys)
@example({"a": "{plate}"}, {"a": "{far}/"}, {"a": None}, "a/a/a")
@example({"a": "{plate}/.."}, {}, {}, "a/b")
@example({"a": "{far}/a"}, {}, {"a": None}, "a")
@example({"a": "{plate}/a"}, {"a": "{view}/b"}, {"b": None}, "a")
def test_what_is_opened_lies_in_a_root_that_is_named(
    in_view: Mapping[str, str | None],
    in_plate: Mapping[str, str | None],
    in_far: Mapping[str, str | None],
    key: str,
) -> None:
    with tempfile.TemporaryDirectory() as base:
        for name, tree in (("view", in_view), ("plate", in_plate), ("far", in_far)):
            build(base, name, tree)
        build(base, "outside", {"a": None, "b/a": None, "c": None})
        far = DiskConfig(root=f"{base}/far")
        plate = DiskConfig(root=f"{base}/plate", links_to=(far,))
        try:
            fd = open_key(f"{base}/view", key, LOOK, (plate,))
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV):
                raise
        else:
            found = os.fstat(fd)
            os.close(fd)
            assert os.path.samestat(found, os.stat(f"{base}/view/{key}"))  # noqa: PTH116
            assert found.st_ino in set(inodes(*(f"{base}/{name}" for name in NAMES[:3])))


@given(trees.map(lambda tree: {k: t for k, t in tree.items() if t is None or "." not in t}), keys)
def test_links_by_the_path_of_a_root_lead_where_the_system_says(
    tree: Mapping[str, str | None], key: str
) -> None:
    with tempfile.TemporaryDirectory() as base:
        # Absolute ones into the view itself leave it, so that it has to be named, too.
        build(base, "view", tree)
        for name in NAMES[1:]:
            build(base, name, {"a": None, "b/a": None, "c": "b"})
        named = tuple(DiskConfig(root=f"{base}/{name}") for name in NAMES)
        inner = tuple(evolve(each, links_to=named) for each in named)
        view = DiskConfig(root=f"{base}/view", links_to=inner)
        try:
            there = os.stat(f"{base}/view/{key}")  # noqa: PTH116
        except OSError:
            there = None
        links = sum(target is not None and target.startswith("/") for target in tree.values())
        if there is None or links > 2 or any(t == "/" for t in tree.values()):
            return
        fd = open_key(view.root, key, LOOK, view.links_to)
        assert os.path.samestat(os.fstat(fd), there)
        os.close(fd)


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
