"""Chunks through their codecs, both ways; what is none of theirs is refused, however it is made."""

from __future__ import annotations

import gzip
import threading
import tracemalloc
import zlib
from collections.abc import Callable, Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numcodecs import blosc, lz4, zstd

from polystore.backends.zarr.elements.codecs import Chain, chain_of, swapped
from polystore.backends.zarr.elements.compressors import (
    CHECKSUM,
    Step,
    compressor_of_v2,
    compressor_of_v3,
)
from polystore.backends.zarr.elements.workers import SMALL, WAITING, run_all
from polystore.core.payload import HostArray, Json
from polystore.testing.arrays import filled


def step(name: str, **options: Json) -> Step:
    found = compressor_of_v3(name, options, 2)
    assert found is not None
    return found


def old(name: str, **options: Json) -> Step:
    found = compressor_of_v2({"id": name, **options}, 2)
    assert found is not None
    return found


COMPRESSORS: Mapping[str, Step | None] = {
    "none": None,
    "blosc": step("blosc", cname="zstd", shuffle="bitshuffle", typesize=2),
    "blosc of v2": old("blosc", cname="lz4", shuffle=-1),
    "zstd": step("zstd", level=1),
    "checked zstd": step("zstd", level=1, checksum=True),
    "gzip": step("gzip", level=1),
    "zlib": old("zlib"),
    "lz4": old("lz4"),
}


def chain(name: str, inner: int = 0, outer: int = 0) -> Chain:
    middle = COMPRESSORS[name]
    steps = [CHECKSUM] * inner + ([] if middle is None else [middle]) + [CHECKSUM] * outer
    found = chain_of(steps)
    assert found is not None
    return found


def encoded(codecs: Chain, array: HostArray) -> memoryview:
    return memoryview(b"".join(codecs.encode(array)))


def decoded(codecs: Chain, content: memoryview, like: HostArray) -> HostArray:
    into = np.empty(like.shape, like.dtype)
    codecs.decode(content, into)
    return into


DTYPES = ("u1", "u2", ">u2", "f8", "c8", "M8[s]", "V5", "U2", "b1")


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(sorted(COMPRESSORS)),
    st.integers(0, 2),
    st.integers(0, 2),
    st.sampled_from(DTYPES),
    st.lists(st.integers(1, 6), max_size=3),
)
def test_there_and_back(name: str, inner: int, outer: int, dtype: str, shape: list[int]) -> None:
    array, codecs = filled(inner, np.dtype(dtype), tuple(shape)), chain(name, inner, outer)
    content = encoded(codecs, array)
    assert decoded(codecs, content, array).tobytes() == array.tobytes()
    for wrong in (content[:-1], content[:0], memoryview(bytes(content) + b"\0" * 9)):
        other = np.concatenate((array.ravel(), array.ravel()[:1]))
        if wrong.nbytes < content.nbytes or (inner or outer or name not in ("zlib", "lz4")):
            with pytest.raises(ValueError, match=r"\w"):
                decoded(codecs, wrong, array)
        with pytest.raises(ValueError, match=r"\w"):
            decoded(codecs, content, other)


def test_elements_are_turned_around_where_they_are_stored_so() -> None:
    codecs, array = chain_of([CHECKSUM], swapped), np.arange(6, dtype="<u2")
    assert codecs is not None
    content = encoded(codecs, array)
    assert bytes(content[:-4]) == array.astype(">u2").tobytes()
    assert array.tolist() == [0, 1, 2, 3, 4, 5]
    assert decoded(codecs, content, array).tolist() == [0, 1, 2, 3, 4, 5]


def test_two_compressors_are_left_to_others() -> None:
    assert chain_of([step("zstd"), CHECKSUM, step("gzip")]) is None
    assert compressor_of_v3("snappy", {}, 2) is None
    assert compressor_of_v2({"id": "bz2"}, 2) is None


ZEROS = bytes(2**26)

BOMBS: Mapping[str, tuple[str, Callable[[], bytes]]] = {
    "blosc": ("blosc", lambda: blosc.compress(ZEROS, b"zstd", 9)),
    "zstd": ("zstd", lambda: zstd.compress(ZEROS)),
    "gzip": ("gzip", lambda: gzip.compress(ZEROS)),
    "zlib": ("zlib", lambda: zlib.compress(ZEROS)),
    "lz4": ("lz4", lambda: lz4.compress(ZEROS)),
    "many zstd": ("zstd", lambda: zstd.compress(ZEROS[: 2**16]) * 1000),
    "many gzip": ("gzip", lambda: gzip.compress(b"") * 10_000 + gzip.compress(ZEROS)),
}


@pytest.mark.parametrize("name", BOMBS)
def test_what_holds_far_more_than_its_chunk_is_refused_without_making_room_for_it(
    name: str,
) -> None:
    codec, bomb = BOMBS[name]
    content, into = memoryview(bomb()), np.empty(50, "u2")
    decoded(chain(codec), encoded(chain(codec), into), into)  # what is imported is not counted
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"\w"):
            chain(codec).decode(content, into)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_streams_of_several_parts_are_one_chunk() -> None:
    array = np.arange(1000, dtype="u2")
    content = array.tobytes()
    for name, pack in (("gzip", gzip.compress), ("zstd", zstd.compress)):
        parts = pack(content[:700]) + pack(content[700:])
        assert np.array_equal(decoded(chain(name), memoryview(parts), array), array)
        with pytest.raises(ValueError, match=r"\w"):
            decoded(chain(name), memoryview(pack(content[:700])), array)


def test_tasks_run_in_threads_only_where_they_are_worth_it() -> None:
    def names(nbytes: int, waits: bool = False) -> set[str]:
        seen: list[str] = []
        run_all([lambda: seen.append(threading.current_thread().name)] * 8, nbytes, waits)
        assert len(seen) == 8
        return set(seen)

    assert names(SMALL - 1) == {threading.current_thread().name}
    inside: list[set[str]] = []
    worker = threading.Thread(target=lambda: inside.append(names(SMALL)), name="of a batch")
    worker.start()
    worker.join()
    assert inside == [{"of a batch"}]
    assert names(0, waits=True) == {"polystore-zarr"}


def test_tasks_that_wait_for_each_other_run_at_once_where_they_are_said_to_wait() -> None:
    meeting = threading.Barrier(WAITING, timeout=60)
    run_all([meeting.wait] * WAITING, 0, waits=True)


@pytest.mark.parametrize("nbytes", [0, 10**9])
def test_the_first_failure_is_raised_and_no_more_is_begun(nbytes: int) -> None:
    begun: list[int] = []

    def task(number: int) -> None:
        begun.append(number)
        if number == 5:
            raise OSError(number)

    def tasks(number: int) -> Callable[[], None]:
        return lambda: task(number)

    with pytest.raises(OSError, match=r"\d"):
        run_all(map(tasks, range(10**5)), nbytes)
    assert len(begun) < 10**5


@pytest.mark.parametrize(
    "options",
    [
        {"id": "blosc", "cname": [0, 0]},
        {"id": "blosc", "cname": {}},
        {"id": "blosc", "clevel": [1]},
        {"id": "zstd", "checksum": [0]},
        {"id": "bz2", "level": "x"},
        {"id": "lzma", "preset": "x"},
        {"id": "lzma", "filters": 5},
        {"id": [0]},
    ],
)
def test_settings_of_another_kind_are_refused_before_anything_is_encoded(
    options: Mapping[str, Json],
) -> None:
    with pytest.raises(ValueError, match=r" is |no name"):
        compressor_of_v2(options, 2)
    with pytest.raises(ValueError, match="cname is"):
        compressor_of_v3("blosc", {"cname": [0, 0]}, 2)
