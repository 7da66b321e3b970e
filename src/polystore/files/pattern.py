"""Patterns of keys: `*`, `?` and `[...]` within a part, `**` for any number of parts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import cast

from polystore.core.errors import InvalidKey
from polystore.core.outcome import Failure, Outcome, Success

__all__ = ["matcher"]

_REFUSED = {
    "": "it has an empty part",
    ".": "its part '.' names no file",
    "..": "its part '..' would leave the folder",
}

_ANY = "[^/]"
"""One character of a part."""


def matcher(pattern: str) -> Outcome[Callable[[str], bool]]:
    r"""Give the function that says whether a path (with `/` between its parts) fits a pattern.

    - `*` is any run of characters within one part, an empty one too; `?` is any one character;
      `[a-c]` is one of those, `[!a-c]` one of no others. A bracket that is not closed stands for
      itself, and so do `*`, `?` and `[` within brackets.
    - `**` as a whole part is any number of parts, none too.
    - A pattern without `/` is compared with the last part of the path alone.
    - Capitals count, and Unicode is compared as it is. A name that begins with a dot is one like
      any other.

    `InvalidKey` for what fits no key, whatever there is: a pattern that is empty or absolute, that
    has an empty part, `.`, `..`, a NUL or a backslash. Time is linear in the path for each `*`.

    >>> fits = matcher("wells/**/t[0-9].tif").unwrap()
    >>> fits("wells/t1.tif"), fits("wells/A/01/t2.tif"), fits("wells/t10.tif")
    (True, True, False)
    >>> matcher("../*").failure().message
    "'../*' is no pattern: its part '..' would leave the folder."
    """
    problem = _problem(pattern)
    if problem is not None:
        text = pattern if isinstance(cast("object", pattern), str) else repr(pattern)
        return Failure(
            InvalidKey(
                text,
                None,
                f"{text!r} is no pattern: {problem}.",
                "A pattern is relative to the folder, as 't*.tif' or 'wells/**/t*.tif'.",
            )
        )
    fits = re.compile(_expression(pattern), re.DOTALL).fullmatch
    if "/" in pattern:
        return Success(lambda path: fits(path) is not None)
    return Success(lambda path: fits(path, path.rfind("/") + 1) is not None)


def _problem(pattern: object) -> str | None:
    if not isinstance(pattern, str):
        return "it is no text"
    if pattern.startswith("/"):
        return "it is an absolute path"
    for character, words in {"\0": "a NUL", "\\": "a backslash"}.items():
        if character in pattern:
            return f"it contains {words}"
    refused = [_REFUSED[part] for part in pattern.split("/") if part in _REFUSED]
    return "it is empty" if pattern == "" else next(iter(refused), None)


def _expression(pattern: str) -> str:
    """Give the regular expression of a pattern.

    Between two `**` stands a run of parts, whose first fit is as good as any later one, and so
    within a part between two `*`: what is found is never given up (`(?>...)`), and no pattern takes
    time that grows faster than the path.
    """
    *runs, last = _runs(pattern.split("/"))
    parts = [_part(part) for part in last]
    if not runs:
        return "/".join(parts)
    first, *middle = ["".join(f"{_part(part)}/" for part in run) for run in runs]
    skipped = f"(?:{_ANY}+/)*"
    found = "".join(f"(?>{skipped}?{run})" for run in middle if run)
    # `**` at the end takes at least one part: what it is compared with is a file.
    end = skipped + "/".join(parts) if parts else f"{skipped}{_ANY}+"
    return first + found + end


def _runs(parts: list[str]) -> Iterator[list[str]]:
    """Give the parts between one `**` and the next."""
    run: list[str] = []
    for part in parts:
        if part == "**":
            yield run
            run = []
        else:
            run.append(part)
    yield run


def _part(part: str) -> str:
    """Give the expression of one part."""
    pieces = [""]
    at = 0
    while at < len(part):
        if part[at] == "*":
            pieces.append("")
            at += 1
        else:
            expression, at = _character(part, at)
            pieces[-1] += expression
    first, *rest = pieces
    if not rest:
        return first
    *middle, last = rest
    return first + "".join(f"(?>{_ANY}*?{piece})" for piece in middle if piece) + f"{_ANY}*{last}"


def _character(part: str, at: int) -> tuple[str, int]:
    """Give the expression of what stands for one character, and where the next begins."""
    if part[at] == "?":
        return _ANY, at + 1
    # As in a shell, a bracket right behind the opening one is a character of the set.
    close = part.find("]", at + 2 + part[at + 1 :].startswith("!"))
    if part[at] != "[" or close < 0:
        return re.escape(part[at]), at + 1
    inside = part[at + 1 : close]
    negated = inside.startswith("!")
    members = "".join(_members(inside[negated:]))
    if negated:
        return f"[^/{members}]", close + 1
    return f"(?!/)[{members}]" if members else "(?!)", close + 1


def _members(inside: str) -> Iterator[str]:
    """Give the characters and ranges of a set; a range whose end is before its start is empty."""
    at = 0
    while at < len(inside):
        if inside[at + 1 : at + 2] == "-" and at + 2 < len(inside):
            low, high = inside[at], inside[at + 2]
            if low <= high:
                yield f"{re.escape(low)}-{re.escape(high)}"
            at += 3
        else:
            yield re.escape(inside[at])
            at += 1
