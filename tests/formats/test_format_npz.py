"""`.npz` as NumPy writes and reads it, and the archives that only look like it."""

from __future__ import annotations

import io
import random
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable, Mapping
from typing import Any, Protocol, cast

import numpy as np
import pytest
from bytes_source import joined, source_of
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from polystore import Item, Limits, Metadata, NpzOptions
from polystore.core.errors import Corrupt, Lossy, StorageError, TooLarge, UnsupportedPayload
from polystore.core.outcome import is_successful
from polystore.core.payload import ALIGNMENT, HostArray, Payload
from polystore.core.records import Readable
from polystore.formats.npz import NPZ_CODEC
from polystore.testing.arrays import PLAIN_DTYPES, arrays


class _SaveZ(Protocol):
    """NumPy's functions, whose own types take the name `allow_pickle` for no array."""

    def __call__(self, file: io.BytesIO, /, **arrays: HostArray) -> None: ...


OPTIONS = (NpzOptions(), NpzOptions(compression="deflate"))
SAMPLE = {"x": np.arange(40, dtype=">i2").reshape(5, 8), "y/ü": np.linspace(0, 1, 30)}


def encoded(arrays: Payload, options: NpzOptions | None = None) -> bytes:
    return joined(NPZ_CODEC.encode(Item("x", arrays), options).unwrap())


DEFAULT = Limits()


def decoded(content: bytes, limits: Limits = DEFAULT) -> Mapping[str, HostArray]:
    return NPZ_CODEC.decode(source_of(content), limits).unwrap().payload


def refusal(content: bytes, limits: Limits = DEFAULT) -> StorageError:
    return NPZ_CODEC.decode(source_of(content), limits).failure()


def numpys_own(arrays: Mapping[str, HostArray], compressed: bool = False) -> bytes:
    stream = io.BytesIO()
    save = cast("_SaveZ", np.savez_compressed if compressed else np.savez)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of version 3
        save(stream, **arrays)
    return stream.getvalue()


def same(one: Mapping[str, HostArray], other: Mapping[str, HostArray]) -> bool:
    """Whether the names are the same in the same order, and the arrays to the last bit."""
    return list(one) == list(other) and all(
        a.dtype == b.dtype
        and a.shape == b.shape
        and a.tobytes() == b.tobytes()
        and (a.flags.f_contiguous or not b.flags.f_contiguous)
        for a, b in zip(one.values(), other.values(), strict=True)
    )


def npy(array: HostArray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def archive(
    *members: tuple[str, bytes], method: int = zipfile.ZIP_STORED, comment: bytes = b""
) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as file:
        file.comment = comment
        for name, content in members:
            file.writestr(name, content)
    return stream.getvalue()


def changed(content: bytes, at: int, value: bytes) -> bytes:
    """Give the bytes with others put in, counted from the first entry of the directory."""
    at += content.rindex(b"PK\x01\x02")
    return content[:at] + value + content[at + len(value) :]


@given(
    st.dictionaries(st.text(max_size=5), arrays(st.sampled_from(PLAIN_DTYPES)), max_size=4),
    st.sampled_from(OPTIONS),
)
@example({}, OPTIONS[0])
@example({"": np.zeros(()), "..": np.zeros(0), "/etc/x": np.ones(1), "a.npy": np.zeros(3)}, None)
@example({"b": np.zeros(1), "a": np.zeros(1)}, OPTIONS[1])
def test_what_goes_in_comes_out_here_and_from_numpy(
    arrays: dict[str, HostArray], options: NpzOptions | None
) -> None:
    outcome = NPZ_CODEC.encode(Item("x", arrays), options)
    if any("\0" in name or f"{name}.npy" in arrays for name in arrays):
        assert isinstance(outcome.failure(), UnsupportedPayload)
        return
    content = joined(outcome.unwrap())
    plain = {name: np.asarray(array) for name, array in arrays.items()}
    got = decoded(content)
    assert same(got, plain)
    for array in got.values():
        assert array.ctypes.data % ALIGNMENT == 0 or array.size == 0
        assert array.flags.writeable
    with np.load(io.BytesIO(content)) as numpys:
        assert same({name: numpys[name] for name in numpys.files}, plain)


@given(
    st.dictionaries(st.text("abü/.", max_size=5), arrays(st.sampled_from(PLAIN_DTYPES))),
    st.booleans(),
)
@example({"a": np.zeros(3), "a.npy": np.ones(3)}, False)  # which numpy.load takes for each other
def test_what_numpy_writes_is_read(arrays: dict[str, NDArray[Any]], compressed: bool) -> None:
    plain = {name: np.asarray(array) for name, array in arrays.items() if name != "file"}
    assert same(decoded(numpys_own(plain, compressed)), plain)


def test_large_arrays_are_not_copied() -> None:
    held: dict[str, HostArray] = {
        "c": np.zeros((512, 512), np.float32),
        "fortran": np.zeros((512, 512), order="F"),
    }
    buffers = NPZ_CODEC.encode(Item("x", held), None).unwrap().buffers
    lent = [np.asarray(memoryview(buffer)) for buffer in buffers]
    for array in held.values():
        assert any(np.shares_memory(memory, array) for memory in lent)


def test_the_same_arrays_give_the_same_bytes() -> None:
    for options in OPTIONS:
        content = encoded(SAMPLE, options)
        assert content == encoded(SAMPLE, options)
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            assert {member.date_time for member in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_compression_is_as_asked() -> None:
    zeros = {"x": np.zeros(10_000)}
    assert len(encoded(zeros)) > 80_000 > 1000 > len(encoded(zeros, OPTIONS[1]))


def test_a_compression_that_there_is_not_is_refused() -> None:
    odd = NpzOptions(compression=cast("Any", "zip"))
    error = NPZ_CODEC.encode(Item("x", SAMPLE), odd).failure()
    assert isinstance(error, UnsupportedPayload)
    assert "'zip'" in error.message


def test_a_comment_and_folders_are_no_arrays() -> None:
    content = archive(("a/", b""), ("a/b.npy", npy(np.arange(3))), comment=b"by hand")
    assert same(decoded(content), {"a/b": np.arange(3)})


def test_a_member_without_the_suffix_is_read_as_numpy_does() -> None:
    assert same(decoded(archive(("plain", npy(np.arange(3))))), {"plain": np.arange(3)})


@pytest.mark.parametrize(
    ("payload", "word"),
    [
        (np.zeros(3), "mapping"),
        ([1, 2], "mapping"),
        ("text", "mapping"),
        ({"wells": 96}, "wells"),
        ({"x": [1, 2]}, "x"),
        ({"x": {"y": np.zeros(3)}}, "x"),
        ({"x": np.array([print], object)}, "objects"),
        ({"x": np.array(["a"], np.dtypes.StringDType())}, "'x'"),
        ({0: np.zeros(3)}, "no text"),
        ({"a\0b": np.zeros(3)}, "NUL"),
        ({"\ud800": np.zeros(3)}, "Unicode"),
        ({"a" * 65_536: np.zeros(3)}, "65,000"),
        ({"a": np.zeros(3), "a.npy": np.zeros(3)}, "Rename"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_it_cannot_hold_is_refused(payload: Payload, word: str) -> None:
    error = NPZ_CODEC.encode(Item("x", payload), None).failure()
    assert isinstance(error, UnsupportedPayload)
    assert word in str(error)


def test_a_mask_would_be_lost_and_is_refused_by_its_name() -> None:
    masked = np.ma.masked_equal(np.arange(6), 4)
    error = NPZ_CODEC.encode(Item("x", {"plain": np.zeros(3), "cells": masked}), None).failure()
    assert isinstance(error, Lossy)
    assert "cells" in error.message


def test_metadata_is_dropped_by_name() -> None:
    item = Item("x", SAMPLE, Metadata(axes=("y", "x"), attributes={"well": "A01"}))
    assert NPZ_CODEC.encode(item, None).unwrap().dropped == ("axes", "attributes")


LONE = archive(("x.npy", npy(np.arange(100.0))))
TWO = archive(("x.npy", npy(np.arange(3.0))), ("y.npy", npy(np.arange(3.0))))
BOMB = archive(("x.npy", npy(np.zeros(10_000))), method=zipfile.ZIP_DEFLATED)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"\x89PNG\r\n\x1a\n" + bytes(99), "PNG"),
        (npy(np.arange(3)), "a .npy array"),
        (LONE[:-30], "unpacked"),
        (archive(("word/document.xml", b"<?xml version='1.0'?>")), "XML"),
        (archive(("x.npy", npy(np.array([print], object)))), "pickled"),
        (archive(("x.npy", npy(np.arange(3)) + b"more")), "4 bytes follow"),
        (changed(LONE, 16, b"\0\0\0\0"), "checksum"),
        (changed(BOMB, 16, b"\0\0\0\0"), "CRC"),
        (changed(LONE, 24, b"\xff\xff\xff\x0f"), "claims 268435455 bytes"),
        (changed(BOMB, 24, b"\xff\xff\xff\x0f"), "claims 268435455 bytes"),
        (changed(LONE, 46, b"z"), "unpacked"),  # its own header gives another name
        (changed(LONE, 46, b"\0"), "NUL"),
        # Several entries for one array are how a small file unpacks to a huge one.
        (TWO.replace(b"y.npy", b"x.npy"), "same name"),
        (changed(TWO, 42, b"\0\0\0\0").replace(b"y.npy", b"x.npy"), "same name"),
        # An end that tells of fewer arrays than there are: nothing may be lost in silence.
        (TWO[:-10] + bytes(4) + TWO[-6:], "bytes 0 and"),
        (LONE[:-22] + archive(), "directory"),
    ],
    ids=range(17),
)
def test_damage_is_told(content: bytes, reason: str) -> None:
    error = refusal(content)
    assert isinstance(error, Corrupt)
    assert reason in error.message


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions_are_named(method: int) -> None:
    error = refusal(archive(("x.npy", npy(np.arange(3))), method=method))
    assert isinstance(error, UnsupportedPayload)
    assert {zipfile.ZIP_BZIP2: "bzip2", zipfile.ZIP_LZMA: "LZMA"}[method] in error.message


def test_encryption_is_named() -> None:
    error = refusal(changed(LONE, 8, b"\x01"))
    assert isinstance(error, UnsupportedPayload)
    assert "encrypted" in error.message


@pytest.mark.parametrize("write", [encoded, numpys_own], ids=["ours", "numpys"])
def test_more_than_the_limit_is_too_large(
    write: Callable[[Mapping[str, HostArray]], bytes],
) -> None:
    content = write({"a": np.zeros(500), "b": np.zeros(500)})
    assert isinstance(refusal(content, Limits(7999)), TooLarge)
    assert same(decoded(content, Limits(8000)), {"a": np.zeros(500), "b": np.zeros(500)})


def test_an_error_of_the_store_is_not_taken_for_damage() -> None:
    for content in (encoded(SAMPLE, options) for options in OPTIONS):
        for failing in range(1, len(content), 7):

            def read_into(
                offset: int, buffer: memoryview, /, content: bytes = content, failing: int = failing
            ) -> int:
                if offset <= failing < offset + len(buffer):
                    raise OSError(5, "Input/output error")
                part = content[offset : offset + len(buffer)]
                buffer[: len(part)] = part
                return len(part)

            source = Readable(len(content), read_into, lambda: None)
            with pytest.raises(OSError, match="Input/output error"):
                NPZ_CODEC.decode(source, Limits())


def test_no_bytes_raise_or_take_memory_or_change_an_array() -> None:
    """Cut everywhere, and changed a thousand times: the same arrays, or an error."""
    chance = random.Random(0)  # noqa: S311 - the same bytes each time
    tracemalloc.start()
    for whole in (encoded(SAMPLE), encoded(SAMPLE, OPTIONS[1]), numpys_own(SAMPLE)):
        for length in range(len(whole)):
            assert isinstance(refusal(whole[:length]), Corrupt)
        for _ in range(600):
            damaged = bytearray(whole)
            for _ in range(chance.choice((1, 1, 2, 4))):
                damaged[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
            outcome = NPZ_CODEC.decode(source_of(bytes(damaged)), Limits(2**20))
            if is_successful(outcome):
                assert same(outcome.unwrap().payload, SAMPLE)
            else:
                assert isinstance(outcome.failure(), Corrupt | TooLarge | UnsupportedPayload)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**22
