"""Where the cells of a CSV lie in its bytes, and a column's cells one after the other."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeAlias

from attrs import frozen

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Bytes: TypeAlias = NDArray[np.uint8]
    Positions: TypeAlias = NDArray[np.int64]

__all__ = ["BLOCK_ROWS", "Block", "Grid", "check_text", "grid_of"]

BLOCK_ROWS = 2**16
"""Rows that are worked on at a time, so that what they need beside the columns stays small."""

_BLOCK_BYTES = 2**22
"""Bytes of the cells that are worked on at a time; a single cell may have more."""

_COMMA, _LINE, _RETURN, _QUOTE = b',\n\r"'
_BOM = codecs.BOM_UTF8
_UTF8_STEP = 2**20


@frozen(eq=False)
class Block:
    """Some cells of a column: their bytes, each with a newline after it, and their lengths."""

    content: bytes
    lengths: Positions

    @staticmethod
    def of(cells: list[bytes]) -> Block:
        """Give the block of these cells."""
        import numpy as np

        lengths = np.fromiter(map(len, cells), np.int64, len(cells))
        return Block(b"".join(cell + b"\n" for cell in cells), lengths)

    def cells(self) -> Iterator[bytes]:
        """Give each cell."""
        start = 0
        for length in self.lengths.tolist():
            yield self.content[start : start + length]
            start += length + 1


@frozen(eq=False)
class Grid:
    """Where each cell begins and ends: `starts` and `ends` are of shape (rows, columns).

    `numbers` are the rows' own, counted from 1 and over empty lines too.
    """

    content: Bytes
    starts: Positions
    ends: Positions
    numbers: Positions
    quoted: bool

    @property
    def num_rows(self) -> int:
        """How many rows there are below the header."""
        return max(len(self.starts) - 1, 0)

    def header(self) -> Block:
        """Give the first row, which is empty if there is none."""
        return self._block(self.starts[:1].ravel(), self.ends[:1].ravel())

    def _block(self, starts: Positions, ends: Positions) -> Block:
        import numpy as np

        lengths = ends - starts
        # The byte after each cell is there in any case; it becomes the newline.
        after = np.cumsum(lengths + 1)
        index = np.repeat(starts - (after - lengths - 1), lengths + 1)
        index += np.arange(len(index))
        content = self.content[index]
        content[after - 1] = _LINE
        if self.quoted:
            quotes = np.flatnonzero(content == _QUOTE)[1::2]  # of each pair, the second
            within = np.searchsorted(after, quotes, side="right")
            lengths = lengths - np.bincount(within, minlength=len(lengths))
            content = np.delete(content, quotes)
        return Block(content.tobytes(), lengths)

    def blocks(self, column: int) -> Iterator[tuple[int, Block]]:
        """Give a column's cells below the header, some rows at a time, and the first one's row."""
        import numpy as np

        rows = len(self.starts)
        lengths = self.ends[:, column] - self.starts[:, column]
        longest = int(lengths.max(initial=1))
        step = int(np.clip(_BLOCK_BYTES // longest, 1, BLOCK_ROWS))
        for first in range(1, rows, step):
            part = slice(first, first + step)
            yield first, self._block(self.starts[part, column], self.ends[part, column])


def grid_of(content: bytearray) -> Grid:
    r"""Find the cells of a CSV, which is checked text and whose last line ends with a newline.

    Cells are separated by commas, rows by `\n`, `\r\n` or `\r`; a cell in double quotes may hold
    any of them, and a quote as two. Lines without any character are passed over, and so is a byte
    order mark. `ValueError`, with the reason and the row, for anything else.

    >>> grid = grid_of(bytearray(b'a,b\n1,"x, ""y"" z"\n'))
    >>> list(grid.header().cells()), [list(block.cells()) for _, block in grid.blocks(1)]
    ([b'a', b'b'], [[b'x, "y" z']])
    """
    import numpy as np

    data = np.frombuffer(content, np.uint8)
    begin = len(_BOM) if content.startswith(_BOM) else 0
    ends = np.flatnonzero((data == _COMMA) | (data == _LINE) | (data == _RETURN))
    quoted = _QUOTE in content
    if quoted:
        quotes = np.flatnonzero(data == _QUOTE)
        ends = ends[np.searchsorted(quotes, ends) % 2 == 0]
        _check_quotes(data, quotes, begin, ends)
    returns = _RETURN in content
    if returns:
        before_newline = (data[ends] == _RETURN) & (data[(ends + 1) % len(data)] == _LINE)
        ends = ends[~before_newline]
    starts = np.concatenate([[begin], ends[:-1] + 1])
    last_in_row = data[ends] != _COMMA
    lines = ends[last_in_row]
    trimmed = ends
    if returns:  # of a row that ends with both, the return is none of the cell
        trimmed = ends - ((data[ends] == _LINE) & (data[ends - 1] == _RETURN))
    empty = last_in_row & (starts == trimmed)
    empty[1:] &= last_in_row[:-1]
    if empty.any():
        starts, trimmed, ends, last_in_row = (
            each[~empty] for each in (starts, trimmed, ends, last_in_row)
        )
    lasts = np.flatnonzero(last_in_row)
    numbers = np.searchsorted(lines, ends[lasts]) + 1
    width = _width(lasts, numbers)
    if quoted:
        inside = (data[starts] == _QUOTE).astype(np.int64)
        starts, trimmed = starts + inside, trimmed - inside
    shape = (-1, width)
    return Grid(data, starts.reshape(shape), trimmed.reshape(shape), numbers, quoted)


def check_text(content: bytearray) -> None:
    """Raise `ValueError`, with the reason, for what is no UTF-8 or holds NUL characters."""
    if 0 in content:
        raise ValueError(f"line {_line_at(content, content.index(0))} holds a NUL character")
    if content.isascii():
        return
    decoder = codecs.getincrementaldecoder("utf-8")()
    view = memoryview(content)
    for start in range(0, len(content), _UTF8_STEP):
        before = len(decoder.getstate()[0])
        try:
            decoder.decode(view[start : start + _UTF8_STEP], start + _UTF8_STEP >= len(content))
        except UnicodeDecodeError as error:
            line = _line_at(content, start - before + error.start)
            raise ValueError(f"line {line} is not UTF-8 text") from error


def _line_at(content: bytearray, position: int) -> int:
    return content.count(b"\n", 0, position) + 1


def _check_quotes(data: Bytes, quotes: Positions, begin: int, ends: Positions) -> None:
    """Refuse quotes that neither enclose a cell nor are doubled in one."""
    import numpy as np

    beside = np.zeros(256, np.bool_)
    beside[[_COMMA, _LINE, _RETURN, _QUOTE]] = True
    opening, closing = quotes[0::2], quotes[1::2]
    wrong = opening[~beside[data[opening - 1]] & (opening != begin)]
    wrong = np.concatenate([wrong, closing[~beside[data[closing + 1]]]])
    if len(quotes) % 2:
        wrong = np.concatenate([wrong, quotes[-1:]])
    if wrong.size:
        lines = ends[data[ends] == _LINE]
        first: np.int64 = wrong.min()
        row = int(np.searchsorted(lines, first)) + 1
        raise ValueError(f"in row {row} a quote stands where no cell begins or ends")


def _width(lasts: Positions, numbers: Positions) -> int:
    """Give the number of columns; `ValueError` if a row has another than the first."""
    import numpy as np

    widths: Positions = np.diff(lasts, prepend=-1)
    width = int(widths[0]) if widths.size else 1
    ragged = np.flatnonzero(widths != width)
    if ragged.size:
        index = ragged[0]
        cells = f"{widths[index]} cell{'' if widths[index] == 1 else 's'}"
        raise ValueError(f"row {numbers[index]} has {cells}, and the header has {width}")
    return width
