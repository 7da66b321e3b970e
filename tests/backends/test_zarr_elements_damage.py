"""Damaged chunks and shards: an error that says so, or the very same array, and never another."""

from __future__ import annotations

import errno
import math
import os

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, ShardingCodec, ZstdCodec
from zarr_files import memory_files
from zarr_oracle import told

from polystore.backends.zarr.elements.documents import documents_in
from polystore.backends.zarr.elements.grid import Grid
from polystore.backends.zarr.elements.interpret import array_meta
from polystore.backends.zarr.elements.meta import ArrayMeta
from polystore.backends.zarr.elements.reading import lazy_array, read_elements
from polystore.backends.zarr.elements.shard import (
    ABSENT,
    IndexForm,
    decode_index,
    encode_index,
    index_nbytes,
)
from polystore.backends.zarr.tree import Files, Seen
from polystore.core.errors import Corrupt
from polystore.core.outcome import is_successful
from polystore.core.payload import HostArray
from polystore.core.records import Readable
from polystore.core.region import Box, whole

ARRAY = np.arange(240, dtype="u2").reshape(12, 20)

INNER = (BloscCodec(cname="zstd", shuffle="bitshuffle", typesize=2), Crc32cCodec())

INDEX_FIRST = ShardingCodec(
    chunk_shape=(2, 4), codecs=(BytesCodec(), *INNER), index_location="start"
)

UNCHECKED = ShardingCodec(
    chunk_shape=(2, 4), codecs=(BytesCodec(), ZstdCodec()), index_codecs=(BytesCodec(endian="big"),)
)

CHUNKED = told(ARRAY, (4, 8), None, 3, {"compressors": INNER}).content

SHARDED = told(ARRAY, (2, 4), (6, 12), 3, {"compressors": INNER}).content

FIRST = told(ARRAY, (6, 12), None, 3, {"serializer": INDEX_FIRST, "compressors": None}).content

BARE = told(ARRAY, (6, 12), None, 3, {"serializer": UNCHECKED, "compressors": None}).content

CONTENTS = {"chunks": CHUNKED, "shards": SHARDED, "index first": FIRST, "no checksum": BARE}

ALL = whole(ARRAY.shape)

SOME = (range(3, 9), range(2, 15))


def meta_of(content: dict[str, bytes], dense: bool = True) -> ArrayMeta:
    documents = documents_in(memory_files(content)).unwrap()
    assert documents is not None
    return evolve(array_meta(documents).unwrap(), dense=dense)


def bounded(content: dict[str, bytes]) -> Files:
    """Give files of which nothing is ever asked that is not in them."""
    inner = memory_files(content)

    def opened(path: str) -> Readable | None:
        source = inner.open(path)
        if source is None:
            return None

        def read_into(offset: int, buffer: memoryview) -> int:
            assert 0 <= offset <= offset + len(buffer) <= source.size
            return source.read_into(offset, buffer)

        return evolve(source, read_into=read_into)

    return evolve(inner, open=opened)


def read(content: dict[str, bytes], box: Box = ALL, dense: bool = True) -> Seen[HostArray]:
    return read_elements(bounded(content), meta_of(content, dense), box, 10**6)


def expected(box: Box) -> HostArray:
    return ARRAY[box[0].start : box[0].stop, box[1].start : box[1].stop]


def parts(content: dict[str, bytes]) -> list[str]:
    return sorted(name for name in content if name.startswith("c/"))


@pytest.mark.parametrize("name", CONTENTS)
def test_all_of_these_are_read(name: str) -> None:
    for box in (ALL, SOME, (range(5, 6), range(19, 20))):
        seen = read(CONTENTS[name], box)
        assert seen.complete
        assert np.array_equal(seen.outcome.unwrap(), expected(box))


def check(content: dict[str, bytes], box: Box) -> None:
    """Check that damaged content is found to be so, or gives the array that it was."""
    found = read(content, box).outcome
    if is_successful(found):
        assert np.array_equal(found.unwrap(), expected(box))
    else:
        assert isinstance(found.failure(), Corrupt)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(("chunks", "shards", "index first")),
    st.sampled_from((ALL, SOME)),
    st.integers(0, 10**6),
    st.integers(1, 255),
    st.integers(0, 3),
)
def test_a_flipped_bit_never_gives_another_array(
    name: str, box: Box, where: int, flip: int, which: int
) -> None:
    content = dict(CONTENTS[name])
    path = parts(content)[which]
    damaged = bytearray(content[path])
    damaged[-1 - where % len(damaged)] ^= flip
    content[path] = bytes(damaged)
    check(content, box)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(sorted(CONTENTS)),
    st.integers(0, 3),
    st.data(),
    st.sampled_from((ALL, SOME)),
    st.booleans(),
)
def test_a_file_that_is_cut_off_or_too_long_never_gives_another_array(
    name: str, which: int, data: st.DataObject, box: Box, longer: bool
) -> None:
    content = dict(CONTENTS[name])
    path = parts(content)[which]
    length = data.draw(st.integers(0, len(content[path]) - 1))
    tail = content[path][length:] if longer else b""
    content[path] = content[path] + tail if longer else content[path][:length]
    check(content, box)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400), st.sampled_from(sorted(CONTENTS)), st.booleans())
def test_whatever_is_in_a_file_nothing_raises(junk: bytes, name: str, dense: bool) -> None:
    content = {**CONTENTS[name], parts(CONTENTS[name])[0]: junk}
    found = read(content, ALL, dense).outcome
    assert is_successful(found) or isinstance(found.failure(), Corrupt)


@pytest.mark.parametrize("name", CONTENTS)
def test_a_missing_file_is_damage_where_all_were_written_and_the_fill_value_elsewhere(
    name: str,
) -> None:
    content = dict(CONTENTS[name])
    path = parts(content)[0]
    del content[path]
    seen = read(content)
    assert not seen.complete
    assert path in seen.outcome.failure().message
    others = read(content, ALL, dense=False)
    assert not others.complete
    rows, columns = meta_of(content).grid.file
    filled = ARRAY.copy()
    filled[:rows, :columns] = 0
    assert np.array_equal(others.outcome.unwrap(), filled)
    elsewhere = (range(rows, 12), range(columns, 20))
    assert np.array_equal(read(content, elsewhere).outcome.unwrap(), expected(elsewhere))


def with_index(content: dict[str, bytes], change: str) -> dict[str, bytes]:
    """Give shards of which the first one has another index, with a checksum that is right."""
    form, count = IndexForm(), math.prod(meta_of(content).grid.chunks_of_file)
    path = parts(content)[0]
    nbytes = index_nbytes(form, count)
    body, index = content[path][:-nbytes], content[path][-nbytes:]
    entries = decode_index(form, index, count).copy()
    if change == "absent":
        entries[0] = ABSENT
    elif change == "half absent":
        entries[0, 0] = ABSENT
    elif change == "outside":
        entries[0] = (len(content[path]) - 4, 8)
    elif change == "beyond numbers":
        entries[0] = (2**64 - 2, 8)
    elif change == "long":
        entries[0] = (0, 2**63)
    else:
        entries[0] = entries[1]
    return {**content, path: body + encode_index(form, entries)}


CHANGES = ("absent", "half absent", "outside", "beyond numbers", "long", "overlapping")


@pytest.mark.parametrize("change", CHANGES)
def test_an_index_that_leads_astray_is_damage(change: str) -> None:
    content = with_index(SHARDED, change)
    assert isinstance(read(content).outcome.failure(), Corrupt)
    others = read(content, ALL, dense=False).outcome
    if change == "absent":
        filled = ARRAY.copy()
        filled[:2, :4] = 0
        assert np.array_equal(others.unwrap(), filled)
    elif change != "overlapping":
        assert isinstance(others.failure(), Corrupt)


def long_shard() -> dict[str, bytes]:
    """Give a shard that is too long to be read at once, whatever is wanted of it."""
    array = np.random.default_rng(0).integers(0, 2**16, (64, 64, 64), "u2")
    return told(array, (1, 64, 64), (64, 64, 64), 3, {"compressors": INNER}).content


LONG = long_shard()


@pytest.mark.parametrize("change", CHANGES)
def test_an_index_that_leads_out_of_a_long_shard_is_not_followed(change: str) -> None:
    content = with_index(LONG, change)
    for box in (whole((64, 64, 64)), (range(2), range(64), range(64))):
        assert isinstance(read(content, box).outcome.failure(), Corrupt)


def test_an_index_that_would_be_longer_than_its_long_shard_is_damage() -> None:
    meta = evolve(meta_of(SHARDED), grid=Grid((2**13,), (2**13,), (1,)))
    seen = read_elements(bounded({"c/0": bytes(10**5)}), meta, (range(9),), 10**6)
    assert isinstance(seen.outcome.failure(), Corrupt)


@given(st.integers(0, 35), st.integers(1, 255))
def test_the_checksum_of_an_index_is_checked(where: int, flip: int) -> None:
    content = bytearray(encode_index(IndexForm(), np.array([[0, 5], [5, 7]], "u8")))
    content[where] ^= flip
    with pytest.raises(ValueError, match="checksum"):
        decode_index(IndexForm(), bytes(content), 2)


def test_what_the_system_says_is_passed_on_and_all_is_closed() -> None:
    opened: list[str] = []
    meta = meta_of(SHARDED)

    def failing(path: str) -> Readable:
        def read_into(offset: int, buffer: memoryview) -> int:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        opened.append(path)
        return Readable(10**6, read_into, lambda: opened.remove(path))

    files = evolve(memory_files({}), open=failing)
    with pytest.raises(OSError, match="Input/output"):
        read_elements(files, meta, ALL, 10**6)
    assert opened == []


def test_a_folder_in_the_place_of_a_chunk_is_damage() -> None:
    def folder(path: str) -> Readable:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))

    files = evolve(memory_files({}), open=folder)
    assert isinstance(read_elements(files, meta_of(CHUNKED), ALL, 10**6).outcome.failure(), Corrupt)


def test_a_file_of_any_length_is_not_read_for_a_small_chunk() -> None:
    read_at: list[int] = []

    def read_into(offset: int, buffer: memoryview) -> int:
        read_at.append(len(buffer))
        buffer[:] = bytes(len(buffer))  # else there is what was in that memory: a right index
        return len(buffer)

    def endless(path: str) -> Readable:
        return Readable(2**50, read_into, lambda: None)

    files = evolve(memory_files({}), open=endless)
    for content in (CHUNKED, SHARDED, FIRST):
        seen = read_elements(files, meta_of(content), ALL, 10**6)
        assert isinstance(seen.outcome.failure(), Corrupt)
    assert sum(read_at) < 10**4


def test_only_what_is_wanted_of_a_shard_is_read() -> None:
    array = read(LONG, whole((64, 64, 64))).outcome.unwrap()
    taken: list[int] = []
    inner = memory_files(LONG)

    def counted(path: str) -> Readable | None:
        source = inner.open(path)
        if source is None:
            return None

        def read_into(offset: int, buffer: memoryview) -> int:
            taken.append(len(buffer))
            return source.read_into(offset, buffer)

        return evolve(source, read_into=read_into)

    files = evolve(inner, open=counted)
    lazy = lazy_array(files, meta_of(LONG), 10**6)
    plane = lazy.read((slice(7, 8), slice(None), slice(None))).unwrap()
    assert np.array_equal(plane, array[7:8])
    assert len(taken) == 2
    assert sum(taken) < 2**14
    taken.clear()
    assert np.array_equal(lazy.read((slice(None),) * 3).unwrap(), array)
    assert len(taken) == 2
