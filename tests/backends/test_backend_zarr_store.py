"""The Zarr store as a store: its keys, what others have put there, and what it says of damage."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr_access import (
    ZARR_PYTHON,
    delete,
    error_of,
    everything,
    fresh_store,
    got,
    group_of,
    hidden_in,
    made_by_zarr_python,
    put,
    seen_by_zarr_python,
    status,
)

from polystore import (
    Metadata,
    ZarrConfig,
    fold,
    is_successful,
    list_files,
    load,
    read,
    write,
)
from polystore.backends.zarr import document
from polystore.backends.zarr.writing import remove_in_place
from polystore.core.key import natural_order
from polystore.core.payload import is_host_array
from polystore.core.records import IfExists

ARRAY = np.arange(200, dtype="u2").reshape(10, 20)

MODES: tuple[IfExists, ...] = ("fail", "skip", "replace")

Change = Callable[[dict[str, Any]], object]

IMAGES = Path(__file__).parents[3] / "shared" / "data" / "cellprofiler"


@pytest.fixture
def store(tmp_path: Path) -> ZarrConfig:
    return ZarrConfig(root=tmp_path / "plate.zarr")


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make each row of `ARRAY` a chunk."""
    monkeypatch.setattr(document, "CHUNK_BYTES", 40)


def path_of(store: ZarrConfig, key: str) -> Path:
    return Path(store.root) / key


def listed(store: ZarrConfig, folder: str = "") -> tuple[str, ...]:
    return list_files(store, folder=folder).unwrap()


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


def make_plain(root: Path) -> None:
    root.mkdir()
    (root / "notes.txt").write_text("x")


def make_array(root: Path) -> None:
    ZARR_PYTHON.create_array(root, data=ARRAY)


def make_version_2(root: Path) -> None:
    made_by_zarr_python(ZarrConfig(root=root), 2).create_array("q", data=ARRAY)


def make_damaged(root: Path) -> None:
    root.mkdir()
    (root / "zarr.json").write_text("{")


ROOTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a file": (lambda root: root.write_text("x"), "NotADirectory"),
    "a folder of others": (make_plain, "NotADirectory"),
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


def test_what_is_of_version_2_is_said_to_be(store: ZarrConfig) -> None:
    make_version_2(Path(store.root))
    assert error_of(load(store)("q")) == "UnsupportedOperation"
    assert error_of(list_files(store)) == "UnsupportedOperation"


def test_links_lead_nowhere_else(store: ZarrConfig, tmp_path: Path) -> None:
    put(store, "a", ARRAY).unwrap()
    put(ZarrConfig(root=tmp_path / "other.zarr"), "b", ARRAY).unwrap()
    path_of(store, "in").symlink_to("a")
    path_of(store, "out").symlink_to("../other.zarr")
    path_of(store, "absolute").symlink_to(path_of(store, "a"))
    path_of(store, "nowhere").symlink_to("nothing")
    path_of(store, "circle").symlink_to("circle")
    assert listed(store) == ("a", "in")
    assert got(store, "in").tolist() == ARRAY.tolist()
    for key in ("out/b", "out", "absolute", "circle"):
        assert error_of(load(store)(key)) == "InvalidKey"
        assert error_of(status(store, key)) == "InvalidKey"
    for mode in MODES:
        assert error_of(put(store, "out/new", ARRAY, mode)) == "InvalidKey"
        for key in ("in", "out", "absolute", "nowhere", "circle"):
            assert error_of(put(store, key, ARRAY, mode)) == "NotADirectory"
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


# -- what others have written --------------------------------------------------------------------


def test_others_arrays_are_read_and_listed(store: ZarrConfig) -> None:
    group = made_by_zarr_python(store)
    group.create_array("plain", data=ARRAY, attributes={"lab": 3}, dimension_names=("y", "x"))
    group.create_array("sharded", data=ARRAY, chunks=(2, 5), shards=(10, 10))
    group.create_group("deep").create_array("big-endian", data=ARRAY.astype(">u2"))
    assert listed(store) == ("deep/big-endian", "plain", "sharded")
    for key in listed(store):
        assert got(store, key).tolist() == ARRAY.tolist()
        assert status(store, key).unwrap().nbytes == 400
    metadata = load(store)("plain").unwrap().metadata
    assert metadata == Metadata(axes=("y", "x"), attributes={"lab": 3})
    put(store, "plain", ARRAY + 1, "replace").unwrap()
    assert got(store, "plain").tolist() == (ARRAY + 1).tolist()


def test_a_chunk_that_others_left_out_is_the_fill_value(store: ZarrConfig) -> None:
    array = made_by_zarr_python(store).create_array(
        "a", shape=(10, 20), chunks=(5, 20), dtype="u2", fill_value=7
    )
    array[:5] = 1
    assert np.unique(got(store, "a")).tolist() == [1, 7]


def test_codecs_beyond_the_specification_are_read_as_zarr_python_does(store: ZarrConfig) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from zarr.codecs.numcodecs import Zlib

        made_by_zarr_python(store).create_array("a", data=ARRAY, compressors=Zlib(level=1))
        assert got(store, "a").tolist() == ARRAY.tolist()
    # zarr-python warns of them, and warnings are errors here
    assert error_of(load(store)("a")) == "UnsupportedPayload"


def test_python_objects_are_not_read(store: ZarrConfig) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made_by_zarr_python(store).create_array("a", shape=(2,), dtype="variable_length_bytes")
    assert error_of(load(store)("a")) == "UnsupportedPayload"


# -- damage --------------------------------------------------------------------------------------


def change_document(store: ZarrConfig, key: str, change: Change) -> None:
    path = path_of(store, f"{key}/zarr.json")
    fields = json.loads(path.read_bytes())
    change(fields)
    path.write_text(json.dumps(fields))


def chunked(shape: list[int]) -> Change:
    return lambda fields: fields["chunk_grid"]["configuration"].update(chunk_shape=shape)


def shaped(shape: list[int]) -> Change:
    return lambda fields: fields.update(shape=shape)


def noted(**notes: object) -> Change:
    return lambda fields: fields["attributes"]["polystore"].update(notes)


def both(one: Change, other: Change) -> Change:
    return lambda fields: (one(fields), other(fields))


EVENT = {"key": "a", "step": None, "nbytes": 1, "version": "1"}

CHANGES: dict[str, tuple[Change, str]] = {
    "negative shape": (shaped([-1, 20]), "Corrupt"),
    "shape of text": (lambda d: d.update(shape="abc"), "Corrupt"),
    "no shape": (lambda d: d.pop("shape"), "Corrupt"),
    "huge": (shaped([10**9, 10**9]), "TooLarge"),
    "huge and empty": (shaped([0, 10**30]), "Corrupt"),
    "one chunk too large": (chunked([10**9, 10**9]), "TooLarge"),
    "no chunk": (chunked([0, 20]), "Corrupt"),
    "too many chunks": (
        both(lambda d: d.update(shape=[10**5, 10**5]), chunked([1, 1])),
        "TooLarge",
    ),
    "too many axes": (both(lambda d: d.update(shape=[1] * 70), chunked([1] * 70)), "Corrupt"),
    "another type": (lambda d: d.update(data_type="float64"), "Corrupt"),
    "a type of others": (lambda d: d.update(data_type="bfloat16"), "UnsupportedPayload"),
    "no type": (lambda d: d.update(data_type=None), "Corrupt"),
    "a codec of others": (lambda d: d["codecs"].append({"name": "x"}), "UnsupportedPayload"),
    "no codecs": (lambda d: d.update(codecs=[]), "Corrupt"),
    "codecs that are none": (lambda d: d.update(codecs=5), "Corrupt"),
    "a wrong fill value": (lambda d: d.update(fill_value="x"), "Corrupt"),
    "another grid": (lambda d: d.update(chunk_grid={"name": "x"}), "Corrupt"),
    "transformed": (lambda d: d.update(storage_transformers=[{"name": "x"}]), "Corrupt"),
    "of no kind": (lambda d: d.update(node_type="blob"), "Corrupt"),
    "of version 2": (lambda d: d.update(zarr_format=2), "Corrupt"),
    "an endless event": (noted(history=[EVENT | {"nbytes": 1e400}]), "Corrupt"),
    "damaged notes": (lambda d: d["attributes"]["polystore"].pop("history"), "Corrupt"),
    "damaged metadata": (lambda d: d["attributes"]["polystore"].update(metadata=[1]), "Corrupt"),
    "later notes": (
        lambda d: d["attributes"]["polystore"].update(version=2),
        "UnsupportedOperation",
    ),
    "a group": (lambda d: d.update(node_type="group"), "NotAFile"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_document(store: ZarrConfig, name: str) -> None:
    change, error = CHANGES[name]
    put(store, "a", ARRAY).unwrap()
    change_document(store, "a", change)
    assert error_of(load(store)("a")) == error


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60) | st.text('[]{}:,"truefalsn10e ', max_size=60).map(str.encode))
def test_any_bytes_as_a_document(content: bytes) -> None:
    with fresh_store() as store:
        put(store, "a", ARRAY).unwrap()
        path_of(store, "a/zarr.json").write_bytes(content)
        assert error_of(load(store)("a")) == "Corrupt"
        assert error_of(status(store, "a")) == "Corrupt"
        assert listed(store) == ("a",)
        put(store, "a", ARRAY, "replace").unwrap()
        assert got(store, "a").tolist() == ARRAY.tolist()


def test_a_document_nested_too_deeply(store: ZarrConfig) -> None:
    put(store, "a", ARRAY).unwrap()
    path_of(store, "a/zarr.json").write_text("[" * 100_000)
    assert error_of(load(store)("a")) == "Corrupt"


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 9), st.integers(0, 2**32), st.integers(1, 255))
def test_a_changed_byte_anywhere_in_a_chunk(row: int, place: int, change: int) -> None:
    with fresh_store() as store, pytest.MonkeyPatch.context() as patch:
        patch.setattr(document, "CHUNK_BYTES", 40)
        put(store, "a", ARRAY).unwrap()
        path = path_of(store, f"a/c/{row}/0")
        content = bytearray(path.read_bytes())
        content[place % len(content)] ^= change
        path.write_bytes(content)
        assert error_of(load(store)("a")) == "Corrupt"


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("size", [0, 3, 10])
def test_a_shortened_chunk(store: ZarrConfig, size: int) -> None:
    put(store, "a", ARRAY).unwrap()
    os.truncate(path_of(store, "a/c/3/0"), size)
    assert error_of(load(store)("a")) == "Corrupt"


def test_a_chunk_that_is_far_too_long(tmp_path: Path) -> None:
    store = ZarrConfig(root=tmp_path / "plate.zarr", max_bytes=2**20)
    put(store, "a", ARRAY).unwrap()
    os.truncate(path_of(store, "a/c/0/0"), 2**40)  # a hole: the file system need not have so much
    assert error_of(load(store)("a")) == "TooLarge"


@pytest.mark.usefixtures("rows")
def test_a_missing_chunk_of_ours_is_damage_and_not_zeros(store: ZarrConfig) -> None:
    put(store, "a", np.zeros((10, 20), "u2")).unwrap()
    assert len(list(path_of(store, "a/c").rglob("0"))) == 11, "zeros are written too"
    path_of(store, "a/c/3/0").unlink()
    assert error_of(load(store)("a")) == "Corrupt"
    assert "c/3/0" in load(store)("a").failure().message


def test_a_damaged_group_is_not_replaced(store: ZarrConfig) -> None:
    put(store, "g/a", ARRAY).unwrap()
    path_of(store, "g/zarr.json").write_text("{")
    assert error_of(put(store, "g", ARRAY, "replace")) == "NotAFile"
    assert error_of(delete(store, "g")) == "NotAFile"
    assert error_of(put(store, "g/b", ARRAY)) == "Corrupt"
    assert got(store, "g/a").tolist() == ARRAY.tolist()


def test_the_limit_is_the_configs(tmp_path: Path) -> None:
    small = ZarrConfig(root=tmp_path / "plate.zarr", max_bytes=5000)
    put(small, "a", np.zeros(5000, "u1")).unwrap()
    put(small, "b", np.zeros(5001, "u1")).unwrap()
    assert is_successful(load(small)("a"))
    assert error_of(load(small)("b")) == "TooLarge"


# -- file systems that can do less ----------------------------------------------------------------


def test_without_a_rename_of_folders_an_array_is_removed_in_place(store: ZarrConfig) -> None:
    put(store, "a", ARRAY).unwrap()
    parent = os.open(store.root, os.O_RDONLY)
    try:
        remove_in_place(parent, "a")
    finally:
        os.close(parent)
    assert list(everything(store)) == ["zarr.json"]
