"""What the `__metadata__` of a safetensors file says: text by name, and `Metadata` within it.

Attributes that are text stand there as such, as other programs write and expect them
(`{"format": "pt"}`). Everything else stands as JSON under the name "polystore".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from attrs import evolve

from polystore.core.item import Metadata

if TYPE_CHECKING:
    from polystore.core.payload import Json

__all__ = ["is_unicode", "metadata_of", "texts_of"]

_OURS = "polystore"
_FIELDS = {"axes", "scale", "unit", "channel_names", "attributes"}


def is_unicode(text: str) -> bool:
    r"""Whether there are no lone surrogates in it, which other JSON parsers refuse.

    >>> is_unicode("größe"), is_unicode("\ud800")
    (True, False)
    """
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


def texts_of(metadata: Metadata) -> tuple[dict[str, str], tuple[str, ...]]:
    """Give the texts that say it, and the names of the fields that would not come back equal.

    >>> texts_of(Metadata(axes=("y", "x"), attributes={"format": "pt"}))
    ({'format': 'pt', 'polystore': '{"axes": ["y", "x"]}'}, ())
    """
    present = metadata.present()
    attributes = cast("Mapping[object, object]", metadata.attributes)
    texts = {
        name: value
        for name, value in attributes.items()
        if isinstance(name, str) and isinstance(value, str) and _is_plain(name, value)
    }
    ours: dict[str, object] = {name: getattr(metadata, name) for name in present}
    ours["attributes"] = {name: value for name, value in attributes.items() if name not in texts}
    kept = {name: value for name, value in ours.items() if value and _is_json(value)}
    if kept:
        texts[_OURS] = json.dumps(kept)
    read = metadata_of(texts)
    return texts, tuple(name for name in present if getattr(read, name) != getattr(metadata, name))


def _is_plain(name: str, value: str) -> bool:
    return name != _OURS and is_unicode(name) and is_unicode(value)


def _is_json(value: object) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def metadata_of(texts: Mapping[str, str]) -> Metadata:
    """Give what the texts say; a text under our own name that is not ours is an attribute.

    >>> metadata_of({"format": "pt", "polystore": '{"axes": ["y", "x"]}'}).axes
    ('y', 'x')
    """
    try:
        ours: object = json.loads(texts[_OURS]) if _OURS in texts else {}
        known = _known(cast("dict[str, object]", ours if isinstance(ours, dict) else {"": ours}))
    except (ValueError, RecursionError):
        return Metadata(attributes=dict(texts))
    plain = {name: text for name, text in texts.items() if name != _OURS}
    return evolve(known, attributes={**plain, **known.attributes})


def _known(fields: dict[str, object]) -> Metadata:
    """Give our own part of the metadata; `ValueError` if it is none of ours."""
    attributes = fields.get("attributes", {})
    if not isinstance(attributes, dict) or not fields.keys() <= _FIELDS:
        raise ValueError(f"the fields {list(fields)}")
    return Metadata(
        axes=_words(fields.get("axes", [])),
        scale=_numbers(fields.get("scale", [])),
        unit=_words(fields.get("unit", [])),
        channel_names=_words(fields.get("channel_names", [])),
        attributes=cast("dict[str, Json]", attributes),
    )


def _words(value: object) -> tuple[str, ...]:
    words = cast("list[object]", value) if isinstance(value, list) else [value]
    if not isinstance(value, list) or not all(isinstance(word, str) for word in words):
        raise ValueError(f"{value!r} is no list of words")
    return tuple(cast("list[str]", words))


def _numbers(value: object) -> tuple[float, ...]:
    numbers = cast("list[object]", value) if isinstance(value, list) else [value]
    if not isinstance(value, list) or not all(type(it) in (int, float) for it in numbers):
        raise ValueError(f"{value!r} is no list of numbers")
    return tuple(cast("list[float]", numbers))
