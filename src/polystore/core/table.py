"""`Table`: named columns of equal length; pandas, polars and pyarrow take one through Arrow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from attrs import frozen

if TYPE_CHECKING:
    from typing import Any, ClassVar

    from nanoarrow import Schema
    from nanoarrow.c_array import CArray
    from numpy.typing import NDArray

__all__ = ["Table"]


@frozen(eq=False, repr=False)
class Table:
    """Named columns of equal length, each a one-dimensional `numpy.ndarray`.

    The columns are held, not copied or checked: one that is of another length or shape shows in
    `flaw`, and saving such a table is `UnsupportedPayload`. Two tables are equal if they have the
    same names in the same order, and columns of the same dtypes and bits: a NaN equals one of its
    own bits, and `-0.0` is not `0.0`. Like an array, a table has no hash.

    >>> import numpy as np
    >>> table = Table({"label": np.array(["a", "b"]), "area": np.array([7, 9], "u2")})
    >>> table
    <Table of 2 rows: 'label' <U1, 'area' uint16>
    >>> table == Table({"label": np.array(["a", "b"]), "area": np.array([7, 9])})
    False

    It speaks Arrow: `pandas.DataFrame.from_arrow(table)`, `polars.DataFrame(table)` and
    `pyarrow.table(table)` work, with the extra `arrow` installed.
    """

    columns: Mapping[str, NDArray[Any]]

    __hash__: ClassVar[None]  # type: ignore[assignment]  # how typeshed says it, too

    @property
    def num_rows(self) -> int:
        """The length of the first column; 0 if there is none."""
        first: object = next(iter(self.columns.values()), None)
        shape = cast("tuple[int, ...]", getattr(first, "shape", ()))
        return shape[0] if shape else 0

    @property
    def nbytes(self) -> int:
        """The bytes of all columns' elements."""
        return sum(cast("int", getattr(each, "nbytes", 0)) for each in self.columns.values())

    def flaw(self) -> str | None:
        """Give what makes this no table, as the rest of a sentence; `None` for a sound one.

        >>> import numpy as np
        >>> Table({"a": np.zeros(2), "b": np.zeros(3)}).flaw()
        "a table whose column 'b' has 3 rows and the others 2"
        """
        import numpy as np

        for name, column in cast("Mapping[object, object]", self.columns).items():
            if not isinstance(name, str):
                return f"a table with a column whose name is a {type(name).__name__}"
            if not isinstance(column, np.ndarray):
                return f"a table whose column {name!r} is a {type(column).__name__}"
            shape = cast("NDArray[Any]", column).shape
            if len(shape) != 1:
                return f"a table whose column {name!r} has {len(shape)} axes"
            if shape[0] != self.num_rows:
                rows = f"{shape[0]} rows and the others {self.num_rows}"
                return f"a table whose column {name!r} has {rows}"
        return None

    def __eq__(self, other: object) -> bool:
        """Whether names, their order, dtypes and bits are the same."""
        if not isinstance(other, Table):
            return NotImplemented
        return list(self.columns) == list(other.columns) and all(
            map(_same, self.columns.values(), other.columns.values())
        )

    def __repr__(self) -> str:
        """Give the number of rows, and each column's name and dtype."""
        columns = cast("Mapping[str, object]", self.columns).items()
        kinds = [f"{name!r} {getattr(each, 'dtype', type(each))}" for name, each in columns]
        rows = f"{self.num_rows} row{'' if self.num_rows == 1 else 's'}"
        return f"<Table of {rows}: {', '.join(kinds) or 'no columns'}>"

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Give the table as an Arrow stream of one batch: Arrow's PyCapsule protocol.

        The memory of native integers and floats is shared, so don't write to it while the other
        side holds it. Booleans become bitmaps, text UTF-8, bytes binary; dates to the day `date32`,
        those to the minute and finer timestamps, timedeltas durations; NaT and masked elements are
        null. Other units of time become the next finer one that Arrow has.

        Raises `ImportError` without nanoarrow, and `TypeError` for what Arrow has no type for
        (complex, records, objects): the protocol has no other way to say it. `requested_schema` is
        not looked at, which the protocol allows.
        """
        from nanoarrow import Schema, Type
        from nanoarrow.c_array import c_array_from_buffers
        from nanoarrow.c_array_stream import CArrayStream

        flaw = self.flaw()
        if flaw is not None:
            raise TypeError(f"Arrow cannot hold {flaw}.")
        found = {name: _arrow_column(name, column) for name, column in self.columns.items()}
        schema = Schema(Type.STRUCT, fields={name: kind for name, (kind, _) in found.items()})
        children = [array for _, array in found.values()]
        batch = c_array_from_buffers(schema, self.num_rows, [None], 0, children=children)
        return CArrayStream.from_c_arrays([batch], batch.schema).__arrow_c_stream__()


def _same(one: object, other: object) -> bool:
    import numpy as np

    if one is other or not isinstance(one, np.ndarray) or not isinstance(other, np.ndarray):
        return one is other
    return _same_bits(cast("NDArray[Any]", one), cast("NDArray[Any]", other))


def _same_bits(one: NDArray[Any], other: NDArray[Any]) -> bool:
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    if one.dtype.hasobject:
        return bool(one.tolist() == other.tolist())
    return one.tobytes() == other.tobytes()


def _arrow_column(name: str, column: NDArray[Any]) -> tuple[Schema, CArray]:
    """Give a column as an Arrow array and its type; `TypeError` if Arrow has none for it."""
    import numpy as np
    from nanoarrow.c_array import c_array_from_buffers

    missing = np.ma.getmaskarray(column)
    values = np.asarray(column)
    values = np.ascontiguousarray(values, values.dtype.newbyteorder("="))
    if values.dtype.kind in "mM":
        missing = missing | np.isnat(values)
    count = int(np.count_nonzero(missing))
    valid = np.packbits(~missing, bitorder="little") if count else None
    kind, *buffers = _arrow_buffers(name, values)
    array = c_array_from_buffers(kind, len(values), [valid, *buffers], count)
    return kind, array


def _arrow_buffers(name: str, values: NDArray[Any]) -> tuple[Schema, *tuple[NDArray[Any], ...]]:
    import numpy as np
    from nanoarrow import Schema, Type

    numbers = {"float16": "HALF_FLOAT", "float32": "FLOAT", "float64": "DOUBLE"}
    dtype = values.dtype
    plain = numbers.get(dtype.name, dtype.name.upper() if dtype.kind in "iu" else "")
    if plain:
        # The element type is the schema's; memory of float16 has no name in the buffer protocol
        # that nanoarrow knows.
        return Schema(Type[plain]), values.view(f"u{dtype.itemsize}")
    if dtype.kind == "b":
        return Schema(Type.BOOL), np.packbits(values, bitorder="little")
    if dtype.kind in "US":
        return _arrow_text(values)
    if dtype.kind in "mM":
        return _arrow_time(name, values)
    raise TypeError(f"Arrow has no type for the column {name!r}, whose dtype is {dtype}.")


def _arrow_text(values: NDArray[Any]) -> tuple[Schema, NDArray[Any], NDArray[Any]]:
    import numpy as np
    from nanoarrow import Schema, Type

    is_text = values.dtype.kind == "U"
    cells: list[bytes] = [it.encode() for it in values.tolist()] if is_text else values.tolist()
    offsets = np.zeros(len(cells) + 1, np.int64)
    np.cumsum([len(cell) for cell in cells], out=offsets[1:])
    content = np.frombuffer(b"".join(cells), np.uint8)
    if offsets[-1] > np.iinfo(np.int32).max:
        return Schema(Type.LARGE_STRING if is_text else Type.LARGE_BINARY), offsets, content
    return Schema(Type.STRING if is_text else Type.BINARY), offsets.astype(np.int32), content


def _arrow_time(name: str, values: NDArray[Any]) -> tuple[Schema, NDArray[Any]]:
    """Give dates and times in a unit of Arrow's that holds them exactly."""
    import numpy as np
    from nanoarrow import Schema, Type

    letter = values.dtype.kind
    unit, step = np.datetime_data(values.dtype)
    days = letter == "M" and unit in ("Y", "M", "W", "D")
    seconds = unit in ("h", "m") or (unit in ("W", "D") and not days)
    finer = "D" if days else "s" if seconds else unit
    if finer not in ("D", "s", "ms", "us", "ns"):
        raise TypeError(
            f"Arrow has no type for the column {name!r}, whose dtype is {values.dtype}."
        )
    ticks = values if (unit, step) == (finer, 1) else values.astype(f"{letter}8[{finer}]")
    if not np.array_equal(ticks.astype(values.dtype), values, equal_nan=True):
        raise TypeError(f"The column {name!r} has times beyond Arrow's, in steps of {finer}.")
    if not days:
        which = Type.TIMESTAMP if letter == "M" else Type.DURATION
        return Schema(which, unit=finer), ticks.view(np.int64)
    counted = np.where(np.isnat(ticks), 0, ticks.view(np.int64))
    if np.any(counted != counted.astype(np.int32)):
        raise TypeError(f"The column {name!r} has dates beyond Arrow's 32 bits of days.")
    return Schema(Type.DATE32), counted.astype(np.int32)
