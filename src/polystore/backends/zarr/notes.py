"""What polystore notes about an array, under one attribute of it, and what it reads there.

    {"version": 1, "dense": true, "metadata": {"axes": ["y", "x"], ...},
     "history": [{"key": ..., "step": ..., "nbytes": ..., "version": ...}, ...]}

`dense` says that every chunk was written, so that a missing one is damage and not zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TypeAlias

from attrs import frozen

from polystore.core.errors import Corrupt, StorageError, UnsupportedOperation
from polystore.core.item import Event, Item, Metadata
from polystore.core.outcome import Failure, Outcome, Success, catch, guard
from polystore.core.payload import Json
from polystore.core.plainjson import plain_json

__all__ = ["OURS", "Notes", "Spec", "notes_in", "notes_of"]

OURS = "polystore"
"""The attribute under which everything of ours stands."""

VERSION = 1
"""Of what stands under the attribute."""

Spec: TypeAlias = Callable[[object], Outcome[Json]]
"""From a step of the history to its JSON."""


@frozen
class Notes:
    """What we noted about an array; for another writer's, what its attributes and axes say."""

    dense: bool
    metadata: Metadata
    history: tuple[Event, ...]


def notes_of(item: Item[object], spec: Spec) -> tuple[Mapping[str, Json], tuple[str, ...]]:
    """Give what to note about an item, and the fields of its metadata that JSON cannot say."""
    carried: dict[str, Json] = {}
    present = item.metadata.present()
    for name in present:
        with suppress(TypeError, ValueError, RecursionError):
            value = plain_json(getattr(item.metadata, name))
            _metadata({name: value}, {})  # what could not be read back is not written
            carried[name] = value
    notes: dict[str, Json] = {
        "version": VERSION,
        "dense": True,
        "metadata": carried,
        "history": [_event_json(event, spec) for event in item.history],
    }
    return notes, tuple(name for name in present if name not in carried)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _event_json(event: Event, spec: Spec) -> Json:
    try:
        step = plain_json(event.step)  # read back from a store, it is a spec already
    except (TypeError, ValueError, RecursionError):
        step = spec(event.step).value_or({"repr": repr(event.step)})
    return {
        "key": event.key,
        "step": step,
        "nbytes": int(event.nbytes),
        "version": event.version,
    }


def notes_in(fields: Mapping[str, Json]) -> Outcome[Notes]:
    """Give what we noted about an array; for another writer's, what its attributes and axes say.

    `Corrupt` if ours is damaged, `UnsupportedOperation` if a later version of polystore wrote it.
    """
    attributes = fields.get("attributes")
    others = dict(attributes) if isinstance(attributes, Mapping) else {}
    ours = others.get(OURS)
    if not isinstance(ours, Mapping) or "version" not in ours:
        return Success(Notes(False, Metadata(axes=_axes(fields), attributes=others), ()))
    if ours["version"] != VERSION:
        return Failure(
            UnsupportedOperation(
                "",
                None,
                f"A later polystore wrote this array (version {ours['version']!r} of its notes).",
                "Upgrade polystore, or read the array with zarr-python.",
            )
        )
    del others[OURS]
    return guard(
        lambda: _notes(ours, others), catch(TypeError, _damaged), catch(KeyError, _damaged)
    )


def _axes(fields: Mapping[str, Json]) -> tuple[str, ...]:
    names = fields.get("dimension_names")
    if not isinstance(names, list):
        return ()
    texts = tuple(name for name in names if isinstance(name, str))
    return texts if len(texts) == len(names) else ()


def _damaged(_error: Exception) -> StorageError:
    return Corrupt(
        "",
        None,
        f"The attribute {OURS!r} of this array is damaged.",
        "Save the array again from its source, or read it with zarr-python.",
    )


def _notes(ours: Mapping[str, Json], others: Mapping[str, Json]) -> Notes:
    metadata = _metadata(_mapping(ours["metadata"]), others)
    return Notes(ours["dense"] is True, metadata, tuple(map(_event, _list(ours["history"]))))


def _metadata(fields: Mapping[str, Json], others: Mapping[str, Json]) -> Metadata:
    """Give the metadata in our notes, with the attributes that others have put beside them."""
    return Metadata(
        axes=tuple(map(_text, _list(fields.get("axes", [])))),
        scale=tuple(map(_number, _list(fields.get("scale", [])))),
        unit=tuple(map(_text, _list(fields.get("unit", [])))),
        channel_names=tuple(map(_text, _list(fields.get("channel_names", [])))),
        attributes={**others, **_mapping(fields.get("attributes", {}))},
    )


def _event(value: Json) -> Event:
    event = _mapping(value)
    nbytes = event["nbytes"]
    if not isinstance(nbytes, int):
        raise TypeError(nbytes)
    return Event(_text(event["key"]), event["step"], nbytes, _text(event["version"]))


def _mapping(value: Json) -> Mapping[str, Json]:
    if not isinstance(value, Mapping):
        raise TypeError(value)
    return value


def _list(value: Json) -> Sequence[Json]:
    if not isinstance(value, list):
        raise TypeError(value)
    return value


def _number(value: Json) -> float:
    if not isinstance(value, (int, float)):
        raise TypeError(value)
    return value
