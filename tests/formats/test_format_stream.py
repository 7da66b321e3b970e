"""The files that libraries are given behave as `io.BytesIO` does, and keep what they are given."""

from __future__ import annotations

import errno
import io
import itertools
import os
from typing import TypeAlias

import pytest
from bytes_source import source_of
from hypothesis import given
from hypothesis import strategies as st

from polystore.core.records import Readable, readable_of
from polystore.formats.stream import ReadableFile, Recorder, read_small

Step: TypeAlias = "tuple[int, bytes]"

PIECES = st.one_of(
    st.binary(max_size=40),
    st.integers(2**16 - 2, 2**16 + 2).map(lambda length: b"\x07" * length),
)
STEPS = st.lists(st.tuples(st.integers(0, 400_000), PIECES), max_size=12)


@given(STEPS)
def test_what_is_recorded_is_what_a_file_would_hold(steps: list[Step]) -> None:
    recorder, expected = Recorder(), io.BytesIO()
    for position, piece in steps:
        for file in (recorder, expected):
            assert file.seek(position) == position
            assert file.write(piece) == len(piece)
        assert recorder.tell() == expected.tell()
    whole = expected.getvalue()
    assert b"".join(bytes(buffer) for buffer in recorder.buffers()) == whole
    assert recorder.size == len(whole)


@given(STEPS, st.data())
def test_memory_stands_in_its_place(steps: list[Step], data: st.DataObject) -> None:
    recorder, expected = Recorder(), io.BytesIO()
    for position, piece in steps:
        for file in (recorder, expected):
            file.seek(position)
            file.write(piece)
    whole = expected.getvalue()
    offset = data.draw(st.integers(0, len(whole)))
    memory = b"\x01" * data.draw(st.integers(0, len(whole) - offset))
    parts = recorder.buffers(offset, memoryview(memory))
    result = b"".join(bytes(buffer) for buffer in parts)
    assert result == whole[:offset] + memory + whole[offset + len(memory) :]


def test_large_bytes_are_kept_and_large_gaps_take_no_memory() -> None:
    recorder, large = Recorder(), bytes(2**20)
    recorder.write(b"II")
    recorder.write(large)
    recorder.seek(2**50, os.SEEK_CUR)
    recorder.write(b"tail")
    assert recorder.size == 2 + len(large) + 2**50 + 4
    head, kept = itertools.islice(recorder.buffers(), 2)
    assert bytes(head) == b"II"
    assert memoryview(kept).obj is large


@given(st.binary(max_size=200), st.lists(st.tuples(st.integers(0, 250), st.integers(-1, 250))))
def test_reading_is_as_from_a_file(content: bytes, steps: list[tuple[int, int]]) -> None:
    file, expected = ReadableFile(source_of(content)), io.BytesIO(content)
    assert file.seek(0, os.SEEK_END) == len(content)
    for position, size in steps:
        assert file.seek(position) == expected.seek(position)
        assert file.read(size) == expected.read(size)
        assert file.tell() == expected.tell()
        one, other = bytearray(10), bytearray(10)
        assert file.readinto(one) == expected.readinto(other)
        assert one == other
    with pytest.raises(ValueError, match="negative"):
        file.seek(-1)


def test_an_error_of_the_store_is_kept() -> None:
    def read_into(offset: int, buffer: memoryview, /) -> int:
        raise OSError(errno.EIO, "bad sector")

    file = ReadableFile(Readable(10, read_into, lambda: None))
    with pytest.raises(OSError, match="bad sector"):
        file.read(1)
    assert file.failure is not None
    assert file.failure.errno == errno.EIO


@pytest.mark.parametrize(("size", "is_small"), [(0, True), (2**16, True), (2**16 + 1, False)])
def test_a_small_source_is_read_whole(size: int, is_small: bool) -> None:
    content = os.urandom(size)
    assert read_small(source_of(content)) == (content if is_small else None)


def test_a_small_source_that_shrinks_is_left_to_those_who_read_its_parts() -> None:
    whole = source_of(b"one two")
    assert read_small(Readable(whole.size + 1, whole.read_into, whole.close)) is None


@given(st.binary(), st.integers(0, 99), st.integers(0, 99))
def test_bytes_are_read_as_any_source_is(content: bytes, offset: int, length: int) -> None:
    buffer = bytearray(length)
    count = readable_of(content).read_into(offset, memoryview(buffer))
    assert buffer[:count] == content[offset : offset + length]
