"""What is left of a store of bytes when its writers die, and what others make of its chunks."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
import pytest
from attrs import evolve
from test_zarr_objects_whole import KEY, everything, image, kill_a_writer, node
from zarr_access import ZARR_PYTHON
from zarr_objects_made import dispatcher, filling, new_zarr_in, tree_of

from polystore import (
    Corrupt,
    DiskConfig,
    Dispatcher,
    FileFormat,
    Item,
    Key,
    LazyArray,
    NotAFile,
    NotFound,
    OmeOptions,
    Outcome,
    Unavailable,
    ZarrConfig,
    ZarrLayout,
    copy,
    default_registry,
    delete,
    list_files,
    load,
    save,
)
from polystore.backends.regions import loaded_part
from polystore.backends.zarr.objects.bytesat import Bytes
from polystore.backends.zarr.objects.claims import Busy, claimed
from polystore.backends.zarr.objects.tree import object_tree
from polystore.backends.zarr.tree import Files
from polystore.core.outcome import Failure, Success, is_successful

if TYPE_CHECKING:
    import zarr

IMAGE = np.arange(40 * 40, dtype=np.uint16).reshape(40, 40)
NEVER_S = 10_000.0
"""Seconds after which writers count as dead, where no test may wait for it."""


def ended(action: Callable[[], object]) -> bool:
    """Whether an action ends by itself."""
    thread = threading.Thread(target=action, daemon=True)
    thread.start()
    thread.join(60)
    return not thread.is_alive()


def test_nobody_waits_for_a_dead_writer_whose_lock_the_system_let_go_of() -> None:
    config = new_zarr_in("disk")
    kill_a_writer(config)
    done: list[Outcome[bool]] = []
    new = filling({"c/0": b"new", "zarr.json": node()})
    assert ended(lambda: done.append(tree_of(config, NEVER_S).build(KEY, "fail", new)))
    assert done[0].unwrap()
    assert everything(config) == ["a/c/0", "a/zarr.json", "zarr.json"]


def test_the_claim_of_a_live_writer_without_a_lock_is_not_followed() -> None:
    config = new_zarr_in("disk")
    opened = dispatcher().open(config.store).unwrap()
    lockless = Bytes(config, evolve(opened, backend=evolve(opened.backend, lock=None)))
    with claimed(lockless, "a", 1.0) as other:
        with pytest.raises(Busy), claimed(Bytes(config, opened), "a", 1.0):
            pass
        other.require()


def images_in(folder: Path) -> ZarrConfig:
    return ZarrConfig(
        root="r",
        layout=ZarrLayout.IMAGE,
        ome=OmeOptions(levels=2),
        store=DiskConfig(root=str(folder)),
    )


def delete_and_fail_after(config: ZarrConfig, count: int) -> bool:
    """Delete an image, until the store fails after so many of its files; whether it did."""
    opened = dispatcher().open(config.store).unwrap()
    real, lock, left = opened.backend.delete, threading.Lock(), [count]

    def dying(handle: object, key: Key, /) -> Outcome[None]:
        assert real is not None
        if "polystore-claim" in key:
            return real(handle, key)
        with lock:
            left[0] -= 1
            if left[0] < 0:
                return Failure(Unavailable(key, None, "It is down.", "Try again."))
        return real(handle, key)

    backend = evolve(opened.backend, delete=dying)
    tree = object_tree(config, evolve(opened, backend=backend), NEVER_S).unwrap()
    return not is_successful(tree.delete(KEY))


def is_whole(config: ZarrConfig, key: str, wanted: object) -> bool:
    """Whether what is under a key can be loaded; then it lacks nothing."""
    item = load(config)(key)
    if not is_successful(item):
        assert isinstance(item.failure(), (NotFound, NotAFile)), item
        return False
    assert np.array_equal(np.asarray(item.unwrap().payload), np.asarray(wanted))
    return True


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_a_delete_that_breaks_off_leaves_nothing_half_and_nothing_unlisted(
    tmp_path: Path, version: Literal["0.4", "0.5"]
) -> None:
    for count in range(0, 60, 1 if version == "0.5" else 3):
        config = images_in(tmp_path / str(count))
        config = evolve(config, ome=evolve(config.ome, version=version))
        save(config)(Item("a", IMAGE)).unwrap()
        save(config)(Item("a/labels/n", IMAGE)).unwrap()
        if not delete_and_fail_after(config, count):
            break
        there, label = is_whole(config, "a", IMAGE), is_whole(config, "a/labels/n", IMAGE)
        is_whole(config, "a/0", IMAGE)
        assert not label or there
        assert list_files(config).value_or(()) == (("a",) if there else ())
        if there and count % 2:
            save(config, if_exists="replace")(Item("a/labels/n", IMAGE)).unwrap()
            assert is_whole(config, "a/labels/n", IMAGE)
        delete(config, "a").unwrap()
        assert everything(config) in (["zarr.json"], [".zgroup"])
        save(config)(Item("a", IMAGE)).unwrap()
    else:
        raise AssertionError("it never came to its end")


def test_no_label_and_no_group_is_made_below_an_image_that_is_gone() -> None:
    config = evolve(new_zarr_in("disk"), layout=ZarrLayout.IMAGE)
    tree = tree_of(config)
    label = filling({"zarr.json": image()})
    tree.build(Key("b"), "fail", filling({"zarr.json": node()})).unwrap()
    assert isinstance(tree.build(Key("a/labels/n"), "fail", label).failure(), NotFound)
    added = tree.amend("a/labels", lambda found: {**found, "labels": ["n"]})
    assert isinstance(added.failure(), NotFound)
    assert everything(config) == ["b/zarr.json", "zarr.json"]


def test_an_image_is_not_deleted_beside_a_save_of_its_label() -> None:
    config = evolve(new_zarr_in("disk"), layout=ZarrLayout.IMAGE)
    tree = tree_of(config)
    tree.build(KEY, "fail", filling({"zarr.json": image()})).unwrap()
    deleted: list[Outcome[None]] = []
    deleting = threading.Thread(target=lambda: deleted.append(tree.delete(KEY)))

    def fill(files: Files) -> Outcome[None]:
        deleting.start()
        deleting.join(0.2)  # as long as it may need, if nothing holds it up
        return filling({"0/c/0": b"0", "zarr.json": image()})(files)

    tree.build(Key("a/labels/n"), "fail", fill).unwrap()
    deleting.join()
    assert deleted == [Success(None)]
    assert everything(config) == ["zarr.json"]


def with_a_folder(chunk: Path) -> None:
    chunk.mkdir()


def with_a_circle(chunk: Path) -> None:
    chunk.symlink_to(chunk.name)


def with_a_way_out(chunk: Path) -> None:
    (chunk.parent.parent.parent.parent.parent / "out").write_bytes(b"1234")
    chunk.symlink_to("../../../../../out")


def with_a_pipe(chunk: Path) -> None:
    os.mkfifo(chunk)


@pytest.mark.parametrize("put", [with_a_folder, with_a_circle, with_a_way_out, with_a_pipe])
def test_what_is_no_chunk_in_its_place_is_damage(
    tmp_path: Path, put: Callable[[Path], None]
) -> None:
    array = tmp_path / "d" / "r" / "x"
    made = ZARR_PYTHON.create_group(tmp_path / "d" / "r")
    content = np.repeat(np.array([0, 0, 1, 1], np.uint8), 4).reshape(4, 4)
    cast("zarr.Group", made).create_array("x", data=content, chunks=(2, 2))
    (array / "c" / "0").mkdir()
    store = ZarrConfig(root="r", store=DiskConfig(root=str(tmp_path / "d")))
    load(store)("x").unwrap()  # the others' missing chunks are the fill value
    put(array / "c" / "0" / "0")
    assert isinstance(load(store)("x").failure(), Corrupt)


@pytest.mark.parametrize("sharded", [False, True])
def test_a_file_longer_than_its_chunks_is_not_copied(tmp_path: Path, sharded: bool) -> None:
    source = ZarrConfig(root=str(tmp_path / "s"), chunks=(16, 16))
    source = evolve(source, shards=(32, 32)) if sharded else source
    save(source)(Item("x", IMAGE)).unwrap()
    sink = ZarrConfig(root="r", store=DiskConfig(root=str(tmp_path / "d")))
    copy(source, "x", "whole", to=sink).unwrap()
    os.truncate(tmp_path / "s" / "x" / "c" / "0" / "0", 2**40)  # no block of it is there
    for to in (sink, ZarrConfig(root=str(tmp_path / "f"))):
        assert isinstance(copy(source, "x", "y", to=to).failure(), Corrupt)
        assert list_files(to).value_or(()) == (("whole",) if to == sink else ())


def test_a_region_is_read_again_where_its_array_was_changed_meanwhile(tmp_path: Path) -> None:
    config = ZarrConfig(root="r", chunks=(16, 16), store=DiskConfig(root=str(tmp_path)))
    save(config)(Item("x", np.zeros((16, 16), np.uint8))).unwrap()
    target = Dispatcher(default_registry()).target(config, "x").unwrap()
    lazily, changes = target.backend.load_lazy, list(range(1, 6))

    def changed_after(
        handle: object, key: Key, format: FileFormat[object] | None, /
    ) -> Outcome[Item[LazyArray]]:
        assert lazily is not None
        item = lazily(handle, key, format)
        if changes:
            new = np.full((16, 16), changes.pop(0), np.uint8)
            save(config, region=np.s_[:, :])(Item("x", new)).unwrap()
        return item

    source = evolve(target, backend=evolve(target.backend, load_lazy=changed_after))
    part = loaded_part(source, None, ((0, 4), (0, 4)), Success)
    assert np.array_equal(np.asarray(part.unwrap().payload), np.full((4, 4), 5))
    assert not changes


def test_a_lazy_array_says_that_it_was_changed(tmp_path: Path) -> None:
    config = ZarrConfig(root="r", store=DiskConfig(root=str(tmp_path)))
    save(config)(Item("x", IMAGE)).unwrap()
    lazy = load(config, lazy=True)("x").unwrap().payload
    delete(config, "x").unwrap()
    error = lazy.read(np.s_[:2, :2]).failure()
    assert isinstance(error, Unavailable)
    assert "'x' was changed since it was opened" in error.message
    assert error.advice == "Load it again."
