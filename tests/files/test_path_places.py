"""From a path to a store and a key: what is there decides, and names where nothing is."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from polystore import (
    DiskConfig,
    InvalidKey,
    Item,
    Metadata,
    NotAFile,
    NotFound,
    ObjectConfig,
    OmeOptions,
    ZarrConfig,
    ZarrLayout,
    is_host_array,
    list_files,
    read,
    save,
    write,
)
from polystore.files.place import Address, address_of, as_item, as_whole

IMAGE = np.arange(2 * 300 * 400, dtype=np.uint16).reshape(2, 300, 400)
KNOWN = Metadata(axes=("c", "y", "x"))


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def found(path: str) -> tuple[str, str, str]:
    """Give the layout, the root below here and the key."""
    address = address_of(path).unwrap()
    config = address.config
    assert isinstance(config, (DiskConfig, ZarrConfig))
    root = os.path.relpath(config.root)
    return config.layout.name if isinstance(config, ZarrConfig) else "FILES", root, address.key


def saved(layout: ZarrLayout, root: str, key: str, version: str = "0.5") -> None:
    ome = OmeOptions(version="0.4") if version == "0.4" else OmeOptions()
    save(ZarrConfig(root=root, layout=layout, ome=ome))(Item(key, IMAGE, KNOWN)).unwrap()


@pytest.mark.parametrize(
    ("path", "layout", "root", "key"),
    [
        ("a.tif", "FILES", ".", "a.tif"),
        ("new/a.tif", "FILES", "new", "a.tif"),
        ("a.zarr", "ARRAY", ".", "a.zarr"),
        ("new/A.ZARR", "ARRAY", "new", "A.ZARR"),
        ("plate.zarr/A01", "ARRAY", "plate.zarr", "A01"),
        ("plate.zarr/a/b.tif", "ARRAY", "plate.zarr", "a/b.tif"),
        ("a.zarr/b.zarr", "ARRAY", "a.zarr", "b.zarr"),
    ],
)
def test_names_decide_where_nothing_is(path: str, layout: str, root: str, key: str) -> None:
    assert found(path) == (layout, root, key)


@pytest.mark.parametrize("version", ["0.5", "0.4"])
def test_an_image_is_known_by_its_metadata_wherever_the_path_ends(version: str) -> None:
    saved(ZarrLayout.IMAGE, ".", "image", version)
    assert found("image") == ("IMAGE", ".", "image")
    assert found("image/1") == ("IMAGE", ".", "image/1")
    assert found("image/labels/nuclei") == ("IMAGE", ".", "image/labels/nuclei")
    assert found("image/") == ("IMAGE", ".", "image")


def test_images_of_a_group_have_it_as_root() -> None:
    saved(ZarrLayout.IMAGE, "store.zarr", "day 1/image")
    assert found("store.zarr") == ("IMAGE", "store.zarr", "")
    assert found("store.zarr/day 1") == ("IMAGE", "store.zarr", "day 1")
    assert found("store.zarr/day 1/image/0") == ("IMAGE", "store.zarr", "day 1/image/0")


@pytest.mark.parametrize("version", ["0.5", "0.4"])
def test_a_plate_is_the_root_of_all_that_is_in_it(version: str) -> None:
    saved(ZarrLayout.PLATE, "screens/p1", "A/1/0", version)
    for below in ("", "A", "A/1", "A/1/0", "A/1/0/0", "H/12/0"):
        assert found(f"screens/p1/{below}") == ("PLATE", "screens/p1", below)


def test_arrays_are_keys_of_the_outermost_group_of_v3_and_of_v2() -> None:
    saved(ZarrLayout.ARRAY, "store", "a/b")
    assert found("store/a/b") == ("ARRAY", "store", "a/b")
    root = zarr.open_group("old", mode="w", zarr_format=2)  # pyright: ignore[reportUnknownMemberType] - fsspec's mappings
    root.create_array("x", shape=(3,), dtype="u1")
    assert found("old/x") == ("ARRAY", "old", "x")
    root = zarr.open_group("old.zarr", mode="w", zarr_format=2)  # pyright: ignore[reportUnknownMemberType] - fsspec's mappings
    assert found("old.zarr/y") == ("ARRAY", "old.zarr", "y")


def test_an_array_of_its_own_is_an_item_of_the_folder_that_it_is_in() -> None:
    zarr.create_array("alone", shape=(3,), dtype="u1")  # pyright: ignore[reportUnknownMemberType] - fsspec's mappings
    assert found("alone") == ("ARRAY", ".", "alone")
    assert read("alone").map(lambda item: item.key).unwrap() == "alone"


def test_a_folder_is_files_or_the_nodes_in_it() -> None:
    write("tiffs/a.tif", IMAGE).unwrap()
    saved(ZarrLayout.IMAGE, "images", "a.zarr")
    Path("empty").mkdir()
    Path("mixed").mkdir()
    saved(ZarrLayout.IMAGE, "mixed", "a.zarr")
    assert found("mixed") == ("IMAGE", "mixed", "")
    write("mixed/b.tif", IMAGE).unwrap()
    assert found("mixed") == ("FILES", "mixed", "")
    assert found("tiffs") == ("FILES", "tiffs", "")
    assert found("images") == ("IMAGE", "images", "")
    assert found("empty") == ("FILES", "empty", "")


def test_files_stay_files_in_a_folder_that_has_become_a_group() -> None:
    zarr.open_group(".", mode="a")  # pyright: ignore[reportUnknownMemberType] - fsspec's mappings
    saved(ZarrLayout.ARRAY, ".", "a.zarr")
    write("b.tif", IMAGE).unwrap()
    write("tiffs/c.tif", IMAGE).unwrap()
    for path in ("b.tif", "new.tif", "tiffs/c.tif", "new/d.tif"):
        assert found(path)[0] == "FILES"
    assert found("tiffs") == ("FILES", "tiffs", "")
    assert found("a.zarr") == ("ARRAY", ".", "a.zarr")
    assert found("new.zarr") == ("ARRAY", ".", "new.zarr")


def test_a_file_called_zarr_is_a_file() -> None:
    Path("a.zarr").write_bytes(b"")
    assert found("a.zarr") == ("FILES", ".", "a.zarr")


def test_dots_and_links_lead_where_the_system_would(tmp_path: Path) -> None:
    saved(ZarrLayout.IMAGE, "deep/er", "a.zarr")
    Path("link").symlink_to("deep/er/a.zarr")
    Path("new").mkdir()
    for path in ("new/../deep/er/a.zarr", "deep/er/a.zarr/..", "link"):
        assert address_of(path).map(lambda it: ".." in it.key).unwrap() is False
    assert read("new/../deep/er/a.zarr").map(lambda item: item.key).unwrap() == "a.zarr"
    assert found(f"file://{tmp_path}/deep/er/a.zarr") == ("IMAGE", "deep/er", "a.zarr")


@pytest.mark.parametrize("document", ["{", "[]", "", '{"zarr_format": 3}', '{"zarr_format": 99}'])
def test_damaged_metadata_is_found_and_said_by_the_load(document: str) -> None:
    Path("bad.zarr").mkdir()
    Path("bad.zarr/zarr.json").write_text(document)
    assert found("bad.zarr") == ("ARRAY", ".", "bad.zarr")
    error = read("bad.zarr").failure()
    assert type(error).__name__ in ("Corrupt", "UnsupportedPayload")


def test_what_is_no_file_in_a_place_of_metadata_hangs_nothing() -> None:
    Path("odd.zarr").mkdir()
    os.mkfifo("odd.zarr/zarr.json")
    assert found("odd.zarr/a") == ("ARRAY", "odd.zarr", "a")


def test_read_gives_the_full_resolution_or_the_one_that_is_named() -> None:
    saved(ZarrLayout.IMAGE, ".", "image.zarr")
    for path, shape in (("image.zarr", (2, 300, 400)), ("image.zarr/1", (2, 150, 200))):
        payload = read(path).unwrap().payload
        assert is_host_array(payload)
        assert payload.shape == shape


def test_read_of_what_holds_many_says_so() -> None:
    saved(ZarrLayout.PLATE, "p.zarr", "A/1/0")
    saved(ZarrLayout.ARRAY, "s.zarr", "a")
    for path in ("p.zarr", "s.zarr", "p.zarr/A", "."):
        assert isinstance(read(path).failure(), NotAFile), path
    assert isinstance(read("s.zarr/b").failure(), NotFound)


def test_write_keeps_the_kind_of_what_is_there() -> None:
    saved(ZarrLayout.IMAGE, "images", "a.zarr")
    saved(ZarrLayout.PLATE, "p.zarr", "A/1/0")
    write("images/a.zarr", IMAGE, metadata=KNOWN, if_exists="replace").unwrap()
    write("p.zarr/A/2/0", IMAGE, metadata=KNOWN).unwrap()
    assert list_files(ZarrConfig(root="images", layout=ZarrLayout.IMAGE)).unwrap() == ("a.zarr",)
    assert "A/2/0" in list_files(ZarrConfig(root="p.zarr", layout=ZarrLayout.PLATE)).unwrap()


def test_write_of_a_zarr_is_an_array_itself() -> None:
    Path("notes.txt").write_text("there")
    write("a.zarr", IMAGE).unwrap()
    assert found("a.zarr") == ("ARRAY", ".", "a.zarr")
    assert sorted(path.name for path in Path().iterdir()) == ["a.zarr", "notes.txt"]
    assert json.loads(Path("a.zarr/zarr.json").read_text())["node_type"] == "array"


@pytest.mark.parametrize("path", ["", "a\0b", "s3://bucket/../a"])
def test_what_is_no_path_is_an_error(path: str) -> None:
    assert isinstance(address_of(path).failure(), InvalidKey)


names = st.from_regex(r"[a-z][a-z0-9 .]{0,5}[a-z0-9]", fullmatch=True)
keys = st.lists(names, min_size=1, max_size=3).map("/".join)
configs: st.SearchStrategy[Callable[[str], DiskConfig | ZarrConfig | ObjectConfig]] = (
    st.sampled_from(
        [
            lambda root: DiskConfig(root=f"/{root}"),
            lambda root: ZarrConfig(root=f"/{root}"),
            lambda root: ObjectConfig(url=f"s3://bucket/{root}"),
            lambda root: ZarrConfig(root=root, store=ObjectConfig(url="s3://bucket")),
        ]
    )
)


@given(configs, keys, names)
def test_an_item_and_the_whole_that_it_is_are_each_other(
    make: Callable[[str], DiskConfig | ZarrConfig | ObjectConfig], root: str, name: str
) -> None:
    address = Address(make(root), name)
    whole = as_whole(address)
    assert whole.key == ""
    assert as_item(whole) == address
    assert as_whole(whole) == whole
    assert as_item(address) == address
