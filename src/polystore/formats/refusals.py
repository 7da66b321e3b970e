"""The sentences with which every codec says no, and what it checks before it allocates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from polystore.core.errors import Corrupt, Lossy, StorageError, TooLarge, UnsupportedPayload
from polystore.core.outcome import Failure, Outcome, Success
from polystore.core.payload import aligned_empty, is_host_array
from polystore.formats.magic import HEAD, content_of

if TYPE_CHECKING:
    from typing import Any

    import numpy as np

    from polystore.core.item import Item
    from polystore.core.payload import HostArray, Payload
    from polystore.core.records import Limits, Readable

__all__ = [
    "allocated",
    "cannot_hold",
    "damaged",
    "foreign",
    "host_array",
    "kind_of",
    "over_limit",
    "reason_of",
]

_REASON_MAX = 160
"""Characters of a library's own message that are passed on."""


def cannot_hold(name: str, what: str, advice: str) -> UnsupportedPayload:
    """Give the error of an encoder for a payload that its format has no way to say.

    >>> print(cannot_hold("PNG", "a float64 image", "Use TIFF."))
    PNG cannot hold a float64 image. Use TIFF.
    """
    return UnsupportedPayload("", None, f"{name} cannot hold {what}.", advice)


def damaged(name: str, reason: str, advice: str = "Fetch it, or write it, again.") -> Corrupt:
    """Give the error of a decoder for a file of its format that is not whole.

    >>> print(damaged("PNG", "it ends in the middle of a chunk"))
    This is no whole PNG: it ends in the middle of a chunk. Fetch it, or write it, again.
    """
    message = f"This is no whole {name}: {reason}."
    return Corrupt("", None, message, advice)


def foreign(name: str, source: Readable) -> Corrupt:
    """Give the error of a decoder for content of another kind; it says which.

    >>> from polystore.core.records import Readable
    >>> def read_into(offset: int, buffer: memoryview) -> int:
    ...     buffer[:3] = b"GIF"
    ...     return 3
    >>> print(foreign("PNG", Readable(3, read_into, lambda: None)).message)
    This is no PNG: it is text.
    """
    head = bytearray(min(source.size, HEAD))
    count = source.read_into(0, memoryview(head))
    content = content_of(bytes(head[:count]))
    advice = (
        "The save that made it did not finish: write it again."
        if content == "empty" or content.startswith("zeros")
        else "Give the key the suffix of its content, or name it: load(store, format=…)."
    )
    return Corrupt("", None, f"This is no {name}: it is {content}.", advice)


def over_limit(nbytes: int, limits: Limits) -> StorageError | None:
    """Give `TooLarge` for a payload of more bytes than the limits allow, and `None` for others.

    >>> from polystore import Limits
    >>> print(over_limit(5, Limits(4)).message)
    It takes 5 bytes in memory, and the limit is 4.
    """
    if nbytes <= limits.max_bytes:
        return None
    return TooLarge(
        "",
        None,
        f"It takes {nbytes} bytes in memory, and the limit is {limits.max_bytes}.",
        "If you trust the file, raise max_bytes in the config.",
    )


def allocated(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Outcome[HostArray]:
    """Give an aligned array to decode into, or `TooLarge` if there is no memory for it."""
    try:
        return Success(aligned_empty(shape, dtype))
    except MemoryError as error:
        message = f"This machine has no memory for it: {error}."
        return Failure(TooLarge("", None, message, "Load it on a larger machine, or lazily."))


def host_array(item: Item[Payload], name: str) -> Outcome[HostArray]:
    """Give the payload as a plain `numpy.ndarray`, sharing it.

    `UnsupportedPayload` for what is no array, `Lossy` for masked elements: no format keeps a mask.
    Other subclasses (`matrix`, `memmap`, `recarray`) are seen as the arrays that they are.
    """
    import numpy as np

    array = item.payload
    if not is_host_array(array):
        advice = (
            "Save one array, or arrays by their names as .npz or .safetensors."
            if isinstance(array, Mapping)
            else "Save arrays in this format; JSON, text and tables in one of their own."
        )
        return Failure(cannot_hold(name, kind_of(array), advice))
    if isinstance(array, np.ma.MaskedArray):
        # Fields have masks of their own, at which `numpy.ma.is_masked` raises.
        if np.ascontiguousarray(np.ma.getmask(array)).view(np.bool_).any():
            advice = "Fill it first, as in array.filled(0), or save its mask as another array."
            message = "The array has masked elements, and its mask would be lost."
            return Failure(Lossy("", None, message, advice))
        array = array.data
    return Success(np.asarray(array))


def kind_of(payload: object) -> str:
    """Give what a payload is, as the end of a sentence.

    >>> kind_of({}), kind_of("text")
    ('a dict', 'a str')
    """
    return "an array" if is_host_array(payload) else f"a {type(payload).__name__}"


def reason_of(error: Exception) -> str:
    """Give a library's exception as a few words on one line.

    >>> reason_of(ValueError("no  image"))
    'ValueError: no image'
    """
    if isinstance(error, UnicodeError) or not " ".join(str(error).split()).isprintable():
        return "no reason given"  # imagecodecs read libpng's words from memory that was free again
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= _REASON_MAX else f"{text[:_REASON_MAX]}…"
