"""What a Zarr store asks of a server: many chunks at once, and again what was replaced."""

from __future__ import annotations

import json
import threading
from contextlib import ExitStack

import numpy as np
import pytest
from attrs import evolve
from object_proxy import counting
from object_server import client_options, endpoint, lacks, new_objects
from zarr_objects_made import dispatcher, filling, tree_of

from polystore import Item, Key, ObjectConfig, ZarrConfig, ZarrLayout, list_files, load, save
from polystore.backends.zarr.objects.bytesat import Bytes
from polystore.backends.zarr.objects.claims import claimed
from polystore.backends.zarr.objects.node import CLAIM

pytestmark = pytest.mark.skipif(bool(lacks()), reason=lacks())

AT_ONCE = 8
PATIENCE_S = 20.0


def through(zarr: ZarrConfig, address: str) -> ZarrConfig:
    """Give the store as it is seen through another server."""
    assert isinstance(zarr.store, ObjectConfig)
    options = {**client_options(), "endpoint": address}
    return evolve(zarr, store=ObjectConfig(zarr.store.url, options))


@pytest.mark.parametrize("lazy", [False, True])
def test_small_chunks_are_asked_for_many_at_once(lazy: bool) -> None:
    zarr = ZarrConfig(root="a.zarr", store=new_objects(), chunks=(4, 4), shards=())
    image = np.arange(16 * 16, dtype=np.uint16).reshape(16, 16)
    save(zarr)(Item("a", image)).unwrap()
    together = threading.Barrier(AT_ONCE)
    alone = list[bytes]()

    def wait_for_others(request: bytes) -> None:
        if request.startswith(b"GET") and b"/a/c/" in request:
            try:
                together.wait(PATIENCE_S)
            except threading.BrokenBarrierError:
                alone.append(request)

    with counting(endpoint(), wait_for_others) as counted:
        there = through(zarr, counted.address)
        if lazy:
            array = load(there, lazy=True)("a").unwrap().payload
            found = array.read(np.s_[0:16, 0:16]).unwrap()
        else:
            found = load(there)("a").unwrap().payload
    assert np.array_equal(found, image)
    assert alone == []


def test_a_large_chunk_that_is_replaced_while_it_is_read_is_read_again() -> None:
    shape = (512, 512)
    zarr = ZarrConfig(root="a.zarr", store=new_objects(), chunks=shape, shards=(), compressor=None)
    save(zarr)(Item("a", np.zeros(shape, np.uint16))).unwrap()
    replaced = list[bytes]()

    def replace(request: bytes) -> None:
        if b"/a/c/" in request and b"if-match" in request.lower() and len(replaced) < 3:
            replaced.append(request)
            block = np.full(shape, len(replaced), np.uint16)
            save(zarr, region=np.s_[0:512, 0:512])(Item("a", block)).unwrap()

    with counting(endpoint(), replace) as counted:
        found = load(through(zarr, counted.address))("a").unwrap().payload
    assert np.array_equal(found, np.full(shape, 3, np.uint16))


def test_an_image_that_is_finished_while_it_is_listed_is_not_entered() -> None:
    zarr = ZarrConfig(root="a.zarr", store=new_objects(), layout=ZarrLayout.IMAGE)
    content = Bytes(zarr, dispatcher().open(zarr.store).unwrap())
    level = json.dumps({"zarr_format": 3, "node_type": "array"}).encode()
    ome = {"version": "0.5", "multiscales": [{"datasets": [{"path": "0"}]}]}
    image = {"zarr_format": 3, "node_type": "group", "attributes": {"ome": ome}}
    tree_of(zarr).build(Key("b"), "fail", filling({"zarr.json": level})).unwrap()
    with ExitStack() as writing:
        writing.enter_context(claimed(content, "img", 30.0))
        content.put("img/0/zarr.json", [level], "fail")

        def finish(request: bytes) -> None:
            if f"img/{CLAIM}".encode() in request and content.stat("img/zarr.json") is None:
                content.put("img/zarr.json", [json.dumps(image).encode()], "fail")
                writing.close()

        with counting(endpoint(), finish) as counted:
            assert list_files(through(zarr, counted.address)).unwrap() == ("b",)
    assert set(list_files(zarr).unwrap()) == {"img", "b"}
