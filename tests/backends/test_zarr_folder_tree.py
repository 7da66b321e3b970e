"""The tree of nodes in a folder: what each layout takes for an item, and what is built and amended.

The functions of the tree are asked directly, as the layouts do.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from store_access import children, delete, keys, make_folder, move
from zarr_access import ARRAY, ZARR_PYTHON, error_of, everything, hidden_in, path_of, put
from zarr_processes import run, start_fork, wait_for

from polystore import (
    Failure,
    IfExists,
    Key,
    OmeOptions,
    Outcome,
    Success,
    UnsupportedPayload,
    ZarrConfig,
    ZarrLayout,
)
from polystore.backends.zarr.elements.documents import documents_in
from polystore.backends.zarr.folder.files import append_file
from polystore.backends.zarr.folder.tree import folder_tree
from polystore.backends.zarr.tree import Files, Seen, Tree, read_node

MODES: tuple[IfExists, ...] = ("fail", "skip", "replace")

IMAGE: dict[str, object] = {
    "ome": {"version": "0.5", "multiscales": [{"datasets": [{"path": "0"}]}]}
}

PROCESSES = 6


@pytest.fixture
def images(tmp_path: Path) -> ZarrConfig:
    return ZarrConfig(root=tmp_path / "images", layout=ZarrLayout.IMAGE)


def make_image(store: ZarrConfig, key: str) -> None:
    """Make an image of one level, with a label, as another program would."""
    for at in (key, f"{key}/labels/cells"):
        group = ZARR_PYTHON.open_group(path_of(store, at), mode="a", attributes=IMAGE)
        group.create_array("0", data=ARRAY)
    ZARR_PYTHON.open_group(path_of(store, f"{key}/labels"), mode="a")


def fill_with(documents: dict[str, bytes]) -> Callable[[Files], Outcome[None]]:
    def fill(files: Files) -> Outcome[None]:
        for name, text in documents.items():
            growing = files.create(name)
            growing.append([text[:2], text[2:]])
            growing.finish()
        return Success(None)

    return fill


GROUP = {"zarr.json": b'{"zarr_format": 3, "node_type": "group", "attributes": {}}'}


def built(store: ZarrConfig, key: str, if_exists: IfExists = "fail") -> Outcome[bool]:
    image = json.dumps({**json.loads(GROUP["zarr.json"]), "attributes": IMAGE}).encode()
    fill = fill_with({"0/c/0": b"chunk", "zarr.json": image})
    return folder_tree(store).build(Key(key), if_exists, fill)


def test_an_image_is_an_item_where_images_are(images: ZarrConfig) -> None:
    make_image(images, "g/a")
    assert keys(images).unwrap() == ["g/a"]
    assert children(images, "g").unwrap() == {"g/a": "file"}
    assert keys(images, "g/a/labels").unwrap() == ["g/a/labels/cells"]
    assert error_of(keys(images, "g/a")) == "NotADirectory"
    assert error_of(keys(images, "g/a/labels/cells")) == "NotADirectory"
    arrays = ZarrConfig(root=images.root)
    assert keys(arrays).unwrap() == ["g/a/0", "g/a/labels/cells/0"]
    assert children(arrays, "g").unwrap() == {"g/a": "folder"}
    assert error_of(delete(arrays, "g/a")) == "NotAFile"
    put(arrays, "g/a/more", ARRAY).unwrap()


def test_below_an_image_there_are_labels_and_nothing_else(images: ZarrConfig) -> None:
    make_image(images, "g/a")
    before = everything(images)
    for mode in MODES:
        for key in ("g/a/b", "g/a/0", "g/a/0/b", "g/a/labels/cells/b", "g/a/labelled/b"):
            assert error_of(built(images, key, mode)) == "NotADirectory", key
        assert error_of(built(images, "g", mode)) == "NotAFile"
    for key in ("g/a/0", "g/a/labels/cells/0"):
        assert error_of(delete(images, key)) == "NotAFile"
        assert error_of(move(images, key, "b")) == "NotAFile"
    assert error_of(make_folder(images, "g/a/b")) == "NotADirectory"
    assert everything(images) == before
    built(images, "g/a/labels/nuclei").unwrap()
    built(images, "g/a/labels/cells", "replace").unwrap()
    assert keys(images, "g/a/labels").unwrap() == ["g/a/labels/cells", "g/a/labels/nuclei"]
    move(images, "g/a/labels/nuclei", "c").unwrap()
    delete(images, "g/a/labels/cells").unwrap()
    built(images, "g/a", "replace").unwrap()
    assert keys(images).unwrap() == ["c", "g/a"]
    move(images, "c", "g/a", "replace").unwrap()
    delete(images, "g/a").unwrap()
    assert keys(images).unwrap() == []
    assert hidden_in(images) == []


@pytest.mark.parametrize("there", [False, True])
def test_the_root_of_images_is_left_as_it_was_found(images: ZarrConfig, there: bool) -> None:
    if there:
        Path(images.root).mkdir()
    built(images, "g/a").unwrap()
    assert Path(images.root, "zarr.json").exists() != there
    assert Path(images.root, "g/zarr.json").exists()


def test_groups_of_version_2_come_with_images_of_version_2(tmp_path: Path) -> None:
    old = ZarrConfig(root=tmp_path, layout=ZarrLayout.IMAGE, ome=OmeOptions(version="0.4"))
    built(old, "g/h/a").unwrap()
    assert sorted(path.name for path in (tmp_path / "g/h").iterdir()) == [".zgroup", "a"]
    new = ZarrConfig(root=tmp_path)
    for mode in MODES:
        told = put(new, "g/h/b", ARRAY, mode)
        assert error_of(told) == "UnsupportedOperation"
        assert "version 2" in told.failure().message
    built(old, "g/h/b").unwrap()


def test_what_is_not_filled_leaves_nothing(images: ZarrConfig) -> None:
    tree = folder_tree(images)
    built(images, "a").unwrap()
    before = everything(images)

    def fail(files: Files) -> Outcome[None]:
        fill_with({"0/c/0": b"chunk"})(files).unwrap()
        return Failure(UnsupportedPayload("", None, "No.", "Don't."))

    def raises(files: Files) -> Outcome[None]:
        files.create("zarr.json").append([b"{"])
        raise OSError(28, "No space left on device")

    for mode in MODES:
        key = Key("a" if mode == "replace" else "b")
        assert isinstance(tree.build(key, mode, fail).failure(), UnsupportedPayload)
        assert error_of(tree.build(key, mode, raises)) == "NoSpace"
    assert everything(images) == before


def test_a_file_that_was_not_finished_does_not_count(images: ZarrConfig) -> None:
    def fill(files: Files) -> Outcome[None]:
        files.create("c/0").append([b"half"])
        fill_with({"c/1": b"whole", **GROUP})(files).unwrap()
        assert sorted(files.names()) == ["c/0", "c/1", "zarr.json"]
        return Success(None)

    folder_tree(images).build(Key("a"), "fail", fill).unwrap()
    held = folder_tree(images).hold("a").unwrap()
    assert sorted(held.files.names()) == ["c/1", "zarr.json"]
    with pytest.raises(OSError, match="read, not written"):
        held.files.create("c/2")
    held.close()
    held.close()


@pytest.mark.parametrize("nbytes", [0, 1, 5 * 2**20])
def test_files_are_copied_whole(images: ZarrConfig, nbytes: int) -> None:
    content = np.random.default_rng(0).integers(0, 256, nbytes, "u1").tobytes()
    tree = folder_tree(images)
    tree.build(Key("a"), "fail", fill_with({"c/0": content, **GROUP})).unwrap()
    held = tree.hold("a").unwrap()

    def fill(files: Files) -> Outcome[None]:
        for name in held.files.names():
            source = held.files.open(name)
            assert source is not None
            growing = files.create(name)
            growing.append([b"begun "])
            append_file(growing, source)
            growing.append([b" ended"])
            growing.finish()
            source.close()
        return Success(None)

    tree.copy_in(Key("b"), held.files, "fail").unwrap()
    tree.build(Key("c"), "fail", fill).unwrap()
    held.close()
    assert path_of(images, "b/c/0").read_bytes() == content
    assert path_of(images, "c/c/0").read_bytes() == b"begun " + content + b" ended"


def attributes_of(tree: Tree, key: str) -> object:
    def look(files: Files) -> Seen[object]:
        documents = documents_in(files).unwrap()
        return Seen(Success(None if documents is None else documents.attributes))

    return read_node(tree, key, look).unwrap()


def add(tree: Tree, key: str, numbers: range) -> None:
    def change(number: int) -> Callable[[dict[str, object]], dict[str, object]]:
        return lambda attributes: {**attributes, str(number): number}

    for number in numbers:
        tree.amend(key, change(number)).unwrap()


def amend_in_forks(store: ZarrConfig, key: str) -> None:
    tree = folder_tree(store)
    add(tree, key, range(0))
    pids = [
        start_fork(partial(add, tree, key, range(part, 60, PROCESSES))) for part in range(PROCESSES)
    ]
    assert [wait_for(pid) for pid in pids] == [0] * PROCESSES


@pytest.mark.parametrize("version", ["0.5", "0.4"])
@pytest.mark.parametrize("key", ["", "A/1"])
def test_no_amendment_is_lost(tmp_path: Path, key: str, version: str) -> None:
    ome = OmeOptions(version="0.4") if version == "0.4" else OmeOptions()
    store = ZarrConfig(root=tmp_path / "plate", layout=ZarrLayout.PLATE, ome=ome)
    run(amend_in_forks, store, key)
    assert attributes_of(folder_tree(store), key) == {str(number): number for number in range(60)}
    assert hidden_in(store) == []
    assert Path(store.root, "zarr.json").exists() == (version == "0.5")


def test_an_amendment_keeps_what_others_wrote_and_writes_no_more_than_it_must(
    images: ZarrConfig,
) -> None:
    tree = folder_tree(images)
    make_image(images, "a")
    path = path_of(images, "a/zarr.json")
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "extra": {"kept": [1]}}))
    inode = path.stat().st_ino

    def same(attributes: dict[str, object]) -> dict[str, object]:
        attributes["mine"] = 1  # what is given is its own to change
        return IMAGE

    tree.amend("a", same).unwrap()
    assert path.stat().st_ino == inode
    tree.amend("a", lambda attributes: {**attributes, "mine": 1}).unwrap()
    fields = json.loads(path.read_bytes())
    assert (fields["attributes"], fields["extra"]) == ({**IMAGE, "mine": 1}, {"kept": [1]})
    assert keys(images).unwrap() == ["a"]
    Path(images.root, "plain").mkdir()
    Path(images.root, "plain/notes.txt").write_text("x")
    tree.amend("plain", lambda attributes: {**attributes, "mine": 1}).unwrap()
    assert attributes_of(tree, "plain") == {"mine": 1}


def test_what_cannot_be_amended_stays(images: ZarrConfig) -> None:
    arrays = ZarrConfig(root=images.root)
    put(arrays, "a", ARRAY).unwrap()
    Path(images.root, "damaged").mkdir()
    Path(images.root, "damaged/zarr.json").write_text("{")
    Path(images.root, "file").write_text("x")
    before = everything(images)
    for key, error in (
        ("a", "NotADirectory"),
        ("a/c", "NotADirectory"),
        ("damaged", "Corrupt"),
        ("file", "NotADirectory"),
    ):
        told = folder_tree(images).amend(key, lambda attributes: {**attributes, "b": 1})
        assert error_of(told) == error, key
    assert everything(images) == before
