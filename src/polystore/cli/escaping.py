"""Texts of others, made harmless to a terminal."""

from __future__ import annotations

__all__ = ["printable"]


def printable(text: str) -> str:
    r"""Give the text with escapes for what does not print: no name of a file can move the cursor.

    >>> printable("a\x1b[2J\n.tif")
    'a\\x1b[2J\\n.tif'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
