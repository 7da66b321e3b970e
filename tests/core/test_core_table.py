"""Tables: values that are compared by their bits, and that pandas, polars and pyarrow take."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from polystore import Table

DATES = np.array(["2024-02-29", "NaT", "1969-12-31"], "M8[D]")

KINDS: tuple[tuple[NDArray[Any], str], ...] = (
    *(
        (np.array([0, 1, 2]).astype(f"{u}int{bits}"), f"{u}int{bits}")
        for u in ("", "u")
        for bits in (8, 16, 32, 64)
    ),
    (np.array([1.5, -0.0, np.inf], "f2"), "halffloat"),
    (np.array([1.5, -0.0, np.nan], "f4"), "float"),
    (np.array([1.5, -0.0, np.nan]), "double"),
    (np.array([1, 2, 3], ">i4"), "int32"),
    (np.array([True, False, True]), "bool"),
    (np.array(["", "µ", "\N{GRINNING FACE}b"]), "string"),
    (np.array(["a", "b", "c"], ">U3"), "string"),
    (np.array([b"", b"ab", b"\xff"]), "binary"),
    (DATES, "date32[day]"),
    (DATES.astype("M8[M]"), "date32[day]"),
    (DATES.astype("M8[h]"), "timestamp[s]"),
    (DATES.astype("M8[s]"), "timestamp[s]"),
    (DATES.astype(">M8[ms]"), "timestamp[ms]"),
    (DATES.astype("M8[us]"), "timestamp[us]"),
    (DATES.astype("M8[ns]"), "timestamp[ns]"),
    (np.array([1, "NaT", -3], "m8[W]"), "duration[s]"),
    (np.array([1, "NaT", -3], "m8[ms]"), "duration[ms]"),
    (np.arange(6)[::-2], "int64"),
)
"""Columns of three rows, and the Arrow type of each."""


def column(values: NDArray[Any]) -> Table:
    return Table({"a": values})


def test_tables_are_equal_by_names_order_dtypes_and_bits() -> None:
    nan = np.array([0x7FF8000000000000, 0xFFF8000000000000], "u8").view("f8")
    one = Table({"a": np.arange(3), "b": nan[[0, 0, 1]]})
    assert one == Table({"a": np.arange(6)[:3], "b": nan[[0, 0, 1]]})
    assert one != Table({"a": np.arange(3), "b": nan[[0, 1, 1]]})
    assert one != Table({"b": nan[[0, 0, 1]], "a": np.arange(3)})
    assert one != Table({"a": np.arange(3, dtype="i4"), "b": nan[[0, 0, 1]]})
    assert one != Table({"a": np.arange(3)})
    assert column(np.array([0.0])) != column(np.array([-0.0]))
    assert column(np.array([1], ">i4")) != column(np.array([1], "<i4"))
    assert column(np.array([1, "x"], object)) == column(np.array([1, "x"], object))
    assert one.__eq__(3) is NotImplemented


def test_a_table_is_a_value_without_a_hash() -> None:
    table = Table({"a": np.arange(3), "b": np.array(["x", "y", "z"])})
    assert pickle.loads(pickle.dumps(table)) == table
    assert (table.num_rows, table.nbytes) == (3, 36)
    assert repr(table) == "<Table of 3 rows: 'a' int64, 'b' <U1>"
    assert repr(Table({})) == "<Table of 0 rows: no columns>"
    with pytest.raises(TypeError, match="unhashable"):
        hash(table)


@pytest.mark.parametrize(
    ("columns", "flaw"),
    [
        ({"a": np.zeros(2), "b": np.zeros(3)}, "3 rows"),
        ({"a": np.zeros((2, 2))}, "2 axes"),
        ({"a": np.zeros(())}, "0 axes"),
        ({"a": [1, 2]}, "a list"),
        ({1: np.zeros(2)}, "a int"),
    ],
    ids=str,
)
def test_what_is_no_table_can_be_made_and_says_so(
    columns: dict[str, NDArray[np.float64]], flaw: str
) -> None:
    table = Table(columns)
    assert flaw in str(table.flaw())
    assert repr(table)
    assert isinstance(table.nbytes, int)
    assert table == Table(columns)
    with pytest.raises(TypeError, match=flaw):
        pa.table(table)


@pytest.mark.parametrize(
    ("values", "kind"), KINDS, ids=lambda it: it if isinstance(it, str) else ""
)
def test_arrow_takes_the_values_and_the_type(values: NDArray[Any], kind: str) -> None:
    got = pa.table(column(values))["a"].combine_chunks()
    assert str(got.type) == kind
    missing = np.isnat(values) if values.dtype.kind in "mM" else np.zeros(3, np.bool_)
    assert got.is_null().to_pylist() == missing.tolist()
    expected = values[~missing]
    back = got.drop_null().to_numpy(zero_copy_only=False)
    if values.dtype.kind in "USmM":
        assert back.astype(expected.dtype).tolist() == expected.tolist()
    else:
        assert back.tobytes() == expected.astype(expected.dtype.newbyteorder("=")).tobytes()


@pytest.mark.parametrize("letter", list("bhilBHILefd"))
def test_arrow_shares_the_memory_of_numbers(letter: str) -> None:
    values = np.arange(3).astype(letter)
    values.flags.writeable = False
    (chunk,) = pa.table(column(values))["a"].chunks
    assert chunk.buffers()[1].address == values.ctypes.data


def test_arrow_keeps_the_memory_after_the_table_is_gone() -> None:
    taken = pa.table(column(np.arange(100_000)))
    assert taken["a"].to_numpy().sum() == 4999950000


def test_pandas_and_polars_take_a_table() -> None:
    table = Table({f"{index} {kind}": values for index, (values, kind) in enumerate(KINDS)})
    frame = pd.DataFrame.from_arrow(table)
    polar = pl.DataFrame(table)
    assert polar.equals(pl.DataFrame(pa.table(table)))
    assert list(frame.columns) == polar.columns == list(table.columns)
    assert len(frame) == len(polar) == 3
    for name, values in table.columns.items():
        if values.dtype.kind in "iuf":
            plain = values.astype(values.dtype.newbyteorder("="))
            assert frame[name].to_numpy().tobytes() == plain.tobytes()
            assert polar[name].to_numpy().tobytes() == plain.tobytes()
        elif values.dtype.kind in "bU":
            assert frame[name].tolist() == polar[name].to_list() == values.tolist()
        elif values.dtype.kind == "M":
            days = values.astype("M8[D]").tolist()
            assert pl.Series(polar[name]).cast(pl.Date).to_list() == days


def test_masked_elements_are_null() -> None:
    values = np.ma.masked_array(np.arange(3), mask=[False, True, False])
    assert pa.table(column(values))["a"].to_pylist() == [0, None, 2]


@pytest.mark.parametrize("table", [Table({}), column(np.zeros(0)), column(np.zeros(0, "U3"))])
def test_empty_tables_are_taken(table: Table) -> None:
    expected = (0, len(table.columns))
    assert pa.table(table).shape == expected
    assert pl.DataFrame(table).shape == expected
    assert pd.DataFrame.from_arrow(table).shape == expected


@pytest.mark.parametrize(
    "values",
    [
        np.zeros(2, np.complex64),
        np.zeros(2, [("x", "f4")]),
        np.zeros(2, object),
        np.zeros(2, np.longdouble),
        np.zeros(2, "m8[M]"),
        np.zeros(2, "M8[ps]"),
        np.array([2**40], "M8[D]"),
        np.array([2**60], "M8[h]"),
        np.array([2**60], "M8[M]"),
    ],
    ids=lambda values: str(values.dtype),
)
def test_what_arrow_has_no_type_for_is_told(values: NDArray[Any]) -> None:
    with pytest.raises(TypeError, match="'a'"):
        pa.table(column(values))
