"""Keys to try a store on: good ones, ones that are easily taken for each other, and no keys."""

from __future__ import annotations

from hypothesis import strategies as st

from polystore.core.key import parse_key
from polystore.core.outcome import is_successful

__all__ = ["CONFUSABLE", "NO_KEYS", "keys"]

CONFUSABLE = (
    "a",
    "A",
    "ß",
    "ss",
    "SS",
    "\N{LATIN SMALL LETTER E WITH ACUTE}",
    "e\N{COMBINING ACUTE ACCENT}",
    "\N{KELVIN SIGN}",
    "K",
    "k",
    "\N{LATIN SMALL LIGATURE FI}",
    "fi",
    "a.",
    "a ",
    " a",
    "a..",
    "a%20",
    "a+",
    "a%2Fb",
    "a:b",
    "a?b",
    "a*",
    "a#b",
    "~a",
    ".a",
    "...",
    "-a",
    "con",
    "a\nb",
    "a\tb",
    "a\N{ZERO WIDTH SPACE}",
    "1",
    "01",
    "a" * 200,
)
"""Names that a store may take for one another: by case, by Unicode's normal forms, by what trails
or leads, by the words of URLs, shells and Windows; and a long one."""

NO_KEYS = (
    "",
    ".",
    "..",
    "../a{}",
    "a/../b{}",
    "./a{}",
    "/a{}",
    "/a/b{}",
    "//a{}",
    "a//b{}",
    "a{}/",
    "a\0{}",
    "a\\b{}",
    "\ud800{}",
    ".polystore-a{}",
    "a/.polystore-b/c{}",
    "a" * 256 + "{}",
)
"""Texts that are no keys; `{}` stands for a suffix."""

_ALPHABET = st.characters(exclude_categories=["Cs"], exclude_characters="\0\\/")


def keys(suffix: str = "") -> st.SearchStrategy[str]:
    """Give keys, of one part or several, of any character, that end with the suffix.

    >>> from hypothesis import find
    >>> find(keys(".npy"), lambda key: "/" in key)
    'a/a.npy'
    """
    part = st.sampled_from(CONFUSABLE) | st.text(_ALPHABET, min_size=1, max_size=8)
    whole = st.lists(part, min_size=1, max_size=3).map(lambda parts: "/".join(parts) + suffix)
    return whole.filter(lambda key: is_successful(parse_key(key)))
