"""JSON: what is taken comes back equal, what would change is refused, and bad files say where."""

from __future__ import annotations

import enum
import json
import random
import tracemalloc
from collections import OrderedDict, defaultdict
from typing import NamedTuple, cast

import numpy as np
import pytest
from bytes_source import joined, source_of
from hypothesis import example, given
from hypothesis import strategies as st

from polystore.core.errors import Corrupt, TooLarge, UnsupportedPayload
from polystore.core.item import Item, Metadata
from polystore.core.outcome import fold, is_successful
from polystore.core.payload import Json, Payload
from polystore.core.records import Limits
from polystore.core.table import Table
from polystore.formats.json import DEPTH_MAX, JSON_CODEC

TEXT = st.text(st.characters() | st.characters(categories=["Cs"]))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
DOCUMENTS: st.SearchStrategy[Json] = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=20
)


class Pair(NamedTuple):
    first: int
    second: int


class Color(enum.IntEnum):
    RED = 1


class Name(str):
    __slots__ = ()


def encoded(payload: object) -> bytes:
    return joined(JSON_CODEC.encode(Item("x", cast("Payload", payload)), None).unwrap())


def read(content: bytes, limits: Limits = Limits()) -> Json:
    return JSON_CODEC.decode(source_of(content), limits).unwrap().payload


def refusal(content: bytes) -> str:
    error = JSON_CODEC.decode(source_of(content), Limits()).failure()
    assert isinstance(error, Corrupt)
    assert error.advice
    return error.message


def refused(payload: object) -> UnsupportedPayload:
    error = JSON_CODEC.encode(Item("x", cast("Payload", payload)), None).failure()
    assert isinstance(error, UnsupportedPayload)
    return error


def nested(depth: int) -> Json:
    value: Json = 1
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


def kinds(value: Json) -> object:
    """Give the value with each scalar's type and exact text: `1`, `1.0` and `True` are equal."""
    if isinstance(value, dict):
        return {key: kinds(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [kinds(inner) for inner in value]
    return type(value), repr(value)


@given(DOCUMENTS)
@example(-0.0)
@example(5e-324)
@example("\ud800 and \\ud800")  # half of a pair, and the escape of one as text
@example(["\ud83d", "\ude00"])
@example("\u2028\0\x7f")
@example(10**4299)
@example(nested(DEPTH_MAX))
def test_what_goes_in_comes_out(document: Json) -> None:
    outcome = JSON_CODEC.encode(Item("x", document), None)
    if is_successful(outcome):
        content = joined(outcome.unwrap())
        assert kinds(read(content)) == kinds(document)
        assert kinds(cast("Json", json.loads(content))) == kinds(document)
    else:
        assert "surrogate" in outcome.failure().message


def test_text_stays_readable() -> None:
    assert encoded({"µ": ["é", 1.5]}) == '{"µ": ["é", 1.5]}'.encode()


def test_equal_containers_come_back_as_lists_and_dicts() -> None:
    assert read(encoded({"shape": (2, (3,))})) == {"shape": [2, [3]]}
    ordered: OrderedDict[str, int] = OrderedDict(b=1, a=2)
    assert read(encoded([ordered, defaultdict(int, c=3)])) == [
        {"b": 1, "a": 2},
        {"c": 3},
    ]


@pytest.mark.parametrize(
    ("payload", "message", "advice"),
    [
        ({"a": [1.0, float("nan")]}, "nan at ['a'][1]", "None"),
        (float("-inf"), "-inf.", "None"),
        ({"a": {1: 2}}, "a key of type int at ['a']", "text"),
        ({Name("a"): 2}, "a key of type Name", "text"),
        (Color.RED, "a Color.", "int"),
        ([Name("a")], "a Name at [0]", "str"),
        ([np.float64(1.5)], "a float64 at [0]", "tolist"),
        ([np.bool_(True)], "a bool at [0]", "tolist"),
        (np.zeros(3), "a ndarray.", ".npy"),
        ({"a": np.zeros(3)}, "a ndarray at ['a']", ".npz"),
        (Table({}), "a Table.", ".csv"),
        (b"x", "a bytes", "str"),
        ({1, 2}, "a set", "list"),
        ([Pair(1, 2)], "a Pair at [0]", "list"),
        (range(3), "a range", "list"),
        ("\ud83d\ude00", "surrogate pair", "Join"),
        (10**4300, "4300 digits", "text"),
        (nested(DEPTH_MAX + 1), "200 levels", "flatter"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isascii() else "",
)
def test_what_would_change_is_refused_and_where(payload: object, message: str, advice: str) -> None:
    error = refused(payload)
    assert message in error.message
    assert advice in error.advice


def test_a_list_in_itself_is_refused() -> None:
    loop: list[object] = [1]
    loop.append({"again": loop})
    assert "levels" in refused(loop).message


def test_metadata_is_dropped_by_name() -> None:
    known = Metadata(axes=("y", "x"), attributes={"well": "A01"})
    assert JSON_CODEC.encode(Item("x", 1, known), None).unwrap().dropped == ("axes", "attributes")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b" \n", "it is text"),
        (b"hello", "it is text"),
        (b"<html></html>", "HTML"),
        (b"\xff\xd8\xff", "JPEG"),
        (bytes(9), "zeros"),
        ("[1]".encode("utf-16"), "UTF-16"),
        (b"\xef\xbb\xbf[1]", "byte order mark"),
        (b'[1,\n"\xe9"]', "byte 5, in line 2, is not UTF-8"),
        (b'{"a": 1,\n "a": 2}', "the key 'a' twice"),
        (b'["NaN",\n NaN]', "NaN in line 2, column 2"),
        (b'{"a": -Infinity}', "-Infinity in line 1, column 7"),
        (b"[1, 2", "line 1, column 6"),
        (b'{"a": 1} x', "extra data in line 1, column 10"),
        (b"{'a': 1}", "line 1, column 2"),
        (b'"abc', "unterminated string"),
        (b"[01]", "line 1, column 3"),
        (b'["\x01"]', "control character"),
        (b"[1e999]", "1e999, which is beyond a float"),
        (b"[" + b"9" * 400 + b".0]", "beyond a float"),
        (b'["' + b"9" * 5000 + b'",\n' + b"9" * 5000 + b"]", "4300 digits in line 2, column 1"),
        (b"[" * 100_000, "too deeply"),
        (b'{"a":' * 100_000, "too deeply"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_damage_is_told(content: bytes, reason: str) -> None:
    assert reason in refusal(content)


BOMBS = (
    b"[" + b"[]," * 100_000 + b"[]]",
    b"[" + b"[1]," * 100_000 + b"[]]",
    b"[" + b'{"a":1},' * 50_000 + b"{}]",
    b"{" + b",".join(b'"%x":1' % key for key in range(50_000)) + b"}",
    b"[" + b",".join(b'{"%x":{}}' % key for key in range(20_000)) + b"]",
    b"[" + b"0," * 100_000 + b"0]",
    b"[" + b"999," * 100_000 + b"0]",
    b"[" + b'"ab",' * 50_000 + b"0]",
    b"[" + '"\N{GRINNING FACE}a",'.encode() * 50_000 + b"0]",
    ('"\N{GRINNING FACE}' + "a" * 500_000 + '"').encode(),
    b'"' + b"ab\\n" * 100_000 + b'"',
    '["{}"]'.format("€b\\u00e9" * 100_000).encode(),
)


@pytest.mark.parametrize("content", BOMBS, ids=lambda content: content[:12].decode(errors="ignore"))
def test_what_a_document_takes_is_known_before_it_is_built(content: bytes) -> None:
    assert isinstance(JSON_CODEC.decode(source_of(content), Limits(2**20)).failure(), TooLarge)
    tracemalloc.start()
    read(content)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    below = JSON_CODEC.decode(source_of(content), Limits(peak * 9 // 10)).failure()
    assert isinstance(below, TooLarge)


def test_no_bytes_raise_or_take_memory() -> None:
    """Cut everywhere, and changed a thousand times: a value, or an error; never much memory."""
    chance = random.Random(0)  # noqa: S311 - the same bytes each time
    odd = b'019-+.eE"\\u[]{}:,tfnN \xff\xc3\xa4\0'
    document: Json = {"a": [1, -2.5e-3, None, True, "µ\n\ud800"], "b": {"c": {}, "d": [[], ""]}}
    whole = encoded(document)
    variants = [whole[:length] for length in range(len(whole))]
    for _ in range(2000):
        changed = bytearray(whole)
        for _ in range(chance.choice((1, 1, 2, 4))):
            changed[chance.randrange(len(changed))] = chance.choice(odd)
        variants.append(bytes(changed))
    tracemalloc.start()
    for content in variants:
        decoded = JSON_CODEC.decode(source_of(content), Limits(2**20))
        assert fold(decoded, lambda _: True, lambda error: isinstance(error, Corrupt))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**21
