"""The Zarr store as a store: its keys, its folders, its roots."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from store_access import children, move
from zarr_access import (
    ARRAY,
    ZARR_PYTHON,
    delete,
    error_of,
    everything,
    fresh_store,
    got,
    group_of,
    hidden_in,
    listed,
    made_by_zarr_python,
    path_of,
    put,
    seen_by_zarr_python,
    status,
)

from polystore import (
    Metadata,
    ZarrConfig,
    fold,
    list_files,
    load,
    read,
    write,
)
from polystore.backends.zarr.folder.removing import remove_in_place
from polystore.core.key import natural_order
from polystore.core.payload import is_host_array
from polystore.core.records import IfExists

MODES: tuple[IfExists, ...] = ("fail", "skip", "replace")

IMAGES = Path(__file__).parents[3] / "shared" / "data" / "cellprofiler"


@pytest.fixture
def store(tmp_path: Path) -> ZarrConfig:
    return ZarrConfig(root=tmp_path / "plate.zarr")


NAMES = ["A 1.tif", "f10", "f2", "Größe/Zelle 3.TIF", "c", "c1/c/0", "a.zarr/b.c", "日本/語", ".x"]


def test_keys_are_names_to_zarr_python(store: ZarrConfig) -> None:
    for number, name in enumerate(NAMES):
        put(store, name, np.full((2, 3), number)).unwrap()
    assert listed(store) == tuple(sorted(NAMES, key=natural_order))
    for number, name in enumerate(NAMES):
        assert seen_by_zarr_python(store, name).tolist() == np.full((2, 3), number).tolist()
    assert sorted(group_of(store).group_keys()) == ["Größe", "a.zarr", "c1", "日本"]


@pytest.mark.skipif(not IMAGES.exists(), reason="the images are not on this machine")
def test_images_are_bit_for_bit_in_zarr_python(store: ZarrConfig) -> None:
    keys = [path.relative_to(IMAGES).as_posix() for path in sorted(IMAGES.rglob("*.tif"))]
    for key in keys:
        image = read(IMAGES / key).unwrap().payload
        assert is_host_array(image)
        put(store, key, image).unwrap()
        seen = seen_by_zarr_python(store, key)
        assert seen.dtype == image.dtype
        assert seen.tobytes() == image.tobytes()
    assert listed(store) == tuple(sorted(keys, key=natural_order))


@pytest.mark.parametrize(
    "key",
    [
        *["", ".", "..", "../x", "/etc/passwd", "a//b", "a\\b", "a\0b", "x" * 300, "\udc80", "a/"],
        *["zarr.json", "a/zarr.json", ".zarray", ".zgroup", "a/.zattrs", ".zmetadata"],
        *[".polystore-x", "__a", "a/__b", "...", "a/...."],
    ],
)
def test_a_bad_key_touches_nothing(store: ZarrConfig, key: str) -> None:
    assert error_of(put(store, key, ARRAY)) == "InvalidKey"
    assert not Path(store.root).exists()
    if not key.strip("a/").startswith("__") and key.strip("a/.") != "":
        assert error_of(load(store)(key)) == "InvalidKey"


@pytest.mark.parametrize("mode", MODES)
def test_an_array_is_no_folder_and_a_folder_no_array(store: ZarrConfig, mode: IfExists) -> None:
    put(store, "a", ARRAY).unwrap()
    put(store, "g/b", ARRAY).unwrap()
    before = everything(store)
    for below in ("a/b", "a/c", "a/c/0", "g/b/c/0/0"):
        assert error_of(put(store, below, ARRAY, mode)) == "NotADirectory"
        assert error_of(load(store)(below)) == "NotFound"
        assert error_of(status(store, below)) == "NotFound"
        assert error_of(delete(store, below)) == "NotFound"
        assert error_of(list_files(store, folder=below)) in {"NotADirectory", "NotFound"}
    assert error_of(put(store, "g", ARRAY, mode)) == "NotAFile"
    assert error_of(load(store)("g")) == "NotAFile"
    assert error_of(delete(store, "g")) == "NotAFile"
    assert error_of(list_files(store, folder="a")) == "NotADirectory"
    assert everything(store) == before


KEYS = st.sampled_from(["a", "b", "a/b", "a/c", "b/c/d", "c"])
OPERATIONS = st.tuples(st.sampled_from((*MODES, "delete")), KEYS)


@settings(max_examples=40, deadline=None)
@given(st.lists(OPERATIONS, max_size=12))
def test_it_agrees_with_a_dict(
    operations: list[tuple[Literal["fail", "skip", "replace", "delete"], str]],
) -> None:
    model: dict[str, int] = {}
    folders: set[str] = set()
    with fresh_store() as store:
        for number, (operation, key) in enumerate(operations):
            above = ["/".join(key.split("/")[:depth]) for depth in range(1, key.count("/") + 1)]
            if operation == "delete":
                outcome = fold(delete(store, key), lambda _: "done", lambda e: type(e).__name__)
                missing = "NotAFile" if key in folders else "NotFound"
                assert outcome == ("done" if model.pop(key, None) is not None else missing)
                continue
            array = np.full((2, 2), number)
            outcome = fold(put(store, key, array, operation), str, lambda e: type(e).__name__)
            if any(part in model for part in above):
                assert outcome == "NotADirectory"
            else:
                folders.update(above)
                if key in folders:
                    assert outcome == "NotAFile"
                elif key in model and operation != "replace":
                    assert outcome == {"fail": "AlreadyExists", "skip": "skipped"}[operation]
                else:
                    assert outcome == "written"
                    model[key] = number
        if Path(store.root).exists():
            assert listed(store) == tuple(sorted(model, key=natural_order))
        for key, value in model.items():
            assert got(store, key).tolist() == np.full((2, 2), value).tolist()
            assert status(store, key).unwrap().nbytes == got(store, key).nbytes
        assert hidden_in(store) == []


def test_what_is_not_there(store: ZarrConfig) -> None:
    for missing in (load(store)("a"), status(store, "a"), delete(store, "a"), list_files(store)):
        assert error_of(missing) == "NotFound"
    put(store, "wells/A01.tif", ARRAY).unwrap()
    assert load(store)("wells/A1.tif").failure().advice == "Did you mean 'wells/A01.tif'?"
    assert "already in the key" in load(store)("plate.zarr/wells/A01.tif").failure().advice
    assert error_of(list_files(store, folder="none")) == "NotFound"
    assert error_of(delete(store, "wells/B")) == "NotFound"


def test_a_plain_file_is_nobodys(store: ZarrConfig) -> None:
    put(store, "a", ARRAY).unwrap()
    path_of(store, "notes.txt").write_text("x")
    assert listed(store) == ("a",)
    for key in ("notes.txt", "notes.txt/a"):
        assert error_of(load(store)(key)) == "NotFound"
        assert error_of(status(store, key)) == "NotFound"
        assert error_of(delete(store, key)) == "NotFound"
        for mode in MODES:
            assert error_of(put(store, key, ARRAY, mode)) == "NotADirectory"
    assert path_of(store, "notes.txt").read_text() == "x"


def make_array(root: Path) -> None:
    ZARR_PYTHON.create_array(root, data=ARRAY)


def make_version_2(root: Path) -> None:
    made_by_zarr_python(ZarrConfig(root=root), 2).create_array("q", data=ARRAY)


def make_damaged(root: Path) -> None:
    root.mkdir()
    (root / "zarr.json").write_text("{")


ROOTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a file": (lambda root: root.write_text("x"), "NotADirectory"),
    "an array": (make_array, "NotADirectory"),
    "of version 2": (make_version_2, "UnsupportedOperation"),
    "damaged": (make_damaged, "Corrupt"),
    "a link to nowhere": (lambda root: root.symlink_to("nowhere"), "NotADirectory"),
}


@pytest.mark.parametrize("name", ROOTS)
def test_a_root_that_is_no_store(store: ZarrConfig, name: str) -> None:
    make, error = ROOTS[name]
    make(Path(store.root))
    before = everything(store)
    for mode in MODES:
        assert error_of(put(store, "a", ARRAY, mode)) == error
    assert everything(store) == before


def test_an_empty_folder_becomes_a_store(store: ZarrConfig) -> None:
    Path(store.root).mkdir()
    assert listed(store) == ()
    put(store, "a", ARRAY).unwrap()
    path_of(store, "g").mkdir()
    put(store, "g/a", ARRAY).unwrap()
    assert list(group_of(store).group_keys()) == ["g"]


def test_a_folder_of_others_may_hold_arrays_and_is_left_as_it_is(store: ZarrConfig) -> None:
    Path(store.root, "plain").mkdir(parents=True)
    for folder in ("", "plain"):
        path_of(store, f"{folder}/notes.txt".strip("/")).write_text("x")
    for mode in MODES:
        assert error_of(put(store, "plain", ARRAY, mode)) == "NotAFile"
    put(store, "a", ARRAY).unwrap()
    put(store, "plain/deep/b", ARRAY).unwrap()
    assert listed(store) == ("a", "plain/deep/b")
    made = {path.relative_to(store.root).as_posix() for path in Path(store.root).rglob("zarr.json")}
    assert made == {"a/zarr.json", "plain/deep/zarr.json", "plain/deep/b/zarr.json"}
    assert seen_by_zarr_python(store, "plain/deep/b", "plain/deep").tolist() == ARRAY.tolist()


def test_nodes_of_version_2_are_as_good(store: ZarrConfig) -> None:
    make_version_2(Path(store.root))
    group = made_by_zarr_python(ZarrConfig(root=path_of(store, "g")), 2)
    group.create_array("deep/r", data=ARRAY.astype(">u2"), attributes={"lab": 3})
    group.create_group("empty")
    assert listed(store) == ("g/deep/r", "q")
    assert got(store, "q").tolist() == got(store, "g/deep/r").tolist() == ARRAY.tolist()
    assert load(store)("g/deep/r").unwrap().metadata.attributes == {"lab": 3}
    found = status(store, "q").unwrap()
    assert (found.kind, found.nbytes) == ("file", 400)
    assert status(store, "g").unwrap().kind == "folder"
    assert children(store, "g").unwrap() == {"g/deep": "folder", "g/empty": "folder"}
    move(store, "g/deep", "h").unwrap()
    move(store, "q", "h/r", "replace").unwrap()
    assert listed(store) == ("h/r",)
    assert (
        np.asarray(ZARR_PYTHON.open_group(store.root, mode="r")["h/r"]).tolist() == ARRAY.tolist()
    )
    for key in ("h/r", "g/empty", "g", "h"):
        delete(store, key).unwrap()
    assert set(everything(store)) <= {".zgroup", ".zattrs"}


def test_links_lead_nowhere_else(store: ZarrConfig, tmp_path: Path) -> None:
    put(store, "a", ARRAY).unwrap()
    put(ZarrConfig(root=tmp_path / "other.zarr"), "b", ARRAY).unwrap()
    path_of(store, "in").symlink_to("a")
    path_of(store, "out").symlink_to("../other.zarr")
    path_of(store, "absolute").symlink_to(path_of(store, "a"))
    path_of(store, "nowhere").symlink_to("nothing")
    path_of(store, "circle").symlink_to("circle")
    broken = ("absolute", "circle", "nowhere", "out")
    assert listed(store) == ("a", "absolute", "circle", "in", "nowhere", "out")
    assert got(store, "in").tolist() == ARRAY.tolist()
    linked = status(store, "in").unwrap()
    assert linked == evolve(status(store, "a").unwrap(), link="a")
    for key in broken:
        found = status(store, key).unwrap()
        assert (found.kind, found.nbytes) == ("broken link", None)
        assert found.link == str(path_of(store, key).readlink())
        assert error_of(load(store)(key)) == ("NotFound" if key == "nowhere" else "InvalidKey")
        assert error_of(put(store, key, ARRAY)) == "AlreadyExists"
        assert error_of(put(store, key, ARRAY, "skip")) == "AlreadyExists"
    assert error_of(load(store)("out/b")) == "InvalidKey"
    assert error_of(status(store, "out/b")) == "InvalidKey"
    for mode in MODES:
        assert error_of(put(store, "out/new", ARRAY, mode)) == "InvalidKey"
    assert error_of(put(store, "in", ARRAY)) == "AlreadyExists"
    assert put(store, "in", ARRAY, "skip").unwrap() == "skipped"
    for key in ("in", *broken):
        assert put(store, key, np.zeros(3), "replace").unwrap() == "written"
        assert not path_of(store, key).is_symlink()
        assert got(store, key).tolist() == [0, 0, 0]
    assert got(store, "a").tolist() == ARRAY.tolist()
    assert hidden_in(store) == []
    assert listed(ZarrConfig(root=tmp_path / "other.zarr")) == ("b",)


def test_a_link_in_place_of_a_chunk_is_damage(store: ZarrConfig, tmp_path: Path) -> None:
    put(store, "a", ARRAY).unwrap()
    chunk = path_of(store, "a/c/0/0")
    chunk.rename(tmp_path / "secret")
    chunk.symlink_to(tmp_path / "secret")
    assert error_of(load(store)("a")) == "Corrupt"
    chunk.unlink()
    chunk.mkdir()
    assert error_of(load(store)("a")) == "Corrupt"


def test_read_and_write_take_a_path_into_a_store(tmp_path: Path) -> None:
    path = tmp_path / "plate.zarr" / "wells" / "A 1.tif"
    write(path, ARRAY, metadata=Metadata(axes=("y", "x"))).unwrap()
    assert read(path).unwrap().metadata.axes == ("y", "x")


def test_without_a_rename_of_folders_an_array_is_removed_in_place(store: ZarrConfig) -> None:
    put(store, "a", ARRAY).unwrap()
    parent = os.open(store.root, os.O_RDONLY)
    try:
        remove_in_place(parent, "a")
    finally:
        os.close(parent)
    assert list(everything(store)) == ["zarr.json"]
