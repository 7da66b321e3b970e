"""What polystore notes about a node, under one attribute of it, and what it reads there.

    {"version": 1, "dense": true, "metadata": {"axes": ["y", "x"], ...},
     "history": [{"key": ..., "step": ..., "nbytes": ..., "version": ...}, ...]}

`dense` says that every chunk was written, so that a missing one is damage and not zeros. The levels
of an image have no more than that: the rest is noted of the image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TypeAlias

from attrs import frozen

from polystore.backends.zarr.elements.meta import Documents
from polystore.core.errors import Corrupt, StorageError, UnsupportedOperation
from polystore.core.item import Event, Item, Metadata
from polystore.core.outcome import Failure, Outcome, Success, catch, guard, is_successful
from polystore.core.payload import Json
from polystore.core.plainjson import json_list, json_object, json_text, plain_json
from polystore.core.unnamed import unnamed_json

__all__ = ["OURS", "Notes", "Spec", "notes_in", "notes_of", "step_json"]

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


def step_json(step: object, spec: Spec) -> Json:
    """Give a step of a history as JSON: its spec, or what is noted of one that has none."""
    try:
        return plain_json(step)  # read back from a store, it is a spec already
    except (TypeError, ValueError, RecursionError):
        named = spec(step)
        return named.unwrap() if is_successful(named) else unnamed_json(step)


def _event_json(event: Event, spec: Spec) -> Json:
    return {
        "key": event.key,
        "step": step_json(event.step, spec),
        "nbytes": int(event.nbytes),
        "version": event.version,
    }


def notes_in(documents: Documents) -> Outcome[Notes]:
    """Give what we noted about a node; for another writer's, what its attributes and axes say.

    `Corrupt` if ours is damaged, `UnsupportedOperation` if a later version of polystore wrote it.
    """
    others = dict(documents.attributes)
    ours = others.get(OURS)
    axes = _axes(documents.fields)
    if not isinstance(ours, Mapping) or "version" not in ours:
        return Success(Notes(False, Metadata(axes=map(str, axes), attributes=others), ()))
    if ours["version"] != VERSION:
        return Failure(
            UnsupportedOperation(
                "",
                None,
                f"A later polystore wrote this (version {ours['version']!r} of its notes).",
                "Upgrade polystore, or read it with zarr-python.",
            )
        )
    del others[OURS]
    return guard(
        lambda: _notes({"metadata": {"axes": axes}, **ours}, others),
        catch(TypeError, _damaged),
        catch(KeyError, _damaged),
    )


def _axes(fields: Mapping[str, Json]) -> list[Json]:
    names = fields.get("dimension_names")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return []
    return list(names)


def _damaged(_error: Exception) -> StorageError:
    return Corrupt(
        "",
        None,
        f"The attribute {OURS!r} of this node is damaged.",
        "Save it again from its source, or read it with zarr-python.",
    )


def _notes(ours: Mapping[str, Json], others: Mapping[str, Json]) -> Notes:
    metadata = _metadata(json_object(ours["metadata"]), others)
    history = json_list(ours.get("history", []))
    return Notes(ours.get("dense") is True, metadata, tuple(map(_event, history)))


def _metadata(fields: Mapping[str, Json], others: Mapping[str, Json]) -> Metadata:
    """Give the metadata in our notes, with the attributes that others have put beside them."""
    return Metadata(
        axes=tuple(map(json_text, json_list(fields.get("axes", [])))),
        scale=tuple(map(_number, json_list(fields.get("scale", [])))),
        unit=tuple(map(json_text, json_list(fields.get("unit", [])))),
        channel_names=tuple(map(json_text, json_list(fields.get("channel_names", [])))),
        attributes={**others, **json_object(fields.get("attributes", {}))},
    )


def _event(value: Json) -> Event:
    event = json_object(value)
    nbytes = event["nbytes"]
    if not isinstance(nbytes, int):
        raise TypeError(nbytes)
    return Event(json_text(event["key"]), event["step"], nbytes, json_text(event["version"]))


def _number(value: Json) -> float:
    if not isinstance(value, (int, float)):
        raise TypeError(value)
    return value
