"""The cells that a column is written as, and the columns that have no exact ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

from polystore.core.errors import Lossy, StorageError
from polystore.formats.csv.cells import BLOCK_ROWS, Block
from polystore.formats.csv.strings import quoted
from polystore.formats.csv.types import DATE_UNITS, inferred, named, parsed
from polystore.formats.refusals import cannot_hold

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    DType: TypeAlias = np.dtype[Any]
    Column: TypeAlias = NDArray[Any]

__all__ = ["UnwritableError", "cells_of", "is_plain", "writable"]


class UnwritableError(Exception):
    """Raised while a table is written, for a column that would not come back; caught there."""

    error: StorageError

    def __init__(self, error: StorageError) -> None:
        super().__init__(error)
        self.error = error


def writable(name: str, column: Column) -> Column:
    """Give a column as a plain array; raise `UnwritableError` for what has no cells."""
    import numpy as np

    plain = np.asarray(column)
    if plain.dtype.hasobject or plain.dtype.itemsize == 0 or named(plain.dtype) is None:
        advice = "Convert it first: text with column.astype(str), others to numbers; or use .npz."
        raise _refused(name, f"has the dtype {plain.dtype}", advice)
    if np.any(np.ma.getmaskarray(column)):
        message = f"The column {name!r} has masked elements, and its mask would be lost."
        advice = "Fill it first, as in column.filled(nan), or save its mask as another column."
        raise UnwritableError(Lossy("", None, message, advice))
    if plain.dtype.kind in "US":
        _check_text(name, plain)
    return plain


def is_plain(column: Column) -> bool:
    """Whether the cells of a column have its dtype by themselves when they are read."""
    import numpy as np

    dtype = column.dtype
    if dtype != dtype.newbyteorder("="):
        return False
    if dtype.kind == "U":
        longest = int(np.char.str_len(column).max(initial=1))
        return dtype.itemsize == 4 * longest and inferred(map(_block, _parts(column))) is None
    if dtype.kind == "M":
        unit, step = np.datetime_data(dtype)
        return unit in DATE_UNITS and step == 1 and not np.isnat(column).all()
    if dtype == np.float64:
        return len(column) > 0 and all(cell == "-nan" for _, cell in _odd_nans(column))
    return len(column) > 0 and dtype in (np.dtype(np.int64), np.dtype(np.bool_))


def cells_of(name: str, column: Column) -> list[str]:
    """Give the cells of some rows; raise `UnwritableError` for values that have no exact ones."""
    import numpy as np

    native = np.ascontiguousarray(column, column.dtype.newbyteorder("="))
    match native.dtype.kind:
        case "U" | "S":
            return _text(native.astype(np.str_, copy=False))
        case "m":
            ticks = native.view(np.int64).tolist()
            missing = np.isnat(native).tolist()
            return ["NaT" if no else str(tick) for tick, no in zip(ticks, missing, strict=True)]
        case "M":
            return _verified(name, native, _dates(native))
        case "c":
            parts = _floats(native.view(f"f{native.dtype.itemsize // 2}"))
            halves = zip(parts[0::2], parts[1::2], strict=True)
            cells = [f"{x}{'' if y.startswith('-') else '+'}{y}j" for x, y in halves]
            return _verified(name, native, cells)
        case "f":
            cells = _floats(native)
            return cells if native.dtype == np.float64 else _verified(name, native, cells)
        case _:
            return list(map(str, native.tolist()))


def _floats(column: Column) -> list[str]:
    """Give the shortest decimals that are read as these floats."""
    # NumPy knows the shortest ones of all floats, Python of float64, and faster.
    cells: list[str] = (
        list(map(repr, column.tolist()))
        if column.dtype.itemsize == 8
        else column.astype("U24").tolist()
    )
    for index, cell in _odd_nans(column):
        cells[index] = cell
    return cells


def _odd_nans(column: Column) -> Iterator[tuple[int, str]]:
    """Give the rows of NaNs that are not the usual one, and what they are written as."""
    import numpy as np

    usual = np.array([np.nan, -np.nan], column.dtype).view(f"u{column.dtype.itemsize}")
    rows = np.flatnonzero(np.isnan(column))
    found = column[rows].view(usual.dtype)
    odd = found != usual[0]
    for row, bits in zip(rows[odd].tolist(), found[odd].tolist(), strict=True):
        yield row, "-nan" if bits == usual[1] else f"nan(0x{bits:x})"


def _dates(column: Column) -> list[str]:
    """Give dates as ISO 8601 has them, with a space before the time, as spreadsheets do."""
    import numpy as np

    cells: list[str] = np.datetime_as_string(column).tolist()
    return [cell if cell == "NaT" else cell.replace("T", " ") for cell in cells]


def _text(column: Column) -> list[str]:
    cells: list[str] = column.tolist()
    return [quoted(cell) for cell in cells]


def _check_text(name: str, column: Column) -> None:
    """Refuse characters that UTF-8, or a CSV, has not; NumPy keeps whatever bits there are."""
    import numpy as np

    wide = np.dtype(np.uint32 if column.dtype.kind == "U" else np.uint8)
    for part in _parts(column):
        native = np.ascontiguousarray(part, part.dtype.newbyteorder("="))
        codes = native.view(wide).reshape(len(native), -1)
        last = 0x10FFFF if wide.itemsize == 4 else 127
        wrong = np.any((codes >> 11 == 0xD800 >> 11) | (codes > last))
        if wrong or np.any((codes[:, :-1] == 0) & (codes[:, 1:] != 0)):
            advice = "Decode or remove them first, or save the table's columns as .npz."
            what = "has NUL characters, halves of surrogate pairs, or bytes that are no ASCII"
            raise _refused(name, what, advice)


def _parts(column: Column) -> Iterator[Column]:
    return (column[first : first + BLOCK_ROWS] for first in range(0, len(column), BLOCK_ROWS))


def _verified(name: str, column: Column, cells: list[str]) -> list[str]:
    """Give the cells if they are read as the column that they were made from."""
    if _read_back(cells, column.dtype) != column.tobytes():
        advice = "Save the column's integers, as in column.view('int64'); or use .npz."
        raise _refused(name, f"has values of {column.dtype} that are not in ISO 8601", advice)
    return cells


def _block(column: Column) -> Block:
    return _block_of(column.tolist())


def _block_of(cells: list[str]) -> Block:
    return Block.of([cell.encode() for cell in cells])


def _read_back(cells: list[str], dtype: DType) -> bytes | None:
    try:
        return parsed(_block_of(cells), dtype).tobytes()
    except ValueError:
        return None


def _refused(name: str, what: str, advice: str) -> UnwritableError:
    return UnwritableError(cannot_hold("CSV", f"a table whose column {name!r} {what}", advice))
