"""JSON as UTF-8, through Python's own: what comes back equals what was saved."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, NoReturn, TypeAlias, cast

from polystore.configs import JSON
from polystore.core.errors import Corrupt, StorageError
from polystore.core.outcome import Failure, Outcome, catch, guard, is_successful
from polystore.core.payload import Json
from polystore.core.records import Codec, Decoded, Encoded, Limits, Readable
from polystore.formats.encoding import SMALL, content_within, unreadable, wide_bytes
from polystore.formats.refusals import cannot_hold, damaged, foreign, over_limit

if TYPE_CHECKING:
    from polystore.core.item import Item
    from polystore.core.payload import Payload

    Path: TypeAlias = tuple["Path", object] | None
    """The keys and positions that lead to a value, the last one first."""

__all__ = ["DEPTH_MAX", "JSON_CODEC"]

DEPTH_MAX = 200
"""How deep lists and mappings may be nested; Python's parser follows 1000 at most, less its own."""

_SCALARS = frozenset((bool, int, str, type(None)))
_LEAVES = _SCALARS | {float}
_CONTAINERS = frozenset((list, dict, tuple))

_SPLIT_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_STRING = r'"(?:[^"\\]|\\.)*+"'
_CONSTANT = re.compile(_STRING + "|(-?(?:NaN|Infinity))", re.DOTALL)
_LONG_INT = re.compile(_STRING + r"|(-?\d{4301})", re.DOTALL)
_DIGITS = bytes.maketrans(b"123456789E", b"000000000e")
_MAYBE_INFINITE = (b"e000", b"e+000", b"0" * 300)
"""What a number beyond a float holds, once its digits are zeros."""

_COSTS = {b"[": 140, b"{": 200, b":": 120, b",": 44, b'"': 45}
"""Bytes that a value which such a character is a part of takes at most, in CPython on 64 bits.

A list of one number and its place in another; a mapping's first table; an entry, with the pair
that it is read as; a number and its place; half of an empty string.
"""


def _encode(item: Item[Payload], _options: object, /) -> Outcome[Encoded]:
    payload: object = item.payload
    problem = None if _is_plain(payload) else _problem(payload)
    if problem is not None:
        return Failure(cannot_hold("JSON", *problem))

    def unsayable(_error: ValueError) -> StorageError:
        return cannot_hold("JSON", *(_problem(payload) or _TOO_LONG))

    text = guard(
        lambda: json.dumps(payload, ensure_ascii=False, allow_nan=False),
        catch(ValueError, unsayable),
        catch(RecursionError, _too_deep),
    )
    if not is_successful(text):
        return Failure(text.failure())
    content = guard(text.unwrap().encode, catch(UnicodeEncodeError, _split))
    if not is_successful(content):
        if _SPLIT_PAIR.search(text.unwrap()):
            return Failure(content.failure())
        # One half has no UTF-8, but an escape in JSON: the one that this error handler writes.
        content = text.map(lambda it: it.encode(errors="backslashreplace"))
    present = item.metadata.present()
    return content.map(lambda it: Encoded((it,), len(it), present))


def _split(_error: UnicodeEncodeError) -> StorageError:
    advice = "Join them first, as in text.encode('utf-16', 'surrogatepass').decode('utf-16')."
    return cannot_hold("JSON", "the two halves of a surrogate pair apart", advice)


_TOO_LONG = (
    "an integer of more than 4300 digits",
    "Save it as text: Python reads no longer one (sys.set_int_max_str_digits).",
)


def _too_deep(_error: RecursionError) -> StorageError:
    advice = "Save it from a function that is called less deeply, or make it flatter."
    return cannot_hold("JSON", "what is nested so deeply, called from here", advice)


def _is_plain(payload: object) -> bool:
    """Whether `_problem` would find nothing, or NaN and infinities only: asked first, and fast."""
    waiting: list[tuple[Iterable[object], int]] = [((payload,), 0)]
    while waiting:
        values, depth = waiting.pop()
        kinds = set(map(type, values)) - _LEAVES
        if kinds and (not kinds <= _CONTAINERS or depth >= DEPTH_MAX):
            return False
        for value in values if kinds else ():
            if type(value) is dict:
                mapping = cast("dict[object, object]", value)
                if set(map(type, mapping)) - {str}:
                    return False
                waiting.append((mapping.values(), depth + 1))
            elif type(value) in _CONTAINERS:
                waiting.append((cast("list[object]", value), depth + 1))
    return True


def _problem(payload: object) -> tuple[str, str] | None:
    """Say what of the payload JSON has no way to say, where, and what to do about it."""
    waiting: list[tuple[object, Path, int]] = [((payload,), None, 0)]
    while waiting:
        container, path, depth = waiting.pop()
        is_mapping = isinstance(container, dict)
        for key, value in _items(container):
            if is_mapping and type(key) is not str:
                return f"a key of type {type(key).__name__}{_at(path)}", "Make its keys text."
            if type(value) in _SCALARS:
                continue
            at: Path = (path, key) if depth else None
            problem = _problem_of(value, at, depth)
            if problem is not None:
                return problem
            if type(value) is not float:
                waiting.append((value, at, depth + 1))
    return None


def _items(container: object) -> Iterable[tuple[object, object]]:
    if isinstance(container, dict):
        return cast("dict[object, object]", container).items()
    return enumerate(cast("list[object]", container))


def _problem_of(value: object, path: Path, depth: int) -> tuple[str, str] | None:
    """Say why JSON cannot hold a value, without what is in it."""
    where = _at(path)
    if type(value) is float:
        if math.isfinite(value):
            return None
        return f"{value}{where}", "Put None in its place, or save numbers as .npy or .csv."
    if isinstance(value, (dict, list)) or type(value) is tuple:
        if depth < DEPTH_MAX:
            return None
        advice = "Make it flatter; a list that contains itself has no end."
        return f"more than {DEPTH_MAX} levels of lists and mappings", advice
    return f"a {type(value).__name__}{where}", _advice(value)


def _at(path: Path) -> str:
    keys: list[str] = []
    while path is not None:
        path, key = path
        keys.insert(0, f"[{key!r:.40}]")
    return f" at {''.join(keys)}" if keys else ""


def _advice(value: object) -> str:
    if hasattr(type(value), "__array__") or hasattr(type(value), "__dlpack__"):
        return "Save arrays as .npy, and by their names as .npz; or give it value.tolist()."
    if hasattr(type(value), "__arrow_c_stream__"):
        return "Save tables as .csv."
    return "Make it of dict, list, str, int, float, bool and None first."


def _decode(source: Readable, limits: Limits, /) -> Outcome[Decoded[Json]]:
    found = content_within("JSON", source, limits)
    if not is_successful(found):
        return Failure(found.failure())
    content = found.unwrap()
    if not content.strip(b" \t\r\n"):
        return Failure(foreign("JSON", source))
    if content.startswith(b"\xef\xbb\xbf"):
        message = "This is no JSON: it begins with a byte order mark."
        return Failure(Corrupt("", None, message, "Save it as UTF-8 without one."))
    needed = len(content) + 2 * wide_bytes(content)  # as bytes, as one text, and in the strings
    needed += sum(content.count(mark) * cost for mark, cost in _COSTS.items())
    too_large = over_limit(needed, limits) if needed > SMALL else None
    if too_large is not None:
        return Failure(too_large)

    def undecodable(error: UnicodeDecodeError) -> StorageError:
        line = content.count(b"\n", 0, error.start) + 1
        reason = f"byte {error.start}, in line {line}, is not UTF-8"
        return unreadable("JSON", source, reason, ("JSON text", "text"))

    suspicious = _may_be_infinite(content)
    text = guard(content.decode, catch(UnicodeDecodeError, undecodable))
    if not is_successful(text):
        return Failure(text.failure())
    return _parsed(text.unwrap(), suspicious, source)


def _may_be_infinite(content: bytearray) -> bool:
    zeros = content.translate(_DIGITS)
    return any(mark in zeros for mark in _MAYBE_INFINITE)


def _parsed(text: str, look_at_floats: bool, source: Readable) -> Outcome[Decoded[Json]]:
    """Parse; every number is looked at only where one may be too large for a float."""

    def unparsed(error: json.JSONDecodeError) -> StorageError:
        begins = len(text) - len(text.lstrip(" \t\r\n"))
        reason = (
            f"{error.msg[:1].lower()}{error.msg[1:]} in line {error.lineno}, column {error.colno}"
        )
        begun = error.pos > begins or text[begins : begins + 1] == '"'
        kinds = ("JSON text", "text") if begun else ()
        return unreadable("JSON", source, reason, kinds)

    def unsound(error: ValueError) -> StorageError:
        return damaged("JSON", str(error) if str(error).startswith("it ") else _long_int(text))

    def too_deep(_error: RecursionError) -> StorageError:
        return damaged("JSON", "its lists and mappings are nested too deeply")

    def constant(word: str) -> NoReturn:
        raise ValueError(f"it holds {word}{_where(_CONSTANT, text)}, which is no JSON")

    value = guard(
        lambda: cast(
            "Json",
            json.loads(
                text,
                object_pairs_hook=_mapping,
                parse_constant=constant,
                parse_float=_finite if look_at_floats else None,
            ),
        ),
        catch(json.JSONDecodeError, unparsed),
        catch(ValueError, unsound),
        catch(RecursionError, too_deep),
    )
    return value.map(Decoded)


def _mapping(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        counts = Counter(key for key, _ in pairs)
        twice = next(key for key in counts if counts[key] > 1)
        raise ValueError(f"it has the key {twice!r:.40} twice in one mapping")
    return mapping


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError(f"it holds the number {digits:.40}, which is beyond a float")
    return value


def _long_int(text: str) -> str:
    return f"it holds an integer of more than 4300 digits{_where(_LONG_INT, text)}"


def _where(pattern: re.Pattern[str], text: str) -> str:
    """Say in which line and column the pattern's group is first found outside of strings."""
    found = next((it for it in pattern.finditer(text) if it[1]), None)
    if found is None:
        return ""
    position = found.start()
    column = position - text.rfind("\n", 0, position)
    return f" in line {text.count(chr(10), 0, position) + 1}, column {column}"


JSON_CODEC: Codec[Json] = Codec(format=JSON, encode=_encode, decode=_decode, open=None)
"""The record of JSON."""
