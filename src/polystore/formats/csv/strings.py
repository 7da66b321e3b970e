"""The cells of a text column: from UTF-8 to NumPy's characters, and back."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from polystore.formats.csv.cells import Block

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["fill", "is_utf8", "quoted", "width"]

_TO_QUOTE = re.compile(r'[,"\r\n]')


def is_utf8(text: str) -> bool:
    r"""Whether UTF-8 can say the text: it has no way for half of a surrogate pair.

    >>> is_utf8("µm"), is_utf8("\udc80")
    (True, False)
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def quoted(cell: str, *, always: bool = False) -> str:
    """Give a cell as RFC 4180 writes it: in quotes, and its quotes doubled, where it has to be.

    >>> print(quoted('5" lens'), quoted("5 mm"))
    "5"" lens" 5 mm
    """
    if not always and not _TO_QUOTE.search(cell):
        return cell
    return '"' + cell.replace('"', '""') + '"'


def width(block: Block) -> int:
    """Give the number of characters in the longest cell."""
    return int(_characters(block)[1].max(initial=0))


def fill(column: NDArray[Any], block: Block) -> None:
    """Write the cells into a dense `U` or `S` column; `ValueError` if one of them does not fit."""
    import numpy as np

    kind = np.dtype(np.uint32 if column.dtype.kind == "U" else np.uint8)
    codes, lengths = _characters(block)
    room = column.dtype.itemsize // kind.itemsize
    if lengths.max(initial=0) > room:
        raise ValueError("too long")
    ends = np.cumsum(lengths + 1)
    kept = np.ones(len(codes), np.bool_)
    kept[ends - 1] = False
    text = codes[kept]
    if kind.itemsize == 1 and text.max(initial=0) > 127:
        raise ValueError("no ASCII")
    # Of each character: where it is in the block, and how far that is from its place in the column.
    place = np.flatnonzero(kept)
    place += np.repeat(np.arange(len(lengths)) * room - (ends - lengths - 1), lengths)
    # The column's own memory: as wide as a header claims, another would be as large again.
    places = column.view(kind.newbyteorder(column.dtype.byteorder))
    places[:] = 0
    places[place] = text


def _characters(block: Block) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Give the code points of a block, with its newlines, and each cell's number of them."""
    import numpy as np

    data = np.frombuffer(block.content, np.uint8)
    if block.content.isascii():
        return data.astype(np.uint32), block.lengths
    codes = np.frombuffer(block.content.decode().encode("utf-32-le"), "<u4")
    counted = np.cumsum((data & 0xC0) != 0x80)[np.cumsum(block.lengths + 1) - 1]
    return codes.astype(np.uint32), np.diff(counted, prepend=0) - 1
