"""CSV from others, damaged and hostile: read as it is, or an error that says in which row."""

from __future__ import annotations

import random
import tracemalloc

import numpy as np
import pytest
from bytes_source import joined, source_of

from polystore.core.errors import Corrupt, TooLarge
from polystore.core.item import Item
from polystore.core.outcome import fold, is_successful
from polystore.core.payload import HostArray
from polystore.core.records import Limits
from polystore.core.table import Table
from polystore.formats.csv import CSV_CODEC


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
        (b"<!DOCTYPE html>\n<title>x</title>\n", "an HTML page"),
        (b"\n<html>\n", "an HTML page"),
        (b"<?xml version='1.0'?>\n<a>1</a>\n", "XML"),
        (b"%PDF-1.7\n1 0 obj\n", "a PDF document"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a Git LFS pointer"),
        (b"[1, 2, 3]", "JSON text"),
        (b"\xef\xbb\xbf [1,\n2,3]\n", "JSON text"),
        (b"{}\n", "JSON text"),
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


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (b"[um],[s]\n[1],[2]\n", ["[um]", "[s]"]),
        (b"[1,2\n3,4]\n", ["[1", "2"]),
        (b"{site}\n1\n", ["{site}"]),
        (b"<a>,b\n1,2\n", ["<a>", "b"]),
        (b"GIF87,BMP\n1,2\n", ["GIF87", "BMP"]),
        (b"channel,WEBP\n1,2\n", ["channel", "WEBP"]),
        (b'"%PDF"\n1\n', ["%PDF"]),
        (b"[" * 10_000 + b"\n1\n", ["[" * 10_000]),
    ],
    ids=lambda value: value[:9].decode() if isinstance(value, bytes) else "",
)
def test_odd_names_are_names(content: bytes, names: list[str]) -> None:
    assert list(read(content).columns) == names


def test_wide_text_takes_its_column_and_little_more() -> None:
    """As wide as its header claims, and not twice: there was another of each 65536 rows."""
    content = b"a:U400\n" + b"x\n" * 2**16
    nbytes = 400 * 4 * 2**16
    source = source_of(content)
    tracemalloc.start()
    column = CSV_CODEC.decode(source, Limits(nbytes)).unwrap().payload.columns["a"]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert column.nbytes == nbytes
    assert (column == "x").all()
    assert peak < 1.2 * nbytes


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
            assert fold(
                decoded, lambda _: True, lambda error: isinstance(error, Corrupt | TooLarge)
            )
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**23


def _variants(whole: bytes, odd: bytes, chance: random.Random) -> list[bytes]:
    variants = [whole[:length] for length in range(len(whole))]
    for _ in range(40):
        changed = bytearray(whole)
        for _ in range(chance.choice((1, 1, 2, 4))):
            changed[chance.randrange(len(changed))] = chance.choice(odd)
        variants.append(bytes(changed))
    return variants
