"""CSV: a table as text that a spreadsheet opens, and that comes back with its types.

RFC 4180 in UTF-8, with newlines alone between rows. A column whose cells have its dtype by
themselves (`types.inferred`) has its bare name in the header; any other has its dtype after a
colon, as in `area:uint16`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from polystore.configs import CSV
from polystore.core.errors import Corrupt, StorageError
from polystore.core.item import Item
from polystore.core.outcome import (
    Failure,
    Outcome,
    Success,
    and_then,
    catch,
    guard,
    is_successful,
)
from polystore.core.payload import Payload
from polystore.core.records import Codec, Decoded, Encoded, Limits, Readable
from polystore.core.table import Table
from polystore.formats.csv import strings
from polystore.formats.csv.cells import BLOCK_ROWS, Block, Grid, check_text, grid_of
from polystore.formats.csv.types import dtype_of, inferred, named, parsed
from polystore.formats.csv.write import UnwritableError, cells_of, is_plain, writable
from polystore.formats.encoding import SMALL, content_within, unreadable
from polystore.formats.magic import HEAD, content_of
from polystore.formats.refusals import (
    allocated,
    cannot_hold,
    damaged,
    foreign,
    kind_of,
    over_limit,
)

if TYPE_CHECKING:
    import numpy as np

    from polystore.core.payload import HostArray

__all__ = ["CSV_CODEC"]

_ANNOTATED = re.compile(r"(.*):([^:]+)", re.DOTALL)

_FIRST_LINE = re.compile(rb'(?:\xef\xbb\xbf)?([^",\r\n]*+)[\r\n]')
_OTHER_SEPARATOR = re.compile(rb"[;\t]")
_ODD_NAME = re.compile("[;\t\ufeff]")
"""What would be taken for another separator, or for a byte order mark, if it were not quoted."""

_JSON = "JSON text"
_FOREIGN = ("a PDF document", "an HTML page", "XML", content_of(b"version https://git-lfs"))
"""What is text and has the look of a table, in the words of `content_of`."""

_EMPTY = '""'

_SHOWN = 40
"""Bytes of a cell that an error shows."""

COLUMNS_MAX = 2**14
"""Columns: as many as Excel and LibreOffice open."""

_MARK_BYTES = 40
"""What a separator or a quote takes at most, beside the bytes of the file: a few positions."""


def _encode(item: Item[Payload], _options: object, /) -> Outcome[Encoded]:
    table = item.payload
    if not isinstance(table, Table):
        advice = "Make it a Table of named columns; or save text as .txt, others as .json or .npy."
        return Failure(cannot_hold("CSV", kind_of(table), advice))
    flaw = table.flaw()
    if flaw is not None:
        advice = "Give it one-dimensional numpy arrays of one length, by their names."
        return Failure(cannot_hold("CSV", flaw, advice))
    if len(table.columns) > COLUMNS_MAX:
        what = f"a table of {len(table.columns)} columns"
        return Failure(cannot_hold("CSV", what, f"Split it by {COLUMNS_MAX}, or use .npz."))
    pieces = guard(lambda: tuple(_pieces(table)), catch(UnwritableError, lambda it: it.error))
    present = item.metadata.present()
    return pieces.map(lambda them: Encoded(them, sum(map(len, them)), present))


def _pieces(table: Table) -> Iterator[bytes]:
    """Give the header, then some rows at a time; raise `UnwritableError` for what has no cells."""
    columns = {name: writable(name, column) for name, column in table.columns.items()}
    yield _joined([[_heading(name, column)] for name, column in columns.items()])
    for first in range(0, table.num_rows, BLOCK_ROWS):
        last = first + BLOCK_ROWS
        yield _joined([cells_of(name, column[first:last]) for name, column in columns.items()])


def _joined(columns: list[list[str]]) -> bytes:
    """Give the lines of some rows; an empty line would be passed over when it is read."""
    if len(columns) == 1:
        return "".join(f"{cell or _EMPTY}\n" for cell in columns[0]).encode()
    rows = map(",".join, zip(*columns, strict=True))
    return ("\n".join(rows) + "\n").encode()


def _heading(name: str, column: HostArray) -> str:
    """Give the cell of the header: the name, and the dtype unless the cells tell it."""
    # A surrogate has no UTF-8, and a NUL is no text.
    if "\0" in name or not strings.is_utf8(name):
        advice = "Rename the column."
        raise UnwritableError(cannot_hold("CSV", f"a column of the name {name!r}", advice))
    plain = is_plain(column) and _annotation(name) is None
    heading = name if plain else f"{name}:{named(column.dtype)}"
    content = content_of(heading.encode())
    odd = (
        content in (*_FOREIGN, _JSON) or heading.isspace() or _ODD_NAME.search(heading) is not None
    )
    return strings.quoted(heading, always=odd)


def _annotation(heading: str) -> tuple[str, np.dtype[Any]] | None:
    """Give the name and the dtype that a cell of the header says, if it says one."""
    found = _ANNOTATED.fullmatch(heading)
    dtype = None if found is None else dtype_of(found[2])
    return None if found is None or dtype is None else (found[1], dtype)


def _decode(source: Readable, limits: Limits, /) -> Outcome[Decoded[Table]]:
    if source.size == 0:
        return Failure(foreign("CSV", source))
    found = content_within("CSV", source, limits, spare=1)
    if not is_successful(found):
        return Failure(found.failure())
    content = found.unwrap()
    if content[-2] == ord("\n"):
        del content[-1]
    else:
        content[-1] = ord("\n")
    marks = sum(map(content.count, (b",", b"\n", b"\r", b'"')))
    needed = len(content) + marks * _MARK_BYTES
    too_large = over_limit(needed, limits) if needed > SMALL else None
    if too_large is not None:
        return Failure(too_large)

    def unread(error: ValueError) -> StorageError:
        return unreadable("CSV", source, str(error), ("text",))

    text = guard(lambda: check_text(content), catch(ValueError, unread))
    if not is_successful(text):
        return Failure(text.failure())
    if _is_foreign(content, limits):
        return Failure(foreign("CSV", source))
    if _has_other_separators(content):
        message = "The cells of this CSV are not separated by commas."
        advice = "Save it with commas, and with a point before decimals, where it was made."
        return Failure(Corrupt("", None, message, advice))
    grid = guard(lambda: grid_of(content), catch(ValueError, unread))
    return and_then(grid, lambda it: _table(it, limits)).map(Decoded)


def _table(grid: Grid, limits: Limits) -> Outcome[Table]:
    headings = [str(cell, "utf-8") for cell in grid.header().cells()]
    if len(headings) > COLUMNS_MAX:
        return Failure(damaged("CSV", f"its first row has {len(headings)} cells"))
    columns: dict[str, HostArray] = {}
    nbytes = 0
    for index, heading in enumerate(headings):
        name, said = _annotation(heading) or (heading, None)
        if name in columns:
            message = f"Two columns of this CSV are named {name!r}."
            return Failure(Corrupt("", None, message, "Rename one of them in the file."))
        blocks = list(grid.blocks(index))
        dtype = _dtype_of_cells(blocks) if said is None else said
        nbytes += grid.num_rows * dtype.itemsize
        too_large = over_limit(nbytes, limits)
        room = allocated((grid.num_rows,), dtype) if too_large is None else Failure(too_large)
        column = and_then(room, partial(_filled, grid, blocks, name))
        if not is_successful(column):
            return Failure(column.failure())
        columns[name] = column.unwrap()
    return Success(Table(columns))


def _is_foreign(content: bytearray, limits: Limits) -> bool:
    """Whether it is text of a kind that is no table, though its lines may have cells of a number.

    A bracket begins names of columns too: it is JSON if all of it is.
    """
    kind = content_of(bytes(content[:HEAD]))
    if kind != _JSON:
        return kind in _FOREIGN
    if len(content) > min(max(limits.max_bytes, SMALL) // _MARK_BYTES, SMALL):
        return False
    try:
        json.loads(content)
    except (ValueError, RecursionError):
        return False
    return True


def _has_other_separators(content: bytearray) -> bool:
    """Whether the header has no comma, and what others put in its place."""
    header = _FIRST_LINE.match(content)
    return header is not None and _OTHER_SEPARATOR.search(header[1]) is not None


def _dtype_of_cells(blocks: list[tuple[int, Block]]) -> np.dtype[Any]:
    import numpy as np

    found = inferred(block for _, block in blocks)
    if found is not None:
        return found
    longest = max((strings.width(block) for _, block in blocks), default=0)
    return np.dtype(f"U{max(longest, 1)}")


def _filled(
    grid: Grid, blocks: list[tuple[int, Block]], name: str, column: HostArray
) -> Outcome[HostArray]:
    """Give the column with its values in it; `Corrupt` if a cell has none of its dtype."""
    for first, block in blocks:
        part = column[first - 1 : first - 1 + len(block.lengths)]
        if not _is_filled(part, block):
            # One cell at a time: the first that does not fit is the one to tell of.
            fits = (_is_filled(part[:1], Block.of([cell])) for cell in block.cells())
            at = next(index for index, fit in enumerate(fits) if not fit)
            cell = next(islice(block.cells(), at, None))[:_SHOWN].decode(errors="replace")
            where = f"row {grid.numbers[first + at]} of the column {name!r}"
            reason = f"{where} holds {cell!r}, which is no {column.dtype}"
            return Failure(damaged("CSV", reason, "Mend the cell, or the dtype in the header."))
    return Success(column)


def _is_filled(part: HostArray, block: Block) -> bool:
    try:
        if part.dtype.kind in "US":
            strings.fill(part, block)
        else:
            part[:] = parsed(block, part.dtype)
    except ValueError:
        return False
    return True


CSV_CODEC: Codec[Table] = Codec(format=CSV, encode=_encode, decode=_decode, open=None)
"""The record of CSV."""
