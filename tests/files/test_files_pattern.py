"""Patterns: what they fit, against a matcher that is slow and plain; and what they cannot do."""

from __future__ import annotations

import re
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polystore import InvalidKey
from polystore.files.pattern import matcher


def fits(pattern: str, path: str) -> bool:
    return matcher(pattern).unwrap()(path)


def fits_plainly(pattern: str, path: str) -> bool:
    """Say by trying everything whether a path fits a pattern."""
    if "/" not in pattern:
        return _part_fits(pattern, path.rpartition("/")[2])
    return _parts_fit(pattern.split("/"), path.split("/"))


def _parts_fit(pattern: list[str], parts: list[str]) -> bool:
    if not pattern:
        return not parts
    if pattern[0] == "**":
        if len(pattern) == 1:
            return bool(parts)
        return any(_parts_fit(pattern[1:], parts[i:]) for i in range(len(parts) + 1))
    return bool(parts) and _part_fits(pattern[0], parts[0]) and _parts_fit(pattern[1:], parts[1:])


def _part_fits(pattern: str, part: str) -> bool:
    if not pattern:
        return not part
    if pattern[0] == "*":
        return any(_part_fits(pattern[1:], part[i:]) for i in range(len(part) + 1))
    found = re.match(r"\[(!?)([^]-]+)\]", pattern)
    if found is not None:
        negated, members = found.groups()
        inside = part[:1] != "" and (part[0] in members) != bool(negated)
        return inside and _part_fits(pattern[found.end() :], part[1:])
    return part[:1] != "" and pattern[0] in ("?", part[0]) and _part_fits(pattern[1:], part[1:])


PATHS = st.lists(st.text("ab.", min_size=1, max_size=4), min_size=1, max_size=4).map("/".join)
PARTS = st.one_of(
    st.just("**"),
    st.lists(st.sampled_from(["a", "b", "*", "?", ".", "[a]", "[!a.]", "[ab]"]), min_size=1).map(
        "".join
    ),
)
PATTERNS = st.lists(PARTS, min_size=1, max_size=4).map("/".join)


@given(PATTERNS, PATHS)
def test_a_pattern_fits_what_trying_everything_fits(pattern: str, path: str) -> None:
    if not {".", ".."} & set(pattern.split("/")):
        assert fits(pattern, path) == fits_plainly(pattern, path)


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("t*.tif", "plate/A01/t10.tif", True),
        ("t*.tif", "plate/t1/x.tif", False),
        ("plate/*.tif", "plate/A01/t.tif", False),
        ("plate/**", "plate", False),
        ("**/t.tif", "t.tif", True),
        ("**", "a/b", True),
        ("a/**/**/b", "a/b", True),
        ("A*", "a1", False),
        ("*", ".hidden", True),
        ("a[/]b", "a/b", False),
        ("x/a[+-9]b", "x/a/b", False),
        ("x/a[+-9]b", "x/a.b", True),
        ("x/a[!y]b", "x/a/b", False),
        ("a?b/c", "a/b/c", False),
        ("[]]", "]", True),
        ("[!]]", "a", True),
        ("[!]]", "]", False),
        ("[a", "[a", True),
        ("[z-a]", "m", False),
        ("[!z-a]", "m", True),
        ("[a-]", "-", True),
        ("[*]", "*", True),
        ("[*]", "a", False),
        ("[a-c]x", "bx", True),
        ("a²*.tif", "a²3.tif", True),
        ("a.tif", "aXtif", False),
        ("a\nb*", "a\nb\n", True),
        ("a", "a\n", False),
    ],
)
def test_examples(pattern: str, path: str, expected: bool) -> None:
    assert fits(pattern, path) is expected


@pytest.mark.parametrize(
    "pattern", ["", "/", "/a", "..", "../*", "a/../b", ".", "./a", "a/", "a//b", "a\0", "a\\*"]
)
def test_what_fits_no_key_is_refused(pattern: str) -> None:
    assert isinstance(matcher(pattern).failure(), InvalidKey)


def test_what_is_no_text_is_refused() -> None:
    assert isinstance(matcher(cast("str", 3)).failure(), InvalidKey)


def test_many_stars_take_no_time() -> None:
    # Each of these takes for ever where what was found is given up again.
    assert not fits("*a" * 30 + "b", "a" * 250)
    assert not fits("**/*a*/" * 20 + "b", "a/" * 200 + "c")
    assert not fits("/".join(["**", "a"] * 20) + "/b", "a/" * 200 + "c")
