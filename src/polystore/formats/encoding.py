"""What a text format says of bytes that are not UTF-8."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polystore.core.errors import Corrupt
from polystore.core.outcome import Failure, Outcome, Success
from polystore.formats.magic import HEAD, content_of
from polystore.formats.refusals import damaged, foreign, over_limit

if TYPE_CHECKING:
    from polystore.core.records import Limits, Readable

__all__ = ["SMALL", "TEXTS", "content_within", "unreadable", "wide_bytes"]

SMALL = 2**20
"""Bytes. Work on a small file may take these, whatever is allowed for what it holds."""

_UTF16 = (b"\xff\xfe", b"\xfe\xff")
TEXTS = ("text", "JSON text", "XML", "an HTML page")
"""What text looks like, in the words of `content_of`."""


def content_within(
    name: str, source: Readable, limits: Limits, spare: int = 0
) -> Outcome[bytearray]:
    """Give all bytes of a source and `spare` zeros; `TooLarge` or `Corrupt` if there is no way."""
    if source.size > SMALL:
        too_large = over_limit(source.size, limits)
        if too_large is not None:
            return Failure(too_large)
    content = bytearray(source.size + spare)
    view = memoryview(content)[: source.size]
    if source.size and source.read_into(0, view) != source.size:
        return Failure(damaged(name, "it ended while it was read"))
    return Success(content)


def unreadable(name: str, source: Readable, reason: str, kinds: tuple[str, ...]) -> Corrupt:
    r"""Give the error for bytes that could not be read as text of a format, and why.

    `kinds` are what the bytes of the format look like, in the words of `content_of`: content that
    looks like something else is said to be that.

    >>> from polystore.core.records import Readable
    >>> def read_into(offset: int, buffer: memoryview) -> int:
    ...     buffer[:4] = b"\xff\xfea\x00"
    ...     return 4
    >>> print(unreadable("JSON", Readable(4, read_into, lambda: None), "it is odd", ()).message)
    This is no JSON: it is UTF-16 text, and not UTF-8.
    """
    head = bytearray(min(source.size, HEAD))
    source.read_into(0, memoryview(head))
    if head.startswith(_UTF16):
        message = f"This is no {name}: it is UTF-16 text, and not UTF-8."
        return Corrupt("", None, message, "Save it as UTF-8 where it was made.")
    content = content_of(bytes(head))
    if content in kinds or content == "of no format known here":
        return damaged(name, reason, "Mend it, or save it again as UTF-8 where it was made.")
    return foreign(name, source)


def wide_bytes(content: bytearray) -> int:
    r"""Give the bytes of the `str` that UTF-8 becomes: 1, 2 or 4 for each of its characters.

    >>> wide_bytes(bytearray(b"mm")), wide_bytes(bytearray("\N{GREEK SMALL LETTER MU}m".encode()))
    (2, 4)
    """
    import numpy as np

    if content.isascii():
        return len(content)
    data = np.frombuffer(content, np.uint8)
    characters = len(data) - int(np.count_nonzero((data & 0xC0) == 0x80))
    highest = int(data.max())
    # The first byte of a character says in which range it lies: to U+00FF, to U+FFFF, beyond.
    width = 1 if highest < 0xC4 else 2 if highest < 0xF0 else 4
    return characters * width
