"""How the box of an array that lies in one piece of a file is read."""

from __future__ import annotations

import math
from itertools import product

from polystore.core.payload import HostArray, aligned_empty, bytes_of
from polystore.core.records import Readable
from polystore.core.region import Box

__all__ = ["read_box", "read_fully"]

_SPAN = 2**20
"""Bytes that are read at once, where only parts of them are wanted."""

_SPARSE = 16
"""Rows of which less than this fraction is wanted are read one by one."""


def read_box(
    source: Readable, start: int, shape: tuple[int, ...], box: Box, array: HostArray
) -> None:
    """Read the box of an array that lies C-ordered from a byte on; `array` is as large as the box.

    The bytes are not swapped. `ValueError` if the source ends before.
    """
    if array.nbytes == 0:
        return
    last = max((axis for axis, n in enumerate(shape) if len(box[axis]) != n), default=0)
    inner = math.prod(shape[last + 1 :]) * array.itemsize
    pitch, run = shape[last] * inner if shape else inner, len(box[last]) * inner if shape else inner
    if last == 0:
        first = start + (box[0].start * inner if box else 0)
        read_fully(source, first, bytes_of(array))
        return
    rows = array.reshape(-1, len(box[last - 1]), run // array.itemsize)
    strides = [math.prod(shape[axis + 1 :]) * array.itemsize for axis in range(last)]
    places = product(*box[: last - 1])
    for place, target in zip(places, rows, strict=True):
        offset = start + box[last].start * inner + box[last - 1].start * pitch
        offset += sum(index * stride for index, stride in zip(place, strides, strict=False))
        _read_rows(source, offset, pitch, target)


def _read_rows(source: Readable, offset: int, pitch: int, rows: HostArray) -> None:
    """Read the beginnings of rows that lie `pitch` bytes apart."""
    run = rows.shape[1] * rows.itemsize
    at_once = _SPAN // pitch if run * _SPARSE >= pitch else 1
    if at_once < 2:
        for number, row in enumerate(rows):
            read_fully(source, offset + number * pitch, bytes_of(row))
        return
    columns = pitch // rows.itemsize
    span = aligned_empty((min(at_once, len(rows)), columns), rows.dtype)
    for first in range(0, len(rows), at_once):
        count = min(at_once, len(rows) - first)
        nbytes = (count - 1) * pitch + run  # what follows the last row may not be there
        read_fully(source, offset + first * pitch, bytes_of(span)[:nbytes])
        rows[first : first + count] = span[:count, : rows.shape[1]]


def read_fully(source: Readable, offset: int, memory: memoryview) -> None:
    """Fill the memory from a byte on; `ValueError` if the source ends before."""
    if source.read_into(offset, memory) != memory.nbytes:
        raise ValueError("it ended while it was read")
