"""What is in a store of bytes is whole: beside other writers, and when a writer is killed."""

from __future__ import annotations

import json
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from attrs import evolve
from zarr_objects_made import KINDS, dispatcher, filling, new_zarr_in, tree_of

from polystore import Key, Outcome, ZarrConfig, ZarrLayout
from polystore.backends.zarr.elements.documents import documents_in
from polystore.backends.zarr.objects.bytesat import Bytes
from polystore.backends.zarr.objects.claims import Busy, claimed
from polystore.backends.zarr.tree import Files, Seen, Tree, read_node
from polystore.core.errors import AlreadyExists, NotFound, StorageError, UnsupportedOperation
from polystore.core.outcome import Success, is_successful

KEY = Key("a")
SOON_S = 0.5
"""Seconds after which writers count as dead here."""

every_kind = pytest.mark.parametrize("kind", KINDS)
in_files = pytest.mark.parametrize("kind", ["disk"])


def node(kind: str = "array", **attributes: object) -> bytes:
    return json.dumps({"zarr_format": 3, "node_type": kind, "attributes": attributes}).encode()


def texts_in(tree: Tree, key: str, *names: str) -> Outcome[tuple[bytes | None, ...]]:
    def look(files: Files) -> Seen[tuple[bytes | None, ...]]:
        return Seen(Success(tuple(text(files, name) for name in names)))

    return read_node(tree, key, look)


def text(files: Files, name: str) -> bytes | None:
    source = files.open(name)
    if source is None:
        return None
    content = bytearray(source.size)
    source.read_into(0, memoryview(content))
    return bytes(content)


def listed(tree: Tree) -> list[str]:
    return [key for page in tree.list("") for key in page.value_or(())]


def everything(zarr: ZarrConfig) -> list[str]:
    return sorted(Bytes(zarr, dispatcher().open(zarr.store).unwrap()).names(""))


def at_once(actions: list[Callable[[], Outcome[bool]]]) -> list[Outcome[bool]]:
    with ThreadPoolExecutor(len(actions)) as threads:
        begun = [threads.submit(action) for action in actions]
        return [it.result() for it in begun]


_DYING = """
import os, signal, sys
sys.path[:0] = {path!r}
from zarr_objects_made import tree_of, filling
import pickle
from polystore import Key
zarr = pickle.loads({config!r})
def fill(files):
    filling({{"zarr.json": b"{{}}", "c/0": b"dead", "c/1": b"dead"}})(files)
    print("begun", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
tree_of(zarr, {soon}).build(Key("a"), "fail", fill)
"""


def kill_a_writer(zarr: ZarrConfig) -> None:
    script = _DYING.format(path=sys.path, config=pickle.dumps(zarr), soon=SOON_S)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


@every_kind
def test_a_killed_writer_leaves_nothing_and_holds_up_nobody(kind: str) -> None:
    zarr = new_zarr_in(kind)
    tree = tree_of(zarr, SOON_S)
    tree.build(Key("b"), "fail", filling({"zarr.json": node()})).unwrap()
    kill_a_writer(zarr)
    assert "a/c/0" in everything(zarr)  # it had begun
    assert listed(tree) == ["b"]
    assert isinstance(texts_in(tree, KEY, "zarr.json").failure(), NotFound)
    assert tree.children is not None
    assert [it.key for page in tree.children("") for it in page.unwrap()] == ["b"]
    assert tree.build(KEY, "fail", filling({"c/0": b"new", "zarr.json": node()})).unwrap()
    assert texts_in(tree, KEY, "c/0", "c/1").unwrap() == (b"new", None)
    assert everything(zarr) == ["a/c/0", "a/zarr.json", "b/zarr.json", "zarr.json"]


@in_files
def test_a_node_can_be_saved_below_what_a_killed_writer_left(kind: str) -> None:
    zarr = new_zarr_in(kind)
    tree = tree_of(zarr, SOON_S)
    kill_a_writer(zarr)
    assert tree.build(Key("a/b"), "fail", filling({"zarr.json": node()})).unwrap()
    assert everything(zarr) == ["a/b/zarr.json", "a/zarr.json", "zarr.json"]


@in_files
@pytest.mark.parametrize("later", [node(), node(number=1)])
def test_what_is_replaced_while_it_is_read_is_read_again(kind: str, later: bytes) -> None:
    tree = tree_of(new_zarr_in(kind))
    tree.build(KEY, "fail", filling({"c/0": b"old", "c/1": b"old", "zarr.json": node()})).unwrap()
    seen: list[tuple[bytes | None, bytes | None]] = []

    def look(files: Files) -> Seen[tuple[bytes | None, bytes | None]]:
        first = text(files, "c/0")
        if not seen:
            tree.delete(KEY).unwrap()
            new = filling({"c/0": b"new", "c/1": b"new", "zarr.json": later})
            tree.build(KEY, "fail", new).unwrap()
        seen.append((first, text(files, "c/1")))
        return Seen(Success(seen[-1]))

    assert read_node(tree, KEY, look).unwrap() == (b"new", b"new")
    assert seen == [(b"old", b"new"), (b"new", b"new")]


@every_kind
def test_of_writers_at_once_one_wins_and_nothing_is_mixed(kind: str) -> None:
    zarr = new_zarr_in(kind)
    tree = tree_of(zarr, 5.0)
    for turn in range(2):
        key = Key(f"a/{turn}")

        def saving(number: int, key: Key = key) -> Callable[[], Outcome[bool]]:
            files = {f"c/{it}": b"%d" % number for it in range(4)}
            fill = filling({**files, "zarr.json": node(number=number)})
            return lambda: tree.build(key, "fail", fill)

        outcomes = at_once([saving(number) for number in range(4)])
        won = [number for number, outcome in enumerate(outcomes) if is_successful(outcome)]
        assert len(won) == 1
        lost: list[StorageError] = [it.failure() for it in outcomes if not is_successful(it)]
        assert all(isinstance(error, AlreadyExists) for error in lost), lost
        names = ("c/0", "c/1", "c/2", "c/3", "zarr.json")
        wanted = (*[b"%d" % won[0]] * 4, node(number=won[0]))
        assert texts_in(tree, key, *names).unwrap() == wanted
    assert not any(".polystore" in name for name in everything(zarr))


@every_kind
def test_changes_of_a_group_at_once_are_all_kept(kind: str) -> None:
    zarr = new_zarr_in(kind)
    tree = tree_of(zarr, 5.0)

    def adding(number: int) -> Callable[[], Outcome[bool]]:
        def change(attributes: dict[str, object]) -> dict[str, object]:
            return {**attributes, str(number): number}

        return lambda: tree.amend("wells", change).map(lambda _: True)

    for outcome in at_once([adding(number) for number in range(4)]):
        outcome.unwrap()
    (found,) = texts_in(tree, "wells", "zarr.json").unwrap()
    assert found is not None
    assert json.loads(found)["attributes"] == {str(number): number for number in range(4)}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "disk"])
def test_a_claim_is_held_by_one_and_followed_when_it_is_not_renewed(kind: str) -> None:
    zarr = new_zarr_in(kind)
    content = Bytes(zarr, dispatcher().open(zarr.store).unwrap())
    with claimed(content, "a", SOON_S) as alive:
        alive.require()
        with pytest.raises(Busy), claimed(content, "a", SOON_S):
            pass
        alive.require()
    with claimed(content, "a", SOON_S) as dead:
        dead.ended.set()  # as if it slept
        with claimed(content, "a", SOON_S) as follower:
            assert follower.followed == (dead.name,)
            follower.require()
            with pytest.raises(OSError, match="another writer took"):
                dead.require()
    with claimed(content, "a", SOON_S) as last:
        assert len(last.followed) <= 1


def image(*paths: str) -> bytes:
    datasets = [{"path": path} for path in paths]
    return node("group", ome={"version": "0.5", "multiscales": [{"datasets": datasets}]})


def levels(number: int) -> dict[str, bytes]:
    chunks = {f"{level}/c/{it}": b"%d" % number for level in "01" for it in range(3)}
    return {**chunks, "0/zarr.json": node(), "1/zarr.json": node(), "zarr.json": image("0", "1")}


def image_in(tree: Tree) -> Outcome[set[bytes | None]]:
    """Give what is in all chunks of all levels that the image names."""

    def look(files: Files) -> Seen[set[bytes | None]]:
        documents = documents_in(files).unwrap()
        assert documents is not None
        ome = json.loads(json.dumps(documents.attributes))["ome"]
        paths = [it["path"] for it in ome["multiscales"][0]["datasets"]]
        found = {text(files, f"{path}/c/{it}") for path in paths for it in range(3)}
        return Seen(Success(found), None not in found)

    return read_node(tree, "a", look)


@every_kind
def test_an_image_is_replaced_in_one_step_and_its_old_levels_go_late(kind: str) -> None:
    zarr = evolve(new_zarr_in(kind), layout=ZarrLayout.IMAGE)
    tree = tree_of(zarr, 5.0)
    tree.build(KEY, "fail", filling(levels(0))).unwrap()
    seen: list[set[bytes | None]] = []
    ended = threading.Event()

    def look() -> None:
        while not ended.is_set():
            seen.append(image_in(tree).unwrap())

    reader = threading.Thread(target=look)
    reader.start()
    for number in range(1, 4):
        assert tree.build(KEY, "replace", filling(levels(number))).unwrap()
        assert image_in(tree).unwrap() == {b"%d" % number}
    ended.set()
    reader.join()
    assert all(len(chunks) == 1 for chunks in seen)
    generations = {name.split("/")[1] for name in everything(zarr) if name.startswith("a/")}
    assert len(generations - {"zarr.json"}) == 4  # those of this image, and of the one before
    assert listed(tree) == ["a"]


@in_files
def test_an_image_with_labels_and_an_array_are_not_replaced(kind: str) -> None:
    zarr = evolve(new_zarr_in(kind), layout=ZarrLayout.IMAGE)
    tree = tree_of(zarr, 5.0)
    tree.build(KEY, "fail", filling(levels(0))).unwrap()
    array = filling({"c/0": b"1", "zarr.json": node()})
    assert isinstance(tree.build(KEY, "replace", array).failure(), UnsupportedOperation)
    tree.build(Key("a/labels/cells"), "fail", filling(levels(1))).unwrap()
    labelled = tree.build(KEY, "replace", filling(levels(2))).failure()
    assert isinstance(labelled, UnsupportedOperation)
    assert "labels" in labelled.message
    assert image_in(tree).unwrap() == {b"0"}
    assert [key for page in tree.list("a/labels") for key in page.unwrap()] == ["a/labels/cells"]
    assert tree.delete(KEY).unwrap() is None
    assert everything(zarr) == ["zarr.json"]


@in_files
def test_an_image_in_the_making_is_not_seen_by_its_levels(kind: str) -> None:
    zarr = evolve(new_zarr_in(kind), layout=ZarrLayout.IMAGE)
    tree, content = tree_of(zarr), Bytes(zarr, dispatcher().open(zarr.store).unwrap())
    with claimed(content, "a", SOON_S):
        content.put("a/0/zarr.json", [node()], "fail")  # the last document is still to come
        assert listed(tree) == []
        assert isinstance(texts_in(tree, KEY, "zarr.json").failure(), NotFound)
    assert listed(tree) == ["a/0"]
