"""Which planes of a field were saved, and what each file's own metadata was: in the field's notes.

    {"axes": ["c", "z"], "saved": {"0/0": {"metadata": 0, "history": [{"step": 1, ...}]}, ...},
     "values": [{"axes": ["y", "x"]}, {...}]}

The keys are places along the axes. What many planes have in common stands in `values` once: the
files of a field differ in little but their names. A field without these notes was saved whole.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import TypeAlias

from attrs import evolve, field, frozen

from polystore.backends.zarr.elements.meta import Documents
from polystore.backends.zarr.notes import OURS, Notes, notes_in
from polystore.core.errors import Corrupt
from polystore.core.outcome import Failure, Outcome, Success
from polystore.core.payload import Json
from polystore.core.plainjson import json_list, json_object, json_text

__all__ = ["PLANES", "Noted", "PlanePlace", "is_noted", "noted_in"]

PLANES = "planes"
"""Under our attribute: the notes about planes."""

PlanePlace: TypeAlias = tuple[int, ...]
"""Where a plane is along the axes of its field before y and x."""


def _none() -> Mapping[PlanePlace, Mapping[str, Json]]:
    return {}


@frozen
class Noted:
    """The planes of a field that were saved, by their places along `axes`, as they are noted.

    >>> noted = Noted(("c",)).added((1,), {"metadata": {"axes": ["y", "x"]}, "history": []})
    >>> list(noted.lacking((2,)))
    [(0,)]
    >>> noted.notes_of((1,)).unwrap().metadata.axes
    ('y', 'x')
    """

    axes: tuple[str, ...]
    saved: Mapping[PlanePlace, Mapping[str, Json]] = field(factory=_none, hash=False)
    values: tuple[Json, ...] = field(default=(), hash=False)

    def added(self, place: PlanePlace, notes: Mapping[str, Json]) -> Noted:
        """Give the notes with a plane's, or with others in the place of those that it had."""
        values = list(self.values)
        if place in self.saved:
            return self._without(place).added(place, notes)
        history: list[Json] = [
            {**json_object(event), "step": _number_of(json_object(event)["step"], values)}
            for event in json_list(notes.get("history", []))
        ]
        own: dict[str, Json] = {
            "metadata": _number_of(notes.get("metadata", {}), values),
            "history": history,
        }
        return evolve(self, saved={**self.saved, place: own}, values=tuple(values))

    def _without(self, place: PlanePlace) -> Noted:
        """Give the notes of the other planes, with the values that these need."""
        left = Noted(self.axes)
        for other, notes in self.saved.items():
            if other != place:
                left = left.added(other, self._unpacked(notes))
        return left

    def _unpacked(self, notes: Mapping[str, Json]) -> dict[str, Json]:
        history: list[Json] = [
            {**json_object(event), "step": self.values[_number(json_object(event)["step"])]}
            for event in json_list(notes["history"])
        ]
        return {"metadata": self.values[_number(notes["metadata"])], "history": history}

    def lacking(self, shape: Sequence[int]) -> Iterator[PlanePlace]:
        """Give the planes that were not saved, of a field of so many along the axes."""
        if math.prod(shape) != len(self.saved):
            yield from (it for it in product(*map(range, shape)) if it not in self.saved)

    def notes_of(self, place: PlanePlace) -> Outcome[Notes]:
        """Give what was noted of a plane; `Corrupt` if that is damaged."""
        try:
            own = self._unpacked(self.saved[place])
        except (TypeError, IndexError, KeyError):
            return Failure(_damaged())
        notes: Json = {"version": 1, "dense": True, **own}
        return notes_in(Documents("group", 3, {}, {OURS: notes}))

    def json(self) -> dict[str, Json]:
        """Give the notes as they are written."""
        saved = {"/".join(map(str, place)): notes for place, notes in self.saved.items()}
        return {"axes": list(self.axes), "saved": saved, "values": list(self.values)}


def is_noted(attributes: Mapping[str, Json]) -> bool:
    """Whether the attributes of a field note its planes; else it was saved whole.

    >>> is_noted({"polystore": {"planes": {}}}), is_noted({})
    (True, False)
    """
    ours = attributes.get(OURS)
    return isinstance(ours, Mapping) and PLANES in ours


def noted_in(attributes: Mapping[str, Json]) -> Outcome[Noted | None]:
    """Give what the attributes of a field note of its planes; `None` of a field saved whole.

    >>> noted = Noted(("c",)).added((1,), {"metadata": {}, "history": []})
    >>> noted_in({"polystore": {"planes": noted.json()}}).unwrap() == noted
    True
    >>> noted_in({"polystore": {}})
    <Success: None>
    """
    ours = attributes.get(OURS)
    planes = ours.get(PLANES) if isinstance(ours, Mapping) else None
    if planes is None:
        return Success(None)
    try:
        return Success(_noted(json_object(planes)))
    except (TypeError, ValueError, KeyError):
        return Failure(_damaged())


def _noted(planes: Mapping[str, Json]) -> Noted:
    axes = tuple(json_text(axis) for axis in json_list(planes["axes"]))
    saved: dict[PlanePlace, Mapping[str, Json]] = {}
    for name, notes in json_object(planes["saved"]).items():
        place = tuple(map(int, name.split("/"))) if name else ()
        if len(place) != len(axes) or any(number < 0 for number in place):
            raise ValueError(name)
        saved[place] = json_object(notes)
    return Noted(axes, saved, tuple(json_list(planes["values"])))


def _number_of(value: Json, values: list[Json]) -> int:
    """Give the position of a value among the values, which it joins if it is none of them yet.

    They are compared as text: to Python `1`, `1.0` and `True` are equal.
    """
    text = json.dumps(value)
    for number, known in enumerate(values):
        if json.dumps(known) == text:
            return number
    values.append(value)
    return len(values) - 1


def _number(value: Json) -> int:
    if not isinstance(value, int) or value < 0:
        raise TypeError(value)
    return value


def _damaged() -> Corrupt:
    return Corrupt(
        "",
        None,
        "What was noted of the planes of this field is damaged.",
        "Save the field again from its files.",
    )
