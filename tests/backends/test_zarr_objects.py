"""Zarr arrays in stores of bytes: what holds in a folder holds here, or is a typed error."""

from __future__ import annotations

import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
from attrs import evolve
from object_server import client_options, endpoint, lacks, new_objects
from zarr_access import ZARR_PYTHON
from zarr_objects_made import KINDS, dispatcher, filling, new_zarr_in, tree_of

from polystore import (
    DiskConfig,
    HostArray,
    Item,
    Key,
    LazyArray,
    Metadata,
    ObjectConfig,
    OmeOptions,
    Outcome,
    Saved,
    ZarrConfig,
    ZarrLayout,
    copy,
    create_symlink,
    delete,
    list_dir,
    list_files,
    load,
    save,
    stat,
)
from polystore.backends.zarr.tree import Files
from polystore.core.errors import (
    AlreadyExists,
    InvalidKey,
    InvalidSpec,
    NotADirectory,
    NotAFile,
    NotFound,
    StorageError,
    UnsupportedOperation,
)

if TYPE_CHECKING:
    import zarr

IMAGE = np.arange(60 * 70, dtype=np.uint16).reshape(60, 70)
USED = dispatcher()

every_kind = pytest.mark.parametrize("kind", KINDS)
local_kinds = pytest.mark.parametrize("kind", ["disk", "sqlite"])
needs_server = pytest.mark.skipif(bool(lacks()), reason=lacks())


def saved(zarr: ZarrConfig, key: str, array: HostArray = IMAGE) -> Outcome[Saved]:
    return USED.run(save(zarr), Item(key, array))


def loaded(zarr: ZarrConfig, key: str) -> HostArray:
    return USED.run(load(zarr), key).unwrap().payload


def keys(zarr: ZarrConfig, folder: str = "") -> tuple[str, ...]:
    return tuple(list_files(zarr, folder=folder, dispatcher=USED).unwrap())


@every_kind
def test_an_array_comes_back_whole_lazily_and_by_regions(kind: str) -> None:
    made = new_zarr_in(kind)
    zarr = ZarrConfig(root=made.root, store=made.store, chunks=(32, 32), shards=())
    assert saved(zarr, "a/one").unwrap().status == "written"
    assert saved(zarr, "two", IMAGE[:0]).unwrap().status == "written"
    assert np.array_equal(loaded(zarr, "a/one"), IMAGE)
    assert loaded(zarr, "two").shape == (0, 70)
    part = USED.run(load(zarr, region=np.s_[5:40, 33:70]), "a/one").unwrap().payload
    assert np.array_equal(part, IMAGE[5:40, 33:70])
    lazy = USED.run(load(zarr, lazy=True), "a/one").unwrap().payload
    assert np.array_equal(lazy.read(np.s_[31:33, 0:70]).unwrap(), IMAGE[31:33])
    assert set(keys(zarr)) == {"a/one", "two"}
    assert keys(zarr, "a") == ("a/one",)
    assert set(list_dir(zarr, dispatcher=USED).unwrap()) == {"a", "two"}
    assert stat(zarr, "a", dispatcher=USED).unwrap().kind == "folder"
    assert stat(zarr, "a/one", dispatcher=USED).unwrap().kind == "file"


@every_kind
def test_what_is_not_there_or_in_the_way_is_told(kind: str) -> None:
    zarr = new_zarr_in(kind)
    assert isinstance(list_files(zarr, dispatcher=USED).failure(), NotFound)
    saved(zarr, "a/one").unwrap()
    wrong: list[tuple[Outcome[object], type[StorageError]]] = [
        (USED.run(load(zarr), "a/two"), NotFound),
        (USED.run(load(zarr), "a"), NotAFile),
        (USED.run(load(zarr), "a/one/c"), NotFound),
        (stat(zarr, "a/one/c/0", dispatcher=USED), NotFound),
        (saved(zarr, "a/one"), AlreadyExists),
        (saved(zarr, "a/one/b"), NotADirectory),
        (saved(zarr, "a"), NotAFile),
        (saved(zarr, "a/__b"), InvalidKey),
        (saved(zarr, "a/one/-"), NotADirectory),
        (saved(zarr, "a/zarr.json/b"), InvalidKey),
        (USED.run(save(zarr, if_exists="replace"), Item("a/one", IMAGE)), UnsupportedOperation),
        (delete(zarr, "a", dispatcher=USED), NotAFile),
        (delete(zarr, "b", dispatcher=USED), NotFound),
        (list_files(zarr, folder="a/one", dispatcher=USED), NotADirectory),
    ]
    for number, (outcome, error) in enumerate(wrong):
        assert isinstance(outcome.failure(), error), f"number {number}: {outcome}"
        assert outcome.failure().config == zarr
    skipped = USED.run(save(zarr, if_exists="skip"), Item("a/one", IMAGE[:1]))
    assert skipped.unwrap().status == "skipped"
    assert np.array_equal(loaded(zarr, "a/one"), IMAGE)
    assert keys(zarr) == ("a/one",)


@local_kinds
def test_what_was_deleted_is_gone_and_can_be_saved_anew(kind: str) -> None:
    zarr = new_zarr_in(kind)
    saved(zarr, "a/one").unwrap()
    delete(zarr, "a/one", dispatcher=USED).unwrap()
    assert isinstance(USED.run(load(zarr), "a/one").failure(), NotFound)
    assert keys(zarr) == ()
    saved(zarr, "a/one", IMAGE + 1).unwrap()
    assert np.array_equal(loaded(zarr, "a/one"), IMAGE + 1)
    delete(zarr, "a/one", dispatcher=USED).unwrap()
    delete(zarr, "a", dispatcher=USED).unwrap()
    assert isinstance(stat(zarr, "a", dispatcher=USED).failure(), NotFound)


@every_kind
def test_a_region_in_one_file_is_saved_and_one_in_several_is_refused(kind: str) -> None:
    made = new_zarr_in(kind)
    zarr = ZarrConfig(root=made.root, store=made.store, chunks=(32, 32), shards=())
    saved(zarr, "a").unwrap()
    held = USED.run(load(zarr, lazy=True), "a").unwrap().payload
    before = stat(zarr, "a", dispatcher=USED).unwrap()
    block = np.full((10, 10), 7, np.uint16)
    USED.run(save(zarr, region=np.s_[40:50, 40:50]), Item("a", block)).unwrap()
    wanted = IMAGE.copy()
    wanted[40:50, 40:50] = 7
    assert np.array_equal(loaded(zarr, "a"), wanted)
    several = USED.run(save(zarr, region=np.s_[25:35, 0:10]), Item("a", block))
    assert isinstance(several.failure(), UnsupportedOperation)
    assert "several files" in several.failure().message
    assert np.array_equal(loaded(zarr, "a"), wanted)
    assert "replaced" in held.read(np.s_[0:32, 0:32]).failure().message
    if kind != "sqlite":  # it knows no etags
        assert stat(zarr, "a", dispatcher=USED).unwrap().etag != before.etag


@local_kinds
def test_a_lazy_array_of_what_was_deleted_is_no_mixture(kind: str) -> None:
    zarr = new_zarr_in(kind)
    saved(zarr, "a").unwrap()
    lazy: LazyArray = USED.run(load(zarr, lazy=True), "a").unwrap().payload
    delete(zarr, "a", dispatcher=USED).unwrap()
    saved(zarr, "a", np.ones_like(IMAGE)[:50]).unwrap()
    assert "replaced or deleted" in lazy.read(np.s_[0:10, 0:10]).failure().message


@local_kinds
def test_links_are_followed_and_deleted_alone(kind: str) -> None:
    zarr = new_zarr_in(kind)
    saved(zarr, "a/one").unwrap()
    create_symlink(zarr, "b/link", target="a/one", dispatcher=USED).unwrap()
    create_symlink(zarr, "folder", target="a", dispatcher=USED).unwrap()
    create_symlink(zarr, "broken", target="none", dispatcher=USED).unwrap()
    assert np.array_equal(loaded(zarr, "b/link"), IMAGE)
    assert np.array_equal(loaded(zarr, "folder/one"), IMAGE)
    assert stat(zarr, "b/link", dispatcher=USED).unwrap().link == "a/one"
    assert stat(zarr, "broken", dispatcher=USED).unwrap().kind == "broken link"
    assert set(keys(zarr)) == {"a/one", "b/link", "broken"}
    assert keys(zarr, "folder") == ("folder/one",)
    saved(zarr, "folder/two").unwrap()
    assert np.array_equal(loaded(zarr, "a/two"), IMAGE)
    again = USED.run(save(zarr, if_exists="replace"), Item("b/link", IMAGE + 1))
    assert again.unwrap().status == "written"
    assert np.array_equal(loaded(zarr, "b/link"), IMAGE + 1)
    delete(zarr, "broken", dispatcher=USED).unwrap()
    assert np.array_equal(loaded(zarr, "a/one"), IMAGE)


@local_kinds
def test_links_in_a_circle_are_told(kind: str) -> None:
    zarr = new_zarr_in(kind)
    create_symlink(zarr, "a", target="b", dispatcher=USED).unwrap()
    create_symlink(zarr, "b", target="a", dispatcher=USED).unwrap()
    assert isinstance(USED.run(load(zarr), "a").failure(), InvalidKey)
    assert stat(zarr, "a", dispatcher=USED).unwrap().kind == "broken link"


@local_kinds
def test_arrays_are_copied_as_they_are_stored_both_ways(kind: str) -> None:
    zarr, folder = new_zarr_in(kind), ZarrConfig(root=f"{tempfile.mkdtemp()}/a.zarr")
    saved(folder, "one").unwrap()
    copy(folder, "one", to=zarr, dispatcher=USED).unwrap()
    assert np.array_equal(loaded(zarr, "one"), IMAGE)
    copy(zarr, "one", to=folder, new_key="two", dispatcher=USED).unwrap()
    assert np.array_equal(loaded(folder, "two"), IMAGE)


@local_kinds
def test_what_a_fill_fails_to_write_leaves_nothing(kind: str) -> None:
    zarr = new_zarr_in(kind)

    def broken(files: Files) -> Outcome[None]:
        filling({"c/0": b"1", "zarr.json": b"{}"})(files).unwrap()
        raise OSError(5, "the source broke off")

    outcome = tree_of(zarr).build(Key("a"), "fail", broken)
    assert "broke off" in outcome.failure().message
    assert isinstance(stat(zarr, "a", dispatcher=USED).failure(), NotFound)
    assert keys(zarr) == ()
    assert saved(zarr, "a").unwrap().status == "written"


ALLOW = {"allow_http": "true", "max_retries": "0"}
AXES = Metadata(axes=("y", "x"))


@every_kind
def test_images_and_labels_are_kept_and_images_replaced(kind: str) -> None:
    zarr = evolve(new_zarr_in(kind), layout=ZarrLayout.IMAGE, ome=OmeOptions(levels=2))
    USED.run(save(zarr), Item("x/image", IMAGE, AXES)).unwrap()
    label = Item("x/image/labels/nuclei", (IMAGE > 9).astype(np.uint8), AXES)
    USED.run(save(zarr), label).unwrap()
    assert keys(zarr) == ("x/image",)
    assert loaded(zarr, "x/image/1").shape == (30, 35)
    replace = save(zarr, if_exists="replace")
    new = Item("x/image", IMAGE + 1, AXES)
    assert isinstance(USED.run(replace, new).failure(), UnsupportedOperation)
    for name in keys(zarr, "x/image/labels"):
        delete(zarr, name, dispatcher=USED).unwrap()
    assert USED.run(replace, new).unwrap().status == "written"
    assert np.array_equal(loaded(zarr, "x/image"), IMAGE + 1)
    assert loaded(zarr, "x/image/1").shape == (30, 35)
    delete(zarr, "x/image", dispatcher=USED).unwrap()
    assert keys(zarr) == ()


@every_kind
def test_wells_that_are_added_at_once_are_all_in_the_plate(kind: str) -> None:
    plate = evolve(new_zarr_in(kind), layout=ZarrLayout.PLATE, ome=OmeOptions(levels=1))
    fields = [f"{row}/{column}/0" for row in "AB" for column in (1, 2)]
    with ThreadPoolExecutor(4) as threads:
        items = [Item(key, IMAGE + number, AXES) for number, key in enumerate(fields)]
        begun = [threads.submit(USED.run, save(plate), item) for item in items]
        for each in begun:
            each.result().unwrap()
    assert sorted(keys(plate)) == fields
    for number, key in enumerate(fields):
        assert np.array_equal(loaded(plate, key), IMAGE + number)


@needs_server
def test_zarr_python_opens_what_is_in_s3() -> None:
    from obstore.store import S3Store
    from zarr.storage import ObjectStore

    store = new_objects()
    ours = ZarrConfig(root="plate.zarr", store=store)
    saved(ours, "wells/one").unwrap()
    bucket, _, prefix = store.url.removeprefix("s3://").partition("/")
    client = S3Store(
        bucket,
        prefix=f"{prefix}/plate.zarr",
        endpoint=endpoint(),
        region="us-east-1",
        client_options={"allow_http": True},
    )
    opened = ZARR_PYTHON.open_group(ObjectStore(client, read_only=True), mode="r")
    array = cast("zarr.Group", opened)["wells/one"]
    assert np.array_equal(np.asarray(cast("zarr.Array[Any]", array)[:]), IMAGE)


@needs_server
def test_errors_of_the_store_come_through() -> None:
    gone = ObjectConfig("s3://there-is-none", client_options())
    zarr = ZarrConfig(root="a", store=gone)
    for outcome in (saved(zarr, "a"), USED.run(load(zarr), "a")):
        assert isinstance(outcome.failure(), NotFound)
        assert outcome.failure().config == zarr
    wrong = ZarrConfig(root="a", store=ObjectConfig("file:///data"))
    assert isinstance(saved(wrong, "a").failure(), InvalidSpec)


class _Quiet(SimpleHTTPRequestHandler):
    """A handler that does not say what it is asked."""

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.mark.parametrize("version", [2, 3])
@needs_server
def test_what_is_behind_plain_http_is_read(tmp_path: Path, version: int) -> None:
    made = ZARR_PYTHON.create_group(tmp_path / "a.zarr", zarr_format=version)
    cast("zarr.Group", made).create_array("b/one", data=IMAGE, chunks=(30, 30))
    handler = partial(_Quiet, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            address = f"http://127.0.0.1:{server.server_port}"
            zarr_there = ZarrConfig(root="a.zarr", store=ObjectConfig(address, ALLOW))
            assert np.array_equal(loaded(zarr_there, "b/one"), IMAGE)
            lazy = USED.run(load(zarr_there, lazy=True), "b/one").unwrap().payload
            assert np.array_equal(lazy.read(np.s_[3:5, 40:]).unwrap(), IMAGE[3:5, 40:])
            assert isinstance(USED.run(load(zarr_there), "none").failure(), NotFound)
            for outcome in (list_files(zarr_there), saved(zarr_there, "new")):
                assert isinstance(outcome.failure(), UnsupportedOperation)
        finally:
            server.shutdown()
            serving.join()


@pytest.mark.parametrize("root", ["../x", "a//b", ".polystore-a"])
def test_a_root_that_is_no_key_is_refused(root: str) -> None:
    zarr = ZarrConfig(root=root, store=DiskConfig(root=tempfile.mkdtemp()))
    assert isinstance(saved(zarr, "a").failure(), InvalidSpec)


def test_a_store_of_arrays_is_no_store_of_files() -> None:
    inner = ZarrConfig(root="inner", store=DiskConfig(root=tempfile.mkdtemp()))
    outer = ZarrConfig(root="outer", store=inner)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert isinstance(saved(outer, "a").failure(), UnsupportedOperation)
