"""Keys: relative POSIX-style paths, parsed once at the edge, and their natural order."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePath
from typing import NewType, TypeAlias, cast

from polystore.core.errors import InvalidKey
from polystore.core.outcome import Failure, Outcome, Success

__all__ = ["HIDDEN_PREFIX", "Key", "KeyLike", "natural_order", "parse_key", "suffix_of"]

Key = NewType("Key", str)
"""A `str` that `parse_key` has accepted: `Key` is the type-checker's proof of it."""

KeyLike: TypeAlias = "str | os.PathLike[str]"
"""What a load accepts: the text of a key, or a path (see `parse_key`)."""

HIDDEN_PREFIX = ".polystore-"
"""Names that begin so are ours (files being written): no key, and never listed."""

MAX_PART_BYTES = 255
"""NAME_MAX of Linux and macOS file systems; object stores allow more, and keys move between them."""

# Most keys are plain: ASCII parts, none of them starting with a dot. One match decides those.
_PLAIN = re.compile(r"[\w][\w \-.,+=@()]*(?:/[\w][\w \-.,+=@()]*)*", re.ASCII)

_NO_RESERVED: frozenset[str] = frozenset()


def parse_key(
    key: KeyLike, root: str | None = None, reserved: frozenset[str] = _NO_RESERVED
) -> Outcome[Key]:
    """Give the key that the text or path names, or `InvalidKey` with the reason.

    Refused: an empty key, an absolute one, an empty part, `.` or `..`, NUL, a backslash, a lone
    surrogate, a part over 255 bytes of UTF-8, a part beginning with `.polystore-`, a part in
    `reserved`. All else is kept as given: Unicode is not normalised, capitals stay.

    With `root` (an absolute folder), an absolute path under it is made relative to it, and so is a
    `Path` that begins with the root as seen from the current folder, so that the results of
    `Path("plate").glob("*.tif")` are keys of `DiskConfig("plate")`.

    >>> parse_key("wells/A01 t1.TIF")
    <Success: wells/A01 t1.TIF>
    >>> parse_key("/data/plate/A01.tif", root="/data/plate")
    <Success: A01.tif>
    >>> parse_key("../A01.tif").failure().message
    "'../A01.tif' is no key: its part '..' would leave the folder."
    """
    text = _text(key, root)
    if text is None:
        return Failure(_invalid(repr(key), "it is neither a text nor a path"))
    if text.startswith("/") and root is not None:
        text = _below(text, root)
    if not reserved and len(text) <= MAX_PART_BYTES and _PLAIN.fullmatch(text):
        return Success(Key(text))
    problem = _problem(text, reserved)
    return Success(Key(text)) if problem is None else Failure(_invalid(text, problem))


def _invalid(text: str, problem: str) -> InvalidKey:
    return InvalidKey(
        text,
        None,
        f"{text!r} is no key: {problem}.",
        "A key is a relative path such as 'wells/A01.tif', with '/' between its parts.",
    )


def _text(key: object, root: str | None) -> str | None:
    if isinstance(key, PurePath):
        return _from_path(key, root)
    text = os.fspath(cast("KeyLike", key)) if isinstance(key, (str, os.PathLike)) else None
    return str(text) if isinstance(text, str) else None


def _from_path(key: PurePath, root: str | None) -> str:
    text = key.as_posix()
    if root is None or not isinstance(key, Path) or text.startswith("/"):
        return text
    seen_from_here = os.path.relpath(root)
    inside = text.startswith(seen_from_here + "/") and not seen_from_here.startswith("..")
    return text[len(seen_from_here) + 1 :] if inside else text


def _below(text: str, root: str) -> str:
    folder = root.rstrip("/") + "/"
    return text[len(folder) :] if text.startswith(folder) else text


def _problem(text: str, reserved: frozenset[str]) -> str | None:
    if text == "":
        return "it is empty"
    if text.startswith("/"):
        return "it is an absolute path, and not one under the root of the store"
    if "\0" in text:
        return "it contains a NUL"
    if "\\" in text:
        return "it contains a backslash"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "it contains a lone surrogate, which UTF-8 cannot write"
    for part in text.split("/"):
        if part == "":
            return "it has an empty part"
        if part in (".", ".."):
            return f"its part {part!r} would leave the folder"
        if len(part.encode()) > MAX_PART_BYTES:
            return f"a part of it is longer than {MAX_PART_BYTES} bytes"
        if part.startswith(HIDDEN_PREFIX):
            return f"names that begin with {HIDDEN_PREFIX!r} are reserved by polystore"
        if part in reserved:
            return f"the name {part!r} is reserved by the store"
    return None


_DIGITS = re.compile(r"([0-9]+)")


def natural_order(key: str) -> tuple[tuple[str | int, ...], str]:
    """Give the sort key of natural order: runs of the digits 0-9 compare as numbers.

    Only ASCII digits count, so that no Unicode name can fail to sort; names that are equal as
    numbers (`f1`, `f01`) keep a fixed order.

    >>> sorted(["f10", "f2", "f1"], key=natural_order)
    ['f1', 'f2', 'f10']
    """
    parts = _DIGITS.split(key)
    return tuple(int(part) if i % 2 else part for i, part in enumerate(parts)), key


def suffix_of(key: str, suffixes: tuple[str, ...]) -> str | None:
    """Give the longest of `suffixes` that the key ends with, compared case-blind, or `None`.

    >>> suffix_of("cells.OME.TIF", (".tif", ".ome.tif"))
    '.ome.tif'
    """
    name = key.rpartition("/")[2].lower()
    found = [suffix for suffix in suffixes if name.endswith(suffix)]
    return max(found, key=len, default=None)
