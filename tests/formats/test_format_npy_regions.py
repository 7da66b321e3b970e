"""A region of a `.npy` is the slice of its array, in either order."""

from __future__ import annotations

import io
import math
from typing import Literal

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from polystore.core.errors import Corrupt, TooLarge, UnsupportedOperation
from polystore.core.outcome import Outcome
from polystore.core.payload import HostArray, LazyArray
from polystore.core.records import Decoded, Limits, Readable, readable_of
from polystore.formats.npy import NPY_CODEC


@given(
    hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
    st.sampled_from(["u1", ">u2", "<f8", "?", "c16", "M8[s]", "U3", "S2", "V5"]),
    st.sampled_from("CF"),
    st.data(),
)
def test_a_region_is_the_slice(
    shape: tuple[int, ...], dtype: str, order: Literal["C", "F"], data: st.DataObject
) -> None:
    count = math.prod(shape)
    raw = np.arange(count * np.dtype(dtype).itemsize, dtype="u1") % 2
    array = np.asarray(raw.view(dtype).reshape(shape), order=order)
    opened = _lazy(array)
    assert np.dtype(opened.spec.dtype) == array.dtype
    bounds = [data.draw(st.tuples(st.integers(0, n), st.integers(0, n))) for n in shape]
    region = tuple(slice(min(it), max(it)) for it in bounds)
    found = opened.read(region).unwrap()
    assert (found.shape, found.dtype) == (array[region].shape, array.dtype)
    assert found.tobytes() == array[region].tobytes()


def _lazy(array: HostArray) -> LazyArray:
    content = io.BytesIO()
    np.save(content, array)
    return _opened(content.getvalue()).unwrap().payload


def _opened(content: bytes) -> Outcome[Decoded[LazyArray]]:
    opener = NPY_CODEC.open
    assert opener is not None
    return opener(readable_of(content), Limits(2**20))


def test_what_is_no_array_is_not_opened() -> None:
    records = io.BytesIO()
    np.save(records, np.zeros(3, [("a", "u1")]))
    assert isinstance(_opened(records.getvalue()).failure(), UnsupportedOperation)
    assert isinstance(_opened(records.getvalue()[:-1]).failure(), Corrupt)
    assert isinstance(_opened(b"no .npy").failure(), Corrupt)


def _claimed(shape: tuple[int, ...], order: str, given: bytes = b"") -> Decoded[LazyArray]:
    """Give what the header of an array of bytes opens as; only some of its elements are there."""
    text = f"{{'descr': '|u1', 'fortran_order': {order == 'F'}, 'shape': {shape}, }}\n".encode()
    header = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text
    there = readable_of(header + given)
    opener = NPY_CODEC.open
    assert opener is not None
    size = len(header) + math.prod(shape)
    return opener(Readable(size, there.read_into, lambda: None), Limits(2**20)).unwrap()


def test_blocks_are_large_and_lie_in_one_piece() -> None:
    assert _lazy(np.zeros((3, 4), "u2")).spec.blocks == (3, 4)
    assert _lazy(np.zeros((0, 4), "u2")).spec.blocks == (1, 4)
    assert _claimed((9, 2**12, 2**11), "C").payload.spec.blocks == (1, 2**11, 2**11)
    assert _claimed((2**11, 2**12, 9), "F").payload.spec.blocks == (2**11, 2**11, 1)


def test_a_region_is_within_the_limit_and_within_the_file() -> None:
    array = _claimed((9, 2**12, 2**11), "C", b"12").payload
    assert isinstance(array.read(tuple(map(slice, array.spec.shape))).failure(), TooLarge)
    assert array.read((slice(1), slice(1), slice(2))).unwrap().tolist() == [[[49, 50]]]
    assert isinstance(array.read((slice(1), slice(1), slice(8))).failure(), Corrupt)
