"""What JSON can say of a value, exactly."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from polystore.core.payload import Json

__all__ = ["json_list", "json_object", "json_text", "plain_json"]

DEPTH_MAX = 50
"""Levels of lists and mappings: far below where a JSON parser would run out of stack."""


def plain_json(value: object, depth: int = 0) -> Json:
    r"""Give a value as JSON has it: tuples as lists, subclasses as what they are made of.

    Raises `TypeError` or `ValueError` for what JSON cannot say: other types, NaN and infinities,
    halves of surrogate pairs, which two strings would join, and more than 50 levels.

    >>> plain_json({"a": (1, 2.5)})
    {'a': [1, 2.5]}
    """
    if depth > DEPTH_MAX:
        raise ValueError("too deep")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(value)
        return float(value)
    if isinstance(value, Mapping):
        items = cast("Mapping[object, object]", value).items()
        return {_text(name): plain_json(inner, depth + 1) for name, inner in items}
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        return [plain_json(inner, depth + 1) for inner in cast("Sequence[object]", value)]
    raise TypeError(type(value).__name__)


def json_object(value: Json) -> Mapping[str, Json]:
    """Give a value of JSON that must be an object; raises `TypeError`.

    >>> json_object({"a": 1})
    {'a': 1}
    """
    if not isinstance(value, Mapping):
        raise TypeError(value)
    return value


def json_list(value: Json) -> Sequence[Json]:
    """Give a value of JSON that must be a list; raises `TypeError`.

    >>> json_list([1])
    [1]
    """
    if not isinstance(value, list):
        raise TypeError(value)
    return value


def json_text(value: Json) -> str:
    """Give a value of JSON that must be a text; raises `TypeError`.

    >>> json_text("a")
    'a'
    """
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    value.encode()  # raises UnicodeEncodeError, which is a ValueError
    return value
