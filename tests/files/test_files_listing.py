"""Listings: the same on every store, by pattern and suffix, whole or page by page."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import cast

import pytest
from file_stores import Site, error_of, on_every_store, site_of
from hypothesis import given
from hypothesis import strategies as st

from polystore import (
    DiskConfig,
    InvalidKey,
    InvalidSpec,
    Key,
    MemoryConfig,
    NotFound,
    Outcome,
    ReadOnlyConfig,
    Route,
    RouteConfig,
    Source,
    collect_dirs_and_files,
    delete,
    ensure_directory,
    find_file,
    is_successful,
    iter_files,
    list_dir,
    list_files,
    list_image_files,
)
from polystore.core.key import natural_order
from polystore.files.pattern import matcher

KEYS = (
    "f10.npy",
    "f2.npy",
    "a/f1.npy",
    "a/b/f3.npy",
    "a/b/f20.npy",
    "a²3.npy",
    "a²20.npy",
    "é/x.npy",
)


@pytest.fixture
def site(kind: str, tmp_path: Path) -> Site:
    return site_of(kind, tmp_path).with_keys(*KEYS)


def natural(keys: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(keys, key=natural_order))


@on_every_store
def test_every_key_is_listed_in_natural_order(site: Site) -> None:
    listed = list_files(site.config, dispatcher=site.dispatcher).unwrap()
    assert listed == natural(KEYS)
    assert listed.index(Key("f2.npy")) < listed.index(Key("f10.npy"))
    assert listed.index(Key("a²3.npy")) < listed.index(Key("a²20.npy"))


@on_every_store
def test_listings_agree(site: Site) -> None:
    store, run = site.config, site.dispatcher
    every = list_files(store, dispatcher=run).unwrap()
    one_by_one = [key.unwrap() for key in iter_files(store, dispatcher=run)]
    assert natural(one_by_one) == every
    assert natural(list_files(store, ordered=False, dispatcher=run).unwrap()) == every
    tree = collect_dirs_and_files(store, dispatcher=run).unwrap()
    assert tree.files == every
    assert tree.folders == ("a", "a/b", "é")
    here = collect_dirs_and_files(store, recursive=False, dispatcher=run).unwrap()
    direct = tuple(key for key in every if "/" not in key)
    assert list_files(store, recursive=False, dispatcher=run).unwrap() == direct == here.files
    assert list_dir(store, dispatcher=run).unwrap() == natural((*here.files, *here.folders))
    assert list_dir(store, "a", dispatcher=run).unwrap() == ("a/b", "a/f1.npy")


@on_every_store
def test_a_folder_keeps_what_is_below_it(site: Site) -> None:
    site.save("ab.npy").unwrap()
    for folder in ("a", Path("a"), "a/"):
        listed = list_files(site.config, folder=folder, dispatcher=site.dispatcher).unwrap()
        assert listed == ("a/b/f3.npy", "a/b/f20.npy", "a/f1.npy")
    for root in ("", ".", Path(), "./"):
        found = list_files(site.config, folder=root, dispatcher=site.dispatcher).unwrap()
        assert len(found) == len(KEYS) + 1


def test_the_absolute_root_is_a_folder_like_the_ones_below_it(tmp_path: Path) -> None:
    site = site_of("disk", tmp_path).with_keys("a.npy", "p/b.npy")
    root = tmp_path / "disk"
    folders: list[tuple[str | Path, int]] = [(root, 2), (f"{root}/", 2), (root / "p", 1)]
    folders.append((f"{root}/p/", 1))
    for folder, expected in folders:
        listed = list_files(site.config, folder=folder, dispatcher=site.dispatcher)
        assert len(listed.unwrap()) == expected
        assert len(list_dir(site.config, folder, dispatcher=site.dispatcher).unwrap()) == expected


@on_every_store
@pytest.mark.parametrize("wrong", ["../x", "a//", "/x", "a//b", ".polystore-x", "a\0", "/"])
def test_a_folder_that_is_none_is_an_error(site: Site, wrong: str) -> None:
    run = site.dispatcher
    for outcome in (
        list_files(site.config, folder=wrong, dispatcher=run),
        list_dir(site.config, wrong, dispatcher=run),
        next(iter_files(site.config, folder=wrong, dispatcher=run)),
        collect_dirs_and_files(site.config, wrong, dispatcher=run),
        find_file(site.config, "f2.npy", folder=wrong, dispatcher=run),
    ):
        error = cast("Outcome[object]", outcome).failure()
        assert isinstance(error, InvalidKey)
        assert error.config == site.config


@on_every_store
@pytest.mark.parametrize("shown", ["itself", "read-only", "routed"])
def test_a_folder_that_is_not_there_or_a_file_is_an_error(site: Site, shown: str) -> None:
    run, store = site.dispatcher, site.config
    seen: dict[str, Source[object]] = {
        "itself": store,
        "read-only": ReadOnlyConfig(store),
        "routed": RouteConfig((Route(store), Route(MemoryConfig("empty")))),
    }
    wrong = {"b": "NotFound", "b/c": "NotFound", "a/c": "NotFound"}
    wrong |= dict.fromkeys(("f2.npy", "f2.npy/x", "a/b/f3.npy/x/y"), "NotADirectory")
    for folder, name in wrong.items():
        for listing in (list_dir, collect_dirs_and_files):
            assert error_of(listing(seen[shown], folder, dispatcher=run)) == name
        for recursive in (True, False):
            listed = list_files(seen[shown], folder=folder, recursive=recursive, dispatcher=run)
            assert error_of(listed) == name
            assert listed.failure().config == seen[shown]
            (one,) = iter_files(seen[shown], folder=folder, recursive=recursive, dispatcher=run)
            assert error_of(one) == name


@on_every_store
def test_an_empty_root_is_no_error(kind: str, tmp_path: Path) -> None:
    site = site_of(kind, tmp_path).with_keys("a.npy")
    delete(site.config, "a.npy", dispatcher=site.dispatcher).unwrap()
    assert list_files(site.config, dispatcher=site.dispatcher).unwrap() == ()
    assert list_dir(site.config, dispatcher=site.dispatcher).unwrap() == ()


NAMES = st.lists(st.sampled_from(["a", "B", "f1", "f10", "f2", ".x"]), min_size=1, max_size=3)
PATTERNS = st.sampled_from(["*", "f?", "*1*", "a/*", "**/f*", "[aB]/**", "B", "f1/*/a"])


@given(st.sets(NAMES.map("/".join)), PATTERNS, st.booleans())
def test_a_pattern_and_a_suffix_keep_what_they_say(
    names: set[str], pattern: str, recursive: bool
) -> None:
    site = site_of("shelf", Path())
    suffixes = (".npy", ".roi.zip", ".ROI.ZIP")
    names |= {"a/B"}  # the folder is there
    site.with_keys(*(f"{name}.npy" for name in names))
    listed = list_files(
        site.config,
        folder="a",
        pattern=pattern,
        suffixes=suffixes,
        recursive=recursive,
        dispatcher=site.dispatcher,
    ).unwrap()
    fits = matcher(pattern).unwrap()
    below = [f"{name}.npy" for name in names if name.startswith("a/")]
    kept = [key for key in below if fits(key[2:]) and (recursive or key.count("/") == 1)]
    assert listed == natural(kept)


def test_suffixes_are_one_or_several_compound_and_case_blind(tmp_path: Path) -> None:
    store = DiskConfig(root=tmp_path)
    for name in ("f10.TIF", "f2.tif", "c.roi.zip", "D.ROI.ZIP", "e.roi", "f.zip", "g/h.roi"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert list_files(store, suffixes=".tif").unwrap() == ("f2.tif", "f10.TIF")
    assert list_files(store, suffixes=".roi.zip").unwrap() == ("D.ROI.ZIP", "c.roi.zip")
    assert list_files(store, suffixes=(".ROI",)).unwrap() == ("e.roi", "g/h.roi")
    assert len(list_files(store, suffixes=".zip").unwrap()) == 3
    assert list_image_files(store).unwrap() == ("f2.tif", "f10.TIF")
    assert list_image_files(store, pattern="f1*").unwrap() == ("f10.TIF",)
    assert list_files(store, pattern="f*", suffixes=".tif").unwrap() == ("f2.tif", "f10.TIF")
    wrong = list_files(store, suffixes=cast("str", 3)).failure()
    assert isinstance(wrong, InvalidSpec)


@on_every_store
@pytest.mark.parametrize("pattern", ["", "/etc/*", "../*", "a/../../*", "a\0", "a\\b", "a//b"])
def test_a_pattern_cannot_leave_the_root(site: Site, pattern: str) -> None:
    run = site.dispatcher
    error = list_files(site.config, pattern=pattern, dispatcher=run).failure()
    assert isinstance(error, InvalidKey)
    assert error.config == site.config
    (only,) = iter_files(site.config, pattern=pattern, dispatcher=run)
    assert isinstance(only.failure(), InvalidKey)


@on_every_store
def test_a_file_is_found_by_its_name(site: Site) -> None:
    run = site.dispatcher
    site.save("a/f2.npy").unwrap()
    assert find_file(site.config, "f2.npy", dispatcher=run).unwrap() == "a/f2.npy"
    assert find_file(site.config, "f2.npy", recursive=False, dispatcher=run).unwrap() == "f2.npy"
    assert find_file(site.config, "f3.npy", folder="a", dispatcher=run).unwrap() == "a/b/f3.npy"
    missing = find_file(site.config, "f21.npy", dispatcher=run).failure()
    assert isinstance(missing, NotFound)
    assert missing.advice.startswith("Did you mean '")
    assert error_of(find_file(site.config, "F3.npy", dispatcher=run)) == "NotFound"
    for wrong in ("a/f1.npy", "", "..", "a\0", "/f2.npy"):
        assert error_of(find_file(site.config, wrong, dispatcher=run)) == "InvalidKey"


@pytest.mark.parametrize("kind", ["disk", "memory", "zarr"])
def test_empty_folders_show_beside_files(site: Site) -> None:
    run = site.dispatcher
    assert ensure_directory(site.config, "g/h", dispatcher=run).unwrap() == "g/h"
    assert "g" in list_dir(site.config, dispatcher=run).unwrap()
    assert collect_dirs_and_files(site.config, "g", dispatcher=run).unwrap().folders == ("g/h",)
    assert list_files(site.config, folder="g", dispatcher=run).unwrap() == ()


def test_links_are_listed_and_a_circle_ends(tmp_path: Path) -> None:
    site = site_of("disk", tmp_path).with_keys("a/f.npy")
    root = tmp_path / "disk"
    (root / "a" / "circle").symlink_to("../a")
    (root / "a" / "self").symlink_to("self")
    (root / "a" / "gone.npy").symlink_to("nowhere")
    (root / "a" / "link.npy").symlink_to("f.npy")
    (root / "a" / ".polystore-new-1").touch()
    run = site.dispatcher
    files = ("a/f.npy", "a/gone.npy", "a/link.npy", "a/self")
    assert list_files(site.config, dispatcher=run).unwrap() == files
    assert list_files(site.config, folder="a", recursive=False, dispatcher=run).unwrap() == files
    tree = collect_dirs_and_files(site.config, dispatcher=run).unwrap()
    assert (tree.folders, tree.files) == (("a", "a/circle"), files)
    assert list_dir(site.config, "a", dispatcher=run).unwrap() == natural((*files, "a/circle"))


def test_a_name_that_is_no_key_hides_no_other(tmp_path: Path) -> None:
    site = site_of("disk", tmp_path).with_keys("a.npy", "b/c.npy")
    Path(os.fsdecode(os.fsencode(tmp_path / "disk") + b"/odd\xff")).touch()
    error = list_files(site.config, dispatcher=site.dispatcher).failure()
    assert isinstance(error, InvalidKey)
    assert "iter_files" in error.advice
    found = list(iter_files(site.config, dispatcher=site.dispatcher))
    assert sorted(key.unwrap() for key in found if is_successful(key)) == ["a.npy", "b/c.npy"]
    assert [error_of(key) for key in found if not is_successful(key)] == ["InvalidKey"]
