"""The run lengths of a BMP: RLE8 and RLE4, two bytes for up to 255 pixels of a row."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from polystore.core.payload import HostArray
    from polystore.formats.bmp.header import Layout

__all__ = ["unpacked"]

_RUNS_MAX = 2**21
"""They are read one by one, so many in a second or two; who has more has no use for them."""

_END_OF_ROW, _END, _MOVE = range(3)


def unpacked(content: bytes, layout: Layout) -> HostArray:
    """Give the palette's indices, in the order of the file; where nothing is said they are 0.

    `ValueError` if it ends early, a run goes beyond its row, or there are more than 2 million.
    """
    import numpy as np

    width, total = layout.width, layout.width * layout.height
    out = bytearray(total)
    column, row, at = 0, 0, 0  # `row` is where the row begins
    for _ in range(_RUNS_MAX):
        if row >= total:
            break
        if at + 2 > len(content):
            raise ValueError("its runs end before its pixels do")
        count, value = content[at], content[at + 1]
        at += 2
        if count:
            run = _run(count, value, layout.bits)
        elif value == _END_OF_ROW:
            column, row = 0, row + width
            continue
        elif value == _END:
            break
        elif value == _MOVE:
            right, further = content[at : at + 2].ljust(2, b"\0")
            column, row, at = column + right, row + further * width, at + 2
            continue
        else:
            stored = value if layout.bits == 8 else (value + 1) // 2
            run = _literal(content[at : at + stored], value, layout.bits)
            at += stored + stored % 2
        if column + len(run) > width:
            raise ValueError("a run of it goes beyond its row")
        out[row + column : row + column + len(run)] = run
        column += len(run)
    else:
        raise ValueError(f"it has more than {_RUNS_MAX} runs, which is the most decoded here")
    return np.frombuffer(out, np.uint8).reshape(layout.height, width)


def _run(count: int, value: int, bits: int) -> bytes:
    if bits == 8:
        return bytes((value,)) * count
    return (bytes((value >> 4, value & 15)) * (count // 2 + 1))[:count]


def _literal(content: bytes, count: int, bits: int) -> bytes:
    indices = content if bits == 8 else bytes(i for two in content for i in (two >> 4, two & 15))
    if len(indices) < count:
        raise ValueError("its runs end before its pixels do")
    return indices[:count]
