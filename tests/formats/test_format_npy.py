"""`.npy` as NumPy writes it, and the bytes that only look like it."""

from __future__ import annotations

import io
import pickle
import random
import tracemalloc
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bytes_source import joined, source_of
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from polystore.core.errors import Corrupt, TooLarge, UnsupportedPayload
from polystore.core.item import Item
from polystore.core.outcome import fold, is_successful
from polystore.core.payload import HostArray
from polystore.core.records import Limits
from polystore.formats.npy import HEADER_MAX, NPY_CODEC
from polystore.testing.arrays import PLAIN_DTYPES, arrays


def numpys_own(array: HostArray) -> bytes:
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of version 3
        np.save(stream, array)
    return stream.getvalue()


def with_header(text: str, content: bytes = b"") -> bytes:
    encoded = text.encode()
    return b"\x93NUMPY\x01\x00" + len(encoded).to_bytes(2, "little") + encoded + content


def refusal(content: bytes, limits: Limits = Limits()) -> str:
    """Give the message with which the bytes are refused as `Corrupt`."""
    error = NPY_CODEC.decode(source_of(content), limits).failure()
    assert isinstance(error, Corrupt)
    return error.message


@given(arrays(st.sampled_from(PLAIN_DTYPES)))
def test_the_file_is_the_one_that_numpy_writes(array: NDArray[Any]) -> None:
    plain = np.asarray(array)
    assert joined(NPY_CODEC.encode(Item("x", array), None).unwrap()) == numpys_own(plain)


def test_a_large_array_is_not_copied() -> None:
    array = np.zeros((512, 512), np.float32)
    for layout in (array, array.T):
        *_, content = NPY_CODEC.encode(Item("x", layout), None).unwrap().buffers
        assert np.shares_memory(np.asarray(memoryview(content)), array)


def test_numpy_reads_what_it_is_given(tmp_path: Path) -> None:
    array = np.arange(24, dtype=">i4").reshape(2, 3, 4)[:, ::-1]
    (tmp_path / "a.npy").write_bytes(joined(NPY_CODEC.encode(Item("x", array), None).unwrap()))
    assert np.array_equal(np.load(tmp_path / "a.npy"), array)


@pytest.mark.parametrize(
    "dtype",
    [
        np.dtype(
            {"names": ["a"], "formats": ["u1"], "offsets": [4]}
        ),  # a gap before the first field
        np.dtype({"names": ["a", "b"], "formats": ["u4", "u2"], "offsets": [0, 0]}),
        np.dtype("f8", metadata={"unit": "µm"}),
        np.dtype([("a", np.dtype("f8", metadata={"unit": "µm"}))]),
        np.dtype(
            [(f"field{i}", "f8") for i in range(1000)]
        ),  # a header that NumPy reads only if told
    ],
    ids=str,
)
def test_a_dtype_comes_back_the_same_or_is_refused(dtype: np.dtype[Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy drops metadata with a warning, and goes on
        encoded = NPY_CODEC.encode(Item("x", np.zeros(2, dtype)), None)
    if is_successful(encoded):
        got = NPY_CODEC.decode(source_of(joined(encoded.unwrap())), Limits()).unwrap().payload
        assert got.dtype == dtype
        assert got.dtype.metadata == dtype.metadata
    else:
        assert isinstance(encoded.failure(), UnsupportedPayload)


@pytest.mark.parametrize("length", [5, 6])
def test_what_was_saved_before_changes_nothing(length: int) -> None:
    """The two dtypes are equal to NumPy."""
    plain, marked = np.dtype("u1"), np.dtype("u1", metadata={"enum": {}})
    order = (plain, marked, plain) if length == 5 else (marked, plain, marked)
    for dtype in order:
        encoded = NPY_CODEC.encode(Item("x", np.zeros((length, 31), dtype)), None)
        assert is_successful(encoded) is (dtype is plain)


def test_the_names_of_one_record_array_are_its_own() -> None:
    content = numpys_own(np.zeros(2, [("a", [("b", "u1")])]))
    for inner in (False, True):
        first = NPY_CODEC.decode(source_of(content), Limits()).unwrap().payload
        (first["a"].dtype if inner else first.dtype).names = ("renamed",)
        later = NPY_CODEC.decode(source_of(content), Limits()).unwrap().payload
        assert later.dtype == np.dtype([("a", [("b", "u1")])])


def test_renamed_fields_are_saved_as_they_are_named_now() -> None:
    array = np.zeros(2, [("a", [("b", "u1")])])
    NPY_CODEC.encode(Item("x", array), None).unwrap()
    array["a"].dtype.names = ("renamed",)
    content = joined(NPY_CODEC.encode(Item("x", array), None).unwrap())
    assert content == numpys_own(array)


def test_headers_of_old_and_new_versions_are_read() -> None:
    fields = "{'descr': '<u2', 'fortran_order': False, 'shape': (2L, 1L), }"
    python_2 = with_header(fields, b"\x01\x00\x02\x00")
    assert NPY_CODEC.decode(source_of(python_2), Limits()).unwrap().payload.tolist() == [[1], [2]]
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.arange(3.0), (2, 0))
    second = NPY_CODEC.decode(source_of(stream.getvalue()), Limits())
    assert second.unwrap().payload.tolist() == [0, 1, 2]


def test_a_pickle_in_it_is_never_loaded() -> None:
    stream = io.BytesIO()
    np.save(stream, np.array([print], object), allow_pickle=True)
    assert "pickle" in refusal(stream.getvalue())
    assert "pickle" in refusal(pickle.dumps(np.arange(3)))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (numpys_own(np.arange(3)) + numpys_own(np.arange(3)), "several arrays"),
        (numpys_own(np.arange(3))[:-1], "1 of them are missing"),
        (
            with_header("{'descr': '<f8', 'fortran_order': False, 'shape': (671088640,)}"),
            "5368709120",
        ),
        (with_header("{'descr': '<f8', 'fortran_order': False, 'shape': (10**9,)}"), "header"),
        (with_header("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}"), "shape"),
        (
            with_header("{'descr': '<f8', 'fortran_order': False, 'shape': (True,)}", bytes(8)),
            "shape",
        ),
        (with_header("{'descr': '<f8', 'fortran_order': 0, 'shape': (1,)}", bytes(8)), "fields"),
        (with_header("{'descr': '<f8', 'fortran_order': False}"), "fields"),
        (
            with_header(f"{{'descr': '<f8', 'fortran_order': False, 'shape': {(1,) * 65}}}"),
            "header",
        ),
        (with_header("{'descr': '|u1', 'fortran_order': False, 'shape': (2**70, 0)}"), "header"),
        (
            with_header(f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({2**70}, 0)}}"),
            "header",
        ),
        (
            with_header(
                f"{{'descr': ('<f4', ({2**20},)), 'fortran_order': False, "
                f"'shape': (0, {2**40}, {2**20})}}"
            ),
            "one of arrays",
        ),
        (
            with_header("{'descr': '|a3', 'fortran_order': False, 'shape': (1,)}", bytes(3)),
            "header",
        ),
        (with_header(r"{'descr': '\d', 'fortran_order': False, 'shape': (1,)}"), "unknown escape"),
        (with_header("(" * HEADER_MAX), "header"),
        (with_header("-" * (HEADER_MAX - 1) + "1"), "header"),
        (with_header("[" * 150 + "]" * 150), "header"),
        (with_header(" " * (HEADER_MAX + 1)), "header"),
        (b"\x93NUMPY\x09\x00v\x00" + b" " * 118, "version"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_damage_is_told(content: bytes, reason: str) -> None:
    assert reason in refusal(content)


def test_more_than_the_limit_is_too_large() -> None:
    content = numpys_own(np.zeros(1000))
    assert isinstance(NPY_CODEC.decode(source_of(content), Limits(7999)).failure(), TooLarge)
    assert is_successful(NPY_CODEC.decode(source_of(content), Limits(8000)))


def test_no_bytes_raise_or_take_memory() -> None:
    """Cut everywhere, and changed a thousand times: an array, or an error; never much memory."""
    chance = random.Random(0)  # noqa: S311 - the same bytes each time
    structured = np.zeros(2, [("a", "<f4"), ("b", "S3", (2,)), ("größe", ">c8")])
    arrays = (np.arange(12.0).reshape(3, 4), structured, np.zeros(3, "M8[ns]"))
    tracemalloc.start()
    for whole in map(numpys_own, arrays):
        for length in range(len(whole)):
            assert refusal(whole[:length])
        for _ in range(3000):
            changed = bytearray(whole)
            for _ in range(chance.choice((1, 1, 2, 4))):
                changed[chance.randrange(128)] = chance.randrange(256)
            decoded = NPY_CODEC.decode(source_of(bytes(changed)), Limits(2**20))
            assert fold(
                decoded, lambda _: True, lambda error: isinstance(error, Corrupt | TooLarge)
            )
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**21
