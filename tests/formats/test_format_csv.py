"""CSV: every table comes back with its types or is refused; and what others write is read."""

from __future__ import annotations

import csv
import io
import random
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from bytes_source import joined, source_of
from hypothesis import example, given
from hypothesis import strategies as st

from polystore.core.errors import Corrupt, Lossy, TooLarge, UnsupportedPayload
from polystore.core.item import Item, Metadata
from polystore.core.outcome import fold, is_successful
from polystore.core.payload import HostArray, Payload
from polystore.core.records import Limits
from polystore.core.table import Table
from polystore.formats.csv import COLUMNS_MAX, CSV_CODEC
from polystore.formats.csvcells import BLOCK_ROWS
from strategies import arrays

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


def refusal(content: bytes) -> str:
    error = CSV_CODEC.decode(source_of(content), Limits()).failure()
    assert isinstance(error, Corrupt)
    return error.message


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


@pytest.mark.parametrize(
    ("content", "dtype", "values"),
    [
        (b"a\r\n1\r\n2", "int64", [1, 2]),
        (b"\xef\xbb\xbfa\r1\r2\r", "int64", [1, 2]),
        (b"a\n\n1\n\n2\n\n", "int64", [1, 2]),
        (b"a\n 1 \n\t2\n", "int64", [1, 2]),
        (b"a\n-9223372036854775808\n", "int64", [-(2**63)]),
        (b"a\n9223372036854775808\n1\n", "float64", [2**63, 1]),  # both are exact
        (b"a\n9223372036854775807\n1.5\n", "<U19", ["9223372036854775807", "1.5"]),
        (b"a\n1.\n.5\n-Inf\n+1\n", "<U4", ["1.", ".5", "-Inf", "+1"]),
        (b"a\n1.\n.5\n-Inf\n1E+3\n", "float64", [1, 0.5, -np.inf, 1000]),
        (b"a\n007\n", "<U3", ["007"]),
        (b"a\n1e308\n-1E-400\n", "float64", [1e308, -0.0]),
        (b"a\n1e309\n1\n", "<U5", ["1e309", "1"]),
        (b"a\n" + b"9" * 5000 + b"\n1.5\n", "<U5000", ["9" * 5000, "1.5"]),
        (b"a\n" + b"9" * 400 + b"\n", "<U400", ["9" * 400]),
        (b"a\n1_000\n", "<U5", ["1_000"]),
        (b"a\nTRUE\nfalse\n", "bool", [True, False]),
        (b'a\n"1"\n"2"\n', "int64", [1, 2]),
        (b'a\n"x"\n""\n', "<U1", ["x", ""]),
        (b"a\n2024-02-29T10:00\n", "datetime64[m]", [np.datetime64("2024-02-29T10:00").item()]),
        (b"a\n2024-02-30\n", "<U10", ["2024-02-30"]),
        (b"a\n1600-01-01 00:00:00.000000000\n", "<U29", ["1600-01-01 00:00:00.000000000"]),
        (b"a\n", "<U1", []),
        (b"a:float32\n0.1\n", "float32", [np.float32(0.1).item()]),
        (b"a:pickle\n1\n", "int64", [1]),
        (b"a:U99999999999\n1\n", "int64", [1]),
    ],
    ids=lambda value: str(value) if isinstance(value, bytes) else "",
)
def test_what_others_write_is_read(content: bytes, dtype: str, values: list[object]) -> None:
    (column,) = read(content).columns.values()
    assert (str(column.dtype), column.tolist()) == (dtype, values)


def test_a_byte_order_mark_is_in_no_name() -> None:
    assert list(read(b'\xef\xbb\xbf"a,b",c\n1,2\n').columns) == ["a,b", "c"]
    assert list(read(b"\xef\xbb\xbfa:int8\n1\n").columns) == ["a"]


def test_missing_cells_are_nan_where_no_value_changes() -> None:
    table = read(b"x,n,big,name,day\n1.5,1,9007199254740993,a,2024-01-01\n,,,,\n")
    assert [str(column.dtype) for column in table.columns.values()] == [
        *("float64", "float64", "<U16", "<U1", "datetime64[D]")
    ]
    assert np.isnan(table.columns["n"][1])
    assert np.isnat(table.columns["day"][1])
    assert table.columns["big"].tolist() == ["9007199254740993", ""]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"\xff\xd8\xff\xe0JFIF", "JPEG"),
        (bytes(9), "zeros"),
        ("a,b\n1,2\n".encode("utf-16"), "UTF-16"),
        (b"a\n\0\n", "NUL"),
        (b"<html>\n<p>\na,b", "HTML"),
        (b"a\n1\n\xff\n", "line 3 is not UTF-8"),
        (b"a,b\n1,2\n\n3\n", "row 4 has 1 cell, and the header has 2"),
        (b"a\n1,2,3\n", "row 2 has 3 cells, and the header has 1"),
        (b'a,b\n"1\n2",3\n4,"5\n', "row 3 a quote"),
        (b'a\nx"y"\n', "row 2 a quote"),
        (b'a\n"x"y\n', "row 2 a quote"),
        (b"a,b,a\n1,2,3\n", "named 'a'"),
        (b"a,b:int8,b\n1,2,3\n", "named 'b'"),
        (b"a;b\n1,5;2\n", "not separated by commas"),
        (b"\xef\xbb\xbfa;b\r\n1;2\r\n", "not separated by commas"),
        (b"a\tb\n1\t2\n", "not separated by commas"),
        (b"a:int8\n1\n\n300\n", "row 4 of the column 'a' holds '300', which is no int8"),
        (b"a:uint8,b\n1,2\n-1,2\n", "row 3 of the column 'a'"),
        (b"a:int64,b\n1,\n,1\n", "row 3 of the column 'a' holds ''"),
        (b"a:U2\nabc\n", "'abc'"),
        (b"a:S2\n\xc3\xa4\n", "'ä'"),
        (b"a:bool\nyes\n", "'yes'"),
        (b"a:float16\n1e9\n", "'1e9'"),
        (b"a:float32\nnan(0xfff8000000000001)\n", "no float32"),
        (b"a:float64\n1e400\n", "'1e400'"),
        (b"a:float64\n1_0\n", "'1_0'"),
        (b"a:complex64\n1+j\n", "'1+j'"),
        (b"a:datetime64[s]\ntoday\n", "'today'"),
        (b"a:datetime64[s]\n2024-01-01 00:00:00.5\n", "no datetime64[s]"),
        (b"a:datetime64[ns]\n9999-01-01 00:00:00.000000000\n", "no datetime64[ns]"),
        (b"a:timedelta64[s]\n9223372036854775808\n", "no timedelta64[s]"),
        (b'a:int8\n"1\n2"\n', "no int8"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_damage_is_told(content: bytes, reason: str) -> None:
    assert reason in refusal(content)


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
    assert str(COLUMNS_MAX + 1) in refusal(",".join(columns).encode())


def test_metadata_is_dropped_by_name() -> None:
    known = Metadata(axes=("y", "x"), attributes={"well": "A01"})
    outcome = CSV_CODEC.encode(Item("x", one(np.zeros(2)), known), None)
    assert outcome.unwrap().dropped == ("axes", "attributes")


def test_more_than_the_limit_is_too_large() -> None:
    content = encoded(one(np.arange(1000)))
    assert isinstance(CSV_CODEC.decode(source_of(content), Limits(7999)).failure(), TooLarge)
    assert is_successful(CSV_CODEC.decode(source_of(content), Limits(8000)))


@pytest.mark.parametrize(
    "content",
    [
        b"a\n" + b"x" * 10_000 + b"\n" + b"y\n" * 10_000,  # 400 MB as characters of one width
        b"a:U100000000\n" + b"y\n" * 10,
        b"\n".join([b"," * 1000] * 1000),
        b"," * 2_000_000,
        b"a\n" * 2_000_000,
        b'a\n"' + b'""' * 1_000_000 + b'"\n',
    ],
    ids=lambda content: content[:12].decode(),
)
def test_a_small_file_takes_little_memory(content: bytes) -> None:
    tracemalloc.start()
    decoded = CSV_CODEC.decode(source_of(content), Limits(2**24))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert fold(decoded, lambda _: True, lambda error: isinstance(error, Corrupt | TooLarge))
    assert peak < 2 * 2**24 + 4 * len(content)


def test_no_bytes_raise_or_take_memory() -> None:
    """Cut everywhere, and changed a thousand times: a table, or an error; never much memory."""
    chance = random.Random(0)  # noqa: S311 - the same bytes each time
    dtypes = [*(np.dtype(letter) for letter in "?bhilBHILefdFD"), *map(np.dtype, ("U5", "S5"))]
    made = [one(np.array([0, 1, 1]).astype(dtype)) for dtype in dtypes]
    made += [one(np.array([0, 1, 1]).view(f"{kind}8[s]")) for kind in "mM"]
    mixed = Table(
        {'"x"': np.array(["a,b", 'q"', "µ\n"]), "n": np.arange(3), "c": np.arange(3) * 1j}
    )
    odd = b'0159-+.eEjTFnNa(x):,"\r\n;[] \xff\xc3\xa4\0'
    tracemalloc.start()
    for whole in map(encoded, (*made, *[mixed] * 4)):
        for changed in _variants(whole, odd, chance):
            decoded = CSV_CODEC.decode(source_of(changed), Limits(2**20))
            assert fold(decoded, _is_sound, lambda error: isinstance(error, Corrupt | TooLarge))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**23


def _is_sound(decoded: object) -> bool:
    return decoded is not None


def _variants(whole: bytes, odd: bytes, chance: random.Random) -> list[bytes]:
    variants = [whole[:length] for length in range(len(whole))]
    for _ in range(40):
        changed = bytearray(whole)
        for _ in range(chance.choice((1, 1, 2, 4))):
            changed[chance.randrange(len(changed))] = chance.choice(odd)
        variants.append(bytes(changed))
    return variants
