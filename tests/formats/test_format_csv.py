"""CSV: every table comes back with its types or is refused; and what others write is read."""

from __future__ import annotations

import csv
import io

import numpy as np
import pandas as pd
import pytest
from bytes_source import joined, source_of
from hypothesis import example, given
from hypothesis import strategies as st

from polystore.core.errors import Corrupt, Lossy, UnsupportedPayload
from polystore.core.item import Item, Metadata
from polystore.core.outcome import is_successful
from polystore.core.payload import HostArray, Payload
from polystore.core.records import Limits
from polystore.core.table import Table
from polystore.formats.csv.cells import BLOCK_ROWS
from polystore.formats.csv.codec import COLUMNS_MAX, CSV_CODEC
from polystore.testing.arrays import arrays

CELLS = st.text(max_size=5) | st.sampled_from(
    (
        *(
            "",
            " ",
            "0",
            "1",
            "-0",
            "007",
            "+1",
            " 1",
            "1.5",
            ".5",
            "1.",
            "1e5",
            "nan",
            "-nan",
            "inf",
        ),
        *("9007199254740993", "9223372036854775808", "1\n2", "True", "TRUE", "NaT", "2024-02-29"),
        *(
            "2024-02-30",
            "2024-02-29 10:00",
            "2024-02-29T10:00:00.500",
            '"',
            "a,b",
            "\r",
            "x ",
            "=1+1",
        ),
    )
)
NAMES = st.text(max_size=4) | st.sampled_from(
    ("a", "b:int8", ":U1", "", ";", "x,y", "\ufeffa", "\t")
)
UNITS = ("Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "as", "25s", "3D")


@st.composite
def columns(draw: st.DrawFn, rows: int) -> HostArray:
    """Give text of every kind, times of every unit, or any other array."""
    match draw(st.sampled_from(("text", "time", "array"))):
        case "text":
            cells = draw(st.lists(CELLS, min_size=rows, max_size=rows))
            return np.array(cells, draw(st.sampled_from(("U", "U3", "U9", ">U4"))))
        case "time":
            ticks = st.integers(-(10**12), 10**12) | st.integers(-99999, 99999) | st.just(-(2**63))
            drawn = draw(st.lists(ticks, min_size=rows, max_size=rows))
            dtype = f"{draw(st.sampled_from('Mm'))}8[{draw(st.sampled_from(UNITS))}]"
            return np.array(drawn, np.int64).view(dtype)
        case _:
            return draw(arrays(shape=st.just((rows,))))


@st.composite
def tables(draw: st.DrawFn) -> Table:
    rows = draw(st.integers(0, 5))
    names = draw(st.lists(NAMES, max_size=4, unique=True))
    return Table({name: draw(columns(rows)) for name in names})


def encoded(table: Table) -> bytes:
    return joined(CSV_CODEC.encode(Item("x", table), None).unwrap())


def read(content: bytes, limits: Limits = Limits()) -> Table:
    return CSV_CODEC.decode(source_of(content), limits).unwrap().payload


def one(values: HostArray) -> Table:
    return Table({"a": values})


@given(tables())
@example(Table({}))
@example(Table({"": np.array([""])}))  # without quotes, two empty lines
@example(one(np.zeros(0)))
@example(one(np.array([np.nan, -np.nan])))
@example(one(np.array([0x7FF8000000000001, 1, 0], "u8").view("f8")))
@example(one(np.array([1, 2**24 + 1, 0.1, 1e-45], "f4")))
@example(one(np.array(["1", ""])))  # by itself it would be read as a float and NaN
@example(one(np.array(["1", "9007199254740993", "1.5"])))
@example(one(np.array(["2024-02-30"])))  # in no calendar
@example(one(np.array([10**18], "M8[s]")))  # a year that ISO 8601 has not
@example(one(np.array([2**63 - 1, -(2**63)])))
@example(one(np.array([2**64 - 1], "u8")))
@example(one(np.zeros(1, [("x", "f4")])))
@example(Table({"[1]": np.array([], "U1")}))  # without quotes, JSON
@example(Table({" ": np.array(["[1]"])}))
@example(Table({"[1": np.array([2]), "": np.array(["3]"])}))
@example(Table({"<html": np.array([1])}))
@example(Table({"\ufefb": np.array(["<html"])}))  # its bytes begin as a byte order mark does
@example(Table({"%PDF": np.array([1])}))
@example(Table({"version https://git-lfs": np.array([1])}))
@example(one(np.array(["a", "b"], ">U3")))
@example(one(np.ma.masked_array(np.arange(2), mask=[True, False])))
@example(Table({"a": np.zeros(2), "b": np.zeros(3)}))
def test_what_goes_in_comes_out(table: Table) -> None:
    outcome = CSV_CODEC.encode(Item("x", table), None)
    if is_successful(outcome):
        assert read(joined(outcome.unwrap())) == Table(
            {name: np.asarray(column) for name, column in table.columns.items()}
        )
    else:
        assert isinstance(outcome.failure(), UnsupportedPayload | Lossy)


@given(st.data(), st.integers(1, 5))
def test_numbers_text_and_whole_dates_are_always_taken(data: st.DataObject, rows: int) -> None:
    numbers = [np.dtype(letter) for letter in "?bhilBHILefdFD"]
    column = data.draw(arrays(st.sampled_from(numbers), st.just((rows,))))
    text = data.draw(
        st.lists(st.text(st.characters(exclude_characters="\0")), min_size=rows, max_size=rows)
    )
    dates = data.draw(st.lists(st.datetimes(), min_size=rows, max_size=rows))
    table = Table({"n": column, "text": np.array(text), "date": np.array(dates, "M8[us]")})
    assert read(encoded(table)) == Table({**table.columns, "n": np.asarray(column)})


def test_headers_of_usual_tables_are_clean() -> None:
    table = Table(
        {
            "label": np.arange(2),
            "area": np.array([1.0, np.nan]),
            "cell, name": np.array(["a", 'say "hi"\r\n']),
            "seen": np.array(["2024-02-29 10:00:00", "NaT"], "M8[s]"),
            "dead": np.array([True, False]),
            "count": np.array([1, 2], "u2"),
            "label:int8": np.array([1, 2]),
        }
    )
    header, first, *_ = encoded(table).decode().split("\n")
    assert header == 'label,area,"cell, name",seen,dead,count:uint16,label:int8:int64'
    assert first == "0,1.0,a,2024-02-29 10:00:00,True,1,1"


def test_rows_beyond_one_block_are_read() -> None:
    rows = 2 * BLOCK_ROWS + 3
    late = np.full(rows, "1")
    late[-1] = "x"
    names = np.array([f"\N{GREEK SMALL LETTER MU}{row}" for row in range(rows)])
    table = Table({"n": np.arange(rows), "late": late, "f": np.arange(rows) / 7, "name": names})
    assert read(encoded(table)) == table


def test_pandas_reads_the_same_values() -> None:
    chance = np.random.default_rng(0)
    table = Table(
        {
            "n": chance.integers(-(2**62), 2**62, 100),
            "x": np.where(chance.random(100) < 0.1, np.nan, chance.standard_normal(100)),
            "name": np.array([f'cell "{row}", µ\n' for row in range(100)]),
            "dead": chance.random(100) < 0.5,
        }
    )
    frame = pd.read_csv(io.BytesIO(encoded(table)))
    assert list(frame.columns) == list(table.columns)
    for name, column in table.columns.items():
        if name == "x":
            np.testing.assert_allclose(frame[name].to_numpy(), column, rtol=1e-15)
        else:
            assert frame[name].tolist() == column.tolist()


@given(
    st.lists(
        st.lists(CELLS.filter(lambda cell: "\0" not in cell), min_size=2, max_size=2), min_size=1
    )
)
def test_what_pythons_own_module_writes_is_read(rows: list[list[str]]) -> None:
    whole = [row for row in rows if all(cell.isprintable() or "\n" in cell for cell in row)]
    stream = io.StringIO()
    csv.writer(stream).writerows([["a:U99", "b:U99"], *whole])
    table = read(stream.getvalue().encode(errors="replace"))
    cells = [[cell.encode(errors="replace").decode() for cell in row] for row in whole]
    assert [
        list(row) for row in zip(*(it.tolist() for it in table.columns.values()), strict=True)
    ] == (cells)


@pytest.mark.parametrize("payload", [1, "a,b\n", {"a": [1]}, np.zeros(3), None])
def test_what_is_no_table_is_refused(payload: Payload) -> None:
    refused = CSV_CODEC.encode(Item("x", payload), None).failure()
    assert isinstance(refused, UnsupportedPayload)
    assert "Table" in refused.advice


@pytest.mark.parametrize("letter", [*"gG", "O", "V3", "T"])
def test_dtypes_without_cells_are_refused(letter: str) -> None:
    dtype = np.dtypes.StringDType() if letter == "T" else np.dtype(letter)
    refused = CSV_CODEC.encode(Item("x", one(np.zeros(2, dtype))), None).failure()
    assert isinstance(refused, UnsupportedPayload)
    assert "'a'" in refused.message


@pytest.mark.parametrize("text", ["a\0b", "\udc80", "\ud83d\ude00"])
def test_characters_without_utf8_are_refused(text: str) -> None:
    for table in (one(np.array([text])), Table({text: np.zeros(1)})):
        assert isinstance(CSV_CODEC.encode(Item("x", table), None).failure(), UnsupportedPayload)


def test_more_columns_than_a_spreadsheet_has_are_refused() -> None:
    columns = {str(name): np.zeros(1) for name in range(COLUMNS_MAX + 1)}
    assert isinstance(
        CSV_CODEC.encode(Item("x", Table(columns)), None).failure(), UnsupportedPayload
    )
    error = CSV_CODEC.decode(source_of(",".join(columns).encode()), Limits()).failure()
    assert isinstance(error, Corrupt)
    assert str(COLUMNS_MAX + 1) in error.message


def test_metadata_is_dropped_by_name() -> None:
    known = Metadata(axes=("y", "x"), attributes={"well": "A01"})
    outcome = CSV_CODEC.encode(Item("x", one(np.zeros(2)), known), None)
    assert outcome.unwrap().dropped == ("axes", "attributes")
