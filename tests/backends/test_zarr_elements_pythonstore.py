"""What zarr-python reads and writes for us: what fails beneath it is said as it is."""

from __future__ import annotations

import asyncio
import errno
import os
import threading

import numpy as np
import pytest
from attrs import evolve
from zarr.abc.store import OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.buffer import cpu
from zarr_files import memory_files
from zarr_oracle import told

from polystore.backends.zarr.elements.documents import documents_in
from polystore.backends.zarr.elements.filesstore import FilesStore
from polystore.backends.zarr.elements.interpret import array_meta
from polystore.backends.zarr.elements.meta import ArrayMeta
from polystore.backends.zarr.elements.pythonstore import write_by_zarr_python
from polystore.backends.zarr.elements.reading import read_elements
from polystore.core.errors import Corrupt, TooLarge
from polystore.core.payload import HostArray
from polystore.core.records import Readable, readable_of
from polystore.core.region import whole

TEXTS = np.array([["a", "", "Größe"], ["日本", "x" * 99, "\U0001f52c"]], np.dtypes.StringDType())


def text_array() -> dict[str, bytes]:
    return told(TEXTS, (1, 2)).content


def meta_of(content: dict[str, bytes], dense: bool = True) -> ArrayMeta:
    documents = documents_in(memory_files(content)).unwrap()
    assert documents is not None
    return evolve(array_meta(documents).unwrap(), dense=dense)


def test_what_it_writes_is_what_it_reads() -> None:
    made = text_array()
    meta = meta_of(made)
    content = {"below/zarr.json": made["zarr.json"]}
    write_by_zarr_python(memory_files(content), meta, TEXTS, "below/")
    assert {f"below/{name}": it for name, it in made.items()} == content
    seen = read_elements(memory_files(content), meta, whole(TEXTS.shape), 10**6, "below/")
    assert seen.complete
    assert seen.outcome.unwrap().tolist() == TEXTS.tolist()


def test_every_chunk_is_written_those_of_the_fill_value_too() -> None:
    made = text_array()
    content: dict[str, bytes] = {}
    empty: HostArray = np.full(TEXTS.shape, "", TEXTS.dtype)
    write_by_zarr_python(memory_files(content), meta_of(made), empty)
    assert content.keys() == made.keys() - {"zarr.json"}


def test_a_missing_chunk_is_damage_where_all_were_written() -> None:
    content = text_array()
    del content["c/0/0"]
    files = memory_files(content)
    seen = read_elements(files, meta_of(content), whole(TEXTS.shape), 10**6)
    assert not seen.complete
    assert "'c/0/0' is missing" in seen.outcome.failure().message
    others = read_elements(files, meta_of(content, dense=False), whole(TEXTS.shape), 10**6)
    assert not others.complete
    assert others.outcome.unwrap()[0].tolist() == ["", "", "Größe"]


def test_damage_is_told_from_a_failing_disk() -> None:
    content = text_array()
    meta = meta_of(content)
    damaged = memory_files({**content, "c/0/0": b"\0\1"})
    assert isinstance(read_elements(damaged, meta, whole((2, 3)), 10**6).outcome.failure(), Corrupt)

    def failing(path: str) -> Readable:
        raise OSError(errno.EIO, os.strerror(errno.EIO), path)

    with pytest.raises(OSError, match="Input/output"):
        read_elements(evolve(damaged, open=failing), meta, whole((2, 3)), 10**6)


def test_limits() -> None:
    content = text_array()
    meta = meta_of(content)
    few = read_elements(memory_files(content), meta, whole((2, 3)), 4096)
    assert isinstance(few.outcome.failure(), TooLarge)

    def endless(path: str) -> Readable:
        return Readable(2**50, lambda offset, buffer: len(buffer), lambda: None)

    files = evolve(memory_files({}), open=endless)
    long = read_elements(files, meta, whole((2, 3)), 10**6)
    assert isinstance(long.outcome.failure(), TooLarge)


def test_parts_of_files() -> None:
    store = FilesStore(memory_files({"x/a": b"0123456789"}), "x/")

    def got(part: RangeByteRequest | OffsetByteRequest | SuffixByteRequest | None) -> bytes | None:
        found = asyncio.run(store.get("a", cpu.buffer_prototype, part))
        return None if found is None else found.to_bytes()

    assert got(None) == b"0123456789"
    assert got(RangeByteRequest(2, 4)) == b"23"
    assert got(RangeByteRequest(8, 40)) == b"89"
    assert got(OffsetByteRequest(7)) == b"789"
    assert got(SuffixByteRequest(3)) == b"789"
    assert got(SuffixByteRequest(0)) == b""
    assert asyncio.run(store.exists("a"))
    assert not asyncio.run(store.exists("b"))
    assert asyncio.run(store.get("b", cpu.buffer_prototype)) is None
    assert store.missing == "b"


def test_close_waits_for_what_is_under_way_and_refuses_the_rest() -> None:
    begun, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def slow(path: str) -> Readable:
        begun.set()
        assert may_end.wait(60)
        ended.set()
        return readable_of(b"")

    store = FilesStore(evolve(memory_files({}), open=slow))
    reading = threading.Thread(target=lambda: asyncio.run(store.get("a", cpu.buffer_prototype)))
    reading.start()
    assert begun.wait(60)
    closing = threading.Thread(target=store.close)
    closing.start()
    closing.join(0.05)
    assert closing.is_alive()
    may_end.set()
    closing.join(60)
    assert ended.is_set()
    reading.join(60)
    with pytest.raises(OSError, match="ended"):
        asyncio.run(store.get("a", cpu.buffer_prototype))
