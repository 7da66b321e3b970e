"""Which type the cells of a CSV column have, and their values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from polystore.formats.csv.cells import Block

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    DType: TypeAlias = np.dtype[Any]
    Column: TypeAlias = NDArray[Any]

__all__ = ["DATE_UNITS", "dtype_of", "inferred", "named", "parsed"]

DATE_UNITS = ("D", "m", "s", "ms", "us", "ns")
"""The units of time that are told from how a date is written."""

_DIGITS_MAX = 300
"""Characters of an integer that may be a float64, too: all of so many are within its range."""

_SPACE = rb"[ \t]*+"
_INT = rb"-?+(?:0|[1-9]\d{0,298}+)"
_DECIMAL = rb"-?+(?:(?:0|[1-9]\d*+)(?:\.\d*+)?+|\.\d++)(?:[eE][-+]?+\d++)?+"
_FLOAT = rb"(?:" + _DECIMAL + rb"|-?+(?i:nan|inf(?:inity)?+))"
_DAY = rb"\d{4}-\d\d-\d\d"
_MINUTE = _DAY + rb"[ T]\d\d:\d\d"
_SECOND = _MINUTE + rb":\d\d"
_DATES = {
    "D": _DAY,
    "m": _MINUTE,
    "s": _SECOND,
    "ms": _SECOND + rb"\.\d{3}",
    "us": _SECOND + rb"\.\d{6}",
    "ns": _SECOND + rb"\.\d{9}",
}


def _column_of(cell: bytes) -> re.Pattern[bytes]:
    """Give the pattern of cells, each empty or of this pattern, each with a newline after it."""
    return re.compile(rb"(?:(?:" + cell + rb")?+\n)*+")


_INTS = _column_of(_SPACE + _INT + _SPACE)
_SHORT_INTS = _column_of(_SPACE + rb"-?+(?:0|[1-9]\d{0,14}+)" + _SPACE)
_FLOATS = _column_of(_SPACE + _FLOAT + _SPACE)
_SHORT_FLOAT = _FLOAT.replace(rb"[1-9]\d*+", rb"[1-9]\d{0,14}+").replace(
    rb"[-+]?+\d++", rb"(?:-\d++|\+?+\d\d?+)"
)
_SHORT_FLOATS = _column_of(_SPACE + _SHORT_FLOAT + _SPACE)
"""Those of which all integers are exact in a float64, and all decimals in its range."""

_BOOLS = _column_of(rb"True|TRUE|true|False|FALSE|false")
_NATS = _column_of(rb"NaT")
_DATE_COLUMNS = {unit: _column_of(date + rb"|NaT") for unit, date in _DATES.items()}

_LONG_INT = re.compile(rb"^[ \t]*+(-?+\d{16,}+)[ \t]*+$", re.MULTILINE)
"""An integer that a float64 may not hold: all of fewer digits it can."""

_PAYLOAD = re.compile(rb"^nan\(0x([0-9a-f]{4,16})\)$", re.MULTILINE)

_PART = rb"-?+(?:nan(?:\(0x[0-9a-f]{4,16}\))?+|inf|\d++(?:\.\d++)?+(?:e[-+]?+\d++)?+)"
_COMPLEX = re.compile(rb"(" + _PART + rb")\+?(" + _PART + rb")j")
_ISO = _column_of(rb"NaT|\d{4}(?:-\d\d(?:-\d\d(?:[ T]\d\d(?::\d\d(?::\d\d(?:\.\d{3,18})?)?)?)?)?)?")

_NAMES = re.compile(
    r"bool|u?int(?:8|16|32|64)|float(?:16|32|64)|complex(?:64|128)|[US][1-9]\d{0,9}"
    r"|(?:datetime|timedelta)64\[(?:[1-9]\d{0,8})?(?:Y|M|W|D|h|m|s|ms|us|ns|ps|fs|as)\]"
    r"|>(?:[iu][248]|f[248]|c8|c16|U[1-9]\d{0,9}|[mM]8\[(?:[1-9]\d{0,8})?"
    r"(?:Y|M|W|D|h|m|s|ms|us|ns|ps|fs|as)\])"
)


def named(dtype: DType) -> str | None:
    """Give the name by which the header says a dtype; `None` if a CSV cannot hold it.

    >>> import numpy as np
    >>> named(np.dtype("u2")), named(np.dtype("<U7")), named(np.dtype(">M8[25s]"))
    ('uint16', 'U7', '>M8[25s]')
    """
    swapped = dtype.newbyteorder("=") != dtype
    text = dtype.str if swapped or dtype.kind in "US" else str(dtype)
    name = text.lstrip("|<=") if dtype.kind in "US" and not swapped else text
    return name if dtype.kind in "biufcmMUS" and _NAMES.fullmatch(name) else None


def dtype_of(name: str) -> DType | None:
    """Give the dtype that `named` said, or `None` if it says none.

    >>> dtype_of("uint16"), dtype_of("pickle")
    (dtype('uint16'), None)
    """
    import numpy as np

    if not _NAMES.fullmatch(name):
        return None
    try:
        return np.dtype(name)
    except (TypeError, ValueError):  # text longer than NumPy counts
        return None


def inferred(blocks: Iterable[Block]) -> DType | None:
    """Give the dtype that cells have by themselves, or `None` if they are text.

    Integers in the range of int64 are int64; decimals, NaN and infinities float64; `True` and
    `False` bool; dates `datetime64` in the unit in which they are written. Empty cells among
    numbers are NaN, among dates NaT. No integer is rounded: where it would be, all is text. So is a
    number with a leading zero or plus.
    """
    import numpy as np

    kinds: set[str] = set()
    gaps = False
    for block in blocks:
        gaps = gaps or not block.lengths.all()
        if block.lengths.any():
            kinds.add(_kind(block))
        if "text" in kinds:
            return None
    dates = kinds - {"NaT"}
    if len(dates) == 1 and dates <= set(DATE_UNITS):
        return np.dtype(f"M8[{dates.pop()}]")
    if kinds == {"bool"} and not gaps:
        return np.dtype(np.bool_)
    if kinds and kinds <= {"int", "long"} and not gaps:
        return np.dtype(np.int64)
    return np.dtype(np.float64) if kinds and kinds <= {"int", "float"} else None


def _kind(block: Block) -> str:
    """Give `int`, `long` (no float holds it), `float`, `bool`, `NaT`, a date's unit, or `text`."""
    content = block.content
    if content.count(b"\n") != len(block.lengths):
        return "text"
    first = next(cell for cell in block.cells() if cell)
    if first[:1] in b"TtFfN" and _BOOLS.fullmatch(content):
        return "bool"
    if _SHORT_INTS.fullmatch(content):
        return "int"
    if _SHORT_FLOATS.fullmatch(content):
        return "float"
    if _INTS.fullmatch(content):
        return _kind_of_integers(_LONG_INT.findall(content))
    if _FLOATS.fullmatch(content):
        exact = all(map(_is_exact, _LONG_INT.findall(content)))
        return "float" if exact and _are_floats(content) else "text"
    if _NATS.fullmatch(content):
        return "NaT"
    return next((unit for unit in DATE_UNITS if _are_dates(block, unit)), "text")


def _kind_of_integers(longs: list[bytes]) -> str:
    fit = all(-(2**63) <= int(digits) < 2**63 for digits in longs)
    exact = all(map(_is_exact, longs))
    return ("int" if exact else "long") if fit else "float" if exact else "text"


def _is_exact(digits: bytes) -> bool:
    return len(digits) <= _DIGITS_MAX and int(float(digits)) == int(digits)


def _are_floats(content: bytes) -> bool:
    import numpy as np

    try:
        _floats(content, np.dtype(np.float64))
    except ValueError:
        return False
    return True


def _are_dates(block: Block, unit: str) -> bool:
    import numpy as np

    if not _DATE_COLUMNS[unit].fullmatch(block.content):
        return False
    try:
        _dates(block, np.dtype(f"M8[{unit}]"))
    except ValueError:
        return False
    return True


def parsed(block: Block, dtype: DType) -> Column:
    """Give the values of cells; `ValueError` if one is none of this dtype.

    Not for text, which is filled into its place: see `csv.strings`.
    """
    import numpy as np

    content = block.content
    if content.count(b"\n") != len(block.lengths):
        raise ValueError("a line break")
    native = dtype.newbyteorder("=")
    match dtype.kind:
        case "b":
            values = _bools(block)
        case "i" | "u":
            values = _integers(block, native)
        case "f":
            values = _floats(content, native)
        case "c":
            values = _complexes(content, native)
        case "m":
            ticks = content.replace(b"NaT\n", b"%d\n" % np.iinfo(np.int64).min)
            values = _integers(Block(ticks, block.lengths), np.dtype(np.int64)).view(native)
        case _:
            values = _dates(block, native)
    return values.astype(dtype, copy=False)


def _bools(block: Block) -> Column:
    import numpy as np

    if not _BOOLS.fullmatch(block.content) or not block.lengths.all():
        raise ValueError("no bool")
    ends = np.cumsum(block.lengths + 1)
    firsts = np.frombuffer(block.content, np.uint8)[ends - block.lengths - 1]
    return cast("Column", (firsts | 32) == ord("t"))


def _integers(block: Block, dtype: DType) -> Column:
    import numpy as np

    content = block.content
    if not block.lengths.all():
        raise ValueError("no integer")
    if not _SHORT_INTS.fullmatch(content):
        if not _INTS.fullmatch(content):
            raise ValueError("no integer")
        numbers = [int(cell) for cell in content.split()]
        bounds = np.iinfo(dtype)
        if min(numbers) < bounds.min or max(numbers) > bounds.max:
            raise ValueError("beyond its range")
        return np.array(numbers, dtype)
    wide = np.fromstring(content, np.int64, sep="\n")
    values = wide.astype(dtype)
    if not np.array_equal(values, wide):
        raise ValueError("beyond its range")
    return values


def _floats(content: bytes, dtype: DType) -> Column:
    import numpy as np

    payloads = list(_payloads(content)) if b"(" in content else []
    cells = (_PAYLOAD.sub(b"nan", content) if payloads else content).split(b"\n")[:-1]
    if b"_" in content:  # Python takes it in numbers of its own
        raise ValueError("no number")
    numbers = map(float, cells) if all(cells) else (float(it or b"nan") for it in cells)
    wide = np.fromiter(numbers, np.float64, len(cells))
    with np.errstate(over="ignore"):
        values = wide.astype(dtype)
    if any(b"n" not in cells[row].lower() for row in np.flatnonzero(np.isinf(values))):
        raise ValueError("beyond its range")  # as a number, and not the word for it
    bits = values.view(f"u{dtype.itemsize}")
    for index, payload in payloads:
        if payload >= 2 ** (8 * dtype.itemsize):
            raise ValueError("too many bits")
        bits[index] = payload
    return values


def _payloads(content: bytes) -> Iterator[tuple[int, int]]:
    """Give the rows, and the bits, of NaNs that are written with their bits."""
    row = position = 0
    for found in _PAYLOAD.finditer(content):
        row += content.count(b"\n", position, found.start())
        position = found.start()
        yield row, int(found[1], 16)


def _complexes(content: bytes, dtype: DType) -> Column:
    import numpy as np

    cells = content.split(b"\n")[:-1]
    found = [_COMPLEX.fullmatch(cell) for cell in cells]
    if not all(found):
        raise ValueError("no complex number")
    halves = [half for match in found if match is not None for half in match.groups()]
    part = np.dtype(f"f{dtype.itemsize // 2}")
    return _floats(b"".join(half + b"\n" for half in halves), part).view(dtype)


def _dates(block: Block, dtype: DType) -> Column:
    """Give dates; `ValueError` for one that is in no calendar, or that its unit cannot count."""
    import numpy as np

    if not _ISO.fullmatch(block.content):
        raise ValueError("no date")
    content = block.content.replace(b" ", b"T")
    cells = np.array(content.split(b"\n")[:-1], np.bytes_)
    cells[block.lengths == 0] = b"NaT"
    values = cells.astype(dtype)
    # NumPy counts past the end of 64 bits, and cuts what is finer than the unit: it says nothing.
    if not np.array_equal(np.datetime_as_string(values).astype(np.bytes_), cells):
        raise ValueError("a time that its unit cannot count")
    return values
