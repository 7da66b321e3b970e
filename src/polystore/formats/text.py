"""Text as UTF-8: every character as it is, newlines and a byte order mark too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polystore.configs import TEXT
from polystore.core.outcome import Failure, Outcome, catch, guard, is_successful
from polystore.core.records import Codec, Decoded, Encoded, Limits, Readable
from polystore.formats.encoding import TEXTS, content_within, unreadable, wide_bytes
from polystore.formats.refusals import cannot_hold, over_limit

if TYPE_CHECKING:
    from polystore.core.errors import StorageError
    from polystore.core.item import Item
    from polystore.core.payload import Payload

__all__ = ["TEXT_CODEC"]


def _encode(item: Item[Payload], _options: object, /) -> Outcome[Encoded]:
    text = item.payload
    if type(text) is not str:
        kind = type(text).__name__
        advice = "Give it a str; save arrays as .npy or .npz, a Table as .csv, others as .json."
        return Failure(cannot_hold("Text", f"a {kind}", advice))

    def surrogate(error: UnicodeEncodeError) -> StorageError:
        what = f"half of a surrogate pair, which character {error.start} is"
        return cannot_hold("Text", what, "Remove it, as in text.encode(errors='replace').decode().")

    content = guard(text.encode, catch(UnicodeEncodeError, surrogate))
    return content.map(lambda it: Encoded((it,), len(it), item.metadata.present()))


def _decode(source: Readable, limits: Limits, /) -> Outcome[Decoded[str]]:
    found = content_within("text", source, limits)
    if not is_successful(found):
        return Failure(found.failure())
    content = found.unwrap()
    too_large = over_limit(wide_bytes(content), limits)
    if too_large is not None:
        return Failure(too_large)

    def undecodable(error: UnicodeDecodeError) -> StorageError:
        line = content.count(b"\n", 0, error.start) + 1
        reason = f"byte {error.start}, in line {line}, is not UTF-8"
        return unreadable("text", source, reason, TEXTS)

    text = guard(content.decode, catch(UnicodeDecodeError, undecodable))
    return text.map(Decoded)


TEXT_CODEC: Codec[str] = Codec(format=TEXT, encode=_encode, decode=_decode, open=None)
"""The record of text."""
