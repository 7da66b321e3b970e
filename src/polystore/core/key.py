"""Keys: relative POSIX-style paths, parsed once at the edge, and their natural order."""

from __future__ import annotations

import os
import re
from bisect import bisect_left
from functools import lru_cache
from itertools import islice
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, NewType, cast

from typing_extensions import TypeAliasType

from polystore.core.errors import InvalidKey
from polystore.core.outcome import Failure, Outcome, Success

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

__all__ = [
    "HIDDEN_PREFIX",
    "Key",
    "KeyLike",
    "are_plain",
    "natural_order",
    "near_keys",
    "parse_key",
    "suffix_of",
]

Key = NewType("Key", str)
"""A `str` that `parse_key` has accepted: `Key` is the type-checker's proof of it."""

KeyLike = TypeAliasType("KeyLike", "str | os.PathLike[str]")
"""What a load accepts: the text of a key, or a path (see `parse_key`)."""

HIDDEN_PREFIX = ".polystore-"
"""Names that begin so are ours (files being written): no key, and never listed."""

MAX_PART_BYTES = 255
"""NAME_MAX of Linux and macOS; object stores allow more, but keys move between stores."""

NEAR = 100
"""Names on either side of a missing one that a suggestion is looked for in."""

NEAR_AMONG = 20_000
"""Names that are looked at at all for a suggestion."""

# Most keys are plain: ASCII parts, none of them too long or starting with a dot. One match decides
# those.
_PLAIN_PART = rf"[\w][\w \-.,+=@()]{{0,{MAX_PART_BYTES - 1}}}+"
_PLAIN = re.compile(rf"{_PLAIN_PART}(?:/{_PLAIN_PART})*+", re.ASCII)

_REFUSED_CHARACTERS = {"\0": "a NUL", "\\": "a backslash"}
_REFUSED_PARTS = {
    "": "it has an empty part",
    ".": "its part '.' names no file",
    "..": "its part '..' would leave the folder",
}

_NO_RESERVED: frozenset[str] = frozenset()


def parse_key(
    key: KeyLike, root: str | None = None, reserved: frozenset[str] = _NO_RESERVED
) -> Outcome[Key]:
    """Give the key that the text or path names, or `InvalidKey` with the reason.

    Refused: an empty key, an absolute one, an empty part, `.` or `..`, NUL, a backslash, a lone
    surrogate, a part over 255 bytes of UTF-8, a part beginning with `.polystore-`, a part in
    `reserved`. All else is kept as given: Unicode is not normalised, capitals stay.

    With `root` (an absolute folder), an absolute path under it is made relative to it, and so is a
    `Path` that, seen from the current folder, lies under the root as it is spelled, so that the
    results of `Path("plate").glob("*.tif")` are keys of `DiskConfig("plate")`. A `str` that is
    relative is always a key already.

    >>> parse_key("wells/A01 t1.TIF")
    <Success: wells/A01 t1.TIF>
    >>> parse_key("/data/plate/A01.tif", root="/data/plate")
    <Success: A01.tif>
    >>> parse_key("../A01.tif").failure().message
    "'../A01.tif' is no key: its part '..' would leave the folder."
    """
    text = key if type(key) is str else _text(key, root)
    if text is None:
        return Failure(_invalid(repr(key), "it is neither a text nor a path"))
    if root is not None and text.startswith("/"):
        text = _below(text, root)
    if not reserved and _PLAIN.fullmatch(text):
        return Success(Key(text))
    problem = _problem(text, reserved)
    return Success(Key(text)) if problem is None else Failure(_invalid(text, problem))


def are_plain(names: Collection[str]) -> bool:
    """Whether all of the names, which are parts of paths, are keys, found out at a glance.

    `False` says nothing: `parse_key` tells of each name, and of those that a store reserves. What
    is plain makes another key with any key and a `/` before it.

    >>> are_plain(["A01.tif", "t 1 (2).npy"]), are_plain(["A01.tif", ".hidden"])
    (True, False)
    """
    return _PLAIN.fullmatch("/".join(names)) is not None


def _invalid(text: str, problem: str) -> InvalidKey:
    return InvalidKey(
        text,
        None,
        f"{text!r} is no key: {problem}.",
        "A key is a relative path such as 'wells/A01.tif', with '/' between its parts.",
    )


def _text(key: object, root: str | None) -> str | None:
    """Give the text of what may be a key; `None` if it is nothing of the kind."""
    if isinstance(key, PurePath):
        return _from_path(key, root)
    try:
        text = os.fspath(cast("os.PathLike[str] | os.PathLike[bytes]", key))
    except TypeError:
        return None
    # What a subclass makes of str() is its own affair: a str enum gives its name, not its value.
    return None if isinstance(text, bytes) else str.__str__(text)


def _from_path(key: PurePath, root: str | None) -> str:
    text = key.as_posix()
    if root is None or not isinstance(key, Path) or text.startswith("/"):
        return text
    try:
        here = str(Path.cwd())
    except FileNotFoundError:  # the current folder was removed
        return text
    # Only a root below the current folder is spelled out in such a path: where the root is above
    # or elsewhere, the path is a key as it stands.
    root_from_here = _below(root, here)
    return text if root_from_here == root else _below(text, root_from_here)


def _below(text: str, folder: str) -> str:
    """Give a path relative to a folder that it begins with, and any other as it is."""
    return text.removeprefix(folder.rstrip("/") + "/")


def _problem(text: str, reserved: frozenset[str]) -> str | None:
    if text.startswith("/"):
        return "it is an absolute path, and names nothing below the root of the store"
    for character, words in _REFUSED_CHARACTERS.items():
        if character in text:
            return f"it contains {words}"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "it contains a lone surrogate, which UTF-8 cannot write"
    problems = (_problem_of_part(part, reserved) for part in text.split("/"))
    return "it is empty" if text == "" else next(filter(None, problems), None)


def _problem_of_part(part: str, reserved: frozenset[str]) -> str | None:
    if part in _REFUSED_PARTS:
        return _REFUSED_PARTS[part]
    if len(part.encode()) > MAX_PART_BYTES:
        return f"a part of it is longer than {MAX_PART_BYTES} bytes"
    if part.startswith(HIDDEN_PREFIX):
        return f"names that begin with {HIDDEN_PREFIX!r} are reserved by polystore"
    return f"the name {part!r} is reserved by the store" if part in reserved else None


_DIGITS = re.compile(r"([0-9]+)")

_LAST_CHARACTER = 0x10FFFF


def natural_order(key: str) -> tuple[str, str]:
    """Give the sort key of natural order: runs of the digits 0-9 compare as numbers.

    Only ASCII digits count, so that no Unicode name can fail to sort; names that are equal as
    numbers (`f1`, `f01`) keep a fixed order. Runs of any length are taken.

    >>> sorted(["f10", "f2", "f1"], key=natural_order)
    ['f1', 'f2', 'f10']
    """
    parts = _DIGITS.split(key)
    if len(parts) == 1:
        return key, key
    parts[1::2] = map(_number, parts[1::2])
    return "".join(parts), key


@lru_cache(maxsize=4096)
def _number(digits: str) -> str:
    """Give a text that orders a run of digits by value, and before any other text.

    First a NUL, which no key has; then how many digits it has, as one character, then those.
    """
    significant = digits.lstrip("0")
    times, rest = divmod(len(significant), _LAST_CHARACTER)
    return f"\0{chr(_LAST_CHARACTER) * times}{chr(rest)}{significant}"


def near_keys(key: str, keys: Iterable[str]) -> list[str]:
    """Give those of `keys` that stand nearest to `key` in alphabetical, case-blind order.

    They are what a suggestion is worth looking for in: comparing with every name of a large folder
    would take seconds for each missing key.

    >>> near_keys("a1.tif", ["A01.tif", "b.tif"])
    ['A01.tif', 'b.tif']
    """
    ordered = sorted(islice(keys, NEAR_AMONG), key=str.casefold)
    place = bisect_left(ordered, key.casefold(), key=str.casefold)
    return ordered[max(place - NEAR, 0) : place + NEAR]


def suffix_of(key: str, suffixes: tuple[str, ...]) -> str | None:
    """Give the longest of `suffixes` that the key ends with, compared case-blind, or `None`.

    >>> suffix_of("cells.OME.TIF", (".tif", ".ome.tif"))
    '.ome.tif'
    """
    name = key.rpartition("/")[2].lower()
    found = [suffix for suffix in suffixes if name.endswith(suffix)]
    return max(found, key=len, default=None)
