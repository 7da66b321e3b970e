"""Text: every character comes back, and what is no UTF-8 is said to be what it is."""

from __future__ import annotations

import pytest
from bytes_source import joined, source_of
from hypothesis import example, given
from hypothesis import strategies as st

from polystore.core.errors import Corrupt, TooLarge, UnsupportedPayload
from polystore.core.item import Item, Metadata
from polystore.core.outcome import fold, is_successful
from polystore.core.payload import Payload
from polystore.core.records import Limits
from polystore.core.table import Table
from polystore.formats.text import TEXT_CODEC


class Name(str):
    __slots__ = ()


def refusal(content: bytes) -> str:
    error = TEXT_CODEC.decode(source_of(content), Limits()).failure()
    assert isinstance(error, Corrupt)
    return error.message


@given(st.text())
@example("")
@example("\ufeffa\r\nb\rc\n\0")
@example("\0\0")
@example("%PDF-1.7")  # text, whatever it looks like
def test_what_goes_in_comes_out(text: str) -> None:
    content = joined(TEXT_CODEC.encode(Item("x", text), None).unwrap())
    assert content == text.encode()
    assert TEXT_CODEC.decode(source_of(content), Limits()).unwrap().payload == text


@given(st.binary() | st.binary().map(lambda end: b"\xff\xd8\xff" + end))
def test_any_bytes_are_text_or_refused(content: bytes) -> None:
    decoded = TEXT_CODEC.decode(source_of(content), Limits())
    if is_successful(decoded):
        assert decoded.unwrap().payload.encode() == content
    else:
        assert isinstance(decoded.failure(), Corrupt)
        with pytest.raises(UnicodeDecodeError):
            content.decode()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xff\xd8\xff\xe0JFIF", "it is a JPEG image"),
        (b"one\ncaf\xe9 au lait", "byte 7, in line 2, is not UTF-8"),
        ("one".encode("utf-16"), "it is UTF-16 text"),
        (b"a" * 600 + b"\xff", "byte 600, in line 1"),
        ("µ".encode()[:1], "byte 0, in line 1"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_utf8_is_told(content: bytes, reason: str) -> None:
    assert reason in refusal(content)


@pytest.mark.parametrize(
    ("payload", "advice"),
    [(b"x", "str"), (Name("x"), "str"), (1, ".json"), ({"a": [1]}, ".json"), (Table({}), ".csv")],
    ids=str,
)
def test_what_is_no_text_is_refused(payload: Payload, advice: str) -> None:
    error = TEXT_CODEC.encode(Item("x", payload), None).failure()
    assert isinstance(error, UnsupportedPayload)
    assert advice in error.advice


def test_half_of_a_surrogate_pair_is_refused() -> None:
    error = TEXT_CODEC.encode(Item("x", "ab\udc80"), None).failure()
    assert isinstance(error, UnsupportedPayload)
    assert "character 2" in error.message


@pytest.mark.parametrize(
    ("text", "nbytes"),
    [("abc", 3), ("äbc", 3), ("\u0100bc", 6), ("€bc", 6), ("\N{GRINNING FACE}bc", 12)],
)
def test_the_limit_is_on_what_the_characters_take(text: str, nbytes: int) -> None:
    source = source_of(text.encode())
    assert is_successful(TEXT_CODEC.decode(source, Limits(nbytes)))
    below = TEXT_CODEC.decode(source, Limits(nbytes - 1))
    assert fold(below, lambda _: False, lambda error: isinstance(error, TooLarge))


def test_metadata_is_dropped_by_name() -> None:
    encoded = TEXT_CODEC.encode(Item("x", "a", Metadata(axes=("y",))), None)
    assert encoded.unwrap().dropped == ("axes",)
