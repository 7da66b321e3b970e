"""What a TIFF's own words cannot say exactly, noted beside them as JSON, and when to trust it.

OME-XML and ImageJ's description leave out axes of length 1, round sizes to a fraction of two
32-bit integers, and know neither free attributes nor every unit. Such fields of the metadata are
noted where only we look. Whoever changes the file with another program changes its words, and not
the note: so a note counts only where the words are those that we would write with it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias, cast

from attrs import evolve, frozen

from polystore.core.item import Metadata
from polystore.core.payload import Json
from polystore.core.plainjson import plain_json

__all__ = [
    "OURS",
    "Known",
    "Words",
    "agreed",
    "carried",
    "from_note",
    "note_of",
    "note_text",
    "noted",
]

OURS = "polystore"
"""The key, or the namespace, under which a note stands."""

Words: TypeAlias = "Mapping[str, str]"
"""What a file says in its own terms.

Keys that begin with `Size` (or with `Order`) tell the axes, with `Name` the channels, all others
how far one step goes.
"""

_FIELDS = ("axes", "scale", "unit", "channel_names", "attributes")

_TEXT_MAX = 2**24
"""Characters of a note. More belongs in a file of its own, and is dropped aloud."""

_AXES_MAX = 64
"""Axes: as many as a NumPy array can have."""


@frozen
class Known:
    """The shape of an array, and what is known of it."""

    shape: tuple[int, ...]
    metadata: Metadata


def carried(metadata: Metadata, ndim: int) -> tuple[Metadata, tuple[str, ...]]:
    """Give the metadata that JSON can say of an array of `ndim` axes, and the fields that it drops.

    >>> carried(Metadata(axes=("y", "x"), attributes={"when": object()}), 2)[1]
    ('attributes',)
    """
    present = metadata.present()
    if not present:
        return Metadata(), ()
    fields: dict[str, Json] = {}
    dropped: list[str] = []
    for name in present:
        try:
            value = plain_json(getattr(metadata, name))
            fields[name] = value
            fine = name in _checked(fields, ndim) and len(json.dumps(value)) <= _TEXT_MAX
        except (TypeError, ValueError):
            fine = False
        if not fine:
            fields.pop(name, None)
            dropped.append(name)
    return _with(Metadata(), _checked(fields, ndim)), tuple(dropped)


def note_of(known: Known, said: Known) -> dict[str, Json]:
    """Give what has to be noted of an array, where the file's own words say something else."""
    note: dict[str, Json] = {}
    if known.shape != said.shape:
        note["shape"] = list(known.shape)
    for name in _FIELDS:
        value = getattr(known.metadata, name)
        if value != getattr(said.metadata, name):
            note[name] = plain_json(value)
    return note


def note_text(note: Mapping[str, Json]) -> str:
    r"""Give a note as one line of ASCII.

    >>> note_text({"unit": ["µ"]})
    '{"unit": ["\\u00b5"]}'
    """
    return json.dumps(note, allow_nan=False)


def noted(text: str | None, said: Known) -> Known:
    """Give what is known once the note is read; as if there were none where it makes no sense."""
    if text is None or len(text) > 2 * _TEXT_MAX:
        return said
    try:
        return from_note(cast("object", json.loads(text)), said)
    except (ValueError, RecursionError):
        return said


def from_note(note: object, said: Known) -> Known:
    """Give what is known once a parsed note is read: of any JSON, none of it trusted.

    >>> from_note({"shape": [1, 4], "axes": "?"}, Known((4,), Metadata(axes=("x",)))).shape
    (1, 4)
    """
    if not isinstance(note, Mapping):
        return said
    fields = cast("Mapping[str, object]", note)
    shape = said.shape
    lengths = fields.get("shape")
    if isinstance(lengths, list):
        given = tuple(n for n in cast("list[object]", lengths) if type(n) is int and n > 0)
        if _long(given) == _long(shape) and len(given) <= _AXES_MAX:
            shape = given
    metadata = said.metadata if len(shape) == len(said.shape) else Metadata()
    return Known(shape, _with(metadata, _checked(fields, len(shape))))


def _long(shape: Sequence[int]) -> list[int]:
    return [length for length in shape if length != 1]


def agreed(
    said: Known, known: Known, words: Words, words_of: Callable[[Known], Words | None]
) -> Known:
    """Give what is known, each part of it only where its words are those of the file.

    `said` is what the words alone tell, `known` what the note adds to it.
    """
    attributes = known.metadata.attributes
    expected = words_of(known)
    if expected is None or not _same(expected, words, ("Size", "Order")):
        return Known(said.shape, evolve(said.metadata, attributes=attributes))
    metadata = known.metadata
    aligned = said.metadata if len(said.shape) == len(known.shape) else Metadata()
    if not _same(expected, words, ("Name",)):
        metadata = evolve(metadata, channel_names=said.metadata.channel_names)
    if not _same(expected, words, ()):
        metadata = evolve(metadata, scale=aligned.scale, unit=aligned.unit)
    return Known(known.shape, metadata)


def _same(one: Words, other: Words, prefixes: tuple[str, ...]) -> bool:
    def part(words: Words) -> dict[str, str]:
        if prefixes:
            return {name: word for name, word in words.items() if name.startswith(prefixes)}
        others = ("Size", "Order", "Name")
        return {name: word for name, word in words.items() if not name.startswith(others)}

    return part(one) == part(other)


def _checked(fields: Mapping[str, object], ndim: int) -> dict[str, object]:
    """Give those fields of the metadata that are of their types and lengths."""
    checked: dict[str, object] = {}
    for name in ("axes", "unit", "channel_names"):
        texts = _items(fields.get(name))
        if texts is not None and all(isinstance(text, str) for text in texts):
            checked[name] = texts
    scale = _items(fields.get("scale"))
    if scale is not None and all(map(_is_number, scale)):
        checked["scale"] = scale
    for name in ("axes", "unit", "scale"):
        if len(cast("Sequence[object]", checked.get(name, ()))) not in (0, ndim):
            del checked[name]
    attributes = fields.get("attributes")
    if isinstance(attributes, dict):
        checked["attributes"] = cast("object", attributes)
    return checked


def _is_number(value: object) -> bool:
    return (type(value) is float and math.isfinite(value)) or type(value) is int


def _with(metadata: Metadata, fields: Mapping[str, object]) -> Metadata:
    """Give the metadata with other fields, which were checked."""
    return Metadata(
        axes=cast("tuple[str, ...]", fields.get("axes", metadata.axes)),
        scale=cast("tuple[float, ...]", fields.get("scale", metadata.scale)),
        unit=cast("tuple[str, ...]", fields.get("unit", metadata.unit)),
        channel_names=cast("tuple[str, ...]", fields.get("channel_names", metadata.channel_names)),
        attributes=cast("Mapping[str, Json]", fields.get("attributes", metadata.attributes)),
    )


def _items(value: object) -> tuple[object, ...] | None:
    return tuple(cast("list[object]", value)) if isinstance(value, list) else None
